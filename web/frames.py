"""What stands around a page: its address, the slim bar, method and digest, and the recordings it shows."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ledger.numbers import format_date, format_time
from ledger.pages import Place
from web.contexts import Frame
from web.edition import Edition, replays_of

STATIC = Path(__file__).parent / "static"


@cache
def static_files() -> dict[str, bytes]:
    """Static files by their path on the site; a name carries its digest, so that it may be kept for ever."""
    found = {}
    for file in sorted(STATIC.iterdir()):
        body = squeeze(file.read_text()).encode() if file.suffix == ".css" else file.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:10]
        found[f"/static/{file.stem}.{digest}{file.suffix}"] = body
    return found


def squeeze(css: str) -> str:
    """A style sheet without comments and without the spaces that only people need; strings stay as they are."""
    parts = re.split(r'("[^"]*")', re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))
    for place in range(0, len(parts), 2):
        text = re.sub(r"\s+", " ", parts[place])
        # A space before a colon says "any element inside"; one after it says nothing.
        parts[place] = re.sub(r" ?([{};,]) ?|(:) ", r"\1\2", text).replace(";}", "}")
    return "".join(parts).strip()


def static_path(name: str) -> str:
    """Path of a static file by its plain name; raises KeyError for one that is not there."""
    stem, suffix = Path(name).stem, Path(name).suffix
    for path in static_files():
        if path.startswith(f"/static/{stem}.") and path.endswith(suffix):
            return path
    raise KeyError(f"web/static has no {name}")


def frame(
    edition: Edition,
    path: str,
    title: str,
    *,
    description: str = "",
    json_path: str = "",
    places: Sequence[Place] = (),
    picture: str = "",
) -> Frame:
    """The frame of one page; `places` are the segments whose data it shows, `picture` the path of its preview."""
    current = sum(source.is_current for source in edition.sources)
    count = len(edition.sources)
    return Frame(
        title=title,
        path=path,
        canonical=edition.config.site_url + path,
        description=description,
        json_path=json_path,
        style=static_path("site.css"),
        icon=static_path("icon.svg"),
        as_of=_as_of(edition),
        sources=f"{current} of {count} {'source' if count == 1 else 'sources'} current",
        is_late=current < count,
        method_version=edition.method_version,
        digest=edition.digest,
        replays=replays_of(list(places)),
        # A preview without a full address would be looked for on the pages of whoever shows it.
        picture=edition.config.site_url + picture if edition.config.site_url and picture else "",
    )


def _as_of(edition: Edition) -> str:
    """The time of the numbers; recordings of several years are as far apart as they are."""
    if edition.as_of is None:
        return "No numbers computed yet"
    oldest, newest = edition.as_of
    if oldest == newest:
        return f"Data as of {format_time(newest)}"
    if oldest.date() == newest.date():
        return f"Data as of {oldest:%H:%M} to {newest:%H:%M} UTC, {format_date(newest)}"
    return f"Data as of {format_date(oldest)} to {format_date(newest)}, by fund"
