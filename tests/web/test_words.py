"""The published words, and the words that are never published."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.kinds import Contribution, DataStatus, FundKind, SourceKind, Status
from ledger.words import DATA_WORDS, DISCLAIMER, FUND_KINDS, KIND_WORDS, SOURCE_WORDS, STATUSES
from tests.web.conftest import Reader
from web.contexts import Figure
from web.words import SEVERITY, Answer, answer_sentence, badge

BANNED = re.compile(
    r"\b(safe|safely|safest|solvent|insured|guarante\w*|healthy|health|AAA|scores?|risk-free|secure[sd]?)\b",
    re.IGNORECASE,
)


def figure(text: str, reason: str = "", quality: str = "ok") -> Figure:
    as_of = "block 12 (24 May 2021, 00:00 UTC)"
    return Figure("x", "X", text, text, "usd", as_of, quality, reason, "", "/x")


UNKNOWN = figure("unknown", "a price is missing", "unknown")
ANSWER = Answer(
    badge=badge("thin"),
    reason="",
    decided_by="runway (278 days)",
    balance=figure("514,874 USDC"),
    usable=figure("$512,300"),
    coverage=figure("1.42×"),
    reference_loss=figure("$360,442"),
    reference_source="worst 7 days, scaled",
    gap=figure("23 %"),
    is_capped=False,
    worst=figure("$118,202"),
    worst_days="19 May 2021",
    socialised=figure("$42"),
    next_layers="Voluntary top-up, then winners and lenders",
    losers="Traders on the winning side",
)


def test_every_status_kind_and_source_has_words() -> None:
    assert set(STATUSES) == set(Status) == set(SEVERITY)
    assert set(DATA_WORDS) == set(DataStatus)
    assert set(KIND_WORDS) == set(SourceKind)
    assert set(SOURCE_WORDS) == set(Contribution)
    assert set(FUND_KINDS) == set(FundKind)


def test_a_fund_that_compares_says_with_what() -> None:
    assert answer_sentence(ANSWER) == (
        "The fund could pay $512,300, 1.42× the reference loss of $360,442 (worst 7 days, scaled). "
        "What makes it Thin: runway (278 days). "
        "It could pay for an instant move of all prices by 23 % in either direction. "
        "Its worst 24 hours of shortfalls so far cost $118,202, on 19 May 2021."
    )


def test_a_gap_that_caps_hold_down_says_so() -> None:
    told = answer_sentence(replace(ANSWER, is_capped=True))
    assert "by 23 % in either direction, since each market's payments are capped. Its worst" in told


def test_a_gap_beyond_the_largest_move_is_told_in_words() -> None:
    assert "an instant move of all prices by at least 50 % in" in answer_sentence(replace(ANSWER, gap=figure("≥ 50 %")))


def test_a_lower_bound_is_said_to_be_one() -> None:
    told = answer_sentence(replace(ANSWER, usable=figure("at least $512,300", "a price is missing", "partial")))
    assert told.startswith("The fund could pay at least $512,300, ")


def test_an_unknown_coverage_gives_its_reason() -> None:
    told = answer_sentence(replace(ANSWER, coverage=UNKNOWN))
    assert "its coverage is unknown: a price is missing." in told


def test_no_modelled_loss_is_words_not_infinity() -> None:
    told = answer_sentence(replace(ANSWER, coverage=figure("no modelled loss")))
    assert told.startswith("The fund could pay $512,300; against it stands no modelled loss.")


def test_a_depleted_fund_names_its_block_and_who_is_next() -> None:
    told = answer_sentence(replace(ANSWER, badge=badge("depleted"), balance=figure("0 USDC")))
    assert told == (
        "The fund held 0 USDC at block 12 (24 May 2021, 00:00 UTC); nothing is left to pay with. "
        "What comes next by the platform's own rules: voluntary top-up, then winners and lenders. "
        "Whose loss it is then: traders on the winning side."
    )


def test_a_fund_below_zero_owes_and_holds_nothing() -> None:
    told = answer_sentence(replace(ANSWER, badge=badge("depleted"), balance=figure("−105,166 USDC")))
    assert told.startswith("The fund owes 105,166 USDC net at block 12 (24 May 2021, 00:00 UTC); nothing is left")


def test_a_fund_whose_deficit_exceeds_what_it_holds_is_not_said_to_be_empty() -> None:
    told = answer_sentence(replace(ANSWER, badge=badge("depleted"), balance=figure("1,000 USDC")))
    assert told.startswith("The fund held 1,000 USDC at block 12 (24 May 2021, 00:00 UTC), and an unresolved deficit")
    unknown = answer_sentence(replace(ANSWER, badge=badge("depleted"), balance=UNKNOWN))
    assert unknown.startswith("What the fund holds is unknown, and an unresolved deficit exceeds")


def test_a_stale_fund_shows_its_last_value_with_its_date() -> None:
    stale = replace(
        ANSWER,
        badge=badge("not_computable", "at best Covered"),
        reason="the last balance is 6 hours old",
        usable=figure("$1,010,000", "old", "stale"),
    )
    assert answer_sentence(stale) == (
        "Coverage cannot be stated: the last balance is 6 hours old. On what is known it would be Covered at best. "
        "The last known usable value, $1,010,000, dates from block 12 (24 May 2021, 00:00 UTC)."
    )


def test_a_platform_without_a_fund_says_what_users_lost() -> None:
    none = replace(ANSWER, badge=badge("no_fund"), next_layers="Lenders of that market")
    assert answer_sentence(none) == (
        "There is no fund here, by design: when collateral falls short, lenders of that market carry the loss. "
        "Losses they carried so far: $42, up to block 12 (24 May 2021, 00:00 UTC)."
    )
    zero = answer_sentence(replace(none, socialised=figure("$0")))
    assert zero.endswith("No such loss was recognised up to block 12 (24 May 2021, 00:00 UTC).")
    unknown = answer_sentence(replace(none, socialised=UNKNOWN))
    assert unknown.endswith("What they lost so far is unknown: a price is missing.")


def test_a_status_nobody_knows_is_not_computable() -> None:
    assert badge("splendid").word == "Not computable"
    assert badge(None).word == "Not computable"


@pytest.mark.parametrize("file", sorted(Path("web").rglob("*.html")) + sorted(Path("web").glob("*.py")), ids=str)
def test_no_template_or_module_uses_a_banned_word(file: Path) -> None:
    said = re.sub(r"Markup|markupsafe|\| safe", "", file.read_text()) if file.suffix == ".py" else file.read_text()
    assert not BANNED.findall(said)


def test_no_page_uses_a_banned_word(pages: dict[str, str]) -> None:
    found = {
        path: BANNED.findall(re.sub(r"<[^>]+>", " ", text))
        for path, text in pages.items()
        if path not in ("/methodology", "/glossary")  # They say which words are not used.
    }
    assert not {path: words for path, words in found.items() if words}


def test_the_disclaimer_stands_on_every_page(pages: dict[str, str]) -> None:
    assert pages
    assert all(DISCLAIMER in text for text in pages.values())


def test_a_reading_person_sees_the_word_beside_the_glyph(reader: Reader) -> None:
    home = reader.get("/").text
    for word in ("Depleted", "Short", "Thin", "Not computable", "No fund"):
        assert f"</svg>{word}</span>" in home
