from tests.unit.sandbox.exchange import ANN, BASE, BOB, CAT, COUNTER, Exchange
from wsclient.sandbox.answers import Ticker
from wsclient.sandbox.events import TickerChanged, TradeVolumeChanged
from wsclient.sandbox.statistics import DAY, HOUR, MINUTE, SlidingWindow


def trade(exchange: Exchange, quantity: int, price: int) -> None:
    exchange.place(ANN, -quantity, price)
    exchange.place(BOB, quantity, price)


def changes(exchange: Exchange) -> list[dict[str, int | None]]:
    return [dict(event.changes) for event in exchange.events(TickerChanged)]


def test_a_new_market_has_an_empty_ticker() -> None:
    assert Exchange().engine.ticker(BASE, COUNTER) == Ticker(None, None, None, None, None, 0)


def test_the_ticker_tells_the_last_price_the_best_prices_and_a_days_range_and_volume() -> None:
    exchange = Exchange()
    trade(exchange, 10, 20000)
    trade(exchange, 5, 30000)
    trade(exchange, 1, 25000)
    exchange.place(ANN, -5, 26000)
    exchange.place(ANN, 5, 24000)
    assert exchange.engine.ticker(BASE, COUNTER) == Ticker(25000, 24000, 26000, 20000, 30000, 16)


def test_a_notice_names_only_what_changed() -> None:
    exchange = Exchange()
    exchange.place(ANN, -10, 20000)
    assert changes(exchange) == [{"ask": 20000}]
    exchange.place(ANN, -10, 20000)
    assert changes(exchange) == []
    exchange.place(BOB, 4, 20000)
    assert changes(exchange) == [{"last": 20000, "low": 20000, "high": 20000, "volume": 4}]
    exchange.place(BOB, 16, 20000)
    assert changes(exchange) == [{"ask": None, "volume": 20}]


def test_a_command_changes_the_ticker_once_however_many_orders_it_meets() -> None:
    exchange = Exchange()
    for price in (20000, 20100, 20200):
        exchange.place(ANN, -1, price)
    exchange.skip()
    exchange.place(BOB, 3, 20200)
    assert changes(exchange) == [{"last": 20200, "ask": None, "low": 20000, "high": 20200, "volume": 3}]


def test_after_a_day_a_trade_counts_no_longer_but_its_price_stays_the_last() -> None:
    exchange = Exchange()
    trade(exchange, 10, 20000)
    exchange.clock += DAY // 2
    trade(exchange, 5, 30000)
    exchange.skip()
    exchange.clock += DAY // 2 - MINUTE
    exchange.engine.advance()
    assert exchange.all_events() == []
    exchange.clock += 2 * MINUTE
    exchange.engine.advance()
    assert changes(exchange) == [{"low": 30000, "volume": 5}]
    exchange.clock += DAY
    exchange.engine.advance()
    assert changes(exchange) == [{"low": None, "high": None, "volume": 0}]
    assert exchange.engine.ticker(BASE, COUNTER).last == 30000


def test_traded_volume_is_counted_for_both_users_and_both_assets() -> None:
    exchange = Exchange()
    trade(exchange, 10, 20000)
    told = exchange.events(TradeVolumeChanged)
    assert set(told) == {
        TradeVolumeChanged(user, asset, volume)
        for user in (ANN, BOB)
        for asset, volume in ((BASE, 10), (COUNTER, 20))
    }
    assert exchange.engine.volume(ANN, COUNTER) == 20
    assert exchange.engine.volume(CAT, COUNTER) == 0
    assert exchange.engine.volume(ANN, 12345) == 0


def test_a_trade_with_oneself_counts_once() -> None:
    exchange = Exchange()
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, 10, 20000)
    assert exchange.engine.volume(ANN, BASE) == 10


def test_volume_is_forgotten_after_thirty_days() -> None:
    exchange = Exchange()
    trade(exchange, 10, 20000)
    exchange.clock += 29 * DAY
    trade(exchange, 5, 20000)
    exchange.engine.advance()
    exchange.skip()
    exchange.clock += DAY + HOUR
    exchange.engine.advance()
    assert exchange.engine.volume(ANN, BASE) == 5
    assert TradeVolumeChanged(ANN, BASE, 5) in exchange.events(TradeVolumeChanged)


def test_a_clock_that_goes_back_forgets_nothing_twice() -> None:
    exchange = Exchange()
    trade(exchange, 10, 20000)
    exchange.clock -= 40 * DAY
    trade(exchange, 5, 20000)
    exchange.engine.advance()
    assert exchange.engine.volume(ANN, BASE) == 15


def test_a_window_keeps_no_more_than_its_span_needs_however_many_trades_there_are() -> None:
    window = SlidingWindow(DAY, MINUTE)
    for second in range(3 * 24 * 3600 // 5):
        window.add(second * 5_000_000, 1, second)
    assert len(window._buckets) <= 24 * 60 + 2
    assert 24 * 720 <= window.amount <= 24 * 720 + 13


def test_a_trade_counts_for_the_whole_span_and_for_one_grain_more_at_most() -> None:
    window = SlidingWindow(100, 10)
    window.add(0, 1)
    window.add(9, 1)
    window.add(10, 1)
    assert not window.expire(108)
    assert window.expire(109)
    assert window.amount == 1


def test_a_windows_extremes_are_those_of_what_is_left() -> None:
    window = SlidingWindow(100, 1)
    for time, price in ((0, 5), (50, 9), (90, 7)):
        window.add(time, 1, price)
    assert (window.low, window.high, window.amount) == (5, 9, 3)
    assert not window.expire(99)
    assert window.expire(100)
    assert (window.low, window.high, window.amount) == (7, 9, 2)
    assert window.expire(1000)
    assert (window.low, window.high, window.amount) == (None, None, 0)
