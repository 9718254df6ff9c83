"""The command refuses clearly."""

from pathlib import Path

import pytest

from indexer.replay.scenario.__main__ import main


def test_a_missing_package_ends_the_command_with_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--anvil", str(tmp_path / "anvil"), "--node-modules", str(tmp_path), "--out", str(tmp_path / "out")])
    assert ended.value.code == 1
    assert "npm ci --ignore-scripts" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
