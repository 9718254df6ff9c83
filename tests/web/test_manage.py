"""Somebody's own page in process: everything that can be done there, and what belongs to others."""

import re

from ledger.database import writing
from ledger.kinds import DeliveryState, EndpointStatus, Purpose
from ledger.tables import Alert, Attempt, Delivery, Endpoint, Subscription
from tests.web.inventor import NOW
from tests.web.visitors import READER, TABLES, Visitor, text_of

HOOK = "https://hook.example/in?key=1"


def hidden(page: str, name: str) -> list[str]:
    """Values of a hidden field, in order."""
    return re.findall(rf'name="{name}" value="([^"]*)"', page)


def with_webhook(visitor: Visitor, own: str, *, is_active: bool = True) -> str:
    """Adds a webhook, which answers its ping; its public name."""
    visitor.do(own, "add", url=HOOK)
    with writing(visitor.engine) as session:
        webhook = session.get_one(Endpoint, 2)
        if is_active:
            webhook.status, webhook.confirmed_at = EndpointStatus.ACTIVE, NOW
    return webhook.public_id


def test_wishes_are_shown_and_saved(visitor: Visitor) -> None:
    own = visitor.subscribed(funds=["alpha"], events=["fund.slashed"], digest="daily")
    page = visitor.get(f"/alerts/manage?token={own}").text
    for value in ("alpha", "fund.slashed", "warning", "daily"):
        assert f'value="{value}" checked' in page
    saved = visitor.do(own, "save", funds=["beta-simulated"], least="critical", digest="none")
    assert "Saved." in text_of(saved)
    assert 'value="beta-simulated" checked' in saved.text
    assert [(row.fund_slug, row.event, row.least) for row in visitor.rows(Subscription)] == [
        ("beta-simulated", "", "critical")
    ]
    assert visitor.rows(Endpoint)[0].digest == "none"


def test_wishes_that_cannot_be_are_not_saved_and_stay_on_the_page(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    before = one_visitor.ledger()
    answer = one_visitor.do(own, "save", funds=["alpha", "nobody"], least="critical", digest="daily")
    assert answer.status_code == 422
    assert "“nobody” is not among them" in text_of(answer)
    for value in ("alpha", "critical", "daily"):
        assert f'value="{value}" checked' in answer.text
    assert one_visitor.ledger() == before


def test_mails_stop_and_come_again(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    stopped = one_visitor.do(own, "stop")
    assert "No mails come: unsubscribed." in text_of(stopped)
    assert "Send a test message" not in stopped.text
    assert "That is not there any more" in one_visitor.do(own, "test").text
    assert "Mails come to this address." in text_of(one_visitor.do(own, "resume"))


def test_a_test_message_is_ordered(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    webhook = with_webhook(one_visitor, own)
    one_visitor.do(own, "test")
    one_visitor.do(own, "test", webhook=webhook)
    ordered = [(row.endpoint_id, row.purpose) for row in one_visitor.rows(Delivery)]
    assert ordered[-2:] == [(1, Purpose.TEST), (2, Purpose.TEST)]


def test_a_webhook_is_added_with_a_secret_that_is_shown_once(visitor: Visitor) -> None:
    own = visitor.subscribed()
    added = visitor.do(own, "add", url=f" {HOOK} ")
    webhook = visitor.rows(Endpoint)[1]
    assert (webhook.address, webhook.status, webhook.owner_id) == (HOOK, EndpointStatus.UNCONFIRMED, 1)
    assert webhook.secrets[0] in text_of(added)
    again = visitor.get(f"/alerts/manage?token={own}")
    assert webhook.secrets[0] not in again.text
    assert "waits for the answer to its ping" in text_of(again)
    assert [row.purpose for row in visitor.rows(Delivery)] == [Purpose.CONFIRM, Purpose.PING]


WRONG_URLS = {
    "http://hook.example/": "begins with https://",
    "<script>alert(1)</script>": "begins with https://",
    "": "begins with https://",
    "https://127.0.0.1/": "127.0.0.1 is not a public address",
    HOOK: "among your webhooks already",
    "https://hook.example/\0": "The address holds a sign that cannot be read",
    "https://hook.example/" + "x" * 100_000: "longer than 2000 characters",
}


def test_a_webhook_that_cannot_be_is_refused_in_words(visitor: Visitor) -> None:
    own = visitor.subscribed()
    visitor.do(own, "add", url=HOOK)
    before = visitor.ledger()
    for url, said in WRONG_URLS.items():
        answer = visitor.do(own, "add", url=url)
        assert answer.status_code == 422
        assert said in text_of(answer)
        assert "<script" not in answer.text
        assert len(answer.text) < 20_000
    assert visitor.ledger() == before


def test_five_webhooks_are_all(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    for number in range(5):
        page = one_visitor.do(own, "add", url=f"https://hook.example/{number}").text
    assert "Address of a new webhook" not in page
    assert one_visitor.do(own, "add", url="https://hook.example/more").status_code == 422
    assert len(one_visitor.rows(Endpoint)) == 6


def test_a_new_secret_signs_beside_the_old_one(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    webhook = with_webhook(one_visitor, own)
    (old,) = one_visitor.rows(Endpoint)[1].secrets
    answer = one_visitor.do(own, "rotate", webhook=webhook)
    new, kept = one_visitor.rows(Endpoint)[1].secrets
    assert kept == old
    assert new in answer.text
    assert old not in answer.text
    assert "the old secret signs as well until 23 Nov 2026, 17:02 UTC" in text_of(answer)


def test_a_webhook_that_was_switched_off_is_pinged_again_or_removed(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    webhook = with_webhook(one_visitor, own)
    assert "That is not there any more" in one_visitor.do(own, "ping", webhook=webhook).text
    with writing(one_visitor.engine) as session:
        row = session.get_one(Endpoint, 2)
        row.status, row.status_reason = EndpointStatus.DISABLED, "it took no message for three days"
    assert "off: it took no message for three days" in text_of(one_visitor.get(f"/alerts/manage?token={own}"))
    one_visitor.do(own, "ping", webhook=webhook)
    assert one_visitor.rows(Endpoint)[1].status == EndpointStatus.UNCONFIRMED
    assert [row.purpose for row in one_visitor.rows(Delivery)].count(Purpose.PING) == 2
    assert "The webhook is removed" in one_visitor.do(own, "remove", webhook=webhook).text
    assert [row.id for row in one_visitor.rows(Endpoint)] == [1]


def test_nobody_touches_the_webhook_of_another(one_visitor: Visitor) -> None:
    webhook = with_webhook(one_visitor, one_visitor.subscribed())
    stranger = one_visitor.subscribed("stranger@example.org")
    before = one_visitor.ledger()
    for action in ("rotate", "remove", "ping", "test"):
        assert "That is not there any more" in one_visitor.do(stranger, action, webhook=webhook).text
    assert one_visitor.ledger() == before


def give_up(visitor: Visitor) -> str:
    """An alert that could not be delivered to the address; its message id."""
    with writing(visitor.engine) as session:
        alert = Alert(key="k", event="fund.depleted", severity="critical", subject="alpha", fund_slug="alpha",
                      happened_at=NOW, title="[Depleted] Alpha <b>fund</b>", message={}, created_at=NOW)  # fmt: skip
        session.add(alert)
        session.flush()
        failed = Delivery(message_id="msg_1", endpoint_id=1, purpose=Purpose.ALERT, alert_id=alert.id,
                          state=DeliveryState.FAILED, state_reason="451 Try again later", attempts=2,
                          next_at=NOW, created_at=NOW, finished_at=NOW)  # fmt: skip
        session.add(failed)
        session.flush()
        assert failed.id is not None
        for number in (1, 2):
            session.add(Attempt(delivery_id=failed.id, number=number, began_at=NOW, seconds=0.1, is_ok=False,
                                answer="451 Try again later"))  # fmt: skip
    return "msg_1"


def test_a_message_that_was_given_up_is_listed_and_sent_once_more(visitor: Visitor) -> None:
    own = visitor.subscribed()
    message = give_up(visitor)
    page = visitor.get(f"/alerts/manage?token={own}")
    said = text_of(page)
    assert "[Depleted] Alpha <b>fund</b>" in said
    assert "attempt 2 failed; 451 Try again later; given up: 451 Try again later" in said
    assert said.count("given up") == 1
    assert hidden(page.text, "message") == [message]
    assert "The message is sent once more" in visitor.do(own, "replay", message=message).text
    (again,) = [row for row in visitor.rows(Delivery) if row.purpose == Purpose.ALERT]
    assert (again.state, again.message_id, again.attempts) == (DeliveryState.WAITING, message, 0)
    assert "That is not there any more" in visitor.do(own, "replay", message=message).text


def test_nobody_sends_the_message_of_another_again(one_visitor: Visitor) -> None:
    one_visitor.subscribed()
    message = give_up(one_visitor)
    stranger = one_visitor.subscribed("stranger@example.org")
    assert "That is not there any more" in one_visitor.do(stranger, "replay", message=message).text


def test_the_download_is_everything_and_for_one_reader_alone(visitor: Visitor) -> None:
    own = visitor.subscribed(funds=["alpha"])
    with_webhook(visitor, own)
    visitor.subscribed("other@example.org")
    answer = visitor.do(own, "export")
    told = answer.json()
    assert [row["address"] for row in told["endpoints"]] == [READER, HOOK]
    assert {row["fund_slug"] for row in told["subscriptions"]} == {"alpha"}
    assert told["exported_at"] == "2026-11-22T17:02:00Z"
    assert "other@example.org" not in answer.text
    assert "whsec_" not in answer.text
    assert own not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_deleting_leaves_nothing(visitor: Visitor) -> None:
    own = visitor.subscribed(funds=["alpha"])
    with_webhook(visitor, own)
    give_up(visitor)
    visitor.post("/alerts/mute", {"token": own})
    assert all(visitor.rows(table) for table in TABLES)
    assert f"Nothing about {READER} is left here" in text_of(visitor.do(own, "delete"))
    assert not any(visitor.rows(table) for table in TABLES)
    assert visitor.get(f"/alerts/manage?token={own}").status_code == 404


def test_an_action_that_is_none_does_nothing(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    before = one_visitor.ledger()
    for action in ("", "drop", "<script>"):
        assert one_visitor.do(own, action).status_code == 400
    assert one_visitor.ledger() == before


def test_nothing_on_the_page_trips_over_a_sign_that_no_database_takes(visitor: Visitor) -> None:
    own = visitor.subscribed()
    before = visitor.ledger()
    for action, field in (("unmute", "fund"), ("rotate", "webhook"), ("test", "webhook"), ("replay", "message")):
        assert visitor.do(own, action, **{field: "a\0b"}).status_code == 200
    assert visitor.ledger() == before


def test_what_makes_us_send_is_limited_more_than_what_does_not(one_visitor: Visitor) -> None:
    own = one_visitor.subscribed()
    answers = [one_visitor.do(own, "test").status_code for _ in range(10)]
    assert answers == [200] * 9 + [429]  # One place was taken by the subscription.
    assert one_visitor.do(own, "stop").status_code == 200
