"""Who decides, and by which rule: what was before, what is now, and nothing that nobody said."""

import re
from datetime import timedelta
from xml.etree import ElementTree

from sqlalchemy import Engine

from ledger.kinds import Role
from tests.web.inventor import RECONSTRUCTED, address
from tests.web.witness import MARK, NOON, TX, reader_of, rows_of, said, witnessing
from web.changes import MOST_LINES, NOBODY

ATOM = "{http://www.w3.org/2005/Atom}"
MINUTE = timedelta(minutes=1)


def changes(engine: Engine) -> list[tuple[str, str, str]]:
    """What, before and after, as the page has it."""
    return [(row[2], row[3], row[4]) for row in rows_of(reader_of(engine).get("/changes").text)]


def test_a_parameter_was_before_what_the_last_fact_about_it_set(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place, (value, market) in enumerate((("1000", "vETH"), ("5", "vBTC"), ("2000", "vETH"), ("7", None))):
            detail = {"name": "fee_ratio", "value": value}
            witness.tell(NOON + place * MINUTE, Role.PARAM, market=market, detail=detail)
    assert changes(new_ledger) == [
        ("Fee ratio", "not known", "7"),
        ("Fee ratio, vETH", "1000", "2000"),
        ("Fee ratio, vBTC", "not known", "5"),
        ("Fee ratio, vETH", "not known", "1000"),
    ]


def test_a_parameter_with_a_unit_is_told_by_it_and_stays_as_stored_in_the_json(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place, value in enumerate(("600100000000", "5000000000000")):
            detail = {"name": "distribution_threshold", "value": value, "unit": "USDC", "decimals": 6}
            witness.tell(NOON + place * MINUTE, Role.PARAM, detail=detail)
    assert changes(new_ledger)[0] == ("Distribution threshold", "600,100 USDC", "5,000,000 USDC")
    told = reader_of(new_ledger).get("/changes.json").json()["changes"][0]
    assert (told["before"], told["after"], told["detail"]["unit"]) == ("600100000000", "5000000000000", "USDC")


def test_a_market_that_was_open_is_paused_and_closed(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place, state in enumerate(("open", "paused", "closed")):
            role = Role.PARAM if state == "open" else Role.MARKET_SHUTDOWN
            detail = {"name": "market_state", "value": state}
            witness.tell(NOON + place * MINUTE, role, market="vETH", detail=detail)
    assert changes(new_ledger)[:2] == [
        ("Market state, vETH", "paused", "closed"),
        ("Market state, vETH", "open", "paused"),
    ]


def test_an_owner_is_named_with_the_one_before(new_ledger: Engine) -> None:
    one, two = address("one"), address("two")
    with witnessing(new_ledger) as witness:
        told = {"event": "OwnershipTransferred", "before": NOBODY}
        witness.tell(NOON, Role.CONTROL, account=one, detail=told)
        witness.tell(NOON + MINUTE, Role.CONTROL, account=two, detail={"event": "SetOwner"})
        witness.tell(NOON + 2 * MINUTE, Role.CONTROL, detail={"event": "SomethingElse"})
    page = reader_of(new_ledger).get("/changes").text
    assert changes(new_ledger)[0] == ("SomethingElse", "not known", "not known")
    assert [row[3:5] for row in rows_of(page)][1:] == [
        [f"{one[:8]}…{one[-4:]}", f"{two[:8]}…{two[-4:]}"],
        ["nobody", f"{one[:8]}…{one[-4:]}"],
    ]
    assert f'title="{two}"' in page


def test_json_feed_and_fund_page_say_the_same(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        witness.tell(NOON, Role.PARAM, tx_hash=TX, detail={"name": "threshold", "value": 0})
        witness.tell(NOON + MINUTE, Role.PARAM, detail={"name": "threshold", "value": "9"})
    reader = reader_of(new_ledger)
    told = reader.get("/changes.json").json()
    assert told["count"] == 2
    assert [(row["subject"], row["before"], row["after"]) for row in told["changes"]] == [
        ("Threshold", "0", "9"),
        ("Threshold", None, "0"),
    ]
    name = f"param-alpha-2026-11-20-{MARK}-0"
    assert told["changes"][1]["id"] == name
    entries = list(ElementTree.fromstring(reader.get("/changes.atom").content).iter(f"{ATOM}entry"))
    assert entries[0].findtext(f"{ATOM}title") == "Threshold: 0 → 9, Fund alpha"
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 2
    page = reader.get("/funds/alpha").text
    control = page[page.index('id="control"') : page.index('id="provenance"')]
    assert [row[1:4] for row in rows_of(control)] == [["Threshold", "0", "9"], ["Threshold", "not known", "0"]]
    fact = said(reader.get(f"/events/{name}").text)
    assert "Threshold was set to 0 at Fund alpha, at block" in fact
    assert "No earlier fact says what it was before." in fact
    later = re.findall(r'href="(/events/[^"]+)"', control)[0]
    assert "Before it was 0." in said(reader.get(later).text)


def test_a_change_in_a_reconstruction_has_no_made_up_evidence(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        detail = {"name": "threshold", "value": "9"}
        witness.tell(NOON, Role.PARAM, chain_id=RECONSTRUCTED, tx_hash=TX, detail=detail)
    reader = reader_of(new_ledger)
    for path in ("/changes", "/changes.atom", "/funds/past-reconstructed"):
        text = reader.get(path).text
        assert "are made up" in text
        assert TX[:8] not in text
        assert MARK not in text


def test_of_very_many_the_newest_are_shown_and_all_are_counted(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for place in range(MOST_LINES + 5):
            detail = {"name": "threshold", "value": str(place)}
            witness.tell(NOON, Role.PARAM, log=place, detail=detail)
    page = reader_of(new_ledger).get("/changes").text
    assert len(rows_of(page)) == MOST_LINES
    assert f"The newest {MOST_LINES} of {MOST_LINES + 5} changes." in page
    assert rows_of(page)[0][4] == str(MOST_LINES + 4)


def test_without_any_change_the_pages_say_so(new_ledger: Engine) -> None:
    with witnessing(new_ledger):
        pass
    reader = reader_of(new_ledger)
    assert "No change was seen so far" in reader.get("/changes").text
    assert "No change of an owner" in reader.get("/funds/alpha").text
    assert reader.get("/changes.json").json()["changes"] == []
