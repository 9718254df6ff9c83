"""Opening balance + flows = balance on chain, per segment and snapshot; and positions and totals against view calls."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from sqlmodel import Session

from indexer.adapter import Adapter, Known
from ledger.coverage import replace_reconciled
from ledger.facts import Flow, MarketMove, list_flows, walk_market_moves
from ledger.kinds import ReadingName, Role, SegmentStatus, Side
from ledger.readings import (
    Value,
    count_unreconciled,
    find_balance_height_before,
    find_first_unreconciled,
    find_last_scheduled,
    find_status,
    list_snapshots,
    list_values,
    save_residuals,
)
from ledger.standing import set_segment_status

TOLERANCE_PER_MILLE = 5
UNREADABLE = "cannot be read"
"""Our reasons for an unknown segment carry these words; others are not ours to lift."""


class Residual(NamedTuple):
    """What the flows since the balance before do not explain, in smallest units, and whether that is tolerable.

    `is_explained`: whether it is no more than rounding; what is tolerated beyond that may still be a log left out.
    """

    number: int
    amount_raw: int
    is_reconciled: bool
    is_explained: bool
    before: int


class Suspect(NamedTuple):
    """Blocks above `after` up to `until` in which indexed logs and the chain part ways.

    `subject`: whose balance; None: a position or a market's total.
    """

    after: int
    until: int
    subject: str | None
    residual_raw: int = 0
    is_tolerated: bool = False


class Total(NamedTuple):
    """What indexed facts say a lending market's totals are."""

    supply: int
    borrow: int
    supply_shares: int
    borrow_shares: int
    rounded: int
    """Repayments and liquidations so far: each may round the borrow total by one unit."""


class Tolerance(NamedTuple):
    """How far flows may miss a balance: `per_mille` of it, or the rounding of each flow where that is more."""

    rounding_per_flow_raw: int
    per_mille: int = TOLERANCE_PER_MILLE

    @classmethod
    def of(cls, adapter: Adapter) -> "Tolerance":
        """That of M13; none but rounding where the shape's flows are exact (`is_exact`)."""
        is_exact = getattr(adapter, "is_exact", False)
        return cls(adapter.rounding_per_flow_raw, 0 if is_exact else TOLERANCE_PER_MILLE)


def residuals(balances: Sequence[tuple[int, int]], flows: Iterable[Flow], *, tolerance: Tolerance) -> list[Residual]:
    """Δ balance − Σ flows between neighbouring balances (height, smallest units), both lists by height.

    Tolerance (M13): max(0.5 % of |balance|, rounding × flows). The first balance has nothing before it: no residual.
    """
    left, found = list(flows), []
    at = 0
    for (before, opening), (number, closing) in pairwise(balances):
        while at < len(left) and left[at].number <= before:
            at += 1
        first = at
        while at < len(left) and left[at].number <= number:
            at += 1
        between = left[first:at]
        amount = closing - opening - sum(flow.amount_raw for flow in between)
        rounding = tolerance.rounding_per_flow_raw * len(between)
        allowed = max(abs(closing) * tolerance.per_mille // 1000, rounding)
        found.append(Residual(number, amount, abs(amount) <= allowed, abs(amount) <= rounding, before))
    return found


def reconcile_balances(
    session: Session, segment_id: int, *, first: int, tolerance: Tolerance, digest: str | None = None
) -> list[Suspect]:
    """Residuals of all snapshots from height `first` on; of several assets all must agree, the main one's is kept.

    `digest`: the filters under which reconciled blocks are recorded. Returns where more is missing than rounding.
    """
    before = find_balance_height_before(session, segment_id, first)
    opening = -1 if before is None else before
    values = list_values(session, segment_id, ReadingName.BALANCE, first=max(opening, 0))
    flows = list_flows(session, segment_id, above=opening)
    verdicts: dict[int, list[Residual]] = {}
    main: dict[int, Residual] = {}
    suspects: list[Suspect] = []
    for subject in sorted({value.subject for value in values}):
        own = [value for value in values if value.subject == subject and value.value_raw is not None]
        asset_id = own[0].asset_id if own else None
        for residual in residuals(
            [(value.number, value.value_raw) for value in own if value.value_raw is not None],
            (flow for flow in flows if flow.asset_id == asset_id),
            tolerance=tolerance,
        ):
            verdicts.setdefault(residual.number, []).append(residual)
            if not residual.is_explained:
                place = (residual.before, residual.number, subject)
                suspects.append(Suspect(*place, residual.amount_raw, is_tolerated=residual.is_reconciled))
            if subject == "":
                main[residual.number] = residual
    rows = []
    for point in list_snapshots(session, segment_id, first=first):
        seen = verdicts.get(point.number)
        amount = main[point.number].amount_raw if point.number in main else None
        rows.append((point.hash, amount, all(r.is_reconciled for r in seen) if seen else None))
    save_residuals(session, segment_id, rows)
    if digest is not None:
        sound = [found for found in verdicts.values() if all(residual.is_reconciled for residual in found)]
        spans = [(min(residual.before for residual in found) + 1, found[0].number) for found in sound]
        replace_reconciled(session, (segment_id, digest), above=opening, spans=spans)
    return sorted(suspects, key=lambda suspect: suspect.until)


def wrong_positions(sums: Mapping[tuple[str, str, Side], int], sizes: Iterable[Value]) -> list[str]:
    """account/market whose Σ exposure changes is not the taker size read at the same block."""
    return sorted(
        size.subject
        for size in sizes
        if size.value_raw is not None and sums.get((*split_subject(size.subject), Side.POSITION), 0) != size.value_raw
    )


def split_subject(subject: str) -> tuple[str, str]:
    """`account/market` in two."""
    account, _, market = subject.partition("/")
    return account, market


def market_totals(moves: Iterable[MarketMove]) -> dict[str, Total]:
    """Market → totals: supply and borrow are sums of changes + interest, supply less what was written off."""
    sums: Counter[tuple[str, str]] = Counter()
    for move in moves:
        if move.role == Role.INTEREST_ACCRUED:
            sums[move.market, Side.SUPPLY] += move.amount_raw
            sums[move.market, Side.DEBT] += move.amount_raw
        elif move.role == Role.SOCIALISED_LOSS:
            sums[move.market, Side.SUPPLY] -= move.amount_raw
        elif move.side is not None:
            sums[move.market, move.side] += move.amount_raw
            if move.side == Side.DEBT and move.amount_raw < 0:
                sums[move.market, "rounded"] += 1
    sides = (Side.SUPPLY, Side.DEBT, Side.SUPPLY_SHARES, Side.DEBT_SHARES, "rounded")
    return {market: Total(*(sums[market, side] for side in sides)) for market in {key[0] for key in sums}}


def wrong_totals(totals: Mapping[str, Total], read: Mapping[ReadingName, Sequence[Value]]) -> list[str]:
    """Markets whose totals read at the block differ from the indexed; borrow may be off by one unit a repayment."""
    nothing = Total(0, 0, 0, 0, 0)
    wrong = set()
    for name, values in read.items():
        for value in values:
            total = totals.get(value.subject, nothing)
            expected = {
                ReadingName.TOTAL_SUPPLY: total.supply,
                ReadingName.TOTAL_BORROW: total.borrow,
                ReadingName.TOTAL_SUPPLY_SHARES: total.supply_shares,
                ReadingName.TOTAL_BORROW_SHARES: total.borrow_shares,
            }[name]
            allowed = total.rounded if name == ReadingName.TOTAL_BORROW else 0
            if value.value_raw is not None and abs(value.value_raw - expected) > allowed:
                wrong.add(value.subject)
    return sorted(wrong)


TOTAL_NAMES = (
    ReadingName.TOTAL_SUPPLY,
    ReadingName.TOTAL_BORROW,
    ReadingName.TOTAL_SUPPLY_SHARES,
    ReadingName.TOTAL_BORROW_SHARES,
)


def judge(session: Session, segment_id: int, known: Known) -> None:
    """The segment's status after its latest scheduled snapshot; `known` is what the facts say at that block."""
    status, reason = find_status(session, segment_id)
    if status == SegmentStatus.UNKNOWN and UNREADABLE not in reason:
        return
    last = find_last_scheduled(session, segment_id)
    if last is None:
        return
    found, why = verdict(session, segment_id, last.number, known)
    set_segment_status(session, segment_id, found, why, number=last.number)


def verdict(session: Session, segment_id: int, number: int, known: Known) -> tuple[SegmentStatus, str]:
    """Status and reason at one scheduled snapshot: unreadable comes before unreconciled."""
    unread = [v for v in values_at(session, segment_id, ReadingName.BALANCE, number) if v.value_raw is None]
    if unread:
        return SegmentStatus.UNKNOWN, f"the balance {UNREADABLE} at block {number}: {unread[0].error}"
    read = {name: values_at(session, segment_id, name, number) for name in TOTAL_NAMES}
    failed = [value for values in read.values() for value in values if value.value_raw is None]
    if failed and len(failed) == sum(len(values) for values in read.values()):
        return SegmentStatus.UNKNOWN, f"every market {UNREADABLE} at block {number}: {failed[0].error}"
    problems = []
    bad, decided = count_unreconciled(session, segment_id)
    if bad:
        first_bad = find_first_unreconciled(session, segment_id)
        where = "" if first_bad is None else f", first at block {first_bad[0]} by {first_bad[1]} smallest units"
        problems.append(f"at {bad} of {decided} blocks the balance is not what indexed flows say{where}")
    positions = wrong_positions(known.sums, values_at(session, segment_id, ReadingName.TAKER_SIZE, number))
    if positions:
        problems.append(f"{len(positions)} positions differ from the contract's at block {number}: {positions[0]}")
    if any(read.values()):
        wrong = wrong_totals(market_totals(walk_market_moves(session, segment_id, up_to=number)), read)
        if wrong:
            problems.append(f"totals of {len(wrong)} markets differ at block {number}: {wrong[0]}")
    return (SegmentStatus.UNRECONCILED, "; ".join(problems)) if problems else (SegmentStatus.OK, "")


def values_at(session: Session, segment_id: int, name: ReadingName, number: int) -> list[Value]:
    """Readings of a name at one block."""
    return [v for v in list_values(session, segment_id, name, first=number) if v.number == number]
