from tests.unit.sandbox.exchange import ANN, BOB, Exchange


def test_increasing_tonces_must_exceed_every_one_that_succeeded() -> None:
    exchange = Exchange()
    exchange.place(ANN, 1, 100, tonce=5)
    for tonce in (5, 4, -1):
        exchange.refuses(3, ANN, 1, 100, tonce=tonce)
    exchange.place(ANN, 1, 100, tonce=6)
    exchange.place(ANN, 1, 100)
    exchange.place(BOB, 1, 100, tonce=1)


def test_a_tonce_is_used_up_even_when_its_order_is_gone() -> None:
    exchange = Exchange()
    exchange.place(ANN, 1, 100, tonce=5)
    exchange.engine.cancel(ANN, tonce=5)
    exchange.refuses(3, ANN, 1, 100, tonce=5)


def test_a_market_order_uses_its_tonce_too() -> None:
    exchange = Exchange()
    exchange.place(ANN, 1, tonce=5)
    exchange.refuses(3, ANN, 1, tonce=5)


def test_a_refused_order_uses_no_tonce() -> None:
    exchange = Exchange()
    exchange.refuses(4, ANN, -(10**12), 100, tonce=50)
    exchange.place(ANN, 1, 100, tonce=2)


def test_a_repeated_order_is_answered_with_its_tonce_whatever_else_is_wrong_by_now() -> None:
    exchange = Exchange(max_open_orders=1)
    exchange.engine.add_user(1, {2: 1})
    exchange.place(1, 1, 10000, tonce=5, post_only=True)
    exchange.place(ANN, -1, 20000)
    exchange.refuses(3, 1, 1, 20000, tonce=5, post_only=True)


def test_cancelling_all_orders_starts_the_tonces_afresh() -> None:
    exchange = Exchange()
    exchange.place(ANN, 1, 100, tonce=5)
    exchange.engine.cancel_all(ANN)
    exchange.place(ANN, 1, 100, tonce=1)


def test_unique_tonces_may_come_in_any_order_and_return_when_their_order_is_gone() -> None:
    exchange = Exchange(tonces="unique")
    exchange.place(ANN, 1, 100, tonce=5)
    exchange.place(ANN, 1, 100, tonce=-3)
    exchange.refuses(3, ANN, 1, 100, tonce=5)
    exchange.refuses(3, ANN, 1, tonce=5)
    exchange.place(BOB, 1, 100, tonce=5)
    exchange.engine.cancel(ANN, tonce=5)
    exchange.place(ANN, 1, 100, tonce=5)
    exchange.place(ANN, -1, 100)
    exchange.place(ANN, -1, 100)
    exchange.place(ANN, 1, 100, tonce=-3)
