"""What a page may call evidence, by the kind of the chain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger.moments import MADE_UP_WORDS, block_words, evidence_href, evidence_text, moment
from ledger.pages import EventRow
from ledger.tables import Chain
from tests.web.conftest import Reader
from tests.web.inventor import digest
from web.details import split_detail

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


def test_no_page_prints_a_made_up_transaction_or_block(pages: dict[str, str]) -> None:
    page = pages["/funds/aave-v2-2021-reconstructed"]
    assert MADE_UP_WORDS in page
    assert ">tx 0x" not in page
    assert ": tx 0x" not in page
    assert "log 0" not in page
    number = pages["/funds/aave-v2-2021-reconstructed/facts/liquidations"]
    assert "made up, like the block" in number


def test_sums_of_many_assets_stand_below_each_other_and_what_does_not_apply_is_no_unknown() -> None:
    sums = {"collateral": {f"A{place}": str(10**18 + place) for place in range(12)}, "debt": {"A0": "7"}}
    _, (told,) = split_detail({"by_asset": sums})
    assert told.caption == "Sums by asset, in each asset's smallest units"
    assert [head.text for head in told.headers] == ["Name", "Collateral", "Debt"]
    assert [cell.text for cell in told.rows[0]] == ["A0", "1,000,000,000,000,000,000", "7"]
    assert [cell.text for cell in told.rows[11]] == ["A11", "1,000,000,000,000,000,011", "–"]


def test_twins_mark_what_was_made_up(reader: Reader) -> None:
    funds = {fund["slug"]: fund for fund in reader.get("/funds.json").json()["funds"]}
    made_up = funds["aave-v2-2021-reconstructed"]
    assert set(made_up["synthetic"]) == {"tx_hash", "log_index", "block_number", "block_hash"}
    rows = made_up["segments"][0]["metrics"]
    assert rows
    assert all(row["is_synthetic"] and row["synthetic"] == ["block_hash", "block_number"] for row in rows)
    genuine = funds["perp-v2-optimism"]
    assert genuine["synthetic"] == []
    assert not any(row["is_synthetic"] for row in genuine["segments"][0]["metrics"])


def test_events_of_a_true_chain_are_not_marked(reader: Reader) -> None:
    events = reader.get("/events.json").json()["events"]
    assert events
    assert not any(event["is_synthetic"] for event in events)
