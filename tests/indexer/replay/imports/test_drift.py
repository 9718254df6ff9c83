"""The Drift import: each poll as it was observed, unknown kept unknown, unnamed markets told apart."""

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from indexer.replay.imports.drift import FUND_FILE, MARKETS_FILE, import_drift
from indexer.replay.recording import Metadata, PollRecord, RecordingError, open_recording
from ledger.kinds import SourceKind


def unpack(path: Path) -> str:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        return stream.read().decode()


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unpack(path))))


@pytest.fixture(scope="module")
def path(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_drift(real_data, tmp_path_factory.mktemp("drift"))


@pytest.fixture(scope="module")
def content(path: Path) -> tuple[Metadata, list[PollRecord]]:
    with open_recording(path) as recording:
        return recording.metadata, [each for each in recording.records() if isinstance(each, PollRecord)]


def test_there_is_one_poll_for_each_moment_of_either_table(content: Any, real_data: Path) -> None:
    _, polls = content
    moments = {int(row["observed_unix"]) for name in (FUND_FILE, MARKETS_FILE) for row in rows(real_data / name)}
    assert [poll.time for poll in polls] == sorted(moments)
    assert len(polls) == 3702
    assert sum(poll.data["fund"] is not None for poll in polls) == 3361
    assert sum(bool(poll.data["markets"]) for poll in polls) == 3697


def test_a_vault_that_was_not_polled_is_unknown_and_not_zero(content: Any) -> None:
    _, polls = content
    vaults = [poll.data["fund"]["vault_raw"] for poll in polls if poll.data["fund"] is not None]
    assert vaults.count(None) == 2290
    assert vaults[:2290] == [None] * 2290, "the vault was polled from one day on"
    assert (vaults[2290], vaults[-1]) == (10538867355, 161025461052)


def test_each_row_of_the_fund_is_kept_to_the_last_unit(content: Any, real_data: Path) -> None:
    _, polls = content
    by_time = {poll.time: poll.data["fund"] for poll in polls}
    for row in rows(real_data / FUND_FILE):
        fund = by_time[int(row["observed_unix"])]
        assert fund["vault_raw"] == (int(row["vault_usdc"]) if row["vault_usdc"] else None)
        assert fund["total_shares_raw"] == int(row["total_shares"])
        assert fund["user_shares_raw"] == int(row["user_shares"])


def test_each_row_of_a_market_is_kept_as_it_was_published(content: Any, real_data: Path) -> None:
    _, polls = content
    by_time = {poll.time: poll.data["markets"] for poll in polls}
    published = rows(real_data / MARKETS_FILE)
    for row in published:
        name = row["market"]
        if name == "Default Market Name":
            name = "BTC-PERP" if Decimal(row["oracle_price"]) > 5000 else "ETH-PERP"
        market = by_time[int(row["observed_unix"])][name]
        assert {column: str(value) for column, value in market.items()} == {column: row[column] for column in market}
        assert len(market) == 11
    assert sum(len(markets) for markets in by_time.values()) == len(published) == 6402


def test_unnamed_markets_are_told_apart_by_price_and_go_on_under_their_names(content: Any) -> None:
    _, polls = content
    counts = Counter(market for poll in polls for market in poll.data["markets"])
    assert counts == {"SOL-PERP": 3697, "BTC-PERP": 1344, "ETH-PERP": 1344, "APT-PERP": 17}
    for poll in polls:
        prices = {name: Decimal(market["oracle_price"]) for name, market in poll.data["markets"].items()}
        assert prices.get("BTC-PERP", Decimal(20000)) > 5000 > prices.get("ETH-PERP", Decimal(1500))


def test_it_says_that_others_recorded_it(content: Any) -> None:
    metadata, _ = content
    assert metadata.kind is SourceKind.THIRD_PARTY
    assert (metadata.chain_id, metadata.is_venue, metadata.synthetic) == (420221107, True, ())
    assert "third party" in metadata.provenance
    assert (metadata.first, metadata.last) == (1667822482, 1677581142)


def test_importing_twice_gives_the_same_bytes(real_data: Path, path: Path, tmp_path: Path) -> None:
    assert import_drift(real_data, tmp_path).read_bytes() == path.read_bytes()


@pytest.fixture
def spoiled(real_data: Path, tmp_path: Path) -> Callable[[str, Callable[[list[str]], list[str]]], Path]:
    """`spoiled(file, change)` copies the source files, with the lines of one of them changed."""

    def spoil(name: str, change: Callable[[list[str]], list[str]]) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        for each in (FUND_FILE, MARKETS_FILE):
            shutil.copy(real_data / each, folder / each)
        lines = change(unpack(real_data / name).splitlines(keepends=True))
        (folder / name).write_bytes(zstandard.compress("".join(lines).encode()))
        return folder

    return spoil


def swap(line: int, old: str, new: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        assert old in lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new, 1), *lines[line:]]

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (FUND_FILE, lambda lines: lines[:-1], r"insurance_fund.*ends after 3360 rows"),
        (FUND_FILE, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], r"line 4: observed_unix 1667827974 is"),
        (FUND_FILE, swap(2, "81231424", ""), r"line 2: total_shares is no whole number: ''"),
        (FUND_FILE, swap(1, "user_shares", "users"), r"line 1: no column user_shares"),
        (MARKETS_FILE, lambda lines: lines[:-1], r"perp_markets.*ends after 6401 rows"),
        (MARKETS_FILE, swap(2, "31.596002", "NaN"), r"line 2: oracle_price is no decimal number: 'NaN'"),
        (MARKETS_FILE, swap(2, "SOL-PERP", ""), r"line 2: market is empty"),
        (MARKETS_FILE, lambda lines: [*lines[:2], lines[1], *lines[3:]], r"line 3: a second row of SOL-PERP"),
        (MARKETS_FILE, swap(2, "0.433938", "0.433939"), r"line 3: quote_settled_insurance of SOL-PERP falls from"),
        (MARKETS_FILE, lambda lines: [lines[0], lines[3], lines[1], *lines[4:]], r"line 3: observed_unix .* is below"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_file_and_line(
    spoiled: Any, tmp_path: Path, *, name: str, change: Any, message: str
) -> None:
    folder = spoiled(name, change)
    with pytest.raises(RecordingError, match=message):
        import_drift(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"insurance_fund_.* cannot be read .*BACKSTOP_REAL_DATA") as caught:
        import_drift(tmp_path / "nowhere", tmp_path)
    assert "\n" not in str(caught.value)
