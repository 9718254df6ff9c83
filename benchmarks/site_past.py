"""What happened to one fund of the benchmark's ledger: flows, losses and liquidations, and what was read of it."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from benchmarks.site_plan import FundPlan, Tale, address, digest, last_of_days, times_of
from ledger.kinds import Contribution, FundKind, ReadingName, Role, Shape, Side

MARKETS = 3
ACCOUNTS = 12
DAYS_WITH_ACCOUNTS = 4
"""Accounts are read on the last days only: what is asked here is how pages are made, not how accounts are walked."""
PER_BALANCE = {Tale.THIN: 60.0, Tale.LOSSES: 12.0, Tale.DEPLETED: 25.0}
"""Open interest or debt as a multiple of the first balance; others have CALM."""
CALM = 5.0
EPISODES = {Tale.STEADY: 3, Tale.LOSSES: 12, Tale.THIN: 6, Tale.DEPLETED: 4}
SILENT_DAYS, DRAINED_DAYS = 9, 5
SOURCES = (Contribution.LIQUIDATION_FEE, Contribution.TRADING_FEE, Contribution.TOP_UP)


class Token(NamedTuple):
    """The asset a fund is counted in, as its rows name it."""

    asset_id: int
    decimals: int
    usd: float


class Told(NamedTuple):
    """A fact before it is a row; the keywords are columns."""

    time: datetime
    role: Role
    amount_raw: int | None
    more: Mapping[str, Any]


class Read(NamedTuple):
    """A reading before it is a row."""

    time: datetime
    name: ReadingName
    subject: str
    value_raw: int | None
    decimals: int
    asset_id: int | None = None


@dataclass
class Past:
    """All that happened to a fund and was read of it, in order of time."""

    facts: list[Told] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)
    """When it was read completely."""


def tell_past(plan: FundPlan, token: Token, days: int) -> Past:
    """The same for the same plan, whatever others there are."""
    dice = random.Random(f"site {plan.place}")
    times = times_of(plan.chain, days)
    if plan.tale == Tale.SILENT:
        times = times[: -4 * min(SILENT_DAYS, days // 3)]
    past = Past(read_at=times)
    first = round(10 ** dice.uniform(5.3, 8.0) / token.usd * 10**token.decimals)
    _play(past, plan, _Start(token, first, times, dice))
    exposure = first * PER_BALANCE.get(plan.tale, CALM) * token.usd / 10**token.decimals
    _read_markets(past, plan, token, exposure=exposure, times=times)
    past.facts.sort(key=lambda fact: fact.time)
    return past


@dataclass(frozen=True)
class _Start:
    token: Token
    balance: int
    times: list[datetime]
    dice: random.Random


def _play(past: Past, plan: FundPlan, start: _Start) -> None:
    """Walks through the times: each balance is the one before and the flows of its block."""
    balance, dice = start.balance, start.dice
    losses = _losses(plan, start)
    for step, time in enumerate(start.times):
        flows = list(_flows(plan, start, step, time)) + list(_liquidations(plan, start, step, time))
        if time in losses and plan.kind != FundKind.RESERVE:
            flows += _lose(plan, start, time, loss=losses[time], balance=balance)
        for fact in flows:
            past.facts.append(fact)
            sign = {Role.CONTRIBUTION: 1, Role.PAYOUT: -1, Role.WITHDRAWAL: -1}.get(fact.role, 0)
            balance += sign * (fact.amount_raw or 0)
        if plan.has_balance:
            is_refused = plan.tale == Tale.REFUSED and (time == start.times[-1] or dice.random() < 0.002)
            raw = None if is_refused else balance
            past.reads.append(Read(time, ReadingName.BALANCE, "", raw, start.token.decimals, start.token.asset_id))


def _losses(plan: FundPlan, start: _Start) -> dict[datetime, int]:
    """Size of the loss at each time there is one; sizes differ by magnitudes."""
    middle = start.times[len(start.times) // 5 :]
    count = min(EPISODES.get(plan.tale, 2), len(middle))
    sizes = [round(start.balance * min(0.3, 0.01 * math.exp(start.dice.gauss(0, 1.2)))) for _ in range(count)]
    found = dict(zip(start.dice.sample(middle, count), sizes, strict=True))
    if plan.tale == Tale.DEPLETED:
        found[start.times[-4 * min(DRAINED_DAYS, len(start.times) // 12) - 1]] = 10 * start.balance
    return found


def _lose(plan: FundPlan, start: _Start, time: datetime, *, loss: int, balance: int) -> list[Told]:
    """A shortfall in three parts; the fund pays what it has, and users carry the rest."""
    facts = []
    for part in range(3):
        raw = loss // 3
        paid = min(raw, balance) if plan.has_balance else 0
        balance -= paid
        who = {
            "asset_id": start.token.asset_id,
            "account": address("trader", plan.place, time, part),
            "market": _market(plan, part),
        }
        facts.append(Told(time, Role.SHORTFALL, raw, who))
        facts += [Told(time, Role.PAYOUT, paid, who)] if paid else []
        facts += [Told(time, Role.SOCIALISED_LOSS, raw - paid, who)] if raw > paid else []
    return facts


def _flows(plan: FundPlan, start: _Start, step: int, time: datetime) -> Iterator[Told]:
    """One contribution a day until the fund was drained, and a withdrawal a quarter."""
    if not plan.has_balance:
        return
    is_drained = plan.tale == Tale.DEPLETED and time > start.times[-1] - timedelta(days=DRAINED_DAYS + 1)
    own = {"asset_id": start.token.asset_id}
    if step % 4 == 1 and not is_drained:
        raw = round(start.balance * 0.0008 * start.dice.uniform(0.3, 1.7))
        yield Told(time, Role.CONTRIBUTION, raw, own | {"source": SOURCES[step // 4 % 3]})
    if step % 360 == 300 and not is_drained:
        yield Told(time, Role.WITHDRAWAL, start.balance // 100, own | {"account": address("treasury", plan.place)})


def _liquidations(plan: FundPlan, start: _Start, step: int, time: datetime) -> Iterator[Told]:
    """Two a week, and once a year a new owner."""
    if step % 14 == 3 and plan.kind != FundKind.RESERVE:
        raw = round(start.balance * 0.01 * start.dice.random())
        yield Told(time, Role.LIQUIDATION, raw, {
            "asset_id": start.token.asset_id, "account": address("liquidated", plan.place, step),
            "market": _market(plan, step), "side": Side.DEBT,
        })  # fmt: skip
    if step % 1460 == 700:
        detail = {"event": "OwnershipTransferred", "new": address("owner", plan.place, step)}
        yield Told(time, Role.CONTROL, None, {"detail": detail})


def _market(plan: FundPlan, number: int) -> str:
    return address("market", plan.chain.chain_id, number % MARKETS)


def _read_markets(past: Past, plan: FundPlan, token: Token, *, exposure: float, times: list[datetime]) -> None:
    """Markets at the last block of each day, and for public positions the accounts of the last days."""
    days = list(last_of_days(times))
    if plan.shape == Shape.PERP_V2_CURIE:
        size = round(2 * exposure / ACCOUNTS / INDEX * 10**18)
        for number in range(ACCOUNTS):
            signed = size if number % 2 else -size
            more = {"side": Side.POSITION, "account": _account(plan, number), "market": _market(plan, number)}
            past.facts.append(Told(times[0], Role.EXPOSURE_CHANGE, signed, more))
        for time in days[-DAYS_WITH_ACCOUNTS:]:
            past.reads += _accounts(plan, time, size)
    for time in days:
        for number in range(MARKETS):
            past.reads += _market_reads(plan, token, (time, _market(plan, number)), exposure / MARKETS)


INDEX = 2_000.0
"""Price of every market's base asset; it stands still, so that what was lost is what is told."""


def _account(plan: FundPlan, number: int) -> str:
    return address("account", plan.place, number)


def _accounts(plan: FundPlan, time: datetime, size: int) -> Iterator[Read]:
    """Values with a tenth to a third of the position behind them."""
    for number in range(ACCOUNTS):
        name = _account(plan, number)
        value = round(size * INDEX / (3 + number * 7 / ACCOUNTS))
        yield Read(time, ReadingName.ACCOUNT_VALUE, name, value, 18)
        yield Read(time, ReadingName.MARGIN_REQUIREMENT, name, value // 5, 18)
        signed = size if number % 2 else -size
        yield Read(time, ReadingName.POSITION_SIZE, f"{name}/{_market(plan, number)}", signed, 18)


def _market_reads(plan: FundPlan, token: Token, asked: tuple[datetime, str], exposure: float) -> list[Read]:
    """What a fund of this shape is asked at a time of a market of that exposure in USD."""
    time, market = asked
    price = Read(time, ReadingName.INDEX_PRICE, market, round(INDEX * 10**18), 18)
    match plan.shape:
        case Shape.PERP_V2_CURIE:
            return [price, Read(time, ReadingName.IS_OPEN, market, 1, 0)]
        case Shape.DRIFT:
            size = round(exposure / INDEX * 10**9)
            sides = (ReadingName.OPEN_INTEREST_LONG, ReadingName.OPEN_INTEREST_SHORT)
            return [price, *(Read(time, side, market, size, 9) for side in sides)]
        case Shape.MORPHO_BLUE:
            raw = round(exposure / token.usd * 10**token.decimals)
            return [Read(time, ReadingName.TOTAL_BORROW, market, raw, token.decimals, token.asset_id)]
        case _:
            return []


def tx_hash(plan: FundPlan, time: datetime) -> str | None:
    """The transaction of that block; polls have none."""
    return None if plan.chain.is_venue else digest("tx", plan.slug, time)
