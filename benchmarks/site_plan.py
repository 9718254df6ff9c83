"""Which funds the benchmark of the site watches: chains, platforms and kinds by turns, and what happened to each."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ledger.kinds import ChainStatus, FundKind, Shape, SourceKind

END = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
"""Time of the last reading; the site's clock starts two minutes later."""
NOW = END + timedelta(minutes=2)
STEP = timedelta(hours=6)
HOSTILE = "<script>alert('x')</script>"
GENESIS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
BLOCK_SECONDS = 12
PLATFORMS = (
    "Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch", "Maple", "Oak",
    "Pine", "Rowan", "Spruce", "Tamarack", "Willow", "Yew", "Zelkova",
)  # fmt: skip


class Tale(StrEnum):
    """What happened to a fund."""

    STEADY = "steady"  # three small losses in all the years
    LOSSES = "losses"  # a dozen, of sizes that differ by magnitudes
    THIN = "thin"  # the same, under ten times the open interest
    DEPLETED = "depleted"  # five days ago it paid all it had, and that was not enough
    SILENT = "silent"  # nobody has answered for nine days
    REFUSED = "refused"  # the last read was refused
    GAPS = "gaps"  # three weeks were never scanned


@dataclass(frozen=True)
class ChainPlan:
    """A chain, a recording of one or a venue."""

    chain_id: int
    slug: str
    name: str
    kind: SourceKind = SourceKind.LIVE
    is_venue: bool = False
    status: ChainStatus = ChainStatus.FOLLOWING
    reason: str = ""
    late: timedelta = timedelta()
    """How long before END its last block is."""

    @property
    def end(self) -> datetime:
        """Time of its last block."""
        return END - self.late

    def number(self, time: datetime) -> int:
        """Height at a time; a poll's is its unix time."""
        seconds = int(time.timestamp())
        return seconds if self.is_venue else (seconds - GENESIS) // BLOCK_SECONDS

    def hash(self, time: datetime) -> str:
        """Hash of the block of that time."""
        return digest("block", self.chain_id, self.number(time))


CHAINS = (
    ChainPlan(1, "ethereum", "Ethereum"),
    ChainPlan(42161, "arbitrum", "Arbitrum One"),
    ChainPlan(10, "optimism", "Optimism"),
    ChainPlan(
        8453, "base", "Base", status=ChainStatus.UNREACHABLE, reason="no provider answered", late=timedelta(hours=42)
    ),
    ChainPlan(420001, "polls-third-party", "Polls of a venue", SourceKind.THIRD_PARTY, is_venue=True),
    ChainPlan(420002, "crash-simulated", "Crash (simulated)", SourceKind.SIMULATED, late=timedelta(days=200)),
)
KINDS = (
    (FundKind.PERP_FUND, Shape.PERP_V2_CURIE, "Perpetuals insurance fund"),
    (FundKind.LENDING_BACKSTOP, Shape.MORPHO_BLUE, "Lending backstop"),
    (FundKind.PERP_FUND, Shape.DRIFT, "Clearing insurance fund"),
    (FundKind.RESERVE, Shape.ADDRESS_FUND, "Treasury reserve"),
    (FundKind.VENUE_FUND, Shape.DRIFT, "Exchange insurance fund"),
    (FundKind.PERP_FUND, Shape.PERP_V2_CURIE, "Isolated-markets insurance fund"),
    (FundKind.NO_FUND, Shape.AAVE_V2, "Lending pool without a fund"),
)


@dataclass(frozen=True)
class FundPlan:
    """One fund to be."""

    place: int
    chain: ChainPlan
    kind: FundKind
    shape: Shape
    title: str
    tale: Tale

    @property
    def slug(self) -> str:
        """Short name; by place, so that it is unique."""
        return f"{self.platform_slug}-{self.place:02d}-{self.chain.slug}"

    @property
    def platform(self) -> str:
        """Who runs it."""
        return PLATFORMS[self.place % len(PLATFORMS)]

    @property
    def platform_slug(self) -> str:
        """In addresses."""
        return self.platform.lower()

    @property
    def has_balance(self) -> bool:
        """False where users carry the loss by design."""
        return self.kind != FundKind.NO_FUND


def plan_funds(count: int) -> list[FundPlan]:
    """So many funds; tales move on by one with each round of kinds, so that each kind meets all of them."""
    tales = tuple(Tale)
    return [_plan(place, tales[(place + place // len(KINDS)) % len(tales)]) for place in range(count)]


def _plan(place: int, tale: Tale) -> FundPlan:
    kind, shape, title = KINDS[place % len(KINDS)]
    chain = CHAINS[4] if kind == FundKind.VENUE_FUND else CHAINS[(0, 1, 2, 0, 3, 1, 5, 2)[place % 8]]
    return FundPlan(place, chain, kind, shape, title, tale)


def times_of(chain: ChainPlan, days: int) -> list[datetime]:
    """When the funds of a chain were read: every STEP for so many days, up to the chain's end, oldest first."""
    count = int(timedelta(days=days) / STEP)
    return [chain.end - STEP * back for back in range(count - 1, -1, -1)]


def last_of_days(times: list[datetime]) -> Iterator[datetime]:
    """The last of the times of each UTC day: it is the block a day's numbers stand on."""
    for time in times:
        if (time + STEP).date() != time.date() or time == times[-1]:
            yield time


def digest(*parts: object) -> str:
    """A hash made of its parts."""
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def address(*parts: object) -> str:
    """An address made of its parts."""
    return digest(*parts)[:42]
