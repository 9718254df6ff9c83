"""`backstop run` and `backstop index` as real processes on a replay: they start, fail clearly, and stop cleanly."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.recordings import SHIPPED
from app.settings import SHIPPED_FUNDS
from indexer.replay.node import load_replay, running_node
from indexer.replay.recording import SUFFIX
from ledger.database import open_engine
from ledger.kinds import ChainStatus
from ledger.pages import asking, latest_metrics, list_places
from tests.rigs.commands import Place, wait_for

CRASH = "crash-2021-05-simulated"
CRASH_ID = 420210501
NOWHERE = "http://127.0.0.1:1"
SOME_BLOCKS = 40
"""Enough of the recording for every fund to have been read, few enough to be indexed in seconds."""


@pytest.fixture(scope="module")
def replay_url() -> Iterator[str]:
    """The first blocks of the shipped recording, served."""
    with running_node([load_replay(SHIPPED / f"{CRASH}{SUFFIX}", start=SOME_BLOCKS)]) as node:
        yield node.url_of(CRASH)


@pytest.fixture
def place(tmp_path: Path, replay_url: str) -> Place:
    """The recording's funds are followed on the replay; logs are JSON lines."""
    urls = json.dumps({str(CRASH_ID): [replay_url]})
    variables = {
        "BACKSTOP_FUNDS_DIR": str(SHIPPED_FUNDS / CRASH),
        "BACKSTOP_RPC_URLS": urls,
        "BACKSTOP_POLL_SECONDS": "0.2",
        "BACKSTOP_COMPUTE_SECONDS": "1",
    }
    return Place(tmp_path, variables)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_starts_on_an_empty_machine_serves_and_stops_cleanly_at_a_signal(
    number: signal.Signals, place: Place
) -> None:
    with place.start("run") as process:
        address = wait_for(process, r"Backstop is at (http://\S+),")[1]
        wait_for(process, r"history complete")
        wait_for(process, r"computed 4 segments: [1-9]")
        assert httpx.get(f"{address}/healthz", timeout=30).status_code == 200
        assert len(httpx.get(f"{address}/funds.json", timeout=30).json()["funds"]) == 4
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped" in err
    assert "Traceback" not in err
    assert place.finish("db", "check").returncode == 0
    assert place.chain_statuses()[CRASH][0] == ChainStatus.FOLLOWING


def test_a_signal_while_history_is_read_leaves_a_ledger_that_goes_on(place: Place) -> None:
    with place.start("run") as process:
        wait_for(process, r"Backstop is at")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    done = place.finish("index", "--once")
    assert done.returncode == 0, done.stderr
    assert f"{SOME_BLOCKS:,}" in done.stdout


@pytest.fixture
def with_a_dead_chain(place: Place) -> Callable[..., Place]:
    """Beside the recording a chain whose providers do not answer, or answer something else, with one fund on it."""

    def add(url: str) -> Place:
        folder = place.directory / "funds"
        folder.mkdir()
        for file in (SHIPPED_FUNDS / CRASH).glob("*.toml"):
            (folder / file.name).write_text(file.read_text())
        chains = (folder / "chain.toml").read_text()
        dead = f'[[chain]]\nid = 9999\nslug = "far-away"\nname = "Far away"\nrpc = ["{url}", "{url}"]\n'
        (folder / "chain.toml").write_text(f"{chains}\n{dead}")
        fund = (folder / "reserve.toml").read_text().replace(str(CRASH_ID), "9999").replace("-simulated", "-elsewhere")
        (folder / "elsewhere.toml").write_text(fund)
        place.variables["BACKSTOP_FUNDS_DIR"] = str(folder)
        return place

    return add


def test_a_chain_without_a_provider_is_named_with_the_fix_and_hurts_no_other(
    with_a_dead_chain: Callable[..., Place],
) -> None:
    place = with_a_dead_chain(NOWHERE)
    assert place.finish("db", "upgrade").returncode == 0
    done = place.finish("index", "--once")
    assert done.returncode == 5
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith("error: Far away: ")
    assert "(tried 2); set BACKSTOP_RPC_URLS to other addresses of chain 9999" in line
    assert "Traceback" not in done.stderr
    statuses = place.chain_statuses()
    assert statuses[CRASH] == (ChainStatus.FOLLOWING, "")
    assert statuses["far-away"][0] == ChainStatus.UNREACHABLE
    assert statuses["far-away"][1]


def test_a_provider_of_another_chain_is_refused_by_name(
    with_a_dead_chain: Callable[..., Place], replay_url: str
) -> None:
    place = with_a_dead_chain(replay_url)
    assert place.finish("db", "upgrade").returncode == 0
    done = place.finish("index", "--once", "--chain", "far-away")
    assert done.returncode == 5
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"serves chain id {CRASH_ID}, but far-away is 9999" in line


def test_run_serves_the_others_while_one_chain_is_away(with_a_dead_chain: Callable[..., Place]) -> None:
    place = with_a_dead_chain(NOWHERE)
    with place.start("run") as process:
        address = wait_for(process, r"Backstop is at (http://\S+),")[1]
        wait_for(process, r"far-away is unreachable")
        assert httpx.get(f"{address}/status", timeout=30).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    engine = open_engine(place.database)
    with asking(engine) as session:
        places = {p.fund.slug: p for p in list_places(session)}
        metrics = latest_metrics(session, [p.segment_id for p in places.values()])
    engine.dispose()
    assert len(places) == 5
    # What was never read has no number at all, least of all a 0.
    assert not metrics.get(places["reserve-elsewhere"].segment_id)


def test_index_names_a_chain_that_no_fund_lives_on(place: Place) -> None:
    done = place.finish("index", "--once", "--chain", "atlantis")
    assert done.returncode == 2
    assert f"no fund lives on a chain atlantis: give one of {CRASH}" in done.stderr


def test_a_taken_port_is_one_clear_line(place: Place) -> None:
    assert place.finish("db", "upgrade").returncode == 0
    taken = place.variables["BACKSTOP_RPC_URLS"].split(":")[-1].split("/")[0]
    for words in (["serve"], ["run"], ["demo"]):
        done = place.finish(*words, BACKSTOP_PORT=taken)
        assert done.returncode == 6
        assert f"cannot listen on 127.0.0.1:{taken}" in done.stderr
        assert "BACKSTOP_PORT" in done.stderr
        assert "Traceback" not in done.stderr
