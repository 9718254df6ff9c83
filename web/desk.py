"""Where forms about subscriptions are taken and answered, with pages that nobody else may keep."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from fastapi import Response
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.clock import Clock
from ledger.database import writing
from ledger.kinds import TokenPurpose
from ledger.pages import asking
from ledger.subscriptions import find_bearer
from ledger.tables import Endpoint
from web.contexts import Frame, StepPage
from web.edition import SiteConfig
from web.posting import Turnstile
from web.press import HTML, Press
from web.templating import render

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
"""Addresses and pages with a token are for one reader alone."""
Work = TypeVar("Work")


@dataclass(frozen=True)
class Desk:
    """What those pages work with."""

    engine: Engine
    clock: Clock
    config: SiteConfig
    press: Press
    turnstile: Turnstile = field(default_factory=Turnstile)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.clock()

    @property
    def is_mail_on(self) -> bool:
        """False where nobody sends mails."""
        return self.config.subscribe is not None and self.config.subscribe.is_mail_on

    def act(
        self, token: str, work: Callable[[Session, Endpoint], Work], *, purpose: TokenPurpose = TokenPurpose.MANAGE
    ) -> Work | None:
        """Works in one transaction for whoever bears the token; None where it does not work.

        It is looked at first without holding up writers, for anybody can send us tokens that are none.
        """
        with asking(self.engine) as session:
            if find_bearer(session, token, now=self.now, purpose=purpose) is None:
                return None
        with writing(self.engine) as session:
            endpoint = find_bearer(session, token, now=self.now, purpose=purpose, is_held=True)
            return None if endpoint is None else work(session, endpoint)

    def frame(self, session: Session, path: str, title: str) -> Frame:
        """The frame of a page that is made for one reader."""
        around = self.press.frame(session)
        return replace(around, path=path, canonical=self.config.site_url + path, title=title)

    def answer(self, template: str, page: object, code: int = 200) -> Response:
        """A page for one reader."""
        return Response(render(template, page=page), code, PRIVATE, media_type=HTML)

    def step(self, path: str, title: str, *sentences: str, code: int = 200, **parts: Any) -> Response:
        """A page that asks for one thing or says that it was done; `parts`: the other fields of StepPage."""
        with asking(self.engine) as session:
            around = self.frame(session, path, title)
        return self.answer("alerts_step.html", StepPage(around, sentences, **parts), code)

    def gone(self, path: str) -> Response:
        """What is said of a token that does not work."""
        return self.step(
            path,
            "This link does not work any more",
            "A link to confirm works once and for 24 hours; the links in our messages work for 90 days.",
            "If you have just confirmed, all is well: nothing else is to be done.",
            code=404,
            typed="" if self.is_mail_on else None,
        )

    def sent(self) -> Response:
        """What is said after an address was given, whether it is known or not."""
        return self.step(
            "/alerts/sent",
            "Look into your mail",
            "If this address can receive mail, a message with a link is on its way. Open it within 24 hours.",
            "Nothing else is sent before that. An address that is not confirmed is deleted after 24 hours.",
        )
