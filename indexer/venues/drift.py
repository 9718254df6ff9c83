"""Drift's insurance fund from polls of its state: readings of each poll, and what must have happened between two.

A market's payout is the increase of quote_settled_insurance, its socialised loss that of total_social_loss_raw. The
vault's change between two polls that know it = − payouts + stakes − unstakes + rest, where a stake or unstake is
|Δ user shares| × vault ÷ total shares, both before, rounded down to 1e-6 USDC (1:1 while there are no shares), and
the rest is revenue; a negative rest is a withdrawal that nothing explains. No unstake is ever a payout.

VenueError   the venue does not answer, or says something that its format does not allow
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from indexer.adapter import FactDraft
from ledger.kinds import Contribution, ReadingName, Role, SourceKind

VERSION = 1
USDC_DECIMALS = 6
BASE_DECIMALS = 9
PRICE_DECIMALS = 6
MOST_DIGITS = 50
MONTH_SECONDS = 30 * 86_400
SHORTEST_HOLE_SECONDS = 1800
NO_HASH = "0x" + "0" * 64


class VenueError(Exception):
    """The venue's answer cannot be used; says which and why."""


class FundState(msgspec.Struct, frozen=True):
    """The insurance fund in one poll, in smallest units; `vault_raw` None: not polled."""

    total_shares_raw: int
    user_shares_raw: int
    vault_raw: int | None = None


class MarketState(msgspec.Struct, frozen=True):
    """One market in one poll: decimals as published text, whole numbers as such."""

    oracle_price: str
    base_long: str
    base_short: str
    total_fee: str
    total_liquidation_fee: str
    quote_max_insurance: str
    quote_settled_insurance: str
    total_social_loss_raw: int


class Poll(msgspec.Struct, frozen=True):
    """One poll; `time` in unix seconds. A fund that was not asked at that moment is None."""

    time: int
    fund: FundState | None
    markets: dict[str, MarketState]


class RawPoll(NamedTuple):
    """A poll before its fields are looked at: what its hash is made from."""

    time: int
    fields: Mapping[str, Any]  # Any: whatever the venue published.


class PollPage(msgspec.Struct, frozen=True):
    """An answer of GET /{slug}/polls."""

    slug: str
    kind: SourceKind
    chain_id: int
    head: int
    has_more: bool
    polls: list[dict[str, Any]]

    def raw_polls(self) -> list[RawPoll]:
        """The polls with their times; raises VenueError for one without."""
        times = [poll.get("time") for poll in self.polls]
        if not all(isinstance(time, int) and time >= 0 for time in times):
            raise VenueError("a poll has no time in unix seconds")
        return [RawPoll(int(poll["time"]), poll) for poll in self.polls]


@dataclass(frozen=True)
class PolledValue:
    """One reading of a poll; `error` says why there is no value."""

    name: ReadingName
    subject: str
    value_raw: int | None
    decimals: int
    field: str
    error: str | None = None

    @property
    def asset(self) -> str | None:
        """What it is an amount of: the market's coin, no asset for shares, else USDC, a market's cap and fees too."""
        match self.name:
            case ReadingName.OPEN_INTEREST_LONG | ReadingName.OPEN_INTEREST_SHORT:
                return self.subject
            case ReadingName.TOTAL_SHARES | ReadingName.USER_SHARES:
                return None
            case _:
                return "USDC"


@dataclass(frozen=True)
class MarketCounters:
    """A market's lifetime counters and the poll they are of."""

    time: int
    paid_raw: int
    socialised_raw: int


@dataclass(frozen=True)
class FundMark:
    """The fund at the last poll that knew its vault, and what markets paid since."""

    time: int
    vault_raw: int
    total_shares_raw: int
    user_shares_raw: int


@dataclass
class Between:
    """What is remembered from earlier polls to tell what happened since."""

    markets: dict[str, MarketCounters] = field(default_factory=dict)
    fund: FundMark | None = None
    paid_since_raw: int = 0
    """Payouts after `fund`'s poll: they left the vault between it and the next poll that knows the vault."""

    def take(self, poll: Poll) -> list[tuple[int, FactDraft]]:
        """(poll since, fact) of everything that must have happened before this poll; remembers the poll."""
        facts = [fact for market in sorted(poll.markets) for fact in self._market_facts(poll, market)]
        fund = poll.fund
        if fund is not None and fund.vault_raw is not None:
            mark = FundMark(poll.time, fund.vault_raw, fund.total_shares_raw, fund.user_shares_raw)
            if self.fund is not None:
                facts += [(self.fund.time, draft) for draft in split_change(self.fund, mark, self.paid_since_raw)]
            self.fund, self.paid_since_raw = mark, 0
        return facts

    def _market_facts(self, poll: Poll, market: str) -> Iterator[tuple[int, FactDraft]]:
        state, before = poll.markets[market], self.markets.get(market)
        paid = units(state.quote_settled_insurance, USDC_DECIMALS)
        now = MarketCounters(poll.time, paid, state.total_social_loss_raw)
        self.markets[market] = now
        if before is None:
            return
        payout, socialised = now.paid_raw - before.paid_raw, now.socialised_raw - before.socialised_raw
        if payout < 0 or socialised < 0:
            raise VenueError(f"poll {poll.time}: a lifetime counter of {market} falls; it cannot")
        amounts = ((Role.SHORTFALL, payout + socialised), (Role.PAYOUT, payout), (Role.SOCIALISED_LOSS, socialised))
        for role, amount in amounts:
            if amount:
                yield before.time, FactDraft(role, amount, "USDC", market=market)
        self.paid_since_raw += payout


def split_change(before: FundMark, now: FundMark, paid_raw: int) -> list[FactDraft]:
    """The vault's change beside payouts: stake or unstake, and the rest; with −`paid_raw` their sum is the change."""
    moved = now.user_shares_raw - before.user_shares_raw
    worth = abs(moved)
    if before.total_shares_raw:
        worth = abs(moved) * before.vault_raw // before.total_shares_raw
    staked = worth if moved > 0 else -worth
    rest = now.vault_raw - before.vault_raw + paid_raw - staked
    facts = []
    if staked > 0:
        facts.append(FactDraft(Role.CONTRIBUTION, staked, "USDC", Contribution.STAKE, detail={"shares": str(moved)}))
    elif staked < 0:
        facts.append(FactDraft(Role.WITHDRAWAL, -staked, "USDC", detail={"what": "unstake", "shares": str(-moved)}))
    if rest > 0:
        facts.append(FactDraft(Role.CONTRIBUTION, rest, "USDC", Contribution.REVENUE))
    elif rest < 0:
        facts.append(FactDraft(Role.WITHDRAWAL, -rest, "USDC", detail={"what": "unexplained"}))
    return facts


def units(text: str, decimals: int) -> int:
    """A published decimal as smallest units, exactly; raises VenueError when it is none or has more digits."""
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation as error:
        raise VenueError(f"{text!r} is no decimal number") from error
    if not isinstance(exponent, int) or exponent > MOST_DIGITS or len(digits) > MOST_DIGITS:
        raise VenueError(f"{text[:MOST_DIGITS]!r} is no amount")
    # Integers only: Decimal's own arithmetic rounds to 28 digits.
    shift, number = exponent + decimals, int("".join(map(str, digits)))
    scale: int = 10 ** abs(shift)
    whole, left = (number * scale, 0) if shift >= 0 else divmod(number, scale)
    if left:
        raise VenueError(f"{text} has more than {decimals} decimal places")
    return -whole if sign else whole


def values_of(poll: Poll) -> list[PolledValue]:
    """All readings of a poll, in the order of market and name; an amount that cannot be exact is an error."""
    return [
        *fund_values(poll.fund),
        *(v for market in sorted(poll.markets) for v in market_values(market, poll.markets[market])),
    ]


def fund_values(fund: FundState | None) -> list[PolledValue]:
    """The fund's readings; a vault that was not polled is unknown."""
    if fund is None:
        return []
    error = "the vault's amount was not polled" if fund.vault_raw is None else None
    return [
        PolledValue(ReadingName.BALANCE, "", fund.vault_raw, USDC_DECIMALS, "fund.vault_raw", error),
        PolledValue(ReadingName.TOTAL_SHARES, "", fund.total_shares_raw, USDC_DECIMALS, "fund.total_shares_raw"),
        PolledValue(ReadingName.USER_SHARES, "", fund.user_shares_raw, USDC_DECIMALS, "fund.user_shares_raw"),
    ]


def market_values(market: str, state: MarketState) -> list[PolledValue]:
    """One market's readings."""
    names = (
        (ReadingName.INDEX_PRICE, "oracle_price", PRICE_DECIMALS),
        (ReadingName.OPEN_INTEREST_LONG, "base_long", BASE_DECIMALS),
        (ReadingName.OPEN_INTEREST_SHORT, "base_short", BASE_DECIMALS),
        (ReadingName.INSURANCE_CAP, "quote_max_insurance", USDC_DECIMALS),
        (ReadingName.INSURANCE_USED, "quote_settled_insurance", USDC_DECIMALS),
        (ReadingName.LIQUIDATION_FEE_TOTAL, "total_liquidation_fee", USDC_DECIMALS),
        (ReadingName.TRADING_FEE_TOTAL, "total_fee", USDC_DECIMALS),
    )
    found = [polled(name, market, getattr(state, key), decimals=places, key=key) for name, key, places in names]
    social = ReadingName.SOCIALISED_LOSS_TOTAL
    return [*found, PolledValue(social, market, state.total_social_loss_raw, USDC_DECIMALS, "total_social_loss_raw")]


def polled(name: ReadingName, market: str, text: str, *, decimals: int, key: str) -> PolledValue:
    """One decimal field; the short side is published negative and kept as a magnitude."""
    try:
        value = units(text, decimals)
    except VenueError as error:
        return PolledValue(name, market, None, decimals, key, f"garbage: {error}")
    return PolledValue(name, market, abs(value) if name == ReadingName.OPEN_INTEREST_SHORT else value, decimals, key)


def read_poll(raw: RawPoll) -> Poll:
    """A poll with its fields; raises VenueError."""
    try:
        return msgspec.convert(raw.fields, Poll)
    except msgspec.ValidationError as error:
        raise VenueError(f"poll {raw.time} has not the shape of a Drift poll: {error}") from error


def hash_of(raw: RawPoll) -> str:
    """sha256 of the poll as canonical JSON: sorted keys, no spaces."""
    return "0x" + sha256(msgspec.json.encode(raw.fields, order="sorted")).hexdigest()


def poll_time(seconds: int) -> datetime:
    """The poll's time, aware UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def holes_before(times: Sequence[int], earlier: Sequence[int]) -> Mapping[int, bool]:
    """Poll → whether polling had a hole before it: a gap above max(3 median gaps, 30 min).

    The median is over this gap and those of the 30 days before it; `earlier`: polls stored before the first of `times`,
    of the 30 days up to the last of them.
    """
    known, holes, start = [*earlier], {}, 0
    gaps = sorted(later - sooner for sooner, later in pairwise(known))
    for time in times:
        before = known[-1] if known else time
        while start < len(known) - 1 and known[start] < before - MONTH_SECONDS:
            gaps.pop(bisect_left(gaps, known[start + 1] - known[start]))
            start += 1
        if known:
            insort(gaps, time - before)
        known.append(time)
        usual = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) / 2 if gaps else 0
        holes[time] = time - before > max(3 * usual, SHORTEST_HOLE_SECONDS)
    return holes


def seen_intervals(times: Sequence[int], earlier: Sequence[int]) -> list[tuple[int, int]]:
    """Times in which no poll was missed, broken at holes; the first may go on from the last of `earlier`."""
    holes, intervals = holes_before(times, earlier), list[tuple[int, int]]()
    before = earlier[-1] if earlier else None
    for time in times:
        if before is None or holes[time]:
            intervals.append((time, time))
        else:
            first = intervals.pop()[0] if intervals else before
            intervals.append((first, time))
        before = time
    return intervals
