"""Plays the whole scenario on a fresh node: deploy, prepare, then one step after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from indexer.replay.scenario.arbitrage import arbitrage
from indexer.replay.scenario.artifacts import load_creation_code
from indexer.replay.scenario.cast import USDC_UNIT, Cast, deal_cast
from indexer.replay.scenario.chain import Call, Chain
from indexer.replay.scenario.deploy import ASSETS, World, deploy_world, encode_price
from indexer.replay.scenario.keepers import Keepers
from indexer.replay.scenario.lending import Lending
from indexer.replay.scenario.manifest import describe_failures, describe_world
from indexer.replay.scenario.node import GENESIS, run_anvil
from indexer.replay.scenario.perp import PerpDesk
from indexer.replay.scenario.prices import HOURLY_START, HOURS, load_prices
from indexer.replay.scenario.reserve import Reserve
from indexer.replay.scenario.stage import Stage
from indexer.replay.scenario.timeline import STEPS, Step, build_steps, hour_step
from indexer.replay.scenario.traders import plan_traders
from indexer.replay.scenario.treasury import ALT_CLOSE, ALT_PAUSE, FIRST_TOP_UP, LATE_QUITS, SECOND_TOP_UP, Treasury

SHIPPED_SEED = 1
_DAO_USDC = 5_000_000
_CURTAIN = HOURLY_START + 3_600 * HOURS - 12
_MARKS = {
    "hourly_start": hour_step(0),
    "worst_hour": hour_step(61),
    "alt_paused": ALT_PAUSE,
    "alt_closed": ALT_CLOSE,
    "first_top_up": FIRST_TOP_UP,
    "second_top_up": SECOND_TOP_UP,
    "late_quits": LATE_QUITS,
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Played:
    """A running node that holds the played history, and the manifest that explains it."""

    url: str
    manifest: dict[str, Any]


@contextmanager
def play(
    seed: int,
    *,
    anvil: Path,
    node_modules: Path,
    port: int = 0,
    last_step: int = STEPS - 1,
    progress: Progress | None = None,
    creation_code: dict[str, str] | None = None,
) -> Iterator[Played]:
    """Plays up to `last_step` and keeps the node running until the context is left.

    The same seed gives the same head hash on every machine; addresses do not depend on the seed at all.
    `progress` is called with (steps done, steps in all); `creation_code` spares compiling when it was loaded before.
    """
    code = creation_code or load_creation_code(node_modules)
    with run_anvil(anvil, port) as used_port:
        chain = Chain(used_port, GENESIS, code)
        try:
            manifest = _perform(chain, seed, last_step=last_step, progress=progress)
        finally:
            chain.close()
        yield Played(f"http://127.0.0.1:{used_port}", manifest)


@dataclass
class _Company:
    """Everyone on stage."""

    chain: Chain
    cast: Cast
    world: World
    stages: list[Stage]
    lending: Lending
    reserve: Reserve
    marks: dict[str, dict[str, int]] = field(default_factory=dict)


def _perform(chain: Chain, seed: int, *, last_step: int, progress: Progress | None) -> dict[str, Any]:
    steps = build_steps(load_prices(), seed)[: last_step + 1]
    company = _prepare(chain, seed, steps[0])
    for step in steps:
        _take_step(company, step)
        if progress:
            progress(step.index + 1, len(steps))
    company.lending.accrue()
    if last_step == STEPS - 1:
        # The last block falls just before midnight, so that 24 May is a complete day.
        chain.wait_until(_CURTAIN)
        _set_prices(company, steps[-1].prices)
    return _describe(company, seed)


def _prepare(chain: Chain, seed: int, first: Step) -> _Company:
    cast = deal_cast(chain)
    world = deploy_world(chain, cast, first.prices)
    stages = [_build_stage(chain, cast, world, seed=seed, name=name) for name in world.perps]
    lending = Lending(chain, cast, world, Random(f"{seed}:lending"))
    reserve = Reserve(chain, cast, world, Random(f"{seed}:reserve"))
    company = _Company(chain, cast, world, stages, lending=lending, reserve=reserve)
    # Before a pool is 30 minutes old every margin check reverts: its time-weighted price does not exist yet.
    chain.wait_until(GENESIS + 3_600)
    _set_prices(company, first.prices)
    transfer = Call(world.usdc, "transfer(address,uint256)", (cast.dao, _DAO_USDC * USDC_UNIT))
    chain.send(transfer, cast.owner)
    reserve.open()
    lending.fund_actors()
    for stage in stages:
        stage.prepare(first.prices)
    return company


def _build_stage(chain: Chain, cast: Cast, world: World, *, seed: int, name: str) -> Stage:
    def draw(part: str) -> Random:
        # A generator for each part: a change in one does not shuffle the others.
        return Random(f"{seed}:{name}:{part}")

    desk = PerpDesk(chain, cast, world, world.perps[name])
    book = plan_traders(name, cast.traders[name], draw("plan"))
    return Stage(desk, book, Keepers(desk, draw("keepers")), Treasury(desk, draw("treasury")), draw("crowd"))


def _take_step(company: _Company, step: Step) -> None:
    chain = company.chain
    chain.wait_until(step.moment)
    _set_prices(company, step.prices)
    for name, index in _MARKS.items():
        if index == step.index:
            company.marks[name] = {"step": index, "block": chain.head, "time": chain.clock}
    chain.wait_until(step.moment + 60)
    arbitrage([target for stage in company.stages for target in stage.find_targets(step)])
    # Margin checks read half an hour of prices: keepers see the move only after a while.
    chain.wait_until(step.moment + 1_500)
    for stage in company.stages:
        stage.liquidate(step)
    company.lending.act(step)
    for stage in company.stages:
        stage.treasury.act(step)
    company.reserve.act(step)
    chain.wait_until(step.moment + 2_400)
    for stage in company.stages:
        stage.trade(step)


def _set_prices(company: _Company, prices: dict[str, float]) -> None:
    """All feeds in one transaction."""
    world = company.world
    calls = [
        (
            world.aggregators[asset],
            False,
            bytes.fromhex(Call("", "set(int256)", (encode_price(prices[asset]),)).data[2:]),
        )
        for asset in ASSETS
    ]
    company.chain.send(
        Call(world.multicall, "aggregate3((address,bool,bytes)[])", (calls,)), company.cast.owner, note="set prices"
    )


def _describe(company: _Company, seed: int) -> dict[str, Any]:
    chain = company.chain
    head = chain.rpc("eth_getBlockByNumber", hex(chain.head), False)
    return {
        "seed": seed,
        "head": {"number": chain.head, "hash": head["hash"], "time": chain.clock},
        **describe_world(company.world, company.cast),
        "late_quitters": [who for stage in company.stages for who in stage.treasury.late_quitters],
        "hidden_debtor": company.lending.hidden_debtor,
        "marks": company.marks,
        "failed_transactions": describe_failures(chain),
    }
