"""Each transaction that writes facts or takes some back counts that at its chain: pages keep what they made till then.

SQLite itself watches the table, by triggers; whatever way rows took into it, they cannot be overlooked.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, select, update
from sqlmodel import col

from indexer.rebuild import Rebuild
from indexer.registry import FUNDS, load_funds, write
from ledger.database import open_engine, reading, writing
from ledger.stored import delete_decoded
from ledger.tables import Chain, Fact
from tests.indexer.test_polling import POLLS, SLUG, answering, run
from tests.indexer.test_rebuild import CHAIN
from tests.rigs.demo_ledger import demo_segments, index_demo
from tests.simulation.story import ledger_of_process, play

SEEDS = range(12)
TOUCHED = "CREATE TABLE touched (chain_id, had, UNIQUE (chain_id, had))"
TRIGGER = (
    "CREATE TRIGGER touched_by_{how} AFTER {how} ON fact BEGIN INSERT OR IGNORE INTO touched "
    "SELECT chain_id, facts_written FROM chain WHERE chain_id = {row}.chain_id; END"
)
UNCOUNTED = (
    "SELECT count(*) FROM touched JOIN chain USING (chain_id) WHERE had >= facts_written UNION ALL "
    "SELECT count(*) FROM touched"
)


def lay_triggers(path: Path) -> None:
    """From now on each fact that comes, changes or goes is noted with its chain's count at that time."""
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(TOUCHED)
        for how, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            connection.exec_driver_sql(TRIGGER.format(how=how, row=row))
    engine.dispose()


@contextmanager
def watched(engine: Engine) -> Iterator[list[tuple[int, int]]]:
    """(facts touched without a count, touched at all) at each commit."""
    found: list[tuple[int, int]] = []

    def look(connection: Connection) -> None:
        (uncounted,), (all_of_them,) = connection.exec_driver_sql(UNCOUNTED).all()
        found.append((uncounted, all_of_them))

    event.listen(engine, "commit", look)
    yield found
    event.remove(engine, "commit", look)


def count_of(engine: Engine) -> int:
    with reading(engine) as session:
        return session.execute(select(col(Chain.facts_written))).scalar_one()


def test_a_fact_that_is_not_counted_would_be_seen(copy_demo: Callable[[], Engine]) -> None:
    engine = copy_demo()
    lay_triggers(Path(str(engine.url.database)))
    with watched(engine) as found, writing(engine) as session:
        session.execute(update(Fact).values(amount_raw=7))
    assert found == [(1, 1)]


@pytest.fixture
def template(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A migrated file with the triggers."""
    path = tmp_path / "template.sqlite"
    path.write_bytes(migrated_sqlite.read_bytes())
    lay_triggers(path)
    return path


def test_whatever_happens_to_an_indexer_each_change_of_facts_is_counted_in_its_transaction(template: Path) -> None:
    try:
        with watched(ledger_of_process(template, os.getpid())) as found:
            results = [play(seed, template) for seed in SEEDS]
    finally:
        ledger_of_process.cache_clear()
    assert [result.errors for result in results if result.errors] == []
    assert sum(result.counts["reorg on record"] for result in results) > 0
    assert {uncounted for uncounted, _ in found} == {0}
    assert max(touched for _, touched in found) > 5


def test_a_scan_and_a_rebuild_are_counted_and_a_look_that_finds_nothing_new_is_not(
    template: Path, demo_url: str
) -> None:
    engine = open_engine(f"sqlite:///{template}")
    with watched(engine) as found:
        assert index_demo(engine, demo_url).is_ok
        indexed = count_of(engine)
        assert index_demo(engine, demo_url).is_ok
        assert count_of(engine) == indexed > 0
        for segment in demo_segments(engine):
            with writing(engine) as session:
                Rebuild(session, CHAIN).rebuild(segment)
            assert count_of(engine) > indexed
            indexed = count_of(engine)
        with writing(engine) as session:
            assert delete_decoded(session, segment.id, 0, 10**6, chain_id=CHAIN) > 0
        assert count_of(engine) == indexed + 1
    assert {uncounted for uncounted, _ in found} == {0}
    engine.dispose()


def test_polls_are_counted(template: Path) -> None:
    engine, registry = open_engine(f"sqlite:///{template}"), load_funds(FUNDS / SLUG)
    with writing(engine) as session:
        write(session, registry)
    with watched(engine) as found:
        run(engine, registry, answering(POLLS))
        polled = count_of(engine)
        run(engine, registry, answering(POLLS))
    assert count_of(engine) == polled > 0
    assert {uncounted for uncounted, _ in found} == {0}
    engine.dispose()
