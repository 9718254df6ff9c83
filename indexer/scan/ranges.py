"""How many blocks to ask for at once: adapts to what providers refuse and to how dense the logs are. Pure."""

from indexer.rpc.errors import AnswerTooLargeError, RangeTooWideError

FIRST_BLOCKS = 500
MOST_BLOCKS = 500_000
WANTED_LOGS = 5_000
"""Logs in one answer: large enough to be cheap, small enough to fit a transaction and most providers' caps."""
GROWTH = 4
SHRINK = 0.8
"""Of an answer that was refused as too large: so much of what it would have held is asked for next."""
LEAST_CAP = 250
"""No provider caps answers below that; a smaller number means that this range is denser than those before."""
FORGET_AFTER = 64
"""Good answers after which a learned cap without a stated limit is tried again: providers change."""


class RangeSizer:
    """The size of the next range of one chain, in blocks."""

    def __init__(
        self, blocks: int = FIRST_BLOCKS, *, most_blocks: int = MOST_BLOCKS, wanted_logs: int = WANTED_LOGS
    ) -> None:
        self.blocks = blocks
        self._most_blocks = self._cap = most_blocks
        self._most_logs = self._wanted_logs = wanted_logs
        self._density: float | None = None
        self._is_stated = False
        self._good = 0

    def next_range(self, first: int, last: int) -> tuple[int, int]:
        """The range to ask for, starting at `first` and ending at `last` at most."""
        return first, min(last, first + self.blocks - 1)

    def answered(self, blocks: int, logs: int) -> None:
        """An answer of `logs` logs for `blocks` blocks came."""
        self._good += 1
        if self._good > FORGET_AFTER:
            self._forget()
        if blocks < self.blocks:
            return  # A remainder says little about the density of a full range.
        self._density = logs / blocks
        fitting = blocks * self._wanted_logs // logs if logs else self._most_blocks
        self.blocks = max(1, min(self._cap, blocks * GROWTH, fitting))

    def refused(self, blocks: int, error: RangeTooWideError | AnswerTooLargeError) -> None:
        """A range of `blocks` blocks was too much."""
        self._good = 0
        fitting = max(1, blocks // 2)
        if isinstance(error, RangeTooWideError):
            # A stated limit that the refused range already kept to is worth nothing.
            self._is_stated = error.limit is not None and error.limit < blocks
            fitting = error.limit if error.limit is not None and self._is_stated else fitting
            self._cap = fitting
        elif self._density and self._density * blocks >= LEAST_CAP:
            # How many logs are too many: learned, so that the next range does not grow into the same refusal.
            self._wanted_logs = max(1, min(self._wanted_logs, int(SHRINK * self._density * blocks)))
            fitting = max(1, min(blocks - 1, int(self._wanted_logs / self._density)))
        self.blocks = min(self.blocks, fitting)

    def _forget(self) -> None:
        """Learned caps are tried again; a number of logs little by little, for every trial costs a request."""
        self._good = 0
        self._wanted_logs = min(self._most_logs, int(self._wanted_logs * 1.25) + 1)
        if not self._is_stated:
            self._cap = self._most_blocks
