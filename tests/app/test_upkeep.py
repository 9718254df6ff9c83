"""Gaps, audit, rebuild and resume as a person runs them, on a ledger that holds the shipped recording."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlmodel import col
from typer.testing import CliRunner, Result

from app.cli import cli
from app.failures import Exit
from app.settings import Settings
from indexer.registry import FUNDS
from ledger.database import writing
from ledger.kinds import ChainStatus
from ledger.tables import Chain, Coverage, Fact, RawLog
from tests.rigs.demo_ledger import SLUG
from tests.rigs.tables import assert_same_tables, dump_tables

CHAIN = 420210501
Backstop = Callable[..., Result]


@pytest.fixture
def engine(copy_demo: Callable[[], Engine]) -> Engine:
    return copy_demo()


@pytest.fixture
def backstop(engine: Engine, demo_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backstop]:
    """Runs a command on the ledger, with the recording served beside it."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKSTOP_{name.upper()}", raising=False)
    variables = {
        "BACKSTOP_DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "BACKSTOP_FUNDS_DIR": str(FUNDS / SLUG),
        "BACKSTOP_RPC_URLS": json.dumps({CHAIN: [demo_url]}),
        "COLUMNS": "200",
    }
    yield lambda *words: CliRunner().invoke(cli, list(words), env=variables)
    root.handlers[:] = before
    root.setLevel(level)


def drop_logs(engine: Engine, number: int) -> int:
    """Takes a block's logs and facts away."""
    with writing(engine) as session:
        session.execute(delete(Fact).where(col(Fact.block_number) == number))
        return int(session.execute(delete(RawLog).where(col(RawLog.block_number) == number)).rowcount)  # type: ignore[attr-defined]


def crowded(engine: Engine) -> int:
    """A block with many logs."""
    numbers = [row["block_number"] for row in dump_tables(engine)["raw_log"]]
    return max(set(numbers), key=numbers.count)


def test_gaps_shows_no_hole_where_everything_was_scanned_and_the_share_of_each_rung(backstop: Backstop) -> None:
    shown = backstop("gaps")
    assert shown.exit_code == 0, shown.output
    assert "reserve-simulated" in shown.output
    assert "100 %" in shown.output
    found = json.loads(backstop("gaps", SLUG, "--json").output)
    assert {each["segment"]: each["holes"] for each in found} == {
        "morpho-blue-simulated": 0, "perp-v2-large-simulated": 0, "perp-v2-small-simulated": 0, "reserve-simulated": 0,
    }  # fmt: skip
    reserve = next(each for each in found if each["segment"] == "reserve-simulated")
    assert max(each["level"] for each in reserve["intervals"]) == 5


def test_gaps_names_each_hole_and_ends_with_its_own_exit_code(backstop: Backstop, engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(update(Coverage).where(col(Coverage.segment_id) == 4).values(to_number=1500))
    shown = backstop("gaps")
    assert shown.exit_code == Exit.DIFFERS
    assert "error: 1 holes: backstop index --once fills them" in shown.stderr
    assert "1,501" in shown.output
    (hole,) = [
        interval
        for each in json.loads(backstop("gaps", "--json").stdout)
        for interval in each["intervals"]
        if interval["level"] is None
    ]
    assert hole == {"from": 1501, "to": 1612, "level": None, "passed": []}


def test_an_audit_of_an_honest_ledger_finds_nothing(backstop: Backstop) -> None:
    shown = backstop("audit", SLUG, "1", "1612")
    assert shown.exit_code == 0, shown.output
    assert "3,036" in shown.output


def test_an_audit_names_missing_extra_and_different_logs_and_puts_back_the_missing_ones(
    backstop: Backstop, engine: Engine
) -> None:
    truth, number = dump_tables(engine), crowded(engine)
    gone = drop_logs(engine, number)
    shown = backstop("audit", SLUG, "1", "1612")
    assert shown.exit_code == Exit.DIFFERS
    assert f"{gone} missing; --repair puts back what is missing" in shown.stderr
    assert backstop("audit", SLUG, str(number), str(number), "--repair").exit_code == 0
    assert_same_tables({name: truth[name] for name in ("raw_log", "fact")}, dump_tables(engine))
    with writing(engine) as session:
        first = session.scalars(select(RawLog).where(col(RawLog.block_number) == number)).first()
        assert first is not None
        forged = {"block_hash": first.block_hash, "log_index": 9999, "block_number": number, "tx_hash": first.tx_hash}
        session.add(RawLog(chain_id=CHAIN, address=first.address, topics=first.topics, data=first.data, **forged))
        first.data = "0x" + "ff" * (len(first.data) // 2 - 1)
    shown = backstop("audit", SLUG, "1", "1612", "--repair")
    assert shown.exit_code == Exit.DIFFERS
    assert "1 different, 1 extra" in shown.stderr
    assert f"{number:,}" in shown.output


def test_an_audit_refuses_blocks_that_are_not_final(backstop: Backstop) -> None:
    shown = backstop("audit", SLUG, "1", "1613")
    assert shown.exit_code == Exit.WRONG_USE
    assert "its last final block is 1612; audit no more than that" in shown.stderr


def test_receipts_that_a_recording_does_not_hold_are_said_to_be_not_provable(
    backstop: Backstop, engine: Engine
) -> None:
    before = dump_tables(engine)["verification"]
    shown = backstop("audit", SLUG, "700", "720", "--sample", "5", "--seed", "3")
    assert shown.exit_code == 0, shown.output
    assert dump_tables(engine)["verification"] == before


def test_a_rebuild_changes_nothing_and_a_strange_fund_is_named(backstop: Backstop, engine: Engine) -> None:
    before = dump_tables(engine)
    shown = backstop("rebuild", "--fund", "reserve-simulated")
    assert shown.exit_code == 0, shown.output
    assert_same_tables(before, dump_tables(engine))
    shown = backstop("rebuild", "--fund", "nobody")
    assert shown.exit_code == Exit.WRONG_USE
    assert "there is no fund nobody: give one of " in shown.stderr


def test_a_halted_chain_is_resumed_and_one_that_is_not_halted_says_so(backstop: Backstop, engine: Engine) -> None:
    shown = backstop("resume", SLUG)
    assert shown.exit_code == Exit.WRONG_USE
    assert "is not halted" in shown.stderr
    with writing(engine) as session:
        session.execute(update(Chain).values(status=str(ChainStatus.HALTED), status_reason="block 1500 changed"))
    shown = backstop("resume", SLUG, "--rewind-to", "1400")
    assert shown.exit_code == 0, shown.output
    assert "it had halted because: block 1500 changed" in shown.stderr
    assert max(row["block_number"] for row in dump_tables(engine)["raw_log"]) <= 1400
