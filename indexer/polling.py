"""Polls of a venue into the ledger: each batch in one transaction, resumed after the last poll stored."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Any

import httpx
import msgspec
from sqlmodel import Session

from indexer.adapter import FactDraft, Known
from indexer.commit import LostCursorError
from indexer.reconcile import Tolerance, judge, reconcile_balances
from indexer.specs import ChainSpec, FundSpec
from indexer.sync import ChainOutcome
from indexer.venues import drift
from indexer.venues.drift import Between, FundMark, MarketCounters, PollPage, RawPoll, VenueError
from ledger.blocks import find_cursor, insert_blocks, move_cursor, start_cursor
from ledger.clock import Clock
from ledger.coverage import extend_coverage
from ledger.facts import insert_polled_facts, list_flows
from ledger.funds import find_segment_ids
from ledger.kinds import BlockStatus, ChainStatus, ReadingName, SnapshotKind
from ledger.logs import list_asset_ids
from ledger.readings import insert_prices, insert_readings, insert_snapshots, list_places, list_values
from ledger.standing import set_chain_head, set_chain_status, set_start
from ledger.tables import Coverage
from ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

PAGE = 500
"""Polls asked for, and committed, at once."""
FILTER_DIGEST = sha256(b"every poll").hexdigest()
QUOTE_FEED = "the venue's own quote: one USDC counts as one USD"


@dataclass(frozen=True)
class VenueWork:
    """One venue to poll: its chain and fund files, and the address whose /polls answers."""

    chain: ChainSpec
    fund: FundSpec
    url: str


async def sync_venue(
    writer: LedgerWriter,
    work: VenueWork,
    clock: Clock,
    *,
    client: httpx.AsyncClient,
    until_head: bool = True,
    poll_seconds: float = 2.0,
) -> ChainOutcome:
    """Stores all polls up to the newest and, unless `until_head`, goes on for ever; a failure is the outcome."""
    poller = VenuePoller(writer, work, clock, client=client)
    slug = work.chain.slug
    while True:
        try:
            await poller.catch_up()
        except VenueError as error:
            log.error("%s: %s", slug, error)
            await poller.note_failure(str(error))
            if until_head:
                return ChainOutcome(slug, ChainStatus.UNREACHABLE, str(error))
        except LostCursorError as error:
            log.error("%s", error)
            return ChainOutcome(slug, ChainStatus.UNREACHABLE, str(error))
        if until_head:
            return ChainOutcome(slug, ChainStatus.FOLLOWING, tip=poller.tip)
        await asyncio.sleep(poll_seconds)


class VenuePoller:
    """Reads pages of polls and stores them; not for two tasks at once."""

    def __init__(self, writer: LedgerWriter, work: VenueWork, clock: Clock, *, client: httpx.AsyncClient) -> None:
        self._writer = writer
        self._work = work
        self._clock = clock
        self._client = client
        self.tip: int | None = None
        self._between: Between | None = None

    async def catch_up(self) -> None:
        """Everything the venue has, page by page; raises VenueError."""
        self.tip = await self._writer.read(self._find_tip)
        self._between = None  # What a failed page left in memory is not in the ledger.
        stored = await self._read_page(self.tip)
        while stored.polls:
            await self._writer.write(lambda session, page=stored: self._store(session, page))  # type: ignore[misc]
            self.tip = stored.raw_polls()[-1].time
            if not stored.has_more:
                break
            stored = await self._read_page(self.tip)
        await self._writer.write(lambda session: self._settle(session, stored.head))

    def _find_tip(self, session: Session) -> int | None:
        cursor = find_cursor(session, self._work.chain.id)
        return None if cursor is None else cursor.number

    async def _read_page(self, after: int | None) -> PollPage:
        url, chain = f"{self._work.url}/polls", self._work.chain
        query = {"after": -1 if after is None else after, "limit": PAGE}
        try:
            response = await self._client.get(url, params=query)
            response.raise_for_status()
            page = msgspec.json.decode(response.content, type=PollPage)
        except httpx.HTTPError as error:
            raise VenueError(f"{url} does not answer ({error or type(error).__name__}): is it served there?") from error
        except msgspec.MsgspecError as error:
            raise VenueError(f"{url} answered something else than polls: {error}") from error
        if (page.slug, page.kind, page.chain_id) != (chain.slug, chain.kind, chain.id):
            raise VenueError(
                f"{url} serves {page.slug} ({page.kind}, {page.chain_id}), not {chain.slug} ({chain.kind}, {chain.id})"
            )
        times = [-1 if after is None else after, *(poll.time for poll in page.raw_polls())]
        if any(now <= before for before, now in pairwise(times)):
            raise VenueError(f"{url} answered polls that are not in the order of time after {after}")
        return page

    def _store(self, session: Session, page: PollPage) -> None:
        """One page: blocks, readings, prices, facts, snapshots, coverage, cursor."""
        chain_id, polls = self._work.chain.id, page.raw_polls()
        segment_id = find_segment_ids(session, chain_id)[self._work.fund.slug]
        assets = list_asset_ids(session, chain_id)
        if self._between is None:
            self._between = remembered(session, segment_id)
        rows = PollRows(chain_id, segment_id, assets, self._between)
        last = polls[0].time if self.tip is None else self.tip
        places = list_places(session, chain_id, first=last - drift.MONTH_SECONDS, last=last)
        earlier = [place.number for place in places]
        held = find_cursor(session, chain_id)
        if held is not None:
            session.expunge(held)
        parent = drift.NO_HASH if held is None else held.hash
        for poll in polls:
            parent = rows.add(poll, parent)
        insert_blocks(session, rows.blocks)
        insert_readings(session, rows.readings)
        insert_prices(session, rows.prices)
        insert_polled_facts(session, chain_id, rows.facts)
        insert_snapshots(session, rows.snapshots)
        self._cover(session, segment_id, [poll.time for poll in polls], earlier)
        self._move_cursor(session, rows)
        if held is None:
            set_start(session, segment_id, polls[0].time)

    def _cover(self, session: Session, segment_id: int, times: Sequence[int], earlier: Sequence[int]) -> None:
        """Time between two polls counts as seen unless polling had a hole there."""
        for first, last in drift.seen_intervals(times, earlier):
            extend_coverage(
                session,
                Coverage(
                    segment_id=segment_id,
                    filter_digest=FILTER_DIGEST,
                    from_number=first,
                    to_number=last,
                    level=0,
                    verified_at=self._clock(),
                ),
            )

    def _move_cursor(self, session: Session, rows: "PollRows") -> None:
        chain_id, (_, digest, number, *_) = self._work.chain.id, rows.blocks[-1]
        held = find_cursor(session, chain_id)
        if held is None:
            start_cursor(session, chain_id, number, digest)
            return
        session.expunge(held)
        if held.number != self.tip or not move_cursor(session, held, number=number, block_hash=digest):
            raise LostCursorError(f"{self._work.chain.slug}: another process stored polls; one poller is enough")

    def _settle(self, session: Session, head: int) -> None:
        chain_id = self._work.chain.id
        set_chain_status(session, chain_id, ChainStatus.FOLLOWING)
        set_chain_head(session, chain_id, head, drift.poll_time(head), checked_at=self._clock())
        segment_id = find_segment_ids(session, chain_id)[self._work.fund.slug]
        # The split is exact by construction; reconciling it all the same shows if a poll was lost or changed.
        reconcile_balances(session, segment_id, first=0, tolerance=Tolerance(0))
        judge(session, segment_id, Known())

    async def note_failure(self, reason: str) -> None:
        """The venue does not answer as it should: its fund is unknown until it does."""

        def work(session: Session) -> None:
            set_chain_status(session, self._work.chain.id, ChainStatus.UNREACHABLE, reason)

        await self._writer.write(work)


class PollRows:
    """Rows of polls, in the order of the ledger's column tuples."""

    def __init__(self, chain_id: int, segment_id: int, assets: dict[str, int], between: Between) -> None:
        self._key = chain_id, segment_id
        self._assets = assets
        self._between = between
        self.blocks: list[tuple[int, str, int, str, datetime, str]] = []
        self.readings: list[tuple[Any, ...]] = []
        self.prices: list[tuple[Any, ...]] = []
        self.facts: list[tuple[Any, ...]] = []
        self.snapshots: list[tuple[Any, ...]] = []

    def add(self, raw: RawPoll, parent: str) -> str:
        """All rows of one poll; its hash is the answer."""
        poll, digest, time = drift.read_poll(raw), drift.hash_of(raw), drift.poll_time(raw.time)
        chain_id, segment_id = self._key
        place = (raw.time, time)
        self.blocks.append((chain_id, digest, raw.time, parent, time, str(BlockStatus.FINALIZED)))
        for value in drift.values_of(poll):
            asset_id = self._assets.get(value.asset or "")
            self.readings.append((
                chain_id, digest, segment_id, str(value.name), value.subject, *place, value.value_raw, value.decimals,
                asset_id, "polls", value.field, value.error,
            ))  # fmt: skip
        one = 10**drift.USDC_DECIMALS
        self.prices.append(
            (chain_id, digest, self._assets["USDC"], *place, one, drift.USDC_DECIMALS, time, QUOTE_FEED, None)
        )
        for number, (since, draft) in enumerate(self._between.take(poll)):
            self.facts.append(self._fact_row(digest, raw.time, number, since=since, draft=draft))
        if poll.fund is not None:
            self.snapshots.append((chain_id, digest, segment_id, *place, str(SnapshotKind.SCHEDULED)))
        return digest

    def _fact_row(self, digest: str, number: int, fact_no: int, *, since: int, draft: FactDraft) -> tuple[Any, ...]:
        chain_id, segment_id = self._key
        return (
            chain_id, digest, 0, fact_no, segment_id, number, drift.poll_time(number), None, str(draft.role),
            draft.source and str(draft.source), None, draft.amount_raw, self._assets.get(draft.asset or ""), None,
            draft.market, since, draft.detail and dict(draft.detail), f"drift@{drift.VERSION}",
        )  # fmt: skip


def remembered(session: Session, segment_id: int) -> Between:
    """What earlier polls in the ledger say, as if they had just been taken in."""
    used = last_known(session, segment_id, ReadingName.INSURANCE_USED)
    lost = last_known(session, segment_id, ReadingName.SOCIALISED_LOSS_TOTAL)
    markets = {
        market: MarketCounters(time, paid, lost[market][1]) for market, (time, paid) in used.items() if market in lost
    }
    vault = last_known(session, segment_id, ReadingName.BALANCE).get("")
    if vault is None:
        return Between(markets)
    time, balance = vault
    shares = {
        name: next(v.value_raw for v in list_values(session, segment_id, name, first=time) if v.value_raw is not None)
        for name in (ReadingName.TOTAL_SHARES, ReadingName.USER_SHARES)
    }
    mark = FundMark(time, balance, shares[ReadingName.TOTAL_SHARES], shares[ReadingName.USER_SHARES])
    # After that poll the vault was unknown: only payouts of markets can have been written.
    return Between(markets, mark, -sum(flow.amount_raw for flow in list_flows(session, segment_id, above=time)))


def last_known(session: Session, segment_id: int, name: ReadingName) -> dict[str, tuple[int, int]]:
    """Subject → (poll, value) of the last poll that knew it."""
    values = list_values(session, segment_id, name, first=0)
    return {v.subject: (v.number, v.value_raw) for v in values if v.value_raw is not None}
