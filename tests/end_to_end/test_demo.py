"""The demo as a stranger runs it: one command on the shipped recording, then what its files say."""

import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from app.settings import PREFIX
from ledger.kinds import AlertEvent, Status
from tests.rigs.catcher import Catcher
from tests.web.crawling import crawl_tree, files_of

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
def outsider() -> Iterator[Catcher]:
    """Whoever the settings name as operators and watchdog."""
    with Catcher() as opened:
        yield opened


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, outsider: Catcher) -> Demo:
    """The shipped demo, without real data."""
    operators = json.dumps({"on-call": f"json://127.0.0.1:{outsider.port}"})
    named = {"BACKSTOP_OPERATOR_URLS": operators, "BACKSTOP_HEARTBEAT_URL": f"http://127.0.0.1:{outsider.port}/"}
    return run_demo(tmp_path_factory.mktemp("demo"), **named)


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
    for day in (19, 20, 21, 22, 24):
        assert f"{day} May 2021" in text
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


def test_a_band_is_told_by_its_two_ends(demo: Demo) -> None:
    page = (demo.site / "funds/perp-v2-small-simulated/index.html").read_text()
    for title, ends in (("Size band", r"\$[\d,]+ to \$[\d,]+"), ("Usable value ÷ size band", r"[\d.]+× to [\d.]+×")):
        told = re.findall(rf"<dt>{title}</dt><dd><a [^>]*>([^<]*)</a>", page)
        assert told, title
        assert all(re.fullmatch(ends, text) for text in told), told


def test_a_crawl_of_its_site_finds_no_broken_link_and_nothing_that_is_no_number(demo: Demo) -> None:
    files = files_of(demo.site)
    seen, faults = crawl_tree(files)
    assert not faults
    pages = {f"/{name.removesuffix('index.html').strip('/')}" for name in files if name.endswith("index.html")}
    assert pages - seen == set(), "pages that no page leads to"
    assert len(pages) > 500
    # What cannot be read in what is stored is called invalid: nothing of what was written here is like that.
    assert not [name for name, body in files.items() if name.endswith(".html") and b">invalid<" in body]


def test_the_terminal_shows_a_row_a_fund_and_how_long_each_step_took(demo: Demo) -> None:
    for slug in statuses(demo):
        assert slug in demo.out
    steps = r"index [\d.]+ s · compute [\d.]+ s · alerts [\d.]+ s · publish [\d.]+ s · together [\d.]+ s"
    assert re.search(steps, demo.out)
    assert "Traceback" not in demo.err


def announcements(demo: Demo) -> list[dict[str, Any]]:
    """What the demo announced, as the log's JSON tells it."""
    found: list[dict[str, Any]] = json.loads((demo.site / "alerts" / "log.json").read_text())["announcements"]
    return found


def test_the_crash_is_announced_by_name(demo: Demo) -> None:
    about = {(one["event"], one.get("fund_slug", "")) for one in announcements(demo)}
    assert about >= {
        (AlertEvent.DEPLETED, "perp-v2-small-simulated"),
        (AlertEvent.SHORTFALL_RECORDED, "perp-v2-small-simulated"),
        (AlertEvent.SHORTFALL_RECORDED, "perp-v2-large-simulated"),
        (AlertEvent.SHORTFALL_RECORDED, "morpho-blue-simulated"),
        (AlertEvent.LOSS_SOCIALIZED, "morpho-blue-simulated"),
        (AlertEvent.PAUSED, "perp-v2-small-simulated"),
        (AlertEvent.WITHDRAWAL_LARGE, "reserve-simulated"),
    }
    # The large fund is never called depleted, and nothing that a recording says is a fault of ours.
    assert [slug for event, slug in about if event == AlertEvent.DEPLETED] == ["perp-v2-small-simulated"]
    assert not {AlertEvent.STALE, AlertEvent.UNRECONCILED, AlertEvent.DISAGREEMENT} & {event for event, _ in about}
    assert all(one["replay"].startswith("Replay of ") for one in announcements(demo))


def test_nothing_is_announced_of_the_time_before_the_eve_and_nothing_twice(demo: Demo) -> None:
    times = [one["happened_at"] for one in announcements(demo)]
    assert min(times) > "2021-05-17T00:00:00Z"
    assert max(times) <= "2021-05-24T00:00:00Z"
    keys = [one["key"] for one in announcements(demo)]
    assert len(set(keys)) == len(keys)


def test_page_and_feed_of_the_log_say_what_its_json_says(demo: Demo) -> None:
    rows = announcements(demo)
    page = (demo.site / "alerts" / "log" / "index.html").read_text()
    assert len(re.findall(r'<tr id="a\d+">', page)) == len(rows)
    said = html.unescape(page)
    assert all(one["sentence"] in said for one in rows)
    feed = ElementTree.parse(demo.site / "alerts" / "log.atom").getroot()
    titles = [entry.findtext("{*}title") for entry in feed.iterfind("{*}entry")]
    assert titles == [one["title"] for one in rows][:100]
    assert (demo.site / "alerts" / "index.html").is_file()


def test_what_was_announced_was_sent_and_caught_and_the_terminal_says_how_much(demo: Demo, outsider: Catcher) -> None:
    found = re.search(r"Announced: (\d+) mails and (\d+) webhook calls were sent and caught", demo.err)
    assert found
    events = Counter(one["event"] for one in announcements(demo))
    # The reader asked for the daily digest, and the webhook gets none; its first call is the ping.
    alerts = events.total() - events[AlertEvent.DIGEST_DAILY] - events[AlertEvent.DIGEST_WEEKLY]
    assert alerts > 30
    assert (int(found[1]), int(found[2])) == (alerts + events[AlertEvent.DIGEST_DAILY], alerts + 1)
    assert not outsider.caught, "the demo tells nobody whom the settings name"


def test_with_real_data_the_histories_of_aave_and_drift_join(
    demo: Demo, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("real")
    joined = run_demo(directory, BACKSTOP_REAL_DATA=str(real_data.resolve()))
    kinds = {fund["slug"]: fund["source_kind"] for fund in joined.funds}
    assert kinds["aave-v2-2021-reconstructed"] == "reconstructed"
    assert kinds["drift-2022-third-party"] == "recorded_by_third_party"
    assert len(kinds) == 6
    # Once imported they are played without the setting, too, and nobody is told that they are left out.
    again = run_demo(directory)
    assert {fund["slug"] for fund in again.funds} == set(kinds)
    assert ["left out" in run.err for run in (demo, joined, again)] == [True, False, False]
    _, faults = crawl_tree(files_of(joined.site))
    assert not faults
