"""All filters of a chain in as few eth_getLogs as is sound: a merged filter asks for at least what each one asks."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from indexer.adapter import Log, LogFilter
from indexer.scan.verify import is_of, matches

MOST_VALUES = 500
"""Addresses or topics in one position that providers commonly still take."""

LOUD_TOPICS = frozenset(
    {
        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",  # Transfer
        "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",  # Approval
        "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c",  # WETH Deposit
        "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65",  # WETH Withdrawal
        "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67",  # Uniswap v3 Swap
    }
)
"""Events so frequent that a filter holding one is never crossed with the addresses of another."""


@dataclass(frozen=True)
class _Key:
    """Filters with equal keys may be merged position by position."""

    constrained: tuple[bool, ...]
    has_addresses: bool
    loud: tuple[LogFilter, ...]


def merge_filters(filters: Iterable[LogFilter]) -> list[LogFilter]:
    """Few filters that together match everything the given ones match (and perhaps more), in a fixed order."""
    groups: dict[_Key, LogFilter] = {}
    for wanted in sorted(set(filters), key=encoded):
        trimmed = trim(wanted)
        key = _key(trimmed)
        groups[key] = _union(groups[key], trimmed) if key in groups else trimmed
    return [part for merged in groups.values() for part in _packed(merged)]


def trim(wanted: LogFilter) -> LogFilter:
    """The same filter without trailing positions that allow anything."""
    topics = list(wanted.topics)
    while topics and topics[-1] is None:
        topics.pop()
    return LogFilter(wanted.addresses, tuple(topics))


def _key(wanted: LogFilter) -> _Key:
    first = wanted.topics[0] if wanted.topics else None
    is_loud = len(wanted.topics) <= 1 and (first is None or not LOUD_TOPICS.isdisjoint(first))
    # A loud filter merges with those of the same topics only: more addresses, but no new pair of address and event.
    loud = (LogFilter(frozenset(), wanted.topics),) if is_loud else ()
    return _Key(tuple(allowed is not None for allowed in wanted.topics), bool(wanted.addresses), loud)


def _union(one: LogFilter, other: LogFilter) -> LogFilter:
    topics = tuple(None if a is None or b is None else a | b for a, b in zip(one.topics, other.topics, strict=True))
    return LogFilter(one.addresses | other.addresses, topics)


def _packed(wanted: LogFilter) -> list[LogFilter]:
    """The filter in parts whose addresses and topics stay within what providers take."""
    parts = [LogFilter(chunk, wanted.topics) for chunk in _chunks(wanted.addresses)] or [wanted]
    for at, allowed in enumerate(wanted.topics):
        if allowed is not None and len(allowed) > MOST_VALUES:
            parts = [
                LogFilter(part.addresses, (*part.topics[:at], chunk, *part.topics[at + 1 :]))
                for part in parts
                for chunk in _chunks(allowed)
            ]
    return parts


def _chunks(values: frozenset[str]) -> list[frozenset[str]]:
    in_order = sorted(values)
    return [frozenset(in_order[at : at + MOST_VALUES]) for at in range(0, len(in_order), MOST_VALUES)]


def encoded(wanted: LogFilter) -> bytes:
    """Addresses and topics sorted: equal filters are equal texts."""
    topics = [None if allowed is None else sorted(allowed) for allowed in trim(wanted).topics]
    return msgspec.json.encode([sorted(wanted.addresses), topics])


def digest_of(filters: Iterable[LogFilter]) -> str:
    """What coverage is recorded under: the same for the same set of filters, however written."""
    texts = sorted(encoded(wanted) for wanted in set(filters))
    return hashlib.sha256(b"\n".join(texts)).hexdigest()


def matching(filters: Sequence[LogFilter], logs: Sequence[Log]) -> list[Log]:
    """Exactly the logs that these filters ask for, in the order given."""
    (places,) = Sharing([filters]).places(logs)
    return [logs[place] for place in places]


class Sharing:
    """Shares the logs of a range out among sets of filters.

    Contract and event decide for nearly every log, so a set is asked once for each pair of them, not for each log.
    """

    def __init__(self, filters: Sequence[Sequence[LogFilter]]) -> None:
        self._filters = filters
        self._takers: dict[str, dict[tuple[str, ...], list[tuple[int, list[LogFilter]]]]] = {}

    def places(self, logs: Sequence[Log]) -> list[list[int]]:
        """For each set of filters the places of its logs among `logs`, ascending."""
        places: list[list[int]] = [[] for _ in self._filters]
        takes, known = [own.append for own in places], self._takers
        for place, log in enumerate(logs):
            event = log.topics[:1]
            try:
                takers = known[log.address][event]
            except KeyError:
                takers = self._learn(log.address, event)
            for at, open_filters in takers:
                if not open_filters or any(matches(part, log) for part in open_filters):
                    takes[at](place)
        return places

    def _learn(self, address: str, event: tuple[str, ...]) -> list[tuple[int, list[LogFilter]]]:
        """The sets that may want logs of this contract and event, with the filters that further topics decide."""
        takers = [
            (at, undecided(possible))
            for at, wanted in enumerate(self._filters)
            if (possible := [w for w in wanted if is_of(LogFilter(w.addresses, w.topics[:1]), address, event)])
        ]
        self._takers.setdefault(address, {})[event] = takers
        return takers


def undecided(possible: Sequence[LogFilter]) -> list[LogFilter]:
    """The filters that further topics decide; none where one of them wants no more than contract and event."""
    is_decided = any(set(part.topics[1:]) <= {None} for part in possible)
    return [] if is_decided else list(possible)
