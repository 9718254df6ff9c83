"""Where indexed logs and the chain part ways for the first time: positions and market totals, snapshot by snapshot."""

from bisect import bisect_left
from itertools import groupby

from sqlmodel import Session

from indexer.reconcile import TOTAL_NAMES, Suspect, market_totals, split_subject, wrong_totals
from ledger.facts import list_flows, walk_exposures, walk_market_moves
from ledger.kinds import ReadingName, Side
from ledger.readings import Value, list_values


def find_first_suspects(session: Session, segment_id: int) -> list[Suspect]:
    """The first snapshot whose positions, and the first whose totals, are not what the facts say."""
    found = (first_wrong_position(session, segment_id), first_wrong_total(session, segment_id))
    return [suspect for suspect in found if suspect is not None]


def first_wrong_position(session: Session, segment_id: int) -> Suspect | None:
    """The first size read that differs from Σ exposure changes, and the last block where that one still agreed."""
    sizes = list_values(session, segment_id, ReadingName.TAKER_SIZE, first=0)
    changes = walk_exposures(session, segment_id, {Side.POSITION}, above=-1, up_to=sizes[-1].number if sizes else -1)
    ahead = next(changes, None)
    sums: dict[tuple[str, str], int] = {}
    agreed: dict[str, int] = {}
    for number, members in groupby(sizes, key=lambda value: value.number):
        while ahead is not None and ahead.number <= number:
            key = (ahead.account, ahead.market)
            sums[key] = sums.get(key, 0) + ahead.amount_raw
            ahead = next(changes, None)
        for size in members:
            if size.value_raw is None:
                continue
            if sums.get(split_subject(size.subject), 0) != size.value_raw:
                return Suspect(agreed.get(size.subject, -1), number, None)
            agreed[size.subject] = number
    return None


def first_wrong_total(session: Session, segment_id: int) -> Suspect | None:
    """The first snapshot with a wrong total, found by bisection: what is missing once is missing from then on."""
    read = {name: list_values(session, segment_id, name, first=0) for name in TOTAL_NAMES}
    heights = sorted({value.number for values in read.values() for value in values})

    def is_wrong(number: int) -> bool:
        at = {name: [value for value in values if value.number == number] for name, values in read.items()}
        return bool(wrong_totals(market_totals(walk_market_moves(session, segment_id, up_to=number)), at))

    first = bisect_left(heights, True, key=is_wrong)
    if first == len(heights):
        return None
    return Suspect(heights[first - 1] if first else -1, heights[first], None)


class ExpectedBalance:
    """What the flows since a known balance say the balance is: read once, asked at many heights."""

    def __init__(self, session: Session, segment_id: int, suspect: Suspect) -> None:
        opening = self._at(session, segment_id, suspect)
        self._opening = opening.value_raw or 0
        flows = list_flows(session, segment_id, above=suspect.after)
        self._flows = [flow for flow in flows if flow.asset_id == opening.asset_id]

    @staticmethod
    def _at(session: Session, segment_id: int, suspect: Suspect) -> Value:
        values = list_values(session, segment_id, ReadingName.BALANCE, first=suspect.after)
        return next(v for v in values if (v.number, v.subject) == (suspect.after, suspect.subject))

    def explains(self, number: int, balance: int, *, rounding: int) -> bool:
        """Whether the balance read at that height is what the flows say, to rounding."""
        amounts = [flow.amount_raw for flow in self._flows if flow.number <= number]
        return abs(balance - self._opening - sum(amounts)) <= rounding * len(amounts)
