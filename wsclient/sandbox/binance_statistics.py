"""Candles and tickers as Binance writes them. Times in texts are milliseconds, percentages have three decimals.

Source: protocol page, section "Market streams".
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from wsclient.sandbox.binance_symbols import ONE, Symbol, eight
from wsclient.sandbox.binance_tape import Candle, Tape

Levels = tuple[list[tuple[int, int]], list[tuple[int, int]]]
DAY: Final = 86_400_000_000
AVERAGE_MINUTES: Final = 5


def average(symbol: Symbol, candle: Candle) -> str:
    """The mean price of what was traded, weighted by quantity."""
    if not candle.volume:
        return symbol.price(candle.close)
    return eight(candle.total * symbol.total_unit * ONE // (candle.volume * symbol.quantity_unit))


def percent(change: int, base: int) -> str:
    """A change relative to where it began."""
    if not base:
        return "0.000"
    return str((Decimal(change * 100) / Decimal(base)).quantize(Decimal("0.001"), ROUND_HALF_EVEN))


def kline(symbol: Symbol, name: str, candle: Candle, now: int, *, closed: bool) -> dict[str, Any]:
    """A message of a stream of candles."""
    return {
        "e": "kline",
        "E": now // 1000,
        "s": symbol.name,
        "k": {
            "t": candle.start // 1000,
            "T": candle.end // 1000 - 1,
            "s": symbol.name,
            "i": name,
            "f": candle.first,
            "L": candle.last,
            "o": symbol.price(candle.open),
            "c": symbol.price(candle.close),
            "h": symbol.price(candle.high),
            "l": symbol.price(candle.low),
            "v": symbol.quantity(candle.volume),
            "n": candle.count,
            "x": closed,
            "q": symbol.total(candle.total),
            "V": symbol.quantity(candle.bought),
            "Q": symbol.total(candle.spent),
            "B": "0",
        },
    }


def kline_row(symbol: Symbol, candle: Candle) -> list[Any]:
    """A candle in the reply to `klines`."""
    return [
        candle.start // 1000,
        symbol.price(candle.open),
        symbol.price(candle.high),
        symbol.price(candle.low),
        symbol.price(candle.close),
        symbol.quantity(candle.volume),
        candle.end // 1000 - 1,
        symbol.total(candle.total),
        candle.count,
        symbol.quantity(candle.bought),
        symbol.total(candle.spent),
        "0",
    ]


def mini_ticker(symbol: Symbol, tape: Tape, now: int) -> dict[str, Any] | None:
    """24 hours in short; None if nothing was ever traded."""
    candle, _ = _window(tape, now - DAY, now)
    if candle is None:
        return None
    return {
        "e": "24hrMiniTicker",
        "E": now // 1000,
        "s": symbol.name,
        "c": symbol.price(candle.close),
        "o": symbol.price(candle.open),
        "h": symbol.price(candle.high),
        "l": symbol.price(candle.low),
        "v": symbol.quantity(candle.volume),
        "q": symbol.total(candle.total),
    }


def ticker(symbol: Symbol, tape: Tape, levels: Levels, now: int) -> dict[str, Any] | None:
    """24 hours and the best prices; None if nothing was ever traded."""
    candle, before = _window(tape, now - DAY, now)
    last = tape.last
    if candle is None or last is None:
        return None
    bid, ask = (side[0] if side else (0, 0) for side in levels)
    change = candle.close - candle.open
    return {
        "e": "24hrTicker",
        "E": now // 1000,
        "s": symbol.name,
        "p": symbol.price(change),
        "P": percent(change, candle.open),
        "w": average(symbol, candle),
        "x": symbol.price(before),
        "c": symbol.price(candle.close),
        "Q": symbol.quantity(last.quantity),
        "b": symbol.price(bid[0]),
        "B": symbol.quantity(bid[1]),
        "a": symbol.price(ask[0]),
        "A": symbol.quantity(ask[1]),
        "o": symbol.price(candle.open),
        "h": symbol.price(candle.high),
        "l": symbol.price(candle.low),
        "v": symbol.quantity(candle.volume),
        "q": symbol.total(candle.total),
        "O": (now - DAY) // 1000,
        "C": now // 1000,
        "F": candle.first,
        "L": candle.last,
        "n": candle.count,
    }


def window_ticker(symbol: Symbol, tape: Tape, name: str, length: int, now: int) -> dict[str, Any] | None:
    """A sliding window that begins on a minute; None if nothing was ever traded."""
    start = (now - length) // 60_000_000 * 60_000_000
    candle, _ = _window(tape, start, now)
    if candle is None:
        return None
    change = candle.close - candle.open
    return {
        "e": f"{name}Ticker",
        "E": now // 1000,
        "s": symbol.name,
        "p": symbol.price(change),
        "P": percent(change, candle.open),
        "o": symbol.price(candle.open),
        "h": symbol.price(candle.high),
        "l": symbol.price(candle.low),
        "c": symbol.price(candle.close),
        "w": average(symbol, candle),
        "v": symbol.quantity(candle.volume),
        "q": symbol.total(candle.total),
        "O": start // 1000,
        "C": now // 1000,
        "F": candle.first,
        "L": candle.last,
        "n": candle.count,
    }


def average_price(symbol: Symbol, tape: Tape, now: int) -> dict[str, Any] | None:
    """The mean price of five minutes; None if nothing was ever traded."""
    candle, _ = _window(tape, now - AVERAGE_MINUTES * 60_000_000, now)
    last = tape.last
    if candle is None or last is None:
        return None
    return {
        "e": "avgPrice",
        "E": now // 1000,
        "s": symbol.name,
        "i": f"{AVERAGE_MINUTES}m",
        "w": average(symbol, candle),
        "T": last.time // 1000,
    }


def _window(tape: Tape, start: int, end: int) -> tuple[Candle | None, int]:
    """What was traded in a window; flat at the last price where nothing was, None if nothing ever was."""
    candle, before = tape.window(start, end)
    if candle is None and before:
        candle = Candle(start, end, before, before, before, before)
    return candle, before
