"""The Aave import: genuine liquidations to the last unit, everything made up listed, nothing odd let through."""

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from indexer.replay.bloom import may_contain
from indexer.replay.imports.aave_v2 import LIQUIDATION_CALL, LOGS_FILE, SLUG, TABLE_FILE, import_aave
from indexer.replay.node import load_replay, running_node
from indexer.replay.recording import HeaderRecord, LogRecord, Metadata, RecordingError, open_recording
from ledger.kinds import SourceKind


def unpack(path: Path) -> str:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        return stream.read().decode()


@pytest.fixture(scope="module")
def table(real_data: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unpack(real_data / TABLE_FILE))))


@pytest.fixture(scope="module")
def path(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_aave(real_data, tmp_path_factory.mktemp("aave"))


@pytest.fixture(scope="module")
def content(path: Path) -> tuple[Metadata, list[HeaderRecord], list[LogRecord]]:
    with open_recording(path) as recording:
        records = list(recording.records())
        headers = [each for each in records if isinstance(each, HeaderRecord)]
        return recording.metadata, headers, [each for each in records if isinstance(each, LogRecord)]


def words(log: LogRecord) -> list[int]:
    return [int(log.data[at : at + 64], 16) for at in range(2, len(log.data), 64)]


def test_each_liquidation_is_there_once(content: Any, table: list[dict[str, str]]) -> None:
    _, headers, logs = content
    assert len(logs) == len(table) == 6231
    times = {header.number: header.time for header in headers}
    found = Counter((times[log.block], "0x" + log.topics[3][26:], *words(log)[:2]) for log in logs)
    published = Counter(
        (int(row["timestamp"]), row["user"], int(row["principalAmount"]), int(row["collateralAmount"])) for row in table
    )
    assert found == published


def test_the_sum_of_each_debt_asset_is_the_tables_to_the_last_unit(content: Any, table: list[dict[str, str]]) -> None:
    _, headers, logs = content
    times = {header.number: header.time for header in headers}
    symbol_of: dict[str, set[str]] = {}
    rows = {(int(row["timestamp"]), row["user"], int(row["principalAmount"])): row for row in table}
    sums: Counter[str] = Counter()
    for log in logs:
        asset, (debt, *_) = "0x" + log.topics[2][26:], words(log)
        row = rows[times[log.block], "0x" + log.topics[3][26:], debt]
        # The AMM market's reserves are the same tokens under names of their own.
        symbol_of.setdefault(asset, set()).add(row["principalReserve"].removeprefix("Amm"))
        sums[asset] += debt
    assert all(len(symbols) == 1 for symbols in symbol_of.values())
    published: Counter[str] = Counter()
    for row in table:
        published[row["principalReserve"].removeprefix("Amm")] += int(row["principalAmount"])
    assert {next(iter(symbol_of[asset])): total for asset, total in sums.items()} == published
    assert len(sums) == 22


def test_it_says_what_is_made_up(content: Any) -> None:
    metadata, _, _ = content
    assert metadata.kind is SourceKind.RECONSTRUCTED
    assert metadata.chain_id == 420201217
    for name in (
        "transactionHash",
        "liquidator",
        "receiveAToken",
        "block hash",
        "block number",
        "logIndex",
        "logsBloom",
    ):
        assert any(name.lower() in each.lower() for each in metadata.synthetic), name


def test_headers_are_one_chain_whose_blooms_hold_the_logs(content: Any) -> None:
    _, headers, logs = content
    assert [header.number for header in headers] == list(range(4276))
    assert all(header.parent == before.hash for before, header in pairwise(headers))
    assert len({header.hash for header in headers}) == len(headers)
    for log in logs:
        assert all(may_contain(headers[log.block].bloom, word) for word in (log.address, *log.topics))
    assert not may_contain(headers[1].bloom, "0x" + "12" * 20)
    assert (headers[1].source_number, headers[-1].source_number) == (11460620, 12895045)


def test_importing_twice_gives_the_same_bytes(real_data: Path, path: Path, tmp_path: Path) -> None:
    assert import_aave(real_data, tmp_path).read_bytes() == path.read_bytes()


def test_the_replay_serves_all_liquidations_and_knows_nothing_else(path: Path) -> None:
    def ask(client: httpx.Client, url: str, method: str, *params: Any) -> Any:
        return client.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).json()

    query = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x7d2768dE32b0b80b7a3454c06BdAc94A69DDc7A9"}
    with running_node([load_replay(path)]) as node, httpx.Client() as client:
        url = node.url_of(SLUG)
        pool = ask(client, url, "eth_getLogs", {**query, "topics": [LIQUIDATION_CALL]})["result"]
        other = ask(client, url, "eth_getLogs", {**query, "topics": ["0x" + "11" * 32]})
        code = ask(client, url, "eth_getCode", query["address"], "0x0")["result"]
    assert len(pool) == 6176, "the others belong to the AMM market"
    assert other["error"]["message"].startswith("not recorded")
    assert code != "0x"


@pytest.fixture
def spoiled(real_data: Path, tmp_path: Path) -> Callable[[str, Callable[[list[str]], list[str]]], Path]:
    """`spoiled(file, change)` copies the source files, with the lines of one of them changed."""

    def spoil(name: str, change: Callable[[list[str]], list[str]]) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        for each in (LOGS_FILE, TABLE_FILE):
            shutil.copy(real_data / each, folder / each)
        lines = change(unpack(real_data / name).splitlines(keepends=True))
        (folder / name).write_bytes(zstandard.compress("".join(lines).encode()))
        return folder

    return spoil


def edit(line: int, field: str, value: Any) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        log = json.loads(lines[line - 1])
        return [*lines[: line - 1], json.dumps({**log, field: value}) + "\n", *lines[line:]]

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (LOGS_FILE, lambda lines: lines[:-1], r"ends after 6230 rows"),
        (LOGS_FILE, lambda lines: [lines[1], lines[0], *lines[2:]], r"line 2: block 11460620 at .* one block a time"),
        (LOGS_FILE, lambda lines: [*lines[:9], "{}\n", *lines[10:]], r"line 10: not a rebuilt log"),
        (LOGS_FILE, edit(3, "logIndex", "0x4"), r"line 3: logIndex 4 where 0 is next"),
        (LOGS_FILE, edit(3, "data", "0x" + "01" * 128), r"liquidations_int_.*, line \d+: no log in .* has this time"),
        (LOGS_FILE, edit(3, "data", "0x01"), r"line 3: not a LiquidationCall"),
        (LOGS_FILE, edit(3, "blockNumber", "many"), r"line 3: not a rebuilt log"),
        (TABLE_FILE, lambda lines: [*lines[:6], *lines[7:]], r"ends after 6230 rows"),
        (TABLE_FILE, lambda lines: [lines[0].replace("user", "use"), *lines[1:]], r"line 1: no column user"),
        (TABLE_FILE, lambda lines: [*lines[:3], "1,2\n", *lines[4:]], r"line 4: 2 cells under 15 columns"),
        (TABLE_FILE, lambda lines: [*lines[:3], lines[3].replace("820797", "x", 1), *lines[4:]], r"line 4: prin"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_file_and_line(
    spoiled: Any, tmp_path: Path, *, name: str, change: Any, message: str
) -> None:
    folder = spoiled(name, change)
    with pytest.raises(RecordingError, match=message):
        import_aave(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"rebuilt_logs\.jsonl\.zst cannot be read .*BACKSTOP_REAL_DATA") as caught:
        import_aave(tmp_path / "nowhere", tmp_path)
    assert "\n" not in str(caught.value)
