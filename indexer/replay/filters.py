"""For which log filters a recording is complete, and whether a question lies inside of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from indexer.replay.words import Address, Hash

_MOST_PARTS = 200_000


class CompleteFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every log of the recorded blocks that matches is in the recording; None means any address or any topic."""

    addresses: tuple[Address, ...] | None = None
    topics: tuple[tuple[Hash, ...] | None, ...] = ()

    def canonical(self) -> CompleteFilter:
        """The same filter with sorted, distinct words and without topics that ask for nothing."""
        topics = [None if words is None else tuple(sorted(set(words))) for words in self.topics]
        while topics and topics[-1] is None:
            topics.pop()
        addresses = None if self.addresses is None else tuple(sorted(set(self.addresses)))
        return CompleteFilter(addresses, tuple(topics))

    def is_everything(self) -> bool:
        return self.addresses is None and all(words is None for words in self.topics)

    def contains(self, other: CompleteFilter) -> bool:
        """Whether each log that `other` can match is matched by this filter too."""
        if not _is_within(other.addresses, self.addresses):
            return False
        # A question that is silent about a position this filter restricts reaches outside of it.
        asked = other.topics + (None,) * (len(self.topics) - len(other.topics))
        return all(_is_within(theirs, ours) for theirs, ours in zip(asked, self.topics, strict=False))


def is_complete(claims: Sequence[CompleteFilter], asked: CompleteFilter) -> bool:
    """Whether the claims together cover the question: each single address and topic of it lies in one claim."""
    if any(claim.contains(asked) for claim in claims):
        return True
    parts = _split(asked)
    return parts is not None and all(any(claim.contains(part) for claim in claims) for part in parts)


def merge_filters(filters: Sequence[CompleteFilter]) -> tuple[CompleteFilter, ...]:
    """The same set of logs in as few filters as is simple: sorted, without those that lie inside another."""
    distinct = sorted({each.canonical() for each in filters}, key=msgspec.json.encode)
    return tuple(each for each in distinct if not any(other != each and other.contains(each) for other in distinct))


def _is_within(asked: tuple[str, ...] | None, complete: tuple[str, ...] | None) -> bool:
    if complete is None:
        return True
    return asked is not None and set(asked) <= set(complete)


def _split(asked: CompleteFilter) -> Iterator[CompleteFilter] | None:
    choices = [asked.addresses, *asked.topics]
    count = 1
    for words in choices:
        count *= 1 if words is None else len(words)
    if count > _MOST_PARTS:
        return None
    return (
        CompleteFilter(
            None if parts[0] is None else (parts[0],), tuple(None if word is None else (word,) for word in parts[1:])
        )
        for parts in product(*((None,) if words is None else words for words in choices))
    )
