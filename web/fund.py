"""A fund's page: its segments one after the other, never added up, and what its file says of it."""

from collections.abc import Sequence

from ledger.kinds import FundKind
from ledger.numbers import format_day
from ledger.pages import Place
from ledger.words import chain_title, fund_kind_words, kind_words
from web.changes import fund_changes
from web.contexts import FundPage, Layer, Link
from web.edition import Edition
from web.figures import Figures
from web.frames import frame
from web.layers import holding
from web.past import day_path
from web.segments import segment_part
from web.severity import worst_first


def fund_page(edition: Edition, slug: str, days: str = "") -> FundPage | None:
    """The page of one fund, its charts in that range, or None where there is no such fund."""
    places = edition.funds().get(slug)
    if not places:
        return None
    places = worst_first(edition, places)
    first = places[0]
    fund, chain = first.fund, first.chain
    kind = kind_words(chain.kind)
    return FundPage(
        frame=frame(
            edition,
            f"/funds/{slug}",
            fund.name,
            description=fund.summary,
            json_path=f"/funds/{slug}.json",
            places=places,
            picture=f"/og/{slug}.png",
        ),
        name=fund.name,
        platform=Link(first.platform.name, _web_link(first.platform.url)),
        chain=f"{chain_title(chain)} ({kind})" if kind else chain.name,
        kind=fund_kind_words(fund.kind),
        summary=fund.summary,
        segments=tuple(segment_part(edition, place, is_only=len(places) == 1, days=days) for place in places),
        layers=_layers(edition, first),
        control=fund.control,
        changes=fund_changes(edition, places),
        methodology=fund.methodology,
        contracts=tuple((name, _address(chain.explorer, str(at))) for name, at in sorted(fund.contracts.items())),
        caveats=tuple(fund.caveats),
        sources=tuple(
            Link(str(one.get("title", one.get("url", ""))), _web_link(str(one.get("url", "")))) for one in fund.sources
        ),
        at=_newest_day(edition, slug, places),
    )


def _newest_day(edition: Edition, slug: str, places: Sequence[Place]) -> Link | None:
    """The address under which today's numbers stay."""
    day = max((metric.day for place in places for metric in edition.metrics_of(place).values()), default="")
    return Link(format_day(day), day_path(slug, day)) if day else None


def _layers(edition: Edition, place: Place) -> tuple[Layer, ...]:
    figures = Figures(edition, place)
    layers: Sequence[dict[str, object]] = place.fund.waterfall
    return tuple(
        Layer(
            number=number,
            name=str(layer.get("layer", "")),
            owner=str(layer.get("owner", "")),
            trigger=str(layer.get("trigger", "")),
            note=str(layer.get("note", "")),
            amount=holding(place, figures, str(layer.get("layer", ""))),
            is_last=number == len(layers) and place.fund.kind != FundKind.RESERVE,
        )
        for number, layer in enumerate(layers, start=1)
    )


def _web_link(url: str) -> str:
    """An address a page may link to; anything else is shown as text only."""
    return url if url.startswith(("https://", "http://")) else ""


def _address(explorer: str, address: str) -> Link:
    start = explorer.rstrip("/")
    return Link(address, f"{start}/address/{address}" if _web_link(start) and address.startswith("0x") else "")
