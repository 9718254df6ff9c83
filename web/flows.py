"""Inflows by source and outflows by role, a row a month, exact to the last unit."""

from collections.abc import Sequence

from ledger.kinds import FLOW_SIGN, Role
from ledger.numbers import format_count, format_exact, format_month, scale
from ledger.pages import EventRow, Place
from ledger.words import role_words, source_words
from web.contexts import Cell, Table
from web.edition import Edition
from web.evidence import amount_text

FLOW_ROLES = tuple(FLOW_SIGN)


def month_sums(place: Place, rows: Sequence[EventRow]) -> dict[str, dict[str, int]]:
    """Signed sums in the fund's own asset by month (YYYY-MM) and by what they are called; months in any order."""
    sums: dict[str, dict[str, int]] = {}
    for row in _counted(place, rows):
        sign = FLOW_SIGN[Role(row.role)]
        month = sums.setdefault(f"{row.block_time:%Y-%m}", {})
        column = _column(row, sign)
        month[column] = month.get(column, 0) + sign * (row.amount_raw or 0)
    return sums


def _counted(place: Place, rows: Sequence[EventRow]) -> list[EventRow]:
    return [row for row in rows if row.amount_raw is not None and row.asset_id == place.segment.asset_id]


def flow_table(edition: Edition, place: Place, rows: Sequence[EventRow]) -> Table | None:
    """Months by source in the fund's own asset: what came in with +, what left with −; None without flows."""
    counted = _counted(place, rows)
    if not counted:
        return None
    asset = edition.assets.get(place.segment.asset_id or 0)
    sums = month_sums(place, rows)
    inflows = {source_words(source) for source in {row.source for row in counted if FLOW_SIGN[Role(row.role)] > 0}}
    # Inflows first, then outflows, each by name.
    columns = sorted(
        {column for month in sums.values() for column in month}, key=lambda name: (name not in inflows, name)
    )
    heads = (Cell("Month"), *(Cell(name, is_number=True) for name in columns), Cell("Change", is_number=True))

    def amount(raw: int | None) -> Cell:
        if raw is None:
            return Cell("–", is_number=True)
        text = amount_text(raw, asset)
        exact = format_exact(scale(raw, asset.decimals)) if asset else str(raw)
        return Cell(f"+{text}" if raw > 0 else text, is_number=True, title=exact)

    def line(name: str, month: dict[str, int]) -> tuple[Cell, ...]:
        return (Cell(name), *(amount(month.get(column)) for column in columns), amount(sum(month.values())))

    body = [line(format_month(month), sums[month]) for month in sorted(sums, reverse=True)]
    total = {column: sum(month.get(column, 0) for month in sums.values()) for column in columns}
    note = f"{format_count(len(counted), 'flow')}; sums are exact and rounded only to be printed."
    note += _left_out(place, rows)
    return Table("Inflows and outflows by month and source", heads, (*body, line("All months", total)), note)


def _left_out(place: Place, rows: Sequence[EventRow]) -> str:
    """What the sums do not hold, in words; empty where they hold everything."""
    unknown = sum(row.amount_raw is None for row in rows)
    others = len(rows) - unknown - len(_counted(place, rows))
    told = f" {format_count(unknown, 'flow')} without a known amount not counted." if unknown else ""
    return told + (f" {format_count(others, 'flow')} in other assets not counted." if others else "")


def _column(row: EventRow, sign: int) -> str:
    if sign > 0:
        return source_words(row.source)
    return role_words(row.role)
