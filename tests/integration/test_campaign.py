"""Short parts of the two campaigns; `python -m tests.campaign` and `python -m tests.races` are the long ones."""

import os

import pytest

from tests.campaign.round import play
from tests.races.races import Races


@pytest.mark.timeout(120)
def test_no_outcome_is_wrong_and_no_order_lost_or_doubled_in_a_storm(no_socket_left: None) -> None:
    seed = str(int.from_bytes(os.urandom(4), "big"))
    report = play(seed, kills=60)
    assert not report.violations, f"seed {seed}: {len(report.violations)}, the first: {report.violations[0]}"
    assert report.kills >= 60
    assert report.figures["calls done"]
    assert report.figures["calls unknown"]


@pytest.mark.timeout(120)
def test_nothing_hangs_and_nothing_is_left_over_whatever_sixteen_threads_do(no_socket_left: None) -> None:
    seed = str(int.from_bytes(os.urandom(4), "big"))
    findings = Races(seconds=3, seed=seed).run()
    assert not findings.violations, f"seed {seed}: {len(findings.violations)}, the first: {findings.violations[0]}"
    assert findings.figures["done"]
    assert findings.figures["cuts"]
