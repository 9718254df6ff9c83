"""A ledger as large as the site must bear: sixty funds with three years of balances, events and daily numbers.

Drawn from one seed and written through the ledger's own bulk writes, so that it is the same everywhere.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from benchmarks.site_days import write_days
from benchmarks.site_past import Past, Token, tell_past, tx_hash
from benchmarks.site_plan import (
    BLOCK_SECONDS,
    CHAINS,
    HOSTILE,
    NOW,
    ChainPlan,
    FundPlan,
    Tale,
    address,
    digest,
    last_of_days,
    plan_funds,
    times_of,
)
from ledger.blocks import insert_blocks, start_cursor
from ledger.bulk import insert_rows
from ledger.coverage import BLOOM, COMPARED, Verified, extend_coverage
from ledger.database import open_engine, writing
from ledger.facts import insert_polled_facts
from ledger.funds import find_segment_ids, save_assets, save_chains, save_funds, save_segments
from ledger.kinds import BlockStatus, FundKind, SegmentStatus, SnapshotKind
from ledger.readings import SNAPSHOT_COLUMNS, insert_prices, insert_readings
from ledger.tables import Asset, Chain, Coverage, Fund, Platform, Segment, Snapshot
from ledger.upgrades import upgrade

DAYS_A_YEAR = 365
GAP_DAYS = 21
RECENT = 124
"""Times of a month."""
FACTS_A_FUND = 100_000
"""Log indexes of one fund begin where those of the one before cannot reach: several funds share a block."""
FACT_NAMES = ("source", "side", "asset_id", "account", "market", "detail")
SYMBOLS = (("USDC", 6, 1.0), ("WETH", 18, 2_000.0), (HOSTILE, 8, 31_000.0), ("OWN", 18, 0.4))
"""Symbol, decimals, price in USD; the last has no price on the last day."""
WATERFALL = [
    {"layer": "Trader's margin", "owner": "the trader", "trigger": "first", "note": ""},
    {"layer": "Insurance fund", "owner": "the protocol", "trigger": "equity below zero", "note": "first loss"},
    {"layer": "Winners and lenders", "owner": "other users", "trigger": "the fund is empty", "note": "pro rata"},
]


def build_ledger(path: Path, funds: int = 60, years: float = 3) -> Engine:
    """Makes the file with all its rows and returns an engine on it; the file must not be there yet."""
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    plans, days = plan_funds(funds), round(years * DAYS_A_YEAR)
    chains = [chain for chain in CHAINS if any(plan.chain == chain for plan in plans)]
    with writing(engine) as session:
        tokens = _register(session, chains, plans)
    for chain in chains:
        with writing(engine) as session:
            _write_chain(session, chain, days, tokens)
    for plan in plans:
        with writing(engine) as session:
            _write_fund(session, plan, tokens[plan.chain.chain_id][token_of(plan)], days)
    write_days(engine)
    return engine


def token_of(plan: FundPlan) -> int:
    """Which of SYMBOLS a fund is counted in: mostly a stable one."""
    return {4: 1, 9: 2, 14: 3}.get(plan.place % 15, 0)


def _register(session: Session, chains: list[ChainPlan], plans: list[FundPlan]) -> dict[int, list[Token]]:
    """Chains, platforms, funds, assets and segments; returns the assets by chain, in the order of SYMBOLS."""
    save_chains(session, [_chain(chain) for chain in chains])
    session.flush()
    platforms = {plan.platform_slug: plan.platform for plan in plans}
    save_funds(session, [Platform(slug=slug, name=name) for slug, name in platforms.items()], [*map(_fund, plans)])
    assets = {chain.chain_id: [_asset(chain, place) for place in range(len(SYMBOLS))] for chain in chains}
    save_assets(session, [asset for row in assets.values() for asset in row])
    tokens = {
        chain_id: [Token(asset.id or 0, asset.decimals, usd) for asset, (_, _, usd) in zip(row, SYMBOLS, strict=True)]
        for chain_id, row in assets.items()
    }
    save_segments(session, [_segment(plan, tokens[plan.chain.chain_id][token_of(plan)]) for plan in plans])
    return tokens


def _chain(chain: ChainPlan) -> Chain:
    number = chain.number(chain.end)
    return Chain(
        chain_id=chain.chain_id, slug=chain.slug, name=chain.name, kind=chain.kind, is_venue=chain.is_venue,
        provenance="" if chain.kind == "live" else "Drawn from one seed for the benchmark of the site.",
        explorer=f"https://{chain.slug}.example" if chain.kind == "live" else "", status=chain.status,
        status_reason=chain.reason, head_number=number, head_time=chain.end, finalized_number=number - 2,
        checked_at=NOW,
    )  # fmt: skip


def _fund(plan: FundPlan) -> Fund:
    return Fund(
        slug=plan.slug, platform_slug=plan.platform_slug, name=f"{plan.platform} {plan.title}", kind=plan.kind,
        shape=plan.shape, chain_id=plan.chain.chain_id, file_digest=digest("file", plan.place),
        summary="Pays the losses that liquidated traders leave behind.",
        methodology="The balance is the contract's own capacity, read at one block hash every six hours.",
        control="A multisig of 3 of 5 may move the money at once; there is no timelock.",
        contracts={name: address(name, plan.place) for name in ("insurance_fund", "vault")},
        waterfall=[] if plan.kind == FundKind.RESERVE else WATERFALL[:: 1 if plan.has_balance else 2],
        sources=[{"title": "Contract source", "url": "https://example.org/source"}],
        caveats=["A liquidation that would cost more than the fund holds reverts and leaves no event."],
    )  # fmt: skip


def _asset(chain: ChainPlan, place: int) -> Asset:
    symbol, decimals, _ = SYMBOLS[place]
    is_stable = place == 0
    return Asset(
        chain_id=chain.chain_id, address=address(chain.chain_id, symbol), symbol=symbol, decimals=decimals,
        feed=address("feed", chain.chain_id, symbol), beta=0.0 if is_stable else 1.0,
        floor_haircut=0.005 if is_stable else 0.1,
    )  # fmt: skip


def _segment(plan: FundPlan, token: Token) -> Segment:
    return Segment(
        fund_slug=plan.slug, slug=plan.slug, name="Whole fund", chain_id=plan.chain.chain_id,
        asset_id=token.asset_id if plan.has_balance else None, status=SegmentStatus.OK,
    )  # fmt: skip


def _write_chain(session: Session, chain: ChainPlan, days: int, tokens: dict[int, list[Token]]) -> None:
    """Every block that is read, with the prices at it."""
    times = times_of(chain, days)
    hashes = [chain.hash(time) for time in times]
    parents = [digest("before", hashes[0]), *hashes[:-1]]
    final = BlockStatus.FINALIZED
    blocks = zip(times, hashes, parents, strict=True)
    insert_blocks(session, [(chain.chain_id, own, chain.number(at), before, at, final) for at, own, before in blocks])
    start_cursor(session, chain.chain_id, chain.number(times[-1]), hashes[-1])
    insert_prices(session, _prices(chain, times, tokens[chain.chain_id]))


def _prices(chain: ChainPlan, times: list[datetime], tokens: list[Token]) -> Iterator[tuple[Any, ...]]:
    """One a day, and each of the last month; they move by a hundredth; the last asset's was refused on the last day."""
    dice = random.Random(f"prices {chain.chain_id}")
    read = sorted({*last_of_days(times), *times[-RECENT:]})
    for place, token in enumerate(tokens):
        for time in read:
            is_refused = place == len(tokens) - 1 and time > chain.end - timedelta(days=1)
            raw = None if is_refused else round(token.usd * dice.uniform(0.99, 1.01 if place else 1.0) * 10**8)
            yield (
                chain.chain_id, chain.hash(time), token.asset_id, chain.number(time), time, raw, 8,
                time - timedelta(minutes=4), address("feed", token.asset_id), "reverted" if is_refused else None,
            )  # fmt: skip


def _write_fund(session: Session, plan: FundPlan, token: Token, days: int) -> None:
    """What was read and what happened, and how far it was scanned."""
    past = tell_past(plan, token, days)
    segment_id = find_segment_ids(session, plan.chain.chain_id)[plan.slug]
    insert_rows(
        session, Snapshot, (*SNAPSHOT_COLUMNS, "residual_raw", "is_reconciled"), _snapshots(plan, segment_id, past)
    )
    insert_readings(session, _readings(plan, segment_id, past))
    insert_polled_facts(session, plan.chain.chain_id, list(_facts(plan, segment_id, past)))
    first, last = (plan.chain.number(time) for time in (times_of(plan.chain, days)[0], past.read_at[-1]))
    hole = 0
    if plan.tale == Tale.GAPS:
        hole = min(GAP_DAYS, days // 4) * 86_400 // (1 if plan.chain.is_venue else BLOCK_SECONDS)
    middle = (first + last) // 2
    for begin, end in ((first, middle), (middle + 1 + hole, last)):
        added = Coverage(
            segment_id=segment_id, filter_digest=digest("filters", plan.shape), from_number=begin, to_number=end,
            level=BLOOM, verified_at=NOW,
        )  # fmt: skip
        extend_coverage(session, added, [Verified(COMPARED, begin, (begin + end) // 2)])


def _snapshots(plan: FundPlan, segment_id: int, past: Past) -> Iterator[tuple[Any, ...]]:
    for time in past.read_at:
        yield (*_block(plan.chain, time), segment_id, *_place(plan.chain, time), SnapshotKind.SCHEDULED, 0, True)


def _readings(plan: FundPlan, segment_id: int, past: Past) -> Iterator[tuple[Any, ...]]:
    asked, error = address("insurance_fund", plan.place), "reverted without a reason"
    for read in past.reads:
        yield (
            *_block(plan.chain, read.time), segment_id, read.name, read.subject, *_place(plan.chain, read.time),
            read.value_raw, read.decimals, read.asset_id, asked, f"{read.name}({read.subject})",
            error if read.value_raw is None else None,
        )  # fmt: skip


def _facts(plan: FundPlan, segment_id: int, past: Past) -> Iterator[tuple[Any, ...]]:
    for log_index, fact in enumerate(past.facts):
        told = {name: fact.more.get(name) for name in FACT_NAMES}
        yield (
            *_block(plan.chain, fact.time), plan.place * FACTS_A_FUND + log_index, 0, segment_id,
            *_place(plan.chain, fact.time), tx_hash(plan, fact.time), fact.role, told["source"], told["side"],
            fact.amount_raw, told["asset_id"], told["account"], told["market"], None, told["detail"],
            f"{plan.shape}@1",
        )  # fmt: skip


def _block(chain: ChainPlan, time: datetime) -> tuple[int, str]:
    return chain.chain_id, chain.hash(time)


def _place(chain: ChainPlan, time: datetime) -> tuple[int, datetime]:
    return chain.number(time), time
