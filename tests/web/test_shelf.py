"""The database is away: pages come from the published copy and say so; nothing else pretends to be current."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine, writing
from ledger.tables import Platform
from tests.web.conftest import Reader
from tests.web.crawling import text_of
from tests.web.inventor import NOW, SIMULATED, Inventor
from tests.web.small import invent_small
from web.edition import SiteConfig
from web.manifest import MANIFEST
from web.publish import publish
from web.shelf import Shelf
from web.site import create_site

DAY = "/funds/perp-v2-large-simulated/at/2021-05-21"
SAID = "Served from the copy of 22 Nov 2026, 12:02 UTC: the database does not answer."


@pytest.fixture(scope="module")
def tree(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was published while the database was there; tests only read it."""
    directory = tmp_path_factory.mktemp("shelf") / "site"
    publish(engine, lambda: NOW, directory)
    return directory


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Engine]:
    """A database that was never there."""
    engine = open_engine(f"sqlite:///{tmp_path / 'never-made.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def lost(gone: Engine, tree: Path) -> Reader:
    """A site without its database, but with a published tree."""
    return Reader(create_site(gone, lambda: NOW, SiteConfig(published=tree)))


@pytest.mark.parametrize("path", ["/", "/funds/perp-v2-large-simulated", "/events", "/methodology", DAY])
def test_a_page_comes_from_the_copy_and_says_so(lost: Reader, tree: Path, path: str) -> None:
    answer = lost.get(path)
    assert answer.status_code == 200
    assert SAID in text_of(answer.text)
    assert answer.headers["backstop-copy"] == (
        "published copy, newest block 2026-11-22T12:02:00Z; the database does not answer"
    )
    assert answer.headers["cache-control"] == "public, max-age=15"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_the_file_itself_is_not_touched_and_all_of_it_is_shown(lost: Reader, tree: Path) -> None:
    file = tree / "funds" / "hostile" / "index.html"
    before = file.read_bytes()
    shown = lost.get("/funds/hostile").content
    assert file.read_bytes() == before
    head, tail = before.split(b"<body>\n", 1)
    assert shown.startswith(head + b"<body>\n<aside")
    assert shown.endswith(tail)
    assert b"Served from the copy" not in before


def test_a_copy_that_the_reader_has_is_not_sent_again(lost: Reader) -> None:
    first = lost.get("/")
    again = lost.get("/", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert lost.get("/", method="HEAD").status_code == 200
    assert lost.get("/", method="HEAD").content == b""


@pytest.mark.parametrize(
    "path", ["/funds.json", "/events.atom", "/status.json", "/funds/hostile.json", "/nowhere", "/funds/nobody"]
)
def test_what_cannot_say_that_it_is_a_copy_stays_away(lost: Reader, path: str) -> None:
    answer = lost.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "backstop-copy" not in answer.headers


def test_the_twin_of_a_final_day_is_as_true_as_ever(lost: Reader, tree: Path) -> None:
    answer = lost.get(f"{DAY}.json")
    assert answer.status_code == 200
    assert answer.content == (tree / f"{DAY[1:]}.json").read_bytes()
    assert answer.headers["backstop-copy"].startswith("published copy")


def test_health_tells_the_truth(lost: Reader) -> None:
    assert lost.get("/healthz").status_code == 503
    assert lost.get("/readyz").status_code == 503


def test_nothing_but_reading_works_on_a_copy(lost: Reader) -> None:
    for path in ("/", "/alerts", "/alerts/subscribe"):
        answer = lost.get(path, method="POST")
        assert answer.status_code >= 400
        assert "backstop-copy" not in answer.headers


def test_style_sheets_need_no_database(lost: Reader) -> None:
    assert lost.get("/static/site.css").status_code == 200


def test_a_question_in_the_address_is_said_to_be_unanswered(lost: Reader) -> None:
    assert "cannot answer what the address asks for" in text_of(lost.get("/?q=perp").text)
    assert "cannot answer what the address asks for" not in text_of(lost.get("/").text)


@pytest.mark.parametrize("path", ["/Funds//hostile/", "/funds/hostile/", "//funds/hostile"])
def test_an_address_written_otherwise_leads_to_the_copy(lost: Reader, path: str) -> None:
    answer = lost.get(f"http://site{path}")
    assert (answer.status_code, answer.headers["location"]) == (308, "/funds/hostile")


OUTSIDE = [
    "/%2e%2e/secret.html",
    "/funds/../../secret.html",
    "/funds/%2e%2e%2f%2e%2e%2fsecret.html",
    "/..%5csecret.html",
    "//secret.html",
    "/.backstop-site",
    "/manifest.json",
    "/index.html",
    "/funds/hostile/index.html",
    "/funds/\x00hostile",
    "/" + "x" * 20_000,
    "/" + "a/" * 5_000,
    "/%ff%fe",
    "/%3Fq=1",
    "/%23",
]


@pytest.mark.parametrize("path", [path.replace("\x00", "%00") for path in OUTSIDE], ids=range(len(OUTSIDE)))
def test_no_path_leads_out_of_the_list_of_the_copy(lost: Reader, reader: Reader, tree: Path, path: str) -> None:
    (tree.parent / "secret.html").write_text("<body>secret")
    away, there = lost.get(f"http://site{path}"), reader.get(f"http://site{path}")
    assert away.status_code == 503
    assert there.status_code == 404
    assert "secret</" not in away.text + there.text
    assert "backstop-copy" not in away.headers


def test_a_server_that_refuses_connections_is_a_database_that_is_away(tree: Path) -> None:
    with socket.socket() as taken:  # Bound and not listening: whoever connects is refused.
        taken.bind(("127.0.0.1", 0))
        engine = open_engine(f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none")
        reader = Reader(create_site(engine, lambda: NOW, SiteConfig(published=tree)))
        assert SAID in text_of(reader.get("/").text)
        assert reader.get("/healthz").status_code == 503
        engine.dispose()


def test_a_damaged_copy_is_not_shown(gone: Engine, tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site"
    shutil.copytree(tree, copy)
    (copy / "index.html").write_text("<body>$999 of coverage")
    reader = Reader(create_site(gone, lambda: NOW, SiteConfig(published=copy)))
    assert reader.get("/").status_code == 503
    assert reader.get("/events").status_code == 200
    (copy / MANIFEST).write_text("{")
    assert reader.get("/events").status_code == 503


def test_without_a_copy_the_site_says_that_the_ledger_does_not_answer(gone: Engine, tmp_path: Path) -> None:
    for directory in (None, tmp_path / "nothing"):
        reader = Reader(create_site(gone, lambda: NOW, SiteConfig(published=directory)))
        assert reader.get("/").status_code == 503
        assert "The ledger does not answer" in reader.get("/").text


def test_a_database_that_goes_and_comes_back_is_followed_at_once(tmp_path: Path, sqlite_ledger_url: str) -> None:
    engine, file, directory = open_engine(sqlite_ledger_url), tmp_path / "ledger.sqlite", tmp_path / "site"
    invent_small(engine)
    publish(engine, lambda: NOW, directory)
    reader = Reader(create_site(engine, lambda: NOW, SiteConfig(published=directory)))
    there = reader.get("/").text
    engine.dispose()
    kept = file.rename(tmp_path / "kept.sqlite")
    assert "the database does not answer" in text_of(reader.get("/").text)
    engine.dispose()
    for left in tmp_path.glob("ledger.sqlite*"):
        left.unlink()
    kept.rename(file)
    again = reader.get("/")
    assert again.text == there
    assert "backstop-copy" not in again.headers
    engine.dispose()


def test_a_tree_that_is_switched_in_later_is_the_one_that_is_shown(tmp_path: Path, sqlite_ledger_url: str) -> None:
    engine, directory = open_engine(sqlite_ledger_url), tmp_path / "site"
    publish(engine, lambda: NOW, directory)
    shelf = Shelf(directory)
    first = shelf.find("/")
    assert first is not None
    assert b"the copy of an empty ledger" in first.body
    assert shelf.find("/funds/one") is None
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="one", name="One"))
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", NOW)
        inventor.fund("one", "One fund", SIMULATED, "one")
    publish(engine, lambda: NOW, directory)
    later = shelf.find("/funds/one")
    assert later is not None
    assert b"the copy of 22 Nov 2026, 17:02 UTC" in later.body
    engine.dispose()
