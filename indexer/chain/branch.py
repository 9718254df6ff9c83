"""Headers of a chain as it is now, looked up height by height in few requests; made anew for each look at the head."""

from indexer.chain.reconcile import Tail, links
from indexer.rpc.reader import ChainReader, Header

BLOCKS_AT_ONCE = 50
"""Blocks above the tip looked up, and appended, in one go."""
MOST_BELOW = 100
"""Blocks looked up at once on the way down to a fork; it begins with one and doubles, for most forks are shallow."""


class Branch:
    """The blocks that lead to a head, as providers name them: whoever uses them checks what links to what."""

    def __init__(self, reader: ChainReader, head: Header) -> None:
        self._reader = reader
        self.head = head
        self._seen = {head.number: head}
        self._below = 1

    async def at(self, number: int, tail: Tail) -> Header | None:
        """The header at that height; None where the chain ends below it. Those we shall ask for next come with it."""
        if number not in self._seen:
            wanted = self._above(number) if number > tail.tip.number else self._down(number, tail)
            if len(wanted) == 1:
                alone = await self._reader.header(number)
                return None if alone is None else self._seen.setdefault(number, alone)
            for header in await self._reader.headers(wanted):
                self._seen.setdefault(header.number, header)
        return self._seen[number]

    def _above(self, number: int) -> list[int]:
        last = min(self.head.number, number + BLOCKS_AT_ONCE - 1)
        return [height for height in range(number, last + 1) if height not in self._seen]

    def _down(self, number: int, tail: Tail) -> list[int]:
        first = max(tail.anchor.number, number - self._below + 1)
        self._below = min(MOST_BELOW, self._below * 2)
        return list(range(first, number + 1))

    def run(self, header: Header) -> list[Header]:
        """The header and those already looked up that hang on it, one on the other."""
        run = [header]
        while len(run) < BLOCKS_AT_ONCE:
            following = self._seen.get(run[-1].number + 1)
            if following is None or not links(run[-1].hash, following):
                break
            run.append(following)
        return run
