"""M2 coverage of exposure, and the one number that the word coverage stands for, with its reference loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solvency.quantity import Quantity, divide, divide_usable, inherit_quality, make_unknown

NO_MODELLED_LOSS = "no modelled loss"
NO_OPEN_INTEREST = "no open interest"


def compute_exposure_coverage(usable: Quantity, exposure: Quantity) -> Quantity:
    """U(0) / open interest (or reserve / debt), ×; exposure 0 is "no open interest", not infinity. Never graded."""
    return divide_usable(usable, exposure, when_zero=NO_OPEN_INTEREST)


def compute_market_coverage(usable: Quantity, cap_left: Quantity | None, open_interest: Quantity) -> Quantity:
    """min(U, cap left) / open interest of one market, ×; `cap_left` None: the platform caps nothing there."""
    if cap_left is None:
        return compute_exposure_coverage(usable, open_interest)
    if usable.value is None or cap_left.value is None:
        lacking = usable if usable.value is None else cap_left
        return make_unknown("ratio", lacking.reason or lacking.words)
    payable = inherit_quality(Quantity(min(usable.value, max(cap_left.value, 0.0)), "usd"), (usable, cap_left))
    return divide_usable(payable, open_interest, when_zero=NO_OPEN_INTEREST)


def compute_target_share(current: Quantity, target: Quantity) -> Quantity:
    """Current size / the target that the platform itself publishes, ×; a target of 0 is "no target"."""
    return divide(current, target, when_zero="no target")


@dataclass(frozen=True, slots=True)
class StressLeg:
    """U(s) and L(s) in USD at the same shock s (fraction, signed)."""

    shock: float
    usable: Quantity
    loss: Quantity


@dataclass(frozen=True, slots=True)
class Coverage:
    """The headline: ratio (×), its denominator (USD) and where that comes from."""

    ratio: Quantity
    reference_loss: Quantity
    source: str


def compute_coverage(
    usable: Quantity,
    scaled_worst: Quantity,
    stress: Sequence[StressLeg],
    *,
    is_none_recognised: bool,
) -> Coverage:
    """Return the smaller of U(0) / scaled worst 7 days and U(±20 %) / L(±20 %) of the worse direction.

    `stress` holds both directions. One of the two unknown: unknown, unless no shortfall was recognised (M12):
    then the stress alone. A loss of 0 is "no modelled loss" and never the smaller one.
    """
    candidates = [
        Coverage(divide_usable(leg.usable, leg.loss, when_zero=NO_MODELLED_LOSS), leg.loss, _name_stress(leg))
        for leg in stress
    ]
    if not is_none_recognised:
        past = divide_usable(usable, scaled_worst, when_zero=NO_MODELLED_LOSS)
        candidates.append(Coverage(past, scaled_worst, "worst 7 days, scaled to today's exposure"))
    if not candidates:
        nothing = make_unknown("ratio", "neither a stress nor a past loss is known")
        return Coverage(nothing, make_unknown("usd", nothing.reason), "")
    unknown = [c for c in candidates if c.ratio.quality == "unknown"]
    if unknown:
        reason = "; ".join(dict.fromkeys(c.ratio.reason for c in unknown))
        return Coverage(make_unknown("ratio", reason), make_unknown("usd", reason), "")
    return _choose_smallest(candidates)


def _choose_smallest(candidates: Sequence[Coverage]) -> Coverage:
    """Pick the smallest ratio; all losses 0 is said in words. The quality is that of the worst leg looked at."""
    legs = [candidate.ratio for candidate in candidates]
    numbers = [(c.ratio.value, c.reference_loss.value, c) for c in candidates if c.ratio.value is not None]
    if not numbers:
        best = candidates[0]
        return Coverage(inherit_quality(best.ratio, legs), best.reference_loss, NO_MODELLED_LOSS)
    # Equal ratios: the larger loss is named, so that the choice never depends on the order of the legs.
    chosen = min(numbers, key=lambda entry: (entry[0], -(entry[1] or 0.0), entry[2].source))[2]
    return Coverage(inherit_quality(chosen.ratio, legs), chosen.reference_loss, chosen.source)


def _name_stress(leg: StressLeg) -> str:
    """Name the source of a stress loss, such as "stress of −20 %"."""
    return f"stress of {'−' if leg.shock < 0 else '+'}{abs(leg.shock) * 100:.0f} %"
