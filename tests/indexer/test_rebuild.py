"""Facts decoded anew from stored logs: the same facts, or those of the new decoder, or nothing changed at all."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import Engine, delete, func, select
from sqlmodel import col

from indexer.adapter import AdapterError, FactDraft, Log
from indexer.facts import Prepared
from indexer.rebuild import Rebuild, Rebuilt
from ledger.database import open_engine, reading, writing
from ledger.facts import insert_polled_facts
from ledger.kinds import Contribution, Role
from ledger.stored import delete_decoded, walk_stored_logs
from ledger.tables import Block, Fact, RawLog
from tests.rigs.demo_ledger import demo_segments, index_demo
from tests.rigs.tables import assert_same_tables, dump_tables

CHAIN = 420210501


def rebuild_all(engine: Engine, segments: Sequence[Prepared]) -> list[Rebuilt]:
    """Each segment in a transaction of its own."""
    found = []
    for segment in segments:
        with writing(engine) as session:
            found.append(Rebuild(session, CHAIN).rebuild(segment))
    return found


def test_a_rebuild_of_the_whole_recording_changes_nothing(database_url: str, demo_url: str) -> None:
    engine = open_engine(database_url)
    assert index_demo(engine, demo_url).is_ok
    before = dump_tables(engine)
    with writing(engine) as session:
        session.execute(delete(Fact).where(col(Fact.role) == Role.PARAM))
    assert dump_tables(engine)["fact"] != before["fact"]
    found = rebuild_all(engine, demo_segments(engine))
    assert_same_tables(before, dump_tables(engine))
    assert sum(each.facts_after for each in found) == len(before["fact"])
    engine.dispose()


def reserve_of(engine: Engine, adapter_of: Callable[[Prepared], object] | None = None) -> Prepared:
    """The wallet of the recording, decoded by another adapter where one is given."""
    (segment,) = [each for each in demo_segments(engine) if each.tracked.slug == "reserve-simulated"]
    if adapter_of is None:
        return segment
    return replace(segment, tracked=replace(segment.tracked, adapter=adapter_of(segment)))


def facts_of(engine: Engine, segment: Prepared) -> list[dict[str, object]]:
    return [row for row in dump_tables(engine)["fact"] if row["segment_id"] == segment.id]


def test_a_later_decoder_signs_its_facts(copy_demo: Callable[[], Engine]) -> None:
    engine = copy_demo()

    def later(segment: Prepared) -> object:
        class Later(type(segment.tracked.adapter)):  # type: ignore[misc]
            version = 2

        made = object.__new__(Later)
        made.__dict__.update(segment.tracked.adapter.__dict__)
        return made

    before = facts_of(engine, reserve_of(engine))
    rebuild_all(engine, [reserve_of(engine, later)])
    after = facts_of(engine, reserve_of(engine))
    assert {row["decoder"] for row in before} == {"address_fund@1"}
    assert after == [{**row, "decoder": "address_fund@2"} for row in before]


def test_a_decoder_that_stumbles_leaves_the_facts_as_they_were(copy_demo: Callable[[], Engine]) -> None:
    engine = copy_demo()
    before = dump_tables(engine)

    def stumbling(segment: Prepared) -> object:
        honest = segment.tracked.adapter

        class Stumbling(type(honest)):  # type: ignore[misc]
            def decode(self, log: Log) -> Sequence[FactDraft]:
                if int(log.block_number, 16) > 800:
                    raise AdapterError("this layout is new to it")
                found: Sequence[FactDraft] = super().decode(log)
                return found

        made = object.__new__(Stumbling)
        made.__dict__.update(honest.__dict__)
        return made

    with pytest.raises(AdapterError, match=r"reserve-simulated: .*left as they are"):
        rebuild_all(engine, [reserve_of(engine, stumbling)])
    assert_same_tables(before, dump_tables(engine))


KILLED = """
import os, signal, sys
from indexer.rebuild import Rebuild
from ledger.database import open_engine, writing
from tests.rigs.demo_ledger import demo_segments
from tests.indexer.test_rebuild import CHAIN

engine = open_engine(sys.argv[1])
segment = max(demo_segments(engine), key=lambda each: each.tracked.slug)
def die(done, total):
    os.kill(os.getpid(), signal.SIGKILL)
with writing(engine) as session:
    Rebuild(session, CHAIN).rebuild(segment, die)
"""


def test_a_rebuild_that_is_killed_in_the_middle_leaves_the_facts_as_they_were(copy_demo: Callable[[], Engine]) -> None:
    engine = copy_demo()
    before = dump_tables(engine)
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED, url]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert_same_tables(before, dump_tables(engine))


def test_facts_that_no_log_stands_behind_are_left_alone(copy_demo: Callable[[], Engine]) -> None:
    engine = copy_demo()
    segment = reserve_of(engine)
    with writing(engine) as session:
        block = session.execute(select(Block).where(col(Block.number) == 500)).scalar_one()
        polled = (CHAIN, block.hash, 9999, 0, segment.id, 500, block.timestamp, None, Role.CONTRIBUTION,
                  Contribution.TOP_UP, None, 0, None, None, None, 499, None, "poll@1")  # fmt: skip
        insert_polled_facts(session, CHAIN, [polled])
    before = facts_of(engine, segment)
    assert any(row["decoder"] == "poll@1" for row in before)
    with writing(engine) as session:
        assert delete_decoded(session, segment.id, 0, 10**6, chain_id=CHAIN) == len(before) - 1
        session.rollback()
    rebuild_all(engine, [segment])
    assert facts_of(engine, segment) == before


@pytest.mark.parametrize("window", [1, 2, 7, 10_000])
def test_stored_logs_are_read_by_whole_blocks_each_once_and_few_at_a_time(
    copy_demo: Callable[[], Engine], window: int
) -> None:
    engine = copy_demo()
    with reading(engine) as session:
        total = session.execute(select(func.count()).select_from(RawLog)).scalar_one()
        most = session.execute(
            select(func.count()).select_from(RawLog).group_by(col(RawLog.block_number)).order_by(func.count().desc())
        ).scalars().first()  # fmt: skip
        windows = list(walk_stored_logs(session, CHAIN, 0, 10**9, window=window))
    places = [(row.block_number, row.log_index) for rows in windows for row in rows]
    assert places == sorted(set(places))
    assert len(places) == total
    assert max(len(rows) for rows in windows) <= max(window, most or 0)
    ends = [(rows[0].block_number, rows[-1].block_number) for rows in windows]
    assert all(one[1] < other[0] for one, other in pairwise(ends))
