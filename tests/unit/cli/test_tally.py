"""What was kept is counted: what a store took, not what it was given."""

import pytest

from tests.unit.sinks.stores import Store, make
from wsclient.cli.tally import Counted, Tally, clock, printable, table


def test_nothing_kept_is_told_in_no_line() -> None:
    kept = Tally().kept
    assert (kept.total, kept.first, kept.last) == (0, None, None)
    assert list(table(kept)) == []


def test_records_are_counted_by_product_and_type_from_the_first_to_the_last() -> None:
    tally = Tally()
    tally.add([make(5), make(2), make(3, type="ticker")])
    tally.add([make(4, product=None, type=None)])
    tally.add([])
    kept = tally.kept
    assert kept.counts == {("BTC-USD", "match"): 2, ("BTC-USD", "ticker"): 1, (None, None): 1}
    assert kept.total == 4
    assert (kept.first, kept.last) == (make(2).time, make(5).time)


def test_the_table_is_sorted_and_its_figures_stand_below_each_other() -> None:
    tally = Tally()
    tally.add([make()] * 1234)
    tally.add([make(product=None, type="reply")])
    assert list(table(tally.kept)) == [
        "received from 2023-11-14 22:13:20.000000Z to 2023-11-14 22:13:20.000000Z",
        "-        reply      1",
        "BTC-USD  match  1,234",
    ]


def test_a_failed_try_counts_nothing_and_the_next_one_once() -> None:
    store, tally = Store(), Tally()
    store.away = 1
    sink = Counted(store, tally)
    with pytest.raises(OSError, match="away"):
        sink.write_many([make()])
    assert tally.kept.total == 0
    sink.write_many([make()])
    assert tally.kept.total == 1


def test_what_a_store_refuses_is_not_counted() -> None:
    store, tally = Store(), Tally()
    records = [make(number, id=f"{number:024x}") for number in range(3)]
    store.bad = {records[1].text}
    refused = Counted(store, tally).write_many(records)
    assert [refusal.record for refusal in refused or ()] == [records[1]]
    assert tally.kept.total == 2


def test_closing_closes_the_store() -> None:
    store = Store()
    Counted(store, Tally()).close()
    assert store.closings == 1


def test_times_are_told_to_the_microsecond_and_impossible_ones_as_numbers() -> None:
    assert clock(1_700_000_000_000_001) == "2023-11-14 22:13:20.000001Z"
    assert clock(10**30) == str(10**30)


def test_what_would_command_a_terminal_is_shown_as_an_escape() -> None:
    assert printable("µ €") == "µ €"
    assert printable("\x1b[2J\n") == "\\x1b[2J\\n"
