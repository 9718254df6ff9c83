"""Addresses written otherwise lead to the right one; whatever else is asked for gets a clear answer, never a 500."""

import pytest

from tests.web.conftest import Reader

FUND = "/funds/perp-v2-large-simulated"


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (f"{FUND}/", FUND),
        ("/events//", "/events"),
        ("//events", "/events"),
        ("/FUNDS/Perp-V2-Large-Simulated", FUND),
        ("/Funds/Perp-V2-Large-Simulated.JSON", f"{FUND}.json"),
        ("/funds/Perp-V2-Large-Simulated.json", f"{FUND}.json"),
        ("/funds.json/", "/funds.json"),
        (f"{FUND}/at/2021-05-21/", f"{FUND}/at/2021-05-21"),
        (f"{FUND}/facts/coverage/", f"{FUND}/facts/coverage"),
        ("/methodology/?a=b&c=%2F", "/methodology?a=b&c=%2F"),
        ("/%45vents", "/events"),
    ],
)
def test_an_address_written_otherwise_leads_to_the_right_one(reader: Reader, asked: str, right: str) -> None:
    answer = reader.get(f"http://site{asked}")
    assert (answer.status_code, answer.headers["location"]) == (308, right)
    assert reader.get(right).status_code == 200


@pytest.mark.parametrize("asked", ["//evil.example/", "/nowhere/", "/NOWHERE", "//", "/funds//", "/\\evil.example/"])
def test_nothing_leads_to_another_site_or_to_a_page_that_is_not_there(reader: Reader, asked: str) -> None:
    answer = reader.get(f"http://site{asked}")
    assert answer.status_code in {404, 308}
    if answer.status_code == 308:
        assert answer.headers["location"] == "/"


def test_a_form_is_never_led_elsewhere(reader: Reader) -> None:
    assert reader.get("/events/", method="POST").status_code == 405
    assert reader.get("/events", method="DELETE").status_code == 405
    assert "GET" in reader.get("/events", method="PUT").headers["allow"]


@pytest.mark.parametrize("host", ["[::1", "a b", "evil.example\\@x", "", "x" * 5_000])
def test_a_broken_host_is_no_reason_to_fail(reader: Reader, host: str) -> None:
    assert reader.get("/events", {"Host": host}).status_code == 200
    assert reader.get("/nowhere.json", {"Host": host}).status_code == 404


@pytest.mark.parametrize("tag", ["*", 'W/"', '"\\"', ",,,", "x" * 10_000, '"a", W/"b"'])
def test_whatever_a_reader_says_to_have_is_understood_or_ignored(reader: Reader, tag: str) -> None:
    assert reader.get("/events", {"If-None-Match": tag}).status_code == (304 if tag == "*" else 200)


@pytest.mark.parametrize("path", ["/events", FUND, f"{FUND}/at/2021-05-21", "/funds.json", "/events.atom"])
def test_head_says_what_get_says(reader: Reader, path: str) -> None:
    got, head = reader.get(path), reader.get(path, method="HEAD")
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("etag", "cache-control", "content-type"):
        assert head.headers[name] == got.headers[name]
