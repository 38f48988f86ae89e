"""Markets of different decimals that share an asset, and what CoinFLEX sees of them."""

import json
from fractions import Fraction
from random import Random

import pytest

from tests.unit.sandbox.exchange import refused
from wsclient.coinflex.assets import Assets
from wsclient.sandbox.assets import CODES, ELSEWHERE, USD
from wsclient.sandbox.coinflex import CoinflexVenue
from wsclient.sandbox.coinflex_view import CoinflexView
from wsclient.sandbox.engine import Balance, Engine, EngineError, Fees, Market
from wsclient.sandbox.events import BalanceChanged, OrderOpened, TradeVolumeChanged
from wsclient.sandbox.listings import binance_markets, coinbase_markets, coinflex_markets
from wsclient.sandbox.traders import HABITS_ELSEWHERE, Traders
from wsclient.sandbox.users import ready_made

XBT, ETH, USDT = Assets["XBT"], Assets["ETH"], Assets["USDT"]
COIN = 10**8
"""One XBT, ETH or USD as it is held."""

MARKETS = [
    Market(XBT, USDT, tick=10000),
    Market(XBT, USD, tick=1, scale=10**2, base_decimals=8, counter_decimals=8),
    Market(ETH, XBT, tick=1, scale=10**5, base_decimals=8, counter_decimals=8),
]
EVERY = (*coinflex_markets(), *coinbase_markets(), *binance_markets())


@pytest.fixture
def engine() -> Engine:
    engine = Engine(MARKETS)
    for user in (1, 2):
        engine.add_user(user, {XBT: 10 * COIN, ETH: 10 * COIN, USD: 10_000 * COIN, USDT: 10_000 * 10**4})
    return engine


def held(engine: Engine, user: int) -> dict[int, tuple[int, int]]:
    return {balance.asset: (balance.available, balance.reserved) for balance in engine.balances(user)}


def test_an_asset_is_held_in_the_finest_unit_of_its_markets(engine: Engine) -> None:
    assert engine.decimals == {XBT: 8, ETH: 8, USD: 8, USDT: 4}
    assert {pair: market.base_unit for pair, market in engine.markets.items()} == {
        (XBT, USDT): 10**4,
        (XBT, USD): 1,
        (ETH, XBT): 1,
    }


def test_four_decimals_and_eight_decimals_are_the_same_coins(engine: Engine) -> None:
    engine.place(1, base=XBT, counter=USDT, quantity=-5, price=90_000_000)  # 0.0005 XBT
    assert held(engine, 1)[XBT] == (10 * COIN - 50_000, 50_000)
    engine.place(1, base=XBT, counter=USD, quantity=-(10 * COIN - 50_001), price=900_000)
    assert held(engine, 1)[XBT] == (1, 10 * COIN - 1)
    with refused(4):
        engine.place(1, base=XBT, counter=USD, quantity=-2, price=900_000)


def test_a_market_order_of_four_decimals_leaves_what_is_finer(engine: Engine) -> None:
    engine.place(2, base=XBT, counter=USDT, quantity=10_000, price=10_000)
    engine.place(1, base=XBT, counter=USD, quantity=-(10 * COIN - 29_999), price=900_000)
    placed = engine.place(1, base=XBT, counter=USDT, quantity=-50_000)
    assert placed.remaining == 50_000 - 2
    assert held(engine, 1)[XBT][0] == 9_999


def test_totals_are_counted_with_the_decimals_of_their_own_asset(engine: Engine) -> None:
    engine.place(1, base=XBT, counter=USD, quantity=COIN, price=900_001)  # 1 XBT at 9000.01
    assert held(engine, 1)[USD][1] == 900_001 * 10**6
    engine.place(2, base=ETH, counter=XBT, quantity=-3, price=12_345)  # 0.00000003 ETH at 0.12345
    engine.place(1, base=ETH, counter=XBT, quantity=3, price=12_345)
    change = 10 * COIN - sum(held(engine, 1)[XBT])
    assert change in (0, 1)  # 0.37 units, rounded by chance
    assert sum(held(engine, 2)[XBT]) == 10 * COIN + change
    estimate = engine.estimate(base=XBT, counter=USD, quantity=-COIN // 2)
    assert (estimate.quantity, estimate.total) == (COIN // 2, 900_001 * 10**6 // 2)


def test_a_counter_asset_can_not_be_held_finer_than_totals_are_rounded() -> None:
    with pytest.raises(ValueError, match="held with 8 decimals"):
        Engine([Market(1, 2, 1), Market(2, 3, 1, base_decimals=8)])
    with pytest.raises(ValueError, match="finer than quantity times price"):
        Market(1, 2, 1, scale=1, base_decimals=2, counter_decimals=8)


@pytest.mark.parametrize("fees", [None, Fees(700, 1300, 99)])
def test_nothing_is_made_or_lost_between_markets_of_different_decimals(fees: Fees | None) -> None:
    random = Random(4)
    engine = Engine(MARKETS, fees=fees)
    users = [1, 2, 3]
    start = {XBT: 2 * COIN + 1, ETH: 40 * COIN, USD: 20_000 * COIN + 3, USDT: 20_000 * 10**4}
    for user in users:
        engine.add_user(user, start)
    prices = {(XBT, USDT): 90_000_000, (XBT, USD): 900_000, (ETH, XBT): 2_667}
    trades = 0
    for _ in range(3000):
        market = random.choice(list(engine.markets.values()))
        pair = market.base, market.counter
        size = round(10**market.base_decimals * random.expovariate(2)) or 1
        price = round(prices[pair] * random.uniform(0.97, 1.03)) if random.random() < 0.8 else None
        try:
            engine.place(
                random.choice(users),
                base=pair[0],
                counter=pair[1],
                quantity=random.choice([size, -size]),
                price=price,
            )
        except EngineError:
            engine.cancel_all(random.choice(users))
        trades += sum(isinstance(event, TradeVolumeChanged) for event in engine.take_events())
        owned = dict.fromkeys(start, 0)
        for user in [*users, *([99] if fees else [])]:
            reserved: dict[int, int] = {}
            for order in engine.orders(user):
                of = engine.markets[order.base, order.counter]
                exact = Fraction(abs(order.quantity), 10**of.base_decimals)
                asset = order.base
                if order.quantity > 0:
                    asset, exact = order.counter, exact * Fraction(order.price, of.scale)
                reserved[asset] = reserved.get(asset, 0) + -(-exact * 10 ** engine.decimals[asset] // 1)
            for balance in engine.balances(user):
                assert balance.available >= 0
                assert balance.reserved == reserved.get(balance.asset, 0)
                owned[balance.asset] += balance.total
        assert owned == {asset: amount * len(users) for asset, amount in start.items()}
    assert trades > 300


# ---------------------------------------------------------------- CoinFLEX's view


def test_what_coinflex_shows_of_a_finer_balance_adds_up(engine: Engine) -> None:
    view = CoinflexView(engine, [(XBT, USDT)])
    engine.place(1, base=XBT, counter=USD, quantity=-15_000, price=900_000)
    engine.place(2, base=XBT, counter=USDT, quantity=-7, price=90_000_000)
    assert view.balances(engine.balances(1)) == [Balance(XBT, 99_998, 2), Balance(USDT, 10**8, 0)]
    assert view.balances(engine.balances(2)) == [Balance(XBT, 99_993, 7), Balance(USDT, 10**8, 0)]


def test_coinflex_is_told_of_its_own_markets_and_of_changes_that_it_can_see(engine: Engine) -> None:
    view = CoinflexView(engine, [(XBT, USDT)])
    engine.place(1, base=XBT, counter=USD, quantity=-1, price=900_000)
    engine.place(1, base=XBT, counter=USD, quantity=-1, price=900_000)
    engine.place(1, base=XBT, counter=USD, quantity=1, price=800_000)
    engine.place(1, base=XBT, counter=USDT, quantity=-1, price=90_000_000)
    told = [
        event for event in view.events(engine.take_events()) if isinstance(event, OrderOpened | BalanceChanged)
    ]
    assert [(type(event), getattr(event, "balance", None)) for event in told] == [
        (BalanceChanged, 99_999),
        (BalanceChanged, 99_998),
        (OrderOpened, None),
    ]


def test_other_venues_markets_and_orders_do_not_exist_on_coinflex() -> None:
    users = ready_made(1, seed=0)
    engine = Engine(EVERY)
    user = users[0].id
    engine.add_user(user, users[0].holdings(engine.decimals))
    venue = CoinflexVenue(engine, users, clock=lambda: 0, markets=coinflex_markets())
    venue.open(1)
    venue._sessions[1].user = user

    def ask(method: str, **fields: object) -> dict[str, object]:
        return venue.execute(1, venue.read(json.dumps({"method": method, **fields})))

    hidden = engine.place(user, base=XBT, counter=USD, quantity=COIN, price=10_000, tonce=5).id
    own = engine.place(user, base=XBT, counter=USDT, quantity=10_000, price=10_000).id
    for order in (
        ask("PlaceOrder", base=ETH, counter=XBT, quantity=1, price=1),
        ask("EstimateMarketOrder", base=XBT, counter=USD, quantity=1),
        ask("WatchOrders", base=XBT, counter=USD, watch=True),
        ask("WatchTicker", base=XBT, counter=USD, watch=True),
        ask("CancelOrder", id=hidden),
        ask("ModifyOrder", tonce=5, quantity_delta=1),
    ):
        assert order["error_code"] == 1
    balances = ask("GetBalances")["balances"]
    assert isinstance(balances, list)
    assert {row["asset"] for row in balances} == set(users[0].balances)
    assert ask("GetTradeVolume", asset=USD)["volume"] == 0
    assert [row["id"] for row in ask("GetOrders")["orders"]] == [own]  # type: ignore[attr-defined]
    assert [row["id"] for row in ask("CancelAllOrders")["orders"]] == [own]  # type: ignore[attr-defined]
    assert [order.id for order in engine.orders(user)] == [hidden]


def test_a_ready_made_user_owns_a_million_of_everything() -> None:
    engine = Engine(EVERY)
    holdings = ready_made(1, seed=0)[0].holdings(engine.decimals)
    assert set(ELSEWHERE.values()) < set(holdings)
    assert {amount // 10 ** engine.decimals[asset] for asset, amount in holdings.items()} == {1_000_000}


# ---------------------------------------------------------------- traders


def test_the_markets_of_all_venues_are_kept_moving() -> None:
    engine = Engine(EVERY)
    traders = Traders(EVERY)
    traders.open(engine)
    for _ in range(4000):
        traders.step(engine)
    for habit in HABITS_ELSEWHERE:
        market = engine.markets[CODES[habit.base], CODES[habit.counter]]
        ticker = engine.ticker(market.base, market.counter)
        assert ticker.last is not None
        assert ticker.bid is not None
        assert ticker.ask is not None
        assert 0.8 < ticker.last / market.scale / habit.price < 1.25
        assert ticker.volume > 10**market.base_decimals
