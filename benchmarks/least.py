"""The fewest HTTP requests that a provider's caps allow for a scan: what `indexer.requests_ratio` divides by."""

from collections.abc import Sequence
from dataclasses import dataclass

HANDSHAKE = 2
"""Who are you (chain id, client) and where do you stand (latest, finalized): a batch each."""


@dataclass(frozen=True)
class Caps:
    """The most blocks and results of one eth_getLogs, and the most requests of one batch."""

    blocks: int = 2_000
    logs: int = 10_000
    batch: int = 100

    def query(self) -> str:
        """As the node's URL says it."""
        return f"blocks={self.blocks}&logs={self.logs}&batch={self.batch}"


@dataclass(frozen=True)
class Least:
    """Pages of logs, batches of headers, and the handshake."""

    pages: int
    header_batches: int

    @property
    def requests(self) -> int:
        """All of them."""
        return self.pages + self.header_batches + HANDSHAKE

    def explained(self, caps: Caps) -> str:
        """How the number comes about."""
        return (
            f"{self.requests:,} = {self.pages:,} pages of logs (ranges as long as {caps.blocks:,} blocks and "
            f"{caps.logs:,} results a filter allow, all filters in one batch) + {self.header_batches:,} batches of "
            f"{caps.batch} headers + {HANDSHAKE} to begin"
        )


def least_requests(counts: Sequence[Sequence[int]], blocks: int, caps: Caps) -> Least:
    """`counts`: for each filter, how many of its logs lie before each block (blocks + 1 numbers)."""
    return Least(count_pages(counts, blocks, caps), -(-blocks // caps.batch))


def count_pages(counts: Sequence[Sequence[int]], blocks: int, caps: Caps) -> int:
    """Ranges from left to right, each as long as the caps allow: no other cut needs fewer."""
    pages = first = 0
    while first < blocks:
        end = first + 1  # A single block is asked for even where it holds more than the cap.
        while (
            end < blocks
            and end - first < caps.blocks
            and all(before[end + 1] - before[first] <= caps.logs for before in counts)
        ):
            end += 1
        pages, first = pages + 1, end
    return pages
