"""M1 usable value: what could really be paid out in a stress, after haircuts and access limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Literal

from solvency.quantity import Number, Quantity, make_exact, make_unknown

# 78 digits hold every uint256; products of four such factors of money size stay exact, so row order is irrelevant.
_EXACT = Context(prec=120)


@dataclass(frozen=True, slots=True)
class Holding:
    """One asset of a fund.

    `quantity` in whole tokens (None: the balance could not be read), `price` in USD (None: no price).
    `access` share that may be slashed or unlocked, `beta` stressed return per unit of shock, `h_liq` depth
    haircut for selling all of it, `h_floor` policy haircut (1 for the venue's own token). `is_signed`: a net
    value the contract returns signed (Perp v2 capacity, Comet reserves); below zero it is a liability.
    """

    asset: str
    quantity: Number | None
    price: Number | None
    access: Number = 1
    beta: Number = 0
    h_liq: Number = 0
    h_floor: Number = 0
    is_signed: bool = False

    def __post_init__(self) -> None:
        if self.quantity is not None and make_exact(self.quantity) < 0 and not self.is_signed:
            raise ValueError(f"{self.asset}: a token balance of {self.quantity} is impossible; check the reading")
        if self.price is not None and make_exact(self.price) < 0:
            raise ValueError(f"{self.asset}: a price of {self.price} USD is impossible; check the feed")
        for name in ("access", "h_liq", "h_floor"):
            if not 0 <= make_exact(getattr(self, name)) <= 1:
                raise ValueError(f"{self.asset}: {name} is {getattr(self, name)}, it must lie in 0 … 1")
        if make_exact(self.beta) < 0:
            raise ValueError(f"{self.asset}: beta is {self.beta}; a hedge is never credited, use 0 or more")


@dataclass(frozen=True, slots=True)
class Liability:
    """A debt of the fund itself; it subtracts in full under every shock, because gains are never credited."""

    name: str
    quantity: Number | None
    price: Number | None

    def __post_init__(self) -> None:
        if self.quantity is not None and make_exact(self.quantity) < 0:
            raise ValueError(f"{self.name}: a liability of {self.quantity} is impossible; give its size as ≥ 0")


_Leg = tuple[Literal["known", "lower_bound", "unknown"], Decimal, str]


def compute_usable_value(
    holdings: Sequence[Holding], liabilities: Sequence[Liability] = (), *, shock: Number = 0
) -> Quantity:
    """U(s) in USD at shock s (fraction; a rise is treated as no shock).

    U(s) = Σ qty·price·access·min(max(0, 1 + β·min(s, 0))·(1 − h_liq), 1 − h_floor) − Σ liabilities (METHOD M1).
    A missing price or balance of an asset leaves a lower bound (partial, "at least"); of a liability or a signed
    net value: unknown. No holding with a known number at all: unknown, never 0.
    """
    if not holdings:
        return make_unknown("usd", "no holding of this fund was read")
    with localcontext(_EXACT):
        step = min(make_exact(shock), Decimal(0))
        legs = [_value_holding(holding, step) for holding in holdings]
        legs += [_value_liability(debt) for debt in liabilities]
        total = sum((amount for _, amount, _ in legs), Decimal(0))
    return _conclude(legs, total, n_holdings=len(holdings))


def compute_gross_balance(holdings: Sequence[Holding]) -> Quantity:
    """Market value held in USD, before haircuts and access limits; may be ≤ 0 only for signed net values."""
    bare = [Holding(h.asset, h.quantity, h.price, is_signed=h.is_signed) for h in holdings]
    return compute_usable_value(bare)


def compute_slashable(staked: Number, matured: Number, max_slash: Number) -> Decimal:
    """Return the staked layer in tokens: (staked − stake whose cooldown has matured) × max slash, never below 0."""
    stake, left, share = make_exact(staked), make_exact(matured), make_exact(max_slash)
    if stake < 0 or left < 0 or not 0 <= share <= 1:
        raise ValueError(f"staked {staked}, matured {matured}, max slash {max_slash}: amounts ≥ 0, share in 0 … 1")
    with localcontext(_EXACT):
        return max(stake - left, Decimal(0)) * share


def compute_concentration(values: Sequence[Number]) -> Quantity:
    """Herfindahl index of usable value: Σ (value share)², 1 = all in one asset; unknown when nothing is usable."""
    with localcontext(_EXACT):
        parts = [make_exact(value) for value in values]
        if any(part < 0 for part in parts):
            return make_unknown("fraction", "a part is negative: a liability has no share of usable value")
        whole = sum(parts, Decimal(0))
        if whole == 0:
            return make_unknown("fraction", "nothing usable is held")
        squares = sum((part * part for part in parts), Decimal(0))
    return Quantity(float(squares / (whole * whole)), "fraction")


def _value_holding(holding: Holding, shock: Decimal) -> _Leg:
    """Value one asset under the shock; needs no price where the weight or the quantity is 0."""
    stressed = max(Decimal(0), 1 + make_exact(holding.beta) * shock) * (1 - make_exact(holding.h_liq))
    weight = make_exact(holding.access) * min(stressed, 1 - make_exact(holding.h_floor))
    if holding.quantity is None:
        if holding.is_signed:
            return "unknown", Decimal(0), f"{holding.asset}: its signed value could not be read"
        return _missing(holding.asset, "balance", weight)
    quantity = make_exact(holding.quantity)
    if quantity == 0:
        return "known", Decimal(0), ""
    if holding.price is None:
        if quantity < 0:
            return "unknown", Decimal(0), f"{holding.asset}: a liability without a price"
        return _missing(holding.asset, "price", weight)
    value = quantity * make_exact(holding.price)
    # A negative net value is owed in full: no haircut and no access limit makes a debt smaller.
    return "known", value if quantity < 0 else value * weight, ""


def _missing(asset: str, what: str, weight: Decimal) -> _Leg:
    """An asset that counts nothing anyway needs neither balance nor price."""
    if weight == 0:
        return "known", Decimal(0), ""
    return "lower_bound", Decimal(0), f"at least: {asset} has no {what}"


def _value_liability(debt: Liability) -> _Leg:
    """Value one debt of the fund, negative; unknown size or price makes the whole unknown."""
    if debt.quantity is None or (debt.price is None and make_exact(debt.quantity) != 0):
        return (
            "unknown",
            Decimal(0),
            f"{debt.name}: a liability without a {'size' if debt.quantity is None else 'price'}",
        )
    return "known", -make_exact(debt.quantity) * make_exact(debt.price or 0), ""


def _conclude(legs: Sequence[_Leg], total: Decimal, *, n_holdings: int) -> Quantity:
    """Turn the legs into one number: unknown, lower bound or known."""
    reasons = "; ".join(sorted({reason for _, _, reason in legs if reason}))
    if any(state == "unknown" for state, _, _ in legs):
        return make_unknown("usd", "; ".join(sorted({why for state, _, why in legs if state == "unknown"})))
    if all(state == "lower_bound" for state, _, _ in legs[:n_holdings]):
        return make_unknown("usd", reasons)
    if any(state == "lower_bound" for state, _, _ in legs):
        return Quantity(float(total), "usd", "partial", reasons, is_lower_bound=True)
    return Quantity(float(total), "usd")
