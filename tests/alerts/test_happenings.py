"""Facts in words: the name each is told under, sentences and subject lines as a whole, exact sums, evidence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.happenings import MOST_EVIDENCE, Happening, draft_happenings, group_key, name_happenings, share_of
from alerts.message import Change, Evidence, Message
from alerts.scene import Scene
from alerts.thresholds import load_rules
from ledger.alerts import HappeningRow
from ledger.kinds import AlertEvent, Role, SourceKind
from tests.rigs.alert_ledger import UNIT, digest, plain
from tests.rigs.alert_scene import make_scene

RULES = load_rules()
TIME = datetime(2026, 3, 2, 17, 2, tzinfo=UTC)
AT = "block 1,234 (2 Mar 2026, 17:02 UTC)"
ADDRESS = "0x" + "ab" * 20
SHORT = "0xababab…abab"


def make_row(role: Role = Role.SHORTFALL, amount: object = None, **more: Any) -> HappeningRow:
    told: dict[str, Any] = {
        "segment_id": 1, "role": role, "account": None, "market": None, "block_number": 1234, "block_time": TIME,
        "block_hash": digest("block"), "log_index": 7, "fact_no": 0, "tx_hash": digest("tx"), "since_number": None,
        "detail": None, "amount_raw": None if amount is None else int(Decimal(str(amount)) * UNIT),
        "asset_id": None if amount is None else 1,
    } | more  # fmt: skip
    return HappeningRow(**told)


def name(*rows: HappeningRow) -> list[Happening]:
    return list(name_happenings(rows, {1: "example", 2: "other"}, RULES))


def tell(happenings: Sequence[Happening], scene: Scene | None = None) -> Message:
    rule = RULES.events[happenings[0].event]
    return draft_happenings(happenings, rule, scene or make_scene(), key=group_key(happenings)).message


def later(row: HappeningRow, time: timedelta) -> HappeningRow:
    return row._replace(block_time=row.block_time + time, tx_hash=digest("tx", time))


CASES: list[tuple[HappeningRow, str, str]] = [
    (
        make_row(Role.SHORTFALL, "13133.478889"),
        "[Short] Example fund: shortfall of 13,134 USDC, 2 Mar 2026, 17:02 UTC",
        f"A shortfall of 13,134 USDC at Example fund, at {AT}.",
    ),
    (
        make_row(Role.ADL, 5, market=ADDRESS),
        "[Short] Example fund: auto-deleveraging of 5 USDC, 2 Mar 2026, 17:02 UTC",
        f"An auto-deleveraging of 5 USDC at Example fund, market {SHORT}, at {AT}.",
    ),
    (
        make_row(Role.ADL),
        "[Short] Example fund: auto-deleveraging, 2 Mar 2026, 17:02 UTC",
        f"An auto-deleveraging at Example fund, at {AT}.",
    ),
    (
        make_row(Role.SOCIALISED_LOSS, "0.1234567", market="SOL-PERP"),
        "[Short] Example fund: socialised loss of 0.123456 USDC, 2 Mar 2026, 17:02 UTC",
        f"A socialised loss of 0.123456 USDC at Example fund, market SOL-PERP, at {AT}.",
    ),
    (
        make_row(Role.PAYOUT, 90, detail={"event": "Slashed"}),
        "[Short] Example fund: slashing of 90 USDC, 2 Mar 2026, 17:02 UTC",
        f"A slashing of 90 USDC at Example fund, at {AT}.",
    ),
    (
        make_row(Role.CONTROL, account=ADDRESS, detail={"event": "SetOwner"}),
        f"[Short] Example fund: change of the owner: it is now {SHORT}, 2 Mar 2026, 17:02 UTC",
        f"A change of the owner at Example fund: it is now {SHORT}, at {AT}.",
    ),
    (
        make_row(Role.CONTROL, detail={"event": "Upgraded"}),
        "[Short] Example fund: change of the implementation, 2 Mar 2026, 17:02 UTC",
        f"A change of the implementation at Example fund, at {AT}.",
    ),
    (
        make_row(Role.MARKET_SHUTDOWN, market=ADDRESS, detail={"name": "market_state", "value": "paused"}),
        "[Short] Example fund: pause or shutdown: market state is now paused, 2 Mar 2026, 17:02 UTC",
        f"A pause or shutdown at Example fund, market {SHORT}: market state is now paused, at {AT}.",
    ),
    (
        make_row(Role.CONTROL, detail={"event": "Paused"}),
        "[Short] Example fund: pause or shutdown, 2 Mar 2026, 17:02 UTC",
        f"A pause or shutdown at Example fund, at {AT}.",
    ),
    (
        make_row(Role.PARAM, detail={"name": "distribution_threshold", "value": "5000"}),
        "[Short] Example fund: change of a parameter: distribution threshold is now 5000, 2 Mar 2026, 17:02 UTC",
        f"A change of a parameter at Example fund: distribution threshold is now 5000, at {AT}.",
    ),
]


@pytest.mark.parametrize(("row", "subject", "sentence"), CASES, ids=[f"{case[0].role}" for case in CASES])
def test_every_kind_of_fact_has_its_subject_line_and_sentence(row: HappeningRow, subject: str, sentence: str) -> None:
    message = tell(name(row))
    assert (plain(message.subject), plain(message.sentence)) == (subject, sentence)
    assert not {"None", "nan", "NaN", "unknown"} & set(str(message.to_json()).replace("'", " ").split())
    assert Message.of_json(message.to_json()) == message


def test_a_large_withdrawal_says_which_share_of_the_balance_left() -> None:
    (one,) = name(make_row(Role.WITHDRAWAL, 1200))
    message = tell([replace(one, share=Decimal("0.1234"))])
    assert plain(message.subject) == "[Short] Example fund: large withdrawal of 1,200 USDC, 2 Mar 2026, 17:02 UTC"
    assert plain(message.sentence) == (
        f"A large withdrawal of 1,200 USDC (12.3 % of the balance before) at Example fund, at {AT}."
    )
    (change,) = message.changes
    assert (change.name, plain(change.after)) == ("Share of the balance that left", "12.3 %")


def test_several_are_counted_and_their_exact_sum_is_given() -> None:
    first = make_row(Role.SHORTFALL, "0.000001")
    rows = [first, later(first, timedelta(minutes=4)), later(make_row(Role.SHORTFALL, 1000), timedelta(minutes=8))]
    message = tell(name(*rows))
    assert plain(message.subject) == (
        "[Short] Example fund: 3 shortfalls, 1,001 USDC in all, 2 Mar 2026, 17:10 UTC"  # Losses are rounded up.
    )
    assert plain(message.sentence) == (
        "3 shortfalls at Example fund between 17:02 and 17:10 UTC, 2 Mar 2026, 1,001 USDC in all."
    )
    small = tell(name(first, later(first, timedelta(minutes=4))))
    assert plain(small.sentence) == (
        "2 shortfalls at Example fund between 17:02 and 17:06 UTC, 2 Mar 2026, 0.000002 USDC in all."
    )


def test_a_group_within_a_minute_or_over_midnight_says_so() -> None:
    first = make_row(Role.ADL)
    together = tell(name(first, first._replace(log_index=8)))
    assert plain(together.sentence) == "2 auto-deleveragings at Example fund, at 2 Mar 2026, 17:02 UTC."
    over_midnight = tell(name(first, later(first, timedelta(hours=7))))
    assert plain(over_midnight.sentence) == (
        "2 auto-deleveragings at Example fund between 2 Mar 2026, 17:02 UTC and 3 Mar 2026, 00:02 UTC."
    )


def test_assets_are_never_added_up() -> None:
    rows = [make_row(Role.SHORTFALL, 5), make_row(Role.SHORTFALL, 7, asset_id=9, log_index=8)]
    message = tell(name(*rows))
    assert "5 USDC + 7,000,000 smallest units in all" in plain(message.sentence)


def test_the_market_is_named_by_its_symbol_where_it_is_known() -> None:
    scene = make_scene(symbol="vETH")
    message = tell(name(make_row(Role.ADL, market="0x" + "11" * 20)), scene)
    assert plain(message.sentence) == f"An auto-deleveraging at Example fund, market vETH, at {AT}."


def test_the_value_before_is_given_where_it_is_known() -> None:
    (parameter,) = name(make_row(Role.PARAM, detail={"name": "fee_ratio", "value": "300"}))
    assert tell([replace(parameter, before="100")]).changes == (Change("Fee ratio", "100", "300"),)
    detail = {"name": "fee_ratio", "value": "300", "unit": "fraction", "decimals": 6}
    (ratio,) = name(make_row(Role.PARAM, detail=detail))
    message = tell([replace(ratio, before="1000")])
    assert [(plain(one.before), plain(one.after)) for one in message.changes] == [("0.1 %", "0.03 %")]
    assert ": fee ratio is now 0.03 %, at" in plain(message.sentence)
    (owner,) = name(
        make_row(Role.CONTROL, account=ADDRESS, detail={"event": "OwnershipTransferred", "before": "0x" + "cd" * 20})
    )
    assert tell([owner]).changes == (Change("Owner", "0x" + "cd" * 20, ADDRESS),)


def test_evidence_is_transaction_block_and_log_with_the_explorers_address() -> None:
    message = tell(name(make_row(Role.SHORTFALL, 5)))
    first, all_events = message.evidence
    transaction = digest("tx")
    assert plain(first.text) == f"5 USDC: tx {transaction[:8]}…{transaction[-4:]}, block 1,234, log 7"
    assert first.href == f"https://explorer.example/tx/{transaction}"
    assert all_events == Evidence("All events of the fund", "/funds/example")
    assert (message.tx_hash, message.block_number) == (transaction, 1234)


def test_of_many_facts_the_first_dozen_are_listed_and_the_rest_counted() -> None:
    rows = [make_row(Role.SHORTFALL, 1, log_index=log, tx_hash=digest(log)) for log in range(30)]
    message = tell(name(*rows))
    assert len(message.evidence) == MOST_EVIDENCE + 2
    assert message.evidence[-2] == Evidence("and 18 more, one by one on the fund's page")
    assert message.tx_hash == ""


def test_a_poll_names_the_time_between_and_a_reconstruction_shows_nothing_made_up() -> None:
    scene = make_scene(kind=SourceKind.THIRD_PARTY)
    scene.chain.is_venue = True
    since = int((TIME - timedelta(minutes=31)).timestamp())
    polled = tell(name(make_row(Role.SHORTFALL, 5, tx_hash=None, since_number=since)), scene)
    assert plain(polled.evidence[0].text) == "5 USDC: between the polls of 2 Mar 2026, 16:31 and 17:02 UTC"
    assert plain(polled.sentence) == ("A shortfall of 5 USDC at Example fund, at the poll of 2 Mar 2026, 17:02 UTC.")
    made_up = tell(name(make_row(Role.SHORTFALL, 5)), make_scene(kind=SourceKind.RECONSTRUCTED))
    assert (made_up.block_number, made_up.block_hash, made_up.tx_hash) == (None, "", "")
    assert plain(made_up.sentence) == "A shortfall of 5 USDC at Example fund, at 2 Mar 2026, 17:02 UTC."


def test_hostile_symbols_markets_and_values_stay_plain_text() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    message = tell(name(make_row(Role.SHORTFALL, 5, market="<b>m</b>")), make_scene(symbol=hostile))
    assert plain(message.sentence) == f"A shortfall of 5 {hostile} at Example fund, market <b>m</b>, at {AT}."
    long = tell(name(make_row(Role.PARAM, detail={"name": "note", "value": "x" * 5000})))
    assert len(long.sentence) < 500
    assert len(long.subject) < 500


def test_a_fact_is_named_by_its_transaction_and_its_place_in_it_so_that_a_reorganisation_keeps_the_name() -> None:
    tx, other = digest("a"), digest("b")
    rows = [
        make_row(Role.SHORTFALL, 1, tx_hash=tx, log_index=3),
        make_row(Role.SHORTFALL, 1, tx_hash=tx, log_index=4),
        make_row(Role.SOCIALISED_LOSS, 1, tx_hash=tx, log_index=4, fact_no=1),
        make_row(Role.SHORTFALL, 1, tx_hash=other, log_index=5),
        make_row(Role.SHORTFALL, 1, tx_hash=other, log_index=5, segment_id=2),
    ]
    keys = [one.key for one in name(*rows)]
    assert keys == [
        f"fund.shortfall.recorded:example:shortfall:{tx}:0",
        f"fund.shortfall.recorded:example:shortfall:{tx}:1",
        f"platform.loss.socialized:example:socialised_loss:{tx}:0",
        f"fund.shortfall.recorded:example:shortfall:{other}:0",
        f"fund.shortfall.recorded:other:shortfall:{other}:0",
    ]
    moved = [row._replace(block_number=1240, block_hash=digest("new"), log_index=row.log_index + 10) for row in rows]
    assert [one.key for one in name(*moved)] == keys
    poll = make_row(Role.SHORTFALL, 1, tx_hash=None)
    assert name(poll)[0].key == f"fund.shortfall.recorded:example:shortfall:{poll.block_hash}:0"


def test_the_place_counts_facts_that_no_rule_speaks_of_too() -> None:
    rows = [
        make_row(Role.CONTROL, detail={"event": "Renamed"}),
        make_row(Role.CONTROL, detail={"event": "Paused"}, log_index=8),
    ]
    assert [(one.event, one.key[-2:]) for one in name(*rows)] == [(AlertEvent.PAUSED, ":1")]


def test_a_groups_key_is_that_of_its_first_fact_and_how_many_follow() -> None:
    happenings = name(*(make_row(Role.SHORTFALL, 1, tx_hash=digest(n)) for n in range(3)))
    assert group_key(happenings[:1]) == happenings[0].key
    assert group_key(happenings) == happenings[0].key + ":and2"


@pytest.mark.parametrize(
    ("amount", "before", "share"),
    [(100, 1000, "0.1"), (100, 0, None), (100, -5, None), (100, None, None), (None, 1000, None), (300, 100, "3")],
)
def test_the_share_of_a_withdrawal_needs_a_balance_above_zero(
    amount: int | None, before: int | None, share: str | None
) -> None:
    place = make_scene().place
    assert place is not None
    known = None if before is None else Decimal(before)
    found = share_of(make_row(Role.WITHDRAWAL, amount), known, place.asset)
    assert found == (None if share is None else Decimal(share))
    assert share_of(make_row(Role.WITHDRAWAL, 1), Decimal(1), None) is None


def test_every_fact_is_a_ground_that_a_reorganisation_may_take() -> None:
    happenings = name(*(make_row(Role.SHORTFALL, 1, tx_hash=digest(n), block_number=n) for n in range(3)))
    draft = draft_happenings(happenings, RULES.events[happenings[0].event], make_scene(), key="k")
    assert [(ground.key, ground.number) for ground in draft.grounds] == [
        (one.key, n) for n, one in enumerate(happenings)
    ]
    assert (draft.fund_slug, draft.subject, draft.chain_id, draft.number) == ("example", "example", 1, 2)
