"""The live lane: from the blocks we hold to the chain's head, step by step, each block by its hash."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from indexer.certainty import Certainty
from indexer.chain.branch import Branch
from indexer.chain.reconcile import Append, Gap, Halt, Rollback, Same, Step, Tail, reconcile
from indexer.commit import ChainLedger, HaltError
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import ChainReader, Header

log = logging.getLogger(__name__)

MOST_STEPS = 10_000
"""Steps of one walk: providers that contradict each other for ever must not hold the loop."""

Appending = Callable[[Sequence[Header]], Awaitable[bool]]
"""Fetches and commits consecutive blocks, the first of which stands on our tip; False: they cannot be read any more."""


class LiveLane:
    """Walks one chain's ledger to a head. A block of ours is given up only when its replacement is certain."""

    def __init__(self, reader: ChainReader, ledger: ChainLedger, certainty: Certainty, append: Appending) -> None:
        self._reader = reader
        self._ledger = ledger
        self._certainty = certainty
        self._append = append
        self._slug = ledger.terms.slug

    async def walk(self, goal: Header, *, may_append: bool = True) -> bool:
        """Steps until the goal is a block we hold (True), or until nothing more can be said now (False)."""
        branch = Branch(self._reader, goal)
        header: Header | None = goal
        for _ in range(MOST_STEPS):
            tail = await self._ledger.tail()
            if tail is None or header is None:
                return False
            step = reconcile(tail, header)
            if isinstance(step, Same):
                self._certainty.forget()
                return header.hash == goal.hash
            if isinstance(step, Append) and not may_append:
                return True
            header = await self._take(step, tail, header, branch)
        raise UntruthError(f"{self._slug}: its providers contradict each other above {goal.number}")

    async def _take(self, step: Step, tail: Tail, header: Header, branch: Branch) -> Header | None:
        """Does what the step says; the header to look at next, or None when the providers must be asked again later."""
        match step:
            case Append():
                return branch.head if await self._append(branch.run(header)) else None
            case Gap(need=number):
                return await branch.at(number, tail)
            case Rollback(to=to) if await self._certainty.of(header):
                depth = tail.tip.number - to.number
                log.warning("%s: reorganised above block %d (depth %d)", self._slug, to.number, depth)
                await self._ledger.roll_back(to, header)
                return header
            case Halt(reason=reason) if await self._certainty.of(header):
                raise HaltError(reason, number=header.number)
            case _:
                return None
