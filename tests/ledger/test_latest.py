"""The latest numbers read as columns are the mapped rows, digit for digit and in one order, on either database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select
from sqlmodel import Session, col

from ledger.database import open_engine, reading, writing
from ledger.kinds import Role
from ledger.latest import Number, latest_numbers
from ledger.pages import daily_balances, latest_metrics, list_events, list_places, newest_facts
from ledger.tables import Metric, Platform
from tests.web.inventor import LIVE, SIMULATED, Inventor, perp_metrics

END = datetime(2021, 5, 24, tzinfo=UTC)
LOSSES = (Role.SHORTFALL, Role.PAYOUT)
ODD = {
    "tiny": ("0.0000000001", "usd"),
    "zero": ("-0.00", "usd"),
    "huge": (str(2**256 - 1) + ".5", "OWN"),
    "coverage_x": (
        "1.50",
        "ratio",
        '≥ "50" %',
        "partial",
        "über\\ \N{RIGHT-TO-LEFT OVERRIDE}",
        {"n": 2**70, "l": [1.5]},
    ),
    "unknown": (None, "usd", None, "unknown", "nobody knows"),
    "empty": (None, "text", "", "ok", "", {}),
}
FIELDS = [name for name in vars(Number) if not name.startswith("_")]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Two funds with numbers of three days, and a third that has none."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        for chain_id, slug in ((LIVE, "alpha"), (SIMULATED, "beta")):
            inventor.chain(chain_id, slug, slug, "live", END)
            segment = inventor.fund(slug, slug, chain_id, "perp-v2")
            for day in range(3):
                told = perp_metrics("thin", 1, f"{day}12300.10", "1") | (ODD if day == 0 else {"gone": (1, "usd")})
                inventor.metrics(segment, END - timedelta(days=day), told)
                for log, role in enumerate(LOSSES):
                    inventor.fact(segment, END - timedelta(days=day), role, 2**200 + day, log=log)
        inventor.fund("gamma", "gamma", LIVE, "perp-v2")
    yield opened
    opened.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with reading(engine) as opened:
        yield opened


def ids(session: Session) -> list[int]:
    return [place.segment_id for place in list_places(session)]


def test_each_column_reads_as_the_mapped_row_says(session: Session) -> None:
    mapped, read = latest_metrics(session, ids(session)), latest_numbers(session, ids(session))
    assert {"tiny", "huge", "coverage", "coverage_x"} <= set(read[ids(session)[0]])
    assert [list(found) for found in read.values()] == [sorted(found) for found in mapped.values()]
    for segment_id, found in mapped.items():
        for name, row in found.items():
            for field in FIELDS:
                expected, told = getattr(row, field), getattr(read[segment_id][name], field)
                assert (told, str(told), type(told)) == (expected, str(expected), type(expected)), (name, field)
    assert set(FIELDS) == set(Metric.model_fields) - {"computed_at"}


def test_of_two_blocks_of_a_day_the_later_counts_and_of_two_versions_the_newer(engine: Engine) -> None:
    with writing(engine) as session:
        alpha = ids(session)[0]
        told = latest_metrics(session, [alpha])[alpha]["coverage"].model_dump()
        later = told | {"as_of_number": told["as_of_number"] + 5}
        session.add_all(
            [Metric(**later | {"value": None}), Metric(**later | {"method_version": "2", "value": Decimal(9)})]
        )
        session.flush()
        found = latest_numbers(session, [alpha])[alpha]
    assert [(one.name, one.method_version, one.value) for one in found.values()] == [("coverage", "2", Decimal(9))]


def test_segments_without_numbers_are_absent(session: Session) -> None:
    *_, gamma = ids(session)
    assert set(latest_numbers(session, ids(session))) == {*ids(session)} - {gamma}
    assert latest_numbers(session, [gamma]) == latest_numbers(session, []) == {}


def test_daily_balances_are_those_of_the_rows_and_an_unknown_one_is_no_number(engine: Engine) -> None:
    with writing(engine) as session:
        alpha, *_ = ids(session)
        query = select(Metric).where(col(Metric.name) == "gross_balance", col(Metric.segment_id) == alpha)
        rows = sorted(session.scalars(query), key=lambda row: row.day)
        rows[-1].value = None
        session.flush()
        found = daily_balances(session, [alpha], rows[1].day)
    assert list(found[alpha].items()) == [(rows[1].day, float(rows[1].value or 0)), (rows[2].day, None)]


def test_the_newest_facts_are_the_last_of_all_in_the_same_order(session: Session) -> None:
    whole = list_events(session, ids(session), LOSSES)
    assert len(whole) == 12
    for limit in (1, 5, 12, 13):
        assert newest_facts(session, ids(session), LOSSES, limit) == whole[-limit:]
    assert {row.role for row in newest_facts(session, ids(session), LOSSES[:1], 13)} == {Role.SHORTFALL}
