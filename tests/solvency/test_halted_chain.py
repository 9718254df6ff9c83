"""A halted chain: no day on blocks in doubt has a band, none of them is settled, and all come back."""

from sqlalchemy import Engine

from ledger.database import writing
from ledger.kinds import ChainStatus, SegmentStatus
from ledger.standing import mark_unverified, replace_segment_status, set_chain_status
from tests.solvency.rows import BLOCKS_A_DAY, CHAIN, DAY, START, compute, find_metric, list_metrics, perp_days

SINCE = 1 + 98 * BLOCKS_A_DAY + 60
WHY = f"unverified since block {SINCE:,}: block {SINCE} was final with hash 0xaa and now has 0xbb"


def halt(engine: Engine) -> None:
    with writing(engine) as session:
        set_chain_status(session, CHAIN, ChainStatus.HALTED, WHY.partition(": ")[2])
        mark_unverified(session, CHAIN, number=SINCE, reason=WHY)


def resume(engine: Engine) -> None:
    with writing(engine) as session:
        set_chain_status(session, CHAIN, ChainStatus.NEW)
        replace_segment_status(session, [1], old=SegmentStatus.UNVERIFIED, new=SegmentStatus.NEW)


def test_no_day_since_the_block_in_doubt_keeps_a_band_and_earlier_ones_keep_theirs(engine: Engine) -> None:
    perp_days(100, balance=50_000.0).write(engine)
    halt(engine)
    compute(engine, now=START + DAY * 100.5)
    for day in (98, 99):
        status, raw = find_metric(engine, "status", day), find_metric(engine, "status_raw", day)
        assert (status.text, status.value, status.reason) == ("not_computable", None, WHY)
        assert (raw.value, status.is_day_final) == (None, False)
        data = find_metric(engine, "data_status", day)
        assert (data.text, data.reason) == ("unverified", WHY)
    before = find_metric(engine, "status", 97)
    assert (before.text, before.is_day_final) == ("thin", True)


def test_once_resumed_every_day_is_what_it_would_have_been(engine: Engine) -> None:
    perp_days(100, balance=50_000.0).write(engine)
    now = START + DAY * 100.5
    halt(engine)
    compute(engine, now=now)
    resume(engine)
    compute(engine, now=now)
    assert [find_metric(engine, "status", day).text for day in (97, 98)] == ["thin", "thin"]
    resumed = list_metrics(engine)
    with writing(engine) as session:
        session.connection().exec_driver_sql("DELETE FROM metric")
    compute(engine, now=now)
    assert resumed == list_metrics(engine)
