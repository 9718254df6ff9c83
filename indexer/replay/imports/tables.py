"""Compressed tables of real data, read line by line; whatever doesn't fit is refused with file and line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from indexer.replay.recording import RecordingError

_WHOLE = re.compile(r"-?\d{1,78}")
_DECIMAL = re.compile(r"-?\d{1,40}(\.\d{1,40})?")


class SourceError(RecordingError):
    """A source file is missing or isn't what the import was written for."""


@dataclass(frozen=True)
class Row:
    """One line of a CSV table; its getters refuse what isn't what they promise."""

    path: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        if not self.cells[column]:
            raise self.error(f"{column} is empty")
        return self.cells[column]

    def whole(self, column: str) -> int:
        if not _WHOLE.fullmatch(self.cells[column]):
            raise self.error(f"{column} is no whole number: {self.cells[column]!r}")
        return int(self.cells[column])

    def whole_or_unknown(self, column: str) -> int | None:
        """None for an empty cell: not observed, which is not 0."""
        return self.whole(column) if self.cells[column] else None

    def decimal(self, column: str) -> str:
        """The decimal exactly as it was published."""
        if not _DECIMAL.fullmatch(self.cells[column]):
            raise self.error(f"{column} is no decimal number: {self.cells[column]!r}")
        return self.cells[column]

    def error(self, problem: str) -> SourceError:
        return SourceError(f"{self.path}, line {self.line}: {problem}")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a zstd-compressed text file with their numbers."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror}): BACKSTOP_REAL_DATA must name the folder with the real data"
        ) from error
    with raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
        number = 0
        try:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8", newline=""), start=1):
                yield number, line
        except (zstandard.ZstdError, UnicodeDecodeError) as error:
            raise SourceError(f"{path}, after line {number}: damaged or no zstd text file: {error}") from error


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a zstd-compressed CSV file whose header holds at least these columns."""
    numbered = read_lines(path)
    _, first = next(numbered, (1, ""))
    header = next(csv.reader([first]), [])
    missing = [column for column in columns if column not in header]
    if missing:
        raise SourceError(f"{path}, line 1: no column {', '.join(missing)}: another version of the file?")
    for line, text in numbered:
        cells = next(csv.reader([text]), [])
        if len(cells) != len(header):
            raise SourceError(f"{path}, line {line}: {len(cells)} cells under {len(header)} columns")
        yield Row(path, line, dict(zip(header, cells, strict=True)))


def check_count(path: Path, found: int, expected: int) -> None:
    """Refuses a table that isn't the one the import was written for, or was cut short."""
    if found != expected:
        raise SourceError(f"{path} ends after {found} rows where {expected} are known: get the file again")
