"""A short part of Autobahn|Testsuite, where it can be had; all of it: python -m tests.autobahn WSTEST"""

import os
from pathlib import Path

import pytest

from .suite import bad, run_cases

# without the large messages (9.*) and the many small ones (12.*, 13.*), of which one each is enough here
SHORT = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.1.*", "6.2.*", "6.3.*", "6.4.*", "7.*", "10.*", "12.1.1", "13.7.1"]


@pytest.mark.timeout(120)
def test_no_case_of_the_short_suite_fails_or_closes_wrongly(tmp_path: Path) -> None:
    wstest = os.environ.get("WSTEST")
    if not wstest:
        pytest.skip("WSTEST names no wstest program: Autobahn|Testsuite needs Python 2.7 and isn't on PyPI for 3")
    verdicts = run_cases(wstest, tmp_path, SHORT)
    assert len(verdicts) > 100
    assert bad(verdicts) == {}
