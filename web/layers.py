"""What a layer of a fund's waterfall holds."""

from ledger.kinds import FundKind
from ledger.pages import Place
from web.contexts import Figure
from web.figures import Figures


def holding(place: Place, figures: Figures, layer: str) -> str:
    """What a layer of the waterfall holds where it is the fund that Backstop reads; else empty."""
    if place.fund.kind == FundKind.NO_FUND or "fund" not in layer.lower():
        return ""
    balance: Figure = figures("gross_balance")
    if balance.is_known:
        return f"{balance.text}, at {balance.as_of}"
    return f"unknown: {balance.reason}"
