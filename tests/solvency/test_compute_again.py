"""Computing again: settled days, running days, silence, and the same bytes from the same rows."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine
from ledger.kinds import SourceKind
from ledger.upgrades import upgrade
from tests.solvency.rows import DAY, START, Rows, compute, find_metric, list_metrics, lossy, perp_days


def test_running_twice_writes_nothing_new(engine: Engine) -> None:
    lossy(45).write(engine)
    assert compute(engine).n_rows > 0
    before = list_metrics(engine)
    again = compute(engine)
    assert (again.n_rows, again.n_days) == (0, 1)  # Only the running day is looked at again.
    assert list_metrics(engine) == before


def test_a_running_day_that_ends_is_settled_and_then_never_touched(engine: Engine) -> None:
    rows = perp_days(3)
    rows.source = SourceKind.LIVE
    rows.write(engine)
    compute(engine, now=START + DAY * 2 + timedelta(hours=13))
    assert not find_metric(engine, "usable_value", 2).is_day_final
    compute(engine, now=START + DAY * 3 + timedelta(hours=1))
    assert find_metric(engine, "usable_value", 2).is_day_final
    settled = [row for row in list_metrics(engine) if row["is_day_final"]]
    compute(engine, now=START + DAY * 9)
    assert [row for row in list_metrics(engine) if row["is_day_final"]][: len(settled)] == settled


def test_a_live_chain_that_falls_silent_makes_the_running_day_stale(engine: Engine) -> None:
    rows = perp_days(3)
    rows.source = SourceKind.LIVE
    rows.write(engine)
    compute(engine, now=START + DAY * 2 + timedelta(hours=13))
    assert find_metric(engine, "usable_value", 2).quality == "ok"
    compute(engine, now=START + DAY * 7)
    assert find_metric(engine, "usable_value", 6).quality == "stale"
    assert find_metric(engine, "status", 6).text == "not_computable"


def test_an_empty_ledger_computes_nothing_and_a_silent_chain_says_why(engine: Engine) -> None:
    assert compute(engine).n_segments == 0
    rows = Rows()
    rows.at(0.0)
    rows.write(engine)
    assert compute(engine).skipped == (("f", "no block of it was read yet"),)


def test_the_order_in_which_rows_were_written_changes_no_byte(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = open_engine(f"sqlite:///{tmp_path_factory.mktemp('other') / 'ledger.sqlite'}")
    upgrade(other)
    lossy(93).write(engine)
    lossy(93).write(other, is_reversed=True)
    compute(engine)
    compute(other)
    assert list_metrics(engine) == list_metrics(other)
    other.dispose()


def test_both_databases_hold_the_same_metrics(engine: Engine, postgres_ledger_url: str) -> None:
    other = open_engine(postgres_ledger_url)
    lossy(93).write(engine)  # Past 90 days and five losses: tail, depletion and backtest are numbers.
    lossy(93).write(other)
    assert compute(engine) == compute(other)
    assert list_metrics(engine) == list_metrics(other)
    assert compute(other).n_rows == 0
    other.dispose()


def test_another_input_row_changes_the_digest_and_only_of_what_stands_on_it(engine: Engine) -> None:
    rows = perp_days(4)
    rows.write(engine)
    compute(engine)
    first, second = find_metric(engine, "usable_value", 1), find_metric(engine, "usable_value", 2)
    assert first.inputs_digest != second.inputs_digest
    assert find_metric(engine, "inflow_total", 1).inputs_digest == find_metric(engine, "inflow_total", 2).inputs_digest
