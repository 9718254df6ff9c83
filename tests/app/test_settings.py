"""Settings: where they come from, and what a person reads when one is wrong."""

from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without .env and an environment without our variables."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKSTOP_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_variable_the_ledger_is_a_file_in_the_data_directory() -> None:
    assert load_settings().ledger_url == "sqlite:///.cache/backstop/backstop.sqlite"
    assert (load_settings().host, load_settings().port) == ("127.0.0.1", 8000)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_place / ".env").write_text("BACKSTOP_PORT=1001\nBACKSTOP_LOG_FORMAT=json\nBACKSTOP_HOST=127.0.0.3\n")
    monkeypatch.setenv("BACKSTOP_PORT", "1002")
    monkeypatch.setenv("BACKSTOP_HOST", "127.0.0.2")
    settings = load_settings(port=1003, host=None)
    assert (settings.port, settings.host, settings.log_format) == (1003, "127.0.0.2", "json")


def test_an_empty_variable_counts_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTOP_PORT", "")
    assert load_settings().port == 8000


def test_providers_are_read_as_json_by_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTOP_RPC_URLS", '{"1": ["https://a.example/key", "http://127.0.0.1:8545"], "10": []}')
    assert load_settings().providers() == {1: ["https://a.example/key", "http://127.0.0.1:8545/"], 10: []}


def test_websockets_are_providers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTOP_RPC_URLS", '{"1": ["wss://a.example/key", "ws://127.0.0.1:8546/"]}')
    assert load_settings().providers() == {1: ["wss://a.example/key", "ws://127.0.0.1:8546/"]}


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("BACKSTOP_PORT", "99999", "write a port from 1 to 65535"),
        ("BACKSTOP_PORT", "http", "write a port from 1 to 65535"),
        ("BACKSTOP_RPC_URLS", "https://node.example", "write JSON"),
        ("BACKSTOP_RPC_URLS", '{"1": "https://node.example"}', "write JSON"),
        ("BACKSTOP_RPC_URLS", '{"mainnet": ["https://node.example"]}', "write JSON"),
        ("BACKSTOP_RPC_URLS", '{"1": ["node.example"]}', "write JSON"),
        ("BACKSTOP_RPC_URLS", '{"1": ["ftp://node.example"]}', "write JSON"),
        ("BACKSTOP_REAL_DATA", "nowhere", "there is no such directory"),
        ("BACKSTOP_FUNDS_DIR", "nowhere", "there is no such directory"),
        ("BACKSTOP_LOG_LEVEL", "loud", "write debug, info, warning or error"),
        ("BACKSTOP_LOG_FORMAT", "xml", "write plain or json"),
        ("BACKSTOP_POLL_SECONDS", "0", "write seconds, 0.1 or more"),
        ("BACKSTOP_PUBLIC_URL", "backstop", "write the whole address"),
        ("BACKSTOP_DATABSE_URL", "sqlite:///x", "did you mean BACKSTOP_DATABASE_URL?"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_variable_and_the_fix(
    variable: str, value: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    line = str(caught.value)
    assert line.startswith(variable)
    assert fix in line
    assert "\n" not in line


def test_a_misspelt_name_in_the_file_is_refused_too(empty_place: Path) -> None:
    (empty_place / ".env").write_text("export BACKSTOP_REPLAY_SECOND=60\n")
    with pytest.raises(SettingsError, match="did you mean BACKSTOP_REPLAY_SECONDS"):
        load_settings()


def test_a_variable_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTOP_BENCHMARK_SEED", "7")
    assert load_settings().port == 8000


def test_every_setting_has_a_sentence_and_stands_under_it_in_the_example() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"# {field.description}\n# BACKSTOP_{name.upper()}=" in example


def test_every_value_in_the_example_is_a_valid_one(empty_place: Path) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    for directory in ("indexer/funds", "real-data"):
        (empty_place / directory).mkdir(parents=True)
    active = example.replace("# BACKSTOP_", "BACKSTOP_").replace("../real-data", "real-data")
    (empty_place / ".env").write_text(active)
    settings = load_settings()
    assert settings.providers()[1][0] == "https://my-node.example/"
    assert settings.database_url == "postgresql://backstop:secret@localhost/backstop"
