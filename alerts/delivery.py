"""The sender: takes what is due from the outbox, hands it to channels, and writes down what came of it."""

import asyncio
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from alerts.channel import Channel, ChannelError, Links, Parcel
from alerts.message import Message, only_funds
from alerts.schedule import pause_after
from ledger.attempts import Outcome, Verdict, record_attempt
from ledger.claims import Claimed, claim
from ledger.clock import Clock
from ledger.kinds import EndpointKind, Purpose, TokenPurpose
from ledger.tokens import issue_token
from ledger.writer import LedgerWriter, PhaseHook, no_phase

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Deliveries under way at a time: all that are claimed, so that none waits for a place while its claim runs out."""
LEASE = timedelta(seconds=60)
"""How long a claim lasts: longer than any attempt, short enough that what a dead sender left is soon taken over."""
AFTER_CLAIM = "after claim"
BEFORE_SEND = "before send"
AFTER_SEND = "after send"
AFTER_RECORD = "after record"
PHASES = (AFTER_CLAIM, BEFORE_SEND, AFTER_SEND, AFTER_RECORD)


@dataclass(frozen=True)
class Patience:
    """How many seconds the sender waits for what."""

    attempt: float = 45.0
    """Channels have shorter limits of their own; one that forgets them must not outlive its claim."""
    look: float = 1.0
    """While attempts are under way, between looks for what became due meanwhile."""


@dataclass(frozen=True)
class Errand:
    """A claimed delivery and the token that its mail carries; empty: it carries none."""

    claimed: Claimed
    token: str = ""


class Sender:
    """Sends what is due. Any number of them may work on one ledger, each with a name of its own.

    `phase` hears where a delivery stands: tests of crash safety stop there.
    """

    def __init__(
        self,
        writer: LedgerWriter,
        channels: Mapping[EndpointKind, Channel],
        clock: Clock,
        *,
        site_url: str,
        name: str,
        dice: random.Random,
        patience: Patience = Patience(),
        phase: PhaseHook = no_phase,
    ) -> None:
        self._writer = writer
        self._channels = channels
        self._clock = clock
        self._site = site_url.rstrip("/")
        self._name = name
        self._dice = dice
        self._patience = patience
        self._phase = phase

    async def run_once(self) -> int:
        """Tries what is due, up to AT_ONCE deliveries; how many that were."""
        errands = await self._take(AT_ONCE)
        await asyncio.gather(*map(self._deliver, errands))
        return len(errands)

    async def drain(self) -> None:
        """Goes on until nothing is due. One that takes long holds up no other."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                errands = await self._take(AT_ONCE - len(under_way))
                under_way |= {asyncio.create_task(self._deliver(errand)) for errand in errands}
                if not under_way:
                    return
                _, under_way = await asyncio.wait(
                    under_way, timeout=self._patience.look, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            if under_way:  # Somebody stops us: what is on its way may have been taken, so it ends and is written down.
                await asyncio.wait(under_way)

    async def _take(self, limit: int) -> list[Errand]:
        def take(session: Session) -> list[Errand]:
            now = self._clock()
            claimed = claim(session, self._name, now=now, lease=LEASE, limit=limit)
            return [Errand(one, self._issue_token(session, one)) for one in claimed]

        errands = await self._writer.write(take)
        self._phase(AFTER_CLAIM)
        return errands

    def _issue_token(self, session: Session, claimed: Claimed) -> str:
        """A new token for each attempt: the ledger does not know the one that was sent before."""
        if claimed.kind is not EndpointKind.EMAIL:
            return ""
        if claimed.purpose is not Purpose.CONFIRM:
            return issue_token(session, claimed.endpoint_id, TokenPurpose.MANAGE, now=self._clock())
        wishes = (claimed.detail or {}).get("wishes")
        return issue_token(session, claimed.endpoint_id, TokenPurpose.CONFIRM, now=self._clock(), wishes=wishes)

    async def _deliver(self, errand: Errand) -> None:
        """One attempt and its record; whatever happens to it stays with it."""

        def record(session: Session) -> None:
            record_attempt(session, errand.claimed, outcome, now=self._clock())

        try:
            outcome = await self._attempt(errand)
            await self._writer.write(record)
            self._phase(AFTER_RECORD)
        except Exception:  # The delivery loop: the claim runs out and the delivery is tried again.
            log.exception("what came of %s could not be written down", errand.claimed.message_id)
            return
        if outcome.verdict is not Verdict.TAKEN:
            _log_failure(errand.claimed, outcome)

    async def _attempt(self, errand: Errand) -> Outcome:
        """Sends once and says what came of it."""
        began = self._clock()
        verdict, answer, retry_after = await self._send(errand)
        now = self._clock()
        pause = None
        if verdict in (Verdict.REFUSED, Verdict.BROKEN):
            pause = pause_after(errand.claimed.attempts + 1, retry_after=retry_after, dice=self._dice)
        seconds = max(0.0, (now - began).total_seconds())  # A clock may be put back.
        return Outcome(verdict, answer, began, seconds, None if pause is None else now + pause)

    async def _send(self, errand: Errand) -> tuple[Verdict, str, float | None]:
        """How it ended, the answer, and the seconds that the other side asked for."""
        try:
            channel = self._channels.get(errand.claimed.kind)
            if channel is None:
                return Verdict.BROKEN, f"no channel for {errand.claimed.kind} is set up here", None
            parcel = self._parcel(errand)
            self._phase(BEFORE_SEND)
            async with asyncio.timeout(self._patience.attempt):
                receipt = await channel.send(parcel)
            self._phase(AFTER_SEND)
        except ChannelError as error:
            return Verdict.GONE if error.permanent else Verdict.REFUSED, str(error), error.retry_after
        except TimeoutError:
            return Verdict.REFUSED, f"no answer within {self._patience.attempt:g} seconds", None
        except Exception as error:  # The delivery loop: a broken message or channel must not stop the others.
            log.exception("%s could not be sent", errand.claimed.message_id)
            return Verdict.BROKEN, f"a fault of ours ({type(error).__name__})", None
        return Verdict.TAKEN, receipt.answer, None

    def _parcel(self, errand: Errand) -> Parcel:
        """What the channel is handed; raises msgspec.ValidationError for a message that none of ours wrote."""
        claimed = errand.claimed
        message = None if claimed.message is None else Message.of_json(claimed.message)
        if message is not None and claimed.funds:
            message = only_funds(message, claimed.funds)
        detail = claimed.detail and {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in claimed.detail.items()
        }
        return Parcel(
            message_id=claimed.message_id,
            purpose=claimed.purpose,
            address=claimed.address,
            created_at=claimed.created_at,
            links=self._links(errand),
            message=message,
            detail=detail,
            secrets=claimed.secrets,
        )

    def _links(self, errand: Errand) -> Links:
        """Where the recipient can look and act; whoever holds no token acts nowhere."""
        site, claimed = self._site, errand.claimed
        page = ""
        if claimed.alert_id is not None:
            page = (
                f"{site}/funds/{claimed.fund_slug}" if claimed.fund_slug else f"{site}/alerts/log#a{claimed.alert_id}"
            )
        if not errand.token:
            return Links(site, page)
        if claimed.purpose is Purpose.CONFIRM:
            return Links(site, page, confirm=f"{site}/alerts/confirm?token={errand.token}")
        mute = f"{site}/alerts/mute?token={errand.token}&fund={claimed.fund_slug}" if claimed.fund_slug else ""
        return Links(
            site,
            page,
            manage=f"{site}/alerts/manage?token={errand.token}",
            mute=mute,
            unsubscribe=f"{site}/alerts/unsubscribe?token={errand.token}",
        )


def _log_failure(claimed: Claimed, outcome: Outcome) -> None:
    """Says it louder where it is for whoever runs Backstop to mend. What mail servers say may name people."""
    is_ours = claimed.kind is EndpointKind.OPERATOR or outcome.verdict is Verdict.BROKEN
    answer = "see its attempts" if claimed.kind is EndpointKind.EMAIL else outcome.answer
    level = logging.WARNING if is_ours else logging.INFO
    log.log(level, "%s was not taken by its %s: %s", claimed.message_id, claimed.kind, answer)
