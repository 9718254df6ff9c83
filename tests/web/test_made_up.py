"""What a reconstruction made up is marked as such on pages and in twins, and is never evidence."""

from ledger.moments import MADE_UP_WORDS
from tests.web.conftest import Reader
from web.details import split_detail


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
