"""What a program may do wrong, and what it is told: a problem document, never a page and never a 500."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from limits import parse
from sqlalchemy import Engine

from ledger.database import open_engine
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.site import create_site
from web.v1.paging import EventQuery, PageQuery, write_cursor
from web.v1.problems import PROBLEM, Problem
from web.v1.routes import Counter, create_api_router

API = "/api/v1"
LARGE = f"{API}/funds/perp-v2-large-simulated"


def problem(answer: httpx.Response, code: int) -> Problem:
    """The problem that an answer tells, once it is one."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    told = Problem.model_validate_json(answer.content, extra="forbid")
    assert (told.status, told.type) == (code, "about:blank")
    return told


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        (f"{API}/funds?limit=0", "limit"),
        (f"{API}/funds?limit=501", "limit"),
        (f"{API}/funds?limit=ten", "limit"),
        (f"{API}/funds?limit=1.0", "limit"),
        (f"{API}/funds?limit=1_0", "limit"),
        (f"{API}/funds?limit=" + "9" * 5000, "limit"),
        (f"{API}/funds?cursor=", "cursor"),
        (f"{API}/funds?cursor=a%00b", "cursor"),
        (f"{API}/funds?cursor=" + "A" * 5000, "cursor"),
        (f"{API}/funds?offset=10", "offset"),
        (f"{API}/status?x=1", "x"),
        (f"{LARGE}?x=1", "x"),
        (f"{LARGE}/events?role=theft", "role"),
        (f"{LARGE}/events?roles=adl", "roles"),
        (f"{API}/events?role=liquidation", "role"),
        (f"{API}/events?since=yesterday", "since"),
        (f"{API}/events?since=2021-02-30", "since"),
        (f"{API}/events?since=1621814400", "since"),
        (f"{API}/events?since=2021-05-24T00:00:00Z", "since"),
        (f"{API}/events?since=0000-01-01", "since"),
        (f"{API}/events?since=2021-05-24&until=2021-05-23", "until"),
        (f"{LARGE}/readings", "name"),
        (f"{LARGE}/readings?name=coverage", "name"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(reader: Reader, path: str, parameter: str) -> None:
    told = problem(reader.get(path), 400)
    assert [one.parameter for one in told.errors] == [parameter]
    assert all(one.reason for one in told.errors)


@pytest.mark.parametrize(
    "path",
    [
        API,
        f"{API}/",
        f"{API}/nothing",
        f"{API}/funds/",
        f"{API}/funds/nobody",
        f"{API}/funds/nobody/metrics",
        f"{API}/funds/UPPER",
        f"{API}/funds/" + "x" * 300,
        f"{API}/funds/a%00b",
        f"{LARGE}/metrics/nothing",
        f"{LARGE}/metrics/Coverage",
        "/api/v2/funds",
    ],
)
def test_what_is_not_there_is_said_to_be_not_there(reader: Reader, path: str) -> None:
    told = problem(reader.get(path), 404)
    assert told.title == "Not Found"
    assert told.errors == []


def test_a_missing_fund_is_told_where_all_of_them_stand(reader: Reader) -> None:
    assert "/api/v1/funds" in problem(reader.get(f"{API}/funds/nobody"), 404).detail


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_only_reading_is_possible(reader: Reader, method: str) -> None:
    answer = reader.get(f"{API}/funds", method=method)
    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_head_gives_headers_only(reader: Reader) -> None:
    answer = reader.get(f"{API}/funds", method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


def seal(path: str, query: PageQuery, place: tuple[Any, ...]) -> str:
    """A cursor as somebody would forge it who has read how cursors are sealed."""
    return write_cursor(path, query, place)


EVENTS = f"{LARGE}/events"


@pytest.mark.parametrize(
    "place",
    [
        (),
        (1,),
        (NOW, 1, 1, 1),
        (NOW, 1, 1, 1, 1, 1),
        ("x", 1, 1, 1, 1),
        (NOW, -1, 1, 1, 1),
        (NOW, 2**63, 1, 1, 1),
        (NOW, 10**400, 1, 1, 1),
        (10**18, 1, 1, 1, 1),
        (NOW, 1.5, 1, 1, 1),
        (NOW, True, 1, 1, 1),
        (NOW, None, 1, 1, 1),
        (NOW, [1], 1, 1, 1),
    ],
)
def test_a_cursor_that_is_sealed_but_names_no_place_is_refused(reader: Reader, place: tuple[Any, ...]) -> None:
    told = problem(reader.get(f"{EVENTS}?cursor={seal(EVENTS, EventQuery(), place)}"), 400)
    assert [one.parameter for one in told.errors] == ["cursor"]


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_cursor_with_text_that_no_database_takes_is_refused(reader: Reader, text: str) -> None:
    problem(reader.get(f"{API}/funds?cursor={seal(f'{API}/funds', PageQuery(), (text,))}"), 400)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"{}", b"[]", b"null", b"1", b'"ab"', b"[[[[", b"[" * 700, b"\xff\xfe", b"[NaN]", b'["seal","a"]'],
)
def test_a_cursor_that_is_not_ours_is_refused(reader: Reader, content: bytes) -> None:
    cursor = base64.urlsafe_b64encode(content).decode().rstrip("=") or "A"
    told = problem(reader.get(f"{API}/funds?cursor={cursor}"), 400)
    assert [one.parameter for one in told.errors] == ["cursor"]


def test_a_cursor_belongs_to_its_list_and_filters(reader: Reader) -> None:
    following = reader.get(f"{EVENTS}?role=contribution&limit=1").json()["next"]
    cursor = following.partition("cursor=")[2]
    assert reader.get(f"{EVENTS}?role=contribution&limit=7&cursor={cursor}").status_code == 200
    problem(reader.get(f"{EVENTS}?role=shortfall&cursor={cursor}"), 400)
    problem(reader.get(f"{EVENTS}?role=contribution&since=2021-05-01&cursor={cursor}"), 400)
    problem(reader.get(f"{API}/events?cursor={cursor}"), 400)


def test_a_cursor_with_one_letter_changed_is_refused(reader: Reader) -> None:
    following = reader.get(f"{API}/funds?limit=1").json()["next"]
    seal_and_place = json.loads(base64.urlsafe_b64decode(following.partition("cursor=")[2] + "=="))
    seal_and_place[1] += "x"
    forged = base64.urlsafe_b64encode(json.dumps(seal_and_place).encode()).decode().rstrip("=")
    problem(reader.get(f"{API}/funds?cursor={forged}"), 400)


def test_a_program_that_asks_too_often_is_told_how_long_to_wait(engine: Engine) -> None:
    site = create_site(engine, lambda: NOW)
    few = Counter(engine, lambda: NOW, SiteConfig(), often=(parse("3 per minute"),))
    limited = FastAPI(exception_handlers=site.exception_handlers)
    limited.include_router(create_api_router(few))
    reader = Reader(limited)
    for path in (f"{API}/chains", f"{API}/funds/nobody", f"{API}/reorgs"):
        assert reader.get(path).status_code in (200, 404)
    answer = reader.get(f"{API}/chains")
    assert "Retry-After" in problem(answer, 429).detail
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_without_its_ledger_the_api_answers_nothing_old(tmp_path: Path) -> None:
    gone = open_engine(f"sqlite:///{tmp_path / 'never-made.sqlite'}")
    reader = Reader(create_site(gone, lambda: NOW))
    for path in (f"{API}/funds", f"{API}/status", f"{LARGE}/metrics"):
        answer = reader.get(path)
        problem(answer, 503)
        assert answer.headers["retry-after"] == "30"
    assert reader.get("/openapi.json").status_code == 200
    gone.dispose()


def test_a_twin_tells_its_problems_in_the_same_way(reader: Reader) -> None:
    problem(reader.get("/funds/nobody.json"), 404)
    problem(reader.get("/funds.json", method="POST"), 405)


def test_a_known_answer_is_not_sent_again(reader: Reader) -> None:
    first = reader.get(f"{API}/funds")
    assert "max-age=60" in first.headers["cache-control"]
    again = reader.get(f"{API}/funds", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert reader.get(f"{API}/funds", {"If-None-Match": '"other"'}).status_code == 200


def test_scripts_of_any_site_may_read_answers_and_where_they_go_on(reader: Reader) -> None:
    headers = reader.get(f"{API}/funds?limit=1").headers
    assert headers["access-control-allow-origin"] == "*"
    assert "Link" in headers["access-control-expose-headers"]
