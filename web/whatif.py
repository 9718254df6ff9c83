"""What if all prices moved: loss and usable value of one segment at a move that the reader chooses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Annotated, Any

from ledger.layers import after_fund, has_fund
from ledger.moments import shorten
from ledger.numbers import Rounding, finite, format_count, format_exact, format_exact_value, format_usd, format_value
from ledger.pages import Place
from ledger.words import lowered
from solvency.quantity import Quantity
from solvency.stress import (
    MAX_PERCENT,
    AccountBook,
    compute_asset_losses,
    compute_market_losses,
    compute_mix_losses,
    compute_stress_ratio,
)
from web.compare import Mistakes
from web.contexts import Badge, Cell, Chart, Figure, Frame, Link, Table
from web.curve import KnownShock, chart_stress
from web.details import detail_of, rows_of, table_of
from web.edition import Edition
from web.figures import Figures
from web.frames import frame
from web.picking import LONGEST_SLUG, Groups, find_places, group_places, place_title, quoted
from web.restored import Inputs, MixMarket, account_shortfalls, restore_inputs
from web.segments import anchor_of, stress_table

STEP = Decimal("0.5")
FIRST = Decimal(-20)
"""What the form shows before anything is typed, in per cent."""
NUMBER = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,3})?")
MOST_ACCOUNTS = 10
LIMITS = (
    "Every market moves at once by the same percentage times its beta; the fund's own assets move with it.",
    "A rise of what the fund holds is not credited.",
    "Nothing is liquidated on the way, and no forced sale moves a price further: a real crash may cost less or more.",
    "Positions, balances and prices are those of the block named; they may have changed since.",
)


@dataclass(frozen=True)
class Move:
    """What a segment would stand at after the move."""

    title: Annotated[str, "segment"]
    href: Annotated[str, "its page"]
    badge: Annotated[Badge, "published status, which this move does not change"]
    as_of: Annotated[str, "block and UTC time of what it is computed from; empty where nothing was computed"]
    move: Annotated[str, "the move in words, −20 %"]
    reason: Annotated[str, "why it cannot be computed; else empty"]
    sentence: Annotated[str, "what it means; empty where it cannot be computed"] = ""
    figures: Annotated[tuple[Figure, ...], "loss, usable value and coverage at that move"] = ()
    basis: Annotated[str, "what the losses are computed from"] = ""
    chart: Annotated[Chart | None, "the move among all published ones; None where too few of these are known"] = None
    data: Annotated[tuple[Link, ...], "the published points: as JSON, and on the fund's page"] = ()
    published: Annotated[Table | None, "the published points on either side of it"] = None
    tables: Annotated[tuple[Table, ...], "markets and accounts"] = ()


@dataclass(frozen=True)
class StressPage:
    """The form, and what it was asked."""

    frame: Annotated[Frame, "around the page"]
    choices: Annotated[Groups, "segments, one of them, by group"]
    typed: Annotated[str, "the move as it stands in the form, in per cent"]
    mistakes: Annotated[Mistakes, "id of a field, and what is wrong with it"]
    result: Annotated[Move | None, "None where nothing was asked"]
    limits: Annotated[tuple[str, ...], "what this leaves out"] = LIMITS


def stress_page(edition: Edition) -> StressPage:
    """The form with nothing chosen."""
    return _page(edition, "", f"{FIRST}")


def stress_asked(edition: Edition, query: Sequence[tuple[str, str]]) -> tuple[StressPage, int]:
    """The page of a question (fund, shock in per cent), and its status code: 400 for a move that is none, 404 for a
    segment that is not there. Without a move the form with that segment chosen."""
    asked = dict(reversed(query))
    slug, typed = asked.get("fund", ""), asked.get("shock", "")
    places = find_places(edition, slug) if len(slug) <= LONGEST_SLUG else []
    shown = typed if read_move(typed) is not None else ""
    if not slug:
        return _page(edition, "", shown, mistakes=(("fund", "Choose one of the segments."),)), 400
    if not places:
        unknown = (("fund", f"{quoted(slug)} is no fund or segment here: choose from the list."),)
        return _page(edition, "", shown, mistakes=unknown), 404
    if len(places) > 1:
        several = (("fund", f"{quoted(slug)} has several segments, which do not pay for each other: choose one."),)
        return _page(edition, "", shown, mistakes=several), 400
    if "shock" not in asked:
        return _page(edition, places[0].segment.slug, f"{FIRST}"), 200
    move = read_move(typed)
    if move is None:
        wrong = f"{quoted(typed)} is no move: type a number from −{MAX_PERCENT} to {MAX_PERCENT} in steps of {STEP}."
        return _page(edition, places[0].segment.slug, "", mistakes=(("shock", wrong),)), 400
    return _page(
        edition, places[0].segment.slug, f"{move.normalize():f}", result=make_move(edition, places[0], move)
    ), 200


def read_move(typed: str) -> Decimal | None:
    """A move in per cent, from −50 to 50 in half steps; None where the text is none."""
    text = typed.strip().replace("−", "-")
    if not NUMBER.fullmatch(text):
        return None
    move = Decimal(text) + 0  # A minus zero is no move of its own.
    return move if abs(move) <= MAX_PERCENT and move % STEP == 0 else None


def _page(
    edition: Edition, slug: str, typed: str, *, mistakes: Mistakes = (), result: Move | None = None
) -> StressPage:
    shown = [place for place in edition.places if place.segment.slug == slug]
    return StressPage(
        frame=frame(
            edition,
            "/stress",
            "What if all prices moved",
            description="Loss and usable value of one fund at a move that you choose, from every open position",
            places=shown if result else (),
        ),
        choices=group_places(edition, [place for place in edition.places if has_fund(place)], [slug]),
        typed=typed,
        mistakes=mistakes,
        result=result,
    )


def make_move(edition: Edition, place: Place, move: Decimal) -> Move:
    """What the move (per cent) does to a segment, or why that cannot be computed."""
    figures = Figures(edition, place)
    inputs = restore_inputs(edition, place)
    told = f"{'+' if move > 0 else ''}{format_exact(move)}\N{NO-BREAK SPACE}%"
    head = (place_title(edition, place), f"/funds/{place.fund.slug}", figures.badge(), figures.as_of(), told)
    if isinstance(inputs, str):
        return Move(*head, reason=inputs)
    shock = float(move / 100)
    loss, usable = inputs.find_loss(shock), inputs.find_usable(shock)
    if usable is None:
        return Move(*head, reason="what the fund could pay at that move is unknown")
    asked = KnownShock(move / 100, _cents(loss), _cents(usable))
    return Move(
        *head,
        reason="",
        sentence=_sentence(
            place, told, loss=_cents(loss), admitted=_cents(inputs.find_admitted(shock)), usable=_cents(usable)
        ),
        figures=_figures(figures, loss, usable),
        basis=_basis(inputs),
        chart=chart_stress(figures, f"stress-{anchor_of(place)}", asked),
        data=_data_links(edition, place, figures),
        published=_published(figures, asked.move),
        tables=tuple(filter(None, (_markets(inputs, shock), _accounts(inputs, shock)))),
    )


def _data_links(edition: Edition, place: Place, figures: Figures) -> tuple[Link, ...]:
    is_only = len(edition.funds()[place.fund.slug]) == 1
    section = "stress" if is_only else f"{anchor_of(place)}-stress"
    return (
        Link("The curve as JSON", f"{figures('gap_survived').href}.json"),
        Link("All published points", f"/funds/{place.fund.slug}#{section}"),
    )


def _cents(number: float) -> Decimal:
    """As published stresses are kept: the nearest cent, without a minus zero."""
    with localcontext(prec=120):  # A contract may answer with the largest number there is.
        return Decimal(repr(number)).quantize(Decimal("0.01")) + 0


def _figures(figures: Figures, loss: float, usable: float) -> tuple[Figure, ...]:
    """Loss, usable value and their ratio, as well known as the published numbers they rest on."""
    ratio = compute_stress_ratio(Quantity(usable, "usd"), Quantity(loss, "usd"))
    share = None if ratio.value is None else Decimal(repr(round(ratio.value, 8)))
    gap, held = figures("gap_survived"), figures("usable_value")
    return (
        _figure(gap, "Loss at that move", _cents(loss), Rounding.UP),
        _figure(held, "Usable value at that move", _cents(usable), Rounding.DOWN),
        _figure(gap, "Coverage at that move", share, Rounding.DOWN, words=ratio.words, unit="ratio"),
    )


def _figure(
    near: Figure, title: str, value: Decimal | None, rounding: Rounding, *, words: str = "", unit: str = "usd"
) -> Figure:
    """A number beside a published one, whose block, quality and evidence are also its own."""
    text = words if value is None else format_value(value, unit, rounding)
    exact = words if value is None else format_exact_value(value, unit)
    return Figure(near.name, title, text, exact, unit, near.as_of, near.quality, near.reason, "", near.href)


def _sentence(place: Place, move: str, *, loss: Decimal, admitted: Decimal, usable: Decimal) -> str:
    """What the fund could pay of the loss, and who would bear the rest; `admitted`: what caps let it pay."""
    start = f"An instant move of all prices by {move} would leave losses of {format_usd(loss, Rounding.UP)}"
    start += f"; the fund could pay {format_usd(usable, Rounding.DOWN)}"
    if admitted < loss:
        start += f", but its markets' own caps admit only {format_usd(admitted, Rounding.DOWN)} of that loss"
    unpaid = loss - max(min(usable, admitted), Decimal(0))
    if unpaid <= 0:
        return f"{start}."
    behind = after_fund(place)
    rest = f"{start}, and {format_usd(unpaid, Rounding.UP)} would be left to others"
    return f"{rest}: {lowered(behind.layers)}." if behind.layers else f"{rest}."


def _basis(inputs: Inputs) -> str:
    if inputs.book is not None:
        return (
            f"Computed from {format_count(len(inputs.book.names), 'account')} and their open positions at that block."
        )
    return (
        "Positions are not public: a published leverage mix stands in for them, the same for every venue. "
        "Where a market's payments are capped, its cap may bind before the fund is empty."
    )


def _published(figures: Figures, shock: Decimal) -> Table | None:
    """The published points on either side of the move, or the one at it."""
    rows = rows_of(detail_of(figures.metric("gap_survived")).get("grid"))
    at = [(finite(row.get("shock")), row) for row in rows]
    known = sorted(((point, row) for point, row in at if point is not None), key=lambda pair: pair[0])
    below = [pair for pair in known if pair[0] <= shock][-1:]
    above = [pair for pair in known if pair[0] >= shock][:1]
    return stress_table("Published points beside it", [*dict((*below, *above)).values()])


def _markets(inputs: Inputs, shock: float) -> Table | None:
    if inputs.book is not None:
        return _book_markets(inputs.book, inputs.symbols, shock)
    return table_of(
        "Loss by market, and what each market's cap would still pay", [_mix_row(one, shock) for one in inputs.mix]
    )


def _book_markets(book: AccountBook, symbols: Mapping[str, str], shock: float) -> Table | None:
    """Margin is shared: a shortfall is split by an account's losing positions."""
    split = compute_market_losses(book, [shock])[0]
    rows: list[Mapping[str, Any]] = [
        {
            "market": symbols.get(market, shorten(market)),
            "loss_usd": str(_cents(float(split[place]))),
            "loss if it alone moved_usd": str(_cents(float(compute_asset_losses(book, place, [shock])[0]))),
        }
        for place, market in enumerate(book.markets)
    ]
    return table_of("Loss by market; margin is shared, so it is split by each account's losing positions", rows)


def _mix_row(market: MixMarket, shock: float) -> Mapping[str, Any]:
    loss = float(compute_mix_losses(market.interest, [shock], beta=market.beta)[0])
    row: dict[str, Any] = {
        "market": market.symbol,
        "open_interest": str(_cents(market.interest)),
        "loss_usd": str(_cents(loss)),
    }
    return row if market.cap_left is None else row | {"left": str(_cents(market.cap_left))}


def _accounts(inputs: Inputs, shock: float) -> Table | None:
    """The accounts that lose most beyond their margin."""
    book = inputs.book
    if book is None:
        return None
    lost = account_shortfalls(book, shock)
    worst = sorted((-float(loss), name, place) for place, (name, loss) in enumerate(zip(book.names, lost, strict=True)))
    named = [one for one in worst if one[0] < 0]
    if not named:
        return None
    heads = (Cell("Account"), Cell("Value before", is_number=True), Cell("Loss beyond its margin", is_number=True))
    rows = tuple(_account(name, float(book.equity[place]), -loss) for loss, name, place in named[:MOST_ACCOUNTS])
    note = f"The first {len(rows)} of {len(named):,} accounts." if len(named) > len(rows) else ""
    return Table("Accounts that would owe more than they have, the largest first", heads, rows, note)


def _account(name: str, equity: float, loss: float) -> tuple[Cell, ...]:
    before, beyond = _cents(equity), _cents(loss)
    return (
        Cell(shorten(name), title=name),
        Cell(format_usd(before), is_number=True, title=format_exact_value(before, "usd")),
        Cell(format_usd(beyond, Rounding.UP), is_number=True, title=format_exact_value(beyond, "usd")),
    )
