"""The static tree: the served bytes, switched at once, unchanged files left alone, final days written once."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col, select

from ledger.database import open_engine, writing
from ledger.tables import Chain, Fund, Metric, Segment
from tests.web.conftest import Reader
from tests.web.crawling import AT_BLOCK, crawl_tree, files_of, internal_links, text_of
from tests.web.inventor import NOW, Inventor
from tests.web.small import DAYS, NUMBERS, SLUG, invent_small
from web.edition import SiteConfig
from web.manifest import MANIFEST, file_name
from web.publish import MARK, PublishError, place_file, publish, switch

LARGE = "/funds/perp-v2-large-simulated"
OLDEST, NEWEST = (f"funds/{SLUG}/at/{day}/index.html" for day in (DAYS[0], DAYS[-1]))


@pytest.fixture(scope="module")
def tree(engine: Engine, site_config: SiteConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published") / "site"
    publish(engine, lambda: NOW, directory, site_config)
    return directory


def test_the_tree_holds_the_bytes_that_are_served(tree: Path, reader: Reader, pages: dict[str, str]) -> None:
    found = files_of(tree)
    for path, text in pages.items():
        name = file_name(path, is_page=True)
        if name in found or not (AT_BLOCK.fullmatch(path) or "?" in path):
            assert found[name].decode() == text, path
    twins = ["/funds.json", "/events.atom", "/status.json", "/funds/hostile.json", "/openapi.json"]
    for path in twins:
        assert found[path[1:]] == reader.get(path).content
    assert "index.html" in found
    assert any(name.startswith("static/site.") for name in found)


@pytest.fixture
def own(sqlite_ledger_url: str) -> Iterator[Engine]:
    """A small ledger that the test may write to."""
    engine = open_engine(sqlite_ledger_url)
    invent_small(engine)
    yield engine
    engine.dispose()


def test_every_day_is_there_as_served(tree: Path, reader: Reader) -> None:
    for day in ("2021-05-20", "2021-05-23"):
        page, twin = tree / f"{LARGE[1:]}/at/{day}/index.html", tree / f"{LARGE[1:]}/at/{day}.json"
        assert page.read_bytes() == reader.get(f"{LARGE}/at/{day}").content
        assert twin.read_bytes() == reader.get(f"{LARGE}/at/{day}.json").content


def test_no_link_of_the_tree_is_broken_and_every_page_is_whole(tree: Path, site_config: SiteConfig) -> None:
    seen, faults = crawl_tree(files_of(tree), site_config.site_url)
    assert not faults
    assert len(seen) > 100


def test_no_page_is_out_of_reach(tree: Path) -> None:
    """Whatever page is published, some other page leads to it."""
    files = files_of(tree)
    linked = {link for name, body in files.items() if name.endswith(".html") for link in internal_links(body.decode())}
    alone = [
        name for name in files if name.endswith("/index.html") and f"/{name.removesuffix('/index.html')}" not in linked
    ]
    assert not alone


def test_the_manifest_lists_every_file_and_no_clock(tree: Path, reader: Reader) -> None:
    told = json.loads((tree / MANIFEST).read_text())
    found = {name: hashlib.sha256(body).hexdigest() for name, body in files_of(tree).items() if name != MANIFEST}
    assert told["files"] == found
    assert told["newest_block_time"] == "2026-11-22T12:02:00Z"
    assert told["digest"] == reader.get("/funds.json").json()["digest"]
    assert told["method_version"] == "1"
    assert f"{LARGE}/at/2021-05-23" in told["days"]


def test_days_whose_rows_are_final_are_not_made_again(own: Engine, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    first = publish(own, lambda: NOW, directory)
    again = publish(own, lambda: NOW + timedelta(hours=1), directory)
    assert (first.kept, again.kept) == (0, 2 * len(DAYS))
    assert again.files == first.files


def test_a_day_is_made_again_where_what_its_page_says_has_changed(own: Engine, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    publish(own, lambda: NOW, directory)
    with writing(own) as session:
        session.execute(update(Fund).values(name="Renamed fund"))
    assert publish(own, lambda: NOW, directory).kept == 0
    assert "Renamed fund on 18 Nov 2026" in (directory / OLDEST).read_text()


def test_a_new_day_makes_only_itself_and_the_one_before_it(own: Engine, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    publish(own, lambda: NOW, directory)
    with writing(own) as session:
        session.execute(update(Chain).values(finalized_number=99_000_000))
    publish(own, lambda: NOW, directory)
    assert "no later day was computed yet" in (directory / NEWEST).read_text()
    with writing(own) as session:
        fund = session.exec(select(Segment)).one()
        Inventor(session).metrics(fund, NOW - timedelta(minutes=1), dict(NUMBERS))
    assert publish(own, lambda: NOW, directory).kept == 2 * (len(DAYS) - 1)
    assert "Final. Under method version 1" in (directory / NEWEST).read_text()


def test_a_day_whose_rows_are_still_written_is_made_each_time(own: Engine, tmp_path: Path) -> None:
    directory, is_newest = tmp_path / "site", col(Metric.day) == DAYS[-1]
    with writing(own) as session:
        session.execute(update(Metric).where(is_newest).values(is_day_final=False))
    publish(own, lambda: NOW, directory)
    with writing(own) as session:
        stale = {"quality": "stale", "reason": "the last read is 9 h old"}
        session.execute(update(Metric).where(is_newest, col(Metric.name) == "coverage").values(**stale))
    publish(own, lambda: NOW, directory)
    assert "the last read is 9 h old" in (directory / NEWEST).read_text()


def test_what_needs_the_server_is_said_where_a_page_is_missing(tree: Path) -> None:
    page = text_of((tree / "404.html").read_text())
    assert "This is a published copy of the site" in page
    assert "/api/v1/" in page
    assert "/openapi.json" not in page
    assert "The server is at https://backstop.example." in page


def test_whoever_listens_may_stop_a_publication_and_nothing_is_left(own: Engine, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(slug: str, done: int, count: int) -> None:
        if (slug, done) == (SLUG, count):
            raise StoppedError

    with pytest.raises(StoppedError):
        publish(own, lambda: NOW, tmp_path / "site", heard=stop)
    assert not list(tmp_path.glob("*site*"))


def test_publishing_the_same_again_touches_nothing(tree: Path, engine: Engine, site_config: SiteConfig) -> None:
    before = {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in tree.rglob("*")}
    summary = publish(engine, lambda: NOW, tree, site_config)
    assert summary.changed == 0
    assert {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in tree.rglob("*")} == before


def test_what_changed_is_new_and_the_rest_is_the_old_file(
    engine: Engine, site_config: SiteConfig, tmp_path: Path
) -> None:
    directory = tmp_path / "site"
    publish(engine, lambda: NOW, directory, site_config)
    before = {file: file.stat().st_ino for file in directory.rglob("*") if file.is_file()}
    later = publish(engine, lambda: NOW + timedelta(hours=1), directory, site_config)
    changed = {file for file, inode in before.items() if file.stat().st_ino != inode}
    names = {str(file.relative_to(directory)) for file in changed}
    assert names == {"status.json", "status/index.html", "manifest.json"}
    assert later.changed == 3
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


def test_a_page_that_is_gone_is_removed(tree: Path, engine: Engine, site_config: SiteConfig) -> None:
    (tree / "funds" / "left-over.json").write_text("{}")
    publish(engine, lambda: NOW, tree, site_config)
    assert not (tree / "funds" / "left-over.json").exists()


def test_a_directory_of_somebody_else_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(PublishError, match="holds files that backstop did not write"):
        publish(engine, lambda: NOW, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_a_switch_leaves_the_old_tree_under_the_new_ones_name(tmp_path: Path) -> None:
    old, new = tmp_path / "site", tmp_path / ".new"
    place_file(old / MARK, tmp_path / "none", b"old")
    place_file(new / MARK, tmp_path / "none", b"new")
    switch(new, old)
    assert (old / MARK).read_bytes() == b"new"
    assert (new / MARK).read_bytes() == b"old"
