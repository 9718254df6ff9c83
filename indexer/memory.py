"""What the C library does with large blocks of memory that are freed: answers and rows come by the megabyte.

glibc keeps them for the next ones, each as large as the largest so far, which is quick and takes more memory.
On another C library nothing is changed.
"""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)
MEGABYTE = 1 << 20


def give_back_large_blocks() -> None:
    """From now on, in this process and those it forks, freed blocks of a megabyte or more go back at once."""
    _set_thresholds(trim=32 * MEGABYTE, mmap=MEGABYTE)


def keep_large_blocks() -> None:
    """The other way round, for a process whose time is dearer than its memory."""
    _set_thresholds(trim=64 * MEGABYTE, mmap=32 * MEGABYTE)


def _set_thresholds(*, trim: int, mmap: int) -> None:
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(TRIM_THRESHOLD, trim)
        library.mallopt(MMAP_THRESHOLD, mmap)
