"""Time that passes only by waiting: what would take minutes takes none."""

from dataclasses import dataclass, field

from indexer.rpc.provider import Pace


@dataclass
class FastTime:
    """A clock that waiting moves: nobody waits for real."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep)
