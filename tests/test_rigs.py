"""The rigs themselves: a real node, two real databases, and no way out to the network."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable

import pytest
from sqlalchemy import inspect

from ledger.database import open_engine
from ledger.upgrades import require_current
from tests.rigs import strictness
from tests.rigs.anvil import AnvilNode
from tests.rigs.network import is_local


def ask(url: str, method: str) -> object:
    """One JSON-RPC question to a node on this machine."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["result"]


def test_two_anvil_nodes_listen_on_ports_of_their_own(start_node: Callable[..., AnvilNode]) -> None:
    first, second = start_node("--chain-id", "7"), start_node("--chain-id", "8")
    assert [ask(node.url, "eth_chainId") for node in (first, second)] == ["0x7", "0x8"]


def test_an_anvil_that_cannot_start_says_why(start_node: Callable[..., AnvilNode]) -> None:
    with pytest.raises(RuntimeError, match="--no-such-option"):
        start_node("--no-such-option")


def test_a_migrated_database_is_current_and_empty(database_url: str) -> None:
    engine = open_engine(database_url)
    require_current(engine)
    with engine.connect() as connection:
        assert "fund" in inspect(connection).get_table_names()
        assert connection.exec_driver_sql("SELECT count(*) FROM fund").scalar_one() == 0
    engine.dispose()


def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "0.0.0.0", b"localhost", None, ""])
def test_this_machine_is_local(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "2001:db8::1", "example.com", "10.0.0.1", "localhost.example.com", b"a.b"]
)
def test_every_other_machine_is_foreign(host: object) -> None:
    assert not is_local(host)


def test_a_connection_to_another_machine_fails_the_test() -> None:
    with socket.socket() as dialled, pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        dialled.connect(("192.0.2.1", 80))


async def test_not_even_a_broad_except_swallows_a_foreign_connection() -> None:
    async def careless() -> str:
        try:
            await asyncio.open_connection("192.0.2.1", 80)
        except Exception:  # noqa: BLE001  The point of the test.
            return "swallowed"
        return "connected"

    with pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        await careless()


SKIPPING = "import pytest\n\ndef test_left_out():\n    pytest.skip({reason!r})\n"


@pytest.mark.parametrize(
    "case",
    [
        ("", "anvil is not installed", "skipped"),
        ("1", "anvil is not installed", "failed"),
        ("1", "BACKSTOP_REAL_DATA is not set", "skipped"),
    ],
)
def test_strict_turns_a_skip_into_a_failure_but_for_the_real_data(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, case: tuple[str, str, str]
) -> None:
    strict, reason, outcome = case
    monkeypatch.setenv("STRICT", strict)
    pytester.makepyfile(SKIPPING.format(reason=reason))
    result = pytester.runpytest_inprocess("-p", "no:asyncio", plugins=[strictness])
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines([f"*{reason}*"])
