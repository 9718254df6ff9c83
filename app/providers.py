"""Which funds and chains a command follows, and at which addresses their chains are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.failures import CommandError, Exit
from app.settings import Settings
from indexer.registry import Registry, load_funds
from indexer.specs import ChainSpec


@dataclass(frozen=True)
class Plan:
    """What to follow: funds with their chains, and each chain's addresses by chain id."""

    registry: Registry
    urls: Mapping[int, Sequence[str]]


def providers_of(chain: ChainSpec, settings: Settings) -> list[str]:
    """Addresses of a chain: those of BACKSTOP_RPC_URLS where it names the chain, else the shipped ones."""
    return settings.providers().get(chain.id) or list(chain.rpc)


def load_plan(settings: Settings, chains: Sequence[str]) -> Plan:
    """Funds and chains of the fund directory, narrowed to `chains` (slugs or ids) where any are named.

    Raises RegistryError for a file that cannot be used, CommandError for a chain that no fund lives on.
    """
    registry = narrowed(load_funds(settings.live_funds_dir), chains, settings.live_funds_dir)
    return Plan(registry, {chain.id: providers_of(chain, settings) for chain in registry.chains})


def narrowed(registry: Registry, wanted: Sequence[str], directory: Path) -> Registry:
    """The registry with only the named chains and their funds."""
    if not registry.funds:
        raise CommandError(f"{directory}: there is no fund file in it; name another directory", Exit.WRONG_FILE)
    if not wanted:
        return registry
    known = {name: chain.id for chain in registry.chains for name in (chain.slug, str(chain.id))}
    strange = [name for name in wanted if name not in known]
    if strange:
        choice = ", ".join(chain.slug for chain in registry.chains)
        raise CommandError(f"no fund lives on a chain {strange[0]}: give one of {choice}", Exit.WRONG_USE)
    ids = {known[name] for name in wanted}
    return Registry(
        tuple(chain for chain in registry.chains if chain.id in ids),
        tuple(fund for fund in registry.funds if fund.chain in ids),
        registry.digests,
    )
