"""A range of final blocks verified again from its chain: headers, logs of two providers, receipts, and what is stored.

Nothing is believed because it is stored, nothing because one provider says it: what is proved by receiptsRoot outranks
what two providers agree on, and that outranks what one says.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from sqlmodel import Session

from indexer.adapter import Log
from indexer.facts import Prepared, log_of
from indexer.heal import Mender
from indexer.rebuild import Rebuild
from indexer.rpc.reader import ChainReader, Header
from indexer.scan.fetch import LogFetcher
from indexer.scan.filters import matching, merge_filters
from indexer.scan.opinion import SecondOpinion, find_proof
from indexer.scan.ranges import RangeSizer
from indexer.scan.verify import by_block
from ledger.blocks import list_blocks
from ledger.clock import Clock
from ledger.coverage import AUDITED, COMPARED, Verified, extend_verification, list_coverage
from ledger.stored import walk_stored_logs
from ledger.tables import Verification
from ledger.writer import LedgerWriter

CHUNK = 500
"""Blocks looked at together."""


@dataclass(frozen=True)
class Finding:
    """Something stored that is not what the chain says. `kind`: missing, extra, different, or block."""

    kind: str
    number: int
    log_index: int | None
    text: str


@dataclass(frozen=True)
class AuditPlan:
    """What to look at: blocks first…last, and of how many of them the receipts (`sample` None: of all)."""

    first: int
    last: int
    sample: int | None = 0
    seed: int = 0
    repair: bool = False

    def proved_blocks(self) -> frozenset[int]:
        """The blocks whose receipts are asked for: the same for the same seed."""
        blocks = range(self.first, self.last + 1)
        if self.sample is None or self.sample >= len(blocks):
            return frozenset(blocks)
        return frozenset(random.Random(self.seed).sample(blocks, self.sample))


@dataclass
class AuditReport:
    """What an audit saw."""

    plan: AuditPlan
    blocks: int = 0
    logs: int = 0
    compared: int = 0
    proved: int = 0
    unproved: int = 0
    repaired: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs that was not put right."""
        return not self.findings

    def counts(self) -> Counter[str]:
        """Kind of finding → how many."""
        return Counter(finding.kind for finding in self.findings)


Progress = Callable[[int, int], None]


class Audit:
    """Audits one chain's segments. Raises ChainError when nobody answers."""

    def __init__(
        self, chain_id: int, reader: ChainReader, writer: LedgerWriter, *, segments: Sequence[Prepared], clock: Clock
    ) -> None:
        self._chain_id = chain_id
        self._reader = reader
        self._writer = writer
        self._segments = segments
        self._clock = clock
        self._opinion = SecondOpinion(reader, chain_id, share=1.0)

    async def run(self, plan: AuditPlan, progress: Progress | None = None) -> AuditReport:
        """The whole range, a chunk at a time."""
        report, proving = AuditReport(plan), plan.proved_blocks()
        await self._writer.read(self._recall)
        before: Header | None = None
        for first in range(plan.first, plan.last + 1, CHUNK):
            last = min(first + CHUNK - 1, plan.last)
            headers = await self._reader.headers(range(first, last + 1))
            report.findings += broken_links(before, headers)
            before = headers[-1]
            truth, passed = await self._truth(headers, proving, report)
            await self._judge(truth, headers, passed, report)
            report.blocks += len(headers)
            if progress is not None:
                progress(last - plan.first + 1, plan.last - plan.first + 1)
        return report

    def _recall(self, session: Session) -> None:
        for segment in self._segments:
            Rebuild(session, self._chain_id).recall(segment)

    async def _truth(
        self, headers: Sequence[Header], proving: frozenset[int], report: AuditReport
    ) -> tuple[dict[int, list[Log]], list[Verified]]:
        """Block → its logs as far as anyone can say, and the rungs that were passed on the way."""
        first, last = headers[0].number, headers[-1].number
        known = {header.number: header for header in headers}
        families = [segment.family for segment in self._segments if segment.family is not None]
        own = [part for segment in self._segments for part in segment.filters]
        filters = merge_filters([*own, *(part for each in families for part in each.filters(each.known()))])
        fetcher = LogFetcher(self._reader, filters, RangeSizer(), every_header=True, opinion=self._opinion)
        fetched = await fetcher.fetch_final(first, last)
        truth, passed = by_block(fetched.logs), list(fetched.passed)
        report.compared += sum(each.last - each.first + 1 for each in passed if each.level == COMPARED)
        for number in sorted(proving & known.keys()):
            proof = await find_proof(self._reader, known[number])
            if proof is None:
                report.unproved += 1
                continue
            truth[number] = matching(filters, proof)
            passed.append(Verified(AUDITED, number, number))
            report.proved += 1
        return truth, passed

    async def _judge(
        self,
        truth: Mapping[int, Sequence[Log]],
        headers: Sequence[Header],
        passed: Sequence[Verified],
        report: AuditReport,
    ) -> None:
        """Compares with what is stored, repairs where that is wanted, and records the rungs where all is well."""
        found, logs = await self._writer.read(partial(self._compare, truth=truth, headers=headers))
        report.logs += logs
        if report.plan.repair and any(finding.kind == "missing" for finding in found):
            mended = {finding.number for finding in found if finding.kind == "missing"}
            report.repaired += await self._writer.write(
                partial(self._mend, truth=truth, headers=[header for header in headers if header.number in mended])
            )
            found, _ = await self._writer.read(partial(self._compare, truth=truth, headers=headers))
        report.findings += found
        await self._writer.write(partial(self._record, passed=passed, bad={finding.number for finding in found}))

    def _compare(
        self, session: Session, truth: Mapping[int, Sequence[Log]], headers: Sequence[Header]
    ) -> tuple[list[Finding], int]:
        """Stored against true, both ways, in blocks that a segment covers; and how many logs there should be."""
        first, last = headers[0].number, headers[-1].number
        stored_blocks = dict(list_blocks(session, self._chain_id, first, last))
        findings = [
            Finding(
                "block", header.number, None, f"stored as {stored_blocks[header.number]}, the chain has {header.hash}"
            )
            for header in headers
            if stored_blocks.get(header.number, header.hash) != header.hash
        ]
        stored = {
            (row.block_number, row.log_index): log_of(row)
            for window in walk_stored_logs(session, self._chain_id, first, last)
            for row in window
        }
        chains = {(n, int(each.log_index, 16)): each for n, logs in truth.items() for each in logs}
        wanted = self._wanted(session, list(chains.values()))
        ours = self._wanted(session, list(stored.values()))
        for place in sorted(wanted - stored.keys()):
            findings.append(Finding("missing", *place, f"a log of {chains[place].address} is not stored"))
        for place in sorted(ours - chains.keys()):
            findings.append(Finding("extra", *place, f"a stored log of {stored[place].address} is not on the chain"))
        for place in sorted(wanted & stored.keys()):
            if stored[place] != chains[place]:
                findings.append(Finding("different", *place, f"the log of {stored[place].address} is stored otherwise"))
        return findings, len(wanted)

    def _wanted(self, session: Session, logs: Sequence[Log]) -> set[tuple[int, int]]:
        """Places of the logs that a segment wants and whose blocks it covers."""
        found = set()
        for segment in self._segments:
            covered = list_coverage(session, segment.id, segment.digest)
            for each in segment.wanted(logs):
                number = int(each.block_number, 16)
                if any(first <= number <= last for first, last in covered):
                    found.add((number, int(each.log_index, 16)))
        return found

    def _mend(self, session: Session, truth: Mapping[int, Sequence[Log]], headers: Sequence[Header]) -> int:
        mender = Mender(session, self._chain_id, self._segments)
        return sum(mender.mend(header, truth[header.number]) > 0 for header in headers)

    def _record(self, session: Session, passed: Sequence[Verified], bad: set[int]) -> None:
        """The rungs for every segment that covers the blocks; nothing for blocks that differ."""
        for segment in self._segments:
            for first, last in list_coverage(session, segment.id, segment.digest):
                for rung in passed:
                    low, high = max(first, rung.first), min(last, rung.last)
                    if low <= high and not any(low <= number <= high for number in bad):
                        extend_verification(session, self._row(segment, Verified(rung.level, low, high)))

    def _row(self, segment: Prepared, rung: Verified) -> Verification:
        return Verification(
            segment_id=segment.id,
            filter_digest=segment.digest,
            level=rung.level,
            from_number=rung.first,
            to_number=rung.last,
            verified_at=self._clock(),
        )


def broken_links(before: Header | None, headers: Sequence[Header]) -> list[Finding]:
    """Headers that do not name the one before them as their parent."""
    chain = [*([before] if before else []), *headers]
    return [
        Finding("block", now.number, None, f"its parent is {now.parent_hash}, the block before it is {then.hash}")
        for then, now in pairwise(chain)
        if now.parent_hash != then.hash
    ]
