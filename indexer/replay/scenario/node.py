"""An anvil process of our own: started on a free port, stopped by its handle, its state cache thrown away."""

from __future__ import annotations

import socket
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


@contextmanager
def run_anvil(anvil: Path, port: int = 0) -> Iterator[int]:
    """Runs anvil with this scenario's chain id and genesis on loopback; yields its port, ends it on leaving."""
    if not anvil.is_file():
        raise ScenarioError(
            f"{anvil} is missing: install the tools with npm ci --ignore-scripts, or name an anvil binary"
        )
    port = port or _free_port()
    with tempfile.TemporaryDirectory(prefix="backstop-anvil-") as cache:
        command = [str(anvil), "--host", "127.0.0.1", "--port", str(port), *_options(cache)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _wait_for_port(process, port)
            yield port
        finally:
            process.terminate()
            process.wait(30)
            if process.stderr is not None:
                process.stderr.close()


def _options(cache: str) -> list[str]:
    # Shanghai: Osaka caps a transaction at 16.7M gas, less than the pool's observation slots need.
    pairs = {
        "--chain-id": str(CHAIN_ID),
        "--timestamp": str(GENESIS),
        "--accounts": str(ACCOUNTS),
        "--balance": "1000000",
        "--gas-limit": "60000000",
        "--hardfork": "shanghai",
        "--order": "fifo",
        "--cache-path": cache,
        # Every state stays in memory (about 1 MB a block): reading old ones from disk is slow.
        "--prune-history": "100000",
    }
    return [word for pair in pairs.items() for word in pair] + ["--silent"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise ScenarioError(f"anvil stopped at start with code {process.returncode}: {said.strip()[:400]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ScenarioError(f"anvil did not open port {port} within {_START_SECONDS} s")
