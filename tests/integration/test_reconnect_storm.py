"""An exchange that refuses everybody isn't stormed by those it lost.

WSCLIENT_TEST_REFUSED (default 60) sets how many clients it loses at once; the design's figure is 1000.
"""

import os
import threading

import pytest

from tests.conftest import MakeClient
from wsclient import Reconnect, TransportError, WSClient
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Refuse

CLIENTS = int(os.environ.get("WSCLIENT_TEST_REFUSED", "60"))
TRIES = 4
BASE = 0.1


@pytest.mark.timeout(60 + CLIENTS)
def test_clients_that_are_refused_try_no_oftener_than_their_policy_says(make_client: MakeClient) -> None:
    gave_up: set[WSClient] = set()
    changed = threading.Condition()

    def note(client: WSClient, error: Exception) -> None:
        if isinstance(error, TransportError) and f"after {TRIES} tries" in str(error):
            with changed:
                gave_up.add(client)
                changed.notify()

    with Sandbox(traders=0, max_connections=CLIENTS) as exchange:
        # the longest waits that the policy knows, so that their sum is known, too
        policy = Reconnect(tries=TRIES, base=BASE, cap=2 * BASE, random=lambda: 1.0)
        clients = [
            make_client(exchange.url, err_handler=note, reconnect=policy, socket_timeout=30.0)
            for _ in range(CLIENTS)
        ]
        for client in clients:
            assert client.call("WatchTicker", base="XBT", counter="USDT", watch=True)["error_code"] == 0
        before = len(exchange.ledger.attempts)
        assert before == CLIENTS
        exchange.faults.add(Refuse(times=None))
        assert exchange.cut_all() == CLIENTS
        with changed:
            assert changed.wait_for(lambda: len(gave_up) == CLIENTS, 30 + CLIENTS)
        attempts = exchange.ledger.attempts[before:]
        assert len(attempts) == TRIES * CLIENTS
        assert exchange.ledger.most_attempts(0.9 * BASE) <= CLIENTS
        exchange.faults.clear()
        # who gave up leaves the exchange alone until it is asked for something
        assert len(exchange.ledger.attempts) == before + len(attempts)
        # and comes back then with what it had
        assert clients[0].call("EstimateMarketOrder", 10, base="XBT", counter="USDT", quantity=1)["quantity"] == 0
        watches = [entry for entry in exchange.ledger.executed("WatchTicker") if entry.code == 0]
        assert len(watches) == CLIENTS + 1
