"""The benchmark of alerts: when a block was first there for others to read."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from app.demo import Stage
from app.providers import Plan
from benchmarks.alerts import Commits
from indexer.registry import Registry
from ledger.database import open_engine, writing
from ledger.tables import Block, Cursor
from ledger.writer import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_INSERT
from tests.rigs.outbox_rows import ETHEREUM, OPTIMISM, add_funds


@pytest.fixture
def engine(sqlite_ledger_url: str) -> Iterator[Engine]:
    """A ledger with two chains of which nothing was read."""
    opened = open_engine(sqlite_ledger_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


def follow(engine: Engine, chain_id: int, number: int) -> None:
    """The tip of a chain is there."""
    with writing(engine) as session:
        block = Block(chain_id=chain_id, hash=f"0x{number:064x}", number=number, parent_hash=f"0x{number - 1:064x}",
                      timestamp=datetime(2026, 1, 1, tzinfo=UTC), status="pending")  # fmt: skip
        session.add(block)
        session.flush()
        session.merge(Cursor(chain_id=chain_id, number=number, hash=block.hash))


def test_a_block_is_there_from_the_first_commit_that_reached_it(engine: Engine) -> None:
    commits = Commits(Stage(engine, Plan(Registry((), ()), {}), {}))
    follow(engine, ETHEREUM, 100)
    commits.hear(AFTER_COMMIT)
    follow(engine, ETHEREUM, 103)
    before = datetime.now(UTC)
    commits.hear(AFTER_COMMIT)
    after = datetime.now(UTC)
    commits.hear(AFTER_COMMIT)  # Commits of others change nothing.
    follow(engine, ETHEREUM, 104)
    for phase in (BEFORE_INSERT, BEFORE_COMMIT):
        commits.hear(phase)  # Nobody else can read it yet.
    times = {number: commits.time_of(ETHEREUM, number) for number in (99, 100, 101, 103, 104)}
    assert times[99] is times[100] is None, "that was before we listened"
    assert times[101] == times[103]
    assert before <= (times[103] or before) <= after
    assert times[104] is None
    commits.hear(AFTER_COMMIT)
    assert (commits.time_of(ETHEREUM, 104) or before) >= after
    assert commits.time_of(OPTIMISM, 5) is None
