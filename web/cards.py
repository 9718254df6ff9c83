"""Preview pictures of funds for other people's pages: name, status, coverage, their block and time, a small line."""

from dataclasses import dataclass
from datetime import timedelta
from textwrap import shorten, wrap

from ledger.kinds import Status
from ledger.pages import Place, daily_balances
from ledger.words import DISCLAIMER, kind_words
from web.badges import COLOURS, INK, PAPER, why_late
from web.contexts import Figure
from web.edition import Edition
from web.figures import Figures
from web.home import SPARK_DAYS
from web.picking import place_title
from web.severity import worst_first
from web.sparks import HEIGHT, WIDTH, spark
from web.templating import render
from web.words import badge

ACCENT, MUTED = "#0b6aa8", "#5a5f68"
BOX = (704, 270, 424, 170)
"""Where the line is drawn: left, top, width, height."""
LONGEST_NAME, LONGEST_SAID, LONGEST_LINE = 44, 90, 130


@dataclass(frozen=True)
class Card:
    """What a preview picture says."""

    names: tuple[str, ...]
    kind: str
    key: Status
    colour: str
    word: str
    numbers: tuple[tuple[str, str], ...]
    said: tuple[str, ...]
    paths: tuple[str, ...]
    chart: str
    notice: tuple[str, ...]


def card_png(edition: Edition, slug: str) -> bytes | None:
    """The picture of a fund, 1200 × 630; None where there is no such fund."""
    places = worst_first(edition, edition.funds().get(slug, []))
    if not places:
        return None
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first picture only.

    told = render("card.svg", card=make_card(edition, places[0]), ink=INK, paper=PAPER, accent=ACCENT, muted=MUTED)
    picture: bytes = vl_convert.svg_to_png(told.decode(), scale=1)
    return picture


def make_card(edition: Edition, place: Place) -> Card:
    """The worst segment in a few words; numbers that are too old are left out, as on badges."""
    figures = Figures(edition, place)
    late = why_late(edition, place)
    key = Status.NOT_COMPUTABLE if late else Status(figures.badge().key)
    numbers = tuple(
        (shown.title, shown.text)
        for shown in map(figures, ("coverage", "usable_value"))
        if not late and is_short(shown)
    )
    paths, chart = _line(edition, place, figures)
    kind = kind_words(place.chain.kind)
    return Card(
        names=tuple(wrap(place_title(edition, place), LONGEST_NAME, max_lines=2, placeholder=" …")),
        kind=f"Replay: {kind}" if kind else place.chain.name,
        key=key,
        colour=COLOURS[key],
        word=badge(key).word,
        numbers=numbers,
        said=_said(figures, late),
        paths=paths,
        chart=chart,
        notice=tuple(wrap(DISCLAIMER, LONGEST_LINE)),
    )


def is_short(shown: Figure) -> bool:
    """True for a number that fits; one that is unknown is said by the status."""
    return shown.is_known and shown.quality != "stale" and len(shown.text) <= 12


def _said(figures: Figures, late: str) -> tuple[str, ...]:
    """Why nothing can be compared, and where the numbers hold."""
    reason = late or (figures.status_reason() if figures.badge().key == Status.NOT_COMPUTABLE else "")
    moment = figures.as_of()
    lines = (f"{reason[:1].upper()}{reason[1:]}", f"At {moment}" if moment else "Never computed")
    return tuple(shorten(line, LONGEST_SAID, placeholder=" …") for line in lines if line)


def _line(edition: Edition, place: Place, figures: Figures) -> tuple[tuple[str, ...], str]:
    """The balance of 90 days in the picture's box, and what it is."""
    metric = next(iter(figures.metrics.values()), None)
    if metric is None:
        return (), ""
    since = f"{metric.as_of_time - timedelta(days=SPARK_DAYS):%Y-%m-%d}"
    values = daily_balances(edition.session, [place.segment_id], since)
    drawn = spark(values.get(place.segment_id, {}), "Gross balance")
    return (tuple(map(_scaled, drawn.paths)), drawn.label) if drawn else ((), "")


def _scaled(points: str) -> str:
    left, top, width, height = BOX
    pairs = (point.split(",") for point in points.split())
    return " ".join(f"{left + float(x) * width / WIDTH:.1f},{top + float(y) * height / HEIGHT:.1f}" for x, y in pairs)
