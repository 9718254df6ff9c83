"""The demo's own mail server, webhook and reader: everything is sent for real, and nothing leaves this machine."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address

import httpx
from sqlalchemy import Engine

from alerts.catcher import MailCatcher
from alerts.reach import Destination, UnreachableAddressError
from alerts.signing import new_secret
from app.alerting import Ways
from app.failures import CommandError, Exit
from app.settings import Settings
from ledger.database import writing
from ledger.kinds import DigestChoice
from ledger.subscriptions import Wishes, add_webhook, enter_confirmed, find_webhook_by_address, has_others
from web.caught import CaughtCall, CaughtMail
from web.edition import SubscribeConfig
from web.inbox import HOOK

READER = "reader@demo.example"
HOST = "webhook.demo"
WEBHOOK = f"http://{HOST}{HOOK}"
MOST_CALLS = 500


class DemoPost:
    """Catches what the demo sends. `site`: host and port of the demo's own site, which takes its webhook calls."""

    def __init__(self, catcher: MailCatcher, site: tuple[str, int]) -> None:
        self._catcher = catcher
        self._site = site
        self._calls: tuple[CaughtCall, ...] = ()

    @property
    def ways(self) -> Ways:
        """Mail to the catcher, webhooks to the demo's own site."""
        return Ways(self._catcher.url, self)

    @property
    def subscribe(self) -> SubscribeConfig:
        """What the pages of subscriptions need."""
        return SubscribeConfig(is_mail_on=True, check_url=check_demo_url, new_secret=new_secret)

    async def resolve(self, url: str) -> Destination:
        """The demo's own webhook, whatever else is asked for."""
        wrong = check_demo_url(url)
        if wrong is not None:
            raise UnreachableAddressError(wrong)
        host, port = self._site
        return Destination(httpx.URL(url), ip_address(host), port)

    def mails(self) -> Sequence[CaughtMail]:
        """What the mail server took, newest first."""
        return [CaughtMail(one.number, one.mail) for one in self._catcher.messages]

    def calls(self) -> Sequence[CaughtCall]:
        """What the webhook took, newest first."""
        return self._calls

    def take_call(self, message_id: str, body: bytes) -> bytes:
        """Keeps a call; the challenge of a ping is the answer."""
        self._calls = (CaughtCall(message_id, body), *self._calls)[:MOST_CALLS]
        try:
            said = json.loads(body)
            return str(said["data"]["challenge"]).encode() if said["type"] == "ping" else b"ok"
        except (ValueError, KeyError, TypeError, RecursionError):
            return b"no JSON of ours"


def kept_here(settings: Settings) -> Settings:
    """The settings without whoever else they name: what the demo announces is no news to operators and watchdogs."""
    return settings.model_copy(update={"operator_urls": {}, "heartbeat_url": None, "mail_bounces": None})


def check_demo_url(url: str) -> str | None:
    """Only the demo's own webhook can be called."""
    return None if url == WEBHOOK else f"the demo sends to its own webhook only: write {WEBHOOK}"


@contextmanager
def demo_post(site: tuple[str, int]) -> Iterator[DemoPost]:
    """The demo's post office while the block runs."""
    with MailCatcher() as catcher:
        yield DemoPost(catcher, site)


def enter_reader(engine: Engine, now: datetime) -> None:
    """A reader who wants everything, by mail and webhook, and the daily digest; a demo before may have entered it.

    Raises CommandError on a database with other readers: the demo would take their messages to its own mail server.
    """
    with writing(engine) as session:
        if has_others(session, READER):
            raise CommandError(
                "people subscribe in this database, and the demo would catch their messages: "
                "leave out BACKSTOP_DATABASE_URL, or name a database of its own",
                Exit.DATABASE,
            )
        if find_webhook_by_address(session, WEBHOOK) is None:
            reader = enter_confirmed(session, READER, Wishes(digest=DigestChoice.DAILY), now=now)
            add_webhook(session, reader, WEBHOOK, new_secret(), now=now)
