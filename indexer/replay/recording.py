"""The recording format: zstd-compressed JSON lines, metadata first, then sorted records (docs/recordings.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import zstandard

from indexer.replay.filters import CompleteFilter, merge_filters
from indexer.replay.words import Address, Bloom, Count, Hash, HexData
from ledger.kinds import SourceKind

FORMAT = "backstop-recording"
VERSION = 1
_CHUNK = 1 << 17
SUFFIX = ".jsonl.zst"
_LEVEL = 12  # 19 saves a fifth of the bytes and costs twenty times as long.
_MADE_UP_KINDS = {SourceKind.RECONSTRUCTED, SourceKind.SIMULATED}


class RecordingError(Exception):
    """A recording cannot be read or written; the message names the file, the place and what to do."""


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Line 1: what the recording is and where it comes from. The writer fills in first, last and records."""

    format: str = FORMAT
    version: int = VERSION
    slug: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
    kind: SourceKind
    title: str
    chain_id: Annotated[int, msgspec.Meta(gt=0)]
    is_venue: bool = False
    provenance: str
    synthetic: tuple[str, ...] = ()
    created_by: str
    first: Count = 0
    last: Count = 0
    filters: tuple[CompleteFilter, ...] = ()
    multicall3: Address | None = None
    records: dict[str, int] = {}


class HeaderRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="header", tag_field="record"
):
    """A block: `time` in unix seconds, no bloom when it is empty, `source_number` where blocks were renumbered."""

    number: Count
    hash: Hash
    parent: Hash
    time: Count
    bloom: Bloom | None = None
    source_number: Count | None = None


class LogRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="log", tag_field="record"):
    """A log; its block's hash and time stand in the header."""

    block: Count
    index: Count
    tx: Hash
    tx_index: Count
    address: Address
    topics: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=4)]
    data: HexData


class CallRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="call", tag_field="record"
):
    """The answer of one eth_call at a block: either `result` or, when it reverted, `revert` with the data it gave."""

    to: Address
    data: HexData
    block: Count
    result: HexData | None = None
    revert: HexData | None = None


class CodeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="code", tag_field="record"):
    """Whether an address had contract code from block `first` to block `last`; never the code."""

    address: Address
    first: Count
    last: Count
    has_code: bool


class StorageRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="storage", tag_field="record"):
    """One storage word at a block."""

    address: Address
    slot: Hash
    block: Count
    value: Hash


class PollRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="poll", tag_field="record"):
    """What a venue answered at one moment, in a shape of that venue's own."""

    time: Count
    data: dict[str, Any]  # Any: each venue has its own fields.


Record = HeaderRecord | LogRecord | CallRecord | CodeRecord | StorageRecord | PollRecord

_KINDS: tuple[type[Record], ...] = (HeaderRecord, LogRecord, CallRecord, CodeRecord, StorageRecord, PollRecord)
_ORDER = {kind: place for place, kind in enumerate(_KINDS)}
_DECODER = msgspec.json.Decoder(Record)
# Sorted keys only matter for polls; everywhere else the fields have one order.
_ENCODER = msgspec.json.Encoder(order="deterministic")


def record_key(record: Record) -> tuple[Any, ...]:
    """Where a record stands in the file; two records with one key would be two answers to one question.

    Calls are sorted by question before block: answers that hardly change from block to block then lie side by side,
    which makes the file several times smaller.
    """
    place = _ORDER[type(record)]
    match record:
        case HeaderRecord():
            return (place, record.number)
        case LogRecord():
            return (place, record.block, record.index)
        case CallRecord():
            return (place, record.to, record.data, record.block)
        case CodeRecord():
            return (place, record.address, record.first)
        case StorageRecord():
            return (place, record.address, record.slot, record.block)
        case PollRecord():
            return (place, record.time)


def write_recording(path: Path, metadata: Metadata, records: Iterable[Record]) -> Metadata:
    """Writes a recording and gives its completed metadata; the same content gives the same bytes.

    Records may come in any order and repeated; two different answers to one question raise RecordingError.
    """
    ordered = _sort(records)
    counts = Counter(type(record).__struct_config__.tag for record in ordered)
    spine = [_place(record) for record in ordered if isinstance(record, HeaderRecord | PollRecord)]
    if not spine:
        raise RecordingError(f"{path}: nothing to write: a recording needs at least one header or one poll")
    complete = msgspec.structs.replace(
        metadata,
        first=spine[0],
        last=spine[-1],
        filters=merge_filters(metadata.filters),
        records={str(name): counts[name] for name in sorted(counts, key=str)},
    )
    _check_metadata(complete, path)
    checker = _Checker(complete, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the target and moved: a stopped run never leaves half a recording under the final name.
    partial = path.with_name(path.name + ".part")
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=False, threads=0)
    try:
        with partial.open("wb") as file, compressor.stream_writer(file, closefd=False) as lines:
            lines.write(_ENCODER.encode(complete) + b"\n")
            for number, record in enumerate(ordered, start=2):
                checker.check(record, number)
                lines.write(_ENCODER.encode(record) + b"\n")
        checker.finish()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return complete


class RecordingFile:
    """An open recording: its metadata, and its records in order, each checked while it is read."""

    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self.path = path
        self._lines = lines
        self.metadata = _parse_metadata(path, lines)

    def records(self) -> Iterator[Record]:
        """All records; raises RecordingError with the line at the first one that doesn't fit."""
        checker = _Checker(self.metadata, self.path)
        for number, line in enumerate(self._lines, start=2):
            if not line.endswith(b"\n"):
                raise _truncated(self.path, number)
            try:
                record = _DECODER.decode(line)
            except msgspec.DecodeError as error:
                raise RecordingError(f"{self.path}, line {number}: not a record of this format: {error}") from error
            checker.check(record, number)
            yield record
        checker.finish()


@contextmanager
def open_recording(path: Path) -> Iterator[RecordingFile]:
    """Opens a recording for reading; raises RecordingError if it isn't one."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path} cannot be opened: {error.strerror}: check the name of the recording") from error
    with raw:
        yield RecordingFile(path, _read_lines(path, raw))


def load_metadata(path: Path) -> Metadata:
    """The first line of a recording, without reading the rest."""
    with open_recording(path) as recording:
        return recording.metadata


def _read_lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; the last one lacks it if the text was cut."""
    unfinished = b""
    for text in _decompress(path, raw):
        *lines, unfinished = (unfinished + text).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if unfinished:
        yield unfinished


def _decompress(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    # Not stream_reader: that takes the end of a cut file for the end of the text.
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        while chunk := raw.read(_CHUNK):
            yield frame.decompress(chunk)
            if frame.unused_data:
                raise RecordingError(f"{path} goes on after its end: copy, record or import it again")
    except zstandard.ZstdError as error:
        raise RecordingError(f"{path} is damaged or no zstd file ({error}): copy, record or import it again") from error
    if not frame.eof:
        raise RecordingError(f"{path} is truncated: copy, record or import it again")


def _parse_metadata(path: Path, lines: Iterator[bytes]) -> Metadata:
    line = next(lines, b"")
    try:
        loose = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} is no recording: its first line is no JSON ({error})") from error
    if not isinstance(loose, dict) or loose.get("format") != FORMAT:
        raise RecordingError(f'{path} is no recording: its first line does not say "format": "{FORMAT}"')
    if loose.get("version") != VERSION:
        raise RecordingError(
            f"{path} has format version {loose.get('version')}, this program reads version {VERSION}: record it again"
        )
    try:
        metadata = msgspec.convert(loose, Metadata)
    except msgspec.ValidationError as error:
        raise RecordingError(f"{path}, line 1: {error}") from error
    _check_metadata(metadata, path)
    return metadata


def _check_metadata(metadata: Metadata, path: Path) -> None:
    if metadata.kind is SourceKind.LIVE:
        raise RecordingError(f"{path}: a recording cannot be of kind live; recorded is the word for genuine chain data")
    if metadata.kind in _MADE_UP_KINDS and not metadata.synthetic:
        raise RecordingError(f"{path}: kind {metadata.kind} must list in `synthetic` what is made up")
    if not metadata.provenance.strip():
        raise RecordingError(f"{path}: `provenance` is empty: say where the data come from")


def _sort(records: Iterable[Record]) -> list[Record]:
    ordered = sorted(records, key=record_key)
    kept: list[Record] = []
    for record in ordered:
        if not kept or record_key(kept[-1]) != record_key(record):
            kept.append(record)
        elif kept[-1] != record:
            raise RecordingError(f"two answers to one question: {kept[-1]} and {record}")
    return kept


def _place(record: HeaderRecord | PollRecord) -> int:
    return record.number if isinstance(record, HeaderRecord) else record.time


def _truncated(path: Path, line: int) -> RecordingError:
    return RecordingError(f"{path} is truncated at line {line}: record, import or copy it again")


class _Checker:
    """Holds every promise of the format against the records as they pass."""

    def __init__(self, metadata: Metadata, path: Path) -> None:
        self._metadata = metadata
        self._path = path
        self._counts: Counter[str] = Counter()
        self._last_key: tuple[Any, ...] = ()
        self._last_header: HeaderRecord | None = None

    def check(self, record: Record, line: int) -> None:
        key = record_key(record)
        if key <= self._last_key:
            raise self._error(line, "out of order or repeated")
        self._last_key = key
        self._counts[str(type(record).__struct_config__.tag)] += 1
        if isinstance(record, PollRecord) != self._metadata.is_venue:
            raise self._error(line, "a venue's recording holds polls and nothing else, a chain's holds none")
        problem = self._find_problem(record)
        if problem:
            raise self._error(line, problem)

    def finish(self) -> None:
        found = dict(sorted(self._counts.items()))
        if found != self._metadata.records:
            raise RecordingError(
                f"{self._path} is truncated or was changed: line 1 announces {self._metadata.records}, found {found}: "
                "record, import or copy it again"
            )

    def _find_problem(self, record: Record) -> str | None:
        first, last = self._metadata.first, self._metadata.last
        match record:
            case HeaderRecord():
                return self._find_header_problem(record)
            case CodeRecord():
                blocks = (record.first, record.last)
            case PollRecord():
                blocks = (record.time, record.time)
            case _:
                blocks = (record.block, record.block)
        if not first <= blocks[0] <= blocks[1] <= last:
            return f"block {blocks[0]} lies outside of {first} to {last}"
        if isinstance(record, CallRecord) and (record.result is None) == (record.revert is None):
            return "a call has either a result or a revert"
        return None

    def _find_header_problem(self, record: HeaderRecord) -> str | None:
        before, self._last_header = self._last_header, record
        expected = self._metadata.first if before is None else before.number + 1
        if record.number != expected:
            return f"header {record.number} where {expected} is next: headers must have no gap"
        if before is not None and record.parent != before.hash:
            return f"header {record.number} does not name header {before.number} as its parent"
        if before is not None and record.time < before.time:
            return f"header {record.number} is older than the one before it"
        return None

    def _error(self, line: int, problem: str) -> RecordingError:
        return RecordingError(f"{self._path}, line {line}: {problem}")
