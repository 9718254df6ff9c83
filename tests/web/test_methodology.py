"""The page of the methodology: anchors that stay, every metric's section, tables that scroll, the static tree."""

import html
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.words import DATA_WORDS, STATUSES
from solvency.compute import METHOD_VERSION
from solvency.formulas import FORMULAS
from solvency.methodology import format_cut
from solvency.status import CUT_POINTS
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from tests.web.test_words import BANNED
from web.catalogue import METRICS
from web.documents import find_section, render_markdown, slug
from web.edition import SiteConfig
from web.publish import publish
from web.site import create_site
from web.words import badge

ANCHORS = [*(f"m{number}" for number in range(1, 15)), "coverage", "data-status", "status", "backtest", "changelog"]


@pytest.fixture(scope="module")
def page(reader: Reader) -> str:
    return reader.get("/methodology").text


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_its_heading_names_the_version(page: str) -> None:
    assert f'<h1 id="methodology">Methodology, version {METHOD_VERSION}</h1>' in page
    assert f"<title>Methodology, version {METHOD_VERSION} · Backstop</title>" in page


@pytest.mark.parametrize("anchor", ANCHORS)
def test_each_section_has_an_anchor_that_the_contents_lead_to(page: str, anchor: str) -> None:
    assert page.count(f'<h2 id="{anchor}">') == 1
    contents = page[page.index('id="contents"') : page.index("</nav>", page.index('id="contents"'))]
    assert f'href="#{anchor}"' in contents


def test_the_anchor_of_a_metric_outlives_its_title() -> None:
    assert slug("M4 Expected shortfall") == slug("M4 The mean of the worst days") == "m4"
    assert slug("Data status") == "data-status"


@pytest.mark.parametrize("name", sorted({*METRICS, *FORMULAS}))
def test_every_metric_has_a_section_of_the_methodology(page: str, name: str) -> None:
    path, _, anchor = find_section(name).partition("#")
    assert path == "/methodology"
    assert f'<h2 id="{anchor}">' in page, f"name the section of {name} in solvency/formulas.py"


def test_a_metric_without_a_formula_leads_to_the_whole_methodology() -> None:
    assert find_section("never_heard_of") == "/methodology"


def test_the_page_of_a_number_leads_to_its_section(reader: Reader) -> None:
    number = reader.get("/funds/perp-v2-large-simulated/facts/gap_survived").text
    assert '<a href="/methodology#m6">how this is computed</a>' in number


def test_every_cut_point_is_on_the_page_with_its_number(page: str) -> None:
    said = text_of(page)
    for metric, cut in CUT_POINTS.items():
        for value in (cut.ample, cut.covered, cut.thin):
            assert f"{'≤' if cut.is_smaller_better else '≥'} {format_cut(value, cut.unit)}" in said, metric


def test_every_word_of_both_axes_is_on_the_page(page: str) -> None:
    said = text_of(page).lower()
    words = [*DATA_WORDS.values(), *(badge(status).word for status in STATUSES)]
    assert not [word for word in words if word.lower().partition(":")[0] not in said]


def test_a_table_scrolls_by_itself_and_by_keyboard(page: str) -> None:
    boxes = re.findall(r'<div class="scroll" role="region" aria-label="([^"]+)" tabindex="0"><table>', page)
    assert boxes == ["Table: Scenarios of named days", "Table: Status"]
    assert page.count("<table>") == page.count("</table>\n</div>") == 2


def test_html_in_a_document_stays_text() -> None:
    body, _ = render_markdown("# A\n\n<script>alert(1)</script>\n\n| a |\n|---|\n| <b>x</b> |\n")
    assert "<script" not in body
    assert "<b>" not in body


def test_how_the_file_is_made_is_not_shown_to_readers(page: str) -> None:
    assert "python -m" not in page


def test_no_slot_and_no_banned_word_is_on_the_page(page: str) -> None:
    said = text_of(page)
    assert "{{" not in said
    assert not BANNED.findall(said)


def test_the_changelog_is_a_page_that_every_page_leads_to(reader: Reader, pages: dict[str, str]) -> None:
    changelog = pages["/methodology/changelog"]
    assert f'<h2 id="version-{METHOD_VERSION}">' in changelog
    assert '<h2 id="version-1">' in changelog
    assert all('<a href="/methodology/changelog">Method version' in text for text in pages.values())


def test_both_pages_are_published_as_they_are_served(
    reader: Reader, engine: Engine, site_config: SiteConfig, tmp_path: Path
) -> None:
    publish(engine, lambda: NOW, tmp_path / "site", site_config)
    for path in ("/methodology", "/methodology/changelog"):
        published = tmp_path / "site" / path.strip("/") / "index.html"
        assert published.read_text() == reader.get(path).text


def test_an_installation_without_documents_says_so(engine: Engine, tmp_path: Path) -> None:
    bare = Reader(create_site(engine, lambda: NOW, SiteConfig(docs=tmp_path)))
    for path, title in (("/methodology", "Methodology"), ("/methodology/changelog", "Changelog of the method")):
        answer = bare.get(path)
        assert answer.status_code == 200
        assert f">{title}</h1>" in answer.text
        assert "This document is not part of this installation." in answer.text
