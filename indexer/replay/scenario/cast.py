"""Who plays: the node's unlocked accounts, dealt out once so that no address depends on the seed."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.chain import Chain

TRADERS_PER_DEPLOYMENT = 40
USDC_UNIT = 10**6
COIN_UNIT = 10**18


@dataclass(frozen=True)
class Cast:
    """Every actor's address."""

    owner: str
    dao: str
    maker: str
    arbitrageur: str
    keepers: tuple[str, ...]
    suppliers: tuple[str, ...]
    morpho_keeper: str
    reserve: str
    spammer: str
    poisoner: str
    vendor: str
    borrowers: tuple[str, ...]
    traders: dict[str, tuple[str, ...]]


def deal_cast(chain: Chain) -> Cast:
    """Deals the node's accounts to the parts, in a fixed order."""
    accounts = [to_checksum_address(account) for account in chain.rpc("eth_accounts")]
    if len(accounts) < 30 + 2 * TRADERS_PER_DEPLOYMENT:
        raise ScenarioError(f"the node offers {len(accounts)} accounts: start it with --accounts 140")
    middle = 30 + TRADERS_PER_DEPLOYMENT
    return Cast(
        owner=accounts[0],
        dao=accounts[1],
        maker=accounts[2],
        arbitrageur=accounts[3],
        keepers=tuple(accounts[4:7]),
        suppliers=tuple(accounts[7:9]),
        morpho_keeper=accounts[9],
        reserve=accounts[10],
        spammer=accounts[11],
        poisoner=accounts[12],
        vendor=accounts[13],
        borrowers=tuple(accounts[14:28]),
        traders={
            "large": tuple(accounts[30:middle]),
            "small": tuple(accounts[middle : middle + TRADERS_PER_DEPLOYMENT]),
        },
    )
