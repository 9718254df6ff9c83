"""A fund whose contract reverts, on a real node: it is unknown with the reason, and the others are as if it were not.

A fund file with a typo, an unreachable or wrong node and a database without tables: tests/app.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import PREFIX, SHIPPED_FUNDS
from indexer.replay.scenario.capture import SLUG
from indexer.replay.scenario.play import Played, play
from ledger.database import open_engine
from tests.rigs.direct_chain import DirectChain
from tests.rigs.tables import dump_tables

ROOT = Path(__file__).parents[2]
FINALITY_BLOCKS = 70  # anvil calls final what is 64 blocks old.
IDS = ("id", "segment_id", "asset_id")
BROKEN = "perp-v2-small-simulated"


@pytest.fixture(scope="module")
def played(anvil: Path, node_modules: Path) -> Iterator[Played]:
    """The deployments and the first days, on a node that answers what is asked, and really reverts."""
    with play(2, anvil=anvil, node_modules=node_modules, last_step=3) as node:
        chain = DirectChain(node.url)
        chain.ask("anvil_mine", hex(FINALITY_BLOCKS))  # Contracts newer than the last final block would have to wait.
        chain.close()
        yield node


def write_funds(folder: Path, url: str) -> Path:
    """The scenario's fund files, followed as a live chain at `url`."""
    shutil.copytree(SHIPPED_FUNDS / SLUG, folder)
    chain = folder / "chain.toml"
    kept = [line for line in chain.read_text().splitlines() if not line.startswith(("kind", "provenance", "origin"))]
    chain.write_text("\n".join([*kept, f'rpc = ["{url}", "{url}"]', ""]))
    return folder


def backstop(*words: str, database: str, funds: Path) -> subprocess.CompletedProcess[str]:
    """The command, waited for."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    variables = {"PYTHONPATH": str(ROOT), "BACKSTOP_DATABASE_URL": database, "BACKSTOP_FUNDS_DIR": str(funds)}
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *words],
        cwd=funds.parent,
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def dump_by_slug(url: str) -> dict[str, list[dict[str, Any]]]:
    """Facts, readings and snapshots, with the slug of their segment instead of the ids that a ledger gives."""
    engine = open_engine(url)
    tables = dump_tables(engine)
    engine.dispose()
    slugs = {row["id"]: row["slug"] for row in tables["segment"]}
    hanging = ("fact", "reading", "snapshot", "coverage")
    for name in hanging:
        tables[name] = [
            {k: v for k, v in row.items() if k not in IDS} | {"slug": slugs[row["segment_id"]]} for row in tables[name]
        ]
    return tables


def test_a_contract_that_reverts_makes_its_fund_unknown_and_leaves_the_others_as_they_were(
    played: Played, sqlite_ledger_url: str, tmp_path: Path, migrated_sqlite: Path
) -> None:
    sound = write_funds(tmp_path / "sound", played.url)
    (sound / "perp-v2-small.toml").unlink()
    assert backstop("index", "--once", database=sqlite_ledger_url, funds=sound).returncode == 0
    truth = dump_by_slug(sqlite_ledger_url)

    broken = write_funds(tmp_path / "broken", played.url)
    file = broken / "perp-v2-small.toml"
    vault = played.manifest["perps"]["small"]["contracts"]["Vault"]
    # The vault is a genuine contract that knows nothing of getInsuranceFundCapacity(): the call reverts.
    file.write_text(re.sub(r'insurance_fund = "0x\w+"', f'insurance_fund = "{vault}"', file.read_text()))
    database = f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / 'other.sqlite')}"
    done = backstop("index", "--once", database=database, funds=broken)
    found = dump_by_slug(database)

    assert done.returncode == 5
    (line,) = [said for said in done.stderr.splitlines() if said.startswith("error: ")]
    assert line.startswith(f"error: {BROKEN}: the balance cannot be read at block ")
    assert "Traceback" not in done.stderr
    status = {row["slug"]: (row["status"], row["status_reason"]) for row in found["segment"]}
    assert status[BROKEN][0] == "unknown"
    assert status[BROKEN][1].startswith("the balance cannot be read at block ")
    assert "revert" in status[BROKEN][1]
    balances = [row for row in found["reading"] if (row["slug"], row["name"]) == (BROKEN, "balance")]
    assert balances
    assert {row["value_raw"] for row in balances} == {None}
    for name in ("fact", "reading", "snapshot", "coverage"):
        others = [row for row in found[name] if row["slug"] != BROKEN]
        assert others == truth[name], name
    assert {status[row["slug"]] for row in truth["segment"]} == {("ok", "")}
