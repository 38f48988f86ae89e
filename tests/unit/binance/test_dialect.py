"""The request API's language: what goes out, and what comes back."""

from decimal import Decimal
from typing import Any

import pytest

from wsclient import (
    BadRequest,
    CommandError,
    Conflict,
    InsufficientFunds,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    TooManyOrders,
    WouldMatch,
    WrongCredentials,
)
from wsclient.binance.clock import ServerClock
from wsclient.binance.dialect import USER_DATA, RequestApi, checked
from wsclient.binance.errors import CantTell, NotPlaced, SlowDown, TooSoonToTell
from wsclient.binance.limits import ORDERS, WEIGHT
from wsclient.binance.settling import GRACE, cant_tell, pauses
from wsclient.binance.signing import Credentials
from wsclient.core.dialect import Answer

HMAC = Credentials("the-key", lambda text: "signed:" + text.decode())
ED25519 = Credentials("the-key", lambda text: "signed:" + text.decode(), logs_on=True)


def dialect(now: float = 1000.0, **options: Any) -> RequestApi:
    made = RequestApi(clock=ServerClock(lambda: now, lambda: now), **options)
    made.clock.told(5_000_000)
    return made


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params}


def sent(made: RequestApi, asked: dict[str, Any], known: Credentials) -> dict[str, Any]:
    examined = made.examine(asked)
    assert examined.late
    return made.signed(made.completed(made.tagged(asked, 7), known), known)


def refused(status: int, code: int, text: str = "", **data: int) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "msg": text}
    return {"id": 1, "status": status, "error": {**error, "data": data} if data else error}


# -- what goes out


def test_a_request_has_the_calls_tag_as_its_id() -> None:
    assert dialect().tagged(request("ping"), 3) == {"id": 3, "method": "ping", "params": {}}


def test_public_methods_are_sent_as_they_are_and_unknown_ones_are_signed() -> None:
    made = dialect()
    assert made.examine(request("depth", symbol="BNBBTC"))[:4] == (False, None, False, False)
    assert made.examine(request("sor.order.place"))[:4] == (True, None, False, True)


def test_a_signed_request_carries_time_key_and_signature_that_are_not_kept() -> None:
    made = dialect(recv_window=300)
    asked = made.tagged(request("order.status", symbol="BNBBTC", orderId=1), 7)
    kept = made.completed(asked, HMAC)
    assert kept["params"] == {"symbol": "BNBBTC", "orderId": 1, "timestamp": 5_000_000, "recvWindow": 300}
    params = made.signed(kept, HMAC)["params"]
    text = "apiKey=the-key&orderId=1&recvWindow=300&symbol=BNBBTC&timestamp=5000000"
    assert params == {**kept["params"], "apiKey": "the-key", "signature": "signed:" + text}


def test_after_a_logon_requests_carry_only_the_time() -> None:
    params = sent(dialect(), request("order.status", symbol="BNBBTC"), ED25519)["params"]
    assert params == {"symbol": "BNBBTC", "timestamp": 5_000_000}


def test_a_time_or_window_that_the_caller_chose_stays() -> None:
    params = sent(dialect(recv_window=300), request("account.status", timestamp=1, recvWindow=2), ED25519)[
        "params"
    ]
    assert params == {"timestamp": 1, "recvWindow": 2}


def test_a_listen_key_method_takes_the_key_alone() -> None:
    asked = sent(dialect(), request("userDataStream.start"), HMAC)
    assert asked["params"] == {"apiKey": "the-key"}


def test_subscribing_to_the_accounts_events_is_signed_where_no_session_is_logged_on() -> None:
    [(asked, keys)] = dialect().subscriptions([USER_DATA])
    assert keys == [USER_DATA]
    signed = sent(dialect(), asked, HMAC)
    assert signed["method"] == "userDataStream.subscribe.signature"
    assert set(signed["params"]) == {"timestamp", "apiKey", "signature"}
    assert sent(dialect(), asked, ED25519) == {"id": 7, "method": "userDataStream.subscribe", "params": {}}


@pytest.mark.parametrize("name", ["apiKey", "signature"])
def test_key_and_signature_are_nobodys_parameters(name: str) -> None:
    with pytest.raises(InvalidRequest):
        dialect().examine(request("order.place", **{name: "x"}))


@pytest.mark.parametrize("method", ["session.logon", "session.logout"])
def test_logging_on_and_off_is_the_clients_own(method: str) -> None:
    with pytest.raises(InvalidRequest):
        dialect().examine(request(method))


def test_every_order_has_a_client_id_of_its_own_that_the_exchange_accepts() -> None:
    made = dialect()
    names = [made.named({})["newClientOrderId"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(len(name) <= 36 and name.replace("-", "").isalnum() for name in names)
    assert made.named({"newClientOrderId": "mine"}) == {"newClientOrderId": "mine"}


def test_decimals_are_sent_as_text_and_floats_are_refused() -> None:
    assert checked({"price": Decimal("1E-7"), "quantity": 3, "stopPrice": None, "flag": True}) == {
        "price": "0.0000001",
        "quantity": 3,
        "flag": True,
    }
    for value in (0.1, Decimal("NaN"), float("inf"), b"x", "\ud800"):
        with pytest.raises(InvalidRequest):
            checked({"price": value})


# -- the logon


def test_a_login_asks_for_the_time_and_an_ed25519_key_then_logs_on() -> None:
    made = dialect()
    assert made.login(HMAC, None) == request("time")
    assert made.login_goes_on({"serverTime": 6_000_000}, HMAC) is None
    assert made.clock.now() == 6_000_000
    logon = made.login_goes_on({"serverTime": 7_000_000}, ED25519)
    assert logon is not None
    assert logon["method"] == "session.logon"
    assert logon["params"] == {
        "apiKey": "the-key",
        "timestamp": 7_000_000,
        "signature": "signed:apiKey=the-key&timestamp=7000000",
    }
    assert made.login_goes_on({"apiKey": "the-key", "serverTime": 8_000_000}, ED25519) is None


def test_a_refused_logon_is_told_without_key_and_signature() -> None:
    logon = request("session.logon", apiKey="the-key", signature="secret", timestamp=1)
    error = dialect().login_refused(NotAuthorized(-2015, "Invalid API-key", logon))
    assert "secret" not in repr(error) + repr(error.__cause__)


# -- what comes back


def test_answers_are_told_by_id_and_status_and_events_are_none() -> None:
    made = dialect()
    assert made.read({"id": 4, "status": 200, "result": {}, "rateLimits": [1]}) == Answer(4, True)
    assert made.rate_limits == [1]
    assert made.read(refused(400, -1121)) == Answer(1, False)
    assert made.read({"subscriptionId": 0, "event": {}}) is None
    assert made.read({"id": None, "status": 400, "error": {"code": -1135}}) is None
    assert made.watched({"subscriptionId": 0, "event": {}}) == (USER_DATA,)


@pytest.mark.parametrize("message", [{"id": "x", "status": 200}, {"id": 1}, {"id": 1, "status": "200"}])
def test_an_answer_without_what_makes_it_one_breaks_the_protocol(message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        dialect().read(message)


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        (400, -1021, "Timestamp", BadRequest),
        (400, -1022, "Signature", WrongCredentials),
        (400, -2014, "API-key format invalid.", WrongCredentials),
        (401, -2015, "Invalid API-key", WrongCredentials),
        (401, -1002, "Unauthorized", NotAuthorized),
        (401, -1, "", NotAuthorized),
        (400, -1121, "Invalid symbol.", NotFound),
        (400, -2013, "Order does not exist.", NotFound),
        (400, -2011, "Unknown order sent.", NotFound),
        (400, -2011, "Order was not canceled due to cancel restrictions.", CommandError),
        (400, -2010, "Account has insufficient balance for requested action.", InsufficientFunds),
        (400, -2010, "Order would immediately match and take.", WouldMatch),
        (400, -2010, "Duplicate order sent.", Conflict),
        (400, -2010, "Market is closed.", CommandError),
        (400, -1013, "Filter failure: LOT_SIZE", BadRequest),
        (400, -1013, "Filter failure: MAX_NUM_ORDERS", TooManyOrders),
        (400, -1102, "Mandatory parameter", BadRequest),
        (429, -1003, "Too much request weight used", SlowDown),
        (429, -1015, "Too many new orders", SlowDown),
        (400, -2035, "already active", Conflict),
        (403, -9999, "?", CommandError),
    ],
)
def test_a_refusal_is_of_the_class_of_its_code(status: int, code: int, text: str, kind: type) -> None:
    asked = request("order.place", symbol="BNBBTC", apiKey="the-key", signature="secret")
    error = dialect().refusal(refused(status, code, text), asked)
    assert type(error) is kind
    assert isinstance(error, CommandError)
    assert (error.code, error.message) == (code, text)
    assert error.request["params"] == {"symbol": "BNBBTC"}


@pytest.mark.parametrize(("status", "code"), [(500, -1000), (503, -1007), (400, -1007), (400, -1006)])
def test_a_status_from_500_and_the_codes_that_say_so_leave_the_outcome_open(status: int, code: int) -> None:
    assert type(dialect().refusal(refused(status, code), request("order.place"))) is CantTell


def test_a_refused_timestamp_casts_doubt_on_the_clock_until_the_time_is_told() -> None:
    made = dialect()
    made.refusal(refused(400, -1021), request("account.status"))
    assert made.clock.doubted
    made.told_time({"serverTime": 1})
    assert not made.clock.doubted


def test_who_asked_too_much_keeps_still_for_as_long_as_the_exchange_says() -> None:
    made = dialect()
    error = made.refusal(refused(418, -1003, serverTime=1_000, retryAfter=31_000), request("ping"))
    assert isinstance(error, SlowDown)
    assert (error.retry_after, error.banned) == (30, True)
    assert 29 < made.penalties.left(made.costs(request("ping"))) <= 30
    made = dialect()
    made.refusal(refused(429, -1015, serverTime=1_000, retryAfter=3_000), request("order.place"))
    assert made.penalties.left([ORDERS]) > 0
    assert not made.penalties.left([WEIGHT])


# -- the exchange's clock


def test_the_exchanges_time_goes_on_by_a_clock_that_nobody_sets() -> None:
    ticks, wall = [10.0], [1000.0]
    clock = ServerClock(lambda: ticks[0], lambda: wall[0])
    assert (clock.known, clock.now()) == (False, 1_000_000)
    clock.told(2_000_000)
    ticks[0], wall[0] = 13.0, 500.0
    assert (clock.known, clock.now()) == (True, 2_003_000)
    assert clock.offset == 2003 - 500


@pytest.mark.parametrize("time", [10**400, -(10**400), -1, 10**15])
def test_what_can_be_no_time_changes_no_clock(time: int) -> None:
    made = dialect()
    made.told_time({"serverTime": time})
    assert made.clock.now() == 5_000_000


def test_nobody_keeps_still_for_longer_than_any_ban_lasts() -> None:
    made = dialect()
    error = made.refusal(refused(429, -1003, serverTime=1, retryAfter=10**400), request("ping"))
    assert isinstance(error, SlowDown)
    assert error.retry_after == 7 * 86_400
    error = made.refusal(refused(429, -1003, serverTime=10**400, retryAfter=1), request("ping"))
    assert isinstance(error, SlowDown)
    assert error.retry_after == 0


# -- settling


def settled(answer: Any, now: list[int], **params: Any) -> Any:
    order = request("order.place", symbol="BNBBTC", newClientOrderId="mine", timestamp=10_000, **params)
    made = dialect()
    assert made.can_settle(order)
    steps = RequestApi(clock=Stopped(now)).settle([order])
    assert next(steps) == request("order.status", symbol="BNBBTC", origClientOrderId="mine")
    with pytest.raises(StopIteration) as end:
        steps.send(answer)
    [outcome] = end.value.value
    return outcome


class Stopped(ServerClock):
    def __init__(self, times: list[int]) -> None:
        super().__init__()
        self.times = times

    def now(self) -> int:
        return self.times.pop(0)


NONE = NotFound(-2013, "Order does not exist.", {})


def test_an_order_that_the_exchange_has_is_its_own_outcome() -> None:
    assert settled({"orderId": 5}, [10_001]) == {"orderId": 5}


def test_an_order_that_may_still_be_accepted_is_asked_for_later() -> None:
    outcome = settled(NONE, [12_000])
    assert type(outcome) is TooSoonToTell
    assert outcome.seconds == pytest.approx(3.1)


def test_an_order_that_is_unknown_after_its_window_was_not_placed() -> None:
    assert type(settled(NONE, [15_101])) is NotPlaced
    assert type(settled(NONE, [10_401], recvWindow=300)) is NotPlaced


@pytest.mark.parametrize(
    ("window", "milliseconds"),
    [("2000.5", 2001), ("2000", 2000), (300, 300), ("x", 60_000), ("NaN", 60_000), ("1E+999999", 60_000)],
)
def test_a_window_may_be_any_number_that_the_exchange_takes(window: Any, milliseconds: int) -> None:
    outcome = settled(NONE, [10_000], recvWindow=window)
    assert type(outcome) is TooSoonToTell
    assert outcome.seconds == pytest.approx((milliseconds + 100) / 1000)


@pytest.mark.parametrize(
    "answer", [CommandError(-1000, "?", {}), OutcomeUnknown("lost"), NotFound(-1121, "?", {})]
)
def test_any_other_answer_leaves_it_open(answer: Exception) -> None:
    assert type(settled(answer, [99_000])) is OutcomeUnknown


def test_what_the_exchange_cant_tell_of_is_known_from_whatever_came_of_it() -> None:
    asked_in_vain = OutcomeUnknown("asking failed")
    asked_in_vain.__cause__ = CantTell("503")
    assert cant_tell(asked_in_vain)
    assert not cant_tell(OutcomeUnknown("the connection ended"))


def test_the_pauses_grow_and_are_so_long_in_all() -> None:
    assert list(pauses(8)) == [0.25, 0.5, 1, 2, 4, 0.25]
    assert list(pauses(0)) == []
    assert sum(pauses(GRACE)) == GRACE


@pytest.mark.parametrize(
    "asked",
    [
        request("order.cancel", timestamp=1, newClientOrderId="x"),
        request("order.place", timestamp=1),
        request("order.place", newClientOrderId="never sent"),
    ],
)
def test_only_an_order_that_went_out_with_an_id_can_be_settled(asked: dict[str, Any]) -> None:
    assert not dialect().can_settle(asked)
