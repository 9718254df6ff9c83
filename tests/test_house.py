"""The rules of this house that no linter sees: door-plates, names, sizes, where SQL and the environment stand."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import PREFIX, Settings
from indexer.registry import check_fund, load_chains

ROOT = Path(__file__).parents[1]
ROOMS = ("app", "alerts", "indexer", "ledger", "solvency", "web")
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "service", "services", "base", "misc"}
CHAIN_FILE = "chain.toml"
LONGEST_MODULE = 400
LONGEST_README = 150
DOOR_PLATE_LINES = range(3, 7)

# A letter in brackets keeps each pattern from finding itself.
ADDRESSES = re.compile(r"py[p]i\.org|python[h]osted\.org|registry\.[n]pmjs|registry\.[y]arnpkg|deb\.[d]ebian\.org")
MACHINE_PATHS = re.compile(r"/hom[e]/\w+/|/User[s]/\w+/|/wor[k]/|/tmp/bash_job[s]|/roo[t]/\.")
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|(CREATE|DROP|ALTER)\s+TABLE)\b", re.S
)
DATABASE_NAMES_ANYWHERE = {"Engine", "Session", "Connection", "make_url"}
"""What rooms other than the ledger may import from the database libraries: things to hand on, none to ask with."""


def python_files(*rooms: str) -> list[Path]:
    """Every module of the rooms."""
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def tracked_files() -> list[Path]:
    """What is, or is about to be, committed."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is committed cannot be listed")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def readable_texts() -> Iterator[tuple[str, str]]:
    """Name and text of each committed file that is text."""
    for path in tracked_files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_its_door_plate(room: str) -> None:
    plate = ast.get_docstring(parse(ROOT / room / "__init__.py")) or ""
    lines = [line for line in plate.splitlines() if line.strip()]
    assert len(lines) in DOOR_PLATE_LINES, (
        f"{room}/__init__.py: 3 to 6 lines say what comes in, goes out, never happens"
    )
    assert re.search(r"\b[Nn]ever\b", plate), f"{room}/__init__.py does not say what this room never does"


def test_there_is_no_seventh_room() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == {*ROOMS, "tests"}


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    named = [path for path in tracked_files() if FORBIDDEN_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}]
    assert not named, f"name them after the noun a reader would search for: {named}"


def test_every_module_says_its_purpose() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files(*ROOMS, "tests", "benchmarks")
        if not ast.get_docstring(parse(path))
    ]
    assert not silent


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in python_files(*ROOMS, "tests", "benchmarks")
        if "migrations" not in path.parts  # History grows and is never reread.
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}


def test_no_function_is_longer_than_50_lines() -> None:
    long = [
        f"{where(path, node)} {node.name}"
        for path in python_files(*ROOMS)
        if "migrations" not in path.parts
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 50
    ]
    assert not long


def test_only_the_settings_read_the_environment() -> None:
    readers = [
        where(path, node)
        for path in python_files(*ROOMS)
        if path != ROOT / "app" / "settings.py"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    ]
    assert not readers, "settings travel as arguments; the environment is read in app/settings.py"


def test_every_sql_statement_lives_in_the_ledger() -> None:
    statements = [
        where(path, node)
        for path in python_files(*(set(ROOMS) - {"ledger"}))
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    ]
    assert not statements


def test_other_rooms_hold_no_tool_to_write_a_query_with() -> None:
    tools = [
        f"{where(path, node)} {name.name}"
        for path in python_files(*(set(ROOMS) - {"ledger"}))
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("sqlalchemy", "sqlmodel")
        if (node.module or "") != "sqlalchemy.exc"
        for name in node.names
        if name.name not in DATABASE_NAMES_ANYWHERE
    ]
    assert not tools


def test_every_setting_is_in_the_example_once_and_nothing_else_is() -> None:
    named = re.findall(rf"^#? ?({PREFIX}\w+)=", (ROOT / ".env.example").read_text(), re.M)
    assert sorted(named) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


def fund_files() -> list[Path]:
    """Every fund file, of real deployments and of recordings."""
    return sorted(path for path in (ROOT / "indexer" / "funds").rglob("*.toml") if path.name != CHAIN_FILE)


@pytest.mark.parametrize("file", fund_files(), ids=lambda path: str(path.relative_to(ROOT / "indexer" / "funds")))
def test_every_fund_file_parses_and_says_its_method_sources_and_caveats(file: Path) -> None:
    own_chains = file.with_name(CHAIN_FILE)
    fund = check_fund(file, chains=load_chains(own_chains) if own_chains.exists() else None)
    assert fund.summary
    assert fund.methodology
    assert fund.control
    assert fund.waterfall
    assert fund.caveats
    assert fund.sources
    assert all(asset.access_reason for asset in fund.assets if asset.access < 1)


def test_the_fund_file_that_the_documentation_shows_is_a_valid_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-fund.md").read_text()
    shown = re.search(r"```toml\n(.+?)```", page, re.S)
    assert shown
    file = tmp_path / "example-reserve.toml"
    file.write_text(shown[1])
    assert check_fund(file).slug == file.stem


def test_no_committed_file_names_a_package_registry() -> None:
    assert not [name for name, text in readable_texts() if ADDRESSES.search(text)]


def test_no_committed_file_holds_the_path_of_one_machine() -> None:
    assert not [name for name, text in readable_texts() if MACHINE_PATHS.search(text)]


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_every_lock_line_is_exact_and_hashed() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pins = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", (ROOT / lock).read_text(), flags=re.M).strip())
        loose = [pin.splitlines()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin]
        assert pins, lock
        assert not loose, lock


def test_what_the_demo_runs_on_is_what_the_tests_run_on() -> None:
    runtime, dev = (
        set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(), re.M))
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert runtime <= dev, "the two locks were made apart: run `make lock`"


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    assert wanted <= locked, "run `make lock`"


def test_every_package_the_rooms_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    makers = importlib.metadata.packages_distributions()
    undeclared = {
        f"{name} ({path.relative_to(ROOT)})"
        for path in python_files(*ROOMS)
        for node in ast.walk(parse(path))
        for name in imported_packages(node)
        if name not in sys.stdlib_module_names and name not in ROOMS
        if not declared & {maker.lower().replace("_", "-") for maker in makers.get(name, [])}
    }
    assert not undeclared


def imported_packages(node: ast.AST) -> list[str]:
    """Top-level names that an import statement brings in."""
    if isinstance(node, ast.Import):
        return [name.name.partition(".")[0] for name in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [(node.module or "").partition(".")[0]]
    return []


def test_in_the_calculator_only_compute_asks_the_ledger() -> None:
    asked = [
        f"{where(path, node)} {name.name}"
        for path in python_files("solvency")
        if path.name != "compute.py"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ledger")
        for name in node.names
        if not name.name[0].isupper()  # Types and constants are words, functions are questions.
    ]
    assert not asked
