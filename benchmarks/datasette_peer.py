"""Datasette on the same ledger: the numbers of the home page's table as the HTML table that it makes of a query.

It is no dependency of Backstop's: the benchmark installs it into build/, and where that fails goes without it.
"""

import json
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.server import open_socket
from benchmarks.site_server import running

FOLDER = Path("build/datasette-venv")
WANTED = "datasette>=0.65,<1"
INSTALL_SECONDS, START_SECONDS = 300, 60
QUERY = "home"
SHOWN = ("usable_value", "coverage", "reference_loss", "exposure", "worst_1d", "data_status")


class NoPeerError(RuntimeError):
    """There is nothing to compare with; says why."""


def install(folder: Path) -> Path:
    """The program, installed if it is not there yet; raises NoPeerError."""
    program = folder / ("Scripts/datasette.exe" if sys.platform == "win32" else "bin/datasette")
    if program.exists():
        return program
    try:
        venv.create(folder, with_pip=True, clear=True)
        python = program.with_name(f"python{program.suffix}")
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WANTED]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        told = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise NoPeerError(f"{WANTED} could not be installed: {told[-1] if told else error}") from error
    return program


def query() -> str:
    """One row a segment with its newest numbers; each is found by the index, without a walk through the years."""
    columns = ", ".join(f"{name}.value AS {name}, {name}.text AS {name}_text" for name in SHOWN)
    joins = "\n".join(
        f"LEFT JOIN metric {name} ON {name}.segment_id = segment.id AND {name}.name = '{name}' "
        f"AND {name}.day = status.day"
        for name in SHOWN
    )
    return (
        f"SELECT fund.name AS fund, platform.name AS platform, chain.name AS chain, status.text AS status, {columns}, "
        "status.as_of_time, status.as_of_number FROM segment JOIN fund ON fund.slug = segment.fund_slug "
        "JOIN platform ON platform.slug = fund.platform_slug JOIN chain ON chain.chain_id = segment.chain_id "
        "LEFT JOIN metric status ON status.segment_id = segment.id AND status.name = 'status' AND status.day = "
        "(SELECT max(day) FROM metric WHERE segment_id = segment.id AND name = 'status') "
        f"{joins} ORDER BY fund.slug"
    )


@contextmanager
def datasette_running(program: Path, ledger: Path, core: int | None) -> Iterator[str]:
    """The address of the query's page; raises NoPeerError when it does not start."""
    told = ledger.with_name("datasette.json")
    told.write_text(json.dumps({"databases": {ledger.stem: {"queries": {QUERY: {"sql": query()}}}}}))
    with closing(open_socket("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [str(program), "serve", str(ledger), "--port", str(port), "--metadata", str(told)]
    # It writes a line a request, and no option stops that.
    with running([*command, "--setting", "sql_time_limit_ms", "20000"], core, is_heard=False) as process:
        _wait_for(process, port)
        yield f"http://127.0.0.1:{port}/{ledger.stem}/{QUERY}"


def _wait_for(process: subprocess.Popen[str], port: int) -> None:
    """Until somebody listens there: Datasette says so to nobody but its log."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise NoPeerError("Datasette was installed and did not start")
