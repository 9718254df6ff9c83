"""Recording a chain: serve the proxy, let a client ask, save what it learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from starlette.applications import Starlette

from indexer.replay.filters import CompleteFilter, merge_filters
from indexer.replay.multicall import MULTICALL3
from indexer.replay.notes import Notes
from indexer.replay.proxy import Proxy
from indexer.replay.recording import (
    CodeRecord,
    HeaderRecord,
    Metadata,
    Record,
    RecordingError,
    write_recording,
)
from indexer.replay.serving import serve_in_thread
from indexer.replay.upstream import TakeProgress, Upstream, check_everything, connect, ignore_progress


@dataclass(frozen=True)
class SavedRecording:
    """What was written, and how many answers were left out because their block is not in the saved chain."""

    path: Path
    metadata: Metadata
    dropped_answers: int


class Recorder:
    """The proxy application (`app`) and its notes; `save` makes the recording out of them."""

    def __init__(self, upstream_url: str, *, multicall3: str = MULTICALL3) -> None:
        self.upstream_url = upstream_url
        self._multicall3 = multicall3.lower()
        self._notes = Notes(self._multicall3)
        self._proxy = Proxy(upstream_url, self._notes)

    @property
    def app(self) -> Starlette:
        """The proxy as an ASGI application; it needs its lifespan."""
        return self._proxy.app

    def save(
        self,
        path: Path,
        metadata: Metadata,
        *,
        first: int | None = None,
        last: int | None = None,
        filters: Sequence[CompleteFilter] = (),
        progress: TakeProgress = ignore_progress,
    ) -> SavedRecording:
        """Writes a recording of blocks `first` to `last` (default: the lowest and highest that were asked about).

        Headers of all these blocks, and all logs of every filter that was asked for or is named here, are taken
        from the node now, so both are complete whatever the client skipped; CompleteFilter() takes all logs.
        """
        with connect(self.upstream_url) as upstream:
            headers = self._take_headers(upstream, first, last, progress)
            wanted = merge_filters([*self._notes.filters, *filters])
            logs = [log for each in wanted for log in upstream.take_logs(each, headers, progress)]
            code = self._take_code(upstream, headers, progress)
            if any(each.is_everything() for each in wanted):
                check_everything(headers, logs)
            if upstream.take_header(headers[-1].number).hash != headers[-1].hash:
                raise RecordingError("the chain was reorganised while it was saved: save again")
        found = list(self._notes.find_records({header.hash: header.number for header in headers}))
        answers = [record for record in found if record is not None]
        complete = msgspec.structs.replace(metadata, filters=wanted, multicall3=self._multicall3)
        records: list[Record] = [*headers, *logs, *code, *answers]
        return SavedRecording(path, write_recording(path, complete, records), len(found) - len(answers))

    def _take_headers(
        self, upstream: Upstream, first: int | None, last: int | None, progress: TakeProgress
    ) -> list[HeaderRecord]:
        head = upstream.take_header("latest").number
        seen = self._notes.blocks or {head}
        begin = min(seen) if first is None else first
        end = min(max(seen), head) if last is None else last
        if not 0 <= begin <= end <= head:
            raise RecordingError(f"cannot save blocks {begin} to {end}: the chain has blocks 0 to {head}")
        return upstream.take_headers(begin, end, progress)

    def _take_code(
        self, upstream: Upstream, headers: Sequence[HeaderRecord], progress: TakeProgress
    ) -> list[CodeRecord]:
        addresses = sorted(self._notes.code)
        records: list[CodeRecord] = []
        for count, address in enumerate(addresses, start=1):
            records += upstream.take_code(address, headers[0].number, headers[-1].number)
            progress("code", count, len(addresses))
        return records


def create_recorder(upstream_url: str, *, multicall3: str = MULTICALL3) -> Recorder:
    """A recorder in front of a node; serve its `app`, then `save`."""
    return Recorder(upstream_url, multicall3=multicall3)


@contextmanager
def running_recorder(recorder: Recorder, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serves the proxy in a thread, by default on a free port; yields its URL."""
    with serve_in_thread(recorder.app, host=host, port=port) as url:
        yield url
