"""A ledger of each kind, and a chain whose final block lies 8 below its head."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine
from tests.rigs.anvil import AnvilNode
from tests.rigs.live_sync import LIVE_NODE
from tests.rigs.transfer_chain import AnvilChain


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> Iterator[AnvilChain]:
    """The emitter is in block 1."""
    opened = AnvilChain(start_node(*LIVE_NODE).url)
    opened.deploy()
    yield opened
    opened.close()
