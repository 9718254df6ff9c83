"""How many blocks to ask for at once: adapts to what providers refuse and to how dense the logs are. Pure."""

from indexer.rpc.errors import AnswerTooLargeError, RangeTooWideError

FIRST_BLOCKS = 2_000
MOST_BLOCKS = 500_000
WANTED_LOGS = 10_000
"""Logs in one answer: large enough to be cheap, small enough to fit a transaction and any provider's cap."""
GROWTH = 4
FORGET_AFTER = 64
"""Good answers after which a learned cap without a stated limit is tried again: providers change."""


class RangeSizer:
    """The size of the next range of one chain, in blocks."""

    def __init__(
        self, blocks: int = FIRST_BLOCKS, *, most_blocks: int = MOST_BLOCKS, wanted_logs: int = WANTED_LOGS
    ) -> None:
        self.blocks = blocks
        self._most_blocks = most_blocks
        self._wanted_logs = wanted_logs
        self._cap = most_blocks
        self._is_stated = False
        self._good = 0

    def next_range(self, first: int, last: int) -> tuple[int, int]:
        """The range to ask for, starting at `first` and ending at `last` at most."""
        return first, min(last, first + self.blocks - 1)

    def answered(self, blocks: int, logs: int) -> None:
        """An answer of `logs` logs for `blocks` blocks came."""
        self._good += 1
        if self._good > FORGET_AFTER and not self._is_stated:
            self._cap, self._good = self._most_blocks, 0
        if blocks < self.blocks:
            return  # A remainder says little about the density of a full range.
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
        self.blocks = min(self.blocks, fitting)
