"""The benchmarks' own arithmetic, and that their table names what there is."""

import importlib
import json

import pytest

from benchmarks import row as rows
from benchmarks import server, texts
from benchmarks.report import Outcome, as_text, missing
from benchmarks.row import CLIENTS, Row
from benchmarks.rows import ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_client_of_a_row_can_do_its_job(row: Row) -> None:
    for name in row.clients:
        client = CLIENTS[name]
        if name not in missing():
            module = importlib.import_module(f"benchmarks.clients.{client.module}")
            assert callable(getattr(module, row.job)), name


def test_a_notice_has_its_size_and_no_tag() -> None:
    notices = texts.notices(100)
    assert {len(text.encode()) for text in notices} == {texts.SIZE}
    assert len(set(notices)) == 100
    assert not any(texts.MARK in text for text in notices)


def test_the_server_answers_each_command_with_its_tag_however_the_bytes_come() -> None:
    wire = b"".join(texts.masked(json.dumps({**texts.CALL, "tag": tag})) for tag in (1, 23, 456789))
    commands = server.Commands()
    answers = [
        server.answer(payload) for at in range(len(wire)) for _, payload in commands.feed(wire[at : at + 1])
    ]
    assert answers == [texts.frame(f'{{"tag":{tag},"error_code":0}}') for tag in (1, 23, 456789)]


@pytest.mark.parametrize(("rising", "ratio"), [(True, 2.0), (False, 0.5)])
def test_a_ratio_is_the_median_of_the_ratios_within_each_round(rising: bool, ratio: float) -> None:
    name = rows.WEBSOCKETS
    row = Row("name", "title", "job", "x", "unit", rows.Cores.APART, {name: 1.5}, rising=rising)
    ours, theirs = [10.0, 2.0, 90.0, 1.0], [5.0, 1.0, 9.0, 100.0]
    outcome = Outcome(row, {rows.OURS: [{"x": x} for x in ours], name: [{"x": x} for x in theirs]})
    assert outcome.ratio(name) == pytest.approx(ratio)
    assert ("reached" if rising else "MISSED") in as_text(outcome)


def test_a_round_in_which_a_client_failed_doesnt_count() -> None:
    row = Row("name", "title", "job", "x", "unit", rows.Cores.APART, {rows.PICOWS: None}, rising=True)
    outcome = Outcome(row, {rows.OURS: [{"x": 4.0}, {"x": 9.0}], rows.PICOWS: [None, {"x": 3.0}]})
    assert outcome.ratio(rows.PICOWS) == 3.0
