"""The site in process: every page, its headers, its twins, its errors."""

import html
import json
import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import Engine, event, update
from sqlmodel import col

from app.server import open_socket, serving
from ledger.database import open_engine, writing
from ledger.tables import Metric
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE, NOW
from tests.web.small import SLUG, invent_small
from web.edition import SiteConfig
from web.press import Press
from web.site import create_site

TWINS = ("/funds.json", "/events.json", "/status.json", "/funds/aave-v2-2021-reconstructed.json")
ATOM = "{http://www.w3.org/2005/Atom}"


OWN_SCRIPT = re.compile(r'<script type="module" src="/static/site\.[0-9a-f]{10}\.js"></script>')
"""The one script of the site: a file of its own, and no page needs it."""


def text_of(page: str) -> str:
    """What a reader reads: no tags, entities resolved."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_every_link_leads_to_a_page_and_every_fragment_to_a_place(pages: dict[str, str]) -> None:
    assert len(pages) > 60
    ids = {path: set(re.findall(r' id="([^"]+)"', text)) for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for target, fragment in re.findall(r'href="(/[^"#]*)?#([^"]+)"', text):
            if html.unescape(fragment) not in ids.get(target.partition("?")[0] or path, set()):
                broken.append((path, target, fragment))
    assert not broken


def test_no_id_is_used_twice_on_a_page(pages: dict[str, str]) -> None:
    for path, text in pages.items():
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids)), path


def test_no_page_prints_what_is_no_number(pages: dict[str, str]) -> None:
    bad = re.compile(r"\b(NaN|None|Infinity|inf|null|undefined)\b")
    for path, text in pages.items():
        if path not in ("/methodology", "/glossary"):
            said = re.sub(r"None recognised|None seen|None stated|None:", "", text_of(text))
            assert not bad.findall(said), path


def test_a_hostile_symbol_stays_text(pages: dict[str, str], reader: Reader) -> None:
    for path, text in pages.items():
        assert "<script" not in OWN_SCRIPT.sub("", text), path
        assert "javascript:" not in text, path
    assert HOSTILE in text_of(pages["/funds/hostile"])
    assert HOSTILE in text_of(pages["/funds/aave-v2-2021-reconstructed"])
    feed = reader.get("/events.atom").text
    assert "<script" not in feed


def test_pages_carry_strict_headers_and_no_inline_style_or_script(pages: dict[str, str], reader: Reader) -> None:
    for path in ("/", "/funds/perp-v2-large-simulated", "/funds.json", "/nowhere"):
        headers = reader.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    for path, text in pages.items():
        assert not re.findall(r"<style|<script|\sstyle=|\son\w+=", OWN_SCRIPT.sub("", text)), path


def test_a_page_known_to_the_reader_is_not_sent_again(reader: Reader) -> None:
    first = reader.get("/funds/perp-v2-large-simulated")
    assert "max-age=60" in first.headers["cache-control"]
    again = reader.get("/funds/perp-v2-large-simulated", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = reader.get("/funds/perp-v2-large-simulated", {"If-None-Match": '"something"'})
    assert other.status_code == 200


def test_head_gives_headers_only(reader: Reader) -> None:
    answer = reader.get("/", method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


def test_only_reading_is_possible(reader: Reader) -> None:
    assert reader.get("/", method="POST").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/funds/nobody",
        "/funds/PERP",
        "/funds/perp-v2-large-simulated/facts/nothing",
        "/funds/" + "x" * 300,
        "/static/../site.py",
        "/funds/..%2f..%2fetc",
    ],
)
def test_what_is_not_there_is_said_to_be_not_there(reader: Reader, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "No such page" in answer.text


def test_a_missing_twin_is_a_problem_document(reader: Reader) -> None:
    answer = reader.get("/funds/nobody.json")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


def test_without_its_ledger_the_site_says_so_and_shows_nothing_old(tmp_path: Path) -> None:
    gone = open_engine(f"sqlite:///{tmp_path / 'never-made.sqlite'}")
    reader = Reader(create_site(gone, lambda: NOW))
    for path in ("/", "/healthz", "/funds.json"):
        answer = reader.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
    assert "The ledger does not answer" in reader.get("/").text
    gone.dispose()


def test_the_site_is_up_when_the_ledger_answers(reader: Reader) -> None:
    assert (reader.get("/healthz").status_code, reader.get("/healthz").text) == (200, "ok\n")


def test_two_processes_would_print_the_same_bytes(
    engine: Engine, site_config: SiteConfig, pages: dict[str, str]
) -> None:
    fresh = Press(engine, lambda: NOW, site_config)
    for path, text in pages.items():
        sheet = fresh.sheet(path)
        assert sheet is not None
        assert sheet.body.decode() == text, path


def test_pages_name_their_address_and_their_twins(pages: dict[str, str], reader: Reader) -> None:
    for path, text in pages.items():
        assert f'<link rel="canonical" href="https://backstop.example{path}">' in text
        for twin in re.findall(r'rel="alternate" type="application/json" href="([^"]+)"', text):
            assert reader.get(twin).status_code == 200


def test_data_of_a_recording_always_says_so(pages: dict[str, str]) -> None:
    kinds = {"simulated": "simulated", "reconstructed": "reconstructed", "third-party": "recorded by a third party"}
    for path, text in pages.items():
        for slug, kind in kinds.items():
            if path.startswith("/funds/") and path.split("/")[2].endswith(slug):
                assert "Replay of" in text, path
                assert kind in text, path
    for path in ("/", "/events", "/status"):
        assert text_of(pages[path]).count("Replay of") == 3
    assert "Replay of" not in pages["/funds/perp-v2-optimism"]


def test_funds_stand_by_severity_then_reference_loss(pages: dict[str, str]) -> None:
    order = re.findall(r'<th scope="row"><a href="/funds/([^"]+)"', pages["/"])
    assert order[:4] == [
        "perp-v2-small-simulated",
        "drift-2022-third-party",
        "perp-v2-large-simulated",
        "perp-v2-optimism",
    ]
    assert set(order[-2:]) == {"morpho-simulated", "aave-v2-2021-reconstructed"}


def test_the_four_counts_count_funds_not_money(pages: dict[str, str]) -> None:
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd></div>", pages["/"]))
    assert counts == {"funds": "8", "segments": "8", "Short or Depleted": "2", "Not computable": "3"}


def test_unknown_prints_its_reason_and_never_zero(pages: dict[str, str]) -> None:
    reserve = text_of(pages["/funds/reserve-simulated"])
    assert "Coverage cannot be stated: it covers no defined exposure." in reserve
    stale = text_of(pages["/funds/perp-v2-optimism"])
    assert "On what is known it would be Covered at best." in stale
    never = text_of(pages["/funds/hostile"])
    assert "Not computable" in never
    assert "$0" not in never


def test_a_reserve_is_not_said_to_stand_behind_anything(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/reserve-simulated"])
    assert "Nothing is defined: it covers no defined exposure" in page
    assert "whoever stands here loses" not in page
    assert "Losses that no event has recorded" not in page


def test_a_platform_without_a_fund_is_not_graded_and_its_markets_have_names(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/morpho-simulated"])
    assert "Without a fund nothing is graded" in page
    assert "worst of the last three known daily bands" not in page
    log = pages["/funds/morpho-simulated"]
    assert log[log.index("losses carried by users") :].count(">WETH / USDC</td>") == 2


def test_hundreds_of_liquidations_are_told_in_a_few_exact_lines(pages: dict[str, str], reader: Reader) -> None:
    page = text_of(pages["/funds/aave-v2-2021-reconstructed"])
    assert "600 liquidations from" in page
    debts = [place for place in range(600) if place % 5]
    exact = Decimal(sum(10**21 + place for place in debts)) / 10**18
    assert f"{exact:,f}".rstrip("0").rstrip(".") in page
    assert len(pages["/funds/aave-v2-2021-reconstructed"]) < 40_000
    twin = reader.get("/funds/aave-v2-2021-reconstructed.json").json()
    told = twin["segments"][0]["liquidations"]
    assert told["count"] == 600
    sums = {(row["side"], row["asset"]): row["sum_raw"] for row in told["sums"]}
    assert sums["debt", "DAI"] == str(sum(10**21 + place for place in debts))
    assert sums["collateral", HOSTILE] == str(sum(10**8 + place for place in range(600)))


def test_accounts_whose_liquidation_would_be_refused_are_listed(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/perp-v2-small-simulated"])
    assert "whose liquidation the contract would refuse" in page
    assert "−$23,100" in page
    assert "Unbooked loss: $86,400" in page


def test_caps_of_markets_and_holes_of_polling_are_shown(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/drift-2022-third-party"])
    assert "$499,940" in page
    assert "The line breaks 2 times" in page
    assert "between the polls of 2 Dec 2022, 23:00 UTC and 3 Dec 2022, 00:00 UTC" in re.sub(r"\s+", " ", page)


def test_holes_of_polling_stand_on_the_page_of_the_fund_and_in_one_line_of_the_status(pages: dict[str, str]) -> None:
    page = re.sub(r"\s+", " ", text_of(pages["/funds/drift-2022-third-party"]))
    assert "2 holes, 31 h together" in page
    assert re.search(r"28 h .* 3 h ", page)
    status = text_of(pages["/status"])
    assert status.count("2 holes in polling, 31 h together") == 1
    assert "1 Feb 2023, 00:00 UTC" in status
    assert "1,675,209,600" not in status


def test_blocks_not_scanned_are_listed(pages: dict[str, str], reader: Reader) -> None:
    assert "5,001" in text_of(pages["/status"])
    found = {row["slug"]: row["holes"] for row in reader.get("/status.json").json()["segments"]}
    assert found["perp-v2-large-simulated"] == [[5001, 5100]]


def test_a_number_tells_its_call_block_formula_and_digest(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/perp-v2-large-simulated/facts/usable_value"])
    for said in ("getInsuranceFundCapacity()", "512,300.1", "1,817,866", "Digest of the inputs", "Formula", "β"):
        assert said in page


@pytest.mark.parametrize("path", TWINS)
def test_twins_are_strict_json_with_block_quality_and_version(reader: Reader, path: str) -> None:
    answer = reader.get(path)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    told = json.loads(answer.content, parse_constant=refuse)
    assert told["digest"]
    assert told["method_version"] == "1"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_every_metric_of_the_twin_has_its_block_and_unknown_has_a_reason(reader: Reader) -> None:
    rows = [
        row
        for fund in reader.get("/funds.json").json()["funds"]
        for segment in fund["segments"]
        for row in segment["metrics"]
    ]
    assert len(rows) > 50
    for row in rows:
        assert row["block_hash"].startswith("0x")
        assert row["block_time"].endswith("Z")
        if row["quality"] == "unknown":
            assert row["value"] is None
            assert row["reason"]


def test_the_feed_is_atom_with_stable_ids(reader: Reader, engine: Engine) -> None:
    feed = ElementTree.fromstring(reader.get("/events.atom").content)
    ids = [entry.findtext(f"{ATOM}id") for entry in feed.iter(f"{ATOM}entry")]
    assert len(ids) == len(set(ids)) > 3
    moved = Reader(create_site(engine, lambda: NOW, SiteConfig(site_url="https://elsewhere.example")))
    again = ElementTree.fromstring(moved.get("/events.atom").content)
    assert [entry.findtext(f"{ATOM}id") for entry in again.iter(f"{ATOM}entry")] == ids


def test_a_live_source_that_falls_behind_is_not_current(reader: Reader) -> None:
    assert "3 of 4 sources current" in text_of(reader.get("/").text)
    assert "no provider answered" in text_of(reader.get("/status").text)


def test_the_style_sheet_is_small_and_kept_for_ever(reader: Reader) -> None:
    style = re.search(r'rel="stylesheet" href="([^"]+)"', reader.get("/").text)
    assert style is not None
    answer = reader.get(style[1])
    assert len(answer.content) <= 10_240
    assert "immutable" in answer.headers["cache-control"]


def test_an_empty_ledger_is_said_to_be_empty(tmp_path: Path) -> None:
    empty = open_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    upgrade(empty)
    reader = Reader(create_site(empty, lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    assert "No fund is in the ledger yet" in reader.get("/").text
    for path in ("/events", "/status", "/funds.json", "/events.atom"):
        assert reader.get(path).status_code == 200
    empty.dispose()


def test_a_fund_whose_chain_nobody_answers_has_its_source_down(pages: dict[str, str]) -> None:
    page = text_of(pages["/funds/hostile"])
    assert "source down" in page
    assert "no provider answered" in text_of(pages["/status"])


def test_a_site_that_is_opened_reads_all_numbers_before_anybody_asks(engine: Engine) -> None:
    read: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        read.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        with serving(create_site(engine, lambda: NOW, SiteConfig()), open_socket("127.0.0.1", 0)) as served:
            until = time.monotonic() + 20
            while not any("FROM metric" in one for one in read) and time.monotonic() < until:
                time.sleep(0.01)
            assert any("FROM metric" in one for one in read)
            assert httpx.get(served.url).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_site_whose_ledger_is_away_is_opened_all_the_same(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'nobody' / 'ledger.sqlite'}")
    with serving(create_site(engine, lambda: NOW, SiteConfig()), open_socket("127.0.0.1", 0)) as served:
        assert httpx.get(served.url).status_code == 503


def test_prices_of_two_tokens_with_one_symbol_are_told_apart(reader: Reader) -> None:
    rows = reader.get("/funds/perp-v2-large-simulated/facts/usable_value.json").json()["segments"][0]["prices"]
    assert rows
    page = reader.get("/funds/perp-v2-large-simulated/facts/usable_value").text
    table = " ".join(text_of(page[page.index("Prices at or before that block") :]).split())
    for row in rows:
        token = row["asset_address"]
        assert f'title="{token}"' in page
        assert f"{row['asset']} {token[:8]}…{token[-4:]}" in table
    assert len({row["asset_address"] for row in rows}) == len(rows)


def test_an_estimate_has_its_interval_beside_it(new_ledger: Engine) -> None:
    invent_small(new_ledger)
    with writing(new_ledger) as session:
        session.execute(update(Metric).where(col(Metric.name) == "coverage").values(ci_low=1.12, ci_high=1.87))
    page = Reader(create_site(new_ledger, lambda: NOW, SiteConfig())).get(f"/funds/{SLUG}").text
    numbers = text_of(page[page.index('id="numbers"') :])
    assert re.search(r"Coverage\s+1\.50×\s+1\.12× to 1\.87×\s+ok", numbers)
