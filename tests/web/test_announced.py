"""What was announced, for everybody: page, JSON and feed; and whether messages leave."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from alerts.message import Change, Message
from ledger.database import writing
from ledger.kinds import AlertEvent, EndpointKind, EndpointStatus, Purpose, Severity
from ledger.outbox import end_delivery, order
from ledger.tables import Alert, AlertCursor, Delivery, Endpoint
from tests.web.inventor import HOSTILE, LIVE, NOW, SIMULATED
from tests.web.visitors import Visitor, text_of, visitor_of
from web.announced import MOST_ENTRIES, MOST_SHOWN
from web.edition import SiteConfig
from web.site import create_site

ATOM = "{http://www.w3.org/2005/Atom}"
HAPPENED = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
REPLAY = "Replay of Crash: simulated"
Announce = Callable[..., int]


@pytest.fixture
def announce(one_visitor: Visitor) -> Announce:
    """Enters an announcement about the live fund, or what a test says instead; its id."""

    def enter(
        key: str = "coverage_low/alpha/1", *, retracts: int | None = None, at: datetime = HAPPENED, **said: str
    ) -> int:
        message = Message(
            **{
                "key": key,
                "event": AlertEvent.COVERAGE_LOW,
                "severity": Severity.WARNING,
                "subject": "[Short] Alpha fund: coverage 0.71× (was 1.12×), 16:30 UTC",
                "sentence": "Coverage of Alpha fund fell to 0.71× at block 1,000.",
                "happened_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "fund_name": "Alpha fund",
                "fund_slug": "alpha",
                **said,
            },
            changes=(Change("Coverage", "1.12×", "0.71×", "below 1.00×"),),
        )
        alert = Alert(key=key, event=message.event, severity=message.severity, subject="alpha", happened_at=at,
                      fund_slug=message.fund_slug or None, chain_id=SIMULATED if message.replay else LIVE,
                      title=message.subject, message=message.to_json(), retracts=retracts, created_at=NOW)  # fmt: skip
        with writing(one_visitor.engine) as session:
            session.add(alert)
        assert alert.id is not None
        return alert.id

    return enter


def entries(visitor: Visitor) -> list[dict[str, str]]:
    """The feed's entries: what stands in each of their elements."""
    feed = ElementTree.fromstring(visitor.get("/alerts/log.atom").content)
    return [
        {child.tag.removeprefix(ATOM): child.text or child.get("href", "") for child in entry}
        for entry in feed.iter(f"{ATOM}entry")
    ]


def test_the_log_says_what_was_announced_about_whom_and_how_severe_it_is(
    one_visitor: Visitor, announce: Announce
) -> None:
    number = announce()
    page = one_visitor.get("/alerts/log")
    assert page.status_code == 200
    row = re.search(rf'<tr id="a{number}">.+?</tr>', page.text, re.S)
    assert row
    for said in ("22 Nov 2026, 16:30 UTC", "Warning", "Coverage fell below the threshold", '<a href="/funds/alpha">'):
        assert said in row[0]
    assert "Coverage of Alpha fund fell to 0.71× at block 1,000." in row[0]
    assert "Replay of" not in row[0]
    assert one_visitor.get("/funds/alpha").status_code == 200


def test_the_newest_stands_first_in_page_twin_and_feed(one_visitor: Visitor, announce: Announce) -> None:
    for hours in (2, 0, 1):
        announce(f"key-{hours}", at=HAPPENED - timedelta(hours=hours), sentence=f"Sentence {hours}.")
    said = ["Sentence 0.", "Sentence 1.", "Sentence 2."]
    assert re.findall(r"Sentence \d\.", one_visitor.get("/alerts/log").text) == said
    assert [row["sentence"] for row in one_visitor.get("/alerts/log.json").json()["announcements"]] == said
    assert [entry["summary"] for entry in entries(one_visitor)] == said


def test_before_anything_was_announced_each_form_of_the_log_is_whole_and_says_so(one_visitor: Visitor) -> None:
    assert "Nothing yet." in text_of(one_visitor.get("/alerts/log"))
    assert one_visitor.get("/alerts/log.json").json() == {"announcements": [], "live_since": {}}
    feed = ElementTree.fromstring(one_visitor.get("/alerts/log.atom").content)
    assert feed.findtext(f"{ATOM}updated") == "1970-01-01T00:00:00Z"
    assert entries(one_visitor) == []


def test_the_twin_carries_the_whole_message_as_it_was_worded(one_visitor: Visitor, announce: Announce) -> None:
    number = announce()
    answer = one_visitor.get("/alerts/log.json")
    assert answer.headers["access-control-allow-origin"] == "*"
    (row,) = answer.json()["announcements"]
    assert (row["id"], row["key"]) == (number, "coverage_low/alpha/1")
    assert row["changes"] == [{"name": "Coverage", "before": "1.12×", "after": "0.71×", "threshold": "below 1.00×"}]
    assert (row["happened_at"], row["created_at"]) == ("2026-11-22T16:30:00Z", "2026-11-22T17:02:00Z")


def test_what_was_taken_back_is_marked_and_so_is_what_takes_it_back(one_visitor: Visitor, announce: Announce) -> None:
    wrong, right = announce("wrong", sentence="It fell."), announce("right", sentence="It rose.")
    later = HAPPENED + timedelta(minutes=20)
    announce("taken back", retracts=wrong, at=later, event=AlertEvent.RETRACTED, sentence="It did not fall.")
    page = one_visitor.get("/alerts/log").text
    rows = {number: re.search(rf'<tr id="a{number}">.+?</tr>', page, re.S)[0] for number in (wrong, right)}  # type: ignore[index]
    assert "Taken back since." in rows[wrong]
    assert "Taken back since." not in rows[right]
    found = {entry["summary"]: entry["updated"] for entry in entries(one_visitor)}
    # A reader of feeds looks at an entry again where its time has changed.
    assert found == {
        "It did not fall.": "2026-11-22T16:50:00Z",
        "It fell. Taken back since.": "2026-11-22T16:50:00Z",
        "It rose.": "2026-11-22T16:30:00Z",
    }
    said = {row["key"]: row["is_retracted"] for row in one_visitor.get("/alerts/log.json").json()["announcements"]}
    assert said == {"wrong": True, "right": False, "taken back": False}


def test_what_is_of_a_replay_says_so_in_each_form(one_visitor: Visitor, announce: Announce) -> None:
    announce(replay=REPLAY, fund_slug="beta-simulated", fund_name="Beta fund (simulated)")
    row = re.search(r"<tr id=.+?</tr>", one_visitor.get("/alerts/log").text, re.S)
    assert row
    assert REPLAY in row[0]
    assert one_visitor.get("/alerts/log.json").json()["announcements"][0]["replay"] == REPLAY
    assert entries(one_visitor)[0]["summary"].startswith(f"{REPLAY}. ")


def test_what_is_about_no_fund_links_to_none(one_visitor: Visitor, announce: Announce) -> None:
    announce(fund_slug="", fund_name="", event=AlertEvent.STALE)
    row = re.search(r"<tr id=.+?</tr>", one_visitor.get("/alerts/log").text, re.S)
    assert row
    assert "<a href" not in row[0]
    assert '<td data-label="Fund">all</td>' in row[0]


def test_hostile_words_stay_words_and_break_no_form(one_visitor: Visitor, announce: Announce) -> None:
    announce(
        sentence=f"{HOSTILE} ]]> &amp; \x00\x0b\ufffe\u202e end", subject=HOSTILE, fund_name=HOSTILE, replay=HOSTILE
    )
    page = one_visitor.get("/alerts/log")
    assert "<script" not in page.text
    assert f"{HOSTILE} ]]> &amp;" in text_of(page)
    (entry,) = entries(one_visitor)
    assert entry["title"] == HOSTILE
    assert entry["summary"].startswith(f"{HOSTILE}. {HOSTILE} ]]> &amp; ")
    assert entry["summary"].endswith(" end")


def test_an_entry_keeps_its_id_when_the_site_moves_and_the_ledger_is_filled_anew(
    one_visitor: Visitor, announce: Announce
) -> None:
    announce("first")
    announce("second")
    before = [entry["id"] for entry in entries(one_visitor)]
    assert len({*before}) == 2
    with writing(one_visitor.engine) as session:
        for alert in one_visitor.rows(Alert):
            session.delete(alert)
    announce("padding")  # What comes later has other numbers of rows than before.
    announce("first")
    announce("second")
    moved = Visitor(
        create_site(one_visitor.engine, one_visitor.hand, SiteConfig("https://moved.example")),
        one_visitor.engine,
        one_visitor.hand,
    )
    assert [entry["id"] for entry in entries(moved)][:2] == before
    assert entries(moved)[0]["link"].startswith("https://moved.example/alerts/log#a")


def test_the_feed_names_a_time_for_itself_that_no_entry_is_later_than(one_visitor: Visitor, announce: Announce) -> None:
    for hours in (3, 1, 2):
        announce(f"key-{hours}", at=HAPPENED - timedelta(hours=hours))
    feed = ElementTree.fromstring(one_visitor.get("/alerts/log.atom").content)
    assert feed.findtext(f"{ATOM}updated") == max(entry["updated"] for entry in entries(one_visitor))


def test_a_long_log_is_cut_to_the_newest(one_visitor: Visitor, announce: Announce) -> None:
    for number in range(MOST_SHOWN + 2):
        announce(f"key-{number}", at=HAPPENED + timedelta(seconds=number), sentence=f"Number {number}.")
    rows = one_visitor.get("/alerts/log.json").json()["announcements"]
    assert (len(rows), rows[0]["sentence"]) == (MOST_SHOWN, f"Number {MOST_SHOWN + 1}.")
    assert one_visitor.get("/alerts/log").text.count("<tr id=") == MOST_SHOWN
    assert len(entries(one_visitor)) == MOST_ENTRIES


def test_the_log_says_since_when_each_source_is_listened_to(one_visitor: Visitor) -> None:
    with writing(one_visitor.engine) as session:
        session.add(AlertCursor(chain_id=LIVE, live_since=HAPPENED, moved_at=NOW, ruled_at=NOW))
    assert "Optimism 22 Nov 2026, 16:30 UTC" in text_of(one_visitor.get("/alerts/log"))
    assert one_visitor.get("/alerts/log.json").json()["live_since"] == {"Optimism": "22 Nov 2026, 16:30 UTC"}


@pytest.mark.parametrize("path", ["/alerts/log", "/alerts/log.json", "/alerts/log.atom"])
def test_whoever_has_the_log_gets_it_again_only_once_something_was_announced(
    one_visitor: Visitor, announce: Announce, path: str
) -> None:
    known = {"If-None-Match": one_visitor.get(path).headers["etag"]}
    assert one_visitor.ask("GET", path, headers=known).status_code == 304
    announce()
    assert one_visitor.ask("GET", path, headers=known).status_code == 200


def ordered(visitor: Visitor, *, due: datetime) -> int:
    """A message to somebody."""
    with writing(visitor.engine) as session:
        endpoint = Endpoint(public_id="e", kind=EndpointKind.WEBHOOK, address="https://e.example/",
                            status=EndpointStatus.ACTIVE, created_at=NOW)  # fmt: skip
        session.add(endpoint)
        session.flush()
        return order(session, endpoint.id or 0, Purpose.TEST, now=due)


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(hours=-2), 200), (timedelta(0), 200), (timedelta(minutes=10), 200), (timedelta(seconds=601), 503)],
)
def test_the_site_is_ready_while_no_message_has_been_due_for_more_than_10_minutes(
    visitor: Visitor, age: timedelta, status: int
) -> None:
    assert visitor.get("/readyz").status_code == 200
    ordered(visitor, due=NOW - age)
    answer = visitor.get("/readyz")
    assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
    assert answer.text == (
        "ok\n" if status == 200 else "a message has been due since 2026-11-22T16:51:59Z: is a sender running?\n"
    )


def test_the_site_is_ready_again_once_the_message_has_ended(visitor: Visitor) -> None:
    number = ordered(visitor, due=NOW - timedelta(hours=1))
    assert visitor.get("/readyz").status_code == 503
    with writing(visitor.engine) as session:
        delivery = session.get(Delivery, number)
        assert delivery is not None
        end_delivery(delivery, "sent", "", now=NOW)
    assert visitor.get("/readyz").status_code == 200


def test_a_message_that_waits_for_its_next_attempt_is_not_late(visitor: Visitor) -> None:
    ordered(visitor, due=NOW + timedelta(hours=20))
    visitor.hand.now = NOW + timedelta(hours=20, minutes=9)
    assert visitor.get("/readyz").status_code == 200


def test_without_its_ledger_the_site_is_not_ready(one_visitor: Visitor) -> None:
    gone = visitor_of(one_visitor.engine)
    one_visitor.engine.dispose()
    path = one_visitor.engine.url.database or ""
    for suffix in ("", "-wal", "-shm"):
        (Path(path).parent / (Path(path).name + suffix)).unlink(missing_ok=True)
    assert gone.get("/readyz").status_code == 503
