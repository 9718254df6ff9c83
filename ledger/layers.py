"""The waterfall of a fund: what stands behind it, and whose loss it is in the end."""

from dataclasses import dataclass

from ledger.kinds import FundKind
from ledger.pages import Place
from ledger.words import lowered


def has_fund(place: Place) -> bool:
    """False where users carry losses by design."""
    return place.fund.kind != FundKind.NO_FUND


@dataclass(frozen=True)
class Behind:
    """What stands behind the fund: how pages call it, the layers in order, and whose loss it is in the end."""

    title: str
    layers: str
    losers: str


def after_fund(place: Place) -> Behind:
    """The layers after the one that is the fund, in order; where no layer is one, the last, which carries the loss."""
    if place.fund.kind == FundKind.RESERVE:
        return Behind("What comes next if it runs out", "Nothing is defined: it covers no defined exposure", "")
    layers = [str(layer.get("layer", "")) for layer in place.fund.waterfall]
    fund = next((at for at, name in enumerate(layers) if "fund" in name.lower()), None)
    owner = str(place.fund.waterfall[-1].get("owner", "")) if layers else ""
    if not layers or not has_fund(place) or fund is None or fund + 1 >= len(layers):
        return Behind("Who carries the loss in the end", layers[-1] if layers else "", owner)
    first, *others = layers[fund + 1 :]
    told = ", then ".join([first, *(lowered(layer) for layer in others)])
    return Behind("What comes next if it runs out", told, owner)
