"""What a lying provider says of blocks and logs; the same of the same block as long as it lies, and counted."""

import random
from collections.abc import Callable
from typing import Any

from indexer.replay.bloom import may_contain
from tests.simulation.weather import Season, Weather
from tests.simulation.world import Block, View, World

Wire = dict[str, Any]
STRANGE_HASH = "0x" + "5a" * 32


class Liar:
    """The lies of one provider during one life of the process."""

    def __init__(self, world: World, dice: random.Random, weather: Weather) -> None:
        self._world = world
        self._dice = dice
        self._rate = weather.lie
        self._season = weather.season
        self._counts = weather.counts
        self._salt = dice.random()
        self._branch: View | None = None
        self._branch_calls = 0

    def view_of(self, newest: View) -> View:
        """The chain as it pretends it to be: now and then a branch that never was, above the final block."""
        if self._branch is not None and self._branch_calls and self._branch.agrees_on_final(newest):
            self._branch_calls -= 1
            return self._branch
        self._branch = None
        if self._dice.random() < self._rate / 4 and newest.head.number > newest.finalized:
            self._branch = self._world.invented_branch(self._dice)
            self._branch_calls = self._dice.choice((1, 3, 10))
        return self._branch or newest

    def tell(self, block: Block, honest: list[Wire], wanted: Wire, *, by_hash: bool) -> list[Wire]:
        """What it says instead of the block's matching logs."""
        mood = random.Random(f"{self._salt} {block.hash}")
        if mood.random() >= self._rate:
            return honest
        kind, lie = mood.choice(self._repertoire(by_hash=by_hash))
        told = lie(block, honest, wanted)
        if told == honest:
            return honest
        self._counts[f"{kind}, by {'hash' if by_hash else 'number'}"] += 1
        return told

    def _repertoire(self, *, by_hash: bool) -> "Repertoire":
        if self._season is Season.SUBTLE:
            return OPEN + HIDDEN + SUBTLE
        is_open = self._season is Season.CLUMSY or (self._season is Season.THIN and not by_hash)
        return OPEN if is_open else OPEN + HIDDEN


def _drop_all(_block: Block, _honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return []


def _repeat(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return [*honest, *honest[:1]]


def _cover_with_copy(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    """As many logs as there should be, one of them a copy of another."""
    return [*honest[:-1], honest[0]] if len(honest) > 1 else honest


def _invent(block: Block, honest: list[Wire], wanted: Wire) -> list[Wire]:
    """A log that the block's bloom knows nothing of."""
    topics = [sorted(allowed)[0] if allowed else None for allowed in wanted.get("topics", ())]
    for address in sorted(wanted.get("address", ())):
        if not may_contain(block.bloom, address):
            invented = {
                "address": address,
                "topics": [topic or "0x" + "0" * 24 + "ee" * 20 for topic in (*topics, None, None)[:3]],
                "data": "0x" + "7" * 64,
                "blockNumber": hex(block.number),
                "blockHash": block.hash,
                "transactionHash": STRANGE_HASH,
                "logIndex": hex(len(block.logs) + len(topics)),  # Other filters invent others.
                "removed": False,
            }
            return [*honest, invented]
    return honest


def _of_another_block(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return [{**log, "blockHash": STRANGE_HASH, "data": "0x" + "4" * 64} for log in honest]


def _removed(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return [{**log, "removed": True} for log in honest]


def _two_at_one_place(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return [*honest, {**honest[0], "data": "0x" + "6" * 64}] if honest else honest


def _drop_one(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return honest[1:] if len(honest) > 1 else honest


def _change(_block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    return [{**log, "data": "0x" + "5" * 64} for log in honest]


def _add(block: Block, honest: list[Wire], _wanted: Wire) -> list[Wire]:
    """One more of the same contract and topics: the bloom knows them."""
    return [*honest, {**honest[-1], "logIndex": hex(len(block.logs))}] if honest else honest


Repertoire = tuple[tuple[str, Callable[[Block, list[Wire], Wire], list[Wire]]], ...]

OPEN: Repertoire = (
    ("log repeated", _repeat),
    ("log covered with a copy", _cover_with_copy),
    ("log of another block", _of_another_block),
    ("log marked removed", _removed),
    ("two logs at one place", _two_at_one_place),
)
"""An answer that contradicts itself, or the header."""
HIDDEN: Repertoire = (
    ("whole block left out", _drop_all),
    ("whole block left out", _drop_all),
    ("log invented", _invent),
)
"""Only the block's bloom knows better."""
SUBTLE: Repertoire = (("one log left out", _drop_one), ("logs changed", _change), ("log added", _add))
"""The header allows it: only another provider, or the block's receipts, know better."""
