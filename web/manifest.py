"""What a published tree holds: every file with its digest, the state behind it, and the time of its newest block."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

MANIFEST = "manifest.json"
NEEDS_SERVER = (
    "pages with a question in their address (?)",
    "/funds/{slug}/facts/{metric}/{block}",
    "/alerts/subscribe, /alerts/confirm, /alerts/manage",
    "/api/v1/",
    "/og/{slug}.png",
    "/healthz, /readyz",
)
"""What no tree can hold: it depends on who asks what, or there is no end of it."""


@dataclass(frozen=True)
class Manifest:
    """The list of a tree; the same state of the ledger gives the same bytes."""

    newest_block_time: str = ""
    """Time of the newest block behind the tree, ISO 8601; empty: none was read yet."""
    digest: str = ""
    """Of all latest numbers, as the pages print it."""
    method_version: str = ""
    needs_server: tuple[str, ...] = NEEDS_SERVER
    days: Mapping[str, str] = field(default_factory=dict)
    """Path of each day's page whose rows are final, and the state it was made of."""
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of every other file by its name below the directory."""

    def to_bytes(self) -> bytes:
        """As JSON, one entry a line: two manifests can be compared by eye."""
        return (json.dumps(asdict(self), ensure_ascii=False, indent=0) + "\n").encode()


def load_manifest(directory: Path) -> Manifest:
    """The list of a tree; an empty one where there is none or it cannot be read."""
    try:
        told = json.loads((directory / MANIFEST).read_bytes())
        return Manifest(**{name: told[name] for name in Manifest.__dataclass_fields__})
    except (OSError, ValueError, TypeError, KeyError):
        return Manifest()


def sha256_of(body: bytes) -> str:
    """How the manifest names content."""
    return hashlib.sha256(body).hexdigest()


def file_name(path: str, *, is_page: bool) -> str:
    """Where a static web server looks for a path: /funds/x → funds/x/index.html, /funds.json → funds.json."""
    name = path.strip("/")
    return f"{name}/index.html".lstrip("/") if is_page else name


def find_published(directory: Path | None) -> Path | None:
    """The directory, where a published tree is in it."""
    return directory if directory is not None and load_manifest(directory).files else None
