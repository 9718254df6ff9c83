"""What the API answers: rows with their blocks, pages that are walked once, filters, states that stay apart."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from sqlmodel import select

from ledger.database import open_engine, reading, writing
from ledger.kinds import Role
from ledger.tables import Alert, Chain, Platform
from tests.web.conftest import Reader
from tests.web.inventor import COMPUTED_AT, CRASH_END, LIVE, NOW, SIMULATED, Inventor, hours
from tests.web.v1.test_description import api_routes
from web.edition import SiteConfig
from web.site import create_site

API = "/api/v1"
LARGE = "perp-v2-large-simulated"
FUNDS = (LARGE, "perp-v2-optimism", "aave-v2-2021-reconstructed", "drift-2022-third-party", "hostile")
LISTS = (
    "/funds",
    f"/funds/{LARGE}/metrics/coverage",
    f"/funds/{LARGE}/readings?name=balance",
    f"/funds/{LARGE}/events?role=contribution",
    f"/funds/{LARGE}/events",
    "/events",
    "/events?role=payout",
)


def ask(reader: Reader, path: str) -> Any:
    answer = reader.get(API + path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def walk(reader: Reader, path: str, limit: int) -> Iterator[list[Any]]:
    """Page after page, by following `next`."""
    following = f"{API}{path}{'&' if '?' in path else '?'}limit={limit}"
    while following:
        answer = reader.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (f'<{body["next"]}>; rel="next"' if body["next"] else None) == answer.headers.get("link")
        assert len(body["data"]) <= limit
        assert body["self"].startswith("https://backstop.example/api/v1/")
        yield body["data"]
        following = (body["next"] or "").removeprefix("https://backstop.example")


@pytest.mark.parametrize("route", api_routes(), ids=lambda route: route.path)
@pytest.mark.parametrize("slug", FUNDS)
def test_every_answer_has_the_fields_that_are_described_and_no_others(
    reader: Reader, route: APIRoute, slug: str
) -> None:
    path = route.path.format(slug=slug, name="coverage") + ("?name=balance" if route.path.endswith("readings") else "")
    answer = reader.get(path)
    if answer.status_code == 404:
        assert route.path.endswith("{name}"), "a fund without numbers has no history"
    else:
        assert answer.status_code == 200, answer.text
        route.response_model.model_validate(answer.json(), extra="forbid")


@pytest.mark.parametrize("path", LISTS)
def test_walking_a_list_gives_each_row_once_whatever_the_size_of_a_page(reader: Reader, path: str) -> None:
    whole = ask(reader, path + ("&" if "?" in path else "?") + "limit=500")["data"]
    assert len(whole) > 2
    for limit in (1, 7) if len(whole) < 40 else (len(whole) // 3, len(whole) - 1, len(whole)):
        pages = list(walk(reader, path, limit))
        assert [row for page in pages for row in page] == whole
        assert len(pages) == -(-len(whole) // limit)


def test_rows_have_their_block_their_exact_value_and_their_unit(reader: Reader) -> None:
    row = ask(reader, f"/funds/{LARGE}/events?role=shortfall")["data"][0]
    assert re.fullmatch("0x[0-9a-f]{64}", row["block_hash"])
    assert row["block_time"] == "2021-05-19T13:46:00Z"
    assert (row["value_raw"], row["decimals"], row["value"], row["unit"]) == ("13133478897", 6, "13133.478897", "USDC")
    assert (row["source_kind"], row["is_synthetic"], row["is_final"]) == ("simulated", False, True)


def test_rows_are_the_newest_first(reader: Reader) -> None:
    for path in (f"/funds/{LARGE}/events?role=contribution", "/events"):
        times = [row["block_time"] for row in ask(reader, path)["data"]]
        assert times == sorted(times, reverse=True)
    days = [row["day"] for row in ask(reader, f"/funds/{LARGE}/metrics/coverage")["data"]]
    assert days == sorted(days, reverse=True)
    assert len(days) == 4


def test_both_days_of_a_span_are_included(reader: Reader) -> None:
    path = f"/funds/{LARGE}/events?role=contribution&since=2021-05-01&until=2021-05-03"
    days = [row["block_time"][:10] for row in ask(reader, path)["data"]]
    assert days == ["2021-05-03", "2021-05-02", "2021-05-01"]
    assert ask(reader, "/events?since=2999-01-01")["data"] == []
    assert ask(reader, "/events?until=0001-01-01")["data"] == []
    assert ask(reader, "/events?since=0001-01-01&until=9999-12-31")["data"] == ask(reader, "/events")["data"]


def test_without_a_role_losses_and_payouts_are_told(reader: Reader) -> None:
    told = {row["role"] for row in ask(reader, f"/funds/{LARGE}/events")["data"]}
    assert told == {"shortfall", "payout"}
    assert {row["role"] for row in ask(reader, "/events?role=adl&limit=500")["data"]} <= {"adl"}


def test_what_could_not_be_read_is_null_with_its_reason_and_never_zero(engine: Engine, reader: Reader) -> None:
    rows = [
        row
        for slug in FUNDS
        for page in walk(reader, f"/funds/{slug}/readings?name=balance", 500)
        for row in page
        if row["value_raw"] is None
    ]
    assert rows
    for row in rows:
        assert (row["value"], row["quality"]) == (None, "unknown")
        assert row["reason"]


def test_an_unknown_metric_is_null_with_its_reason(reader: Reader) -> None:
    [row] = [row for row in ask(reader, "/funds/reserve-simulated/metrics")["data"] if row["name"] == "coverage"]
    assert (row["value"], row["quality"], row["reason"]) == (None, "unknown", "it covers no defined exposure")


def test_what_a_reconstruction_made_up_is_named(reader: Reader) -> None:
    for path in ("events", "metrics", "readings?name=balance"):
        for row in ask(reader, f"/funds/aave-v2-2021-reconstructed/{path}")["data"]:
            assert row["is_synthetic"]
            assert "block_hash" in row["synthetic"]


def test_the_api_says_of_a_segment_what_its_twin_says(reader: Reader) -> None:
    twins = {fund["slug"]: fund for fund in reader.get("/funds.json").json()["funds"]}
    for fund in ask(reader, "/funds")["data"]:
        for segment in fund["segments"]:
            [twin] = [one for one in twins[fund["slug"]]["segments"] if one["slug"] == segment["slug"]]
            assert {name: segment[name] for name in twin if name != "metrics"} == {
                name: twin[name] for name in twin if name != "metrics"
            }


def test_a_metric_says_what_its_twin_says(reader: Reader) -> None:
    twin = reader.get(f"/funds/{LARGE}/facts/coverage.json").json()["segments"][0]["metric"]
    [row] = [row for row in ask(reader, f"/funds/{LARGE}/metrics")["data"] if row["name"] == "coverage"]
    del twin["detail"]
    assert {name: row[name] for name in twin} == twin
    assert reader.get(row["evidence"]).status_code == 200


def test_every_metric_is_defined(reader: Reader) -> None:
    method = ask(reader, "/methodology")
    assert [one["version"] for one in method["versions"]] == ["2", "1"]
    for one in method["metrics"]:
        assert all(one[name] for name in ("title", "sentence", "formula", "unit", "source", "limits")), one["name"]


def test_a_reorganisation_is_on_record(reader: Reader) -> None:
    [row] = ask(reader, "/reorgs")["data"]
    assert (row["chain_id"], row["fork_number"], row["depth"]) == (SIMULATED, 1_800_000, 2)


@pytest.fixture
def small(sqlite_ledger_url: str) -> Iterator[Engine]:
    """A live fund with an announcement that a later one takes back."""
    opened = open_engine(sqlite_ledger_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW - timedelta(minutes=10))
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, CRASH_END)
        fund = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2", asset=usdc)
        inventor.fact(fund, NOW - timedelta(hours=1), Role.SHORTFALL, None)
        inventor.fact(fund, NOW - timedelta(hours=2), Role.SHORTFALL, 7)
        inventor.fact(fund, NOW - timedelta(minutes=10), Role.PAYOUT, 0, asset_id=usdc.id)
        for place, retracts in enumerate((None, None, 1)):
            inventor.add(
                Alert(
                    key=f"key-{place}",
                    event="fund.depleted",
                    severity="critical",
                    subject="alpha",
                    fund_slug="alpha",
                    chain_id=LIVE,
                    happened_at=hours(NOW, 3)[place],
                    title="Depleted",
                    message={"sentence": "It is empty."},
                    retracts=retracts,
                    created_at=COMPUTED_AT,
                )
            )
    yield opened
    opened.dispose()


def test_announcements_are_told_newest_first_with_what_was_taken_back(small: Engine) -> None:
    reader = Reader(create_site(small, lambda: NOW, SiteConfig("https://backstop.example")))
    [one], [two], [three] = walk(reader, "/alerts", 1)
    assert [row["key"] for row in (one, two, three)] == ["key-2", "key-1", "key-0"]
    assert [row["is_retracted"] for row in (one, two, three)] == [False, False, True]
    assert (one["retracts"], one["source_kind"], one["message"]) == (three["id"], "live", {"sentence": "It is empty."})


def test_zero_and_unknown_amounts_stay_apart_and_an_unfinal_event_says_so(small: Engine) -> None:
    payout, unstated, unscaled = ask(Reader(create_site(small, lambda: NOW)), "/events")["data"]
    assert (payout["value_raw"], payout["value"], payout["reason"]) == ("0", "0", "")
    assert (payout["is_final"], unstated["is_final"]) == (False, True)
    assert (unstated["value_raw"], unstated["value"], unstated["reason"]) == (None, None, "the event states no amount")
    assert (unscaled["value_raw"], unscaled["value"]) == ("7", None)
    assert unscaled["reason"] == "the asset is not known, so its decimals are not"


def test_a_source_that_falls_behind_is_not_called_current(small: Engine) -> None:
    in_time, late = (
        Reader(create_site(small, lambda now=now: now)) for now in (NOW, NOW + timedelta(minutes=20, seconds=1))
    )
    for reader, is_current, lag in ((in_time, True, 600), (late, False, 1860)):
        [chain] = ask(reader, "/chains")["data"]
        assert (chain["is_current"], chain["lag_seconds"]) == (is_current, lag)
        [fund] = ask(reader, "/funds")["data"]
        assert fund["segments"][0]["is_source_current"] is is_current
        assert ask(reader, "/status")["current_source_count"] == int(is_current)


def test_a_halted_chain_makes_its_segments_not_computable_at_once(small: Engine) -> None:
    with writing(small) as session:
        chain = session.exec(select(Chain).where(Chain.chain_id == LIVE)).one()
        chain.status, chain.status_reason = "halted", "two providers disagree on a final block"
    reader = Reader(create_site(small, lambda: NOW))
    [row] = ask(reader, "/chains")["data"]
    assert (row["is_current"], row["reason"]) == (False, "two providers disagree on a final block")
    [segment] = ask(reader, "/funds/alpha/segments")["data"]
    assert (segment["status"], segment["is_source_current"]) == ("not_computable", False)


def test_the_same_state_gives_the_same_bytes_and_a_new_one_another_etag(small: Engine) -> None:
    first, second = (Reader(create_site(small, lambda: NOW)).get(f"{API}/events") for _ in range(2))
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
    with writing(small) as session:
        inventor = Inventor(session)
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", NOW)
        beta = inventor.fund("beta", "Beta", SIMULATED, "perp-v2")
        inventor.fact(beta, NOW, Role.ADL, 1)
    third = Reader(create_site(small, lambda: NOW)).get(f"{API}/events", {"If-None-Match": first.headers["etag"]})
    assert third.status_code == 200
    assert len(third.json()["data"]) == 4


def test_the_ledger_is_only_read(engine: Engine, reader: Reader) -> None:
    with reading(engine) as session:
        before = len(session.exec(select(Alert)).all())
    assert ask(reader, "/alerts")["data"] == []
    with reading(engine) as session:
        assert len(session.exec(select(Alert)).all()) == before
