"""Commands on recordings: find them, serve them as nodes, write new ones, import those of real data."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.failures import CommandError, Exit
from app.schedule import wait_until_stopped
from app.screens import Column, RecordBars, record_bars, say, show_table
from app.server import open_socket, serving
from app.settings import Settings
from indexer.replay.caps import Caps
from indexer.replay.imports import aave_v2, drift
from indexer.replay.node import Replay, create_node, load_replay
from indexer.replay.record import create_recorder
from indexer.replay.recording import SUFFIX, Metadata
from ledger.clock import system_clock
from ledger.kinds import SourceKind

SHIPPED = Path(__file__).parent.parent / "indexer" / "replay" / "recordings"


def imported_dir(data_dir: Path) -> Path:
    """Where imported recordings lie."""
    return data_dir / "recordings"


def list_recordings(data_dir: Path) -> list[Path]:
    """The shipped recordings and the imported ones, by name."""
    return [*sorted(SHIPPED.glob(f"*{SUFFIX}")), *sorted(imported_dir(data_dir).glob(f"*{SUFFIX}"))]


def find_recording(name: Path, data_dir: Path) -> Path:
    """A recording by its file, or by its slug where it is shipped or imported; raises CommandError with the choice."""
    if name.is_file():
        return name
    known = {path.name.removesuffix(SUFFIX): path for path in list_recordings(data_dir)}
    if str(name) in known:
        return known[str(name)]
    choice = ", ".join(known) or "none"
    raise CommandError(f"there is no recording {name}: give a file, or one of those here: {choice}", Exit.WRONG_FILE)


@dataclass(frozen=True)
class ReplayOptions:
    """How a replay answers: its limits, its delay, and how fast its head grows (None: everything is there)."""

    most_blocks: int | None = None
    most_logs: int | None = None
    latency_seconds: float = 0.0
    chain_seconds_per_second: float | None = None


def load_replays(
    paths: Sequence[Path], options: ReplayOptions, *, starts: Mapping[str, datetime] | None = None
) -> list[Replay]:
    """Recordings in memory, with a bar while they are read; those named in `starts` stand at that moment (by slug)."""
    with record_bars() as bars:
        return [load_one(path, options, starts or {}, bars) for path in paths]


def load_one(path: Path, options: ReplayOptions, starts: Mapping[str, datetime], bars: RecordBars) -> Replay:
    """One recording, its head at the end, growing, or at the moment that `starts` gives it."""
    name = path.name.removesuffix(SUFFIX)
    replay = load_replay(
        path,
        start=0 if name in starts else None,
        caps=Caps(options.most_blocks, options.most_logs),
        chain_seconds_per_second=options.chain_seconds_per_second,
        progress=bars.of(name),
    )
    if name in starts:
        replay.head.advance_to_time(int(starts[name].timestamp()))
    return replay


def replay_command(paths: Sequence[Path], *, host: str, port: int, options: ReplayOptions) -> None:
    """Serves recordings until SIGTERM or Ctrl-C and says where they are."""
    listening = open_socket(host, port, variable="--port")
    replays = load_replays(paths, options)
    with serving(delayed(create_node(replays), options.latency_seconds), listening) as address:
        urls = {each.tape.metadata.chain_id: [f"{address.url}/{each.slug}"] for each in replays}
        rows = [
            [str(chain_id), replayed.tape.metadata.title, f"{replayed.tape.first:,}", f"{replayed.head.last:,}", url]
            for replayed, (chain_id, (url,)) in zip(replays, urls.items(), strict=True)
        ]
        columns = (Column("Chain id"), Column("Replay of"), Column("From"), Column("To"), Column("Address"))
        show_table("Serving until Ctrl-C", columns, rows)
        say(f"export BACKSTOP_RPC_URLS='{json.dumps(urls)}'")
        wait_until_stopped()


def delayed(application: Any, seconds: float) -> Any:
    """The application behind a slow line: each request waits before it is looked at. (Any: an ASGI callable.)"""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(seconds if scope["type"] == "http" else 0)
        await application(scope, receive, send)

    return answer if seconds else application


@dataclass(frozen=True)
class RecordOptions:
    """What a new recording is called."""

    slug: str
    title: str
    chain_id: int


def id_of_today() -> int:
    """4 and the date: a recording never answers the id of a live chain, so that nobody takes one for the other."""
    return int(f"4{system_clock():%Y%m%d}")


def record_command(url: str, out: Path, *, host: str, port: int, options: RecordOptions) -> None:
    """Serves the recording proxy until SIGTERM or Ctrl-C, then writes what passed."""
    if not out.name.endswith(SUFFIX):
        raise CommandError(f"--out {out} must end in {SUFFIX}", Exit.WRONG_USE)
    listening = open_socket(host, port, variable="--port")
    recorder = create_recorder(url)
    with serving(recorder.app, listening) as address:
        say(f"recording {url} by way of {address.url} until Ctrl-C")
        wait_until_stopped()
    metadata = Metadata(
        slug=options.slug,
        kind=SourceKind.RECORDED,
        title=options.title,
        chain_id=options.chain_id,
        provenance=f"Recorded by Backstop from {urlsplit(url).hostname}; headers and logs complete, calls as asked.",
        created_by="backstop record",
    )
    with record_bars() as bars:
        saved = recorder.save(out, metadata, progress=bars.by_name)
    columns = (Column("Kind of record"), Column("Count", is_number=True))
    rows = [[name, f"{count:,}"] for name, count in saved.metadata.records.items()]
    show_table(f"{saved.path}: blocks {saved.metadata.first:,} to {saved.metadata.last:,}", columns, rows)
    if saved.dropped_answers:
        say(f"{saved.dropped_answers} answers were left out: their blocks are no part of the chain any more")
    say(f"Next: backstop replay {saved.path}")


@dataclass(frozen=True)
class Import:
    """A recording that is made from real data: its slug and what makes it."""

    slug: str
    build: Callable[..., Path]

    def target(self, data_dir: Path) -> Path:
        """The file it ends up in."""
        return imported_dir(data_dir) / f"{self.slug}{SUFFIX}"


IMPORTS = {
    "aave-v2-2021": Import(aave_v2.SLUG, aave_v2.import_aave),
    "drift-2022": Import(drift.SLUG, drift.import_drift),
}


def import_command(settings: Settings, name: str) -> None:
    """Makes one recording, or all of them, anew from the real data."""
    if name != "all" and name not in IMPORTS:
        raise CommandError(f"there is no import {name}: give one of {', '.join(IMPORTS)}, or all", Exit.WRONG_USE)
    for chosen in IMPORTS if name == "all" else [name]:
        say(f"made {make_import(settings, chosen)}")
    say("Next: backstop demo shows it.")


def make_import(settings: Settings, name: str) -> Path:
    """Makes one recording from the real data and gives its file."""
    if settings.real_data is None:
        raise CommandError("BACKSTOP_REAL_DATA is not set: name the folder with the real data", Exit.WRONG_USE)
    say(f"importing {name} from {settings.real_data}")
    path: Path = IMPORTS[name].build(
        settings.real_data, imported_dir(settings.data_dir), progress=lambda line: say(f"  {line}")
    )
    return path
