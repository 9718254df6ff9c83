"""Several providers of one chain behind one face: failover, recovery, pace, identity. Implements ChainReader."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from indexer.adapter import ContractCall, LogFilter
from indexer.rpc.calls import CallReader, parts_of
from indexer.rpc.client import RpcClient
from indexer.rpc.errors import (
    ChainError,
    RequestError,
    StateMissingError,
    UnavailableError,
    UntruthError,
)
from indexer.rpc.failover import NOBODY, Failover, Whom
from indexer.rpc.heads import HeadFeed, is_websocket
from indexer.rpc.messages import (
    ANYTHING,
    Ask,
    WireHeader,
    ask_code,
    ask_head,
    ask_header,
    ask_logs,
    ask_logs_of,
    ask_receipts,
    ask_whole_receipts,
    height_of,
)
from indexer.rpc.metrics import ProviderMetrics
from indexer.rpc.provider import About, Keeps, Pace, Provider
from indexer.rpc.reader import CallAnswer, ChainTerms, Header, LogBatch, Receipts, Word
from indexer.scan.verify import HEAD, SHAPE, ordered_logs

log = logging.getLogger(__name__)

T = TypeVar("T")

HEADERS_AT_ONCE = 100
LOGS_AT_ONCE = 50
REPORT_SECONDS = 3600.0
TAGLESS = (RequestError, StateMissingError)


def height(heads: tuple[Header, Header | None]) -> int:
    """How high the head is."""
    return heads[0].number


class ProviderPool:
    """All providers of one chain. Close it when done (`async with`)."""

    def __init__(
        self,
        terms: ChainTerms,
        urls: Sequence[str],
        *,
        pace: Pace | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.terms = terms
        self._pace = pace or Pace()
        self._providers: list[Provider] = []
        self.feed = HeadFeed([url for url in urls if is_websocket(url)], self._pace)
        for url in urls:
            if is_websocket(url):
                continue
            client = RpcClient(url, transport=transport)
            taken = sum(p.client.name == client.name for p in self._providers)
            name = f"{client.name}#{taken + 1}" if taken else client.name
            self._providers.append(Provider(client, name, self._pace))
        self._reported_at = self._pace.monotonic()
        self._failover = Failover(terms, self._providers, self._pace)
        self._calls = CallReader(terms, self._failover)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all connections."""
        await self.feed.close()
        for provider in self._providers:
            await provider.client.close()

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return sum(provider.client.requests for provider in self._providers)

    def standing(self) -> Mapping[str, str]:
        """As ChainReader says."""
        return {provider.name: provider.standing() for provider in self._providers}

    def metrics(self) -> list[ProviderMetrics]:
        """What each provider did so far."""
        return [provider.metrics() for provider in self._providers]

    def _report(self) -> None:
        """One log line now and then with what each provider did."""
        now = self._pace.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            log.info("%s: %s", self.terms.slug, " | ".join(metrics.line() for metrics in self.metrics()))

    def voices(self) -> int:
        """As ChainReader says."""
        return self._failover.voices()

    def distrust(self, provider: str, reason: str) -> None:
        """As ChainReader says."""
        self._failover.distrust(provider, reason)

    async def wait_for_head(self, seconds: float) -> bool:
        """As ChainReader says."""
        return await self.feed.wait(seconds)

    async def header(self, block: int | str) -> Header | None:
        """As ChainReader says; a tag must be answered, a number or hash may be unknown to everyone."""

        async def work(provider: Provider) -> Header:
            (found,) = await provider.all_of([ask_header(block)])
            if found is None and isinstance(block, str) and len(block) != 66:
                # Not every chain has the tag; the caller decides what stands in for it.
                raise RequestError(f"{provider.name}: no {block} block")
            if found is None:
                raise StateMissingError(f"{provider.name}: no block {block}")
            header: Header = found.to_header()
            if block not in (header.number, header.hash) and (isinstance(block, int) or len(block) == 66):
                raise UntruthError(f"{provider.name}: asked for block {block}, got {header.number} {header.hash}")
            return header

        about = About(Keeps.BLOCKS, block) if isinstance(block, int) else None
        try:
            return await self._failover.ask(work, Whom(about=about))
        except StateMissingError:
            return None

    async def heads(self, *, expected: int = 0) -> tuple[Header, Header | None]:
        """As ChainReader says."""
        first = await self._failover.ask(self._heads_of)
        self._report()
        if first[0].number >= expected or self.voices() < 2:
            return first
        said = list((await self._failover.everyone(self._heads_of)).values())
        arrived = [heads for heads in said if heads[0].number >= expected]
        for provider in self._providers:
            if arrived and provider.head is not None and provider.head < expected:
                provider.lags()
        # Not simply the highest: one that invents a head far above all others would be believed each time.
        return min(arrived, key=height) if arrived else max([first, *said], key=height)

    async def _heads_of(self, provider: Provider) -> tuple[Header, Header | None]:
        """Both by one provider; one that does not know the tag is asked for it once only."""
        asks = [ask_header("latest"), *([ask_header("finalized")] if provider.has_final_tag else [])]
        latest, *finals = await provider.batch(asks)
        if latest is None:
            raise UnavailableError(f"{provider.name}: no latest block")
        for said in (latest, *finals):
            # Not every chain has the tag, and a young one has nothing final yet.
            if isinstance(said, ChainError) and (said is latest or not isinstance(said, TAGLESS)):
                raise said
        provider.has_final_tag = not any(isinstance(said, RequestError) for said in finals) and bool(finals)
        head: Header = latest.to_header()
        provider.head = head.number
        return head, finals[0].to_header() if finals and isinstance(finals[0], WireHeader) else None

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """As ChainReader says."""
        parts = await asyncio.gather(*(self._headers(part) for part in parts_of(numbers, HEADERS_AT_ONCE)))
        return [header for part in parts for header in part]

    async def _headers(self, numbers: Sequence[int]) -> list[Header]:
        async def work(provider: Provider) -> list[Header]:
            found = await provider.all_of([ask_header(number) for number in numbers])
            if None in found:
                missing = numbers[found.index(None)]
                kind = StateMissingError if provider.is_pruned(missing) else UnavailableError
                raise kind(f"{provider.name}: block {missing} is not there")
            headers = [wire.to_header() for wire in found]
            if [header.number for header in headers] != list(numbers):
                raise UntruthError(f"{provider.name}: asked for blocks {numbers[0]}–{numbers[-1]}, got others")
            return headers

        return await self._failover.ask(work, Whom(about=About(Keeps.BLOCKS, min(numbers))))

    async def logs(
        self,
        filters: Sequence[LogFilter],
        first: int,
        last: int,
        *,
        avoid: frozenset[str] = NOBODY,
        without: frozenset[str] = NOBODY,
    ) -> LogBatch:
        """As ChainReader says: level 0 (shape) and 1 (the same provider's head) of the verification ladder."""
        asks: list[Ask[Any]] = [ask_head(), *(ask_logs(wanted, first, last) for wanted in filters)]

        async def work(provider: Provider) -> LogBatch:
            head, *answers = await provider.all_of(asks)
            provider.head = height_of(head)
            if provider.head < last:
                # A lagging node gives a partial list without any error.
                raise UnavailableError(f"{provider.name}: its head {provider.head} is below block {last}")
            logs = ordered_logs(answers, first, last, f"{provider.name}: logs of {first}–{last}")
            return LogBatch(logs, provider.name, HEAD)

        return await self._failover.ask(
            work, Whom(avoid, without, About(Keeps.BLOCKS, first), is_divisible=first < last)
        )

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = NOBODY,
        without: frozenset[str] = NOBODY,
    ) -> list[LogBatch]:
        """As ChainReader says: a block named by hash needs no head, only the shape."""

        async def work(provider: Provider) -> list[LogBatch]:
            asks = [ask_logs_of(wanted, block_hash) for block_hash in block_hashes for wanted in filters]
            answers = [answer for part in parts_of(asks, LOGS_AT_ONCE) for answer in await provider.all_of(part)]
            return [
                self._of_block(provider, block_hash, answers[at * len(filters) : (at + 1) * len(filters)])
                for at, block_hash in enumerate(block_hashes)
            ]

        return await self._failover.ask(work, Whom(avoid, without))

    def _of_block(self, provider: Provider, block_hash: str, answers: list[Any]) -> LogBatch:
        where = f"{provider.name}: logs of block {block_hash}"
        logs = ordered_logs(answers, 0, 2**63, where)
        if any(log.block_hash != block_hash for log in logs):
            raise UntruthError(f"{where}: logs of another block")
        return LogBatch(logs, provider.name, HEAD)

    async def logs_from_receipts(self, number: int) -> LogBatch:
        """As ChainReader says."""

        async def work(provider: Provider) -> LogBatch:
            (receipts,) = await provider.all_of([ask_receipts(number)])
            if receipts is None:
                raise UnavailableError(f"{provider.name}: no receipts of block {number}")
            where = f"{provider.name}: receipts of block {number}"
            logs = ordered_logs([[log for receipt in receipts for log in receipt.logs]], number, number, where)
            return LogBatch(logs, provider.name, SHAPE)

        return await self._failover.ask(work, Whom(about=About(Keeps.BLOCKS, number)))

    async def receipts(self, block: int | str, *, without: frozenset[str] = NOBODY) -> Receipts:
        """As ChainReader says."""

        async def work(provider: Provider) -> Receipts:
            (receipts,) = await provider.all_of([ask_whole_receipts(block)])
            if receipts is None:
                raise UnavailableError(f"{provider.name}: no receipts of block {block}")
            return Receipts(sorted(receipts, key=lambda r: int(r.transaction_index, 16)), provider.name)

        about = About(Keeps.BLOCKS, block) if isinstance(block, int) else None
        return await self._failover.ask(work, Whom(without=without, about=about))

    async def calls(self, calls: Sequence[ContractCall], at: Header) -> list[CallAnswer]:
        """As ChainReader says; a call that fails alone never spoils the others."""
        (answers,) = await self.calls_at([(calls, at)])
        return answers

    async def calls_at(self, wanted: Sequence[tuple[Sequence[ContractCall], Header]]) -> list[list[CallAnswer]]:
        """As ChainReader says: what Multicall3 can take goes out several blocks to a request."""
        return await self._calls.read(wanted)

    async def code(self, address: str, number: int) -> bytes:
        """As ChainReader says."""
        asks = [ask_code(address, number)]
        (answer,) = await self._failover.ask(
            lambda provider: provider.all_of(asks), Whom(about=About(Keeps.STATE, number))
        )
        return bytes.fromhex(answer[2:])

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Any other method, its result as JSON; for web3's contract work, see `bridge`."""
        asks = [Ask(method, tuple(params), ANYTHING)]
        (answer,) = await self._failover.ask(lambda provider: provider.all_of(asks))
        return answer

    async def confirms(self, header: Header) -> Word:
        """As ChainReader says; those who contradict the majority are set aside."""

        async def work(provider: Provider) -> str | None:
            (found,) = await provider.all_of([ask_header(header.number)])
            return None if found is None else found.to_header().hash

        said = await self._failover.everyone(work)
        others = [name for name, found in said.items() if found != header.hash]
        if len(said) - len(others) >= max(2, len(others) + 1):
            for name in others:
                self.distrust(name, f"{name}: block {header.number} is {said[name]} there, {header.hash} elsewhere")
            return Word.CONFIRMED
        return Word.CONTRADICTED if others else Word.ALONE
