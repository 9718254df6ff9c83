"""A chain in memory that answers headers and view calls, and counts what it was asked."""

from collections.abc import Callable, Mapping, Sequence

from indexer.adapter import ContractCall, LogFilter
from indexer.rpc.errors import NobodyElseError, UnavailableError
from indexer.rpc.reader import CallAnswer, Header, LogBatch, Receipts, Word

Answering = Callable[[ContractCall, Header], CallAnswer]


class ChainDouble:
    """A ChainReader over given headers; `answer` says what a view call returns at a block."""

    def __init__(self, headers: Sequence[Header], answer: Answering | None = None) -> None:
        self._headers = {header.number: header for header in headers}
        self._answer = answer
        self.requests = 0
        self.headers_asked = 0
        self.asked_at: list[tuple[str, str]] = []
        self.silent_from: int | None = None

    async def header(self, block: int | str) -> Header | None:
        self.requests += 1
        return self._headers.get(block) if isinstance(block, int) else None

    async def heads(self, *, expected: int = 0) -> tuple[Header, Header | None]:
        raise NotImplementedError("no test of ours asks for the head")

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        self.requests += 1
        self.headers_asked += len(numbers)
        return [self._headers[number] for number in numbers]

    async def calls(self, calls: Sequence[ContractCall], at: Header) -> list[CallAnswer]:
        self.requests += 1
        if self.silent_from is not None and at.number >= self.silent_from:
            raise UnavailableError("nobody answers")
        assert self._answer is not None, "this chain answers no calls"
        self.asked_at += [(call.signature, at.hash) for call in calls]
        return [self._answer(call, at) for call in calls]

    async def calls_at(self, wanted: Sequence[tuple[Sequence[ContractCall], Header]]) -> list[list[CallAnswer]]:
        return [await self.calls(calls, at) for calls, at in wanted]

    async def logs(
        self,
        filters: Sequence[LogFilter],
        first: int,
        last: int,
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> LogBatch:
        raise NotImplementedError("no test of ours asks for logs")

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> list[LogBatch]:
        self.requests += 1
        if without:
            raise NobodyElseError("there is only this one")
        return [LogBatch([], "double", 1) for _ in block_hashes]

    async def logs_from_receipts(self, number: int) -> LogBatch:
        raise NotImplementedError("no test of ours asks for logs")

    async def receipts(self, block: int | str, *, without: frozenset[str] = frozenset()) -> Receipts:
        raise NotImplementedError("no test of ours asks for receipts")

    async def code(self, address: str, number: int) -> bytes:
        raise NotImplementedError("no test of ours asks for code")

    async def confirms(self, header: Header) -> Word:
        return Word.ALONE

    def voices(self) -> int:
        return 1

    def distrust(self, provider: str, reason: str) -> None:
        raise NotImplementedError("no test of ours distrusts anybody")

    async def wait_for_head(self, seconds: float) -> bool:
        raise NotImplementedError("no test of ours follows a head")

    def standing(self) -> Mapping[str, str]:
        return {}
