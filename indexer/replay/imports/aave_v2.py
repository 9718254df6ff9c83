"""The recording aave-v2-2021-reconstructed: every Aave V2 liquidation on Ethereum from December 2020 to July 2021."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import msgspec
from eth_utils.crypto import keccak

from indexer.replay.bloom import compute_bloom
from indexer.replay.filters import CompleteFilter
from indexer.replay.imports.tables import SourceError, check_count, read_lines, read_table
from indexer.replay.recording import (
    SUFFIX,
    CodeRecord,
    HeaderRecord,
    LogRecord,
    Metadata,
    Record,
    write_recording,
)
from indexer.replay.words import ZERO_HASH, Address, Hash, HexData
from ledger.kinds import SourceKind

SLUG = "aave-v2-2021-reconstructed"
CHAIN_ID = 420201217
LOGS_FILE = "aave_v2_2021_rebuilt_logs.jsonl.zst"
TABLE_FILE = "aave_v2_liquidations_int_2020-12_2021-07.csv.zst"
LIQUIDATION_CALL = "0x" + keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
LIQUIDATIONS = 6231

ImportProgress = Callable[[str], None]
"""Called with one line about each step."""

_PROVENANCE = (
    "Every Aave V2 liquidation on Ethereum from 2020-12-17 to 2021-07-27, as published in the repository "
    "TheRensselaerIDEA/IDEA-Blockchain (app/Data/liquidations.csv, commit 55d5dac0): time, pool, user, assets and both "
    "amounts are genuine and exact. The table names neither transactions nor blocks, so log objects were rebuilt from "
    "it; what had to be made up for them is listed under synthetic."
)
_MADE_UP_HERE = (
    "block hash, parent hash (digests, no Ethereum hashes)",
    "block number (one block a timestamp, counted from 1; the interpolated number is kept as source_number)",
    "block 0 (empty, with the time of block 1)",
    "logsBloom (of these logs only)",
    "transactionIndex (same as logIndex)",
)


class _RebuiltLog(msgspec.Struct, frozen=True, rename="camel"):
    address: Address
    topics: tuple[Hash, Hash, Hash, Hash]
    data: HexData
    block_number: str
    block_timestamp: str
    transaction_hash: Hash
    log_index: str
    synthetic: tuple[str, ...] = msgspec.field(name="_synthetic")

    def place(self) -> tuple[int, int, int]:
        return int(self.block_number, 16), int(self.block_timestamp, 16), int(self.log_index, 16)

    def liquidation(self) -> _Liquidation:
        """What happened: time, user, debt repaid, collateral taken."""
        amounts = int(self.data[2:66], 16), int(self.data[66:130], 16)
        return int(self.block_timestamp, 16), "0x" + self.topics[3][26:], *amounts


_Liquidation = tuple[int, str, int, int]


def import_aave(source_dir: Path, target_dir: Path, *, progress: ImportProgress | None = None) -> Path:
    """Builds the recording from the folder of real data and gives its path; raises RecordingError if data don't fit."""
    tell = progress or (lambda _: None)
    tell(f"reading {LOGS_FILE}")
    logs = _load_logs(source_dir / LOGS_FILE)
    tell(f"comparing {len(logs)} liquidations with {TABLE_FILE}")
    _check_against_table(logs, source_dir / TABLE_FILE)
    pools = sorted({log.address for log in logs})
    metadata = Metadata(
        slug=SLUG,
        kind=SourceKind.RECONSTRUCTED,
        title="Aave V2 liquidations, December 2020 to July 2021",
        chain_id=CHAIN_ID,
        provenance=_PROVENANCE,
        synthetic=tuple(dict.fromkeys(name for log in logs for name in log.synthetic)) + _MADE_UP_HERE,
        created_by="backstop import aave-v2",
        filters=(CompleteFilter(tuple(pools), ((LIQUIDATION_CALL,),)),),
    )
    path = target_dir / (SLUG + SUFFIX)
    written = write_recording(path, metadata, _build_records(logs))
    tell(f"wrote {path}: {written.records['log']} liquidations in {written.records['header']} blocks")
    return path


def _load_logs(path: Path) -> list[_RebuiltLog]:
    decoder = msgspec.json.Decoder(_RebuiltLog)
    logs: list[_RebuiltLog] = []
    before = (0, 0, -1)
    for line, text in read_lines(path):
        try:
            log = decoder.decode(text)
            place = log.place()
        except (msgspec.DecodeError, ValueError) as error:
            raise SourceError(f"{path}, line {line}: not a rebuilt log: {error}") from error
        problem = _find_problem(log, before)
        if problem:
            raise SourceError(f"{path}, line {line}: {problem}")
        logs.append(log)
        before = place
    check_count(path, len(logs), LIQUIDATIONS)
    return logs


def _find_problem(log: _RebuiltLog, before: tuple[int, int, int]) -> str | None:
    block, moment, index = log.place()
    if log.topics[0] != LIQUIDATION_CALL or len(log.data) != 2 + 4 * 64:
        return "not a LiquidationCall: topics and data must be three words and four"
    if (block == before[0]) != (moment == before[1]) or (block, moment) < before[:2]:
        return f"block {block} at {moment} after block {before[0]} at {before[1]}: one block a timestamp is needed"
    expected = before[2] + 1 if block == before[0] else 0
    return None if index == expected else f"logIndex {index} where {expected} is next"


def _check_against_table(logs: list[_RebuiltLog], path: Path) -> None:
    """Each row of the published table is one log, with the same time, user and amounts to the last unit."""
    left = Counter(log.liquidation() for log in logs)
    count = 0
    for row in read_table(path, ("timestamp", "user", "principalAmount", "collateralAmount")):
        count += 1
        asked = row.whole("timestamp"), row.text("user"), row.whole("principalAmount"), row.whole("collateralAmount")
        if not left[asked]:
            raise row.error(f"no log in {LOGS_FILE} has this time, user and these amounts")
        left[asked] -= 1
    check_count(path, count, LIQUIDATIONS)


def _build_records(logs: list[_RebuiltLog]) -> Iterator[Record]:
    header = HeaderRecord(number=0, hash=_digest(ZERO_HASH, "genesis"), parent=ZERO_HASH, time=logs[0].place()[1])
    yield header
    first_seen: dict[str, int] = {}
    for (source_number, moment, _), group in _group_by_block(logs):
        header = _build_header(header, moment, source_number, group)
        yield header
        for index, log in enumerate(group):
            first_seen.setdefault(log.address, header.number)
            yield LogRecord(
                block=header.number,
                index=index,
                tx=log.transaction_hash,
                tx_index=index,
                address=log.address,
                topics=log.topics,
                data=log.data,
            )
    for address, number in first_seen.items():
        # A pool that has just emitted has code; from when on it had, this table does not say.
        yield CodeRecord(address=address, first=0 if number == 1 else number, last=header.number, has_code=True)


def _group_by_block(logs: list[_RebuiltLog]) -> Iterator[tuple[tuple[int, int, int], list[_RebuiltLog]]]:
    for _, group in groupby(logs, key=lambda log: log.block_number):
        members = list(group)
        yield members[0].place(), members


def _build_header(parent: HeaderRecord, moment: int, source_number: int, logs: list[_RebuiltLog]) -> HeaderRecord:
    content = msgspec.json.encode([parent.number + 1, moment, source_number, logs]).decode()
    return HeaderRecord(
        number=parent.number + 1,
        hash=_digest(parent.hash, content),
        parent=parent.hash,
        time=moment,
        bloom=compute_bloom(word for log in logs for word in (log.address, *log.topics)),
        source_number=source_number,
    )


def _digest(parent: str, content: str) -> str:
    return "0x" + keccak(text=f"{SLUG} {parent} {content}").hex()
