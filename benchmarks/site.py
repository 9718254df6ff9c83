"""The budgets of the site on a ledger of sixty funds and three years: sizes, time to make a page, requests a second.

    python -m benchmarks.site [--funds 60] [--years 3] [--seconds 5] [--ledger FILE] […]

Rates are of the real server on one core, asked over HTTP by this process from another, by readers that take gzip.
Forms are the only thing whose rate the site limits; none is sent here.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from sqlalchemy import Engine

from app.logs import start_logging
from benchmarks.__main__ import is_busy
from benchmarks.datasette_peer import FOLDER, NoPeerError, datasette_running, install
from benchmarks.load import Load, bear
from benchmarks.results import RESULTS, Target, record
from benchmarks.show import show_targets
from benchmarks.site_ledger import build_ledger
from benchmarks.site_plan import NOW
from benchmarks.site_server import cores, pinned, site_running
from ledger.blocks import delete_blocks_above
from ledger.database import open_engine, reading, writing
from ledger.facts import insert_polled_facts
from ledger.kinds import Role
from ledger.latest import LatestNumber, latest_numbers
from ledger.metrics import MetricRow, delete_metrics_above, write_metrics
from ledger.pages import ledger_marker, list_chains, list_places
from ledger.standing import set_chain_head
from web.charts import drawn_svg
from web.edition import SiteConfig
from web.frames import static_files, static_path
from web.press import Press, Sheet

KB = 1024
WIDTH = 140
WARM_UP, PAGES = 2, 5
CONNECTIONS = 12
TARGETS = {
    "web.home_gzip_kb": Target("KB", 25, is_most=True, meaning="HTML of the home page, gzip as served"),
    "web.home_ms": Target("ms", 20, is_most=True, meaning="home page made anew: a block came, and a fund's numbers"),
    "web.fund_gzip_kb": Target("KB", 60, is_most=True, meaning="largest of 5 fund pages with their charts, gzip"),
    "web.css_kb": Target("KB", 10, is_most=True, meaning="style sheet as served, before compression"),
    "web.home_rps": Target("a second", 500, meaning="home page from the cache over HTTP, one core"),
    "web.home_rps_vs_datasette": Target("×", 1, meaning="that ÷ Datasette's page of the same numbers, one core"),
}


def sheet_of(engine: Engine, path: str) -> Sheet:
    """The page, made by a site that has kept nothing."""
    drawn_svg.cache_clear()
    sheet = Press(engine, lambda: NOW, SiteConfig()).sheet(path)
    if sheet is None or sheet.code != 200:
        raise RuntimeError(f"there is no page {path} on the benchmark's ledger")
    return sheet


def zipped_kb(sheet: Sheet) -> float:
    """Size on the wire."""
    return len(sheet.packed) / KB


def timed_ms(work: Callable[[], object], rounds: int, before: Callable[[], object] = object) -> tuple[float, float]:
    """Milliseconds by the clock and of the processor: medians of so many rounds, after two that do not count.

    `before` is done before each round and not timed.
    """
    took = []
    for _ in range(WARM_UP + rounds):
        before()
        began, used = time.perf_counter(), time.process_time()
        work()
        took.append(((time.perf_counter() - began) * 1000, (time.process_time() - used) * 1000))
    wall, processor = zip(*took[WARM_UP:], strict=True)
    return median(wall), median(processor)


class Ahead:
    """A chain that goes on: each step is a block with new numbers of so many of its funds, and maybe losses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with reading(engine) as session:
            self.chain = list_chains(session)[0].chain
            ids = [place.segment_id for place in list_places(session) if place.chain.chain_id == self.chain.chain_id]
            self._numbers = [list(found.values()) for found in latest_numbers(session, ids).values()]
        self.funds = len(self._numbers)
        self._head, self._time = self.chain.head_number or 0, self.chain.head_time or NOW
        self._heights = count(self._head + 1)

    def step(self, funds: int, losses: int = 0) -> None:
        """The next block."""
        height = next(self._heights)
        lost = [_lost(self._numbers[0][0], self.chain.chain_id, height, place) for place in range(losses)]
        rows = [_moved(number, height) for numbers in self._numbers[:funds] for number in numbers]
        with writing(self._engine) as session:
            set_chain_head(session, self.chain.chain_id, height, self._time, checked_at=NOW)
            insert_polled_facts(session, self.chain.chain_id, lost)
            write_metrics(session, rows, computed_at=NOW)

    def go_back(self) -> None:
        """The ledger as it was."""
        with writing(self._engine) as session:
            set_chain_head(session, self.chain.chain_id, self._head, self._time, checked_at=NOW)
            delete_blocks_above(session, self.chain.chain_id, self._head)
            delete_metrics_above(session, self.chain.chain_id, self._head)


def _moved(number: LatestNumber, height: int) -> MetricRow:
    told = {name: getattr(number, name) for name in MetricRow.__dataclass_fields__}
    return MetricRow(**told | {"as_of_number": height})


def _lost(number: LatestNumber, chain_id: int, height: int, place: int) -> tuple[object, ...]:
    """A shortfall at that height, in the order of POLLED_FACT_COLUMNS."""
    where = chain_id, f"0x{height:064x}", place, 0, number.segment_id, height, NOW, f"0x{height:064x}"
    return *where, Role.SHORTFALL, None, None, 1000 + place, None, f"0x{place:040x}", None, None, None, "bench@1"


def anew_ms(engine: Engine, path: str, rounds: int, *, funds: int, losses: int = 0) -> tuple[float, float]:
    """The time of a page that a running site has made before: since then came a block, and new numbers of its funds."""
    press, ahead = Press(engine, lambda: NOW, SiteConfig()), Ahead(engine)
    try:
        return timed_ms(lambda: press.sheet(path), rounds, before=lambda: ahead.step(funds, losses))
    finally:
        ahead.go_back()


def measure_pages(engine: Engine, console: Console, rounds: int) -> dict[str, float]:
    """Sizes, and how long it takes to make a page anew."""
    with reading(engine) as session:
        slugs = sorted({place.fund.slug for place in list_places(session)})
        marker_ms, _ = timed_ms(lambda: ledger_marker(session), 5)
    paths = [f"/funds/{slug}" for slug in slugs[:: max(len(slugs) // PAGES, 1)][:PAGES]]
    funds = {path: zipped_kb(sheet_of(engine, path)) for path in paths}
    largest = max(funds, key=lambda path: funds[path])
    console.print(f"Asking whether the ledger has changed, as for each request: {marker_ms:.2f} ms")

    def tell(what: str, took: tuple[float, float]) -> float:
        console.print(f"{what}: {took[0]:.1f} ms ({took[1]:.1f} of the processor)")
        return took[0]

    chain = Ahead(engine).funds
    tell("Home page made anew after a block without new numbers", anew_ms(engine, "/", rounds, funds=0))
    home_ms = tell("… after a block and new numbers of one fund", anew_ms(engine, "/", rounds, funds=1))
    tell("… and a loss of that fund", anew_ms(engine, "/", rounds, funds=1, losses=1))
    tell(
        f"… after a block and new numbers of all {chain} funds on its chain", anew_ms(engine, "/", rounds, funds=chain)
    )
    tell("… by a site that has just started and kept nothing", timed_ms(lambda: sheet_of(engine, "/"), rounds))
    fund_times = timed_ms(lambda: sheet_of(engine, largest), min(rounds, 5))
    tell(f"Largest of {len(paths)} fund pages by a site that has just started, {largest}", fund_times)
    tell("… made anew after a block without new numbers", anew_ms(engine, largest, min(rounds, 5), funds=0))
    return {
        "web.home_gzip_kb": zipped_kb(sheet_of(engine, "/")),
        "web.home_ms": home_ms,
        "web.fund_gzip_kb": funds[largest],
        "web.css_kb": len(static_files()[static_path("site.css")]) / KB,
    }


def measure_rates(ledger: Path, console: Console, seconds: float, *, peer: Path | None) -> dict[str, float]:
    """The cached home page over HTTP, and Datasette's page of the same numbers where it can be had."""
    two = cores()
    server, readers = two or (None, None)
    if two is None:
        console.print("There is no second core to put the readers on: server and readers share one, rates are lower.")
    with pinned(readers):
        with site_running(ledger, server) as address:
            ours = bear(f"{address}/", seconds=seconds, connections=CONNECTIONS)
            plain = bear(f"{address}/", seconds=seconds / 2, connections=CONNECTIONS, accept="identity")
        _tell(console, "Home page from the cache", ours)
        _tell(console, "The same to readers that take no gzip", plain)
        found = {"web.home_rps": ours.rate}
        if peer is None:
            return found
        try:
            with datasette_running(install(peer), ledger, server) as url:
                theirs = bear(url, seconds=seconds, connections=CONNECTIONS)
        except NoPeerError as error:
            console.print(f"The comparison with Datasette is left out. {error}.")
            return found
    _tell(console, "Datasette's page of the same numbers", theirs)
    return found | {"web.home_rps_vs_datasette": ours.rate / theirs.rate}


def _tell(console: Console, what: str, load: Load) -> None:
    console.print(f"{what}: {load.rate:,.0f} a second, {load.body_bytes / KB:.1f} KB each ({load.encoding})")


@contextmanager
def ledger_of(chosen: argparse.Namespace, console: Console) -> Iterator[tuple[Path, Engine]]:
    """The ledger: a file that is there already, or one that is built, and kept only where it was named."""
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build", prefix="site-") as folder:
        path = Path(chosen.ledger or Path(folder) / "site.sqlite").absolute()
        began = time.monotonic()
        is_new = not path.exists()
        engine = build_ledger(path, chosen.funds, chosen.years) if is_new else open_engine(f"sqlite:///{path}")
        size = path.stat().st_size / 1e9
        told = f"built in {time.monotonic() - began:.0f} s" if is_new else "as it was found"
        console.print(f"Ledger: {told}, {size:.2f} GB")
        yield path, engine
        engine.dispose()


def main(arguments: list[str] | None = None) -> int:
    """Prints each figure beside its target and records them; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.site", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--funds", type=int, default=60, help="funds in the ledger (default 60)")
    parser.add_argument("--years", type=float, default=3, help="years of history (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds for each rate (default 5)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds for each time (default 20)")
    parser.add_argument("--ledger", metavar="FILE", help="use this ledger, or build it there and keep it")
    parser.add_argument("--without-datasette", action="store_true", help="leave the comparison out")
    parser.add_argument("--datasette", metavar="DIR", type=Path, default=FOLDER, help="where it is or gets installed")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"where figures go (default {RESULTS})")
    chosen = parser.parse_args(arguments)
    console = Console(width=WIDTH, highlight=False)
    if is_busy():
        console.print("[bold]Other work is going on here[/]: times and rates are worse than they would be alone.")
    with ledger_of(chosen, console) as (path, engine):
        values = measure_pages(engine, console, chosen.rounds)
        peer = None if chosen.without_datasette else chosen.datasette
        values |= measure_rates(path, console, chosen.seconds, peer=peer)
    record(chosen.results, values, TARGETS)
    return 0 if show_targets(console, values, TARGETS) else 1


if __name__ == "__main__":
    start_logging("error", "plain")  # Here and not in main(): a log belongs to the process.
    sys.exit(main())
