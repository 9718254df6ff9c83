"""Events of one fund: grouped for people, one by one for programs, and only what is known."""

import csv
import io
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from ledger.kinds import Role
from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE, RECONSTRUCTED
from tests.web.witness import MARK, NOON, TX, reader_of, rows_of, said, witnessing

ATOM = "{http://www.w3.org/2005/Atom}"
MINUTE = timedelta(minutes=1)


def test_inflows_and_liquidations_are_told_by_day_source_and_side_with_exact_sums(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place in range(3):
            witness.tell(NOON + place * MINUTE, Role.CONTRIBUTION, 10**6 + place, source="trading_fee")
        witness.tell(NOON + 5 * MINUTE, Role.CONTRIBUTION, 7 * 10**6, source="liquidation_fee")
        for side, raw in (("debt", 5 * 10**6), ("collateral", 6 * 10**6)):
            witness.tell(NOON + 6 * MINUTE, Role.LIQUIDATION, raw, side=side, fact_no=int(side == "debt"))
    rows = rows_of(reader_of(new_ledger).get("/funds/alpha/events").text)
    assert {(row[1], row[2]) for row in rows} == {
        ("Paid in: trading-fee share (3)", "3.00\xa0USDC".replace("\xa0", " ")),
        ("Paid in: liquidation penalty", "7 USDC"),
        ("Liquidation: debt repaid", "5 USDC"),
        ("Liquidation: collateral seized", "6 USDC"),
    }


def test_an_amount_that_is_not_known_is_unknown_and_makes_a_sum_a_lower_bound(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.ADL, None, log=5)
        for place, raw in enumerate((10**6, None, 2 * 10**6)):
            witness.tell(NOON + place * MINUTE, Role.SHORTFALL, raw, asset_id=witness.asset.id)
    rows = {row[1]: row[2] for row in rows_of(reader_of(new_ledger).get("/funds/alpha/events").text)}
    assert rows == {"Auto-deleveraging": "unknown", "Shortfall (3)": "at least 3 USDC"}


@pytest.mark.parametrize("role", ["payout", "shortfall"])
def test_a_role_can_be_asked_for(new_ledger: Engine, role: str) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 10**6)
        witness.tell(NOON, Role.PAYOUT, 10**6, fact_no=1)
    answer = reader_of(new_ledger).get(f"/funds/alpha/events?role={role}")
    assert answer.status_code == 200
    assert [row[1] for row in rows_of(answer.text)] == [{"payout": "Paid by the fund", "shortfall": "Shortfall"}[role]]
    assert f'<option value="{role}" selected>' in answer.text
    assert 'rel="canonical" href="https://backstop.example/funds/alpha/events"' in answer.text


@pytest.mark.parametrize("role", ["nothing", "exposure_change", "'; drop", "x" * 3000, "<script>"])
def test_a_role_that_there_is_not_is_refused_in_words(new_ledger: Engine, role: str) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 10**6)
    reader = reader_of(new_ledger)
    answer = reader.get(f"/funds/alpha/events?role={role}")
    assert answer.status_code == 400
    assert "There is no such kind of event" in answer.text
    assert "<script>" not in answer.text
    assert reader.get(f"/funds/nobody/events?role={role}").status_code == 404


def test_a_fund_to_which_nothing_happened_says_what_that_means(new_ledger: Engine) -> None:
    with witnessing(new_ledger):
        pass
    reader = reader_of(new_ledger)
    assert "Not every platform books every loss" in reader.get("/funds/alpha/events").text
    assert reader.get("/funds/alpha/events.json").json()["events"] == []
    assert reader.get("/funds/alpha/events.csv").text.count("\r\n") == 1


def test_json_and_csv_hold_every_fact_with_its_name_and_digits(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 2**200, tx_hash=TX, account="=cmd()", market="-1")
        witness.tell(NOON - MINUTE, Role.CONTRIBUTION, 1, source="interest")
    reader = reader_of(new_ledger)
    told = reader.get("/funds/alpha/events.json").json()
    assert (told["count"], told["shown"]) == (2, 2)
    first = told["events"][0]
    assert first["id"] == f"shortfall-alpha-2026-11-20-{MARK}-0"
    assert first["amount_raw"] == str(2**200)
    assert told["events"][1]["source"] == "interest"
    rows = list(csv.DictReader(io.StringIO(reader.get("/funds/alpha/events.csv").text, newline="")))
    assert [row["id"] for row in rows] == [event["id"] for event in told["events"]]
    assert rows[0]["amount_raw"] == str(2**200)
    assert (rows[0]["account"], rows[0]["market"]) == ("'=cmd()", "'-1")
    assert rows[1]["amount"] == "0.000001"


def test_facts_of_a_reconstruction_say_what_was_made_up(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 10**6, chain_id=RECONSTRUCTED, tx_hash=TX)
    reader = reader_of(new_ledger)
    page = reader.get("/funds/past-reconstructed/events").text
    assert "block number are made up" in page
    assert TX[:8] not in page
    assert MARK not in page
    (row,) = csv.DictReader(io.StringIO(reader.get("/funds/past-reconstructed/events.csv").text))
    assert row["synthetic"] == "block_hash block_number log_index tx_hash"


def test_the_feed_tells_losses_and_withdrawals_and_spares_its_reader_the_rest(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.WITHDRAWAL, 10**6)
        witness.tell(NOON, Role.CONTRIBUTION, 10**6, log=1)
        witness.tell(NOON + MINUTE, Role.SHORTFALL, 10**6)
    reader = reader_of(new_ledger)
    feed = ElementTree.fromstring(reader.get("/funds/alpha/events.atom").content)
    entries = list(feed.iter(f"{ATOM}entry"))
    assert [(entry.findtext(f"{ATOM}title") or "").split(":")[0] for entry in entries] == ["Shortfall", "Withdrawal"]
    for entry in entries:
        link = entry.find(f"{ATOM}link")
        assert link is not None
        assert reader.get(link.get("href", "").removeprefix("https://backstop.example")).status_code == 200
    everywhere = ElementTree.fromstring(reader.get("/events.atom").content)
    ids = {entry.findtext(f"{ATOM}id") for entry in everywhere.iter(f"{ATOM}entry")}
    assert ids == {entries[0].findtext(f"{ATOM}id")}


def test_a_hostile_symbol_stays_text_in_every_form(reader: Reader) -> None:
    path = "/funds/aave-v2-2021-reconstructed/events"
    assert HOSTILE in said(reader.get(path).text)
    for suffix in ("", ".atom"):
        assert "<script>" not in reader.get(path + suffix).text
    assert reader.get(f"{path}.json").json()["count"] == 1200
