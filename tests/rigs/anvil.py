"""A real Ethereum node on this machine: anvil, from npm."""

import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from tests.rigs.node_parts import NODE_MODULES

LISTENING = re.compile(r"Listening on (\S+)")


@dataclass(frozen=True)
class AnvilNode:
    """A running node; it ends with the test."""

    url: str
    process: subprocess.Popen[str]
    drain: Thread
    """Reads what the node prints on: each request is a line, and a full pipe would stop the node."""

    def stop(self) -> None:
        """Ends the node at once; safe to call twice."""
        self.process.kill()
        self.process.wait()
        self.drain.join()
        if self.process.stdout:
            self.process.stdout.close()


def find_anvil() -> Path | None:
    """The binary for this machine's system and processor, if npm brought one."""
    return next(iter(sorted(NODE_MODULES.glob("@foundry-rs/anvil-*/bin/anvil"))), None)


def start_anvil(binary: Path, *options: str) -> AnvilNode:
    """Starts a node on a port that the system picks and returns when it listens."""
    command = [str(binary), "--port", "0", "--host", "127.0.0.1", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if found := LISTENING.search(line):
            drain = Thread(target=deque, args=(process.stdout, 0), daemon=True)
            drain.start()
            return AnvilNode(url=f"http://{found[1]}", process=process, drain=drain)
    process.stdout.close()
    process.wait()
    raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} before it listened:\n{''.join(said)}")


@pytest.fixture(scope="session")
def anvil() -> Path:
    """The path of the anvil binary."""
    binary = find_anvil()
    if binary is None:
        pytest.skip("anvil is not installed: `make test` installs it from npm where node and npm are there")
    return binary


@pytest.fixture
def start_node(anvil: Path) -> Iterator[Callable[..., AnvilNode]]:
    """`start_node(*options)` starts an anvil on a free port; all of them end with the test."""
    nodes: list[AnvilNode] = []

    def start(*options: str) -> AnvilNode:
        nodes.append(start_anvil(anvil, *options))
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture
def anvil_node(start_node: Callable[..., AnvilNode]) -> AnvilNode:
    """A node with anvil's usual accounts, mining a block for each transaction."""
    return start_node()


def pytest_report_header() -> str:
    return f"anvil: {'found' if find_anvil() else 'missing (its tests are skipped)'}"
