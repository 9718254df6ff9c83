"""What a page says where there is nothing to show: no fund by design, nothing read, or nothing seen."""

from ledger.layers import has_fund
from ledger.pages import Place
from web.figures import Figures
from web.words import NOT_COMPUTED


def no_balance(figures: Figures) -> str:
    """Why no balance is drawn."""
    if not has_fund(figures.place):
        return "There is no balance to draw: no fund stands behind this segment, by design."
    reason = figures("gross_balance").reason or figures("usable_value").reason or NOT_COMPUTED
    return f"No balance is drawn, because none is known: {reason}. What stands behind it is listed below."


def no_composition(figures: Figures) -> str:
    """Why what it holds is not listed."""
    if not has_fund(figures.place):
        return "There is no fund that could hold anything, by design."
    return f"What it holds is unknown: {figures('usable_value').reason or NOT_COMPUTED}."


def no_flows(place: Place) -> str:
    """Why there are no flows: none seen, none read, or no fund."""
    if not has_fund(place):
        return "There is no fund to pay into or out of, by design."
    if place.asset is None:
        return "Inflows and outflows are unknown: what stands behind this segment is not read."
    return "No inflow or outflow was observed."


def no_losses(figures: Figures) -> str:
    """What an empty loss log means."""
    days = figures("observed_days")
    seen = f" in {days.text} observed" if days.is_known else ""
    return f"None recognised{seen}. Not every platform books every loss, so this is not the same as none."


def no_liquidations(figures: Figures) -> str:
    """Why none is listed: none was seen, or none could have been."""
    seen = figures.metric("liquidations")
    if seen is not None and seen.value is None:
        return f"Liquidations are unknown: {figures('liquidations').reason}."
    return "No liquidation was observed."
