"""USD prices from feed contracts: latestRoundData(), else latestAnswer(); a bad answer is an error, never a price."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from indexer.adapter import ContractCall
from indexer.rpc.reader import CallAnswer, ChainReader, Header

ROUND_TYPES = ("uint80", "int256", "uint256", "uint256", "uint80")
MOST_DECIMALS = 36
LATEST_TIME = 2**33  # A feed's time beyond the year 2242 is no time.


class Priced(NamedTuple):
    """An asset with a feed."""

    asset_id: int
    feed: str


class Quote(NamedTuple):
    """What a feed said: an answer with its decimals and, where given, its time; or the reason why there is none."""

    answer_raw: int | None
    decimals: int
    updated_at: datetime | None
    error: str | None


def round_calls(feeds: Sequence[str]) -> list[ContractCall]:
    """Two calls a feed: the latest round and its decimals."""
    return [
        call
        for feed in feeds
        for call in (
            ContractCall(feed, "latestRoundData()", (), ROUND_TYPES),
            ContractCall(feed, "decimals()", (), ("uint8",)),
        )
    ]


async def quotes_of(
    reader: ChainReader, feeds: Sequence[str], answers: Sequence[CallAnswer], at: Header
) -> dict[str, Quote]:
    """Feed → quote, from the answers to `round_calls`; feeds without rounds are asked for latestAnswer() at `at`."""
    rounds = {feed: (answers[2 * i], answers[2 * i + 1]) for i, feed in enumerate(feeds)}
    roundless = [feed for feed, (latest, _) in rounds.items() if latest.error and not latest.is_missing]
    calls = [ContractCall(feed, "latestAnswer()", (), ("int256",)) for feed in roundless]
    simple = await reader.calls(calls, at) if calls else []
    quotes = {feed: quote_of_round(*pair) for feed, pair in rounds.items() if feed not in roundless}
    for feed, answer in zip(roundless, simple, strict=True):
        quotes[feed] = quote_of(answer, rounds[feed][1], updated_at=None)
    return quotes


def quote_of_round(latest: CallAnswer, decimals: CallAnswer) -> Quote:
    """The quote of a feed that answers rounds."""
    if latest.values is None:
        return Quote(None, 0, None, f"latestRoundData(): {latest.error}")
    _, answer, _, updated, _ = latest.values
    if not 0 < updated < LATEST_TIME:
        return Quote(None, 0, None, f"latestRoundData(): garbage: updatedAt is {updated}, the round is not complete")
    return quote_of(CallAnswer(values=(answer,)), decimals, updated_at=datetime.fromtimestamp(updated, UTC))


def quote_of(answer: CallAnswer, decimals: CallAnswer, *, updated_at: datetime | None) -> Quote:
    """The quote of an answer; not positive or without decimals, it is an error."""
    if answer.values is None:
        return Quote(None, 0, None, f"neither latestRoundData() nor latestAnswer() answered: {answer.error}")
    if decimals.values is None:
        return Quote(None, 0, None, f"decimals(): {decimals.error}")
    (price,), (places,) = answer.values, decimals.values
    if places > MOST_DECIMALS:
        return Quote(None, 0, None, f"garbage: {places} decimals")
    if price <= 0:
        return Quote(None, places, updated_at, f"garbage: the answer {price} is not positive")
    return Quote(price, places, updated_at, None)


def price_row(chain_id: int, at: Header, priced: Priced, quote: Quote) -> tuple[Any, ...]:
    """Values in the order of ledger.readings.PRICE_COLUMNS."""
    return (
        chain_id,
        at.hash,
        priced.asset_id,
        at.number,
        at.time,
        quote.answer_raw,
        quote.decimals,
        quote.updated_at,
        priced.feed,
        quote.error,
    )
