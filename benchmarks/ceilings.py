"""The ceilings that a run is held against, each measured in a process of its own, in the same minutes as the run.

    python -m benchmarks.ceilings parse URL         fetch and parse: http.client, msgspec, nothing else
    python -m benchmarks.ceilings decode URL        the same, and each log's words cut into values
    python -m benchmarks.ceilings write FROM TO     rows that an indexed database FROM holds, into bare tables of TO
    python -m benchmarks.ceilings write --keyed FROM TO     … into the ledger's own tables, with keys and indexes

`parse` is the ceiling that shares are counted from. `write` reads its rows before its clock starts, and writes them as
fast as the driver can: executemany into SQLite, COPY of ready bytes into Postgres, a transaction for 10,000 logs.
"""

import argparse
import http.client
import sqlite3
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec
import psycopg
from psycopg import sql

from benchmarks.measure import Watch, report
from benchmarks.workload import CLEARING_HOUSE, EVENTS, INSURANCE_FUND, POOL, SHARES
from indexer.words import Event

BLOCKS_AT_ONCE = 1_000
"""Some 10,000 logs: larger answers parse no faster."""
ROWS_AT_ONCE = 10_000
TABLES = ("block", "raw_log", "fact")
WATCHED = {"address": sorted((*SHARES, POOL, CLEARING_HOUSE, INSURANCE_FUND)), "topics": [sorted(EVENTS)]}
"""All that the three funds ask for, in one filter."""


class SevenFields(msgspec.Struct, rename="camel"):
    """A log's fields that rows are made of."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class Answer(msgspec.Struct):
    """One answer to one request."""

    result: list[SevenFields]


ANSWER = msgspec.json.Decoder(Answer)


def fetched(url: str, blocks: int) -> Iterator[list[SevenFields]]:
    """All watched logs, a range at a time, over one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    for first in range(0, blocks, BLOCKS_AT_ONCE):
        last = min(blocks, first + BLOCKS_AT_ONCE) - 1
        params = [{"fromBlock": hex(first), "toBlock": hex(last), **WATCHED}]
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": params}
        connection.request("POST", f"{parts.path}?{parts.query}", msgspec.json.encode(asked))
        yield ANSWER.decode(connection.getresponse().read()).result
    connection.close()


def parse(url: str, blocks: int) -> None:
    """Fetch and parse only."""
    watch = Watch()
    logs = sum(len(part) for part in fetched(url, blocks))
    report(**watch.read(), logs=logs)


def decode(url: str, blocks: int) -> None:
    """And decode: the product's own word cutter, values dropped at once."""
    watch = Watch()
    logs = 0
    events: dict[str, Event] = EVENTS
    for part in fetched(url, blocks):
        for log in part:
            events[log.topics[0]].values(log)
        logs += len(part)
    report(**watch.read(), logs=logs)


def write_sqlite(source: str, target: str, *, is_keyed: bool) -> None:
    """executemany, nothing else on the clock."""
    have, want = sqlite3.connect(source), sqlite3.connect(target, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=OFF"):
        want.execute(f"PRAGMA {pragma}")
    seconds, logs = 0.0, 0
    for table in TABLES:
        rows = have.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in rows.description]
        name = table if is_keyed else f"bare_{table}"
        if not is_keyed:
            want.execute(f"CREATE TABLE {name} ({', '.join(names)})")
        statement = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        while part := rows.fetchmany(ROWS_AT_ONCE):
            began = time.perf_counter()
            want.execute("BEGIN IMMEDIATE")
            want.executemany(statement, part)
            want.execute("COMMIT")
            seconds += time.perf_counter() - began
            logs += len(part) if table == "raw_log" else 0
    report(seconds=seconds, logs=logs)


def write_postgres(source: str, target: str, *, is_keyed: bool) -> None:
    """COPY of bytes that are ready, a transaction each time."""
    seconds, logs = 0.0, 0
    with psycopg.connect(source) as have, psycopg.connect(target, autocommit=True) as want:
        if is_keyed:
            copy_registry(have, want)
        for table in TABLES:
            name = table if is_keyed else f"bare_{table}"
            if not is_keyed:
                like = sql.SQL("CREATE TABLE {} (LIKE {})").format(sql.Identifier(name), sql.Identifier(table))
                want.execute(like)
            for rows, body in copied(have, table):
                began = time.perf_counter()
                with want.cursor() as cursor, cursor.copy(copy_in(name)) as copy:
                    copy.write(body)
                seconds += time.perf_counter() - began
                logs += rows if table == "raw_log" else 0
    report(seconds=seconds, logs=logs)


def copy_in(table: str) -> sql.Composed:
    """COPY … FROM STDIN."""
    return sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))


def copied(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> Iterator[tuple[int, bytes]]:
    """A table as COPY gives it, in bodies of ROWS_AT_ONCE rows."""
    lines: list[bytes] = []
    out = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(out) as copy:
        for line in copy:
            lines.append(bytes(line))
            if len(lines) == ROWS_AT_ONCE:
                yield len(lines), b"".join(lines)
                lines = []
    if lines:
        yield len(lines), b"".join(lines)


def copy_registry(
    have: "psycopg.Connection[tuple[object, ...]]", want: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    """What the foreign keys of the three tables point to."""
    for table in ("chain", "platform", "fund", "asset", "segment"):
        for _, body in copied(have, table):
            with want.cursor() as cursor, cursor.copy(copy_in(table)) as copy:
                copy.write(body)


def main(arguments: Sequence[str] | None = None) -> None:
    """One ceiling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parse", "decode", "write"))
    parser.add_argument("place", nargs="+", help="a node's URL, or two databases")
    parser.add_argument("--blocks", type=int, default=0, help="blocks of the chain (parse, decode)")
    parser.add_argument("--keyed", action="store_true", help="write into the ledger's tables (write)")
    options = parser.parse_args(arguments)
    if options.what == "write":
        source, target = (place.removeprefix("sqlite:///") for place in options.place)
        write = write_postgres if source.startswith("postgres") else write_sqlite
        write(source, target, is_keyed=options.keyed)
    else:
        (parse if options.what == "parse" else decode)(options.place[0], options.blocks)


if __name__ == "__main__":
    main()
