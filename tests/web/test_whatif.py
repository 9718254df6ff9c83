"""A move of the reader's choice: by hand, at every published point, and where it cannot be computed."""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlalchemy import Engine

from app.server import open_socket, serving
from ledger.database import open_engine, writing
from ledger.numbers import Rounding, format_usd
from ledger.pages import asking
from ledger.tables import Asset, Platform, Reading, Segment
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.crawling import find_faults
from tests.web.inventor import NOW, SIMULATED, Inventor
from web.edition import Edition, SiteConfig
from web.restored import Inputs, restore_inputs
from web.site import create_site
from web.whatif import read_move

SLUG = "alpha-simulated"
SHOCKS = (-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
NAMES = ("symbol", "qty", "price", "floor_haircut", "depth_haircut", "beta", "access")
ASSETS = [
    dict(zip(NAMES, row, strict=True))
    for row in (("USDC", "120", "1", 0.005, 0.0, 0.0, 0.98), ("ETH", "1", "100", 0.2, 0.1, 1.0, 1.0))
]


def loss_of(shock: float) -> float:
    """By hand: a long of 1,000 USD with 100 of equity, and a short of 400 USD with 50."""
    return max(0.0, -(100 + 1000 * shock)) + max(0.0, -(50 - 400 * shock))


def usable_of(shock: float) -> float:
    """By hand: 120 × 98 % × 99.5 %, and 100 less what depth takes after the move, at most 80."""
    return 117.012 + 100 * min((1 + min(shock, 0)) * 0.9, 0.8)


def grid_of(loss: Callable[[float], float]) -> list[dict[str, Any]]:
    """As the calculator keeps it: to the cent, with the ratio to four places."""
    return [
        {"shock": s, "loss": f"{loss(s):.2f}", "usable": f"{usable_of(s):.2f}",
         "ratio": round(usable_of(s) / loss(s), 4) if loss(s) else None}
        for s in SHOCKS
    ]  # fmt: skip


def mix_loss(shock: float) -> float:
    """By hand: open interest of 1,000 USD by the published mix of leverage."""
    shares = {3: 0.10, 5: 0.25, 10: 0.35, 20: 0.20, 50: 0.10}
    return 1000 * sum(share * max(0.0, abs(shock) - 1 / leverage) for leverage, share in shares.items())


READ = {
    ("account_value", "0xlong"): 100,
    ("account_value", "0xshort"): 50,
    ("position_size", "0xlong/0xe7"): 10,
    ("position_size", "0xshort/0xe7"): -4,
    ("index_price", "0xe7"): 100,
}
"""What was read at the block of the numbers, in whole units; None is a call that failed."""


class Bench:
    """A site over one fund with two accounts on one market."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def publish(
        self,
        *,
        positions: str = "public",
        gap: tuple[Any, ...] = ("0.12", "fraction", None, "ok", ""),
        read: Mapping[tuple[str, str], int | None] = READ,
        assets: Sequence[Mapping[str, Any]] = ASSETS,
        segment_status: str = "ok",
        **detail: Any,
    ) -> "Bench":
        """Readings, and metrics as the calculator would keep them."""
        loss = mix_loss if positions == "leverage mix" else loss_of
        told = {"positions": positions, "grid": grid_of(loss), "capped_markets": []} | detail
        market = {"market": "0xe7", "symbol": "vETH", "exposure_usd": "1000.00"}
        with writing(self.engine) as session:
            inventor = Inventor(session)
            inventor.add(Platform(slug="perp-v2", name="Perp v2"))
            inventor.chain(SIMULATED, "crash", "Crash", "simulated", NOW)
            usdc = inventor.asset(SIMULATED, "USDC", 6, 1.0, NOW, beta=0.0)
            inventor.add(Asset(chain_id=SIMULATED, address="0xe7", symbol="vETH", decimals=18))
            more = {"segment_status": segment_status, "segment_reason": "halted at block 7" * (segment_status != "ok")}
            segment = inventor.fund(SLUG, "Alpha (simulated)", SIMULATED, "perp-v2", asset=usdc, **more)
            self._read(inventor, segment, read)
            inventor.metrics(
                segment,
                NOW,
                {
                    "gap_survived": (*gap, told),
                    "usable_value": ("197.01", "usd", None, "ok", "", {"assets": list(assets)}),
                    "exposure": ("1000.00", "usd", None, "ok", "", {"markets": [market]}),
                    "status": ("2", "band", "thin"),
                },
            )
        return self

    def _read(self, inventor: Inventor, segment: Segment, read: Mapping[tuple[str, str], int | None]) -> None:
        block = inventor.block(SIMULATED, NOW)
        for (name, subject), value in read.items():
            inventor.add(
                Reading(
                    chain_id=SIMULATED, block_hash=block.hash, segment_id=segment.id, name=name, subject=subject,
                    block_number=block.number, block_time=NOW, decimals=18, contract="0xc0", call="invented()",
                    value_raw=None if value is None else value * 10**18, error="reverted" if value is None else None,
                )
            )  # fmt: skip

    def inputs(self) -> Inputs | str:
        """What the latest stress was computed from."""
        with asking(self.engine) as session:
            edition = Edition(session, lambda: NOW, SiteConfig())
            return restore_inputs(edition, edition.places[0])

    def ask(self, shock: str, *, code: int = 200) -> str:
        """What a reader reads."""
        answer = self.reader.get(f"/stress?fund={SLUG}&shock={shock}")
        assert answer.status_code == code
        return text_of(answer.text)

    @property
    def reader(self) -> Reader:
        """Somebody who asks."""
        return Reader(create_site(self.engine, lambda: NOW, SiteConfig()))


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture
def bench(sqlite_ledger_url: str) -> Iterator[Bench]:
    """An empty ledger to publish a fund into."""
    engine = open_engine(sqlite_ledger_url)
    upgrade(engine)
    yield Bench(engine)
    engine.dispose()


@pytest.mark.parametrize(("positions", "loss"), [("public", loss_of), ("leverage mix", mix_loss)])
def test_every_published_point_comes_out_again(bench: Bench, positions: str, loss: Callable[[float], float]) -> None:
    bench.publish(positions=positions)
    found = bench.inputs()
    assert isinstance(found, Inputs)
    for shock in SHOCKS:
        assert found.find_loss(shock) == pytest.approx(loss(shock), abs=1e-9)
        assert found.find_usable(shock) == pytest.approx(usable_of(shock), abs=1e-9)
        page = bench.ask(f"{shock * 100:g}")
        published = next(row for row in grid_of(loss) if row["shock"] == shock)
        for number in (published["loss"], published["usable"]):
            rounding = Rounding.UP if number == published["loss"] else Rounding.DOWN
            assert page.count(format_usd(Decimal(number), rounding)) >= 2  # As computed, and as published beside it.


def test_a_move_between_two_points_is_computed_from_the_accounts_and_not_from_the_points(bench: Bench) -> None:
    page = bench.publish().ask("-12.5")
    # The long loses 125 of its 100; half way between the points it would be 50.
    assert "leave losses of $25; the fund could pay $195." in page
    assert "−20 % $100 $189 1.89×" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "0xlong $100 $25" in page
    assert "0xshort" not in page
    assert "vETH $25 $25" in page


def test_what_is_left_over_falls_on_those_who_come_next(bench: Bench) -> None:
    page = bench.publish().ask("-50")
    assert "losses of $400; the fund could pay $162, and $238 would be left to others: winners and lenders." in page
    assert "Coverage at that move 0.40×" in page


def test_a_rise_costs_the_shorts_and_what_the_fund_holds_is_not_credited(bench: Bench) -> None:
    page = bench.publish().ask("20")
    assert "by +20 % would leave losses of $30; the fund could pay $197." in page.replace("\N{NO-BREAK SPACE}", " ")


def test_no_loss_is_said_in_words_and_not_as_infinite_coverage(bench: Bench) -> None:
    page = bench.publish().ask("-5")
    assert "leave losses of $0;" in page
    assert "Coverage at that move not exhausted" in page
    assert "0 % $0 $197 no loss" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert not re.search(r"\b(NaN|None|inf|Infinity)\b", page)


def test_numbers_name_their_block_and_say_that_the_status_stays(bench: Bench) -> None:
    page = bench.publish().ask("-20")
    assert page.count("(22 Nov 2026, 17:02 UTC)") >= 4
    assert "Published status: Thin" in page
    assert "Replay of Crash : simulated" in page
    assert "Nothing is liquidated on the way" in page


def test_the_move_is_drawn_among_the_published_ones_with_its_own_exact_loss(bench: Bench) -> None:
    site = bench.publish().reader
    page = site.get(f"/stress?fund={SLUG}&shock=15").text
    assert page == site.get(f"/stress?fund={SLUG}&shock=15").text
    drawing = r'<svg [^>]*role="group" aria-label="Loss and usable value against a move of all prices"[^>]*>.*?</svg>'
    wide, narrow = re.findall(drawing, page)
    # The short loses 60 of its 50; half way between the published points it would be 15.
    for svg in (wide, narrow):
        assert "+15\N{NO-BREAK SPACE}%: loss $10" in svg
    caption = text_of(re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)[0])
    assert "solid the loss, dashed what the fund could pay." in caption
    assert "loss $10 and usable value $197, both computed for this move" in caption
    for href in (f"/funds/{SLUG}/facts/gap_survived.json", f"/funds/{SLUG}#stress"):
        assert f'<a href="{href}">' in page
        assert site.get(href.partition("#")[0]).status_code == 200
    assert not find_faults("/stress", page)


def test_what_is_only_partly_known_stays_so(bench: Bench) -> None:
    page = bench.publish(gap=("0.12", "fraction", None, "stale", "the last balance is 6 hours old")).ask("-20")
    assert "Loss at that move $100 stale the last balance is 6 hours old; at block" in page


def test_caps_of_markets_stand_beside_their_losses(bench: Bench) -> None:
    capped = [{"market": "vETH", "cap_left_usd": "12.34"}]
    page = bench.publish(positions="leverage mix", capped_markets=capped).ask("-20")
    assert "a published leverage mix stands in for them" in page
    assert "vETH $1,000 $83 $12.34" in page
    # The fund holds enough, and may not pay it all the same.
    assert "could pay $189, but its markets' own caps admit only $12.34 of that loss, and $70.66 would be left" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grid": [{"shock": -0.2, "loss": "100.02", "usable": "189.01"}]}, "does not give back the published losses"),
        ({"grid": [{"shock": -0.2, "loss": "100.00", "usable": "189.03"}]}, "does not give back the published losses"),
        ({"grid": [{"shock": -0.2, "loss": "100.00", "usable": None}]}, "a point of the published stress is not known"),
        ({"grid": []}, "no point of the published stress is stored"),
        ({"positions": "hearsay"}, "where the losses come from is not stored"),
        ({"gap": (None, "fraction", None, "unknown", "no price feed answered")}, "no price feed answered"),
        ({"read": {}}, "the accounts of that block are not stored"),
        ({"read": READ | {("account_value", "0xlong"): None}}, "of account 0xlong could not be read"),
        ({"read": READ | {("index_price", "0xe7"): None}}, "of account 0xlong could not be read"),
        ({"assets": []}, "what the fund holds is unknown"),
        ({"assets": [{"symbol": "USDC", "qty": "1", "price": "1"}]}, "how its assets move with prices is not stored"),
        ({"segment_status": "unverified"}, "halted at block 7"),
    ],
)
def test_what_cannot_be_computed_says_why_and_shows_no_number(bench: Bench, changes: dict[str, Any], said: str) -> None:
    page = bench.publish(**changes).ask("-20")
    assert "Among all moves" not in page
    assert re.search(f"This move cannot be computed: [^.]*{said}", page)
    assert "$" not in page


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("reserve-simulated", "it covers no defined exposure"),
        ("morpho-simulated", "there is no fund to hold against a loss, by design"),
        ("hostile", "not computed in this method version"),
        ("perp-v2-large-simulated", "how its assets move with prices is not stored with the usable value"),
    ],
)
def test_funds_of_other_kinds_say_why_nothing_can_be_tried_on_them(reader: Reader, slug: str, said: str) -> None:
    answer = reader.get(f"/stress?fund={slug}&shock=-20")
    assert answer.status_code == 200
    assert f"This move cannot be computed: {said}." in text_of(answer.text)


@pytest.mark.parametrize(
    ("typed", "move"),
    [
        ("-20", "-20"), ("−20", "-20"), ("+12.5", "12.5"), (" 0.5 ", "0.5"), ("-0", "0"), ("50", "50"),
        ("10.000", "10"), ("50.5", None), ("-51", None), ("0.25", None), ("", None), ("x", None), ("NaN", None),
        ("Infinity", None), ("1e1", None), ("1e999999999", None), ("-20 %", None), ("٢٠", None), ("1" * 100, None),
        ("0x10", None), ("1_0", None),
    ],
)  # fmt: skip
def test_a_move_is_a_number_from_minus_50_to_50_in_half_steps(typed: str, move: str | None) -> None:
    assert read_move(typed) == (None if move is None else Decimal(move))
    assert not (read_move(typed) or Decimal(1)).is_signed() or (move or "").startswith("-")


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("shock=-20", 400, "Choose one of the segments"),
        ("fund=nobody&shock=-20", 404, "“nobody” is no fund or segment here"),
        ("fund=perp-v2-large-simulated&shock=", 400, "“” is no move"),
        ("fund=perp-v2-large-simulated&shock=60", 400, "“60” is no move: type a number from −50 to 50"),
        ("fund=perp-v2-large-simulated&shock=%3Cb%3E", 400, "“<b>” is no move"),
        ("fund=" + "x" * 5000 + "&shock=1", 404, "is no fund or segment here"),
    ],
)
def test_a_question_that_is_none_is_told_why(reader: Reader, query: str, code: int, said: str) -> None:
    answer = reader.get(f"/stress?{query}")
    assert answer.status_code == code
    assert said in html.unescape(answer.text)
    assert "<b>" not in answer.text
    assert 'name="shock"' in answer.text


def test_the_form_stands_without_a_question_and_offers_only_funds(reader: Reader) -> None:
    page = reader.get("/stress").text
    assert '<link rel="canonical" href="https://backstop.example/stress">' in page
    assert 'value="-20"' in page
    assert page.count('type="radio"') == 6
    assert "morpho-simulated" not in page


def test_a_fund_without_a_move_is_chosen_in_the_form_and_nothing_is_wrong_yet(reader: Reader) -> None:
    answer = reader.get("/stress?fund=perp-v2-large-simulated")
    assert answer.status_code == 200
    assert 'role="alert"' not in answer.text
    (chosen,) = re.findall(r'<input[^>]*type="radio"[^>]* checked[^>]*>', answer.text)
    assert 'value="perp-v2-large-simulated"' in chosen
    assert 'value="-20"' in answer.text


def test_the_form_on_a_funds_page_asks_for_another_move_of_that_fund(bench: Bench) -> None:
    site = bench.publish()
    page = site.reader.get(f"/funds/{SLUG}").text
    form = page[page.index('<form class="filters" method="get" action="/stress"') :]
    fields = dict(re.findall(r'name="([^"]+)"[^>]* value="([^"]*)"', form[: form.index("</form>")]))
    assert fields == {"fund": SLUG, "shock": "-20"}
    assert "at −20 %" in site.ask(fields["shock"])


# Last of its module: while its browser is open, no other test can have a loop of its own.
@pytest.mark.parametrize("width", [320, 390, 1366])
def test_the_name_of_a_move_has_room_in_its_drawing_on_every_screen(bench: Bench, browser: Browser, width: int) -> None:
    site = create_site(bench.publish().engine, lambda: NOW, SiteConfig())
    with serving(site, open_socket("127.0.0.1", 0)) as served:
        for shock in ("-50", "-20", "0", "50"):
            page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
            page.goto(f"{served.url}/stress?fund={SLUG}&shock={shock}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            svg = page.locator("#moves svg.chart").locator("visible=true")
            box, name = svg.bounding_box(), svg.get_by_text("%: loss").bounding_box()
            assert box is not None
            assert name is not None
            assert box["x"] <= name["x"]
            assert name["x"] + name["width"] <= box["x"] + box["width"]
            assert box["y"] <= name["y"]
            page.context.close()
