"""What a segment's facts say up to a block, kept and carried forward so that no snapshot starts from the first fact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from indexer.adapter import Known
from indexer.rpc.reader import Header
from ledger.facts import Exposure, list_markets, walk_exposures
from ledger.kinds import Side
from ledger.readings import find_hashes

Key = tuple[str, str, Side]


@dataclass
class Knowledge:
    """Markets and sums of one segment at one block; `at` None: nothing read yet."""

    segment_id: int
    sides: frozenset[Side]
    at: Header | None = None
    markets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    sums: dict[Key, int] = field(default_factory=dict)

    def load(self, session: Session, chain_id: int, up_to: int) -> "Ahead":
        """What comes after our block, up to a height; starts over if our block was replaced meanwhile."""
        if self.at is not None and not find_hashes(session, chain_id, [self.at.hash]):
            self.forget()
        above = -1 if self.at is None else self.at.number
        exposures: Iterable[Exposure] = (
            walk_exposures(session, self.segment_id, self.sides, above=above, up_to=up_to) if self.sides else ()
        )
        return Ahead(list_markets(session, self.segment_id, above=above, up_to=up_to), list(exposures))

    def forget(self) -> None:
        """Back to knowing nothing."""
        self.at, self.markets, self.sums = None, {}, {}

    def advance(self, ahead: "Ahead", to: Header) -> Known:
        """Takes in what lies at or below `to`; the answer is not changed by later calls."""
        for _, market, detail in ahead.take_markets(to.number):
            self.markets[market] = detail
        for change in ahead.take_exposures(to.number):
            key = (change.account, change.market, change.side)
            total = self.sums.get(key, 0) + change.amount_raw
            if total:
                self.sums[key] = total
            else:
                self.sums.pop(key, None)
        self.at = to
        return self.known()

    def known(self) -> Known:
        """Markets and sums as they stand."""
        return Known(dict(self.markets), dict(self.sums))


@dataclass
class Ahead:
    """Facts not taken in yet, by height."""

    markets: list[tuple[int, str, dict[str, Any]]]
    exposures: list[Exposure]
    market_at: int = 0
    exposure_at: int = 0

    def take_markets(self, number: int) -> list[tuple[int, str, dict[str, Any]]]:
        """Those at or below a height, each once."""
        first = self.market_at
        while self.market_at < len(self.markets) and self.markets[self.market_at][0] <= number:
            self.market_at += 1
        return self.markets[first : self.market_at]

    def take_exposures(self, number: int) -> list[Exposure]:
        """Those at or below a height, each once."""
        first = self.exposure_at
        while self.exposure_at < len(self.exposures) and self.exposures[self.exposure_at].number <= number:
            self.exposure_at += 1
        return self.exposures[first : self.exposure_at]
