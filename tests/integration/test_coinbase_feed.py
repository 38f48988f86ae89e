"""The feed against the sandbox: subscribing, signing, recovery, failover, compression."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.coinbase_market import PRODUCT, Heard, feed, token_of
from tests.peers import PATIENCE
from wsclient import CommandError, InvalidRequest, NotAuthorized, Reconnect, State, TransportError
from wsclient.coinbase import Feed, Token
from wsclient.coinflex.assets import Assets
from wsclient.errors import AuthenticationError, ClientClosed, NotSent, StaleFeed
from wsclient.sandbox import Sandbox
from wsclient.sandbox.assets import USD
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.faults import Garbage, Mute, Refuse
from wsclient.sandbox.noticefaults import Hush, Skip

ETH = Assets["ETH"]
QUICK = Reconnect(base=0.01)


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


def shown(answer: dict[str, object]) -> dict[str, set[str]]:
    channels = answer["channels"]
    assert isinstance(channels, list)
    return {channel["name"]: set(channel["product_ids"]) for channel in channels}


# ---------------------------------------------------------------- subscribing


def test_nothing_happens_before_the_first_subscription(exchange: Sandbox) -> None:
    with feed(exchange) as lazy:
        assert lazy.state is State.IDLE
        assert exchange.ledger.connections == []
        lazy.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
        assert repr(lazy).endswith("open>")
        assert len(exchange.ledger.connections) == 1


def test_the_reply_is_the_message_that_shows_what_was_asked(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        first = ours.subscribe(["ticker"], [PRODUCT])
        second = ours.subscribe(["heartbeat", {"name": "matches", "product_ids": ["ETH-USD"]}], ["ETH-EUR"])
        assert shown(first.result(PATIENCE)) == {"ticker": {PRODUCT}}
        assert shown(second.result(PATIENCE)) == {
            "ticker": {PRODUCT},
            "heartbeat": {"ETH-EUR"},
            "matches": {"ETH-USD", "ETH-EUR"},
        }
        third = ours.unsubscribe(["matches"], ["ETH-EUR"]).result(PATIENCE)
        assert shown(third)["matches"] == {"ETH-USD"}
        fourth = ours.unsubscribe(["matches", "heartbeat"]).result(PATIENCE)
        assert shown(fourth) == {"ticker": {PRODUCT}}


@pytest.mark.parametrize("channel", ["level2_batch", "level2_50", "ticker_batch", "ticker_1000"])
def test_a_channel_that_comes_back_under_an_alias_is_understood(exchange: Sandbox, channel: str) -> None:
    with feed(exchange) as ours:
        assert shown(ours.subscribe([channel], [PRODUCT]).result(PATIENCE))
        ours.unsubscribe([channel]).result(PATIENCE)
        again = ours.subscribe([channel, "status"], [PRODUCT]).result(PATIENCE)
        assert len(shown(again)) == 2


def test_an_error_ends_the_oldest_request_and_no_other(exchange: Sandbox) -> None:
    with feed(exchange, Heard()) as ours:
        good = ours.subscribe(["ticker"], [PRODUCT])
        bad = ours.subscribe(["ticker"], ["NO-SUCH"])
        also_good = ours.subscribe(["heartbeat"], [PRODUCT])
        with pytest.raises(CommandError, match="NO-SUCH is not a valid product") as caught:
            bad.result(PATIENCE)
        assert caught.value.request is not None
        assert not {"signature", "key", "passphrase"} & set(caught.value.request)
        assert good.result(PATIENCE)
        assert set(shown(also_good.result(PATIENCE))) == {"ticker", "heartbeat"}


def test_what_wants_authentication_says_so(exchange: Sandbox) -> None:
    with feed(exchange, user=None) as ours:
        with pytest.raises(NotAuthorized, match="require authentication"):
            ours.subscribe(["level2"], [PRODUCT]).result(PATIENCE)
        with pytest.raises(AuthenticationError):
            ours.subscribe(["user"], [PRODUCT])
        assert [command.fields["channels"] for command in exchange.ledger.commands()] == [["level2"]]
        ours.set_auth_data(token_of(exchange))
        assert ours.subscribe(["level2", "user"], [PRODUCT]).result(PATIENCE)


def test_a_wrong_passphrase_is_a_failed_authentication(exchange: Sandbox) -> None:
    key = exchange.users[0].coinbase
    with feed(exchange, user=None, auth=Token(key.key, key.secret, "wrong")) as ours:
        with pytest.raises(AuthenticationError, match="Invalid Passphrase") as caught:
            ours.subscribe(["level2"], [PRODUCT]).result(PATIENCE)
        assert isinstance(caught.value, NotAuthorized)
        assert key.secret not in repr(caught.value.request)


@pytest.mark.parametrize(
    ("channels", "products"),
    [([], ["BTC-USD"]), ("ticker", ["BTC-USD"]), (["ticker"], None), (["ticker"], "BTC-USD"), ([1], ["BTC-USD"])],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    exchange: Sandbox, channels: list[str], products: list[str] | None
) -> None:
    with feed(exchange) as ours:
        with pytest.raises(InvalidRequest):
            ours.subscribe(channels, products)
        assert ours.state is State.IDLE


def test_messages_of_unknown_types_reach_the_handler_untouched(exchange: Sandbox) -> None:
    text = '{"type":"brand_new","product_id":["odd"],"sequence":"x"}'
    exchange.faults.add(Garbage(payload=text, instead=False, times=1))
    texts: list[str] = []
    with feed(exchange, msg_handler=lambda _, text: texts.append(text), on_gap=lambda *_: None) as ours:
        ours.subscribe(["heartbeat"], [PRODUCT]).result(PATIENCE)
        assert text in texts


def test_a_stopped_feed_says_so(exchange: Sandbox) -> None:
    ours = feed(exchange)
    book = ours.order_book(PRODUCT)
    ours.stop()
    ours.stop()
    with pytest.raises(ClientClosed):
        ours.subscribe(["ticker"], [PRODUCT])
    with pytest.raises(ClientClosed):
        book.wait(PATIENCE)
    assert ours.state is State.STOPPED


def test_no_secret_is_in_what_can_be_printed(exchange: Sandbox) -> None:
    key = exchange.users[0].coinbase
    with feed(exchange, auth=None, key=key.key, secret=key.secret, passphrase=key.passphrase) as ours:
        reply = ours.subscribe(["user"], [PRODUCT])
        reply.result(PATIENCE)
        for text in (repr(ours), repr(reply), repr(reply.request), repr(token_of(exchange))):
            assert key.secret not in text
            assert key.passphrase not in text
            assert "signature" not in text


def test_nothing_can_be_connected_is_told_as_it_is_elsewhere() -> None:
    with pytest.raises(NotSent):
        Feed("ws://127.0.0.1:1").subscribe(["ticker"], [PRODUCT])
    heard = Heard()
    with Feed("ws://127.0.0.1:1", err_handler=heard.on_error) as ours:
        reply = ours.subscribe(["ticker"], [PRODUCT])
        assert isinstance(reply.exception(PATIENCE), NotSent)
        assert heard.errors


# ---------------------------------------------------------------- recovery


def test_a_lost_connection_comes_back_with_all_subscriptions_and_a_fresh_signature(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, reconnect=QUICK) as ours:
        ours.subscribe(["ticker", "heartbeat"], [PRODUCT]).result(PATIENCE)
        ours.subscribe(["user", "full"], ["ETH-USD"]).result(PATIENCE)
        ours.subscribe(["status"]).result(PATIENCE)
        for _ in range(3):
            opened = heard.opened
            exchange.cut_all()
            heard.until(lambda opened=opened: heard.opened > opened)  # type: ignore[misc]
        whole = {
            "ticker": {PRODUCT},
            "heartbeat": {PRODUCT},
            "user": {"ETH-USD"},
            "full": {"ETH-USD"},
            "status": set(),
        }
        assert shown(heard.of("subscriptions")[-1]) == whole
        assert len(exchange.ledger.connections) == 4
        owner = exchange.users[0].id
        exchange.run(lambda engine: engine.place(owner, base=ETH, counter=USD, quantity=1, price=10_000))
        assert "user_id" in heard.next("open")[0]  # so the new connection is signed
        assert all(isinstance(error, TransportError) for error in heard.errors)


def test_a_signature_is_as_old_as_the_message_that_goes_out(exchange: Sandbox) -> None:
    now = [0.0]
    stamps: list[str] = []

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    class Stamped(Token):
        def __call__(self) -> dict[str, str]:
            fields = super().__call__()
            stamps.append(fields["timestamp"])
            return fields

    key = exchange.users[0].coinbase
    stamped = Stamped(key.key, key.secret, key.passphrase, clock=clock)
    heard = Heard()
    with feed(exchange, heard, auth=stamped, reconnect=QUICK) as ours:
        refused = ours.subscribe(["ticker"], [PRODUCT])  # in 1970
        with pytest.raises(CommandError, match="request timestamp expired"):
            refused.result(PATIENCE)
        with pytest.raises(CommandError):
            ours.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
    assert stamps == ["1.000000", "2.000000"]


def test_without_reconnect_the_next_subscription_connects(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, reconnect=None) as ours:
        ours.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
        exchange.cut_all()
        heard.until(lambda: heard.closed)
        assert shown(ours.subscribe(["heartbeat"], [PRODUCT]).result(PATIENCE)) == {"heartbeat": {PRODUCT}}


def test_a_subscription_that_cannot_be_had_again_is_reported_and_the_others_come_back(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, reconnect=QUICK) as ours:
        ours.subscribe(["ticker"], [PRODUCT, "ETH-USD"]).result(PATIENCE)
        ours.subscribe(["level2"], [PRODUCT]).result(PATIENCE)
        ours._connection.credentials = None
        exchange.cut_all()
        heard.until(lambda: any(isinstance(error, NotAuthorized) for error in heard.errors))
        heard.until(lambda: heard.opened == 2)
        assert shown(heard.of("subscriptions")[-1]) == {"ticker": {PRODUCT, "ETH-USD"}}


def test_the_market_feed_takes_over_from_the_direct_one_and_hands_back(exchange: Sandbox) -> None:
    heard = Heard()
    direct, market = exchange.coinbase_direct_url, exchange.coinbase_url
    with feed(exchange, heard, url=direct, failover=market, reconnect=QUICK) as ours:
        ours.subscribe(["heartbeat"], [PRODUCT]).result(PATIENCE)
        refusal = Refuse(path="/coinbase-direct")
        exchange.faults.add(refusal)
        exchange.cut_all()
        heard.until(lambda: heard.opened == 2)
        heard.until(lambda: len(heard.of("heartbeat")) > 2)
        exchange.faults.remove(refusal)
        exchange.cut_all()
        heard.until(lambda: heard.opened == 3)
    assert [connection.path for connection in exchange.ledger.connections] == [
        "/coinbase-direct", "/coinbase", "/coinbase-direct",
    ]  # fmt: skip


def test_a_first_connection_that_cannot_be_had_is_made_elsewhere_too(exchange: Sandbox) -> None:
    with feed(exchange, url="ws://127.0.0.1:1", failover=exchange.coinbase_url) as ours:
        assert ours.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)


def test_a_feed_that_falls_silent_is_asked_again_and_then_connected_anew(exchange: Sandbox) -> None:
    heard = Heard()
    exchange.faults.add(Hush(kind="heartbeat", nth=3, times=1))
    with feed(exchange, heard, reconnect=QUICK, socket_timeout=2) as ours:
        book = ours.order_book(PRODUCT, stale_after=0.3).wait(PATIENCE)
        heard.until(lambda: heard.opened == 2)
        assert any(isinstance(error, StaleFeed) for error in heard.errors)
        assert book.wait(PATIENCE)


def test_an_unanswered_subscription_ends_with_its_connection(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, reconnect=QUICK) as ours:
        ours.subscribe(["heartbeat"], [PRODUCT]).result(PATIENCE)
        exchange.faults.add(Mute(method="subscribe", times=1))
        reply = ours.subscribe(["ticker"], [PRODUCT])
        heard.next("heartbeat")
        exchange.cut_all()
        assert isinstance(reply.exception(PATIENCE), TransportError)
        heard.until(lambda: heard.opened == 2)


def test_messages_are_inflated_where_that_was_agreed_on(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, compression="deflate") as ours:
        ours.subscribe(["heartbeat", "status"], [PRODUCT]).result(PATIENCE)
        status = heard.next("status")[0]
        heard.next("heartbeat", count=3)
        assert ours.stats().bytes_in < len(str(status))


# ---------------------------------------------------------------- threads and queues


def test_many_threads_subscribe_over_one_connection_and_each_is_answered(exchange: Sandbox) -> None:
    products = ["BTC-USD", "ETH-USD", "ETH-EUR", "ETH-BTC"]
    with feed(exchange) as ours, ThreadPoolExecutor(8) as pool:
        asked = [([channel], [product]) for channel in ("ticker", "matches", "heartbeat") for product in products]
        replies = list(pool.map(lambda wish: ours.subscribe(*wish), asked * 3))
        for (channels, wanted), reply in zip(asked * 3, replies, strict=True):
            assert shown(reply.result(PATIENCE))[channels[0]] >= set(wanted)
    assert len(exchange.ledger.connections) == 1


def test_a_subscription_of_which_nothing_comes_is_renewed(exchange: Sandbox) -> None:
    heard = Heard()
    exchange.faults.add(Skip(kind="heartbeat", times=None))
    with feed(exchange, heard) as ours:
        ours.subscribe(["heartbeat"], [PRODUCT], stale_after=0.2).result(PATIENCE)
        heard.until(lambda: heard.errors)
        assert isinstance(heard.errors[0], StaleFeed)
        exchange.faults.clear()
        heard.next("heartbeat")
    assert len(exchange.ledger.connections) == 1


def test_handlers_may_have_a_thread_of_their_own_where_they_may_wait(exchange: Sandbox) -> None:
    waited = threading.Event()

    def on_text(ours: Feed, text: str) -> None:
        if not waited.is_set():
            ours.subscribe(["status"]).result(PATIENCE)
            waited.set()

    with feed(exchange, msg_handler=on_text, handler_queue=1000, queue_policy="conflate") as ours:
        ours.subscribe(["heartbeat"], [PRODUCT]).result(PATIENCE)
        assert waited.wait(PATIENCE)
