"""What a person reads about a chain that could not be followed: what happened, and what to do."""

from app.indexing import failure_line
from app.providers import Plan
from app.settings import SHIPPED_FUNDS
from indexer.registry import load_funds
from indexer.replay.scenario.capture import SLUG
from indexer.sync import ChainOutcome
from ledger.kinds import ChainStatus


def plan() -> tuple[Plan, str]:
    """One chain with one address."""
    registry = load_funds(SHIPPED_FUNDS / SLUG)
    (chain,) = registry.chains
    return Plan(registry, {chain.id: ["http://127.0.0.1:1"]}), chain.slug


def test_a_chain_that_does_not_answer_wants_other_addresses() -> None:
    known, slug = plan()
    line = failure_line(ChainOutcome(slug, ChainStatus.UNREACHABLE, "nobody answers"), known)
    assert "nobody answers (tried 1); set BACKSTOP_RPC_URLS" in line


def test_a_halted_chain_wants_a_look_and_no_other_address() -> None:
    known, slug = plan()
    line = failure_line(ChainOutcome(slug, ChainStatus.HALTED, "block 7 was final"), known)
    assert line.endswith(f"is halted: block 7 was final; look into it, then backstop resume {slug}")
    assert "BACKSTOP_RPC_URLS" not in line
