"""A play is repeatable: same seed, same chain; another seed, other history at the same addresses."""

import socket
from pathlib import Path

import pytest

from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.node import run_anvil
from indexer.replay.scenario.play import play

FIRST_DAYS = 2
VARIES_BY_SEED = {"seed", "head", "failed_transactions", "late_quitters", "hidden_debtor", "marks"}


def test_the_same_seed_plays_the_same_chain_and_another_seed_keeps_the_addresses(
    anvil: Path, node_modules: Path, creation_code: dict[str, str]
) -> None:
    def play_first_days(seed: int) -> dict[str, object]:
        parts = {"anvil": anvil, "node_modules": node_modules}
        with play(seed, **parts, last_step=FIRST_DAYS, creation_code=creation_code) as played:
            return played.manifest

    first, again = (play_first_days(11) for _ in range(2))
    other = play_first_days(12)
    assert first == again
    assert other["head"] != first["head"]
    assert {key: value for key, value in other.items() if key not in VARIES_BY_SEED} == {
        key: value for key, value in first.items() if key not in VARIES_BY_SEED
    }


def test_the_node_ends_when_the_context_is_left(anvil: Path) -> None:
    with run_anvil(anvil) as port, socket.socket() as open_port:
        assert open_port.connect_ex(("127.0.0.1", port)) == 0
    with socket.socket() as closed_port:
        assert closed_port.connect_ex(("127.0.0.1", port)) != 0


def test_a_missing_binary_is_named_with_the_cure(tmp_path: Path) -> None:
    with (
        pytest.raises(ScenarioError, match=r"no-anvil is missing: install the tools"),
        run_anvil(tmp_path / "no-anvil"),
    ):
        pass


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    binary = tmp_path / "anvil"
    binary.write_text("#!/bin/sh\necho 'no such hardfork' >&2\nexit 3\n")
    binary.chmod(0o755)
    with pytest.raises(ScenarioError, match="anvil stopped at start with code 3: no such hardfork"), run_anvil(binary):
        pass


def test_a_port_that_is_taken_is_refused(anvil: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ScenarioError, match="anvil stopped at start"), run_anvil(anvil, taken.getsockname()[1]):
            pass
