"""Small made-up recordings, and a client that asks a node in this process."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.replay.bloom import compute_bloom
from indexer.replay.filters import CompleteFilter
from indexer.replay.node import Replay, create_node, load_replay
from indexer.replay.recording import HeaderRecord, LogRecord, Metadata, Record, write_recording
from ledger.kinds import SourceKind

SLUG = "small-simulated"


class Small:
    """Words and records of a made-up chain of ten blocks, one a minute."""

    token = "0x" + "aa" * 20
    other = "0x" + "bb" * 20
    transfer = "0x" + "11" * 32
    approval = "0x" + "22" * 32
    everything = CompleteFilter()

    @staticmethod
    def word(number: int) -> str:
        return f"0x{number:064x}"

    def hash(self, number: int) -> str:
        return self.word(0xB10C0000 + number)

    def log(self, block: int, index: int, *, address: str | None = None, topics: Iterable[str] = ()) -> LogRecord:
        return LogRecord(
            block=block,
            index=index,
            tx=self.word(0x7A0000 + block * 100 + index),
            tx_index=index,
            address=address or self.token,
            topics=tuple(topics) or (self.transfer,),
            data="0x" + f"{block * 100 + index:064x}",
        )

    def headers(self, logs: Iterable[LogRecord] = (), *, first: int = 0, last: int = 9) -> list[HeaderRecord]:
        logs = list(logs)
        return [
            HeaderRecord(
                number=number,
                hash=self.hash(number),
                parent=self.hash(number - 1),
                time=1_600_000_000 + 60 * number,
                bloom=compute_bloom(w for log in logs if log.block == number for w in (log.address, *log.topics)),
            )
            for number in range(first, last + 1)
        ]

    def metadata(self, **changes: Any) -> Metadata:
        fields: dict[str, Any] = {
            "slug": SLUG,
            "kind": SourceKind.SIMULATED,
            "title": "A small chain",
            "chain_id": 420999001,
            "provenance": "made up for tests",
            "synthetic": ("everything",),
            "created_by": "tests",
            "filters": (self.everything,),
        }
        return Metadata(**{**fields, **changes})


@pytest.fixture
def small() -> Small:
    return Small()


@pytest.fixture
def make_replay(small: Small, tmp_path: Path) -> Callable[..., Replay]:
    """`make_replay(records, metadata=…, **options)` writes a recording, loads it again, ready to be served."""

    def make(records: Iterable[Record], metadata: Metadata | None = None, **options: Any) -> Replay:
        path = tmp_path / "small.jsonl.zst"
        write_recording(path, metadata or small.metadata(), records)
        return load_replay(path, **options)

    return make


@pytest.fixture
def ask() -> Callable[..., Awaitable[Any]]:
    """`await ask(replay, method, *params)` gives the whole JSON-RPC answer of a node in this process."""

    async def send(replay: Replay, method: str, *params: Any) -> Any:
        return await _post(replay, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})

    return send


@pytest.fixture
def ask_batch() -> Callable[..., Awaitable[Any]]:
    """`await ask_batch(replay, (method, *params), …)` gives the answers of one batch."""

    async def send(replay: Replay, *questions: tuple[Any, ...]) -> Any:
        body = [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
            for place, (method, *params) in enumerate(questions)
        ]
        return await _post(replay, body)

    return send


@pytest.fixture
def fetch() -> Callable[..., Awaitable[httpx.Response]]:
    """`await fetch(replay, path)` is a GET request to a node in this process."""

    async def get(replay: Replay, path: str) -> httpx.Response:
        async with _client(replay) as client:
            return await client.get(path)

    return get


async def _post(replay: Replay, body: Any) -> Any:
    async with _client(replay) as client:
        response = await client.post(f"/{replay.slug}", json=body)
    assert response.status_code == 200
    return response.json()


def _client(replay: Replay) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_node([replay])), base_url="http://testserver")
