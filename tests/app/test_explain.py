"""explain: a published number with its formula, its input rows, and whether it comes out again."""

import ast
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app.cli import cli
from app.explaining import explain
from app.settings import Settings
from ledger.clock import system_clock
from ledger.database import open_engine, reading, writing
from ledger.kinds import FundKind, Role, Shape
from ledger.metrics import MetricRow
from ledger.published import list_decoders, list_published
from ledger.tables import Segment
from solvency.formulas import FORMULAS
from tests.solvency.rows import CHAIN, ETH_ADDRESS, USDC, Rows, compute, lossy, perp_days, venue
from web.catalogue import METRICS, describe

ROOT = Path(__file__).parents[2]
SECTIONS = (ROOT / "docs" / "methodology.md").read_text()
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


def day_of(engine: Engine, day: str) -> dict[str, MetricRow]:
    with reading(engine) as session:
        return {row.name: row for row in list_published(session, 1, day)}


def drafted_names() -> set[str]:
    """Every metric name that the calculator spells out."""
    return {
        node.args[0].value
        for path in (ROOT / "solvency").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Draft"
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def test_every_metric_has_a_formula() -> None:
    names = drafted_names()
    assert "coverage" in names
    assert not (names | set(METRICS)) - set(FORMULAS)


@pytest.mark.parametrize("make", [lambda: lossy(15), lambda: venue(4)], ids=["losses", "venue"])
def test_every_metric_that_is_computed_has_a_formula_and_names_the_streams_of_its_digest(
    engine: Engine, make: Callable[[], Rows]
) -> None:
    make().write(engine)
    compute(engine)
    rows = day_of(engine, "2021-02-03")
    digests = {name: row.inputs_digest for name, row in rows.items()}
    by_inputs: dict[tuple[str, ...], set[str]] = {}
    for name, digest in digests.items():
        by_inputs.setdefault(FORMULAS[name].inputs, set()).add(digest)
    assert all(len(found) == 1 for found in by_inputs.values()), by_inputs
    assert len({*digests.values()}) == len(by_inputs)


def test_each_formula_is_one_line_and_its_section_is_in_the_methodology() -> None:
    for name, formula in FORMULAS.items():
        assert formula.text
        assert "\n" not in formula.text
        assert f"\n## {formula.section}" in SECTIONS, name


def test_explain_runs_for_every_metric_of_a_ledger_and_names_its_formula(engine: Engine, backstop: Backstop) -> None:
    lossy(15).write(engine)
    compute(engine)
    names = day_of(engine, "2021-02-14")
    assert len(names) > 25
    for name in names:
        result = backstop("explain", "f", name, "--day", "2021-02-14")
        assert result.exit_code == 0, result.output
        shown = " ".join(result.stdout.split())
        assert f"{describe(name).title} of f on 2021-02-14" in shown
        assert f"Formula (docs/methodology.md, {FORMULAS[name].section}): {FORMULAS[name].text}" in shown
        assert "Recomputed now the same value and the same digest" in shown


def test_counts_end_at_the_as_of_block_and_facts_are_summed_by_role(engine: Engine) -> None:
    lossy(25).write(engine)
    compute(engine)
    found = explain(engine, system_clock, "f", "shortfall_total", day="2021-02-22")
    assert found.row.as_of_number == 2151
    # Of the shortfalls on days 10, 20, 30, … two have come by then; each was paid by the fund.
    assert found.counts == [("facts", 5, 2021), ("prices", 24, 2151)]
    sums = {row.role: (row.n_facts, row.total, row.unit) for row in found.facts}
    assert sums["shortfall"] == sums["payout"] == (2, Decimal(20_000), "USDC")
    assert sums["exposure_change"] == (1, Decimal(100), "vETH")
    assert found.row.value == Decimal(20_000)


def test_the_readings_behind_a_number_name_block_contract_call_and_raw_value(
    engine: Engine, backstop: Backstop
) -> None:
    perp_days(4).write(engine)
    compute(engine)
    document = json.loads(backstop("explain", "f", "usable_value", "--day", "2021-02-02", "--json").stdout)
    assert document["readings"] == [
        {
            "stream": "money", "block": 151, "time": "2021-02-02T12:00:00Z", "name": "balance", "contract": "0x",
            "call": "read()", "value_raw": "600000000000", "decimals": 6, "error": None,
        },
        {
            "stream": "prices", "block": 151, "time": "2021-02-02T12:00:00Z", "name": "price of USDC",
            "contract": "0xfeed", "call": "the feed's answer", "value_raw": "100000000", "decimals": 8, "error": None,
        },
    ]  # fmt: skip
    assert document["inputs"] == [
        {"stream": "money", "rows": 2, "last_block": 151},
        {"stream": "prices", "rows": 2, "last_block": 151},
    ]
    assert document["facts"] == []
    assert document["result"]["value"] == "600000.00"
    assert document["result"]["rounding"] == "rounded down"
    assert document["recomputed"] == {"as_of_number": 151, "is_equal": True, "differences": {}}
    shown = " ".join(backstop("explain", "f", "usable_value", "--day", "2021-02-02").stdout.split())
    assert "600000000000 (÷ 10^6)" in shown
    assert "On pages $600,000, rounded down" in shown


def test_without_a_day_the_latest_one_is_explained(engine: Engine) -> None:
    perp_days(4).write(engine)
    compute(engine)
    assert explain(engine, system_clock, "f", "coverage").row.day == "2021-02-04"


def test_a_fact_that_came_to_light_later_is_seen_in_value_and_digest(engine: Engine, backstop: Backstop) -> None:
    lossy(15).write(engine)
    compute(engine)
    with writing(engine) as session:
        session.connection().exec_driver_sql("DELETE FROM fact WHERE role = 'shortfall'")
        session.connection().exec_driver_sql("DELETE FROM fact WHERE role = 'payout'")
    document = json.loads(backstop("explain", "f", "worst_1d", "--day", "2021-02-14", "--json").stdout)
    differences = document["recomputed"]["differences"]
    assert document["recomputed"]["is_equal"] is False
    assert differences["value"] == {"published": "10000.00", "recomputed": None}
    assert differences["inputs_digest"]["published"] == document["result"]["inputs_digest"]
    shown = " ".join(backstop("explain", "f", "worst_1d", "--day", "2021-02-14").stdout.split())
    assert "Recomputed now different: value 10000.00 published, none now" in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("g", "coverage"), "there is no fund g: give one of f"),
        (("f", "covrage"), "f has no metric covrage: did you mean coverage"),
        (("f", "coverage", "--day", "2020-01-01"), "f has no coverage on 2020-01-01: its days are 2021-02-01 to"),
        (("f", "coverage", "--day", "today"), "f has no coverage on today: its days are"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_line_with_what_is(
    engine: Engine, backstop: Backstop, words: tuple[str, ...], told: str
) -> None:
    perp_days(4).write(engine)
    compute(engine)
    result = backstop("explain", *words)
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].removeprefix("error: ").startswith(told)
    assert not result.stdout


def test_a_fund_of_several_segments_asks_which_one(engine: Engine, backstop: Backstop) -> None:
    perp_days(2).write(engine)
    with writing(engine) as session:
        session.get_one(Segment, 1).slug = "f/one"
        session.add(Segment(id=2, fund_slug="f", slug="f/two", name="Two", chain_id=CHAIN, asset_id=USDC))
    compute(engine)
    result = backstop("explain", "f", "coverage")
    assert result.exit_code == 2
    assert "f has several segments: give one of f/one, f/two" in result.stderr
    assert backstop("explain", "f/one", "coverage").exit_code == 0


def test_a_segment_that_was_never_computed_says_what_to_run(engine: Engine, backstop: Backstop) -> None:
    perp_days(2).write(engine)
    result = backstop("explain", "f", "coverage")
    assert result.exit_code == 2
    assert "f: nothing was computed yet: run `backstop compute` first" in result.stderr


def test_a_reading_that_was_not_answered_says_why(engine: Engine, backstop: Backstop) -> None:
    rows = Rows(kind=FundKind.RESERVE, shape=Shape.ADDRESS_FUND)
    rows.money(0.5, None)
    rows.scan()
    rows.write(engine)
    compute(engine)
    assert "unknown: reverted" in backstop("explain", "f", "gross_balance").stdout


def test_decoders_are_those_of_the_facts_up_to_a_block(engine: Engine) -> None:
    rows = perp_days(3)
    rows.fact(1.2, Role.LIQUIDATION, 1.0, market=ETH_ADDRESS)
    rows.found[-1].decoder = "test@2"  # type: ignore[attr-defined]
    rows.write(engine)
    with reading(engine) as session:
        assert list_decoders(session, 1, 100) == ["test@1"]
        assert list_decoders(session, 1, 121) == ["test@1", "test@2"]


@pytest.mark.parametrize("command", ["compute", "explain"])
def test_the_help_teaches_by_example(backstop: Backstop, command: str) -> None:
    text = " ".join(backstop(command, "--help").output.split())
    assert f"Usage: backstop {command}" in text
    assert f"backstop {command}" in text.partition("Example: ")[2]
    assert "Next: " in text
