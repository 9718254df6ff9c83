"""Log lines for people or machines, on standard error and bounded: no endless line, no endless repetition."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

LONGEST_LINE = 2_000
"""Characters of one message; a provider may answer with a page of HTML."""

SAME_PER_WINDOW = 5
WINDOW_SECONDS = 60.0
"""Of the same message (by logger, level and wording before its arguments) at most 5 a minute are written."""

KINDS_KEPT = 1_000
"""How many wordings are counted at once; beyond this the count starts anew rather than growing for ever."""

ROOMS = ("app", "alerts", "indexer", "ledger", "solvency", "web", "py.warnings")
"""Whose lines are shown from the chosen level on; libraries are heard when they warn. APScheduler only in trouble: it
warns each time a job that is still running is due, and that is the plan here."""
QUIETER = "apscheduler"


@dataclass
class Seen:
    """How often one wording came in the current window."""

    since: float
    written: int = 0
    left_out: int = 0


class Repetitions(logging.Filter):
    """Lets the first few of equal messages pass each minute; the next that passes says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int, str], Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; time is the record's own."""
        key = (record.name, record.levelno, str(record.msg))
        if len(self._seen) > KINDS_KEPT:
            self._seen.clear()
        seen = self._seen.setdefault(key, Seen(since=record.created))
        if record.created - seen.since >= WINDOW_SECONDS:
            record.left_out = seen.left_out
            self._seen[key] = seen = Seen(since=record.created)
        if seen.written >= SAME_PER_WINDOW:
            seen.left_out += 1
            return False
        seen.written += 1
        return True


def message_of(record: logging.LogRecord) -> str:
    """The message on one line, cut where it is too long, with the count of equal ones left out before it."""
    text = " ".join(record.getMessage().split())
    if len(text) > LONGEST_LINE:
        text = f"{text[:LONGEST_LINE]} … ({len(text) - LONGEST_LINE} characters cut)"
    left_out = getattr(record, "left_out", 0)
    return f"{text} (and {left_out} like it left out)" if left_out else text


class PlainLines(logging.Formatter):
    """`20:14:03 warning indexer.sync: text`; a traceback follows where one was logged."""

    def format(self, record: logging.LogRecord) -> str:
        """One record for a person; the time is UTC, as everywhere in Backstop."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():<7} {record.name}: {message_of(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback where one was logged."""

    def format(self, record: logging.LogRecord) -> str:
        """One record for a machine."""
        row = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)


class CurrentStderr(logging.StreamHandler[TextIO]):
    """Writes to what standard error is *now*: a progress bar that is being drawn replaces it for its lifetime."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # A property on purpose: looked up at each line.
        """Standard error of this moment."""
        return sys.stderr


FORMATS: dict[str, Callable[[], logging.Formatter]] = {"plain": PlainLines, "json": JsonLines}


def start_logging(level: str, shape: str) -> None:
    """Sends the log of all rooms to standard error; a second call replaces the first."""
    handler = CurrentStderr()
    handler.setFormatter(FORMATS[shape]())
    handler.addFilter(Repetitions())
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, CurrentStderr)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(QUIETER).setLevel(logging.ERROR)
    for room in ROOMS:
        logging.getLogger(room).setLevel(level.upper())
