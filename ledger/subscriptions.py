"""Who wants to hear what: addresses, their wishes, mutes and webhooks, and all that is kept of somebody.

Nothing here commits. An endpoint that is changed is held until the transaction ends: a form sent twice acts in turn.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import delete, exists, func, or_, select
from sqlmodel import Session, SQLModel, col

from ledger.bulk import insert_rows
from ledger.kinds import (
    AlertEvent,
    DeliveryState,
    DigestChoice,
    EndpointKind,
    EndpointStatus,
    Purpose,
    Severity,
    TokenPurpose,
)
from ledger.outbox import hold_endpoint, order, switch_off
from ledger.tables import Attempt, Delivery, Endpoint, Mute, Subscription, Token
from ledger.tables.sentences import Json
from ledger.tokens import find_token, issue_token

ASKED_WITHIN = timedelta(hours=24)
"""An address that nobody confirms in this time is deleted; the limit of mails counts as far back."""
MOST_MAILS = 3
"""Mails that anybody can have sent to an address by typing it into a form."""
MOST_WEBHOOKS = 5
OLD_SECRET_FOR = timedelta(hours=24)
BY_OWNER = "unsubscribed"

Row = TypeVar("Row", bound=SQLModel)


@dataclass(frozen=True)
class Wishes:
    """What somebody wants to hear; empty funds or events are all of them, also those that come later."""

    funds: tuple[str, ...] = ()
    events: tuple[AlertEvent, ...] = ()
    least: Severity = Severity.NOTICE
    digest: DigestChoice = DigestChoice.NONE

    @classmethod
    def of_json(cls, stored: object) -> Self:
        """The wishes of a token or an order; raises msgspec.ValidationError for what none of ours ever wrote."""
        return msgspec.convert(stored, cls)

    def to_json(self) -> Json:
        """As they are stored."""
        made: Json = msgspec.to_builtins(self)
        return made


class WebhookRefusedError(ValueError):
    """A webhook cannot be added: says why."""


def ask_confirmation(session: Session, address: str, wishes: Wishes, *, now: datetime) -> None:
    """Orders the mail that asks an address whether it wants this; whether it is known, it gets the same mail.

    Nothing changes for the address until it confirms. Silent beyond MOST_MAILS in ASKED_WITHIN.
    """
    names = ("public_id", "kind", "address", "status", "status_reason", "digest", "secrets", "created_at")
    new: tuple[object, ...] = (
        _name(),
        EndpointKind.EMAIL,
        address,
        EndpointStatus.UNCONFIRMED,
        "",
        DigestChoice.NONE,
        [],
        now,
    )
    insert_rows(session, Endpoint, names, [new])  # One that is there already stays as it is.
    endpoint = _find_email(session, address)
    if endpoint is not None and _may_mail(session, endpoint, now):
        order(session, key_of(endpoint), Purpose.CONFIRM, now=now, detail={"wishes": wishes.to_json()})


def ask_link(session: Session, address: str, *, now: datetime) -> None:
    """Orders a mail with a link to the own page, where the address was ever confirmed; else nothing happens.

    Whoever unsubscribed may want to come back, or to have everything deleted.
    """
    endpoint = _find_email(session, address)
    if endpoint is not None and endpoint.confirmed_at is not None and _may_mail(session, endpoint, now):
        order(session, key_of(endpoint), Purpose.LINK, now=now)


def _find_email(session: Session, address: str) -> Endpoint | None:
    return session.scalars(
        select(Endpoint)
        .where(
            col(Endpoint.kind) == EndpointKind.EMAIL,
            col(Endpoint.address) == address,
            col(Endpoint.owner_id).is_(None),
        )
        .with_for_update(key_share=True)
    ).one_or_none()


def _may_mail(session: Session, endpoint: Endpoint, now: datetime) -> bool:
    count: int = session.execute(
        select(func.count()).where(
            col(Delivery.endpoint_id) == endpoint.id,
            col(Delivery.purpose).in_((Purpose.CONFIRM, Purpose.LINK)),
            col(Delivery.created_at) > now - ASKED_WITHIN,
        )
    ).scalar_one()
    return count < MOST_MAILS


def find_bearer(
    session: Session, token: str, *, now: datetime, purpose: TokenPurpose = TokenPurpose.MANAGE, is_held: bool = False
) -> Endpoint | None:
    """Whose token this is, while it works and may do this. `is_held`: it will be changed in this transaction."""
    found = find_token(session, token, purpose, now=now)
    if found is None:
        return None
    return hold_endpoint(session, found.endpoint_id) if is_held else session.get(Endpoint, found.endpoint_id)


def wishes_asked(session: Session, token: str, *, now: datetime) -> Wishes | None:
    """What confirming a token would set; None where it does not work."""
    found = find_token(session, token, TokenPurpose.CONFIRM, now=now)
    return None if found is None else Wishes.of_json(found.wishes or {})


def confirm(session: Session, token: str, *, now: datetime) -> str | None:
    """Does what a confirmation's token says, once; a new token for the own page, or None where it does not work."""
    endpoint = find_bearer(session, token, now=now, purpose=TokenPurpose.CONFIRM, is_held=True)
    wishes = wishes_asked(session, token, now=now)
    if endpoint is None or wishes is None:
        return None
    session.execute(
        delete(Token).where(col(Token.endpoint_id) == endpoint.id, col(Token.purpose) == TokenPurpose.CONFIRM)
    )
    enable(endpoint, now=now)
    set_wishes(session, endpoint, wishes)
    return issue_token(session, key_of(endpoint), TokenPurpose.MANAGE, now=now)


def enter_confirmed(session: Session, address: str, wishes: Wishes, *, now: datetime) -> Endpoint:
    """An address that needs no mail to confirm it, because nobody else can read there: the demo's own reader."""
    endpoint = Endpoint(
        public_id=_name(),
        kind=EndpointKind.EMAIL,
        address=address,
        status=EndpointStatus.ACTIVE,
        created_at=now,
        confirmed_at=now,
    )
    session.add(endpoint)
    session.flush()
    set_wishes(session, endpoint, wishes)
    return endpoint


def has_others(session: Session, address: str) -> bool:
    """Whether anybody but this address and its webhooks is in the ledger: people, or channels of operators."""
    mine = select(col(Endpoint.id)).where(col(Endpoint.address) == address, col(Endpoint.owner_id).is_(None))
    others = exists().where(
        col(Endpoint.id).not_in(mine), or_(col(Endpoint.owner_id).is_(None), col(Endpoint.owner_id).not_in(mine))
    )
    return session.execute(select(others)).scalar() is True


def enable(endpoint: Endpoint, *, now: datetime) -> None:
    """Messages go there from now on."""
    endpoint.status, endpoint.status_reason, endpoint.failing_since = EndpointStatus.ACTIVE, "", None
    endpoint.confirmed_at = now


def disable(session: Session, endpoint: Endpoint, *, now: datetime) -> None:
    """Its owner wants no messages there; what they wished is kept in case they come back."""
    switch_off(session, endpoint, BY_OWNER, now=now)


def wishes_of(session: Session, endpoint: Endpoint) -> Wishes:
    """What an endpoint wants to hear."""
    rows = _rows(session, Subscription, [key_of(endpoint)])
    return Wishes(
        funds=tuple(sorted({row.fund_slug for row in rows} - {""})),
        events=tuple(event for event in AlertEvent if event in {row.event for row in rows}),
        least=Severity(rows[0].least) if rows else Severity.NOTICE,
        digest=DigestChoice(endpoint.digest),
    )


def set_wishes(session: Session, endpoint: Endpoint, wishes: Wishes) -> None:
    """Replaces what an address and its webhooks want to hear; only the address gets digests."""
    endpoint.digest = wishes.digest
    keys = [key_of(endpoint), *map(key_of, list_webhooks(session, endpoint))]
    session.execute(delete(Subscription).where(col(Subscription.endpoint_id).in_(keys)))
    _subscribe(session, keys, wishes)


def _subscribe(session: Session, keys: Sequence[int], wishes: Wishes) -> None:
    rows = product(keys, wishes.funds or [""], wishes.events or [""], [wishes.least])
    insert_rows(session, Subscription, ("endpoint_id", "fund_slug", "event", "least"), rows)


def mute(session: Session, endpoint: Endpoint, fund_slug: str, *, until: datetime) -> None:
    """No messages about a fund (empty: about anything) until then."""
    session.merge(Mute(endpoint_id=key_of(endpoint), fund_slug=fund_slug, until=until))


def end_mute(session: Session, endpoint: Endpoint, fund_slug: str) -> None:
    """Messages about that fund come again."""
    session.execute(
        delete(Mute).where(col(Mute.endpoint_id) == key_of(endpoint), col(Mute.fund_slug) == fund_slug),
    )


def list_mutes(session: Session, endpoint: Endpoint, *, now: datetime) -> list[Mute]:
    """Mutes that have not ended, in order of funds."""
    return [row for row in _rows(session, Mute, [key_of(endpoint)]) if row.until > now]


def list_webhooks(session: Session, owner: Endpoint) -> list[Endpoint]:
    """The webhooks of an address, the oldest first."""
    return list(session.scalars(select(Endpoint).where(col(Endpoint.owner_id) == owner.id).order_by(col(Endpoint.id))))


def add_webhook(session: Session, owner: Endpoint, url: str, secret: str, *, now: datetime) -> None:
    """Adds a webhook that hears what its owner hears, once it has answered the ping that is ordered here.

    Raises WebhookRefusedError where it is there already or there are too many.
    """
    others = list_webhooks(session, owner)
    if any(webhook.address == url for webhook in others):
        raise WebhookRefusedError("This address is among your webhooks already.")
    if len(others) >= MOST_WEBHOOKS:
        raise WebhookRefusedError(f"You have {len(others)} webhooks, and no more are possible: remove one first.")
    webhook = Endpoint(
        public_id=_name(),
        kind=EndpointKind.WEBHOOK,
        address=url,
        owner_id=owner.id,
        status=EndpointStatus.UNCONFIRMED,
        secrets=[secret],
        created_at=now,
    )
    session.add(webhook)
    session.flush()
    _subscribe(session, [key_of(webhook)], wishes_of(session, owner))
    order(session, key_of(webhook), Purpose.PING, now=now)


def ping_again(session: Session, webhook: Endpoint, *, now: datetime) -> None:
    """Asks a webhook that is not active once more whether it is there."""
    webhook.status, webhook.status_reason = EndpointStatus.UNCONFIRMED, ""
    order(session, key_of(webhook), Purpose.PING, now=now)


def rotate_secret(webhook: Endpoint, secret: str, *, now: datetime) -> None:
    """A new secret signs from now on; the one before signs as well for OLD_SECRET_FOR."""
    webhook.secrets = [secret, *webhook.secrets[:1]]
    webhook.old_secret_until = now + OLD_SECRET_FOR


def find_webhook(session: Session, owner: Endpoint, public_id: str) -> Endpoint | None:
    """A webhook of this owner by its public name."""
    return session.scalars(
        select(Endpoint)
        .where(col(Endpoint.owner_id) == owner.id, col(Endpoint.public_id) == public_id)
        .with_for_update(key_share=True)
    ).one_or_none()


def find_webhook_by_address(session: Session, url: str) -> Endpoint | None:
    """Some webhook at this address, the one entered first."""
    query = select(Endpoint).where(col(Endpoint.kind) == EndpointKind.WEBHOOK, col(Endpoint.address) == url)
    return session.scalars(query.order_by(col(Endpoint.id))).first()


def find_failed(session: Session, owner: Endpoint, message_id: str) -> Delivery | None:
    """A delivery to this owner or one of their webhooks that was given up."""
    keys = [key_of(owner), *map(key_of, list_webhooks(session, owner))]
    return session.scalars(
        select(Delivery).where(
            col(Delivery.message_id) == message_id,
            col(Delivery.endpoint_id).in_(keys),
            col(Delivery.state) == DeliveryState.FAILED,
        )
    ).one_or_none()


def delete_endpoint(session: Session, endpoint: Endpoint) -> None:
    """Removes an endpoint with all that hangs on it: webhooks, wishes, mutes, tokens, deliveries and attempts."""
    for webhook in list_webhooks(session, endpoint):  # Held first: a sender that has one may yet write to its owner.
        hold_endpoint(session, key_of(webhook))
    session.execute(delete(Endpoint).where(col(Endpoint.id) == endpoint.id))


def purge_unconfirmed(session: Session, *, now: datetime) -> int:
    """Deletes what was never confirmed and was not asked within ASKED_WITHIN; how many."""
    since = now - ASKED_WITHIN
    is_asked = exists().where(col(Delivery.endpoint_id) == col(Endpoint.id), col(Delivery.created_at) > since)
    # One statement, so that what is confirmed at this moment stays.
    forgotten = delete(Endpoint).where(
        col(Endpoint.status) == EndpointStatus.UNCONFIRMED,
        col(Endpoint.confirmed_at).is_(None),
        col(Endpoint.created_at) <= since,
        ~is_asked,
    )
    deleted: Any = session.execute(forgotten.execution_options(synchronize_session=False))
    return int(deleted.rowcount)


def export_endpoint(session: Session, endpoint: Endpoint) -> Json:
    """Every row about an address and its webhooks; of secrets and tokens there is only that they exist."""
    webhooks = list_webhooks(session, endpoint)
    keys = [key_of(endpoint), *map(key_of, webhooks)]
    deliveries = _rows(session, Delivery, keys)
    attempts = session.scalars(
        select(Attempt)
        .where(col(Attempt.delivery_id).in_([row.id for row in deliveries]))
        .order_by(col(Attempt.delivery_id), col(Attempt.number))
    )
    return {
        "endpoints": [
            row.model_dump(mode="json", exclude={"secrets"}) | {"secrets": f"{len(row.secrets)}, not shown"}
            for row in (endpoint, *webhooks)
        ],
        "subscriptions": _told(_rows(session, Subscription, keys)),
        "mutes": _told(_rows(session, Mute, keys)),
        "tokens": [row.model_dump(mode="json", exclude={"digest"}) for row in _rows(session, Token, keys)],
        "deliveries": _told(deliveries),
        "attempts": _told(list(attempts)),
    }


def _told(rows: Sequence[SQLModel]) -> list[Json]:
    return [row.model_dump(mode="json") for row in rows]


def _rows(session: Session, table: type[Row], keys: Sequence[int]) -> list[Row]:
    """Rows of endpoints in the order of their keys."""
    columns = table.__table__  # type: ignore[attr-defined]
    return list(
        session.scalars(select(table).where(columns.c.endpoint_id.in_(keys)).order_by(*columns.primary_key.columns))
    )


def key_of(endpoint: Endpoint) -> int:
    """The endpoint's key; a stored row always has one."""
    if endpoint.id is None:
        raise ValueError(f"endpoint {endpoint.public_id} was never stored")
    return endpoint.id


def _name() -> str:
    return secrets.token_hex(16)
