"""What the benchmark's chain holds: contracts, events, the funds that watch them, and the adapters that decode them.

Three funds, as three of the shapes that the product follows: shares of a reserve (Transfer), a lending pool
(LiquidationCall), and a perpetual exchange with its insurance fund (PositionLiquidated, Repaid).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from indexer.adapter import Adapter, FactDraft, Known, Log, LogFilter, Read
from indexer.lanes import Tracked
from indexer.words import Event
from ledger.database import writing
from ledger.kinds import Contribution, FundKind, Role, Shape, Side, SourceKind
from ledger.tables import Asset, Chain, Fund, Platform, Segment

CHAIN_ID = 9_100_001
ZERO = "0x" + "00" * 20


def address_of(seed: int) -> str:
    """An address that looks like any other: 20 bytes without a pattern, the same for the same seed."""
    return f"0x{(seed * 0x9E3779B97F4A7C15F39CC0605CEDC8341082276B + 0xBF58476D1CE4E5B9) % (1 << 160):040x}"


SHARES = tuple(address_of(100 + n) for n in range(3))
COLLATERALS = tuple(address_of(200 + n) for n in range(8))
MARKETS = tuple(address_of(300 + n) for n in range(12))
POOL, CLEARING_HOUSE, INSURANCE_FUND, SETTLEMENT = (address_of(400 + n) for n in range(4))
FOREIGN = address_of(500)
"""Emits the same events and belongs to nobody we watch: its logs must not be in the tables."""
ACCOUNTS = 50_000
"""Distinct traders and borrowers: many enough that no cache of texts holds a small world."""
FIRST_ACCOUNT = 1_000_000

TRANSFER = Event("Transfer(address indexed from, address indexed to, uint256 value)")
LIQUIDATION_CALL = Event(
    "LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user, "
    "uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)"
)
POSITION_LIQUIDATED = Event(
    "PositionLiquidated(address indexed trader, address indexed baseToken, uint256 positionNotional, "
    "uint256 positionSize, uint256 liquidationFee, address liquidator)"
)
REPAID = Event("Repaid(uint256 repaidAmount, uint256 tokenBalanceAfterRepaid)")
EVENTS = {event.topic0: event for event in (TRANSFER, LIQUIDATION_CALL, POSITION_LIQUIDATED, REPAID)}


@dataclass
class Decoding:
    """What the three adapters have in common: a version, and nothing to read by calls."""

    version: int = 1
    rounding_per_flow_raw: int = 0
    tracked_sides: frozenset[Side] = field(default_factory=frozenset)

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """Nothing: the benchmark measures logs."""
        return ()

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """Nothing."""
        return ()


class ShareTransfers(Decoding):
    """Shares of a reserve: minted is a contribution, burnt a withdrawal, between holders it is for the record."""

    def filters(self) -> Sequence[LogFilter]:
        """Transfers of the share tokens."""
        return [LogFilter(frozenset(SHARES), (frozenset({TRANSFER.topic0}),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """One fact a log."""
        sender, receiver, amount = TRANSFER.values(log)
        if sender == ZERO:
            return (FactDraft(Role.CONTRIBUTION, amount, log.address, Contribution.STAKE, account=receiver),)
        if receiver == ZERO:
            return (FactDraft(Role.WITHDRAWAL, amount, log.address, account=sender),)
        return (FactDraft(Role.ACCOUNTING, amount, log.address, account=receiver, market=sender),)


class LendingPool(Decoding):
    """A lending pool's liquidations, two facts each, as the product's Aave V2 adapter has them."""

    def filters(self) -> Sequence[LogFilter]:
        """The pool's LiquidationCall."""
        return [LogFilter(frozenset({POOL}), (frozenset({LIQUIDATION_CALL.topic0}),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """What was repaid, and what was seized."""
        collateral, debt, user, repaid, seized, liquidator, as_receipt = LIQUIDATION_CALL.values(log)
        detail = {"liquidator": liquidator, "receive_atoken": as_receipt, "collateral": collateral}
        return (
            FactDraft(Role.LIQUIDATION, repaid, debt, side=Side.DEBT, account=user, market=debt, detail=detail),
            FactDraft(Role.LIQUIDATION, seized, collateral, side=Side.COLLATERAL, account=user, market=collateral),
        )


class PerpExchange(Decoding):
    """A perpetual exchange's liquidations, and what its insurance fund repaid."""

    def filters(self) -> Sequence[LogFilter]:
        """One event of each of the two contracts."""
        return [
            LogFilter(frozenset({CLEARING_HOUSE}), (frozenset({POSITION_LIQUIDATED.topic0}),)),
            LogFilter(frozenset({INSURANCE_FUND}), (frozenset({REPAID.topic0}),)),
        ]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """One fact a log."""
        if log.address == INSURANCE_FUND:
            amount, left = REPAID.values(log)
            return (FactDraft(Role.SHORTFALL_COVERED, amount, SETTLEMENT, detail={"wallet_after": str(left)}),)
        trader, market, notional, size, fee, liquidator = POSITION_LIQUIDATED.values(log)
        detail = {"size_raw": str(size), "penalty_raw": str(fee), "liquidator": liquidator}
        return (
            FactDraft(
                Role.LIQUIDATION,
                notional,
                SETTLEMENT,
                side=Side.POSITION,
                account=trader,
                market=market,
                detail=detail,
            ),
        )


@dataclass(frozen=True)
class Terms:
    """A live chain to the indexer: no rule for recordings softens what is checked."""

    id: int = CHAIN_ID
    slug: str = "bench"
    kind: SourceKind = SourceKind.LIVE
    multicall3: str | None = None
    multicall3_block: int | None = None
    finality_seconds: int = 900


RESERVE, LENDING, PERP = 1, 2, 3
FUNDS: dict[int, tuple[str, Shape, FundKind, Adapter, tuple[str, ...]]] = {
    RESERVE: ("bench-reserve", Shape.ADDRESS_FUND, FundKind.RESERVE, ShareTransfers(), SHARES),
    LENDING: ("bench-lending", Shape.AAVE_V2, FundKind.LENDING_BACKSTOP, LendingPool(), (POOL,)),
    PERP: ("bench-perp", Shape.PERP_V2_CURIE, FundKind.PERP_FUND, PerpExchange(), (CLEARING_HOUSE, INSURANCE_FUND)),
}
"""Segment id → slug, shape, kind, adapter, contracts."""


def tracked() -> list[Tracked]:
    """The three segments, as the registry would hand them to the indexer; their contracts exist from block 0."""
    return [
        Tracked(segment, slug, str(shape), adapter, contracts, start_block=0)
        for segment, (slug, shape, _, adapter, contracts) in FUNDS.items()
    ]


def decoder_of(segment: int) -> str:
    """What the fact table says of who decoded it."""
    _, shape, _, adapter, _ = FUNDS[segment]
    return f"{shape}@{adapter.version}"


def register(engine: Engine) -> None:
    """Chain, funds, segments and assets into a migrated, empty ledger."""
    with writing(engine) as session:
        session.add(Chain(chain_id=CHAIN_ID, slug=Terms.slug, name="Benchmark", kind=str(SourceKind.LIVE)))
        session.add(Platform(slug="bench", name="Benchmark"))
        session.flush()
        for n, address in enumerate((*SHARES, *COLLATERALS, SETTLEMENT), 1):
            session.add(Asset(id=n, chain_id=CHAIN_ID, address=address, symbol=f"T{n}", decimals=18))
        for slug, shape, kind, _, _ in FUNDS.values():
            session.add(
                Fund(
                    slug=slug,
                    platform_slug="bench",
                    name=slug,
                    kind=str(kind),
                    shape=str(shape),
                    chain_id=CHAIN_ID,
                    methodology="Made for a benchmark.",
                    file_digest="0",
                )
            )
        session.flush()
        for segment, (slug, *_) in FUNDS.items():
            session.add(Segment(id=segment, fund_slug=slug, slug=slug, name=slug, chain_id=CHAIN_ID))
