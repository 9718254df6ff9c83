"""Changes of state in words: each rule's sentence and subject line as a whole, and what every message says besides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.book import Flip
from alerts.drafts import Draft
from alerts.flips import draft_flip
from alerts.levels import Look
from alerts.machine import Said, Signal
from alerts.message import Change, Message
from alerts.scene import Scene
from alerts.thresholds import load_rules
from ledger.kinds import SourceKind
from tests.rigs.alert_ledger import plain
from tests.rigs.alert_scene import make_scene

RULES = load_rules()
TIME = datetime(2026, 3, 2, 17, 2, tzinfo=UTC)
AT = "block 1,234 (2 Mar 2026, 17:02 UTC)"


def make_flip(rule: str, said: Said = Said.BEGAN, *, level: int = 1, before: object = None, **look: Any) -> Flip:
    told: dict[str, Any] = {"value": None, "number": 1234, "block_hash": "0xabc"} | look
    if told["value"] is not None:
        told["value"] = Decimal(str(told["value"]))
    if told.get("compared") is not None:
        told["compared"] = Decimal(str(told["compared"]))
    seen = Look(rule, TIME, signal=Signal(level), **told)
    return Flip(rule, said, seen, None if before is None else Decimal(str(before)), level, TIME - timedelta(minutes=2))


def draft(flip: Flip, scene: Scene | None = None) -> Draft:
    made = draft_flip(flip, RULES, scene or make_scene())
    assert made is not None
    return made


def words(message: Message) -> tuple[str, str]:
    """Subject line and sentence."""
    return plain(message.subject), plain(message.sentence)


STANDS = {"is_of_block": False, "reason": ""}
COVERAGE = {"value": "0.7142", "before": "1.1284"}
CASES: list[tuple[Flip, bool, str, str]] = [
    (
        make_flip("coverage_low", **COVERAGE),
        False,
        "[Short] Example fund: coverage 0.71× (was 1.12×), 2 Mar 2026, 17:02 UTC",
        f"Coverage of Example fund fell to 0.71× at {AT}: it could pay less than its reference loss.",
    ),
    (
        make_flip("coverage_low", value="0.71"),
        False,
        "[Short] Example fund: coverage 0.71×, 2 Mar 2026, 17:02 UTC",
        f"Coverage of Example fund fell to 0.71× at {AT}: it could pay less than its reference loss.",
    ),
    (
        make_flip("coverage_low", Said.WORSENED, level=2, value="-0.031", before="0.71"),
        False,
        "[Short] Example fund: coverage −0.04× (was 0.71×), 2 Mar 2026, 17:02 UTC",
        f"Coverage of Example fund fell further, to −0.04× at {AT}: it could pay less than its reference loss.",
    ),
    (
        make_flip("coverage_low", Said.ENDED, value="1.1", before="0.71"),
        False,
        "[Short] Example fund: coverage 1.10× (was 0.71×), 2 Mar 2026, 17:02 UTC",
        f"Coverage of Example fund is 1.10× again at {AT}.",
    ),
    (
        make_flip("coverage_low", Said.UNSTABLE, **COVERAGE),
        False,
        "[Short] Example fund: changes too often to be told each time, 2 Mar 2026, 17:02 UTC",
        "At Example fund this began more than 4 times within 24 hours: coverage fell below the threshold. "
        "Until it calms down only the digest speaks of it.",
    ),
    (
        make_flip("depleted"),
        False,
        "[Short] Example fund: depleted, 2 Mar 2026, 17:02 UTC",
        f"Nothing is left in Example fund to pay with at {AT}.",
    ),
    (
        make_flip("balance_dropped", value="880", compared="1000", hours=1),
        False,
        "[Short] Example fund: balance down 12 % within an hour, 2 Mar 2026, 17:02 UTC",
        f"The balance of Example fund dropped by 12 % within an hour: from 1,000 USDC to 880 USDC, at {AT}.",
    ),
    (
        make_flip("balance_dropped", level=2, value="1234.5678", compared="2000", hours=24),
        False,
        "[Short] Example fund: balance down 38.3 % within 24 hours, 2 Mar 2026, 17:02 UTC",
        f"The balance of Example fund dropped by 38.3 % within 24 hours: from 2,000 USDC to 1,234 USDC, at {AT}.",
    ),
    (
        make_flip("balance_dropped", level=2, value="0", compared="2000", hours=24),
        False,
        "[Short] Example fund: balance down 100 % within 24 hours, 2 Mar 2026, 17:02 UTC",
        f"The balance of Example fund dropped by 100 % within 24 hours: from 2,000 USDC to 0 USDC, at {AT}.",
    ),
    (
        make_flip("balance_dropped", level=2, value="-50", compared="2000", hours=24),
        False,
        "[Short] Example fund: balance below zero within 24 hours, 2 Mar 2026, 17:02 UTC",
        "The balance of Example fund dropped by more than all of it within 24 hours: from 2,000 USDC to −50 USDC, "
        f"at {AT}.",
    ),
    (
        make_flip("own_token_high", value="0.2345", before="0.19"),
        False,
        "[Short] Example fund: 23.4 % in the platform's own token, 2 Mar 2026, 17:02 UTC",
        "23.4 % of the value of Example fund is in the platform's own token, which falls when the platform does, "
        f"at {AT}.",
    ),
    (
        make_flip("unreconciled", is_of_block=False, reason="12.00 USDC are missing since block 1,200."),
        False,
        "[Short] Example fund: flows do not explain the balance, 2 Mar 2026, 17:02 UTC",
        "Recorded flows do not explain the balance of Example fund: 12.00 USDC are missing since block 1,200.",
    ),
    (
        make_flip("unreconciled", **STANDS),
        False,
        "[Short] Example fund: flows do not explain the balance, 2 Mar 2026, 17:02 UTC",
        "Recorded flows do not explain the balance of Example fund.",
    ),
    (
        make_flip("data_stale", value=31, **(STANDS | {"reason": "connection refused"})),
        False,
        "[Short] Example fund: data are 31 min old, 2 Mar 2026, 17:02 UTC",
        "Nothing newer than 31 min was read for Example fund. What is printed about it is old, and nothing new can be "
        "announced. The source says: connection refused.",
    ),
    (
        make_flip("data_stale", value=125, **STANDS),
        False,
        "[Short] Example fund: data are 2 h old, 2 Mar 2026, 17:02 UTC",
        "Nothing newer than 2 h was read for Example fund. What is printed about it is old, and nothing new can be "
        "announced.",
    ),
    (
        make_flip("data_stale", Said.ENDED, value=0, **STANDS),
        False,
        "[Short] Example fund: data are current again, 2 Mar 2026, 17:02 UTC",
        "Data of Example fund are current again: the newest block read is 0 min old.",
    ),
    (
        make_flip("indexer_lagging", value=11, **STANDS),
        True,
        "[Source] Ethereum: indexer 11 min behind, 2 Mar 2026, 17:02 UTC",
        "Our indexer is 11 min behind the head of Ethereum that a provider names, and does not catch up.",
    ),
    (
        make_flip("source_disagreement", **(STANDS | {"reason": "block 9 has another hash"})),
        True,
        "[Source] Ethereum: sources disagree, indexing has stopped, 2 Mar 2026, 17:02 UTC",
        "Ethereum contradicts what was final, and indexing has stopped until a person decides: block 9 has another "
        "hash.",
    ),
]


@pytest.mark.parametrize(
    ("flip", "is_chain", "subject", "sentence"), CASES, ids=[f"{case[0].rule}-{case[0].said}" for case in CASES]
)
def test_every_change_has_its_subject_line_and_sentence(
    flip: Flip, is_chain: bool, subject: str, sentence: str
) -> None:
    message = draft(flip, make_scene(is_chain=is_chain)).message
    assert words(message) == (subject, sentence)
    assert not {"None", "nan", "NaN", "unknown"} & set(str(message.to_json()).replace("'", " ").split())
    assert message.limits.endswith("Judged by version 1 of the rules.")
    assert Message.of_json(message.to_json()) == message


def test_a_depleted_fund_says_why_as_the_page_does() -> None:
    scene = make_scene(status="depleted", reason="the balance is 0 and a loss of 79,000 USDC is open.")
    assert words(draft(make_flip("depleted"), scene).message) == (
        "[Depleted] Example fund: depleted, 2 Mar 2026, 17:02 UTC",
        f"Nothing is left in Example fund to pay with at {AT}: the balance is 0 and a loss of 79,000 USDC is open.",
    )


@pytest.mark.parametrize(
    ("flip", "change"),
    [
        (make_flip("coverage_low", **COVERAGE), Change("Coverage", "1.12×", "0.71×", "below 1.00×")),
        (
            make_flip("coverage_low", Said.WORSENED, level=3, value="0.2", before="0.71"),
            Change("Coverage", "0.71×", "0.20×", "below 0.25×"),
        ),
        (
            make_flip("coverage_low", Said.ENDED, value="1.2", before="0.71"),
            Change("Coverage", "0.71×", "1.20×", "1.10× or more, at least 12 readings in a row"),
        ),
        (make_flip("depleted"), Change("Status", "", "Depleted", "a fact")),
        (
            make_flip("balance_dropped", value="880", compared="1000", hours=1),
            Change("Balance", "1,000 USDC", "880 USDC", "by 10 % or more within an hour"),
        ),
        (
            make_flip("balance_dropped", level=2, value="-50", compared="2000", hours=24),
            Change("Balance", "2,000 USDC", "−50 USDC", "by 25 % or more within 24 hours"),
        ),
        (
            make_flip("own_token_high", level=2, value="0.6", before="0.5"),
            Change("Share of the own token", "50 %", "60 %", "above 50 %"),
        ),
        (
            make_flip("data_stale", value=31, **STANDS),
            Change("Age of the newest block", "", "31 min", "older than 30 min"),
        ),
        (
            make_flip("data_stale", Said.ENDED, value=3, **STANDS),
            Change("Age of the newest block", "", "3 min", "up to 15 min"),
        ),
        (
            make_flip("indexer_lagging", value=11, **STANDS),
            Change("Behind the head", "", "11 min", "more than 10 min"),
        ),
    ],
)
def test_before_after_and_threshold_are_given(flip: Flip, change: Change) -> None:
    (told,) = draft(flip).message.changes
    assert Change(told.name, plain(told.before), plain(told.after), plain(told.threshold)) == change


def test_a_message_of_a_reading_names_its_block_its_finality_and_what_comes_next() -> None:
    made = draft(make_flip("coverage_low", **COVERAGE))
    message = made.message
    assert (message.block_number, message.block_hash, message.happened_at) == (1234, "0xabc", "2026-03-02T17:02:00Z")
    assert plain(message.finality) == (
        "Not final yet: block 1,234 can still be replaced; if it is, this message is taken back."
    )
    assert plain(message.evidence[0].text) == f"Read at {AT}"
    assert message.evidence[0].href == "/funds/example/facts/coverage"
    assert message.next_steps == (
        "What comes next if it runs out: auto-deleveraging. Whose loss it is in the end: winning traders."
    )
    assert (message.status, message.data_status) == ("Short", "verified on chain")
    assert (message.fund_name, message.fund_slug, message.segment) == ("Example fund", "example", "example")
    assert message.limits == (
        "Nothing more is sent until it gets worse or is over; the daily digest keeps naming it. "
        "Judged by version 1 of the rules."
    )
    assert [(ground.number, ground.block_hash) for ground in made.grounds] == [(1234, "0xabc")]


def test_a_reading_of_a_final_block_is_said_to_be_final() -> None:
    message = draft(make_flip("coverage_low", value="0.7", number=100)).message
    assert plain(message.finality) == "Final: block 100 can no longer be replaced."


@pytest.mark.parametrize("rule", ["data_stale", "unreconciled", "indexer_lagging", "source_disagreement"])
def test_how_we_stand_hangs_on_no_block_that_could_be_replaced(rule: str) -> None:
    made = draft(make_flip(rule, value=40, **STANDS))
    assert made.grounds == ()
    assert made.message.finality == ""
    assert plain(made.message.evidence[0].text) == (
        "Seen at 2 Mar 2026, 17:02 UTC; the newest block read is block 1,234"
    )


def test_only_what_has_a_message_for_its_end_promises_one() -> None:
    quiet = draft(make_flip("depleted")).message
    ended = draft(make_flip("coverage_low", Said.ENDED, value="1.2")).message
    unstable = draft(make_flip("coverage_low", Said.UNSTABLE, value="0.7")).message
    assert {message.limits for message in (quiet, ended, unstable)} == {"Judged by version 1 of the rules."}
    assert draft_flip(make_flip("depleted", Said.ENDED), RULES, make_scene()) is None


def test_severity_follows_the_level_and_an_end_is_for_the_record() -> None:
    severities = [draft(make_flip("coverage_low", level=level, value="0.1")).message.severity for level in (1, 2, 3)]
    assert severities == ["warning", "critical", "critical"]
    assert draft(make_flip("coverage_low", Said.ENDED, level=3, value="1.2")).message.severity == "notice"


def test_messages_of_one_episode_are_one_thread_under_different_keys() -> None:
    began = make_flip("coverage_low", value="0.7")
    flips = [began, replace(began, said=Said.WORSENED, level=2), replace(began, said=Said.ENDED, level=2)]
    messages = [draft(flip).message for flip in flips]
    assert {message.episode for message in messages} == {"coverage_low:example:2026-03-02T17:00:00Z"}
    assert [message.key for message in messages] == [
        "fund.coverage.low:example:2026-03-02T17:00:00Z:began:1",
        "fund.coverage.low:example:2026-03-02T17:00:00Z:worsened:2",
        "fund.coverage.recovered:example:2026-03-02T17:00:00Z:ended:2",
    ]


def test_a_recording_says_what_it_is_and_a_reconstruction_shows_no_block() -> None:
    simulated = draft(make_flip("depleted"), make_scene(kind=SourceKind.SIMULATED)).message
    assert simulated.replay == "Replay of Ethereum: simulated"
    made_up = draft(make_flip("depleted"), make_scene(kind=SourceKind.RECONSTRUCTED)).message
    assert (made_up.block_number, made_up.block_hash) == (None, "")
    assert made_up.sentence == "Nothing is left in Example fund to pay with at 2 Mar 2026, 17:02 UTC."
    assert draft(make_flip("depleted")).message.replay == ""


def test_a_hostile_symbol_stays_plain_text() -> None:
    hostile = "<script>alert('x')</script>"
    scene = make_scene(symbol=hostile, name="<b>Fund</b> & sons")
    message = draft(make_flip("balance_dropped", value="880", compared="1000", hours=1), scene).message
    assert plain(message.sentence) == (
        f"The balance of <b>Fund</b> & sons dropped by 12 % within an hour: from 1,000 {hostile} to 880 {hostile}, "
        f"at {AT}."
    )
    assert "&lt;" not in str(message.to_json())
