"""Books equal the exchange's through losses, repeats and cuts, and no gap passes unreported.

The environment sets the size: WSCLIENT_TEST_COINBASE_EVENTS (default 3000) and WSCLIENT_TEST_COINBASE_SEED. The
promise is 100,000 events, which takes some minutes.
"""

import os

import pytest

from tests.integration.coinbase_storm import PRODUCTS, Storm
from wsclient import TransportError
from wsclient.sandbox import Sandbox
from wsclient.sandbox.coinbase import CoinbaseSettings

EVENTS = int(os.environ.get("WSCLIENT_TEST_COINBASE_EVENTS", "3000"))
SEED = int(os.environ.get("WSCLIENT_TEST_COINBASE_SEED", "1"))


@pytest.mark.timeout(3600)
def test_books_equal_the_exchanges_and_no_gap_passes_unreported(no_socket_left: None) -> None:
    with Sandbox(traders=0, seed=SEED, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        storm = Storm(exchange, SEED)
        storm.run(EVENTS)
    tally = storm.tally
    assert not exchange.ledger.troubles
    assert tally.wrong == []
    assert tally.events >= EVENTS
    for product in PRODUCTS:
        came, told = tally.repeats(product)
        assert came == told
    kinds = {gap.kind for gap in tally.gaps}
    assert "gap" in kinds
    assert tally.connections > 1
    assert all(isinstance(error, TransportError) for error in tally.errors), tally.errors
    print(
        f"{tally.events} events, {storm.rests} rests, {tally.connections} connections, "
        f"{ {kind: sum(gap.kind == kind for gap in tally.gaps) for kind in sorted(kinds)} }"
    )
