"""The ledger cut at an earlier time: what stays, what the chain reads as, and what a day's end waits for."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from ledger.database import reading
from ledger.history import CoverageRow, SegmentHistory, list_segments, load_history
from ledger.kinds import ChainStatus, SegmentStatus
from ledger.tables import Chain, Segment
from solvency.past import PastError, cut_at, cut_history, describe_status, find_end, find_settlement
from tests.solvency.rows import BLOCKS_A_DAY, DAY, START, Rows, lossy, perp_days, venue

NOON_OF_2 = START + DAY * 2.5


def load(engine: Engine, rows: Rows) -> SegmentHistory:
    rows.write(engine)
    with reading(engine) as session:
        return load_history(session, list_segments(session)[0])


def number_at(day: float) -> int:
    return 1 + round(day * BLOCKS_A_DAY)


def test_nothing_above_the_last_block_of_that_time_is_left(engine: Engine) -> None:
    history = load(engine, lossy(45))
    past = cut_history(history, START + DAY * 20.2)
    last = number_at(20.2)
    for rows in (past.facts, past.readings, past.prices, past.points, past.blocks):
        assert rows
        assert max(row.number for row in rows) <= last
    assert past.facts[-1].number == past.blocks[-1].number == last  # A block of that very second belongs to it.
    assert [row.to_number for row in past.coverage] == [last]
    assert len(past.facts) < len(history.facts)


def test_a_scan_that_began_later_is_not_known_yet(engine: Engine) -> None:
    history = load(engine, perp_days(5))
    early, late = CoverageRow("f", 1, number_at(1)), CoverageRow("f", number_at(4), number_at(4.5))
    past = cut_history(replace(history, coverage=[early, late]), NOON_OF_2)
    assert past.coverage == [early]


def test_the_chain_reads_as_if_that_block_were_its_head_and_the_given_rows_stay_as_they_are(engine: Engine) -> None:
    history = load(engine, perp_days(5))
    before = history.chain.model_dump(), history.segment.model_dump(), len(history.facts), history.tip_number
    past = cut_history(history, NOON_OF_2 + timedelta(hours=3))
    last = number_at(2.5)
    assert (past.chain.head_number, past.chain.head_time) == (last, NOON_OF_2)
    assert (past.chain.finalized_number, past.tip_number) == (last, last)
    assert past.chain is not history.chain
    after = history.chain.model_dump(), history.segment.model_dump(), len(history.facts), history.tip_number
    assert after == before


def test_a_cut_at_a_block_is_the_cut_at_its_time(engine: Engine) -> None:
    history = load(engine, perp_days(5))
    block = next(block for block in history.blocks if block.number == number_at(2.5))
    one, other = cut_at(history, block), cut_history(history, NOON_OF_2)
    assert (one.facts, one.readings, one.prices) == (other.facts, other.readings, other.prices)
    assert one.chain.model_dump() == other.chain.model_dump()


def test_a_time_before_the_first_block_is_refused_with_that_block(engine: Engine) -> None:
    history = load(engine, perp_days(3))
    with pytest.raises(
        PastError, match=r"f: 2021-01-31 00:00:00 UTC is before the first block in the ledger, 1 of 2021"
    ):
        cut_history(history, START - DAY)


def test_an_empty_ledger_says_that_it_is_empty(engine: Engine) -> None:
    history = replace(load(engine, perp_days(1)), blocks=[])
    with pytest.raises(PastError, match="no block of its chain is in the ledger"):
        cut_history(history, START)
    with pytest.raises(PastError, match="no block of its chain is in the ledger"):
        find_end(history)


@pytest.mark.parametrize(("moment", "status"), [(NOON_OF_2, "following"), (START + DAY * 4.5, "unreachable")])
def test_a_chain_that_is_down_today_was_not_down_while_later_blocks_came(
    engine: Engine, moment: datetime, status: str
) -> None:
    history = load(engine, perp_days(5))
    down = Chain(**{**history.chain.model_dump(), "status": ChainStatus.UNREACHABLE, "status_reason": "no answer"})
    assert cut_history(replace(history, chain=down), moment).chain.status == status


@pytest.mark.parametrize(("moment", "status"), [(NOON_OF_2, "ok"), (START + DAY * 3.5, "unverified")])
def test_a_halt_does_not_reach_back_below_its_block(engine: Engine, moment: datetime, status: str) -> None:
    history = load(engine, perp_days(5))
    told = {"status": SegmentStatus.UNVERIFIED, "status_reason": "in doubt", "status_number": number_at(3.0)}
    segment = Segment(**{**history.segment.model_dump(), **told})
    past = cut_history(replace(history, segment=segment), moment)
    assert past.segment.status == status
    assert segment.status == "unverified"


def test_any_other_status_stays_as_it_is_today_and_that_is_said(engine: Engine) -> None:
    history = load(engine, perp_days(5))
    told = {"status": SegmentStatus.UNKNOWN, "status_reason": "its decoder failed"}
    segment = Segment(**{**history.segment.model_dump(), **told})
    past = cut_history(replace(history, segment=segment), NOON_OF_2)
    assert describe_status(past) == (
        "The segment's status at that time is not kept; today's stands in for it (unknown: its decoder failed)."
    )


def test_a_day_is_settled_by_the_first_scanned_block_after_its_end(engine: Engine) -> None:
    history = load(engine, perp_days(5))
    end = START + DAY * 2
    assert find_settlement(history, end) == NOON_OF_2
    hole = [CoverageRow("f", 1, number_at(1.5)), CoverageRow("f", number_at(3.5), number_at(4.5))]
    assert find_settlement(replace(history, coverage=hole), end) == START + DAY * 3.5
    assert find_settlement(history, START + DAY * 5) is None


def test_a_day_of_a_venue_is_settled_by_its_next_poll(engine: Engine) -> None:
    history = load(engine, venue(4))
    assert find_settlement(history, START + DAY * 2) == NOON_OF_2
    assert find_settlement(history, START + DAY * 4) is None


def test_the_ledger_ends_at_the_chains_head_once_that_is_reached_and_else_at_the_last_block(engine: Engine) -> None:
    history = load(engine, perp_days(3))
    last, later = START + DAY * 2.5, START + DAY * 3
    silent = Chain(**{**history.chain.model_dump(), "head_time": later})
    assert find_end(replace(history, chain=silent)) == later
    behind = Chain(**{**silent.model_dump(), "head_number": number_at(3.0)})
    assert find_end(replace(history, chain=behind)) == last
