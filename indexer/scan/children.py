"""Contracts that factories create while their chain is scanned: each is asked for from its creation on, none too late.

A child's logs count from the block of its first creation log on, so which rows a chain gives is a matter of the chain
and not of how its scan was cut. Creation logs come in the same request as everything else; a range is complete once
the children that were unknown when it was asked for have been asked for too.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from indexer.adapter import AdapterError, Discovering, Log, LogFilter
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.filters import LOUD_TOPICS, MOST_VALUES, merge_filters
from indexer.scan.verify import matches, ordered_logs
from ledger.coverage import Verified

log = logging.getLogger(__name__)

FetcherOf = Callable[[Sequence[LogFilter]], LogFetcher]

MOST_CHILDREN = 4 * MOST_VALUES
"""Above it the children's events are asked of everybody and the emitters are told apart here: fewer requests."""
ANY_CHILD = "0x"
"""Stands for the growing list of children in a digest."""


class Family:
    """The children of one segment's factories, as far as they are known.

    Raises AdapterError for an adapter that would believe a factory nobody named.
    """

    def __init__(self, adapter: Discovering) -> None:
        self.creations = tuple(adapter.creations())
        self._child_of = adapter.child_of
        self._wanted = LogFilter(frozenset(), tuple(adapter.child_topics()))
        if not all(creation.addresses for creation in self.creations):
            raise AdapterError("creation logs are asked of any contract: name the factories in the fund file")
        if not self._wanted.topics or self._wanted.topics[0] is None:
            raise AdapterError("the children's events are not named: say their topics")
        self._is_loud = not LOUD_TOPICS.isdisjoint(self._wanted.topics[0])
        self._final: dict[str, int] = {}
        self._recent: dict[str, int] = {}
        self.recalled_to = -1
        """Up to this final block the ledger's creation logs are known."""
        self.strangers = 0
        """Logs of the children's events by contracts that no factory created, so far."""

    @property
    def factories(self) -> frozenset[str]:
        """Who may announce a child."""
        return frozenset().union(*(creation.addresses for creation in self.creations))

    def rule(self) -> LogFilter:
        """What is asked of children, whoever they are: part of the segment's digest instead of the growing list."""
        return LogFilter(frozenset({ANY_CHILD}), self._wanted.topics)

    def known(self) -> dict[str, int]:
        """Child → block of its first creation log."""
        return {**self._recent, **self._final}

    def learn(self, logs: Iterable[Log], *, final: bool = True) -> None:
        """Takes in the children that these logs announce; what cannot be read is left to `wanted` to refuse."""
        book = self._final if final else self._recent
        for announced in logs:
            try:
                child = self._announced(announced)
            except (ValueError, IndexError):
                continue
            if child is not None:
                number = int(announced.block_number, 16)
                book[child] = min(number, book.get(child, number))

    def recall(self, logs: Iterable[Log], finalized: int) -> None:
        """Takes in the ledger's creation logs above `recalled_to`; those above finality replace what was there."""
        self._recent = {}
        for announced in logs:
            self.learn([announced], final=int(announced.block_number, 16) <= finalized)
        self.recalled_to = max(self.recalled_to, finalized)

    def _announced(self, candidate: Log) -> str | None:
        is_creation = any(matches(creation, candidate) for creation in self.creations)
        child = self._child_of(candidate) if is_creation else None
        return child and child.lower()

    def filters(self, children: Iterable[str]) -> list[LogFilter]:
        """What to ask for these children."""
        named = frozenset(children)
        if not named:
            return []
        return [self._wanted if self.asks_anyone(len(named)) else LogFilter(named, self._wanted.topics)]

    def asks_anyone(self, children: int) -> bool:
        """Whether so many children are asked for by their events alone: never where the whole chain emits those."""
        return children > MOST_CHILDREN and not self._is_loud

    def wanted(self, filters: Sequence[LogFilter], logs: Iterable[Log]) -> list[Log]:
        """The segment's logs in the order given: what its own filters match, and what children emitted since creation.

        Raises AdapterError for a creation log that cannot be read: its child would be missed in silence.
        """
        born = self.known()
        found = []
        for candidate in logs:
            try:
                self._announced(candidate)
            except (ValueError, IndexError) as error:
                raise AdapterError(
                    f"log {int(candidate.log_index, 16)} of block {int(candidate.block_number, 16)} from "
                    f"{candidate.address} announces a contract that cannot be read ({error})"
                ) from error
            if any(matches(wanted, candidate) for wanted in filters):
                found.append(candidate)
            elif matches(self._wanted, candidate):
                since = born.get(candidate.address)
                if since is not None and since <= int(candidate.block_number, 16):
                    found.append(candidate)
                else:
                    self._ignore(candidate)
        return found

    def _ignore(self, stranger: Log) -> None:
        if not self.strangers:
            log.info("%s is no child of %s: its events are ignored", stranger.address, ", ".join(self.factories))
        self.strangers += 1


class Scanned(Protocol):
    """What a segment is scanned for."""

    @property
    def filters(self) -> Sequence[LogFilter]: ...
    @property
    def family(self) -> Family | None: ...


@dataclass(frozen=True)
class Sighting:
    """A fetched range and, family by family, the children it was asked for (None: whoever emits)."""

    fetched: Fetched
    asked: Sequence[frozenset[str] | None]


class FamilyFetcher:
    """Fetches for segments and their families. `fetcher_of`: a LogFetcher for a list of merged filters.

    `late_fetcher_of`: one for children that were not asked for; a few contracts say nothing of how dense logs are.
    """

    def __init__(
        self, segments: Iterable[Scanned], fetcher_of: FetcherOf, *, late_fetcher_of: FetcherOf | None = None
    ) -> None:
        scanned = list(segments)
        self._filters = [part for segment in scanned for part in segment.filters]
        self._families = [segment.family for segment in scanned if segment.family is not None]
        self._fetcher_of = fetcher_of
        self._late_fetcher_of = late_fetcher_of or fetcher_of
        self._fixed = fetcher_of(merge_filters(self._filters))

    async def fetch_final(self, first: int, last: int) -> Sighting:
        """Final blocks first…last for everything known by now; `complete` it, in the order of the blocks."""
        fetcher, asked = self._fetcher()
        return Sighting(await fetcher.fetch_final(first, last), asked)

    async def complete(self, sighting: Sighting) -> Fetched:
        """The range with the logs of children that it was not asked for: those that it, or a range before it, found."""
        fetched = sighting.fetched
        for family in self._families:
            family.learn(fetched.logs)
        return await self._with_late(
            sighting, lambda fetcher, since: fetcher.fetch_final(max(since, fetched.first), fetched.last)
        )

    async def fetch_live(self, headers: Sequence[Header]) -> Fetched:
        """Consecutive blocks by hash, complete."""
        fetcher, asked = self._fetcher()
        sighting = Sighting(await fetcher.fetch_live(headers), asked)
        for family in self._families:
            family.learn(sighting.fetched.logs, final=False)
        return await self._with_late(
            sighting, lambda fetcher, since: fetcher.fetch_live([h for h in headers if h.number >= since])
        )

    def _fetcher(self) -> tuple[LogFetcher, list[frozenset[str] | None]]:
        """Who fetches, and which children that covers."""
        children = [frozenset(family.known()) for family in self._families]
        if not any(children):
            return self._fixed, list(children)
        pairs = list(zip(self._families, children, strict=True))
        filters = [*self._filters, *(wanted for family, named in pairs for wanted in family.filters(named))]
        asked = [None if family.asks_anyone(len(named)) else named for family, named in pairs]
        return self._fetcher_of(merge_filters(filters)), asked

    async def _with_late(self, sighting: Sighting, fetch: Callable[[LogFetcher, int], Awaitable[Fetched]]) -> Fetched:
        fetched, filters, births = sighting.fetched, list[LogFilter](), list[int]()
        for family, asked in zip(self._families, sighting.asked, strict=True):
            late = _late(family.known(), asked, fetched.last)
            filters += family.filters(late)
            births += late.values()
        if not filters:
            return fetched
        return joined_logs(fetched, await fetch(self._late_fetcher_of(merge_filters(filters)), min(births)))


def _late(known: Mapping[str, int], asked: frozenset[str] | None, last: int) -> dict[str, int]:
    """Children created by block `last` that were not asked for."""
    if asked is None:
        return {}
    return {child: since for child, since in known.items() if since <= last and child not in asked}


def joined_logs(fetched: Fetched, more: Fetched) -> Fetched:
    """Two views of the same blocks as one, as verified as the less verified; raises UntruthError when they differ."""
    for number in fetched.headers.keys() & more.headers.keys():
        if fetched.headers[number].hash != more.headers[number].hash:
            raise UntruthError(f"block {number} is {fetched.headers[number].hash} and {more.headers[number].hash}")
    once = [Verified(level, fetched.first, more.first - 1) for level in sorted({r.level for r in fetched.passed})]
    logs = ordered_logs([fetched.logs, more.logs], fetched.first, fetched.last, "logs of children")
    headers = {**fetched.headers, **more.headers}
    return replace(
        fetched,
        logs=logs,
        headers={number: headers[number] for number in sorted(headers)},
        level=min(fetched.level, more.level),
        passed=tuple(both_passed(fetched.passed, [*more.passed, *once])),
    )


def both_passed(ones: Iterable[Verified], others: Sequence[Verified]) -> Iterator[Verified]:
    """Blocks that passed a rung in both views."""
    for one in ones:
        for other in others:
            first, last = max(one.first, other.first), min(one.last, other.last)
            if one.level == other.level and first <= last:
                yield Verified(one.level, first, last)
