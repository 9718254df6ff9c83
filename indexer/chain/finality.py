"""Up to which block a chain can no longer change: its own finalized tag, else by age in seconds."""

from dataclasses import dataclass

from indexer.rpc.errors import RequestError, UnavailableError
from indexer.rpc.reader import ChainReader, ChainTerms, Header


@dataclass(frozen=True)
class Heads:
    """Where a chain stands: its newest block, and the newest that is final."""

    latest: Header
    finalized: Header


async def read_heads(reader: ChainReader, terms: ChainTerms, *, not_below: int) -> Heads:
    """Head and finalized block. `not_below`: what was final stays final, whatever a lagging provider says of it.

    Raises UnavailableError while the chain's head is below what was final already: that provider lags behind us.
    """
    latest = await reader.header("latest")
    if latest is None:
        raise UnavailableError(f"{terms.slug}: no provider names a latest block")
    finalized = await _tagged(reader) or await _by_age(reader, latest, terms.finality_seconds)
    # Both come from different requests, perhaps from different providers: the lower head bounds the other.
    number = max(not_below, min(finalized.number, latest.number))
    if latest.number < not_below:
        raise UnavailableError(f"{terms.slug}: the head is {latest.number}, but block {not_below} was final already")
    if number != finalized.number:
        (finalized,) = await reader.headers([number])
    return Heads(latest, finalized)


async def _tagged(reader: ChainReader) -> Header | None:
    try:
        return await reader.header("finalized")
    except RequestError:
        return None  # Not every chain has the tag.


async def _by_age(reader: ChainReader, latest: Header, seconds: int) -> Header:
    """The newest block at least `seconds` older than the head, by bisection of block times; the first block if none is.

    Steps back twice as far each time, so that a chain of millions of blocks costs some twenty headers.
    """
    limit = latest.timestamp - seconds
    high, low = latest, latest
    step = 1
    while low.timestamp > limit and low.number > 0:
        high, step = low, step * 2
        (low,) = await reader.headers([max(0, latest.number - step)])
    while low.timestamp <= limit and high.number - low.number > 1:
        (middle,) = await reader.headers([(low.number + high.number) // 2])
        low, high = (middle, high) if middle.timestamp <= limit else (low, middle)
    return low
