"""The page of data: what can be downloaded, under which licence, how to cite it, and how to check a number oneself."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from ledger.counts import count_days
from ledger.evidence import count_events
from ledger.numbers import format_count, format_time
from web.contexts import DocumentPage, Frame, Link
from web.documents import MISSING, load_document, render_markdown
from web.edition import Edition
from web.evidence import LOSS_ROLES
from web.figures import Figures
from web.frames import frame
from web.severity import worst_first

SUFFIX = re.compile(r"\.(json|csv|parquet|atom|xlsx)$")
OF_FUND = re.compile(r"/funds/([^/]+?)(?:/history|/events)?\.\w+")
NOT_HERE = ("/funds/", "/badges/", "/og/", "/static/", "/events/")
"""Files of single funds and events: those of funds stand in a table of their own."""
NAMES = {
    "/funds": "Every fund with its latest numbers",
    "/events": "Shortfalls, payouts, auto-deleveraging and socialised losses",
    "/changes": "Changes of owners, implementations and parameters",
    "/alerts/log": "What was announced",
    "/status": "How our own sources stand",
    "/coverage": "What is missing",
}
CITED = "Backstop: insurance funds of trading and lending platforms"


@dataclass(frozen=True)
class Download:
    """The same data in one or more forms."""

    title: Annotated[str, "what it holds"]
    href: Annotated[str, "page of it; empty: none"]
    files: Annotated[tuple[Link, ...], "one a form"]
    size: Annotated[str, "how many rows; empty where nobody counts them"]
    updated: Annotated[str, "block and time of the newest number in it; empty where it holds none"]


@dataclass(frozen=True)
class Citation:
    """How to cite this state of the data."""

    text: Annotated[str, "one sentence"]
    bibtex: Annotated[str, "the same for BibTeX"]


@dataclass(frozen=True)
class DataPage:
    """Downloads, licence, citation, and how to verify."""

    frame: Annotated[Frame, "around the page"]
    site: Annotated[tuple[Download, ...], "files about all funds"]
    funds: Annotated[tuple[Download, ...], "files of each fund"]
    citation: Annotated[Citation | None, "None before any number was computed"]
    example: Annotated[tuple[str, str, str, str], "fund, metric, day and chain that the commands name"]


def data_page(edition: Edition, paths: Sequence[str]) -> DataPage:
    """The page; `paths` are those that the site has, so that no file is offered that is not there."""
    files = [path for path in paths if SUFFIX.search(path)]
    return DataPage(
        frame=frame(
            edition,
            "/data",
            "Data",
            description="Downloads, feeds, data dictionary, licence, how to cite, and how to check a number yourself",
            places=edition.places,
        ),
        site=tuple(_site_files(edition, [path for path in files if not path.startswith(NOT_HERE)], set(paths))),
        funds=tuple(_fund_files(edition, files)),
        citation=cite(edition),
        example=_example(edition),
    )


def _forms(files: Iterable[str]) -> tuple[Link, ...]:
    words = {"json": "JSON", "csv": "CSV", "parquet": "Parquet", "atom": "Atom feed", "xlsx": "Excel"}
    return tuple(Link(words[path.rpartition(".")[2]], path) for path in files)


def _site_files(edition: Edition, files: Sequence[str], pages: set[str]) -> Iterable[Download]:
    stems = dict.fromkeys(SUFFIX.sub("", path) for path in files)
    sizes = _sizes(edition)
    for stem in stems:
        forms = _forms(path for path in files if SUFFIX.sub("", path) == stem)
        updated = edition_moment(edition) if stem in sizes else ""
        yield Download(NAMES.get(stem, stem), stem if stem in pages else "", forms, sizes.get(stem, ""), updated)


def _sizes(edition: Edition) -> Mapping[str, str]:
    count = len(edition.places)
    losses = count_events(edition.session, [place.segment_id for place in edition.places], LOSS_ROLES)
    return {
        "/funds": f"{format_count(len(edition.funds()), 'fund')}, {format_count(count, 'segment')}",
        "/events": format_count(losses, "fact"),
        "/coverage": format_count(count, "segment"),
    }


def edition_moment(edition: Edition) -> str:
    """The time of the newest number."""
    return format_time(edition.as_of[1]) if edition.as_of else ""


def _fund_files(edition: Edition, files: Sequence[str]) -> Iterable[Download]:
    days = count_days(edition.session, [place.segment_id for place in edition.places])
    own: dict[str, list[str]] = {}
    for path in files:
        if found := OF_FUND.fullmatch(path):
            own.setdefault(found[1], []).append(path)
    for slug, places in edition.funds().items():
        forms = tuple(Link(_form_words(path, slug), path) for path in own.get(slug, []))
        count = sum(days.get(place.segment_id, 0) for place in places)
        moment = Figures(edition, worst_first(edition, places)[0]).as_of()
        size = (
            format_count(count, "day")
            if len(places) == 1
            else format_count(count, "day of a segment", "days of segments")
        )
        yield Download(places[0].fund.name, f"/funds/{slug}", forms, size, moment)


def _form_words(path: str, slug: str) -> str:
    """Everything as JSON, history as CSV, events as Atom feed."""
    part = SUFFIX.sub("", path).removeprefix(f"/funds/{slug}").strip("/") or "now"
    return f"{part}: {_forms([path])[0].text}"


def cite(edition: Edition) -> Citation | None:
    """The citation names method version and digest: two sites with one digest show the same numbers."""
    if edition.as_of is None:
        return None
    oldest, newest = edition.as_of
    span = f"{newest:%Y-%m-%d}" if oldest.date() == newest.date() else f"{oldest:%Y-%m-%d} to {newest:%Y-%m-%d}"
    told = f"method version {edition.method_version}, data as of {span}, digest {edition.digest}"
    address = edition.config.site_url
    lines = [
        f"@misc{{backstop-{edition.digest[:12]},",
        f"  title = {{{CITED}}},",
        "  author = {{Backstop contributors}},",
        f"  year = {{{newest:%Y}}},",
        f"  note = {{{told[:1].upper()}{told[1:]}}},",
        *([f"  url = {{{address}}},"] if address else []),
        "}",
    ]
    return Citation(f"Backstop contributors, {CITED}: {told}{', ' + address if address else ''}.", "\n".join(lines))


def _example(edition: Edition) -> tuple[str, str, str, str]:
    """The first number of the ledger that is known; placeholders before there is any."""
    for place in edition.places:
        metric = edition.metrics_of(place).get("usable_value")
        if metric is not None and metric.value is not None:
            return place.fund.slug, metric.name, metric.day, place.chain.slug
    return "FUND", "METRIC", "YYYY-MM-DD", "CHAIN"


def dictionary_page(edition: Edition) -> DocumentPage:
    """Every table and column of the ledger, as docs/data-dictionary.md has them."""
    text = load_document(edition.config.docs, "data-dictionary")
    body, contents = render_markdown(text.partition("\n")[2] or MISSING)
    around = frame(edition, "/data/dictionary", "Data dictionary", description="Every table and column of the ledger")
    return DocumentPage(around, "Data dictionary", "data-dictionary", contents, body)
