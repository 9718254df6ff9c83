"""Limits of a replay node, worded like those of public providers."""

from dataclasses import dataclass

from indexer.replay.faults import RpcError


@dataclass(frozen=True)
class Caps:
    """The most blocks and logs of one eth_getLogs and the most requests of one batch; None is no limit."""

    blocks: int | None = None
    logs: int | None = None
    batch: int | None = None

    def check_range(self, first: int, last: int) -> None:
        if self.blocks is not None and last - first + 1 > self.blocks:
            raise RpcError(-32000, f"block range is too wide: at most {self.blocks} blocks")

    def check_count(self, count: int) -> None:
        if self.logs is not None and count > self.logs:
            raise RpcError(-32005, f"query returned more than {self.logs} results")

    def check_batch(self, size: int) -> None:
        if self.batch is not None and size > self.batch:
            raise RpcError(-32600, f"batch is too large: at most {self.batch} requests")
