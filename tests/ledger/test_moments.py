"""What a page may call evidence, by the kind of the chain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger.moments import MADE_UP_WORDS, block_words, evidence_href, evidence_text, moment
from ledger.pages import EventRow
from ledger.tables import Chain
from tests.web.inventor import digest

TIME = datetime(2021, 5, 19, 13, 28, 7, tzinfo=UTC)
ROW = EventRow(
    segment_id=1,
    role="liquidation",
    source=None,
    side="debt",
    amount_raw=5,
    asset_id=1,
    account="0x" + "ab" * 20,
    market=None,
    block_number=1363,
    block_time=TIME,
    block_hash=digest("block"),
    log_index=7,
    fact_no=0,
    tx_hash=digest("tx"),
    since_number=None,
)


def chain(kind: str, *, is_venue: bool = False) -> Chain:
    return Chain(
        chain_id=1,
        slug=f"x-{kind}",
        name="X",
        kind=kind,
        provenance="",
        explorer="https://explorer.example/",
        is_venue=is_venue,
        status="following",
    )


def test_a_reconstruction_shows_what_is_genuine_and_says_what_is_made_up() -> None:
    told = evidence_text(ROW, chain("reconstructed"))
    assert told == f"account 0xababab…abab; {MADE_UP_WORDS}"
    anonymous = evidence_text(replace(ROW, account=None), chain("reconstructed"))
    assert anonymous == f"time and amount only, at 13:28:07 UTC; {MADE_UP_WORDS}"
    assert moment(1363, TIME, chain("reconstructed")) == "19 May 2021, 13:28 UTC"
    assert block_words(1363, chain("reconstructed")).endswith("of the recording")


@pytest.mark.parametrize("kind", ["live", "recorded", "simulated"])
def test_a_chain_with_true_blocks_names_transaction_block_and_log(kind: str) -> None:
    told = evidence_text(ROW, chain(kind)).replace("\N{NO-BREAK SPACE}", " ")
    assert told.startswith("tx 0x")
    assert told.endswith("block 1,363, log 7")


@pytest.mark.parametrize(("kind", "is_linked"), [("live", True), ("recorded", True), ("simulated", False)])
def test_only_a_transaction_that_an_explorer_knows_is_linked(kind: str, is_linked: bool) -> None:
    expected = f"https://explorer.example/tx/{ROW.tx_hash}" if is_linked else ""
    assert evidence_href(ROW, chain(kind)) == expected
    assert not evidence_href(ROW, chain("reconstructed"))


def test_a_poll_is_named_by_the_two_times_it_lies_between() -> None:
    venue = chain("recorded_by_third_party", is_venue=True)
    since = int((TIME - timedelta(minutes=31)).timestamp())
    assert evidence_text(replace(ROW, since_number=since), venue) == (
        "between the polls of 19 May 2021, 12:57 and 13:28 UTC"
    )
    long_ago = int((TIME - timedelta(days=2)).timestamp())
    assert evidence_text(replace(ROW, since_number=long_ago), venue) == (
        "between the polls of 17 May 2021, 13:28 UTC and 19 May 2021, 13:28 UTC"
    )
    assert moment(1, TIME, venue) == "the poll of 19 May 2021, 13:28 UTC"
