"""The book's sides against the plainest possible model: a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from wsclient.sandbox.market import Market
from wsclient.sandbox.orderbook import BookSide, LiveOrder

MARKET = Market(1, 2, 1)


@given(st.booleans(), st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.integers(0, 20))))
def test_a_side_is_always_sorted_by_price_and_arrival(bid: bool, steps: list[tuple[bool, int, int]]) -> None:
    side, model = BookSide(bid=bid), list[LiveOrder]()
    for number, (adds, price, which) in enumerate(steps):
        if adds or not model:
            order = LiveOrder(number, 1, None, MARKET, bid, 1, price, number)
            side.add(order)
            model.append(order)
            model.sort(key=lambda o: (-o.price if bid else o.price, o.time))
        else:
            side.remove(model.pop(which % len(model)))
        assert list(side) == model
        assert side.best() is (model[0] if model else None)
        assert side.best_price() == (model[0].price if model else None)
        for reach in range(8):
            expected = any(o.price >= reach if bid else o.price <= reach for o in model)
            assert side.reached_by(reach) == expected
