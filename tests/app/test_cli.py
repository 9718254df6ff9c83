"""The command line: help that teaches, and one clear line where something is wrong."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.failures import MEANINGS
from app.settings import Settings

ROOT = Path(__file__).parents[2]
COMMANDS = ["demo", "run", "index", "compute", "serve", "publish", "replay", "record", "import", "check-fund",
            "explain", "gaps", "audit", "rebuild", "resume", "worker"]  # fmt: skip
GROUPS = {"db": ("upgrade", "check"), "alert": ("test", "list", "replay", "bounce")}
GROUPED = [[group, name] for group, names in GROUPS.items() for name in names]


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of its own and an environment without our variables, on a wide terminal; logging as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKSTOP_{name.upper()}", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    root.handlers[:] = before
    root.setLevel(level)


def backstop(*words: str, **variables: str) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(cli, list(words), env=variables)


def error_line(result: Result) -> str:
    """The one line a failed command ends in; anything more than one error line fails the test."""
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.output
    return lines[0].removeprefix("error: ")


def test_the_first_help_names_every_command_and_every_exit_code() -> None:
    shown = backstop("--help").output
    for command in (*COMMANDS, *GROUPS):
        assert f" {command} " in shown
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning.split(';')[0]}" in " ".join(shown.split())


@pytest.mark.parametrize("group", GROUPS)
def test_the_help_of_a_group_names_its_commands_and_shows_an_example(group: str) -> None:
    shown = backstop(group, "--help").output
    for name in GROUPS[group]:
        assert f" {name} " in shown
    assert f"Example: backstop {group} " in shown


@pytest.mark.parametrize("words", [*[[name] for name in COMMANDS], *GROUPED])
def test_the_help_of_each_command_says_what_it_does_shows_an_example_and_what_comes_next(words: list[str]) -> None:
    result = backstop(*words, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert f"Usage: backstop {' '.join(words)}" in text
    assert "Example: " in text
    assert f"backstop {' '.join(words)}" in text.partition("Example: ")[2]
    assert "Next: " in text


def test_help_never_reads_a_setting() -> None:
    assert backstop("run", "--help", BACKSTOP_PORT="wrong").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [["db", "upgrade"], ["run"], ["demo", "--once"], ["index"], ["publish", "out"], ["worker"], ["alert", "list"]],
)
def test_a_wrong_setting_stops_every_command_at_its_start(words: list[str]) -> None:
    result = backstop(*words, BACKSTOP_PORT="99999")
    assert result.exit_code == 2
    assert error_line(result).startswith("BACKSTOP_PORT is '99999'")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BACKSTOP_SMTP_URL", "mail.example"),
        ("BACKSTOP_MAIL_FROM", "nobody"),
        ("BACKSTOP_MAIL_BOUNCES", "nobody"),
        ("BACKSTOP_ALERT_SECONDS", "0.1"),
        ("BACKSTOP_HEARTBEAT_URL", "watchdog"),
    ],
)
@pytest.mark.parametrize("command", ["run", "worker"])
def test_a_wrong_setting_of_alerts_stops_what_sends_them(command: str, variable: str, value: str) -> None:
    result = backstop(command, **{variable: value})
    assert result.exit_code == 2
    assert error_line(result).startswith(variable)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_who_sends_mails_must_know_the_address_of_the_site(command: str, empty_place: Path) -> None:
    result = backstop(command, BACKSTOP_SMTP_URL="smtp://127.0.0.1:1")
    assert result.exit_code == 2
    assert error_line(result).startswith("BACKSTOP_PUBLIC_URL is missing: ")
    assert not list(empty_place.iterdir()), "nothing was begun"


@pytest.mark.parametrize(
    "words", [["compute"], ["serve"], ["publish", "out"], ["index"], ["db", "check"], ["alert", "list"]]
)
def test_a_database_without_tables_is_named_with_the_fix(words: list[str], empty_place: Path) -> None:
    empty = empty_place / "empty.sqlite"
    empty.touch()
    result = backstop(*words, BACKSTOP_DATABASE_URL=f"sqlite:///{empty}")
    assert result.exit_code == 4
    assert "has no tables yet: run `backstop db upgrade`" in error_line(result)


def test_a_database_file_that_is_not_there_is_not_made_by_looking(empty_place: Path) -> None:
    result = backstop("db", "check", BACKSTOP_DATABASE_URL="sqlite:///nowhere.sqlite")
    assert result.exit_code == 4
    assert "there is no database at nowhere.sqlite" in error_line(result)
    assert not list(empty_place.iterdir())


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    result = backstop("db", "upgrade", BACKSTOP_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/backstop")
    assert result.exit_code == 4
    assert "does not answer" in error_line(result)
    assert "secret" not in result.output


def test_upgrade_makes_the_tables_and_can_be_run_twice(empty_place: Path) -> None:
    for _ in range(2):
        assert backstop("db", "upgrade").exit_code == 0
    assert (empty_place / ".cache" / "backstop" / "backstop.sqlite").is_file()
    assert backstop("db", "check").exit_code == 0


def test_upgrade_and_check_work_on_postgres(postgres_url: str) -> None:
    assert backstop("db", "check", BACKSTOP_DATABASE_URL=postgres_url).exit_code == 4
    assert backstop("db", "upgrade", BACKSTOP_DATABASE_URL=postgres_url).exit_code == 0
    assert backstop("db", "check", BACKSTOP_DATABASE_URL=postgres_url).exit_code == 0


def test_a_recording_that_is_not_there_is_refused_with_those_that_are() -> None:
    result = backstop("replay", "no-such-recording")
    assert result.exit_code == 3
    assert "there is no recording no-such-recording: give a file, or one of those here" in error_line(result)


def test_an_import_without_real_data_names_the_variable() -> None:
    result = backstop("import", "all")
    assert result.exit_code == 2
    assert error_line(result).startswith("BACKSTOP_REAL_DATA is not set")


def test_an_unknown_import_is_refused_with_the_known_ones() -> None:
    assert "give one of aave-v2-2021, drift-2022, or all" in error_line(backstop("import", "compound"))


@pytest.fixture
def copied_fund(empty_place: Path) -> Callable[[Callable[[str], str]], Path]:
    """A shipped fund file with something changed in it."""

    def copy(change: Callable[[str], str]) -> Path:
        shipped = sorted((ROOT / "indexer" / "funds").glob("*.toml"))[0]
        target = empty_place / "funds" / shipped.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(change(shipped.read_text()))
        return target

    return copy


def test_every_shipped_fund_file_passes_the_check_without_a_network() -> None:
    for file in sorted((ROOT / "indexer" / "funds").rglob("*.toml")):
        if file.name != "chain.toml":
            assert backstop("check-fund", str(file), "--offline").exit_code == 0, file


@pytest.mark.parametrize(
    "words", [["check-fund", "{file}", "--offline"], ["index", "--funds", "{folder}"], ["run", "--funds", "{folder}"]]
)
def test_a_fund_file_with_a_typo_is_named_with_its_key(
    words: list[str], copied_fund: Callable[[Callable[[str], str]], Path]
) -> None:
    backstop("db", "upgrade")
    file = copied_fund(lambda text: text.replace("methodology", "metodology", 1))
    result = backstop(*(word.format(file=file, folder=file.parent) for word in words), BACKSTOP_PORT="0")
    assert result.exit_code == 3
    line = error_line(result)
    assert str(file) in line
    assert 'unknown key "metodology"' in line
    assert 'did you mean "methodology"?' in line


def test_an_unforeseen_error_is_one_line_and_debug_shows_where(empty_place: Path) -> None:
    command = [sys.executable, "-c", "from app.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BACKSTOP_DATABASE_URL": f"sqlite:///{empty_place}"}
    for words, has_traceback in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [*command, *words, "db", "upgrade"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert ("Traceback" in done.stderr) is has_traceback
