"""M5 Cover-1 and Cover-2: what the one or two largest groups would lose beyond their margin, in the same scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from solvency.coverage import NO_MODELLED_LOSS, NO_OPEN_INTEREST
from solvency.quantity import Quantity, divide, divide_usable, make_exact, make_unknown
from solvency.stress import AccountBook

GroupLosses = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Cover:
    """Cover-N: its amount (USD), the scenario that sets it and the groups that lose there, the largest first.

    `attributed_share`: share of exposure whose owner is known, None where nobody said. Unknown: no scenario, no groups.
    """

    amount: Quantity
    scenario: str = ""
    groups: tuple[str, ...] = ()
    attributed_share: Quantity | None = None


def compute_cover(losses: GroupLosses, n: int, *, attributed_share: Quantity | None = None) -> Cover:
    """Cover-N = max over scenarios of the sum of the N largest group losses in that same scenario, USD (METHOD M5).

    `losses` {scenario: {group: loss beyond own margin ≥ 0}}. Ties go by name; a group without a loss is not named.
    No scenario: unknown. Less than all exposure attributed: partial, and at least this much. N < 1 is an error.
    """
    if n < 1:
        raise ValueError(f"Cover-{n} is impossible; N counts the groups that fail together and is at least 1")
    _check_losses(losses)
    if not losses:
        return Cover(make_unknown("usd", "no scenario of losses by group"), attributed_share=attributed_share)
    largest = {scenario: _find_largest(losses[scenario], n) for scenario in losses}
    totals = {scenario: math.fsum(losses[scenario][group] for group in largest[scenario]) for scenario in losses}
    worst = min(totals, key=lambda scenario: (-totals[scenario], scenario))
    amount = _mark_unattributed(Quantity(totals[worst], "usd"), attributed_share)
    return Cover(amount, worst, tuple(largest[worst]), attributed_share)


def compute_cover_ratio(usable_by_scenario: Mapping[str, Quantity], cover: Cover) -> Quantity:
    """U(scenario) / Cover-N in the scenario that sets Cover-N, ×; nobody beyond his margin: "no modelled loss".

    Unknown where Cover-N is, or where U was not computed in that scenario.
    """
    if cover.amount.value is None:
        return make_unknown("ratio", cover.amount.reason)
    usable = usable_by_scenario.get(cover.scenario)
    if usable is None:
        return make_unknown("ratio", f"no usable value in the scenario {cover.scenario}")
    return divide_usable(usable, cover.amount, when_zero=NO_MODELLED_LOSS)


def compute_attributed_share(attributed: Quantity, exposure: Quantity) -> Quantity:
    """Share of exposure whose owner is known, 0 … 1: attributed exposure / exposure, both USD ≥ 0.

    More attributed than there is: 1, partial, since the two readings disagree. Exposure 0: "no open interest".
    """
    if attributed.value is not None and attributed.value < 0:
        raise ValueError(f"an attributed exposure of {attributed.value} USD is impossible; it is ≥ 0")
    share = divide(attributed, exposure, unit="fraction", when_zero=NO_OPEN_INTEREST)
    if share.value is None or share.value <= 1:
        return share
    return replace(share, value=1.0).lower_quality("partial", "more exposure attributed than read")


def describe_shock(shock: float) -> str:
    """Render the name of a scenario in which all assets move together: "-30 %", "+10 %"."""
    return f"{shock * 100 + 0.0:+g} %"  # Adding 0 makes -0 and 0 one name.


def compute_group_losses(book: AccountBook, groups: Sequence[str], shocks: Sequence[float]) -> GroupLosses:
    """Losses beyond own margin in USD, {scenario: {group: Σ max(0, −equity) of its accounts}}, losers only.

    `groups` names the group of each account; one whose control is unknown is a group of its own. Shocks move asset a
    by β_a·s, never below −100 %. One account's gain never pays for another's loss, even within a group.
    """
    if len(groups) != len(book.equity):
        raise ValueError(f"{len(groups)} group names for {len(book.equity)} accounts; each account has one")
    if not all(groups):
        raise ValueError("an account has no group name; where control is unknown the account is its own group")
    names = [describe_shock(shock) for shock in shocks]
    if not all(math.isfinite(shock) for shock in shocks) or len(set(names)) < len(names):
        raise ValueError(f"the shocks {names} are not all distinct numbers; each is one scenario")
    order = _Order.sort(groups)
    return {name: order.sum_losers(_compute_shortfalls(book, shock)) for name, shock in zip(names, shocks, strict=True)}


def _compute_shortfalls(book: AccountBook, shock: float) -> NDArray[np.float64]:
    """max(0, −equity) of each account; market by market, since a matrix product may round by the row's place."""
    equity = book.equity.copy()
    for sizes, beta in zip(book.notional.T, book.betas, strict=True):
        equity += sizes * max(-1.0, shock * float(beta))
    return np.maximum(0.0, -equity)


@dataclass(frozen=True, slots=True)
class _Order:
    """Accounts sorted by group once, for all scenarios: their rows, each row's number in `names`."""

    names: list[str]
    rows: NDArray[np.intp]
    numbers: NDArray[np.intp]

    @classmethod
    def sort(cls, groups: Sequence[str]) -> _Order:
        names = sorted(set(groups))
        number_of = {name: number for number, name in enumerate(names)}
        numbers = np.array([number_of[name] for name in groups], dtype=np.intp)
        rows = np.argsort(numbers)
        return cls(names, rows, numbers[rows])

    def sum_losers(self, shortfalls: NDArray[np.float64]) -> dict[str, float]:
        """Add up each group, correctly rounded: neither order nor merging accounts makes a group look smaller."""
        ranked = shortfalls[self.rows]
        losers = np.flatnonzero(ranked)
        starts = np.flatnonzero(np.diff(self.numbers[losers], prepend=-1))
        losing = [self.names[number] for number in self.numbers[losers[starts]].tolist()]
        amounts, bounds = ranked[losers].tolist(), [*starts.tolist(), losers.size]
        return {name: math.fsum(amounts[i:j]) for name, (i, j) in zip(losing, pairwise(bounds), strict=True)}


def _find_largest(losses: Mapping[str, float], n: int) -> list[str]:
    losers = (group for group, loss in losses.items() if loss > 0)
    return nsmallest(n, losers, key=lambda group: (-losses[group], group))


def _mark_unattributed(amount: Quantity, share: Quantity | None) -> Quantity:
    """Lower the quality where some exposure has no known owner: an unknown group may lose more."""
    if share is None or share.words or share.value == 1:
        return amount
    if share.value is None:
        reason = f"share of exposure attributed: {share.reason}"
    else:
        reason = f"{math.floor(make_exact(share.value) * 100)} % of exposure attributed"
    return replace(amount, is_lower_bound=True).lower_quality("partial", reason)


def _check_losses(losses: GroupLosses) -> None:
    for scenario, by_group in losses.items():
        for group, loss in by_group.items():
            if not (math.isfinite(loss) and loss >= 0):
                raise ValueError(f"a loss of {loss} of {group} in {scenario} is impossible; losses are numbers ≥ 0")
