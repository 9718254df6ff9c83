"""Facts decoded anew from stored logs, without asking any provider: after a better decoder, or to see that they agree.

One transaction a segment: a rebuild that is killed leaves the facts as they were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from indexer.adapter import AdapterError
from indexer.facts import Prepared, RowMaker, log_of
from indexer.reconcile import Tolerance, reconcile_balances
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from ledger.coverage import list_covered
from ledger.logs import insert_facts, list_asset_ids, walk_logs_by
from ledger.readings import list_places
from ledger.stored import count_facts, delete_decoded, walk_stored_logs
from ledger.tables import RawLog

Progress = Callable[[int, int], None]
"""Hears of blocks done and of all."""


@dataclass(frozen=True)
class Rebuilt:
    """A segment after its facts were decoded anew."""

    slug: str
    logs: int
    facts_before: int
    facts_after: int


class Rebuild:
    """Decodes stored logs of one chain anew, within the session it is given; nothing is committed here."""

    def __init__(self, session: Session, chain_id: int) -> None:
        self._session = session
        self._chain_id = chain_id
        self._rows = RowMaker(chain_id, list_asset_ids(session, chain_id))

    def rebuild(self, segment: Prepared, progress: Progress | None = None) -> Rebuilt:
        """All facts of a segment, from every log in the blocks it covers; raises AdapterError."""
        before = count_facts(self._session, segment.id)
        covered = list_covered(self._session, segment.id)
        self.recall(segment)
        logs = sum(self.redecode(segment, first, last, progress) for first, last in covered)
        tolerance = Tolerance.of(segment.tracked.adapter)
        reconcile_balances(self._session, segment.id, first=0, tolerance=tolerance, digest=segment.digest)
        return Rebuilt(segment.tracked.slug, logs, before, count_facts(self._session, segment.id))

    def recall(self, segment: Prepared) -> None:
        """Whatever children the ledger's creation logs announce are known before the first log is decoded."""
        if segment.family is not None:
            rows = walk_logs_by(self._session, self._chain_id, segment.family.factories, above=-1)
            segment.family.recall(map(log_of, rows), -1)

    def redecode(self, segment: Prepared, first: int, last: int, progress: Progress | None = None) -> int:
        """The segment's facts of blocks first…last instead of those that are there; how many logs were read."""
        delete_decoded(self._session, segment.id, first, last, chain_id=self._chain_id)
        read = 0
        for window in walk_stored_logs(self._session, self._chain_id, first, last):
            rows = self._rows.rows_of(self._fetched(window), [segment])
            for error in rows.broken.values():
                raise AdapterError(f"{segment.tracked.slug}: {error}; its facts were left as they are") from error
            for columns in rows.facts.values():
                insert_facts(self._session, self._chain_id, columns)
            read += len(window)
            if progress is not None:
                progress(window[-1].block_number - first + 1, last - first + 1)
        return read

    def _fetched(self, window: Sequence[RawLog]) -> Fetched:
        """Stored logs as if they had just come, with the times of their blocks."""
        first, last = window[0].block_number, window[-1].block_number
        places = list_places(self._session, self._chain_id, first=first, last=last)
        headers = {p.number: Header(p.number, p.hash, "", int(p.time.timestamp())) for p in places}
        return Fetched(first, last, [log_of(row) for row in window], headers, 0)
