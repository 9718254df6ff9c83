"""Loss log, losses by market, and liquidations summed by asset and month: thousands of rows told in a few."""

from collections.abc import Mapping, Sequence

from ledger.kinds import Role
from ledger.moments import MADE_UP_WORDS, evidence_href, evidence_text, genuine_text, is_made_up, shorten
from ledger.numbers import format_count, format_date, format_day, format_month, format_time
from ledger.pages import EventRow, Place
from ledger.tables import Asset
from web.contexts import Cell, EventLine, Table
from web.edition import Edition
from web.evidence import amount_text, event_lines, sum_by_asset, sum_text, sums_text
from web.names import LONGEST_NAME, neat

MOST_LINES = 150
SIDES = {"debt": "debt repaid", "collateral": "collateral seized", "position": "position closed"}


def loss_table(
    edition: Edition, place: Place, rows: Sequence[EventRow], names: Mapping[str, str]
) -> tuple[Table | None, str]:
    """Shortfalls, payouts, ADL and socialised losses, newest first, and what was left out; `names` of markets."""
    if not rows:
        return None, ""
    lines = event_lines(rows, {place.segment_id: place}, edition.assets, names=names)
    shown = lines[:MOST_LINES]
    note = f"{format_count(len(rows), 'fact')} in {format_count(len(lines), 'line')}."
    if len(lines) > len(shown):
        note += f" The newest {len(shown)} lines are shown."
    heads = (Cell("When"), Cell("What"), Cell("Amount", is_number=True), Cell("Market or account"), Cell("Evidence"))
    body = tuple(_loss_line(line) for line in shown)
    table = Table(
        "Shortfalls, payouts and losses carried by users", heads, body, "", tuple(one.anchor for one in shown)
    )
    return table, note


def _loss_line(line: EventLine) -> tuple[Cell, ...]:
    return (
        Cell(line.when, href=line.permalink),
        Cell(line.what),
        Cell(line.amount, is_number=True),
        Cell(line.who),
        Cell(line.evidence, href=line.evidence_href),
    )


def market_losses(rows: Sequence[EventRow], names: Mapping[str, str], assets: Mapping[int, Asset]) -> Table | None:
    """Who lost what, by market: exact sums a role; None where no loss names a market."""
    found: dict[tuple[str, str], list[EventRow]] = {}
    for row in rows:
        if row.market:
            found.setdefault((row.market, row.role), []).append(row)
    if not found:
        return None
    roles = [role for role in (Role.SHORTFALL, Role.PAYOUT, Role.SOCIALISED_LOSS, Role.ADL) if _has(found, role)]
    titles = {
        Role.SHORTFALL: "Gross shortfall",
        Role.PAYOUT: "Paid by the fund",
        Role.SOCIALISED_LOSS: "Carried by users",
        Role.ADL: "Auto-deleveraged",
    }
    heads = (Cell("Market"), *(Cell(titles[role], is_number=True) for role in roles), Cell("Facts", is_number=True))
    body = []
    for market in sorted({market for market, _ in found}, key=lambda one: names.get(one, one)):
        cells = [
            Cell(sums_text(sum_by_asset(found.get((market, role), [])), assets) or "–", is_number=True)
            for role in roles
        ]
        count = sum(len(group) for (name, _), group in found.items() if name == market)
        label = names.get(market) or neat(shorten(market), LONGEST_NAME)
        body.append((Cell(label, title=neat(market)), *cells, Cell(f"{count:,}", is_number=True)))
    return Table("Losses by market", heads, tuple(body))


def _has(found: Mapping[tuple[str, str], Sequence[EventRow]], role: Role) -> bool:
    return any(name == role for _, name in found)


def liquidation_tables(edition: Edition, place: Place, rows: Sequence[EventRow]) -> tuple[Table, Table, str] | None:
    """Liquidations by asset (exact sums, counts, the largest) and by month, and their count; None without any."""
    if not rows:
        return None
    by_side: dict[str, list[EventRow]] = {}
    for row in rows:
        by_side.setdefault(row.side or "", []).append(row)
    body = [
        (
            Cell(_symbol(edition, one.asset_id)),
            Cell(SIDES.get(side, side or "closed")),
            Cell(f"{one.count:,}", is_number=True),
            Cell(sum_text(one, edition.assets, exact=True), is_number=True),
            Cell(
                amount_text(one.largest.amount_raw, edition.assets.get(one.asset_id or 0))
                if one.largest
                else "unknown",
                is_number=True,
            ),
            _where(one.largest, place),
        )
        for side in sorted(by_side, key=lambda name: (name != "debt", name))
        for one in sorted(sum_by_asset(by_side[side]), key=lambda one: -one.count)
    ]
    heads = (
        Cell("Asset"),
        Cell("Side"),
        Cell("Count", is_number=True),
        Cell("Exact sum", is_number=True),
        Cell("Largest", is_number=True),
        Cell("Evidence of the largest"),
    )
    count = count_liquidations(rows)
    note = (
        f"{format_count(count, 'liquidation')} from {format_date(rows[0].block_time)} "
        f"to {format_date(rows[-1].block_time)}. Sums are exact to the last unit."
    )
    if is_made_up(place.chain):
        note += f" Time, account and amounts are genuine; {MADE_UP_WORDS}."
    return Table("Liquidations by asset, by count", heads, tuple(body)), month_table(rows, edition.assets), note


def count_liquidations(rows: Sequence[EventRow]) -> int:
    """Liquidations, not facts: one log may say what was repaid and what was seized."""
    return len({(row.segment_id, row.block_hash, row.log_index) for row in rows})


def month_table(rows: Sequence[EventRow], assets: Mapping[int, Asset]) -> Table:
    """Liquidations a month: how many, how many accounts, and the largest debt repaid."""
    months: dict[str, list[EventRow]] = {}
    for row in rows:
        months.setdefault(f"{row.block_time:%Y-%m}", []).append(row)
    body = []
    for month in sorted(months, reverse=True):
        found = months[month]
        days: dict[str, list[EventRow]] = {}
        for row in found:
            days.setdefault(f"{row.block_time:%Y-%m-%d}", []).append(row)
        busiest = max(sorted(days), key=lambda day: count_liquidations(days[day]))
        body.append(
            (
                Cell(format_month(month)),
                Cell(f"{count_liquidations(found):,}", is_number=True),
                Cell(f"{len({row.account for row in found if row.account}):,}", is_number=True),
                Cell(f"{format_day(busiest)} ({count_liquidations(days[busiest]):,})"),
            )
        )
    heads = (Cell("Month"), Cell("Liquidations", is_number=True), Cell("Accounts", is_number=True), Cell("Busiest day"))
    return Table("Liquidations by month", heads, tuple(body))


def _symbol(edition: Edition, asset_id: int | None) -> str:
    asset = edition.assets.get(asset_id or 0)
    return asset.symbol if asset else "asset not known"


def _where(row: EventRow | None, place: Place) -> Cell:
    if row is None:
        return Cell("–")
    chain = place.chain
    told = genuine_text(row) if is_made_up(chain) else evidence_text(row, chain)
    return Cell(f"{format_time(row.block_time)}: {told}", href=evidence_href(row, chain))
