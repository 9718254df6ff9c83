"""The peer that anyone can repeat: a plain web3.py loop into SQLite, written the way tutorials and scripts write it.

    python -m benchmarks.web3_loop URL FILE --blocks N

get_logs in fixed chunks, each log through its contract's event, one get_block for each new block, executemany and
commit once a chunk. It checks nothing: no head, no header hash, no bloom, no cursor.
"""

import argparse
import sqlite3
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3

from benchmarks.measure import Watch, report
from benchmarks.workload import CLEARING_HOUSE, EVENTS, INSURANCE_FUND, POOL, SHARES
from indexer.words import Event

CHUNK = 500
WATCHED = [to_checksum_address(address) for address in (*SHARES, POOL, CLEARING_HOUSE, INSURANCE_FUND)]


def abi_of(event: Event) -> dict[str, Any]:
    """The event as an ABI file has it."""
    inputs = [{"name": p.name, "type": p.type, "indexed": p.is_indexed} for p in event.parameters]
    return {"type": "event", "name": event.name, "anonymous": False, "inputs": inputs}


def index(url: str, file: str, blocks: int) -> int:
    """All of it; how many logs were stored."""
    web3 = Web3(HTTPProvider(url, request_kwargs={"timeout": 600}))
    contract = web3.eth.contract(abi=[abi_of(event) for event in EVENTS.values()])
    decoders = {topic: contract.events[event.name]() for topic, event in EVENTS.items()}
    database = sqlite3.connect(file)
    database.execute(
        "CREATE TABLE event (block INTEGER, time INTEGER, tx TEXT, log_index INTEGER, address TEXT, name TEXT, "
        "args TEXT, PRIMARY KEY (tx, log_index))"
    )
    times: dict[int, int] = {}
    stored = 0
    for first in range(0, blocks, CHUNK):
        logs = web3.eth.get_logs(
            {
                "fromBlock": first,
                "toBlock": min(blocks, first + CHUNK) - 1,
                "address": WATCHED,
                "topics": [list(EVENTS)],
            }
        )
        rows = []
        for log in logs:
            event = decoders[log["topics"][0].to_0x_hex()].process_log(log)
            number = event["blockNumber"]
            if number not in times:
                times[number] = web3.eth.get_block(number)["timestamp"]
            place = (number, times[number], event["transactionHash"].to_0x_hex(), event["logIndex"])
            rows.append((*place, event["address"], event["event"], Web3.to_json(event["args"])))
        database.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        database.commit()
        stored += len(rows)
    database.close()
    return stored


def main() -> None:
    """Runs and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("file")
    parser.add_argument("--blocks", type=int, required=True)
    options = parser.parse_args()
    watch = Watch()
    stored = index(options.url, options.file, options.blocks)
    report(**watch.read(), logs=stored)


if __name__ == "__main__":
    main()
