"""One provider as the pool sees it: client, pace, whether it serves the right chain, and why it is not asked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from indexer.rpc.client import RpcClient
from indexer.rpc.errors import (
    AnswerTooLargeError,
    ChainError,
    RangeTooWideError,
    RequestError,
    RevertError,
    StateMissingError,
    ThrottledError,
    UnavailableError,
    UntruthError,
    WrongChainError,
)
from indexer.rpc.limiter import Limiter
from indexer.rpc.messages import ANYTHING, TEXT, Ask, ask_chain_id
from indexer.rpc.metrics import ProviderMetrics, Tally
from indexer.rpc.reader import ChainTerms
from ledger.kinds import SourceKind

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
BUSY_SECONDS = 1.0  # A provider that must pause longer lets others go first.
LATE_SECONDS = 30.0  # How long one whose head lagged is asked last for the head.
DOUBT_SECONDS = 300.0  # How long one whom others contradict is asked last.
RELEARN_SECONDS = 3600.0  # After that, what a provider does not keep is tried again.
RECENT_BLOCKS = 128  # Full nodes keep that many states: what is missing above is lag, not pruning.
OUTAGE_SECONDS = 30.0  # After being away that long another chain may answer there.
QUIET_SECONDS = 300.0  # A provider that comes and goes is two log lines in that time.
PATIENCE = {"eth_getLogs": 60.0, "eth_getBlockReceipts": 60.0}  # Seconds for a whole answer, whatever trickles in.
USUAL_PATIENCE = 20.0
REPLAY_CLIENT = "backstop-replay"


@dataclass(frozen=True)
class Pace:
    """Where time comes from and how to wait: a monotonic clock in seconds, a sleep, a time limit."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    limit: Callable[[float], AbstractAsyncContextManager[object]] = asyncio.timeout


class Keeps(StrEnum):
    """What a provider may keep only for newer blocks."""

    STATE = "state"
    BLOCKS = "blocks"


@dataclass(frozen=True)
class About:
    """What a question needs: that kind of data at that height."""

    keeps: Keeps
    number: int


class Provider:
    """Client, limiter and standing of one endpoint of one chain."""

    def __init__(self, client: RpcClient, name: str, pace: Pace) -> None:
        self.client = client
        self.name = name
        self.host = client.name
        self.out: str | None = None
        self.complaint: str | None = None
        self.quiet_until = 0.0
        self.head: int | None = None
        self.has_final_tag = True
        self._late_until = 0.0
        self._doubted_until = 0.0
        self._floors: dict[Keeps, tuple[int, float]] = {}
        self._tally = Tally()
        self._failures = 0
        self._failed_since: float | None = None
        self._spoke_at = float("-inf")
        self._was_heard = False
        self._pace = pace
        self._limiter = Limiter()
        self._is_checked = False
        self._checking = asyncio.Lock()
        self._refusal: ChainError | None = None  # Why it last did not say which chain it serves.

    async def batch(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        """As RpcClient.batch, at this provider's pace: in pieces, once it refused to be asked so much."""
        size = self._limiter.most_at_once() or len(asks)
        return [answer for at in range(0, len(asks), size) for answer in await self._send(asks[at : at + size])]

    async def _send(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        wait = self._limiter.reserve(self._pace.monotonic(), len(asks))
        if wait > 0:
            await self._pace.sleep(wait)
        sent, method = self._pace.monotonic(), asks[-1].method
        patience = PATIENCE.get(method, USUAL_PATIENCE)
        try:
            async with self._pace.limit(patience):
                results = await self.client.batch(asks)
            for result in results:
                if isinstance(result, ThrottledError):
                    raise result
        except ThrottledError as error:
            self._limiter.throttled(self._pace.monotonic(), error.retry_after, sent=sent)
            raise
        except TimeoutError as error:
            raise UnavailableError(f"{self.name}: {method} was not answered whole in {patience:.0f} s") from error
        finally:
            self._tally.answered(method, len(asks), self._pace.monotonic() - sent)
        self._limiter.succeeded()
        return results

    async def all_of(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        """As batch, but the first error inside it is raised."""
        results = await self.batch(asks)
        for result in results:
            if isinstance(result, ChainError):
                raise result
        return results

    def reluctance(self, now: float, about: About | None) -> tuple[bool, ...]:
        """Why others should be asked first, weightiest first; all False for a provider in good standing."""
        floor, until = self._floors.get(about.keeps, (-1, now)) if about else (-1, now)
        lacks = about is not None and about.number <= floor and until > now
        is_late = about is None and self._late_until > now
        return lacks, self._doubted_until > now, self.quiet_until > now, is_late, self.is_busy(now)

    def is_busy(self, now: float) -> bool:
        """Whether it wants to be left alone for longer than others would take."""
        return self._limiter.pause(now) > BUSY_SECONDS

    def is_pruned(self, number: int) -> bool:
        """Whether a block that is missing here must have been there: this provider's head is far above it."""
        return self.head is not None and number + RECENT_BLOCKS <= self.head

    def lags(self) -> None:
        """Its head was lower than another's: asked last for the head for a while."""
        self._late_until = self._pace.monotonic() + LATE_SECONDS

    def doubt(self, reason: str) -> None:
        """Others contradict it: set aside, and asked last for a while however well it answers."""
        self.judge(UntruthError(reason))
        self._doubted_until = self._pace.monotonic() + DOUBT_SECONDS

    def judge(self, error: ChainError, about: About | None = None) -> None:
        """What a failed question says of the provider's standing."""
        self._tally.failures[type(error).__name__] += 1
        match error:
            case RangeTooWideError() | AnswerTooLargeError() | RevertError():
                self.answered()
            case StateMissingError():
                self._learn(about)
            case RequestError() | ThrottledError():
                pass
            case WrongChainError():
                self.out = str(error)
                log.error("%s", error)
            case _:
                self._set_aside(error)

    def _learn(self, about: About | None) -> None:
        """What it does not keep at that height it keeps at no lower one either; for a while, as nodes are exchanged."""
        if about is None or not self.is_pruned(about.number):
            return
        now = self._pace.monotonic()
        floor, until = self._floors.get(about.keeps, (-1, now))
        self._floors[about.keeps] = max(about.number, floor if until > now else -1), now + RELEARN_SECONDS

    def _set_aside(self, error: ChainError) -> None:
        """Not asked for a while, twice as long each time; it says once more which chain it serves when it is back."""
        now = self._pace.monotonic()
        if now >= self.quiet_until:  # Questions that were under way when it failed are one failure with it.
            self.quiet_until = now + min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            self._tally.set_aside += 1
        self._failed_since = now if self._failed_since is None else self._failed_since
        if not self._was_heard and now - self._spoke_at >= QUIET_SECONDS:
            self._spoke_at, self._was_heard = now, True
            log.warning("provider %s is set aside: %s", self.name, error)
        self.complaint = str(error)

    def answered(self) -> None:
        """Back in the first row."""
        if self._was_heard:
            log.warning("provider %s answers again", self.name)
        self._was_heard = False
        self.complaint, self._failed_since, self._failures, self.quiet_until = None, None, 0, 0.0

    def metrics(self) -> ProviderMetrics:
        """Its counts as they stand."""
        return ProviderMetrics(
            provider=self.name,
            standing=self.standing(),
            http_requests=self.client.requests,
            rate=self._limiter.rate,
            throttles=self._tally.failures[ThrottledError.__name__],
            set_aside=self._tally.set_aside,
            head=self.head,
            failures=dict(self._tally.failures),
            methods=self._tally.methods(),
        )

    def standing(self) -> str:
        """Why it is not asked, or "ok" where it is."""
        return self.out or self.complaint or "ok"

    async def check(self, terms: ChainTerms) -> None:
        """At first and after an outage: chain id (and recording); raises WrongChainError with the fix."""
        if self._is_known():
            return
        was_waiting, before = self._checking.locked(), self._refusal
        async with self._checking:
            if self._is_known():
                return
            # It failed to say so while this one waited; each of many waiting questions would wait as long again.
            if self._refusal is not before:
                raise UnavailableError(str(self._refusal))
            if was_waiting and self.is_busy(self._pace.monotonic()):
                raise ThrottledError(f"{self.name}: is left alone until it may be asked again")
            try:
                await self._identify(terms)
            except (UnavailableError, UntruthError) as error:
                self._refusal = error
                raise
            self._is_checked, self._failed_since = True, None

    async def _identify(self, terms: ChainTerms) -> None:
        found = await self._chain_id()
        if found != terms.id:
            raise WrongChainError(
                f"{self.name} serves chain id {found}, but {terms.slug} is {terms.id}: "
                "correct its endpoints, it will not be asked"
            )
        if not self._is_checked:
            await (self._check_live(terms) if terms.kind == SourceKind.LIVE else self._check_recording(terms))

    async def _chain_id(self) -> int:
        try:
            (answer,) = await self.all_of([ask_chain_id()])
        except (RangeTooWideError, AnswerTooLargeError, RequestError, RevertError, StateMissingError) as error:
            raise UnavailableError(f"{error} (asked for its chain id)") from error
        return int(answer, 16)

    def _is_known(self) -> bool:
        since = self._failed_since
        return self._is_checked and (since is None or self._pace.monotonic() - since < OUTAGE_SECONDS)

    async def _check_live(self, terms: ChainTerms) -> None:
        """A replay never passes for a real chain, whatever id it answers."""
        (version,) = await self.batch([Ask("web3_clientVersion", (), TEXT)])
        if isinstance(version, str) and version.startswith(REPLAY_CLIENT):
            raise WrongChainError(
                f"{self.name} replays a recording, but {terms.slug} is a live chain: correct its endpoints"
            )

    async def _check_recording(self, terms: ChainTerms) -> None:
        (said,) = await self.batch([Ask("backstop_recording", (), ANYTHING)])
        if isinstance(said, RequestError | RevertError):
            raise WrongChainError(
                f"{self.name} is no replay of a recording, but {terms.slug} is {terms.kind}: start `backstop replay`"
            ) from said
        if isinstance(said, ChainError):
            raise said
        found = (said.get("slug"), said.get("kind")) if isinstance(said, dict) else (None, None)
        if found != (terms.slug, str(terms.kind)):
            raise WrongChainError(
                f"{self.name} replays {found[0]} ({found[1]}), but {terms.slug} ({terms.kind}) is wanted: "
                "correct its endpoint"
            )
