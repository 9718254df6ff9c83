"""One provider as the pool sees it: client, pace, whether it serves the right chain, and why it is not asked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.rpc.client import RpcClient
from indexer.rpc.errors import ChainError, RequestError, RevertError, ThrottledError, WrongChainError
from indexer.rpc.limiter import Limiter
from indexer.rpc.messages import ANYTHING, TEXT, Ask, ask_chain_id
from indexer.rpc.reader import ChainTerms
from ledger.kinds import SourceKind

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
REPLAY_CLIENT = "backstop-replay"


@dataclass(frozen=True)
class Pace:
    """Where time comes from and how to wait: a monotonic clock in seconds, and a sleep."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Provider:
    """Client, limiter and standing of one endpoint of one chain."""

    def __init__(self, client: RpcClient, name: str, pace: Pace) -> None:
        self.client = client
        self.name = name
        self.out: str | None = None
        self.complaint: str | None = None
        self.quiet_until = 0.0
        self._failures = 0
        self._pace = pace
        self._limiter = Limiter()
        self._is_checked = False
        self._checking = asyncio.Lock()

    async def batch(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        """As RpcClient.batch, at this provider's pace."""
        wait = self._limiter.reserve(self._pace.monotonic(), len(asks))
        if wait > 0:
            await self._pace.sleep(wait)
        results = await self.client.batch(asks)
        throttled = next((result for result in results if isinstance(result, ThrottledError)), None)
        if throttled:
            raise throttled
        self._limiter.succeeded()
        return results

    async def all_of(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        """As batch, but the first error inside it is raised."""
        results = await self.batch(asks)
        for result in results:
            if isinstance(result, ChainError):
                raise result
        return results

    def failed(self, error: ChainError) -> None:
        """Not asked for a while, twice as long each time; the log hears of the first failure only."""
        if isinstance(error, WrongChainError):
            self.out = str(error)
            log.error("%s", error)
            return
        if isinstance(error, ThrottledError):
            self._limiter.throttled(self._pace.monotonic(), error.retry_after)
            return
        backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**self._failures)
        self.quiet_until = self._pace.monotonic() + backoff
        self._failures = min(self._failures + 1, 10)
        if self.complaint is None:
            log.warning("provider %s is set aside: %s", self.name, error)
        self.complaint = str(error)

    def answered(self) -> None:
        """Back in the first row."""
        if self.complaint is not None:
            log.warning("provider %s answers again", self.name)
        self.complaint, self._failures, self.quiet_until = None, 0, 0.0

    async def check(self, terms: ChainTerms) -> None:
        """Once: chain id and, for recordings, slug and kind; raises WrongChainError with the fix."""
        async with self._checking:
            if self._is_checked:
                return
            (answer,) = await self.all_of([ask_chain_id()])
            found = int(answer, 16)
            if found != terms.id:
                raise WrongChainError(
                    f"{self.name} serves chain id {found}, but {terms.slug} is {terms.id}: "
                    "correct its endpoints, it will not be asked"
                )
            await (self._check_live(terms) if terms.kind == SourceKind.LIVE else self._check_recording(terms))
            self._is_checked = True

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
