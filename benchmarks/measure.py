"""What a process cost: seconds, CPU seconds, peak memory; printed as one line of JSON by each measured process."""

import resource
import sys
import time
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


class Watch:
    """Wall and CPU seconds (all threads) since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """The seconds so far, and the peak memory."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"seconds": wall, "cpu": cpu, "peak_rss_mb": peak_rss_mb()}


def report(**said: Any) -> None:
    """The last line of a measured process."""
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
