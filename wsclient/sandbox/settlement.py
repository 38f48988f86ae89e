"""What one match costs: the rounding of its total and its fees, within what the buyer can pay.

Source: protocol page, section "Commands": totals and fees are rounded up with a probability that equals their
fractional part. Rounding is the only use of chance in the engine, and it comes from the seed.

Why nobody ever pays more than is there. Write S for the market's divisor, M for the fee scale, p for the price
of the match, P >= p for the limit of the bid, Q for its quantity before the match and q for the quantity matched.
The bid holds R(Q) = ceil(Q*P/S).

- Total. The match may take T <= R(Q) - R(Q-q), so that what is left always covers the quantity that is left. The
  total rounded down always may: ceil(a+b) >= ceil(a) + floor(b), hence
  R(Q) - R(Q-q) >= floor(q*P/S) >= floor(q*p/S). So if the total rounded up does not fit it is rounded down, the
  totals of all partial fills together never exceed R(Q), and without fees a match takes exactly q off the order.
- Fee. The buyer pays it out of the same money m (the reservation, or a market order's free balance) at rate r, so
  no more is matched than q = floor(m*S*M / (p*(M+r))). Then q*p/S * (M+r)/M <= m, and for the total rounded down
  T + floor(T*r/M) <= floor(q*p/S * (M+r)/M) <= m: the fee rounded down fits as well. Where a fee has eaten into
  the reservation, the order shrinks to what the rest of it still covers.
- The seller's fee comes out of the total, and r <= M.
"""

from dataclasses import dataclass
from random import Random

from wsclient.sandbox.market import FEE_SCALE, Market


def affordable(market: Market, price: int, money: int, rate: int) -> int:
    """The largest quantity of the base asset that `money` pays at `price`, with a fee of `rate` millionths."""
    return money * market.divisor * FEE_SCALE // (price * (FEE_SCALE + rate))


@dataclass(frozen=True, slots=True)
class Settlement:
    """Amounts of the counter asset: what changes hands, and what each side pays to the house."""

    total: int
    bid_fee: int
    ask_fee: int


class Rounding:
    """Stochastic rounding from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def divide(self, numerator: int, denominator: int) -> int:
        """The quotient, rounded up with a probability equal to its fractional part."""
        quotient, rest = divmod(numerator, denominator)
        return quotient + 1 if rest and self._random.randrange(denominator) < rest else quotient

    def settle(
        self,
        market: Market,
        quantity: int,
        price: int,
        *,
        money: int,
        most: int,
        bid_rate: int,
        ask_rate: int,
    ) -> Settlement:
        """Settle `quantity` at `price`: the total takes at most `most`, and with the bid's fee at most `money`."""
        total = self.divide(quantity * price, market.divisor)
        if total > most or total + total * bid_rate // FEE_SCALE > money:
            total = quantity * price // market.divisor
        bid_fee = min(self.divide(total * bid_rate, FEE_SCALE), money - total)
        return Settlement(total, bid_fee, self.divide(total * ask_rate, FEE_SCALE))
