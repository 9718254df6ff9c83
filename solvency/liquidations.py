"""Liquidations as a walk sees them: since when snapshots knew each account liquidatable, and what was left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ledger.history import FactRow, ReadingRow
from ledger.kinds import ReadingName, Role, Side
from solvency.engine import Liquidation
from solvency.flow_book import UsdAmount
from solvency.quantity import scale_raw

Rows = Mapping[tuple[str, str], ReadingRow]


class _Spell(NamedTuple):
    """An unbroken time below the margin requirement: the snapshot that first saw it, and the gap before that one."""

    since_seconds: int
    gap_seconds: int


@dataclass
class LiquidationRecord:
    """Every liquidation so far, each with the times that snapshots tell; None where they do not.

    An account that the last snapshot did not see below its requirement counts in `found` as liquidatable from the
    liquidation on: no delay there is too long. In `slowest` each became so right after the snapshot before.
    """

    found: list[Liquidation] = field(default_factory=list)
    slowest: list[Liquidation] = field(default_factory=list)
    _spells: dict[str, _Spell | None] = field(default_factory=dict)
    """By account; None: below its requirement or unread, and nobody knows since when."""
    _closed: set[str] = field(default_factory=set)
    """Accounts liquidated since the last snapshot: what is left of them is not seen before the next."""
    _read_seconds: int | None = None

    def take(self, block: Iterable[UsdAmount]) -> None:
        """File the liquidations of one block; the facts of one log are one liquidation. Each ends its spell."""
        amounts = list(block)
        # In tokens: only whether there was a shortfall counts, and that needs no price.
        lost = {one.row.account: float(one.native) for one in amounts if one.row.role == Role.SHORTFALL}
        rows = {one.row.log_index: one.row for one in amounts if one.row.role == Role.LIQUIDATION}
        for row in rows.values():
            self._add(row, None if row.account is None else lost.get(row.account, 0.0))
        # Several positions of an account closed in one block have waited equally long: spells end after all of them.
        for row in rows.values():
            if row.account is not None and row.side == Side.POSITION:
                self._spells.pop(row.account, None)
                self._closed.add(row.account)

    def follow(self, rows: Rows, seconds: int) -> None:
        """Look at a snapshot's accounts; one that read none of them leaves every account unknown."""
        start = None if self._read_seconds is None else _Spell(seconds, seconds - self._read_seconds)
        self._spells = {
            account: self._spells.get(account, start) if is_below else None
            for account, is_below in _compare_margins(rows).items()
            if is_below is not False
        }
        self._closed.clear()
        self._read_seconds = seconds if rows else None

    def _add(self, row: FactRow, shortfall: float | None) -> None:
        # Seizing collateral follows a rule of its own, not the margin requirement.
        spell = self._find_spell(row) if row.side == Side.POSITION else None
        if spell is None:
            found = slowest = Liquidation(shortfall=shortfall)
        else:
            found = Liquidation(spell.since_seconds, row.seconds, shortfall)
            slowest = replace(found, liquidatable_seconds=spell.since_seconds - spell.gap_seconds)
        self.found.append(found)
        self.slowest.append(slowest)

    def _find_spell(self, row: FactRow) -> _Spell | None:
        if row.account is None or row.account in self._closed or self._read_seconds is None:
            return None
        return self._spells.get(row.account, _Spell(row.seconds, row.seconds - self._read_seconds))


def _compare_margins(rows: Rows) -> dict[str, bool | None]:
    """Whether each account stands below its margin requirement; None where one of the two was not answered."""
    found: dict[str, bool | None] = {}
    for name, account in rows:
        if name == ReadingName.ACCOUNT_VALUE:
            value, needed = rows[name, account], rows.get((ReadingName.MARGIN_REQUIREMENT, account))
            if value.value_raw is None or needed is None or needed.value_raw is None:
                found[account] = None
            else:
                have, need = scale_raw(value.value_raw, value.decimals), scale_raw(needed.value_raw, needed.decimals)
                found[account] = have < need
    return found
