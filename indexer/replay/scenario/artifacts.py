"""Creation code of every contract in the scenario: genuine builds from npm packages, our own compiled on the spot."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

_PERP = "@perp/curie-deployments/optimism/core/artifacts/contracts/{0}.sol/{0}.json"
_ORACLE = "@perp/perp-oracle-contract/artifacts/contracts/{0}.sol/{0}.json"
_UNISWAP = "@uniswap/v3-core/artifacts/contracts/{0}.sol/{0}.json"
_TOKEN = "@perp/contract/build/contracts/src/mock/{0}.sol/{0}.json"

_PACKAGED: dict[str, tuple[str, ...]] = {
    _PERP: (
        "AccountBalance",
        "BaseToken",
        "ClearingHouse",
        "ClearingHouseConfig",
        "CollateralManager",
        "DelegateApproval",
        "Exchange",
        "InsuranceFund",
        "MarketRegistry",
        "OrderBook",
        "QuoteToken",
        "Vault",
    ),
    _ORACLE: ("ChainlinkPriceFeedV3", "PriceFeedDispatcher"),
    _UNISWAP: ("UniswapV3Factory",),
    _TOKEN: ("ERC20Fake",),
}


class ScenarioError(Exception):
    """The scenario cannot be played: a part is missing or the chain did something the script rules out."""


def load_creation_code(node_modules: Path) -> dict[str, str]:
    """Hex creation code by contract name, from the packages and from our own Solidity."""
    code = {
        name: _load_packaged(node_modules / pattern.format(name))
        for pattern, names in _PACKAGED.items()
        for name in names
    }
    return code | _compile(node_modules)


def _load_packaged(path: Path) -> str:
    if not path.is_file():
        raise ScenarioError(f"{path} is missing: install the contract packages with npm ci --ignore-scripts")
    return str(json.loads(path.read_text(encoding="utf-8"))["bytecode"])


def _compile(node_modules: Path) -> dict[str, str]:
    script = Path(__file__).with_name("compile.js")
    try:
        done = subprocess.run(
            ["node", str(script), str(node_modules.resolve())], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ScenarioError("Node.js is not on the PATH: install node 20 or later to compile contracts") from error
    if done.returncode != 0:
        raise ScenarioError(f"compiling {script.name} failed: {done.stderr.strip()[:800]}")
    compiled: dict[str, str] = json.loads(done.stdout)
    return compiled
