"""Prices from feeds: rounds, old feeds, and answers that are none."""

import asyncio
from datetime import UTC, datetime

import pytest

from indexer.adapter import ContractCall
from indexer.prices import Quote, quotes_of, round_calls
from indexer.rpc.reader import CallAnswer, Header
from tests.indexer.chain_double import ChainDouble

FEED = "0x" + "fe" * 20
AT = Header(7, "0x" + "07" * 32, "0x" + "06" * 32, 1_621_400_000)
NOON = 1_621_399_000


def quote(latest: CallAnswer, decimals: CallAnswer, simple: CallAnswer | None = None) -> Quote:
    """The quote of a feed that answers so."""
    answers = {"latestRoundData()": latest, "decimals()": decimals, "latestAnswer()": simple}

    def answer(call: ContractCall, _at: Header) -> CallAnswer:
        found = answers[call.signature]
        assert found is not None, f"{call.signature} was asked for no reason"
        return found

    async def work() -> Quote:
        reader = ChainDouble([AT], answer)
        return (await quotes_of(reader, [FEED], await reader.calls(round_calls([FEED]), AT), AT))[FEED]

    return asyncio.run(work())


def round_of(price: int, updated: int = NOON) -> CallAnswer:
    return CallAnswer(values=(5, price, updated, updated, 5))


EIGHT = CallAnswer(values=(8,))
REVERTED = CallAnswer(error="reverted")


def test_a_round_gives_price_decimals_and_the_feeds_own_time() -> None:
    found = quote(round_of(3_500 * 10**8), EIGHT)
    assert found == Quote(3_500 * 10**8, 8, datetime.fromtimestamp(NOON, UTC), None)


def test_a_feed_without_rounds_is_asked_for_its_answer_and_has_no_time() -> None:
    assert quote(REVERTED, EIGHT, CallAnswer(values=(99_000_000,))) == Quote(99_000_000, 8, None, None)


@pytest.mark.parametrize(
    ("latest", "decimals", "simple", "words"),
    [
        (round_of(0), EIGHT, None, "not positive"),
        (round_of(-1), EIGHT, None, "not positive"),
        (round_of(5, updated=0), EIGHT, None, "the round is not complete"),
        (round_of(5, updated=2**60), EIGHT, None, "updatedAt"),
        (round_of(5), REVERTED, None, "decimals(): reverted"),
        (round_of(5), CallAnswer(values=(200,)), None, "200 decimals"),
        (REVERTED, EIGHT, REVERTED, "neither latestRoundData() nor latestAnswer()"),
        (REVERTED, EIGHT, CallAnswer(values=(0,)), "not positive"),
        (CallAnswer(error="missing", is_missing=True), EIGHT, None, "missing"),
    ],
)
def test_what_is_no_price_is_an_error_with_its_reason_and_never_zero(
    latest: CallAnswer, decimals: CallAnswer, simple: CallAnswer | None, words: str
) -> None:
    found = quote(latest, decimals, simple)
    assert found.answer_raw is None
    assert words in (found.error or "")
