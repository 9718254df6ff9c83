"""An anvil process of our own: started on a free port, stopped by its handle, its state cache thrown away."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.replay.scenario.artifacts import ScenarioError

CHAIN_ID = 420210501
GENESIS = 1612137600  # 2021-02-01 00:00 UTC
ACCOUNTS = 140
_START_SECONDS = 30
_LISTENING = re.compile(r"Listening on \S+:(\d+)")


@contextmanager
def run_anvil(anvil: Path, port: int = 0) -> Iterator[int]:
    """Runs anvil with this scenario's chain id and genesis on loopback; yields its port, ends it on leaving."""
    if not anvil.is_file():
        raise ScenarioError(
            f"{anvil} is missing: install the tools with npm ci --ignore-scripts, or name an anvil binary"
        )
    with tempfile.TemporaryDirectory(prefix="backstop-anvil-") as scratch:
        log = Path(scratch) / "anvil.log"
        command = [str(anvil), "--host", "127.0.0.1", "--port", str(port), *_options(scratch)]
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                yield _wait_for_port(process, log)
            finally:
                process.terminate()


def _options(scratch: str) -> list[str]:
    # Shanghai: Osaka caps a transaction at 16.7M gas, less than the pool's observation slots need.
    pairs = {
        "--chain-id": str(CHAIN_ID),
        "--timestamp": str(GENESIS),
        "--accounts": str(ACCOUNTS),
        "--balance": "1000000",
        "--gas-limit": "60000000",
        "--hardfork": "shanghai",
        "--order": "fifo",
        "--cache-path": scratch,
        # Every state stays in memory (about 1 MB a block): reading old ones from disk is slow.
        "--prune-history": "100000",
    }
    return [word for pair in pairs.items() for word in pair]


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that anvil says it listens on; 0 lets the system choose, so that two nodes never meet."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        has_ended = process.poll() is not None
        said = log.read_text(encoding="utf-8", errors="replace")
        if found := _LISTENING.search(said):
            return int(found[1])
        if has_ended:
            raise ScenarioError(f"anvil stopped at start with code {process.returncode}: {said.strip()[:400]}")
        time.sleep(0.02)
    raise ScenarioError(f"anvil did not say within {_START_SECONDS} s on which port it listens")
