"""Somebody's own page: what they want to hear, mutes, webhooks, and the last messages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlmodel import Session

from ledger.kinds import DeliveryState, EndpointStatus, Purpose
from ledger.numbers import format_time
from ledger.outbox import LogRow, list_attempts
from ledger.subscriptions import MOST_WEBHOOKS, key_of, list_mutes, list_webhooks, wishes_of
from ledger.tables import Endpoint
from web.contexts import Button, Link, ManagePage, OwnLine
from web.desk import Desk
from web.names import neat_places
from web.wishes import Chosen, Mistakes, fund_names, printable, wish_form

OWN = "/alerts/manage"
MOST_LINES = 20
PURPOSES = {
    Purpose.CONFIRM: "Question whether you want this",
    Purpose.LINK: "Link to this page",
    Purpose.PING: "Ping",
    Purpose.WARNING: "Warning about a webhook",
    Purpose.TEST: "Test message",
}


@dataclass(frozen=True)
class Outcome:
    """What an action leaves to be said."""

    notice: str = ""
    secret: str = ""
    mistakes: Mistakes = ()
    chosen: Chosen | None = None
    """Wishes that were not taken; None: the page shows those that hold."""
    url: str = ""


def own_link(token: str) -> Link:
    """Leads to the bearer's own page."""
    return Link("Your own page: change, mute, webhooks, what is kept", f"{OWN}?token={token}")


def own_button(text: str, do: str, token: str, **fields: str) -> Button:
    """Does one thing on the own page."""
    return Button(text, OWN, (("token", token), ("do", do), *fields.items()))


def own_page(desk: Desk, session: Session, owner: Endpoint, *, token: str, said: Outcome) -> ManagePage:
    """The page of whoever bears the token."""
    places = neat_places(session)
    webhooks = list_webhooks(session, owner)
    has_messages = owner.status == EndpointStatus.ACTIVE
    toggle = ("Send no more mails", "stop") if has_messages else ("Send mails again", "resume")
    return ManagePage(
        frame=desk.frame(session, OWN, said.notice or "Your alerts"),
        token=token,
        address=owner.address,
        notice=said.notice,
        secret=said.secret,
        mistakes=said.mistakes,
        state="Mails come to this address." if has_messages else f"No mails come: {owner.status_reason}.",
        buttons=(
            *([own_button("Send a test message", "test", token)] if has_messages else []),
            own_button(*toggle, token),
        ),
        form=wish_form(places, said.chosen or Chosen.of_wishes(wishes_of(session, owner))),
        mutes=tuple(_mutes(session, owner, fund_names(places), token=token, now=desk.now)),
        webhooks=tuple(_webhook(webhook, token, desk.now) for webhook in webhooks),
        url=printable(said.url),
        has_room=desk.config.subscribe is not None and len(webhooks) < MOST_WEBHOOKS,
        log=tuple(_log(session, [owner, *webhooks], token)),
        export=own_button("Download everything", "export", token),
        delete=own_button("Delete everything", "delete", token),
    )


def _mutes(session: Session, owner: Endpoint, names: dict[str, str], *, token: str, now: datetime) -> Iterator[OwnLine]:
    for row in list_mutes(session, owner, now=now):
        name = names.get(row.fund_slug, row.fund_slug) or "All funds"
        end = own_button("End mute", "unmute", token, fund=row.fund_slug)
        yield OwnLine((name, f"until {format_time(row.until)}"), (end,))


def _webhook(webhook: Endpoint, token: str, now: datetime) -> OwnLine:
    actions = {"test": "Test"} if webhook.status == EndpointStatus.ACTIVE else {"ping": "Ping again"}
    actions |= {"rotate": "New secret", "remove": "Remove"}
    buttons = (own_button(text, do, token, webhook=webhook.public_id) for do, text in actions.items())
    return OwnLine((webhook.address, _webhook_state(webhook, now)), tuple(buttons))


def _webhook_state(webhook: Endpoint, now: datetime) -> str:
    match webhook.status:
        case EndpointStatus.ACTIVE:
            words = "active" if webhook.failing_since is None else f"fails since {format_time(webhook.failing_since)}"
        case EndpointStatus.UNCONFIRMED:
            words = "waits for the answer to its ping"
        case _:
            words = f"off: {webhook.status_reason}"
    if webhook.old_secret_until is not None and webhook.old_secret_until > now:
        words += f"; the old secret signs as well until {format_time(webhook.old_secret_until)}"
    return words


def _log(session: Session, endpoints: Sequence[Endpoint], token: str) -> Iterator[OwnLine]:
    rows = [
        (row.began_at or row.created_at, urlsplit(endpoint.address).hostname or endpoint.address, row)
        for endpoint in endpoints
        for row in list_attempts(session, key_of(endpoint), MOST_LINES)
    ]
    told: set[int] = set()
    for when, address, row in sorted(rows, key=lambda item: item[0], reverse=True)[:MOST_LINES]:
        is_last = row.delivery_id not in told
        told.add(row.delivery_id)
        again = is_last and row.state == DeliveryState.FAILED
        buttons = (own_button("Send again", "replay", token, message=row.message_id),) if again else ()
        what = row.title or PURPOSES[Purpose(row.purpose)]
        yield OwnLine((format_time(when), what, address, _log_state(row, is_last=is_last)), buttons)


def _log_state(row: LogRow, *, is_last: bool) -> str:
    """How an attempt went and, in the line of the last one, what becomes of the message."""
    words = []
    if row.number is not None:
        words.append("sent" if row.is_ok else f"attempt {row.number} failed")
        words.append(row.answer or "")
    if is_last:
        reasons = {
            DeliveryState.WAITING: f"to be sent {format_time(row.next_at)}",
            DeliveryState.FAILED: f"given up: {row.state_reason}",
            DeliveryState.DROPPED: f"not sent: {row.state_reason}",
        }
        words.append(reasons.get(DeliveryState(row.state), ""))
    return "; ".join(filter(None, words))
