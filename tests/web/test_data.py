"""The page of data: every file it offers is there, commands it names exist, and its citation holds."""

import html
import re

import pytest
from typer.main import get_command

from app.cli import cli
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.site import create_site


@pytest.fixture(scope="module")
def page(reader: Reader) -> str:
    answer = reader.get("/data")
    assert answer.status_code == 200
    return answer.text


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def files_of(page: str) -> list[str]:
    offered = page[page.index('id="downloads"') : page.index('id="digest"')]
    return re.findall(r'href="(/[^"]+\.(?:json|csv|atom|parquet))"', offered)


def test_every_file_that_is_offered_is_there(page: str, reader: Reader) -> None:
    offered = files_of(page)
    assert len(offered) == len(set(offered)) > 12
    for path in offered:
        assert reader.get(path).status_code == 200, path


def test_files_of_all_funds_and_of_each_fund_are_offered(page: str) -> None:
    offered = set(files_of(page))
    assert {
        "/funds.json",
        "/events.json",
        "/events.atom",
        "/alerts/log.atom",
        "/status.json",
        "/coverage.json",
    } <= offered
    for slug in ("perp-v2-large-simulated", "morpho-simulated", "hostile"):
        assert f"/funds/{slug}.json" in offered
    assert not [path for path in offered if "/facts/" in path or "/badges/" in path]


def test_rows_and_newest_numbers_are_told(page: str) -> None:
    said = text_of(page)
    assert "8 funds, 8 segments" in said
    assert re.search(
        r"Perp v2, large fund \(simulated, May 2021\) .{0,120}4 days block 1,\d{3},\d{3} \(24 May 2021", said
    )
    assert re.search(r"Fund <script>alert\('x'\)</script> .{0,120}0 days –", said)


def test_the_citation_names_version_digest_span_and_address(page: str, reader: Reader) -> None:
    digest = reader.get("/funds.json").json()["digest"]
    bibtex = html.unescape(re.search(r"<pre>(.+?)</pre>", page, re.S)[1])  # type: ignore[index]
    fields = dict(re.findall(r"^  (\w+) = \{(.+)\},$", bibtex, re.M))
    assert bibtex.startswith(f"@misc{{backstop-{digest[:12]},\n")
    assert bibtex.endswith("\n}")
    assert set(fields) == {"title", "author", "year", "note", "url"}
    assert fields["note"] == f"Method version 1, data as of 2021-05-24 to 2026-11-22, digest {digest}"
    assert (fields["year"], fields["url"]) == ("2026", "https://backstop.example")
    assert f"method version 1, data as of 2021-05-24 to 2026-11-22, digest {digest}" in text_of(page)


def test_the_licences_are_said_plainly(page: str) -> None:
    said = text_of(page)
    assert "The code is under the MIT licence. The data are facts read from public chains" in said
    assert "Not a promise that losses will be paid" in said


def test_every_command_it_names_exists_with_its_options(page: str) -> None:
    commands = get_command(cli)
    named = [html.unescape(found).split() for found in re.findall(r"<code>(backstop [^<]+)</code>", page)]
    assert len(named) == 6
    for _, name, *words in named:
        command = commands.get_command(None, name)  # type: ignore[attr-defined,arg-type]
        assert command is not None, name
        options = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, name


def test_commands_name_a_number_that_is_there(page: str, reader: Reader) -> None:
    slug, metric, day = re.search(r"backstop explain (\S+) (\S+) --day (\S+)</code>", page).groups()  # type: ignore[union-attr]
    told = reader.get(f"/funds/{slug}/facts/{metric}.json").json()["segments"][0]["metric"]
    assert told["day"] == day
    assert told["value"] is not None


def test_the_dictionary_has_every_table_with_an_anchor(reader: Reader) -> None:
    answer = reader.get("/data/dictionary")
    assert answer.status_code == 200
    for table in ("chain", "fund", "segment", "metric", "fact", "reading"):
        assert f'<h2 id="{table}">{table}</h2>' in answer.text
    assert '<link rel="canonical" href="https://backstop.example/data/dictionary">' in answer.text


def test_the_interface_is_described(page: str, reader: Reader) -> None:
    assert 'href="/openapi.json"' in page
    assert reader.get("/openapi.json").json()["openapi"].startswith("3.")


def test_before_any_number_there_is_nothing_to_cite(sqlite_ledger_url: str) -> None:
    engine = open_engine(sqlite_ledger_url)
    upgrade(engine)
    said = text_of(Reader(create_site(engine, lambda: NOW, SiteConfig())).get("/data").text)
    assert "No number was computed yet: there is nothing to cite." in said
    assert "backstop explain FUND METRIC --day YYYY-MM-DD" in said
    engine.dispose()
