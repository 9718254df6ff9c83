"""What level rules make of readings: known ones argue, unknown and stale ones do not, a bound argues one way only."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.levels import (
    Source,
    look_at_age,
    look_at_balance,
    look_at_composition,
    look_at_coverage,
    look_at_data,
    look_at_halt,
    look_at_reconciliation,
    look_at_status,
    own_token_share,
)
from alerts.machine import Signal
from alerts.thresholds import load_rules
from ledger.alerts import BalanceRow, NewestNumber, NumberRow
from ledger.kinds import ChainStatus, DataStatus, SegmentStatus, Status

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULES = load_rules().levels
CLEAR = Signal(0, is_clear=True)


def number(name: str, value: object = None, **more: Any) -> NumberRow:
    told = {"text": None, "quality": "ok", "detail": None} | more
    return NumberRow(name, 7, START, "0x7", None if value is None else Decimal(str(value)), **told)


def signal_of_coverage(value: object, **more: Any) -> Signal | None:
    (look,) = look_at_coverage("coverage_low", RULES["coverage_low"], [number("coverage", value, **more)])
    return look.signal


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.3, CLEAR), (1.05, Signal(0)), (0.7, Signal(1)), (0.4, Signal(2)), (-0.1, Signal(3)), (None, None)],
)
def test_coverage_argues_by_its_thresholds(value: float | None, expected: Signal | None) -> None:
    assert signal_of_coverage(value) == expected


@pytest.mark.parametrize("quality", ["unknown", "stale"])
def test_a_stale_or_unknown_coverage_argues_for_nothing_even_if_it_has_a_value(quality: str) -> None:
    assert signal_of_coverage(0.1, quality=quality) is None
    assert signal_of_coverage(3.0, quality=quality) is None
    assert signal_of_coverage(0.1, quality="partial") == Signal(3)


@pytest.mark.parametrize(("value", "expected"), [(0.1, None), (0.99, None), (1.05, None), (1.2, CLEAR)])
def test_a_lower_bound_argues_for_the_end_and_never_for_low(value: float, expected: Signal | None) -> None:
    assert signal_of_coverage(value, quality="partial", detail={"is_lower_bound": True}) == expected


def test_each_rule_reads_its_own_metric() -> None:
    rows = [number("coverage", 0.7), number("status", text="depleted"), number("usable_value", 5)]
    assert [look.signal for look in look_at_coverage("c", RULES["coverage_low"], rows)] == [Signal(1)]
    assert [look.signal for look in look_at_status("s", rows)] == [Signal(1)]
    assert [look.signal for look in look_at_composition("o", RULES["own_token_high"], rows)] == [None]


@pytest.mark.parametrize("text", [status for status in Status if status is not Status.NOT_COMPUTABLE])
def test_depleted_is_what_is_published_as_depleted(text: str) -> None:
    (look,) = look_at_status("depleted", [number("status", text=text)])
    assert look.signal == (Signal(1) if text == "depleted" else CLEAR)


@pytest.mark.parametrize(
    "more", [{"text": "not_computable"}, {}, {"text": "depleted", "quality": "stale"},
             {"text": "depleted", "quality": "unknown"}],
)  # fmt: skip
def test_a_status_that_is_not_known_argues_for_nothing(more: dict[str, Any]) -> None:
    (look,) = look_at_status("depleted", [number("status", **more)])
    assert look.signal is None


def asset(quantity: str | None, price: str | None, *, own: bool) -> dict[str, Any]:
    return {"symbol": "X", "qty": quantity, "price": price, "floor_haircut": 1.0 if own else 0.0}


@pytest.mark.parametrize(
    ("assets", "share"),
    [
        ([asset("100", "2", own=True), asset("600", "1", own=False)], "0.25"),
        ([asset("100", "2", own=True)], "1"),
        ([asset("5", "1", own=False)], "0"),
        ([asset("0", "1", own=True)], None),
        ([asset("5", None, own=True), asset("5", "1", own=False)], None),
        ([asset("5", "1", own=True), asset(None, "1", own=False)], None),
        ([asset("5", "nan", own=True), asset("5", "1", own=False)], None),
        ([], None),
    ],
)
def test_the_share_of_the_own_token_is_known_only_where_every_asset_is(
    assets: list[dict[str, Any]], share: str | None
) -> None:
    assert own_token_share({"assets": assets}) == (None if share is None else Decimal(share))


@pytest.mark.parametrize(
    ("own", "expected"),
    [(10, CLEAR), (18, CLEAR), (19, Signal(0)), (20, Signal(0)), (21, Signal(1)), (51, Signal(2))],
)
def test_much_of_the_own_token_is_a_warning_and_most_of_it_critical(own: int, expected: Signal) -> None:
    detail = {"assets": [asset(str(own), "1", own=True), asset(str(100 - own), "1", own=False)]}
    row = number("usable_value", 100 - own, detail=detail)
    (look,) = look_at_composition("own_token_high", RULES["own_token_high"], [row])
    assert (look.signal, look.value) == (expected, Decimal(own) / 100)


def drops(*balances: tuple[float, int | None], above: int = -1) -> list[tuple[int, Decimal | None, float | None]]:
    """(level, held against, within hours) of balances at hours, in order; a level of −1 is nothing to say."""
    rows = [
        BalanceRow(place, START + hour * HOUR, f"0x{place}", None if value is None else value * 10**6, 6)
        for place, (hour, value) in enumerate(balances)
    ]
    looks = look_at_balance("balance_dropped", RULES["balance_dropped"], rows, above=above)
    return [(look.signal.level if look.signal else -1, look.compared, look.hours) for look in looks]


def test_a_tenth_lost_within_an_hour_is_the_first_level_and_less_is_none() -> None:
    assert drops((0, 1000), (1, 900))[-1] == (1, Decimal(1000), 1)
    assert drops((0, 1000), (1, 901))[-1] == (0, None, None)


def test_a_tenth_lost_over_two_hours_is_no_drop_within_an_hour() -> None:
    assert drops((0, 1000), (1, 950), (2, 900))[-1] == (0, None, None)


def test_a_quarter_lost_within_a_day_is_the_second_level_and_over_more_than_a_day_it_is_none() -> None:
    slowly = [(hour, 1000 - 10 * hour) for hour in range(26)]
    assert drops(*slowly)[24] == (0, None, None)  # 760 after 1,000.
    assert drops(*slowly)[25] == (0, None, None)  # 750, but a day earlier it was 990.
    faster = [(hour, 1000 - 11 * hour) for hour in range(24)]
    assert drops(*faster)[23] == (2, Decimal(1000), 24)  # 747 after 1,000.


def test_the_balance_that_stood_when_the_hours_began_counts_however_long_ago_it_was_read() -> None:
    assert drops((0, 1000), (30, 900))[-1] == (1, Decimal(1000), 1)
    assert drops((0, 1000), (300, 740))[-1] == (2, Decimal(1000), 24)


def test_a_peak_between_counts_and_a_refill_makes_the_drop_disappear() -> None:
    assert drops((0, 500), (0.2, 1000), (0.5, 880))[-1] == (1, Decimal(1000), 1)
    assert drops((0, 1000), (0.5, 500), (0.9, 1000))[-1] == (0, None, None)


def test_a_balance_that_falls_below_zero_is_a_drop_and_from_zero_nothing_can_drop() -> None:
    assert drops((0, 1000), (0.5, -200))[-1] == (2, Decimal(1000), 24)
    assert drops((0, 0), (0.5, -200))[-1] == (0, None, None)
    assert drops((0, -100), (0.5, -200))[-1] == (0, None, None)


def test_an_unknown_balance_says_nothing_and_is_no_peak() -> None:
    assert drops((0, 1000), (0.5, None), (0.6, 950)) == [(0, None, None), (-1, None, None), (0, None, None)]


def test_only_balances_above_the_given_block_are_looked_at_but_those_before_are_held_against_them() -> None:
    assert drops((0, 1000), (0.5, 700), (0.6, 690), above=1) == [(2, Decimal(1000), 24)]


def source(**more: Any) -> Source:
    told: dict[str, Any] = {
        "status": "following", "status_reason": "", "now": START + 3 * HOUR, "head_time": START + 3 * HOUR,
        "tip_number": 9, "tip_hash": "0x9", "tip_time": START + 3 * HOUR, "still": timedelta(),
    }  # fmt: skip
    return Source(**(told | more))


@pytest.mark.parametrize(
    ("minutes", "still_seconds", "expected"),
    [
        (0, 0, CLEAR), (15, 600, CLEAR), (15.1, 600, Signal(0)), (30, 1800, Signal(0)), (30.1, 1800, Signal(1)),
        (31, 60, Signal(1)), (31, 59, Signal(0)), (5000, 12, Signal(0)),
    ],
)  # fmt: skip
def test_data_are_stale_when_the_tip_is_old_and_stands_still(
    minutes: float, still_seconds: float, expected: Signal
) -> None:
    seen = source(tip_time=START + 3 * HOUR - minutes * MINUTE, still=timedelta(seconds=still_seconds))
    assert look_at_age("data_stale", RULES["data_stale"], seen, until=seen.now).signal == expected


def test_a_tip_ahead_of_our_clock_is_not_of_a_negative_age() -> None:
    look = look_at_age("data_stale", RULES["data_stale"], source(now=START), until=START)
    assert (look.signal, look.value) == (CLEAR, Decimal(0))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(ChainStatus.HALTED, Signal(1)), (ChainStatus.FOLLOWING, CLEAR), (ChainStatus.UNREACHABLE, Signal(0)),
     (ChainStatus.NEW, Signal(0))],
)  # fmt: skip
def test_sources_disagree_while_the_chain_is_halted_and_agree_when_it_is_followed_again(
    status: ChainStatus, expected: Signal
) -> None:
    look = look_at_halt("source_disagreement", source(status=status, status_reason="why"))
    assert (look.signal, look.reason) == (expected, "why")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(SegmentStatus.UNRECONCILED, Signal(1)), (SegmentStatus.OK, CLEAR), (SegmentStatus.NEW, None),
     (SegmentStatus.UNKNOWN, None), (SegmentStatus.UNVERIFIED, None), ("another", None)],
)  # fmt: skip
def test_reconciliation_is_judged_only_where_it_was_decided(status: str, expected: Signal | None) -> None:
    assert look_at_reconciliation("unreconciled", status, "", source()).signal == expected


@pytest.mark.parametrize(
    ("status", "balance", "expected"),
    [(None, "ok", None), (DataStatus.SOURCE_DOWN, "unknown", None), (DataStatus.UNVERIFIED, "unknown", None),
     (DataStatus.STALE, "ok", Signal(1)), (DataStatus.VERIFIED, "unknown", Signal(1)),
     (DataStatus.VERIFIED, None, CLEAR),
     *((status, "ok", CLEAR) for status in (DataStatus.VERIFIED, DataStatus.PARTIAL, DataStatus.UNRECONCILED))],
)  # fmt: skip
def test_what_is_read_is_old_or_missing_where_the_published_numbers_say_so(
    status: DataStatus | None, balance: str | None, expected: Signal | None
) -> None:
    told = None if status is None else NewestNumber(status, "ok", "3 h old")
    held = None if balance is None else NewestNumber(None, balance, "reverted")
    look = look_at_data("numbers_stale", told, held, source())
    assert look.signal == expected
    reasons = {DataStatus.STALE: "3 h old", DataStatus.VERIFIED: "reverted"}
    assert look.reason == (reasons[status] if expected == Signal(1) and status else "")


def test_how_we_stand_is_no_reading_of_a_block() -> None:
    stands = [
        look_at_age("data_stale", RULES["data_stale"], source(), until=START),
        look_at_data("numbers_stale", None, None, source()),
        look_at_halt("source_disagreement", source()),
        look_at_reconciliation("unreconciled", "ok", "", source()),
    ]
    assert not any(look.is_of_block for look in stands)
    (read,) = look_at_coverage("coverage_low", RULES["coverage_low"], [number("coverage", 1)])
    assert read.is_of_block
