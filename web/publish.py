"""The same pages as a static tree: the bytes that are served, switched in at once, unchanged files left as they are."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from ledger.clock import Clock
from ledger.pages import asking
from web.contexts import ErrorPage
from web.days import FundDays
from web.edition import Edition, SiteConfig
from web.manifest import MANIFEST, NEEDS_SERVER, Manifest, file_name, load_manifest, sha256_of
from web.past import ICON, STYLE, day_path
from web.press import HTML, Sheet, list_paths, make_sheet, past_sheet, past_twin
from web.templating import render
from web.v1.description import PATH, published_description

MARK = ".backstop-site"
"""A file that says a directory was written by publish(), so that nothing else is ever replaced."""
NOTHING_HERE = "404.html"
"""What most static web servers show for a path without a file."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2
Heard = Callable[[str, int, int], None]
"""Told while days are written: fund, days done, days in all; what it raises ends the publication."""


class PublishError(Exception):
    """The directory cannot be published to: says why and what to do."""


@dataclass(frozen=True)
class PublishSummary:
    """What a publication did."""

    directory: Path
    files: int
    changed: int
    bytes: int
    kept: int
    """Files of final days that were taken over without being made again."""


class Tree:
    """A new tree beside the old one; what did not change is the old file itself."""

    def __init__(self, new: Path, old: Path, known: Manifest) -> None:
        self.new, self.old, self.known = new, old, known
        self.files: dict[str, str] = {}
        self.changed = self.kept = self.bytes = 0

    def put(self, name: str, body: bytes) -> None:
        """Writes a file, or takes over the old one where that holds the same."""
        self.changed += place_file(self.new / name, self.old / name, body)
        self.files[name] = sha256_of(body)
        self.bytes += len(body)

    def keep(self, *names: str) -> bool:
        """Takes over old files without looking into them; False where one is not there: then none was taken."""
        old = [self.old / name for name in names]
        if not all(name in self.known.files for name in names):
            return False
        try:
            sizes = [file.stat().st_size for file in old]
        except FileNotFoundError:
            return False
        for name, file in zip(names, old, strict=True):
            link_file(self.new / name, file)
            self.files[name] = self.known.files[name]
        self.bytes += sum(sizes)
        self.kept += len(names)
        return True

    def is_same(self) -> bool:
        """True when the old tree holds these very files and no other."""
        if self.changed or not self.old.exists():
            return False
        start = len(str(self.old)) + 1
        found = {f"{folder}/{file}"[start:] for folder, _, files in os.walk(self.old) for file in files}
        return found == set(self.files)


def publish(
    engine: Engine, clock: Clock, directory: Path, config: SiteConfig | None = None, *, heard: Heard | None = None
) -> PublishSummary:
    """Writes every page of one state of the ledger below `directory`; readers see the old tree or the new one.

    Raises PublishError where the directory holds something else or cannot be written, LedgerUnreachableError where
    the ledger is away.
    """
    directory, chosen = directory.resolve(), config or SiteConfig()
    require_ours(directory)
    try:
        with tree_beside(directory) as tree:
            tree.put(file_name(PATH, is_page=False), published_description(engine, clock, chosen))
            with asking(engine) as session:
                fill(tree, Edition(session, clock, chosen), heard)
            if not tree.is_same():
                switch(tree.new, directory)
    except OSError as error:
        raise PublishError(
            f"cannot write {directory} ({error.strerror}): free or add disk space, or name another directory"
        ) from error
    return PublishSummary(directory, len(tree.files), tree.changed, tree.bytes, tree.kept)


@contextmanager
def tree_beside(directory: Path) -> Iterator[Tree]:
    """An empty tree next to the directory; whatever lies under its name in the end is removed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        part.chmod(0o755)
        yield Tree(part, directory, load_manifest(directory))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def require_ours(directory: Path) -> None:
    """Raises PublishError unless the directory is absent, empty or of our making."""
    if not directory.exists() or (directory / MARK).is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise PublishError(
            f"{directory} holds files that backstop did not write: name an empty or a new directory to publish to"
        )


def fill(tree: Tree, edition: Edition, heard: Heard | None) -> None:
    """Every file of one consistent look at the ledger; one page is in memory at a time. The list of all comes last."""
    tree.put(MARK, b"This directory is written by backstop publish; whatever else is put here is removed.\n")
    tree.put(NOTHING_HERE, not_here_page(edition.config))
    for path in list_paths(edition):
        put_sheet(tree, path, make_sheet(edition, path))
    states: dict[str, str] = {}
    for slug, places in edition.funds().items():
        states |= put_days(tree, slug, FundDays(edition, places), heard)
    tree.put(MANIFEST, make_manifest(edition, states, tree).to_bytes())


def put_sheet(tree: Tree, path: str, sheet: Sheet | None) -> None:
    """One page under the name a static web server looks for; raises PublishError where a listed page is not there."""
    if sheet is None or sheet.code != 200:
        raise PublishError(f"the page {path} is listed and cannot be made: report this as a bug of backstop")
    tree.put(file_name(path, is_page=sheet.media_type == HTML), sheet.body)


def put_days(tree: Tree, slug: str, days: FundDays, heard: Heard | None) -> dict[str, str]:
    """Every day of a fund, and the state of each whose rows are final: while that stays, its files are not made again.

    A day whose rows are still written is made each time; those are the last few, or as many as a chain stands still.
    """
    states = {}
    for done, day in enumerate(days.names, start=1):
        path = day_path(slug, day)
        state = days.state(day) if days.are_rows_final(day) else ""
        files = file_name(path, is_page=True), file_name(f"{path}.json", is_page=False)
        is_known = bool(state) and tree.known.days.get(path) == state
        if not (is_known and tree.keep(*files)):
            put_sheet(tree, path, past_sheet(days, day))
            put_sheet(tree, f"{path}.json", past_twin(days, day))
        if state:
            states[path] = state
        if heard is not None:
            heard(slug, done, len(days.names))
    return states


def make_manifest(edition: Edition, states: dict[str, str], tree: Tree) -> Manifest:
    """The list of all that was put."""
    times = [source.state.tip_time for source in edition.sources if source.state.tip_time is not None]
    newest = f"{max(times):%Y-%m-%dT%H:%M:%SZ}" if times else ""
    files = dict(sorted(tree.files.items()))
    return Manifest(newest, edition.digest, edition.method_version, days=states, files=files)


def not_here_page(config: SiteConfig) -> bytes:
    """What a static web server shows for a path without a file: that this is a copy, and what needs the server."""
    where = f" The server is at {config.site_url}." if config.site_url else ""
    message = (
        "This is a published copy of the site. It holds no page at this address. What depends on who asks needs the "
        f"server and is in no copy: {'; '.join(NEEDS_SERVER)}.{where}"
    )
    return render("error.html", page=ErrorPage(style=STYLE, icon=ICON, title="Not in this copy", message=message))


def place_file(new: Path, old: Path, body: bytes) -> bool:
    """Puts one file into the new tree: the old one itself where nothing changed. True when it changed."""
    if old.is_file() and old.read_bytes() == body:
        link_file(new, old)
        return False
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_bytes(body)
    return True


def link_file(new: Path, old: Path) -> None:
    """The same file under a second name; a copy with its time where the file system has no hard links."""
    try:
        os.link(old, new)
    except FileNotFoundError:  # Only the first file of a directory finds it missing.
        new.parent.mkdir(parents=True)
        link_file(new, old)
    except OSError:
        shutil.copy2(old, new)


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
