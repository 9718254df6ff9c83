"""Draws one event of the benchmark's chain: what the log says in words, and what the ledger must make of it.

The expected facts are written from the numbers that were drawn. No decoder has a part in them.
"""

import json
import random
from dataclasses import dataclass
from typing import Any

from benchmarks.workload import (
    ACCOUNTS,
    CLEARING_HOUSE,
    COLLATERALS,
    FIRST_ACCOUNT,
    FOREIGN,
    INSURANCE_FUND,
    LENDING,
    LIQUIDATION_CALL,
    MARKETS,
    PERP,
    POOL,
    POSITION_LIQUIDATED,
    REPAID,
    RESERVE,
    SETTLEMENT,
    SHARES,
    TRANSFER,
    ZERO,
    address_of,
)
from ledger.kinds import Contribution, Role, Side

NOTHING = "-"
"""Stands for NULL in the text of a row."""


@dataclass(frozen=True)
class Drawn:
    """A log without its place, the segment that watches it (None: nobody), and the texts of its facts."""

    address: str
    topics: tuple[str, ...]
    data: str
    segment: int | None
    facts: tuple[str, ...]


def fact_text(role: str, amount: int, asset: str, **words: Any) -> str:
    """The part of a fact's row that the event decides, as one text."""
    detail = words.get("detail")
    said = (
        role,
        words.get("source") or NOTHING,
        words.get("side") or NOTHING,
        str(amount),
        asset,
        words.get("account") or NOTHING,
        words.get("market") or NOTHING,
        NOTHING if detail is None else json.dumps(detail, sort_keys=True),
    )
    return " ".join(said)


def draw_event(rng: random.Random, *, is_foreign: bool = False) -> Drawn:
    """One event: 60 % Transfer, 15 % LiquidationCall, 15 % PositionLiquidated, 10 % Repaid."""
    chance = rng.random()
    if chance < 0.60:
        drawn = draw_transfer(rng)
    elif chance < 0.75:
        drawn = draw_liquidation_call(rng)
    elif chance < 0.90:
        drawn = draw_position_liquidated(rng)
    else:
        drawn = draw_repaid(rng)
    return Drawn(FOREIGN, drawn.topics, drawn.data, None, ()) if is_foreign else drawn


def draw_account(rng: random.Random) -> str:
    """One of the traders and borrowers."""
    return address_of(FIRST_ACCOUNT + rng.randrange(ACCOUNTS))


def draw_amount(rng: random.Random) -> int:
    """A token amount: 3 to 27 digits, each length as likely."""
    return rng.randrange(1, 10 ** rng.randrange(3, 28))


def topic(address: str) -> str:
    """An address as an indexed parameter."""
    return "0x" + "0" * 24 + address[2:]


def words(*values: int | str) -> str:
    """Numbers and addresses as the words of a log's data."""
    return "0x" + "".join(f"{v:064x}" if isinstance(v, int) else v[2:].rjust(64, "0") for v in values)


def draw_transfer(rng: random.Random) -> Drawn:
    """55 % minted, 30 % burnt, 15 % from holder to holder."""
    token, amount, holder, chance = rng.choice(SHARES), draw_amount(rng), draw_account(rng), rng.random()
    if chance < 0.55:
        sender, receiver = ZERO, holder
        fact = fact_text(Role.CONTRIBUTION, amount, token, source=Contribution.STAKE, account=holder)
    elif chance < 0.85:
        sender, receiver = holder, ZERO
        fact = fact_text(Role.WITHDRAWAL, amount, token, account=holder)
    else:
        sender, receiver = draw_account(rng), holder
        fact = fact_text(Role.ACCOUNTING, amount, token, account=receiver, market=sender)
    return Drawn(token, (TRANSFER.topic0, topic(sender), topic(receiver)), words(amount), RESERVE, (fact,))


def draw_liquidation_call(rng: random.Random) -> Drawn:
    """A borrower's debt repaid by a liquidator who takes collateral."""
    collateral, debt = rng.sample(COLLATERALS, 2)
    user, liquidator, as_receipt = draw_account(rng), draw_account(rng), rng.random() < 0.1
    repaid, seized = draw_amount(rng), draw_amount(rng)
    detail = {"liquidator": liquidator, "receive_atoken": as_receipt, "collateral": collateral}
    facts = (
        fact_text(Role.LIQUIDATION, repaid, debt, side=Side.DEBT, account=user, market=debt, detail=detail),
        fact_text(Role.LIQUIDATION, seized, collateral, side=Side.COLLATERAL, account=user, market=collateral),
    )
    topics = (LIQUIDATION_CALL.topic0, topic(collateral), topic(debt), topic(user))
    return Drawn(POOL, topics, words(repaid, seized, liquidator, int(as_receipt)), LENDING, facts)


def draw_position_liquidated(rng: random.Random) -> Drawn:
    """A trader's position closed by a liquidator for a fee."""
    trader, liquidator, market = draw_account(rng), draw_account(rng), rng.choice(MARKETS)
    notional, size, fee = draw_amount(rng), draw_amount(rng), draw_amount(rng)
    detail = {"size_raw": str(size), "penalty_raw": str(fee), "liquidator": liquidator}
    fact = fact_text(
        Role.LIQUIDATION, notional, SETTLEMENT, side=Side.POSITION, account=trader, market=market, detail=detail
    )
    topics = (POSITION_LIQUIDATED.topic0, topic(trader), topic(market))
    return Drawn(CLEARING_HOUSE, topics, words(notional, size, fee, liquidator), PERP, (fact,))


def draw_repaid(rng: random.Random) -> Drawn:
    """The insurance fund covers its debt."""
    amount, left = draw_amount(rng), draw_amount(rng)
    fact = fact_text(Role.SHORTFALL_COVERED, amount, SETTLEMENT, detail={"wallet_after": str(left)})
    return Drawn(INSURANCE_FUND, (REPAID.topic0,), words(amount, left), PERP, (fact,))
