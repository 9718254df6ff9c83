"""The benchmark of the site: its ledger has every kind of trouble, it measures what it promises, and errors end it."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine

from benchmarks.datasette_peer import query
from benchmarks.load import AnswerError, bear
from benchmarks.site import TARGETS, main, sheet_of
from benchmarks.site_ledger import build_ledger
from benchmarks.site_past import Token, tell_past
from benchmarks.site_plan import HOSTILE, Tale, plan_funds
from ledger.database import open_engine
from ledger.kinds import FundKind, Status
from ledger.pages import asking, latest_metrics, list_places

FUNDS, YEARS = 10, 0.12


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small ledger, built once."""
    path = tmp_path_factory.mktemp("site") / "site.sqlite"
    build_ledger(path, FUNDS, YEARS).dispose()
    return path


@pytest.fixture
def engine(ledger: Path) -> Iterator[Engine]:
    """An engine on it."""
    opened = open_engine(f"sqlite:///{ledger}")
    yield opened
    opened.dispose()


class Chunks(BaseHTTPRequestHandler):
    """A page in two parts of unknown number."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        code = 200 if self.path == "/" else 503
        self.send_response(code)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"4\r\nfour\r\n10\r\nsixteen letters.\r\n0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Serves them; a reader who leaves in the middle of an answer is no error here."""

    def handle_error(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def chunked() -> Iterator[str]:
    """Its address."""
    with Server(("127.0.0.1", 0), Chunks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_every_kind_of_fund_meets_every_tale() -> None:
    plans = plan_funds(60)
    assert {(plan.kind, plan.tale) for plan in plans} >= {
        (kind, tale) for kind in (FundKind.PERP_FUND, FundKind.LENDING_BACKSTOP, FundKind.RESERVE) for tale in Tale
    }
    assert len({plan.slug for plan in plans}) == 60


def test_what_happened_to_a_fund_is_the_same_each_time_and_balances_are_the_sum_of_flows() -> None:
    plan, token = plan_funds(3)[2], Token(1, 6, 1.0)
    past, again = tell_past(plan, token, 60), tell_past(plan, token, 60)
    assert (past.facts, past.reads) == (again.facts, again.reads)
    balances = [read.value_raw for read in past.reads if read.name == "balance"]
    signs = {"contribution": 1, "payout": -1, "withdrawal": -1}
    flows = [signs[fact.role] * (fact.amount_raw or 0) for fact in past.facts if fact.role in signs]
    assert len(balances) == 240
    assert flows
    assert (balances[-1] or 0) - (balances[0] or 0) == sum(flows)


def test_the_ledger_has_numbers_of_many_kinds(engine: Engine) -> None:
    with asking(engine) as session:
        places = list_places(session)
        latest = latest_metrics(session, [place.segment_id for place in places])
    assert len(places) == FUNDS
    statuses = {metrics["status"].text for metrics in latest.values()}
    assert statuses >= {Status.DEPLETED, Status.NOT_COMPUTABLE, Status.NO_FUND}
    qualities = {metric.quality for metrics in latest.values() for metric in metrics.values()}
    assert qualities == {"ok", "partial", "stale", "unknown"}
    assert HOSTILE in {place.asset.symbol for place in places if place.asset}
    assert max(map(len, latest.values())) > 50, "as many as the calculator writes"


def test_each_day_has_all_numbers_and_its_own_balance(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as rows:
        of_first = "FROM metric WHERE segment_id = 1"
        days, names, count = rows.execute(
            f"SELECT count(DISTINCT day), count(DISTINCT name), count(*) {of_first}"
        ).fetchone()
        values = rows.execute(f"SELECT count(DISTINCT value) {of_first} AND name = 'gross_balance'").fetchone()[0]
    assert days >= YEARS * 365
    assert count == days * names
    assert values > days / 2


def test_every_fund_is_on_the_home_page_and_has_one(engine: Engine) -> None:
    home = sheet_of(engine, "/").body.decode()
    for plan in plan_funds(FUNDS):
        assert f'href="/funds/{plan.slug}"' in home
    assert HOSTILE.encode() not in sheet_of(engine, f"/funds/{plan_funds(FUNDS)[9].slug}").body
    with pytest.raises(RuntimeError, match="there is no page /funds/nobody"):
        sheet_of(engine, "/funds/nobody")


def test_each_figure_is_printed_and_recorded_and_one_that_cannot_be_had_is_left_out_with_its_reason(
    ledger: Path, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = sheet_of(engine, "/").body
    results, in_the_way = tmp_path / "bench.json", tmp_path / "file"
    in_the_way.touch()
    options = ["--seconds", "0.4", "--rounds", "3", "--datasette", str(in_the_way / "venv"), "--results", str(results)]
    code = main(["--ledger", str(ledger), *options])
    found = json.loads(results.read_text())
    assert found.keys() == TARGETS.keys() - {"web.home_rps_vs_datasette"}
    assert all(found[name]["value"] > 0 and found[name]["target"] == TARGETS[name].value for name in found)
    told = capsys.readouterr().out
    assert all(name in told for name in TARGETS)
    assert "The comparison with Datasette is left out. datasette>=0.65,<1 could not be installed: " in told
    is_met = all(TARGETS[name].is_met(figure["value"]) for name, figure in found.items())
    assert code == (0 if is_met else 1)
    assert sheet_of(engine, "/").body == home, "a ledger that was named is kept as it was"


def test_datasette_is_asked_for_the_numbers_of_the_home_page(ledger: Path, engine: Engine) -> None:
    with closing(sqlite3.connect(ledger)) as rows:
        rows.row_factory = sqlite3.Row
        told = {row["fund"]: (row["status"], row["coverage"]) for row in rows.execute(query())}
    with asking(engine) as session:
        places = list_places(session)
        latest = latest_metrics(session, [place.segment_id for place in places])
    assert told == {
        place.fund.name: (
            metrics["status"].text,
            str(coverage.value) if coverage and coverage.value is not None else None,
        )
        for place in places
        for metrics in [latest[place.segment_id]]
        for coverage in [metrics.get("coverage")]
    }


def test_answers_in_chunks_are_read_to_their_end(chunked: str) -> None:
    load = bear(f"{chunked}/", seconds=0.2, connections=2)
    assert load.body_bytes == len("four") + len("sixteen letters.")
    assert load.answers > 2
    assert 0.2 <= load.seconds < 5
    assert load.rate == pytest.approx(load.answers / load.seconds)


def test_a_page_that_answers_with_an_error_has_no_speed(chunked: str) -> None:
    with pytest.raises(AnswerError, match="503"):
        bear(f"{chunked}/elsewhere", seconds=0.2, connections=2)
