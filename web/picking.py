"""Segments as a form offers them: their titles, their groups, and how what was asked for is found."""

from collections.abc import Collection, Sequence
from itertools import groupby

from ledger.pages import Place
from ledger.words import kind_words
from web.contexts import Choice
from web.edition import Edition

LONGEST_SLUG = 200
Groups = tuple[tuple[str, tuple[Choice, ...]], ...]


def place_title(edition: Edition, place: Place) -> str:
    """The fund's name, with the segment's where the fund has several."""
    is_one_of_many = len(edition.funds()[place.fund.slug]) > 1
    return f"{place.fund.name}: {place.segment.name}" if is_one_of_many else place.fund.name


def find_places(edition: Edition, slug: str) -> list[Place]:
    """The segment of that slug, else all segments of the fund of that slug; empty where there is neither."""
    own = [place for place in edition.places if place.segment.slug == slug]
    return own or edition.funds().get(slug, [])


def group_places(edition: Edition, places: Sequence[Place], chosen: Collection[str]) -> Groups:
    """Segments to choose from, those on live chains before those of recordings."""

    def order(place: Place) -> tuple[bool, str, str]:
        return bool(kind_words(place.chain.kind)), place_title(edition, place).lower(), place.segment.slug

    return tuple(
        (
            "Replays of recordings" if is_replay else "Live",
            tuple(_choice(edition, place, chosen) for place in group),
        )
        for is_replay, group in groupby(sorted(places, key=order), key=lambda place: order(place)[0])
    )


def _choice(edition: Edition, place: Place, chosen: Collection[str]) -> Choice:
    return Choice(place.segment.slug, place_title(edition, place), place.segment.slug in chosen)


def quoted(typed: str) -> str:
    """What was typed, cut and without what cannot be shown."""
    return f"“{''.join(sign for sign in typed[:60] if sign.isprintable())}”"
