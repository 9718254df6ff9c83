"""Traders are planned from the seed alone, and every gamble finds its accounts."""

from random import Random

from indexer.replay.scenario.cast import TRADERS_PER_DEPLOYMENT
from indexer.replay.scenario.timeline import STEPS
from indexer.replay.scenario.traders import GAMBLES, plan_traders

TRADERS = tuple(f"trader {number}" for number in range(TRADERS_PER_DEPLOYMENT))


def test_the_same_seed_plans_the_same_entries() -> None:
    assert plan_traders("large", TRADERS, Random("a")) == plan_traders("large", TRADERS, Random("a"))
    assert plan_traders("large", TRADERS, Random("a")) != plan_traders("large", TRADERS, Random("b"))


def test_every_gamble_is_entered_at_its_step() -> None:
    for deployment, gambles in GAMBLES.items():
        book = plan_traders(deployment, TRADERS, Random(1))
        for gamble in gambles:
            entered = [e for e in book.entries[gamble.step] if (e.asset, e.leverage) == (gamble.asset, gamble.leverage)]
            assert len(entered) >= gamble.entries


def test_only_the_small_deployment_trades_alt_and_all_steps_exist() -> None:
    for deployment in GAMBLES:
        book = plan_traders(deployment, TRADERS, Random(1))
        assets = {entry.asset for entries in book.entries.values() for entry in entries}
        assert ("ALT" in assets) == (deployment == "small")
        assert all(0 <= step < STEPS for step in book.entries)


def test_crowd_and_weth_backed_traders_are_different_people() -> None:
    book = plan_traders("small", TRADERS, Random(1))
    assert book.weth_backed
    assert not book.weth_backed & set(book.crowd)
