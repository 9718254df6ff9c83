"""A ledger to index into, and a node with small contracts of these tests' own."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import eth_abi
import pytest
from eth_utils.abi import function_signature_to_4byte_selector
from sqlalchemy import Engine
from sqlmodel import SQLModel

from ledger.database import open_engine
from tests.rigs.anvil import AnvilNode
from tests.rigs.databases import KINDS
from tests.rigs.node_parts import find_part
from tests.rigs.transfer_chain import SENDER, AnvilChain

FreshLedger = Callable[[], AbstractContextManager[Engine]]


class ContractChain(AnvilChain):
    """An anvil that deploys and calls contracts by name."""

    def __init__(self, url: str, code: dict[str, str]) -> None:
        super().__init__(url)
        self.code = code

    def put(self, name: str) -> str:
        """Deploys a contract in a block of its own; its address."""
        tx = self.ask("eth_sendTransaction", {"from": SENDER, "data": self.code[name], "gas": "0x400000"})
        self.mine()
        return str(self.ask("eth_getTransactionReceipt", tx)["contractAddress"])

    def queue(self, to: str, signature: str, *values: Any) -> None:
        """A call for the next block."""
        kinds = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
        data = function_signature_to_4byte_selector(signature) + eth_abi.encode(kinds, values)
        call = {"from": SENDER, "to": to, "data": "0x" + data.hex(), "gas": "0x200000"}
        self.ask("eth_sendTransaction", call)


@pytest.fixture(scope="session")
def creation_code() -> dict[str, str]:
    """Contract → its creation code, compiled by npm's solc."""
    script = Path(__file__).with_name("compile.js")
    modules = find_part("solc").parent
    done = subprocess.run(["node", str(script), str(modules)], capture_output=True, text=True, check=True)
    code: dict[str, str] = json.loads(done.stdout)
    return code


@pytest.fixture
def contracts(start_node: Callable[..., AnvilNode], creation_code: dict[str, str]) -> Iterator[ContractChain]:
    """A chain whose finalized block lies 8 below the head."""
    node = start_node("--no-mining", "--slots-in-an-epoch", "4", "--timestamp", "1700000000")
    chain = ContractChain(node.url, creation_code)
    yield chain
    chain.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with its tables, once of each kind."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session", params=KINDS)
def fresh_ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FreshLedger:
    """A ledger with its tables and no rows, each time it is called."""

    @contextmanager
    def sqlite() -> Iterator[Engine]:
        template: Path = request.getfixturevalue("migrated_sqlite")
        path = tmp_path_factory.mktemp("split") / "ledger.sqlite"
        path.write_bytes(template.read_bytes())
        engine = open_engine(f"sqlite:///{path}")
        try:
            yield engine
        finally:
            engine.dispose()

    idle: list[str] = []

    @contextmanager
    def postgres() -> Iterator[Engine]:
        # Emptied and used again: a new database for each example would take most of the time.
        rig = request.getfixturevalue("postgres")
        url = idle.pop() if idle else rig.create_database(template=request.getfixturevalue("migrated_postgres"))
        engine = open_engine(url)
        try:
            yield engine
        finally:
            with engine.begin() as connection:
                tables = ", ".join(f'"{table.name}"' for table in SQLModel.metadata.sorted_tables)
                connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
            engine.dispose()
            idle.append(url)

    return sqlite if request.param == "sqlite" else postgres
