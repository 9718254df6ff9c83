"""The benchmark itself: it measures every figure it promises, and a run that is fast and wrong fails it."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.chain import generated
from benchmarks.least import Caps, least_requests
from benchmarks.node import numbers_of
from benchmarks.results import TARGETS, record
from benchmarks.truth import Sum

SIZE = 10_000  # Logs of a full run; the chain holds twice as many, in 2,000 blocks.
WITHOUT_POSTGRES = {name for name in TARGETS if "postgres" not in name and "live" not in name}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one chain for this module, in its cache."""
    folder = tmp_path_factory.mktemp("bench")
    generated(folder, 2 * SIZE)
    return folder


def bench(cache: Path, results: Path, *arguments: str) -> int:
    """The exit code of a small benchmark."""
    small = ["--size", str(SIZE), "--rounds", "1", "--only", "sqlite"]
    return main([*small, "--cache", str(cache), "--results", str(results), *arguments])


def test_a_small_benchmark_records_every_figure_and_leaves_those_of_others(cache: Path, tmp_path: Path) -> None:
    results = tmp_path / "bench.json"
    results.write_text('{"site.page_ms": {"value": 7, "unit": "ms", "target": 10}}')
    assert bench(cache, results, "--without-live") == 0
    found = json.loads(results.read_text())
    assert found.keys() == WITHOUT_POSTGRES | {"site.page_ms"}
    assert found["site.page_ms"]["value"] == 7
    for name in WITHOUT_POSTGRES:
        assert found[name]["value"] > 0
        assert (found[name]["unit"], found[name]["target"]) == (TARGETS[name].unit, TARGETS[name].value)


def test_a_node_that_leaves_out_one_log_makes_the_benchmark_fail(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "bench.json"
    counts = numbers_of(generated(cache, SIZE).folder / "counts.idx")
    busy = next(number for number in range(100) if counts[number + 1] - counts[number] >= 100)
    assert bench(cache, results, "--quick", "--drop", str(busy)) == 1
    assert "raw_log holds 9998 rows instead of 10000" in capsys.readouterr().out  # One of each of the two filters.
    assert not results.exists()


def test_a_chain_is_the_beginning_of_every_longer_one(tmp_path: Path) -> None:
    short, long = generated(tmp_path / "short", 1_000), generated(tmp_path / "long", 2_000)
    assert (long.folder / "logs.bin").read_bytes().startswith((short.folder / "logs.bin").read_bytes())
    assert short.truth_at(99) == long.truth_at(99)
    assert short.truth_at(99)["raw_log"][0] == "1000"


def test_a_digest_notices_a_row_that_is_missing_changed_or_there_twice() -> None:
    digests = []
    for rows in (["a", "b"], ["b", "a"], ["a"], ["a", "c"], ["a", "a", "b"], ["a", "b", "b"]):
        total = Sum()
        for row in rows:
            total.add(row)
        digests.append(total.digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


@pytest.mark.parametrize(
    ("caps", "pages", "header_batches"),
    [
        (Caps(blocks=10, logs=1_000, batch=3), 1, 4),  # Everything in one range; ten headers in batches of three.
        (Caps(blocks=4, logs=1_000, batch=10), 3, 1),  # 4 + 4 + 2 blocks.
        (Caps(blocks=10, logs=6, batch=10), 4, 1),  # 2 logs a block: three blocks fit, 3 + 3 + 3 + 1.
        (Caps(blocks=10, logs=1, batch=10), 10, 1),  # A single block above the cap is a page too (by its receipts).
    ],
)
def test_the_least_requests_follow_from_the_caps(caps: Caps, pages: int, header_batches: int) -> None:
    before = [2 * number for number in range(11)]
    sparse = [number // 5 for number in range(11)]
    least = least_requests([before, sparse], 10, caps)
    assert (least.pages, least.header_batches) == (pages, header_batches)
    assert least.requests == pages + header_batches + 2


def test_a_figure_recorded_again_replaces_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    record(file, {"indexer.vs_web3py": 20.0, "indexer.rss_growth": 1.0})
    record(file, {"indexer.vs_web3py": 31.0})
    found = json.loads(file.read_text())
    assert found["indexer.vs_web3py"] == {"value": 31.0, "unit": "×", "target": 30}
    assert found["indexer.rss_growth"]["value"] == 1.0
