"""Up to which block a chain can no longer change: its own finalized tag, else by age in seconds."""

from dataclasses import dataclass

from indexer.rpc.errors import UnavailableError
from indexer.rpc.reader import ChainReader, ChainTerms, Header


@dataclass(frozen=True)
class Heads:
    """Where a chain stands: its newest block, and the newest that is final."""

    latest: Header
    finalized: Header

    @property
    def hashes(self) -> tuple[str, str]:
        """What tells this state of the chain from any other: never the heights alone."""
        return self.latest.hash, self.finalized.hash


class Finality:
    """Reads head and finalized block of one chain. What was final stays final, whatever a provider says later."""

    def __init__(self, reader: ChainReader, terms: ChainTerms) -> None:
        self._reader = reader
        self._terms = terms
        self._has_tag = False
        self._aged: Heads | None = None

    async def read(self, held: Header | None, *, not_below: int) -> Heads:
        """Both as they are now. `held`: the final block we follow, `not_below` its height (known after a restart too).

        Raises UnavailableError while the head is below what was final already: that provider lags behind us.
        """
        latest, tagged = await self._reader.heads()
        slug = self._terms.slug
        if latest.number < not_below:
            raise UnavailableError(f"{slug}: the head is {latest.number}, but block {not_below} was final already")
        if tagged is not None and tagged.number > latest.number:
            tagged = held  # It contradicts itself: nothing becomes final by that.
            if tagged is None:
                raise UnavailableError(f"{slug}: a provider names a finalized block above its own head {latest.number}")
        self._has_tag = self._has_tag or tagged is not None
        # A chain that has the tag is never judged by age, even while a provider leaves the tag out.
        final = tagged or (held if self._has_tag else None) or await self._by_age(latest, held)
        return Heads(latest, final if final.number >= not_below else await self._known(held, not_below))

    async def _known(self, held: Header | None, number: int) -> Header:
        if held is not None and held.number == number:
            return held
        (header,) = await self._reader.headers([number])
        return header

    async def _by_age(self, latest: Header, held: Header | None) -> Header:
        """The newest block at least `finality_seconds` older than the head; one look for each head."""
        if self._aged is None or self._aged.latest.hash != latest.hash:
            limit = latest.timestamp - self._terms.finality_seconds
            low = await self._older(latest, limit) if held is None else held
            self._aged = Heads(latest, await self._newest_until(limit, low, latest))
        return self._aged.finalized

    async def _older(self, latest: Header, limit: int) -> Header:
        """Some block not younger than the limit: steps back twice as far each time; the first block if none is."""
        low, step = latest, 1
        while low.timestamp > limit and low.number > 0:
            (low,) = await self._reader.headers([max(0, latest.number - step)])
            step *= 2
        return low

    async def _newest_until(self, limit: int, low: Header, latest: Header) -> Header:
        """The newest block not younger than the limit, from `low` on: steps as long as the way so far, then bisection.

        So a chain of millions of blocks costs some twenty headers, and one that is followed one or two.
        """
        if latest.timestamp <= limit:
            return latest
        start, high, step = low.number, latest, 1
        while low.timestamp <= limit and low.number + step < high.number:
            (probe,) = await self._reader.headers([low.number + step])
            if probe.timestamp > limit:
                high = probe
                break
            low, step = probe, probe.number - start
        while low.timestamp <= limit and high.number - low.number > 1:
            (middle,) = await self._reader.headers([(low.number + high.number) // 2])
            low, high = (middle, high) if middle.timestamp <= limit else (low, middle)
        return low
