"""The demo as a stranger runs it: one command on the shipped recording, then what its files say."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.settings import PREFIX
from ledger.kinds import Status

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 600
"""Not the promise (that is the benchmark's), only what separates slow from stuck."""


@dataclass(frozen=True)
class Demo:
    """A demo that has run: what it said and the site it wrote."""

    out: str
    err: str
    site: Path

    @property
    def funds(self) -> list[dict[str, Any]]:
        """The funds of funds.json."""
        funds: list[dict[str, Any]] = json.loads((self.site / "funds.json").read_text())["funds"]
        return funds


def run_demo(directory: Path, **variables: str) -> Demo:
    """`backstop demo --once` with nothing of ours in the environment, in a directory of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    # A proxy that leads nowhere: whatever asked for the network would fail.
    offline = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "demo", "--once"],
        cwd=directory,
        env=clean | offline | {"PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"} | variables,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Demo(done.stdout, done.stderr, directory / "build" / "site")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The shipped demo, without real data."""
    return run_demo(tmp_path_factory.mktemp("demo"))


def statuses(demo: Demo) -> dict[str, str]:
    """Status of each fund by slug."""
    return {fund["slug"]: segment["status"] for fund in demo.funds for segment in fund["segments"]}


@pytest.mark.parametrize(
    "wanted",
    [
        {Status.COVERED, Status.THIN, Status.AMPLE},
        {Status.SHORT, Status.DEPLETED},
        {Status.NO_FUND},
        {Status.NOT_COMPUTABLE},
    ],
)
def test_the_shipped_demo_shows_each_sort_of_status(wanted: set[Status], demo: Demo) -> None:
    assert set(statuses(demo).values()) & wanted


def test_what_cannot_be_computed_says_why(demo: Demo) -> None:
    segments = [segment for fund in demo.funds for segment in fund["segments"]]
    unknown = [segment for segment in segments if segment["status"] == Status.NOT_COMPUTABLE]
    assert unknown
    assert all(segment["status_reason"] for segment in unknown)


def test_every_number_that_is_missing_has_its_reason_and_none_is_zero_instead(demo: Demo) -> None:
    metrics = [metric for fund in demo.funds for segment in fund["segments"] for metric in segment["metrics"]]
    assert metrics
    silent = [metric["name"] for metric in metrics if metric["quality"] != "ok" and not metric["reason"]]
    assert not silent
    assert all(metric["value"] is None for metric in metrics if metric["quality"] == "unknown")


def test_the_small_fund_is_below_zero_and_nobody_topped_it_up(demo: Demo) -> None:
    assert statuses(demo)["perp-v2-small-simulated"] == Status.DEPLETED
    (small,) = [fund for fund in demo.funds if fund["slug"] == "perp-v2-small-simulated"]
    values = {metric["name"]: metric["value"] for metric in small["segments"][0]["metrics"]}
    assert float(values["gross_balance"]) < 0


def test_the_thin_funds_page_tells_losses_before_they_were_booked_and_whom_the_contract_refuses(demo: Demo) -> None:
    page = (demo.site / "funds" / "perp-v2-small-simulated" / "index.html").read_text()
    section = page.partition('id="accounts"')[2].partition("</section>")[0]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section))
    # vALT was paused on 19 May and its losses booked on 20 and 23 May: the days before list them.
    for day in ("2021-05-19", "2021-05-20", "2021-05-21", "2021-05-22", "2021-05-24"):
        assert day in text
    # Each refused account stands in a row of its own: its short name, then "yes" under "Liquidation refused".
    assert len(re.findall(r"0x[0-9a-f]{6}…[0-9a-f]{4} −\$[\d,]+ \$[\d,]+ yes ", text)) == 4


def test_every_fund_of_a_recording_says_so_in_name_slug_and_kind(demo: Demo) -> None:
    for fund in demo.funds:
        assert fund["slug"].endswith("-simulated")
        assert "simulated" in fund["name"]
        assert fund["replay_of"]
        assert fund["source_kind"] == "simulated"


def test_the_static_site_stands_by_itself(demo: Demo) -> None:
    for fund in demo.funds:
        page = (demo.site / fund["page"].strip("/") / "index.html").read_text()
        assert fund["segments"][0]["status_words"] in page
        assert "Replay of" in page
    home = (demo.site / "index.html").read_text()
    assert all(fund["page"] in home for fund in demo.funds)


def test_the_terminal_shows_a_row_a_fund_and_how_long_each_step_took(demo: Demo) -> None:
    for slug in statuses(demo):
        assert slug in demo.out
    assert re.search(r"index [\d.]+ s · compute [\d.]+ s · publish [\d.]+ s · together [\d.]+ s", demo.out)
    assert "Traceback" not in demo.err


def test_with_real_data_the_histories_of_aave_and_drift_join(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    demo = run_demo(tmp_path_factory.mktemp("real"), BACKSTOP_REAL_DATA=str(real_data.resolve()))
    kinds = {fund["slug"]: fund["source_kind"] for fund in demo.funds}
    assert kinds["aave-v2-2021-reconstructed"] == "reconstructed"
    assert kinds["drift-2022-third-party"] == "recorded_by_third_party"
    assert len(kinds) == 6
