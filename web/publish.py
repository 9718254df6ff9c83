"""The same pages as a static tree: the bytes that are served, switched in at once, unchanged files left as they are."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from ledger.clock import Clock
from ledger.pages import asking
from web.edition import Edition, SiteConfig
from web.press import HTML, list_paths, make_sheet

MARK = ".backstop-site"
"""A file that says a directory was written by publish(), so that nothing else is ever replaced."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class PublishError(Exception):
    """The directory cannot be published to: says why and what to do."""


@dataclass(frozen=True)
class PublishSummary:
    """What a publication did."""

    directory: Path
    files: int
    changed: int
    bytes: int


def publish(engine: Engine, clock: Clock, directory: Path, config: SiteConfig | None = None) -> PublishSummary:
    """Writes every page of one state of the ledger below `directory`; readers see the old tree or the new one.

    Raises PublishError where the directory holds something else or cannot be written, LedgerUnreachableError where
    the ledger is away.
    """
    directory = directory.resolve()
    require_ours(directory)
    pages = render_all(engine, clock, config or SiteConfig())
    try:
        changed = place_tree(directory, pages)
    except OSError as error:
        raise PublishError(
            f"cannot write {directory} ({error.strerror}): free or add disk space, or name another directory"
        ) from error
    return PublishSummary(directory, len(pages), changed, sum(map(len, pages.values())))


def place_tree(directory: Path, pages: Mapping[str, bytes]) -> int:
    """Writes the files beside the directory and switches them in; the number of those that changed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        part.chmod(0o755)
        changed = sum(place_file(part / name, directory / name, body) for name, body in pages.items())
        gone = {file.relative_to(directory) for file in directory.rglob("*") if file.is_file()} - {
            Path(name) for name in pages
        }
        if changed or gone or not directory.exists():
            switch(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return changed


def require_ours(directory: Path) -> None:
    """Raises PublishError unless the directory is absent, empty or of our making."""
    if not directory.exists() or (directory / MARK).is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise PublishError(
            f"{directory} holds files that backstop did not write: name an empty or a new directory to publish to"
        )


def render_all(engine: Engine, clock: Clock, config: SiteConfig) -> dict[str, bytes]:
    """Every file by its name below the directory, all from one consistent look at the ledger."""
    pages = {MARK: b"This directory is written by backstop publish; whatever else is put here is removed.\n"}
    with asking(engine) as session:
        edition = Edition(session, clock, config)
        for path in list_paths(edition):
            sheet = make_sheet(edition, path)
            if sheet is None:
                raise PublishError(f"the page {path} is listed and cannot be made: report this as a bug of backstop")
            pages[file_name(path, is_page=sheet.media_type == HTML)] = sheet.body
    return pages


def file_name(path: str, *, is_page: bool) -> str:
    """Where a static web server looks for a path: /funds/x → funds/x/index.html, /funds.json → funds.json."""
    name = path.strip("/")
    return f"{name}/index.html".lstrip("/") if is_page else name


def place_file(new: Path, old: Path, body: bytes) -> bool:
    """Puts one file into the new tree: the old one itself where nothing changed. True when it changed."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if old.is_file() and old.read_bytes() == body:
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)  # A file system without hard links: at least its time stays.
        return False
    new.write_bytes(body)
    return True


def switch(part: Path, directory: Path) -> None:
    """Puts the new tree in the place of the old one, which is then under the new one's name."""
    if not directory.exists():
        part.rename(directory)
    elif not exchange(part, directory):
        aside = part.with_name(part.name + "-old")
        directory.rename(aside)
        part.rename(directory)
        aside.rename(part)


def exchange(one: Path, other: Path) -> bool:
    """Swaps two directories in one step (Linux); False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EXDEV):
        return False
    raise PublishError(f"cannot switch {other} to its new content ({os.strerror(code)}): check who may write there")
