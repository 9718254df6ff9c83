"""The static tree: the served bytes, switched at once, unchanged files left alone."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.publish import MARK, PublishError, file_name, place_file, publish, switch


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def tree(engine: Engine, site_config: SiteConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published") / "site"
    publish(engine, lambda: NOW, directory, site_config)
    return directory


def test_the_tree_holds_the_bytes_that_are_served(tree: Path, reader: Reader, pages: dict[str, str]) -> None:
    found = files_of(tree)
    for path, text in pages.items():
        assert found[file_name(path, is_page=True)].decode() == text, path
    twins = ["/funds.json", "/events.atom", "/status.json", "/funds/hostile.json"]
    for path in twins:
        assert found[path[1:]] == reader.get(path).content
    assert "index.html" in found
    assert any(name.startswith("static/site.") for name in found)


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
    assert {str(file.relative_to(directory)) for file in changed} == {"status.json", "status/index.html"}
    assert later.changed == 2
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
