"""Contract code comes from npm packages, and a missing one is named."""

from pathlib import Path

import pytest

from indexer.replay.scenario.artifacts import ScenarioError, load_creation_code


def test_every_contract_has_creation_code(creation_code: dict[str, str]) -> None:
    assert {"InsuranceFund", "UniswapV3Factory", "ERC20Fake", "IrmMock", "Aggregator"} <= creation_code.keys()
    for name in ("ClearingHouse", "Morpho", "Multicall"):
        assert len(bytes.fromhex(creation_code[name].removeprefix("0x"))) > 200


def test_a_missing_package_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"AccountBalance.json is missing: .*npm ci"):
        load_creation_code(tmp_path)
