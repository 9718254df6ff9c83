"""compute --as-of: the numbers of an earlier time, worked out anew, beside those that were published."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app.asof import compute_as_of, join_reasons, parse_time
from app.cli import cli
from app.comparison import differences_text, find_differences, row_document
from app.failures import CommandError
from app.settings import Settings
from ledger.database import open_engine, reading, writing
from ledger.kinds import FundKind, ReadingName, Role, Shape
from ledger.metrics import MetricRow
from ledger.published import list_published
from ledger.tables import Segment
from tests.rigs.tables import dump_tables
from tests.solvency.rows import CHAIN, ETH_ADDRESS, START, USDC, Rows, compute, lossy, perp_days, venue

Backstop = Callable[..., Result]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated ledger, once on SQLite and once on Postgres."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def backstop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backstop]:
    """Runs a command on the ledger."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKSTOP_{name.upper()}", raising=False)
    url = engine.url.render_as_string(hide_password=False)
    yield lambda *words: CliRunner().invoke(cli, list(words), env={"BACKSTOP_DATABASE_URL": url, "COLUMNS": "200"})
    root.handlers[:] = before
    root.setLevel(level)


def no_fund(n_days: int = 12) -> Rows:
    """A lending market without a fund, whose users lose on the fifth day."""
    rows = Rows(kind=FundKind.NO_FUND, shape=Shape.MORPHO_BLUE)
    for day in range(n_days):
        rows.snapshot(day + 0.5)
        rows.price(day + 0.5)
        rows.read(day + 0.5, ReadingName.TOTAL_BORROW, 1_000.0, "0xmarket", asset=1)
    rows.fact(4.6, Role.SHORTFALL, 70.0, market="0xmarket")
    rows.fact(4.6, Role.SOCIALISED_LOSS, 70.0, market="0xmarket")
    rows.scan()
    return rows


def with_hole(n_days: int = 12) -> Rows:
    """A record with two days in the middle that nobody scanned."""
    rows = perp_days(n_days)
    rows.scan(0.0, 4.5)
    rows.scan(7.1, n_days - 0.5)
    return rows


def name_of(day: int) -> str:
    return f"{START + timedelta(days=day):%Y-%m-%d}"


def rows_as_of(engine: Engine, text: str) -> dict[str, MetricRow]:
    (past,) = compute_as_of(engine, parse_time(text)).segments
    return {row.name: row for row in past.rows}


def published_on(engine: Engine, day: str) -> dict[str, MetricRow]:
    with reading(engine) as session:
        return {row.name: row for row in list_published(session, 1, day)}


def bytes_of(rows: dict[str, MetricRow]) -> str:
    """Every column as text; a window of 7 days is 7.0 once it was stored."""
    documents = {name: row_document(row) for name, row in rows.items()}
    for document in documents.values():
        document["window_days"] = document["window_days"] and float(document["window_days"])
    return json.dumps(documents, sort_keys=True)


@pytest.mark.parametrize(
    ("make", "days"),
    [
        (lambda: lossy(45), (0, 10, 11, 41, 43)),
        (lambda: venue(12), (0, 5, 10)),
        (no_fund, (3, 4, 10)),
        (with_hole, (4, 5, 6, 7, 10)),
    ],
    ids=["losses", "venue", "no fund", "unscanned days"],
)
def test_a_past_final_day_comes_out_as_it_was_published_to_the_byte(
    engine: Engine, make: Callable[[], Rows], days: tuple[int, ...]
) -> None:
    make().write(engine)
    compute(engine)
    for day in days:
        published = published_on(engine, name_of(day))
        assert all(row.is_day_final for row in published.values())
        assert bytes_of(rows_as_of(engine, name_of(day))) == bytes_of(published)


def test_the_running_day_of_a_recording_comes_out_as_it_was_published(engine: Engine) -> None:
    perp_days(4).write(engine)
    compute(engine)
    published = published_on(engine, name_of(3))
    assert not any(row.is_day_final for row in published.values())
    assert bytes_of(rows_as_of(engine, name_of(3))) == bytes_of(published)


def test_later_losses_and_prices_do_not_leak_into_an_earlier_time(
    engine: Engine, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def make() -> Rows:
        rows = perp_days(8)
        rows.fact(3.2, Role.SHORTFALL, 10_000.0, account="x", market=ETH_ADDRESS)
        rows.price(3.2)
        return rows

    quiet, loud = make(), make()
    # The same day, after its snapshot, and a later day.
    for day in (5.7, 6.4):
        loud.fact(day, Role.SHORTFALL, 90_000.0, account="x", market=ETH_ADDRESS)
        loud.fact(day, Role.PAYOUT, 90_000.0, account="x", market=ETH_ADDRESS)
        loud.price(day, 0.5)
        loud.scan()
    loud.write(engine)
    file = tmp_path_factory.mktemp("quiet") / "ledger.sqlite"
    shutil.copyfile(migrated_sqlite, file)
    other = open_engine(f"sqlite:///{file}")
    quiet.write(other)
    for text in (f"{name_of(5)}T15:00", f"{name_of(5)}T12:00Z", name_of(4)):
        assert bytes_of(rows_as_of(engine, text)) == bytes_of(rows_as_of(other, text)), text
    assert bytes_of(rows_as_of(engine, f"{name_of(7)}T12:00")) != bytes_of(rows_as_of(other, f"{name_of(7)}T12:00"))
    other.dispose()


def test_a_time_stands_on_the_last_read_before_it(engine: Engine) -> None:
    perp_days(6).write(engine)
    rows = rows_as_of(engine, f"{name_of(4)}T11:59")
    assert {row.day for row in rows.values()} == {name_of(4)}
    assert {row.as_of_time for row in rows.values()} == {START + timedelta(days=3.5)}
    assert not rows["usable_value"].is_day_final


def test_nothing_is_written(engine: Engine, backstop: Backstop) -> None:
    lossy(20).write(engine)
    compute(engine)
    before = dump_tables(engine)
    assert backstop("compute", "--as-of", name_of(12)).exit_code == 0
    assert backstop("compute", "--as-of", f"{name_of(19)}T01:00", "--json").exit_code == 0
    assert dump_tables(engine) == before


def test_the_table_names_block_decoders_and_method_and_finds_every_number_equal(
    engine: Engine, backstop: Backstop
) -> None:
    lossy(20).write(engine)
    compute(engine)
    result = backstop("compute", "--as-of", name_of(12))
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert (
        "Recomputed today from facts at or below block 1,251 with today's decoders (test@1) and method version "
        in shown
    )
    assert "published numbers are not changed" in shown
    assert f"f on {name_of(12)}: block 1,251 of 13 Feb 2021, 12:00 UTC" in shown
    assert shown.count(" equal") == len(published_on(engine, name_of(12)))
    assert "different" not in shown


def test_a_published_number_that_differs_is_shown_with_both(engine: Engine, backstop: Backstop) -> None:
    lossy(20).write(engine)
    compute(engine)
    with writing(engine) as session:
        session.connection().exec_driver_sql(
            f"UPDATE metric SET value = '599999.00' WHERE name = 'usable_value' AND day = '{name_of(12)}'"
        )
    (document,) = json.loads(backstop("compute", "--as-of", name_of(12), "--json").stdout)["segments"]
    unequal = {row["name"]: row["differences"] for row in document["metrics"] if not row["is_equal"]}
    assert unequal == {"usable_value": {"value": {"published": "599999.00", "recomputed": "600000.00"}}}
    shown = " ".join(backstop("compute", "--as-of", name_of(12)).stdout.split())
    assert "different: value 599999.00" in shown


def test_a_number_that_was_never_published_says_so(engine: Engine, backstop: Backstop) -> None:
    perp_days(4).write(engine)
    (document,) = json.loads(backstop("compute", "--as-of", name_of(1), "--json").stdout)["segments"]
    assert {row["is_published"] for row in document["metrics"]} == {False}
    assert {row["is_equal"] for row in document["metrics"]} == {None}
    assert "not published" in backstop("compute", "--as-of", name_of(1)).stdout


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-05-19", "2021-05-20T00:00:00+00:00"),
        ("2021-05-19T12:00", "2021-05-19T12:00:00+00:00"),
        ("2021-05-19T12:00Z", "2021-05-19T12:00:00+00:00"),
        ("2021-05-19T12:00+02:00", "2021-05-19T10:00:00+00:00"),
    ],
)
def test_a_day_means_its_end_and_a_time_without_zone_is_utc(text: str, moment: str) -> None:
    wanted = parse_time(text)
    assert wanted.moment == datetime.fromisoformat(moment)
    assert wanted.is_zone_assumed is (text == "2021-05-19T12:00")
    assert wanted.day == (text if len(text) == 10 else "")


def test_a_zone_that_was_assumed_is_said(engine: Engine, backstop: Backstop) -> None:
    perp_days(3).write(engine)
    assert "names no zone and is read as UTC" in backstop("compute", "--as-of", f"{name_of(1)}T13:00").stderr
    assert "names no zone" not in backstop("compute", "--as-of", f"{name_of(1)}T13:00Z").stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--as-of", "yesterday"), "--as-of is 'yesterday', which is no time: give 2021-05-19 for that whole day"),
        (("--as-of", "9999-12-31"), "--as-of is '9999-12-31', which is no time"),
        (("--as-of", "2021-01-31T12:00Z"), "f: 2021-01-31 12:00:00 UTC is before the first block in the ledger, 1 of"),
        (("--as-of", "2021-02-01T01:00Z"), "f: nothing of it was read by 1 Feb 2021, 01:00 UTC; it was first read on"),
        (("--as-of", "2021-01-20"), "f: nothing of it was read by 2021-01-20; it was first read on 1 Feb 2021, 12:00"),
        (("--as-of", "2021-02-05"), "f: the ledger goes to 4 Feb 2021, 12:00 UTC: give a time up to then"),
        (("--as-of", "2021-02-04T12:01Z"), "f: the ledger goes to 4 Feb 2021, 12:00 UTC: give a time up to then"),
        (("--as-of", "2021-02-03", "--fund", "ff"), "there is no fund ff: did you mean f?"),
        (("--as-of", "2021-02-03", "--fund", "perp-v2"), "there is no fund perp-v2: give one of f"),
        (("--fund", "f"), "--fund and --json belong to --as-of"),
        (("--json",), "--fund and --json belong to --as-of"),
    ],
)
def test_what_cannot_be_answered_is_one_line_with_exit_code_2(
    engine: Engine, backstop: Backstop, words: tuple[str, ...], told: str
) -> None:
    perp_days(4).write(engine)
    result = backstop("compute", *words)
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].removeprefix("error: ").startswith(told)
    assert not result.stdout


def test_a_segment_that_has_nothing_yet_is_left_out_with_the_reason(engine: Engine, backstop: Backstop) -> None:
    perp_days(4).write(engine)
    with writing(engine) as session:
        session.add(Segment(id=2, fund_slug="f", slug="f/new", name="New", chain_id=CHAIN, asset_id=USDC))
    reason = f"f/new: nothing of it was read by {name_of(1)}: give a later time"
    for words in ((), ("--fund", "f")):
        result = backstop("compute", "--as-of", name_of(1), "--json", *words)
        assert result.exit_code == 0
        document = json.loads(result.stdout)
        assert [each["segment"] for each in document["segments"]] == ["f"]
        assert document["left_out"] == {"f/new": reason}
        assert f"left out: {reason}" in result.stderr
    assert backstop("compute", "--as-of", name_of(1), "--fund", "f/new").exit_code == 2


def test_of_many_reasons_the_first_are_told() -> None:
    assert join_reasons(["a", "b"]) == "a · b"
    assert join_reasons(["a", "b", "c", "d", "e"]) == "a · b · c · and 2 more"


def test_a_ledger_without_a_fund_says_what_to_run(engine: Engine) -> None:
    with pytest.raises(CommandError, match="there is no fund in the ledger: run `backstop index` first"):
        compute_as_of(engine, parse_time("2021-05-19"))


def test_progress_names_the_segment_and_counts_its_days(engine: Engine) -> None:
    perp_days(4).write(engine)
    heard: list[tuple[str, int, int]] = []
    compute_as_of(engine, parse_time(name_of(2)), heard=lambda *told: heard.append(told))
    assert heard == [("f", 1, 3), ("f", 2, 3), ("f", 3, 3)]


def test_differences_leave_out_the_key_and_name_both_sides(engine: Engine) -> None:
    perp_days(4).write(engine)
    one, other = rows_as_of(engine, name_of(1))["usable_value"], rows_as_of(engine, name_of(2))["usable_value"]
    told = differences_text(find_differences(one, other))
    assert told.startswith("different: as of hash 0x")
    assert "inputs digest" in told
    assert "day" not in told.replace("window days", "")
    assert differences_text({}) == "equal"
