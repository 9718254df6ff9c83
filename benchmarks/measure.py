"""What a process cost: seconds, CPU seconds, peak memory; printed as one line of JSON by each measured process."""

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MB.

    From the kernel's own high-water mark where there is one: ru_maxrss of a child starts at what its parent had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def held_mb(pid: int) -> float:
    """What a process and those that it forked hold in MB, pages that they share counted once; 0 where nobody says."""
    kilobytes = 0
    with suppress(OSError):  # Gone meanwhile, or no Linux.
        for name in (pid, *(child for task in Path(f"/proc/{pid}/task").iterdir() for child in children_of(task))):
            lines = Path(f"/proc/{name}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def children_of(task: Path) -> list[str]:
    """The processes that a thread started."""
    return (task / "children").read_text().split()


def cpu_seconds() -> float:
    """Of all threads, and of the processes that were started and have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Watch:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """The seconds so far, and the peak memory."""
        wall, cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu
        return {"seconds": wall, "cpu": cpu, "peak_rss_mb": peak_rss_mb()}


def report(**said: Any) -> None:
    """The last line of a measured process."""
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
