"""The rigs themselves: a real node, two real databases, and no way out to the network."""

import asyncio
import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Callable

import pytest
from sqlalchemy import inspect

from ledger.database import open_engine
from ledger.upgrades import require_current
from tests.rigs import strictness
from tests.rigs.anvil import AnvilNode
from tests.rigs.network import is_local
from tests.rigs.node_parts import ROOT
from tests.rigs.workers import LONGEST_FIRST


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


TROUBLE = """
import socket
import pytest
from hypothesis import given, strategies

def test_draws(seed):
    assert seed == 0

def test_left_out():
    pytest.skip("anvil is not installed")

@given(strategies.integers())
def test_numbers_are_small(number):
    assert number < 1000

def test_dials():
    with socket.socket() as dialled:
        dialled.connect(("192.0.2.1", 80))
"""
PLUGINS = ("strictness", "properties", "network", "seeds", "workers")


@pytest.fixture
def run_side_by_side(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """`run_side_by_side(*options)` runs the files there are with the rigs of this house, as `make test` does."""
    pytester.makeconftest(f"pytest_plugins = {[f'tests.rigs.{name}' for name in PLUGINS]}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ("-p", "no:asyncio", "-p", "no:cacheprovider", "--dist=loadfile", "--no-loadscope-reorder", "-v")
    return lambda *more: pytester.runpytest_subprocess(*options, *more)


@pytest.mark.parametrize("strict", ["0", "1"])
def test_two_workers_are_as_strict_as_one_process_and_the_end_is_told_once(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    run_side_by_side: Callable[..., pytest.RunResult],
    strict: str,
) -> None:
    monkeypatch.setenv("STRICT", strict)
    pytester.makepyfile(test_one=TROUBLE, test_two=TROUBLE)
    result = run_side_by_side("-n2", "--seed=17")
    left_out = {"failed": 8} if strict == "1" else {"failed": 6, "skipped": 2}
    result.assert_outcomes(**left_out)
    told = result.stdout.str()
    assert {*re.findall(r"\[(gw\d)\]", told)} == {"gw0", "gw1"}
    assert told.count("= seeds =") == 1
    assert re.findall(r"^--seed 17 .*", told, re.M) == [
        f"--seed 17  test_{name}.py::test_draws" for name in ("one", "two")
    ]
    # Where CI is set, pytest repeats the whole reason in its summary; the failure itself stands behind E.
    assert len(re.findall(r"^E .*@reproduce_failure\(", told, re.M)) == 2
    assert len(re.findall(r"^E +Failed: socket.connect to '192.0.2.1'", told, re.M)) == 2
    assert told.count("= not tested here =") == (0 if strict == "1" else 1)
    if strict == "0":
        result.stdout.fnmatch_lines(["2 × anvil is not installed", "*test_one.py::test_left_out"])


def test_each_file_that_two_workers_may_not_import_fails_under_strict(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, run_side_by_side: Callable[..., pytest.RunResult]
) -> None:
    monkeypatch.setenv("STRICT", "1")
    skipping = "import pytest\n\npytest.skip('anvil is not installed', allow_module_level=True)\n"
    pytester.makepyfile(test_one=skipping, test_two=skipping)
    run_side_by_side("-n2").assert_outcomes(errors=2)


def test_workers_begin_with_the_longest_files_and_one_process_keeps_their_order(
    pytester: pytest.Pytester, run_side_by_side: Callable[..., pytest.RunResult]
) -> None:
    longest = [LONGEST_FIRST[0], LONGEST_FIRST[1]]
    names = sorted([*longest, "tests/app/test_short.py", "tests/web/test_short.py"])
    for name in names:
        pytester.path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        pytester.path.joinpath(name).write_text("def test_first():\n    pass\n\ndef test_second():\n    pass\n")
    passed = r"^(?:\[gw0\] \[ *\d+%\] PASSED )?(tests/\S+::test_\w+) (?:PASSED.*)?$"
    for options, files in (
        (("-n1",), [*longest, *(name for name in names if name not in longest)]),
        ((), names),
    ):
        told = run_side_by_side("--import-mode=importlib", *options).stdout.str()
        wanted = [f"{file}::test_{which}" for file in files for which in ("first", "second")]
        # Workers are told of at their start and at their end, each in a line.
        assert list(dict.fromkeys(re.findall(passed, told, re.M))) == wanted


def test_each_file_that_goes_first_is_there() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        ("", "-n auto"),
        ("--durations=60", "-n auto"),
        ("-k reorg", ""),
        ("--seed 7 -k kills", ""),
        ("tests/test_rigs.py", ""),
        ("-n0", ""),
        ("-n 4 --often 5", ""),
    ],
)
def test_make_test_takes_all_cores_unless_asked_for_a_part_or_a_number(arguments: str, workers: str) -> None:
    command = ["make", "--dry-run", "--silent", "test", f"ARGS={arguments}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == [
        ".venv/bin/python",
        "-m",
        "pytest",
        *workers.split(),
        *arguments.split(),
    ]
