"""The feed's messages, written from a tape's entries.

An order's id is the engine's number in the form of a UUID, so that a test can tell which order it placed: see
`order_id`. What only its owner may know (whose it is, on which side of a match) is added for the owner alone.

Source: protocol page, "Channels" and "level2"; Coinbase's own documents for the fields.
"""

from collections.abc import Iterable
from typing import Any, Final

from wsclient.sandbox.coinbase_entries import Changed, Done, Level, Matched, Message, Opened, OrderId, Received
from wsclient.sandbox.coinbase_products import Product, timestamp
from wsclient.sandbox.coinbase_tape import Tape
from wsclient.sandbox.engine import Ticker

SIDES: Final = {True: "buy", False: "sell"}


def order_id(number: OrderId) -> str:
    """An order's id: the last twelve hexadecimal digits are its number in the engine.

    Market orders, which have no number there, are counted apart (below zero), and have a 9 where others have an 8.
    """
    return f"00000000-0000-4000-{'8' if number >= 0 else '9'}000-{abs(number):012x}"


def user_id(user: int) -> str:
    """A user's id as the feed writes it: 24 hexadecimal digits."""
    return f"{user:024x}"


def profile_id(user: int) -> str:
    """The id of a user's one profile."""
    return f"00000000-0000-4000-a000-{user:012x}"


def message(product: Product, entry: Message) -> dict[str, Any]:
    """A message of the full channel as everybody may read it."""
    head = {"time": timestamp(entry.time), "product_id": product.id, "sequence": entry.sequence}
    side = SIDES[entry.bid]
    match entry:
        case Received(order=number, size=size, price=None):
            told = {"order_id": order_id(number), "side": side, "order_type": "market", "size": product.size(size)}
            return {"type": "received", **told, **head}
        case Received(order=number, size=size, price=int(price)):
            told = {"order_id": order_id(number), "side": side, "order_type": "limit"}
            return {"type": "received", **told, "size": product.size(size), "price": product.price(price), **head}
        case Opened(order=number, size=size, price=price):
            told = {"order_id": order_id(number), "side": side, "price": product.price(price)}
            return {"type": "open", **told, "remaining_size": product.size(size), **head}
        case Matched():
            return {"type": "match", **_match(product, entry), **head}
        case Changed(order=number, old_size=old, new_size=new, old_price=before, new_price=after):
            told = {"reason": "modify_order", "order_id": order_id(number), "side": side}
            sizes = {"old_size": product.size(old), "new_size": product.size(new)}
            if before == after:
                return {"type": "change", **told, **sizes, "price": product.price(after), **head}
            prices = {"old_price": product.price(before), "new_price": product.price(after)}
            return {"type": "change", **told, **sizes, **prices, **head}
        case Done(order=number, size=size, price=price, filled=filled):
            told = {"order_id": order_id(number), "side": side, "reason": "filled" if filled else "canceled"}
            if price is None:
                return {"type": "done", **told, **head}
            return {
                "type": "done",
                **told,
                "price": product.price(price),
                "remaining_size": product.size(size),
                **head,
            }
    raise TypeError(f"no message is known for {entry!r}")


def own(entry: Message, user: int) -> dict[str, Any]:
    """What the owner of an order is told besides: who it is, and for which side of a match."""
    fields: dict[str, Any] = {"user_id": user_id(user), "profile_id": profile_id(user)}
    if isinstance(entry, Matched):
        for role, owner in zip(("maker", "taker"), entry.users, strict=True):
            if owner == user:
                fields |= {f"{role}_user_id": user_id(user), f"{role}_profile_id": profile_id(user)}
    return fields


def last_match(product: Product, entry: Matched) -> dict[str, Any]:
    """The message with which the matches channel opens."""
    return {**message(product, entry), "type": "last_match"}


def _match(product: Product, entry: Matched) -> dict[str, Any]:
    return {
        "trade_id": entry.trade,
        "maker_order_id": order_id(entry.order),
        "taker_order_id": order_id(entry.taker),
        "side": SIDES[entry.bid],
        "size": product.size(entry.size),
        "price": product.price(entry.price),
    }


def heartbeat(product: Product, tape: Tape, now: int) -> dict[str, Any]:
    """A heartbeat: where a product's sequence and trades stand."""
    return {
        "type": "heartbeat",
        "sequence": tape.sequence,
        "last_trade_id": tape.trade,
        "product_id": product.id,
        "time": timestamp(now),
    }


def ticker(product: Product, tape: Tape, day: Ticker, now: int) -> dict[str, Any] | None:
    """A ticker after the last match; None before the first. `side` is the taker's."""
    last = tape.last
    if last is None:
        return None
    bid, ask = tape.best(bid=True), tape.best(bid=False)
    tape.month.expire(now)
    return {
        "type": "ticker",
        "sequence": tape.sequence,
        "product_id": product.id,
        "price": product.price(last.price),
        "open_24h": product.price(tape.open_price(now) or last.price),
        "volume_24h": product.size(day.volume),
        "low_24h": product.price(day.low or last.price),
        "high_24h": product.price(day.high or last.price),
        "volume_30d": product.size(tape.month.amount),
        "best_bid": product.price(bid or 0),
        "best_bid_size": product.size(tape.levels[True].get(bid or 0, 0)),
        "best_ask": product.price(ask or 0),
        "best_ask_size": product.size(tape.levels[False].get(ask or 0, 0)),
        "side": SIDES[not last.bid],
        "time": timestamp(last.time),
        "trade_id": last.trade,
        "last_size": product.size(last.size),
    }


def snapshot(product: Product, tape: Tape) -> dict[str, Any]:
    """The message with which a level2 channel opens: every price level, the best first."""
    return {
        "type": "snapshot",
        "product_id": product.id,
        **{
            name: [
                [product.price(price), product.size(size)]
                for price, size in sorted(tape.levels[bid].items(), reverse=bid)
            ]
            for name, bid in (("bids", True), ("asks", False))
        },
    }


def l2update(product: Product, levels: Iterable[Level], time: int) -> dict[str, Any]:
    """What has become of some price levels; a size of 0 says that nothing stands there any more."""
    return {
        "type": "l2update",
        "product_id": product.id,
        "changes": [[SIDES[bid], product.price(price), product.size(size)] for bid, price, size in levels],
        "time": timestamp(time),
    }
