"""Published pages in place of the database: while it does not answer, the newest copy is shown and says what it is."""

import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ledger.numbers import format_time
from web.manifest import MANIFEST, Manifest, file_name, load_manifest, sha256_of
from web.templating import render

BODY = b"<body>"
SHORT = "public, max-age=15"
"""As long may a copy be kept on the way: the database may be back."""


@dataclass(frozen=True)
class Copy:
    """A page of the published tree, as it is shown."""

    body: bytes
    is_page: bool
    told: str
    """What it is, for a header."""


class Shelf:
    """The published tree of a directory, read anew whenever another one is switched in.

    Only what the tree's own list names is ever opened, and only where its digest is right: no path that a visitor
    can think of leads elsewhere, and a damaged copy is not shown.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._mark: tuple[int, int] | None = None
        self._manifest = Manifest()

    def find(self, path: str, *, is_asking: bool = False) -> Copy | None:
        """The copy of a page, with words on it that say so, or of a final day's twin; None where there is none.

        Other twins, feeds and badges have no place to say that they are copies: they stay away with the database.
        `is_asking`: the address has a question, which a copy cannot answer.
        """
        manifest = self._list()
        body = self._read(file_name(path, is_page=True), manifest)
        if body is not None and BODY in body:
            words = render("copied.html", time=_time_words(manifest), is_asking=is_asking).strip()
            return Copy(body.replace(BODY, BODY + b"\n" + words, 1), is_page=True, told=_told(manifest))
        if path.removesuffix(".json") in manifest.days and path.endswith(".json"):
            body = self._read(file_name(path, is_page=False), manifest)
            return None if body is None else Copy(body, is_page=False, told=_told(manifest))
        return None

    def _list(self) -> Manifest:
        try:
            found = (self._directory / MANIFEST).stat()
        except OSError:
            return Manifest()
        mark = (found.st_ino, found.st_mtime_ns)
        with self._lock:
            if mark != self._mark:
                self._mark, self._manifest = mark, load_manifest(self._directory)
            return self._manifest

    def _read(self, name: str, manifest: Manifest) -> bytes | None:
        if name not in manifest.files:
            return None
        try:
            body = (self._directory / name).read_bytes()
        except OSError:
            return None
        return body if sha256_of(body) == manifest.files[name] else None


def _time_words(manifest: Manifest) -> str:
    """Time of the newest block behind the copy; empty where none was read yet."""
    return format_time(datetime.fromisoformat(manifest.newest_block_time)) if manifest.newest_block_time else ""


def _told(manifest: Manifest) -> str:
    since = f"newest block {manifest.newest_block_time}" if manifest.newest_block_time else "no block read yet"
    return f"published copy, {since}; the database does not answer"
