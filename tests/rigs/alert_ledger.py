"""An invented ledger for rules: chains that grow block by block, funds with facts, readings and numbers, and a clock.

Every call is a transaction of its own, as those of the indexer and the calculator are. The clock is simulated: on a
live chain it moves on with the blocks, and alone by `wait`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from alerts.message import Message
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from ledger.blocks import (
    delete_blocks_above,
    find_cursor,
    insert_blocks,
    move_cursor,
    record_reorg,
    set_finalized,
    start_cursor,
)
from ledger.database import reading, writing
from ledger.facts import note_facts_written
from ledger.kinds import (
    BlockStatus,
    ChainStatus,
    Contribution,
    EndpointKind,
    EndpointStatus,
    FundKind,
    ReadingName,
    Role,
    SegmentStatus,
    Severity,
    SnapshotKind,
    SourceKind,
)
from ledger.metrics import MetricRow, write_metrics
from ledger.standing import set_chain_head, set_chain_status, set_segment_status
from ledger.tables import (
    Alert,
    Asset,
    Chain,
    Delivery,
    Endpoint,
    Fact,
    Fund,
    Platform,
    Reading,
    Reorg,
    Segment,
    Snapshot,
    Subscription,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
"""Midnight between a Sunday and a Monday; block 0 of every chain."""
BLOCK_SECONDS = 12
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
UNIT = 10**6
"""Smallest units of one USDC."""


def digest(*parts: object) -> str:
    """A hash made of its parts."""
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def plain(text: str) -> str:
    """A message's text with common spaces in it."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def is_digest(name: str) -> bool:
    """Whether an event or a key is that of a digest."""
    return name.startswith("digest.")


@dataclass
class SimulatedClock:
    """Wall-clock time that moves when it is told to."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


class AlertLedger:
    """The ledger and its clock; nobody listens until `listen`."""

    def __init__(self, engine: Engine, now: datetime = START) -> None:
        self.engine = engine
        self.clock = SimulatedClock(now)
        with writing(engine) as session:
            session.add(Platform(slug="platform", name="Platform"))

    def chain(
        self, slug: str = "ethereum", *, chain_id: int = 1, kind: SourceKind = SourceKind.LIVE, name: str = ""
    ) -> "AlertChain":
        """A chain at block 0."""
        return AlertChain(self, chain_id, slug, kind=kind, name=name or slug.title())

    def wait(self, time: timedelta) -> None:
        """Time passes, and no block comes."""
        self.clock.now += time

    def ruler(self, *, live_since: Mapping[str, datetime] | None = None) -> Ruler:
        """Rules as they are shipped, on this ledger and its clock."""
        return Ruler(self.engine, self.clock, load_rules(), live_since=live_since)

    def alerts(self) -> list[Alert]:
        """What was announced, in that order."""
        with reading(self.engine) as session:
            return list(session.exec(select(Alert).order_by(Alert.id)))  # type: ignore[arg-type]

    def messages(self) -> list[Message]:
        """The same as messages."""
        return [Message.of_json(alert.message) for alert in self.alerts()]

    def events(self) -> list[str]:
        """The same as events, without digests."""
        return [alert.event for alert in self.alerts() if not is_digest(alert.event)]

    def begin(self, *, after: timedelta = timedelta()) -> "tuple[AlertChain, AlertFund, Ruler]":
        """A live chain with a fund, followed for so long and then looked at once."""
        chain = self.chain()
        fund = chain.fund()
        chain.grow_for(after)
        ruler = self.ruler()
        assert ruler.rule() == []
        return chain, fund, ruler

    def listen(self, name: str, *, event: str = "", least: Severity = Severity.NOTICE, **more: Any) -> int:
        """An active webhook that wants this event of all funds; its id."""
        with writing(self.engine) as session:
            endpoint = Endpoint(
                public_id=name, kind=EndpointKind.WEBHOOK, address=f"https://{name}.example/",
                status=EndpointStatus.ACTIVE, created_at=self.clock.now, **more,
            )  # fmt: skip
            session.add(endpoint)
            session.flush()
            assert endpoint.id is not None
            session.add(Subscription(endpoint_id=endpoint.id, fund_slug="", event=event, least=least))
            return endpoint.id

    def deliveries(self) -> list[tuple[str, str]]:
        """(endpoint, key of the alert) of everything that was ordered."""
        with reading(self.engine) as session:
            rows = session.exec(
                select(Endpoint.public_id, Alert.key)
                .join(Delivery, Delivery.endpoint_id == Endpoint.id)  # type: ignore[arg-type]
                .join(Alert, Delivery.alert_id == Alert.id)  # type: ignore[arg-type]
                .order_by(Delivery.id)  # type: ignore[arg-type]
            )
            return [(name, key) for name, key in rows]


class AlertChain:
    """One chain with a block every 12 seconds, of which only the tip and what rows hang on are stored."""

    def __init__(self, ledger: AlertLedger, chain_id: int, slug: str, *, kind: SourceKind, name: str) -> None:
        self.ledger, self.chain_id, self.slug, self.kind = ledger, chain_id, slug, kind
        self.tip = 0
        self._forks: list[int] = []
        with writing(ledger.engine) as session:
            session.add(
                Chain(
                    chain_id=chain_id, slug=slug, name=name, kind=kind, explorer="https://explorer.example",
                    status=ChainStatus.FOLLOWING,
                )
            )  # fmt: skip
            session.flush()
            self._store(session, 0)
            assert start_cursor(session, chain_id, 0, self.hash_of(0))
            set_chain_head(session, chain_id, 0, START, checked_at=ledger.clock.now)

    def time_of(self, number: int) -> datetime:
        """When a block was made."""
        return START + timedelta(seconds=BLOCK_SECONDS * number)

    def number_at(self, time: datetime) -> int:
        """The last block made up to a time."""
        return int((time - START).total_seconds()) // BLOCK_SECONDS

    def hash_of(self, number: int) -> str:
        """Hash of the block at a height on the branch that is canonical now."""
        return digest(self.chain_id, number, [fork for fork in self._forks if fork < number])

    def block(self, session: Session, number: int) -> dict[str, Any]:
        """Columns of what hangs on a block, which is stored if it is not yet."""
        self._store(session, number)
        return {
            "chain_id": self.chain_id,
            "block_hash": self.hash_of(number),
            "block_number": number,
            "block_time": self.time_of(number),
        }

    def _store(self, session: Session, number: int) -> None:
        insert_blocks(session, [self._row(number, BlockStatus.UNFINALIZED)])

    def _row(self, number: int, status: BlockStatus) -> tuple[int, str, int, str, datetime, str]:
        parent = self.hash_of(max(number - 1, 0))
        return self.chain_id, self.hash_of(number), number, parent, self.time_of(number), str(status)

    def grow(self, blocks: int = 1) -> int:
        """The chain was followed by so many blocks; its new tip."""
        with writing(self.ledger.engine) as session:
            self._move(session, self.tip + blocks)
        return self.tip

    def grow_for(self, time: timedelta) -> int:
        """The chain was followed for so long; its new tip."""
        return self.grow(int(time.total_seconds()) // BLOCK_SECONDS)

    def _move(self, session: Session, tip: int, *, rollbacks: int = 0) -> None:
        held = find_cursor(session, self.chain_id)
        assert held is not None
        session.expunge(held)
        self._store(session, tip)
        assert move_cursor(session, held, number=tip, block_hash=self.hash_of(tip), rollbacks=rollbacks)
        self.tip = tip
        self.name_head(session, tip)
        if self.kind == SourceKind.LIVE:
            self.ledger.clock.now = max(self.ledger.clock.now, self.time_of(tip))

    def name_head(self, session: Session, number: int) -> None:
        """A provider names a head; on a recording its time is now."""
        set_chain_head(session, self.chain_id, number, self.time_of(number), checked_at=self.ledger.clock.now)

    def serve(self, number: int) -> None:
        """A provider names a head that was not followed yet."""
        with writing(self.ledger.engine) as session:
            self.name_head(session, number)

    def reorg(self, fork: int, *, blocks: int = 1) -> None:
        """What is above `fork` is replaced by a branch of so many blocks, in one transaction as the indexer does it."""
        with writing(self.ledger.engine) as session:
            old_hash, depth = self.hash_of(self.tip), self.tip - fork
            self._forks.append(fork)
            record = Reorg(
                chain_id=self.chain_id, fork_number=fork, depth=depth, old_hash=old_hash,
                new_hash=self.hash_of(fork + 1), detected_at=self.ledger.clock.now,
            )  # fmt: skip
            record_reorg(session, record)
            delete_blocks_above(session, self.chain_id, fork)
            self._move(session, fork + blocks, rollbacks=1)

    def rewind(self, session: Session, keep: int) -> None:
        """Blocks above `keep` are forgotten, to be fetched again; nobody says that they were replaced."""
        delete_blocks_above(session, self.chain_id, keep)
        self._move(session, keep)

    def finalize(self, number: int) -> None:
        """Blocks up to this one are final, and those that nothing hangs on are forgotten."""
        with writing(self.ledger.engine) as session:
            chain = session.get(Chain, self.chain_id)
            assert chain is not None
            before = chain.finalized_number
            set_finalized(session, self.chain_id, self._row(number, BlockStatus.FINALIZED), before=before)

    def say(self, status: ChainStatus, reason: str = "") -> None:
        """How the indexer stands with the chain."""
        with writing(self.ledger.engine) as session:
            set_chain_status(session, self.chain_id, status, reason)

    def fund(self, slug: str = "alpha", *, name: str = "", symbol: str = "USDC", segment: str = "") -> "AlertFund":
        """A fund with one segment, or one more segment of a fund."""
        with writing(self.ledger.engine) as session:
            if session.get(Fund, slug) is None:
                session.add(make_fund(slug, name or f"{slug.title()} fund", self.chain_id))
            asset = Asset(chain_id=self.chain_id, address=digest(slug, segment)[:42], symbol=symbol, decimals=6)
            session.add(asset)
            session.flush()
            whole = f"{slug}/{segment}" if segment else slug
            found = Segment(
                fund_slug=slug, slug=whole, name=segment or slug, chain_id=self.chain_id, asset_id=asset.id,
                status=SegmentStatus.OK,
            )  # fmt: skip
            session.add(found)
            session.flush()
            assert found.id is not None
            assert asset.id is not None
            return AlertFund(self, whole, found.id, asset.id)


def make_fund(slug: str, name: str, chain_id: int) -> Fund:
    """A fund with a waterfall."""
    return Fund(
        slug=slug, platform_slug="platform", name=name, kind=FundKind.PERP_FUND, shape="perp_v2_curie",
        chain_id=chain_id, methodology="The balance is read each hour.", file_digest=digest(slug),
        waterfall=[
            {"layer": "Insurance fund", "owner": "the protocol", "trigger": "equity below zero", "note": ""},
            {"layer": "Auto-deleveraging", "owner": "winning traders", "trigger": "the fund is empty", "note": ""},
        ],
    )  # fmt: skip


@dataclass
class AlertFund:
    """One segment: what is read of it and what happens to it, at the chain's tip unless a block is named."""

    chain: AlertChain
    slug: str
    segment_id: int
    asset_id: int
    _logs: int = field(default=0)

    def metric(self, name: str, value: object = None, *, at: int | None = None, **more: Any) -> None:
        """One published number of the running day."""
        number = self.chain.tip if at is None else at
        time = self.chain.time_of(number)
        told = {"unit": "ratio", "text": None, "quality": "ok", "reason": "", "detail": None} | more
        row = MetricRow(
            segment_id=self.segment_id, name=name, day=f"{time:%Y-%m-%d}", as_of_number=number, method_version="2",
            as_of_hash=self.chain.hash_of(number), as_of_time=time, is_day_final=False,
            value=None if value is None else Decimal(str(value)), window_days=None, n_obs=None, n_events=None,
            ci_low=None, ci_high=None, inputs_digest=digest(name, value, number), **told,
        )  # fmt: skip
        with writing(self.chain.ledger.engine) as session:
            self._snapshot(session, number)
            write_metrics(session, [row], computed_at=self.chain.ledger.clock.now)

    def coverage(self, value: object, *, at: int | None = None, **more: Any) -> None:
        """Coverage as it is published; None is unknown."""
        quality = {"quality": "unknown", "reason": "a price is missing"} if value is None else {}
        self.metric("coverage", value, at=at, **(quality | more))

    def status(self, text: str, *, at: int | None = None, **more: Any) -> None:
        """The published status."""
        self.metric("status", None, at=at, **({"unit": "band", "text": text} | more))

    def composition(self, own: object, other: object, *, at: int | None = None) -> None:
        """Usable value of so much of the platform's own token and of something else, both at 1 USD."""
        rows = [
            {"symbol": "OWN", "qty": str(own), "price": "1", "floor_haircut": 1.0},
            {"symbol": "USDC", "qty": str(other), "price": "1", "floor_haircut": 0.0},
        ]
        self.metric("usable_value", other, at=at, unit="usd", detail={"assets": rows})

    def _snapshot(self, session: Session, number: int) -> None:
        place = self.chain.block(session, number)
        if session.get(Snapshot, (self.chain.chain_id, place["block_hash"], self.segment_id)) is None:
            session.add(Snapshot(segment_id=self.segment_id, kind=SnapshotKind.SCHEDULED, **place))

    def balance(self, amount: object, *, at: int | None = None) -> None:
        """The balance in whole USDC as it is read; None is a call that failed."""
        raw = None if amount is None else int(Decimal(str(amount)) * UNIT)
        number = self.chain.tip if at is None else at
        with writing(self.chain.ledger.engine) as session:
            self._snapshot(session, number)
            session.add(
                Reading(
                    **self.chain.block(session, number), segment_id=self.segment_id, name=ReadingName.BALANCE,
                    value_raw=raw, decimals=6, asset_id=self.asset_id, contract="0x", call="balance()",
                    error=None if raw is not None else "reverted",
                )
            )  # fmt: skip

    def fact(self, role: Role, amount: object = None, *, at: int | None = None, tx: str = "", **more: Any) -> str:
        """Something that happened, in whole USDC; each in a transaction of its own unless one is named. Its hash."""
        self._logs += 1
        transaction = digest("tx", self.slug, tx or self._logs)
        with writing(self.chain.ledger.engine) as session:
            place = self.chain.block(session, self.chain.tip if at is None else at)
            told = {
                "log_index": self._logs,
                "fact_no": 0,
                "tx_hash": transaction,
                "amount_raw": None if amount is None else int(Decimal(str(amount)) * UNIT),
                "asset_id": None if amount is None else self.asset_id,
                "source": Contribution.TOP_UP if role == Role.CONTRIBUTION else None,
            } | more
            session.add(Fact(**place, segment_id=self.segment_id, role=role, decoder="invented@1", **told))
            note_facts_written(session, self.chain.chain_id)
        return transaction

    def judge(self, status: SegmentStatus, reason: str = "") -> None:
        """Whether its data can be trusted."""
        with writing(self.chain.ledger.engine) as session:
            set_segment_status(session, self.segment_id, status, reason)
