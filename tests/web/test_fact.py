"""The page of one fact: its address outlives reorganisations, and it says only what can be checked."""

import html
import re
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from ledger.kinds import Role
from tests.web.inventor import RECONSTRUCTED, VENUE, address, digest
from tests.web.witness import EXPLORER, MARK, MIDNIGHT, NOON, TX, reader_of, said, witnessing
from web.evidence import MOST_PAGES

NAME = f"shortfall-alpha-2026-11-20-{MARK}-0"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def test_a_fact_is_told_with_every_digit_and_everything_that_lets_it_be_checked(new_ledger: Engine) -> None:
    trader = address("trader")
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 13_133_478_889, tx_hash=TX, account=trader, detail={"reason": "gap"})
        witness.log(NOON)
    answer = reader_of(new_ledger).get(f"/events/{NAME}")
    page = said(answer.text)
    assert "A shortfall of 13,133.478889 USDC was recorded at Fund alpha, at block" in page
    for word in ("13133478889", "6 decimals", trader, TX, "invented@1", "final", digest("topic 1"), "0xda7a", "gap"):
        assert word in page, word
    for kind, key in (("tx", TX), ("address", trader), ("address", address("emitter"))):
        assert f'href="{EXPLORER}/{kind}/{key}"' in answer.text
    assert 'href="/funds/alpha"' in answer.text
    told = reader_of(new_ledger).get(f"/events/{NAME}.json").json()
    (fact,) = told["facts"]
    assert (told["id"], fact["amount_raw"], fact["finality"]) == (NAME, "13133478889", "finalized")
    assert fact["log"] == {
        "address": address("emitter"),
        "topics": [digest("topic 0"), digest("topic 1")],
        "data": "0xda7a",
    }


@pytest.mark.parametrize("moved", [12 * SECOND, 3 * HOUR, -2 * HOUR, 12 * HOUR + SECOND, -13 * HOUR])
def test_an_address_still_works_when_a_reorganisation_moved_the_fact(new_ledger: Engine, moved: timedelta) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON + moved, Role.SHORTFALL, 5 * 10**6, tx_hash=TX, log=4)
        witness.tell(NOON + moved - HOUR, Role.SHORTFALL, 6 * 10**6, tx_hash=digest("another"))
    reader = reader_of(new_ledger)
    page = reader.get(f"/events/{NAME}")
    assert page.status_code == 200
    assert "A shortfall of 5 USDC" in said(page.text)
    canonical = re.search(r'rel="canonical" href="https://backstop.example(/events/[^"]+)"', page.text)
    assert canonical is not None
    assert f"{NOON + moved:%Y-%m-%d}-{MARK}-0" in canonical[1]
    assert reader.get(canonical[1]).text == page.text


def test_facts_of_one_transaction_have_addresses_of_their_own(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place in range(2):
            witness.tell(NOON, Role.SHORTFALL, (1 + place) * 10**6, tx_hash=TX, log=place)
        witness.tell(NOON, Role.PAYOUT, 9 * 10**6, tx_hash=TX, log=1, fact_no=1)
    reader = reader_of(new_ledger)
    assert "A shortfall of 1 USDC" in said(reader.get(f"/events/{NAME}").text)
    assert "A shortfall of 2 USDC" in said(reader.get(f"/events/{NAME[:-1]}1").text)
    assert "The fund paid 9 USDC" in said(reader.get(f"/events/payout-alpha-2026-11-20-{MARK}-0").text)


def test_the_ids_of_rows_on_pages_are_addresses_too(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.SHORTFALL, 10**6, tx_hash=TX, log=3)
        for place in range(3):
            witness.tell(NOON, Role.PAYOUT, 10**6, tx_hash=TX, log=3, fact_no=1 + place)
    reader = reader_of(new_ledger)
    ids = re.findall(r'<tr id="([^"]+)"', reader.get("/funds/alpha").text)
    assert len(ids) == 2
    pages = {name: reader.get(f"/events/{name}") for name in ids}
    assert {page.status_code for page in pages.values()} == {200}
    assert any(f"/events/{NAME}" in page.text for page in pages.values())


def test_a_day_of_many_is_a_page_of_its_own_with_each_of_them(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place in range(4):
            witness.tell(NOON + place * HOUR, Role.PAYOUT, (1 + place) * 10**6)
        witness.tell(NOON, Role.PAYOUT, 10**6, market="vETH", log=7)
    reader = reader_of(new_ledger)
    answer = reader.get("/events/payout-alpha-2026-11-20")
    assert "4 facts of 20 Nov 2026 at Fund alpha: paid by the fund: 10 USDC in all" in said(answer.text)
    links = re.findall(r'<td><a href="(/events/[^"]+)"', answer.text)
    assert len(links) == 4
    assert {reader.get(link).status_code for link in links} == {200}
    assert reader.get("/events/payout-alpha-2026-11-20.json").json()["is_day"] is True


def test_a_reconstruction_shows_no_made_up_hash_block_or_log(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        account = address("borrower")
        witness.tell(NOON, Role.SHORTFALL, 10**6, chain_id=RECONSTRUCTED, tx_hash=TX, account=account)
        witness.log(NOON, chain_id=RECONSTRUCTED)
        number = witness.inventor.number(RECONSTRUCTED, NOON)
    answer = reader_of(new_ledger).get("/events/shortfall-past-reconstructed-2026-11-20-t120000-0")
    page = said(answer.text)
    assert "time, account and amount are genuine" in page
    assert address("borrower") in page
    for made_up in (TX, digest(RECONSTRUCTED, number), str(number), f"{number:,}", digest("topic 0"), EXPLORER):
        assert made_up not in html.unescape(answer.text), made_up
    assert "No raw log is shown" in page
    told = reader_of(new_ledger).get("/events/shortfall-past-reconstructed-2026-11-20-t120000-0.json").json()
    assert told["facts"][0]["log"] is None
    assert told["facts"][0]["is_synthetic"] is True


def test_what_was_learned_from_polls_names_the_polls(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        since = witness.inventor.number(VENUE, NOON - HOUR)
        witness.tell(NOON, Role.SOCIALISED_LOSS, 10**6, chain_id=VENUE, market="SOL-PERP", since_number=since)
    page = said(reader_of(new_ledger).get("/events/socialised-loss-drift-third-party-2026-11-20-t120000-0").text)
    assert "between the polls of 20 Nov 2026, 11:00 and 12:00 UTC" in page
    assert "There is no log: this was learned by comparing two polls." in page
    assert "market SOL-PERP" in page


def test_announcements_of_the_fact_are_named_and_those_taken_back_say_so(new_ledger: Engine) -> None:
    key = f"fund.shortfall.recorded:alpha:shortfall:{TX}:1"
    with witnessing(new_ledger) as witness:
        for log in range(2):
            witness.tell(NOON, Role.SHORTFALL, 10**6, tx_hash=TX, log=log)
        first = witness.announce(NOON, key, "A shortfall was seen.")
        witness.announce(NOON, f"{key}0", "Of another fact.")
        witness.announce(NOON, "retraction", "Taken back.", retracts=first)
    reader = reader_of(new_ledger)
    page = reader.get(f"/events/{NAME[:-1]}1").text
    assert f'<a href="/alerts/log#a{first}">A shortfall was seen.</a> <strong>Taken back since.</strong>' in page
    assert "Of another fact." not in page
    assert f'id="a{first}"' in reader.get("/alerts/log").text
    assert "Nothing: no rule speaks of it" in reader.get(f"/events/{NAME}").text


def test_an_unknown_amount_is_said_to_be_unknown(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.ADL, None, tx_hash=TX)
    page = said(reader_of(new_ledger).get(f"/events/adl-alpha-2026-11-20-{MARK}-0").text)
    assert "closed by auto-deleveraging: an unknown amount at Fund alpha" in page
    assert "0 USDC" not in page


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "shortfall-alpha",
        "shortfall-alpha-2026-11-21",
        "shortfall-alpha-2026-99-99",
        "shortfall-alpha-0001-01-01",
        "shortfall-alpha-9999-12-31-x",
        "shortfall-alpha-2026-11-20-vETH",
        f"shortfall-alpha-2026-11-20-{MARK}-9",
        f"shortfall-alpha-2026-11-25-{MARK}-0",
        f"payout-alpha-2026-11-20-{MARK}-0",
        "x" * 400,
        "%00",
        "..%2f..%2fetc",
        "shortfall-alpha-２０２６-11-20",
    ],
)
def test_what_is_not_there_is_said_to_be_not_there(new_ledger: Engine, name: str) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(MIDNIGHT, Role.SHORTFALL, 10**6, tx_hash=TX)
    reader = reader_of(new_ledger)
    assert reader.get(f"/events/{name}").status_code == 404
    assert reader.get(f"/events/{name}.json").status_code == 404


def test_only_the_newest_facts_are_linked_and_every_other_has_its_page_all_the_same(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place in range(MOST_PAGES + 2):
            witness.tell(NOON - place * 24 * HOUR, Role.WITHDRAWAL, 10**6, tx_hash=digest("old", place))
    reader = reader_of(new_ledger)
    old = reader.get("/funds/alpha/events.json").json()["events"][-1]["id"]
    assert reader.get(f"/events/{old}").status_code == 200
    sitemap = reader.get("/sitemap.xml").text
    assert f"/events/{old}<" not in sitemap
    assert len(re.findall(r"/events/withdrawal-alpha-[^<]+<", sitemap)) == MOST_PAGES
