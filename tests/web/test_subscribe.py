"""The pages of subscriptions in process: forms, links in mails, and everybody who should not get anywhere."""

import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.database import open_engine
from ledger.kinds import AlertEvent, EndpointStatus, Purpose
from ledger.tables import Delivery, Endpoint, Mute, Subscription
from tests.web.inventor import NOW
from tests.web.visitors import FORM, READER, Visitor, text_of, visitor_of
from web.site import create_site
from web.wishes import EVENTS

SECONDS_OF_TEN_MINUTES = 600
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTILE = "<script>alert(1)</script>"


def test_the_page_says_what_can_be_had_and_what_is_kept(one_visitor: Visitor) -> None:
    page = one_visitor.get("/alerts")
    said = text_of(page)
    for words in ("By feed", "By e-mail", "By webhook", "What we keep", "deleted after 24 hours", "Alpha fund"):
        assert words in said
    for path in ("/alerts/log.atom", "/events.atom"):
        assert f'href="{path}"' in page.text
        assert one_visitor.get(path).status_code == 200


def test_every_event_can_be_wished_for_but_digests_and_what_is_taken_back() -> None:
    offered = [event for group in EVENTS.values() for event in group]
    assert len(offered) == len(set(offered))
    apart = {AlertEvent.DIGEST_DAILY, AlertEvent.DIGEST_WEEKLY, AlertEvent.RETRACTED}
    assert set(offered) == set(AlertEvent) - apart


def test_a_fund_in_the_address_is_ticked_and_another_word_is_nothing(one_visitor: Visitor) -> None:
    (way,) = re.findall(r'<a href="([^"]+)">alerts of this fund</a>', one_visitor.get("/funds/alpha").text)
    named = one_visitor.get(way).text
    assert 'value="alpha" checked' in named
    assert "<details open>" in named
    assert "checked" not in re.sub(r'type="radio"[^>]*', "", one_visitor.get(f"/alerts?fund={HOSTILE}").text)
    assert one_visitor.get("/alerts?fund=" + "x" * 300).status_code == 404


def test_without_mail_there_are_feeds_and_no_form(one_visitor: Visitor) -> None:
    for site in (
        visitor_of(one_visitor.engine, is_mail_on=False),
        Visitor(create_site(one_visitor.engine, one_visitor.hand), one_visitor.engine, one_visitor.hand),
    ):
        assert "<form" not in site.get("/alerts").text
        for path in ("/alerts/subscribe", "/alerts/link"):
            answer = site.post(path, FORM)
            assert (answer.status_code, "Nobody sends mails" in answer.text) == (404, True)
    assert not one_visitor.rows(Endpoint)


def test_links_in_old_mails_work_where_no_mail_is_sent_any_more(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    bare = Visitor(create_site(one_visitor.engine, one_visitor.hand), one_visitor.engine, one_visitor.hand)
    assert "Address of a new webhook" not in bare.get(f"/alerts/manage?token={own}").text
    assert bare.do(own, "add", url="https://hook.example/").status_code == 404
    assert bare.post("/alerts/unsubscribe", {"token": own}).status_code == 200
    assert bare.do(own, "delete").status_code == 200
    assert "<form" not in bare.get(f"/alerts/manage?token={own}").text


def test_who_subscribes_and_confirms_gets_what_they_wished(visitor: Visitor) -> None:
    wishes = {"funds": ["alpha"], "events": ["fund.depleted", "data.stale"], "least": "critical", "digest": "weekly"}
    sent = visitor.post("/alerts/subscribe", FORM | wishes)
    assert (sent.status_code, "a message with a link is on its way" in sent.text) == (200, True)
    token = visitor.mailed_token(Purpose.CONFIRM)
    asked = text_of(visitor.get(f"/alerts/confirm?token={token}"))
    for words in (READER, "Alpha fund", "Nothing is left to pay with", "Critical only", "Weekly"):
        assert words in asked
    confirmed = visitor.post("/alerts/confirm", {"token": token})
    assert "Confirmed" in text_of(confirmed)
    (endpoint,) = visitor.rows(Endpoint)
    assert (endpoint.status, endpoint.digest, endpoint.confirmed_at) == (EndpointStatus.ACTIVE, "weekly", NOW)
    wanted = {(row.fund_slug, row.event, row.least) for row in visitor.rows(Subscription)}
    assert wanted == {("alpha", "fund.depleted", "critical"), ("alpha", "data.stale", "critical")}
    assert visitor.post("/alerts/confirm", {"token": token}).status_code == 404


def test_the_answer_is_the_same_whatever_we_know_of_an_address(visitor: Visitor) -> None:
    visitor.subscribed("active@example.org")
    own = visitor.subscribed("gone@example.org")
    visitor.post("/alerts/unsubscribe", {"token": own})
    visitor.post("/alerts/subscribe", FORM | {"address": "asked@example.org"})
    for host, path in (("192.0.2.8", "/alerts/subscribe"), ("192.0.2.9", "/alerts/link")):
        stranger = Visitor(visitor.site, visitor.engine, visitor.hand, host)
        answers = []
        for name in ("active", "gone", "asked", "new"):
            answer = stranger.post(path, FORM | {"address": f"{name}@example.org"})
            answers.append((answer.status_code, answer.content, sorted(answer.headers.items())))
        assert answers == answers[:1] * 4
        assert answers[0][0] == 200


def test_an_address_is_one_however_it_is_written(visitor: Visitor) -> None:
    for typed in ("Reader@Example.ORG", " reader@example.org ", "READER@example.org"):
        visitor.post("/alerts/subscribe", FORM | {"address": typed})
    assert [row.address for row in visitor.rows(Endpoint)] == [READER]


def test_a_machine_that_fills_in_everything_gets_the_same_answer_and_nothing_happens(visitor: Visitor) -> None:
    seen = visitor.post("/alerts/subscribe", FORM)
    before = visitor.ledger()
    for path in ("/alerts/subscribe", "/alerts/link"):
        caught = visitor.post(path, FORM | {"website": "https://spam.example"})
        assert (caught.status_code, caught.content) == (seen.status_code, seen.content)
    assert visitor.ledger() == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"address": ""}, "must have an @-sign"),
        ({"address": HOSTILE}, "@-sign"),
        ({"address": f"{HOSTILE}@example.org"}, "not valid|invalid characters|can't be anything"),
        ({"address": "a\0b@example.org"}, "are not supported"),
        ({"address": "a@example.org\r\nBcc: b@example.org"}, "invalid characters"),
        ({"address": "a" * 100_000 + "@example.org"}, "at most 254 characters"),
        ({"funds": ["alpha", "nobody's"]}, "“nobody's” is not among them"),
        ({"funds": [HOSTILE]}, "is not among them"),
        ({"funds": ["\0"]}, "is not among them"),
        ({"events": ["fund.depleted", "digest.daily"]}, "“digest.daily” is not among them"),
        ({"events": ["x" * 100_000]}, "is not among them"),
        ({"least": "loud"}, "how urgent"),
        ({"least": ""}, "how urgent"),
        ({"digest": "hourly"}, "how often"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(one_visitor: Visitor, typed: Any, said: str) -> None:
    form = {"address": "kept@example.org", "funds": ["alpha"], "events": ["fund.slashed"], "least": "critical",
            "digest": "daily"} | typed  # fmt: skip
    answer = one_visitor.post("/alerts/subscribe", form)
    assert answer.status_code == 422
    assert re.search(said, text_of(answer))
    assert "autofocus" in answer.text
    assert "<script" not in answer.text
    assert "\0" not in answer.text
    assert len(answer.text) < 20_000
    kept = {
        "address": 'value="kept@example.org"',
        "funds": 'value="alpha" checked',
        "events": 'value="fund.slashed" checked',
        "least": 'value="critical" checked',
        "digest": 'value="daily" checked',
    }
    assert all(words in answer.text for field, words in kept.items() if field not in typed)
    assert not one_visitor.rows(Endpoint)


def test_a_wrong_address_is_marked_and_comes_back_as_text(one_visitor: Visitor) -> None:
    answer = one_visitor.post("/alerts/subscribe", FORM | {"address": HOSTILE})
    assert 'aria-invalid="true"' in answer.text
    assert f'value="{HOSTILE.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text
    link = one_visitor.post("/alerts/link", {"address": HOSTILE})
    assert (link.status_code, "&lt;script&gt;" in link.text, "<script" in link.text) == (422, True, False)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (
            {"content": b"address=" + b"a" * 300_000, "headers": URLENCODED},
            413,
        ),
        ({"data": FORM, "files": {"funds": ("x.txt", b"alpha")}}, 400),
        ({"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"json": FORM}, 422),
        ({"content": b"\xff\xfe%00%zz&&&===;", "headers": URLENCODED}, 422),
        ({"content": b"a=1&" * 3000, "headers": URLENCODED}, 400),
    ],
)
def test_what_is_no_form_of_ours_is_refused_in_words(one_visitor: Visitor, more: Any, status: int) -> None:
    answer = one_visitor.ask("POST", "/alerts/subscribe", **more)
    assert (answer.status_code, "<h1>" in answer.text) == (status, True)
    assert not one_visitor.rows(Endpoint)


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
        ({"Origin": "http://site:81"}, False),
        ({"Origin": "http://["}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://site"}, True),
        ({"Origin": "null"}, True),
        ({}, True),
    ],
)
def test_a_form_on_another_site_is_refused(one_visitor: Visitor, headers: dict[str, str], is_taken: bool) -> None:
    answer = one_visitor.post("/alerts/subscribe", FORM, headers)
    assert (answer.status_code, bool(one_visitor.rows(Endpoint))) == ((200, True) if is_taken else (403, False))
    if not is_taken:
        for path in ("/alerts/link", "/alerts/confirm", "/alerts/mute", "/alerts/manage"):
            assert one_visitor.post(path, FORM, headers).status_code == 403


def test_a_network_fills_in_ten_forms_in_ten_minutes_and_others_are_not_held_up(visitor: Visitor) -> None:
    for number in range(10):
        assert visitor.post("/alerts/subscribe", FORM | {"address": f"{number}@example.org"}).status_code == 200
    before = visitor.ledger()
    for path in ("/alerts/subscribe", "/alerts/link"):
        refused = visitor.post(path, FORM)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= SECONDS_OF_TEN_MINUTES
        assert "Many forms came from your network" in refused.text
    assert visitor.ledger() == before
    assert all(host not in str(before) for host in ("192.0.2.7", "192.0.2"))
    other = Visitor(visitor.site, visitor.engine, visitor.hand, "192.0.2.8")
    assert other.post("/alerts/subscribe", FORM).status_code == 200


def test_a_subscriber_of_a_provider_counts_as_one_however_many_addresses_they_take(one_visitor: Visitor) -> None:
    answers = [
        Visitor(one_visitor.site, one_visitor.engine, one_visitor.hand, f"2001:db8:1:2::{number:x}")
        .post("/alerts/link", FORM)
        .status_code
        for number in range(11)
    ]
    assert answers == [200] * 10 + [429]
    neighbour = Visitor(one_visitor.site, one_visitor.engine, one_visitor.hand, "2001:db8:1:3::1")
    assert neighbour.post("/alerts/link", FORM).status_code == 200


def test_who_leaves_is_never_held_up(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    answers = [one_visitor.do("nonsense", "save").status_code for _ in range(120)]
    assert answers == [404] * 119 + [429]  # One place was taken by the confirmation.
    assert one_visitor.post(f"/alerts/unsubscribe?token={own}", {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert one_visitor.rows(Endpoint)[0].status == EndpointStatus.DISABLED


def test_opening_every_link_of_a_mail_changes_nothing(visitor: Visitor) -> None:
    own = visitor.subscribed()
    visitor.do(own, "add", url="https://hook.example/")
    visitor.post("/alerts/subscribe", FORM | {"funds": ["alpha"]})
    question = visitor.mailed_token(Purpose.CONFIRM)
    before = visitor.ledger()
    for path in (
        f"/alerts/confirm?token={question}",
        f"/alerts/manage?token={own}",
        f"/alerts/mute?token={own}&fund=alpha",
        f"/alerts/mute?token={own}",
        f"/alerts/unsubscribe?token={own}",
    ):
        for method in ("GET", "HEAD"):
            answer = visitor.ask(method, path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "noindex" in answer.headers["x-robots-tag"]
    for path in ("/alerts/subscribe", "/alerts/link"):
        assert visitor.get(path).headers["location"] == "/alerts"
    assert visitor.ledger() == before


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "button"])
def test_one_post_unsubscribes(visitor: Visitor, form: str) -> None:
    own = visitor.subscribed()
    one_click = {"List-Unsubscribe": "One-Click"}
    answer = {
        "urlencoded": lambda: visitor.ask("POST", f"/alerts/unsubscribe?token={own}", data=one_click),
        "multipart": lambda: visitor.ask(
            "POST", f"/alerts/unsubscribe?token={own}", files={"List-Unsubscribe": (None, "One-Click")}
        ),
        "button": lambda: visitor.post("/alerts/unsubscribe", {"token": own}),
    }[form]()
    assert (answer.status_code, "Unsubscribed" in answer.text) == (200, True)
    (endpoint,) = visitor.rows(Endpoint)
    assert (endpoint.status, endpoint.status_reason) == (EndpointStatus.DISABLED, "unsubscribed")
    assert visitor.rows(Subscription)
    assert "No mails come: unsubscribed." in text_of(visitor.get(f"/alerts/manage?token={own}"))
    visitor.do(own, "resume")
    assert visitor.rows(Endpoint)[0].status == EndpointStatus.ACTIVE


def test_a_provider_posts_from_wherever_it_likes(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    headers = {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}
    path = f"/alerts/unsubscribe?token={own}"
    assert one_visitor.post(path, {"List-Unsubscribe": "One-Click"}, headers).status_code == 200


def test_a_fund_is_muted_for_a_day(visitor: Visitor) -> None:
    own = visitor.subscribed()
    asked = visitor.get(f"/alerts/mute?token={own}&fund=alpha")
    assert "No alerts about Alpha fund for 24 hours?" in text_of(asked)
    done = visitor.post("/alerts/mute", {"token": own, "fund": "alpha"})
    assert "No alert about Alpha fund comes" in text_of(done)
    visitor.post("/alerts/mute", {"token": own})
    muted = {(row.fund_slug, row.until) for row in visitor.rows(Mute)}
    assert muted == {(slug, NOW + timedelta(hours=24)) for slug in ("alpha", "")}
    own_page = text_of(visitor.get(f"/alerts/manage?token={own}"))
    assert "All funds until 23 Nov 2026, 17:02 UTC" in own_page
    assert "The mute has ended" in visitor.do(own, "unmute", fund="alpha").text
    assert [row.fund_slug for row in visitor.rows(Mute)] == [""]


def test_a_fund_that_is_none_cannot_be_muted(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    for fund in ("nobody", HOSTILE, "a\0"):
        assert one_visitor.ask("GET", "/alerts/mute", params={"token": own, "fund": fund}).status_code == 404
        assert one_visitor.post("/alerts/mute", {"token": own, "fund": fund}).status_code == 404
    assert not one_visitor.rows(Mute)


ACTING = ("/alerts/confirm", "/alerts/manage", "/alerts/mute", "/alerts/unsubscribe")


@pytest.mark.parametrize("path", ACTING)
def test_a_link_that_does_not_work_says_how_to_get_a_new_one(one_visitor: Visitor, path: str) -> None:
    own = one_visitor.subscribed()
    one_visitor.post("/alerts/subscribe", FORM)
    question = one_visitor.mailed_token(Purpose.CONFIRM)
    wrong = own if path == "/alerts/confirm" else question
    one_visitor.hand.now = NOW + timedelta(hours=23)
    before = one_visitor.ledger()
    for token in (wrong, "", "nonsense", HOSTILE, "\0", "%F0%28", "x" * 190):
        for answer in (
            one_visitor.ask("GET", path, params={"token": token}),
            one_visitor.post(path, {"token": token, "do": "delete"}),
        ):
            assert answer.status_code == 404
            assert "This link does not work any more" in answer.text
            assert 'action="/alerts/link"' in answer.text
            assert answer.headers["cache-control"] == "no-store"
    right, lifetime = (question, timedelta(hours=24)) if wrong == own else (own, timedelta(days=90))
    one_visitor.hand.now = NOW + lifetime
    assert one_visitor.get(f"{path}?token={right}").status_code == 404
    assert one_visitor.post(path, {"token": right, "do": "delete"}).status_code == 404
    assert one_visitor.ledger() == before


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape"])
def test_half_a_sign_in_a_strange_encoding_is_no_token_and_no_address(one_visitor: Visitor, charset: str) -> None:
    half = b"+2AA-" if charset == "utf-7" else b"\\ud800"
    assert half.decode(charset) == "\ud800"
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, half)
        for name in (b"token", b"address", b"funds", b"do")
    )
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    for path in ("/alerts/subscribe", "/alerts/link", *ACTING):
        answer = one_visitor.ask("POST", path, content=parts + b"--x--\r\n", headers=headers)
        assert answer.status_code in (400, 404, 422), path
    assert not one_visitor.rows(Endpoint)


def test_a_new_link_leads_to_the_own_page(visitor: Visitor) -> None:
    visitor.subscribed()
    assert visitor.post("/alerts/link", {"address": READER}).status_code == 200
    token = visitor.mailed_token(Purpose.LINK)
    assert READER in visitor.get(f"/alerts/manage?token={token}").text


def test_no_log_line_holds_a_token(one_visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    own = one_visitor.subscribed()
    for path in ACTING:
        one_visitor.get(f"{path}?token={own}")
        one_visitor.post(path, {"token": own, "do": "save", **FORM})
    assert not [
        record
        for record in caplog.records
        if own in record.getMessage() and not record.name.startswith("httpx")  # The visitor's own client.
    ]


def test_without_its_ledger_every_form_says_so(tmp_path: Path) -> None:
    gone = open_engine(f"sqlite:///{tmp_path / 'never-made.sqlite'}")
    visitor = visitor_of(gone)
    for path in ("/alerts", "/alerts?fund=alpha", *(f"{path}?token=t" for path in ACTING)):
        answer = visitor.get(path)
        assert (answer.status_code, "The ledger does not answer" in answer.text) == (503, True)
    for path in ("/alerts/subscribe", "/alerts/link", *ACTING):
        answer = visitor.post(path, FORM | {"token": "t", "do": "save"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    gone.dispose()


def test_the_mail_is_ordered_once_and_carries_the_wishes(visitor: Visitor) -> None:
    visitor.post("/alerts/subscribe", FORM | {"funds": ["beta-simulated"]})
    (ordered,) = visitor.rows(Delivery)
    assert ordered.purpose == Purpose.CONFIRM
    assert ordered.detail["wishes"]["funds"] == ["beta-simulated"]
