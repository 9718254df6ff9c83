"""Preview pictures: their size, that their text is drawn, and the addresses by which pages name them."""

import re
import struct
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from ledger.kinds import Status
from ledger.pages import asking
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.cards import BOX, Card, make_card
from web.edition import Edition, SiteConfig
from web.press import Press
from web.site import create_site
from web.templating import render

LARGE = "perp-v2-large-simulated"


def card_of(engine: Engine, slug: str) -> Card:
    with asking(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        return make_card(edition, edition.funds()[slug][0])


def drawn(card: Card) -> bytes:
    import vl_convert  # noqa: PLC0415

    colours = {"ink": "#000000", "paper": "#ffffff", "accent": "#0000ff", "muted": "#333333"}
    picture: bytes = vl_convert.svg_to_png(render("card.svg", card=card, **colours).decode(), scale=1)
    return picture


@pytest.mark.parametrize("slug", [LARGE, "hostile", "morpho-simulated", "perp-v2-optimism"])
def test_a_picture_is_a_png_of_1200_by_630(reader: Reader, slug: str) -> None:
    answer = reader.get(f"/og/{slug}.png")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", answer.content[16:24]) == (1200, 630)
    assert len(answer.content) < 300_000


def test_the_same_state_gives_the_same_bytes(reader: Reader, engine: Engine, site_config: SiteConfig) -> None:
    again = Press(engine, lambda: NOW, site_config).sheet(f"/og/{LARGE}.png")
    assert again is not None
    assert again.body == reader.get(f"/og/{LARGE}.png").content


def test_name_status_numbers_and_moment_are_each_drawn(engine: Engine) -> None:
    card = card_of(engine, LARGE)
    whole = drawn(card)
    gone = [
        replace(card, names=()),
        replace(card, word=""),
        replace(card, numbers=()),
        replace(card, said=()),
        replace(card, notice=()),
        replace(card, kind=""),
        replace(card, paths=()),
    ]
    # A font that is not there draws nothing and complains of nothing.
    assert all(len(drawn(less)) < len(whole) for less in gone)


def test_a_picture_says_the_numbers_with_their_moment(engine: Engine) -> None:
    card = card_of(engine, LARGE)
    assert card.key is Status.THIN
    assert card.numbers == (("Coverage", "1.42×"), ("Usable value", "$512,300"))
    assert re.fullmatch(r"At block\s1,\d{3},\d{3} \(24 May 2021, 00:00 UTC\)", card.said[-1])
    assert card.kind == "Replay: simulated"
    assert "Not a promise" in " ".join(card.notice)


def test_what_is_stale_or_unknown_shows_no_number_as_if_it_were_current(engine: Engine) -> None:
    stale = card_of(engine, "perp-v2-optimism")
    assert (stale.key, stale.numbers) == (Status.NOT_COMPUTABLE, ())
    assert stale.said[0] == "Its source is not current"
    never = card_of(engine, "hostile")
    assert (never.key, never.numbers, never.paths) == (Status.NOT_COMPUTABLE, (), ())
    assert never.said[-1] == "Never computed"


def test_the_line_stays_in_its_box(engine: Engine) -> None:
    left, top, width, height = BOX
    pairs = [pair.split(",") for path in card_of(engine, LARGE).paths for pair in path.split()]
    assert len(pairs) > 2
    assert all(left <= float(x) <= left + width and top <= float(y) <= top + height for x, y in pairs)


def test_pages_of_funds_name_their_picture_where_the_site_knows_its_address(reader: Reader, engine: Engine) -> None:
    head = reader.get(f"/funds/{LARGE}").text.partition("</head>")[0]
    assert f'<meta property="og:image" content="https://backstop.example/og/{LARGE}.png">' in head
    assert '<meta name="twitter:card" content="summary_large_image">' in head
    assert '<meta property="og:title" content="Perp v2, large fund (simulated, May 2021)">' in head
    assert "og:image" not in reader.get("/status").text
    nowhere = Reader(create_site(engine, lambda: NOW, SiteConfig())).get(f"/funds/{LARGE}").text
    assert "og:image" not in nowhere
    assert "og:url" not in nowhere
    assert "og:title" in nowhere


def test_there_is_no_picture_of_nobody(reader: Reader) -> None:
    assert reader.get("/og/nobody.png").status_code == 404
