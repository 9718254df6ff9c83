"""Somebody who visits the pages of subscriptions: opens, fills in, and gets links by a sender that is played here."""

import asyncio
import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select

from alerts.reach import check_url
from alerts.signing import new_secret
from ledger.database import reading, writing
from ledger.kinds import Purpose, TokenPurpose
from ledger.subscriptions import key_of
from ledger.tables import Attempt, Delivery, Endpoint, Mute, Platform, Subscription, Token
from ledger.tokens import issue_token
from tests.web.inventor import LIVE, NOW, SIMULATED, Inventor
from web.edition import SiteConfig, SubscribeConfig
from web.site import create_site

READER = "reader@example.org"
FORM = {"address": READER, "least": "warning", "digest": "none"}
TABLES = (Endpoint, Subscription, Mute, Token, Delivery, Attempt)


class Hand:
    """A clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Visitor:
    """Asks a site without a socket, from an address of the network; follows no redirect."""

    def __init__(self, site: FastAPI, engine: Engine, hand: Hand, host: str = "192.0.2.7") -> None:
        self.site, self.engine, self.hand = site, engine, hand
        self._transport = httpx.ASGITransport(site, client=(host, 4711))

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://site") as client:
                return await client.request(method, path, **more)

        return asyncio.run(go())

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def post(
        self, path: str, form: Mapping[str, str | Sequence[str]], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.ask("POST", path, data=dict(form), headers=dict(headers or {}))

    def rows(self, table: Any) -> list[Any]:
        """Every row of a table."""
        with reading(self.engine) as session:
            return list(session.exec(select(table)).all())

    def ledger(self) -> dict[str, list[str]]:
        """All that is kept of people, to be compared."""
        return {table.__tablename__: sorted(map(repr, self.rows(table))) for table in TABLES}

    def mailed_token(self, purpose: Purpose, address: str = READER) -> str:
        """The token in the newest mail of this sort, made as the sender makes it."""
        with writing(self.engine) as session:
            endpoint = _endpoint(session, address)
            wanted = (Delivery.endpoint_id == endpoint.id, Delivery.purpose == purpose)
            mail = session.exec(select(Delivery).where(*wanted)).all()[-1]
            is_question = purpose is Purpose.CONFIRM
            return issue_token(
                session,
                key_of(endpoint),
                TokenPurpose.CONFIRM if is_question else TokenPurpose.MANAGE,
                now=self.hand.now,
                wishes=(mail.detail or {})["wishes"] if is_question else None,
            )

    def subscribed(self, address: str = READER, **wishes: str | Sequence[str]) -> str:
        """An address that subscribed and confirmed; the token of its own page."""
        self.post("/alerts/subscribe", FORM | {"address": address} | wishes)
        confirmed = self.post("/alerts/confirm", {"token": self.mailed_token(Purpose.CONFIRM, address)})
        found = re.search(r'href="/alerts/manage\?token=([^"]+)"', confirmed.text)
        assert found, text_of(confirmed)
        return found[1]

    def do(self, token: str, action: str, **fields: str | Sequence[str]) -> httpx.Response:
        """Does one thing on the own page."""
        return self.post("/alerts/manage", {"token": token, "do": action} | fields)


def _endpoint(session: Session, address: str) -> Endpoint:
    return session.exec(select(Endpoint).where(Endpoint.address == address)).one()


def text_of(answer: httpx.Response) -> str:
    """What a reader reads, words apart by one space."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def invent_two_funds(engine: Engine) -> None:
    """One live fund and one of a recording."""
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", NOW)
        inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2")
        inventor.fund("beta-simulated", "Beta fund (simulated)", SIMULATED, "perp-v2")


def visitor_of(
    engine: Engine, *, is_mail_on: bool = True, hand: Hand | None = None, host: str = "192.0.2.7"
) -> Visitor:
    """Somebody at a site over this ledger, where messages are sent from."""
    clock = hand or Hand(NOW)
    config = SiteConfig(subscribe=SubscribeConfig(is_mail_on, check_url, new_secret))
    return Visitor(create_site(engine, clock, config), engine, clock, host)
