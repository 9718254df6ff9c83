"""What every message says beside its news: how the fund stands now, how final that is, what comes next, and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from alerts.message import Message
from ledger.kinds import SegmentStatus, SourceKind, Status
from ledger.layers import after_fund
from ledger.moments import is_made_up, moment
from ledger.numbers import format_block, format_time
from ledger.pages import Place
from ledger.tables import Asset, Chain, Metric
from ledger.words import STATUSES, chain_title, data_words, kind_words, lowered


@dataclass(frozen=True)
class Scene:
    """A subject as it stands at the moment of writing; `place` None: the subject is the chain itself."""

    chain: Chain
    place: Place | None
    metrics: Mapping[str, Metric]
    """The latest numbers of the segment by name."""
    assets: Mapping[int, Asset]
    has_siblings: bool
    """Whether its fund has other segments, so that a name must say which."""
    rules_version: str

    @property
    def subject(self) -> str:
        """Slug of the segment, or of the chain."""
        return self.place.segment.slug if self.place else self.chain.slug

    @property
    def name(self) -> str:
        """What the subject is called."""
        if self.place is None:
            return chain_title(self.chain)
        return f"{self.place.fund.name}: {self.place.segment.name}" if self.has_siblings else self.place.fund.name

    @property
    def status(self) -> str:
        """The published status in words."""
        if self.place is None:
            return ""
        found = self.metrics.get("status")
        if found is None or self.place.segment.status == SegmentStatus.UNVERIFIED or found.text not in set(Status):
            return STATUSES[Status.NOT_COMPUTABLE][0]
        return STATUSES[Status(found.text)][0]

    @property
    def data_status(self) -> str:
        """The data status in words, with its reason."""
        if self.place is None:
            return self.chain.status
        if self.place.segment.status == SegmentStatus.UNVERIFIED:
            return f"unverified: {self.place.segment.status_reason}"
        found = self.metrics.get("data_status")
        if found is None:
            return self.place.segment.status_reason or "not computed yet"
        return data_words(found.text) + (f": {found.reason}" if found.reason else "")

    @property
    def next_steps(self) -> str:
        """What comes next by the platform's own rules."""
        if self.place is None:
            return ""
        behind = after_fund(self.place)
        if not behind.layers:
            return ""
        whose = f". Whose loss it is in the end: {lowered(behind.losers)}" if behind.losers else ""
        return f"{behind.title}: {lowered(behind.layers)}{whose}."

    @property
    def replay(self) -> str:
        """What a recording is called and of which kind; empty for a live chain."""
        if self.chain.kind == SourceKind.LIVE:
            return ""
        return f"Replay of {chain_title(self.chain)}: {kind_words(self.chain.kind)}"

    def finality(self, number: int) -> str:
        """Whether a block can still be replaced."""
        if self.chain.is_venue:
            return "A poll of the platform's own interface: nobody else can confirm it."
        if is_made_up(self.chain):
            return "Reconstructed: amounts, times and accounts are genuine, blocks and hashes are not."
        final = self.chain.finalized_number
        if final is not None and number <= final:
            return f"Final: {format_block(number)} can no longer be replaced."
        return f"Not final yet: {format_block(number)} can still be replaced; if it is, this message is taken back."

    def at(self, number: int, time: datetime) -> str:
        """Where something holds, in words."""
        return moment(number, time, self.chain)

    def fact_page(self, metric: str) -> str:
        """Path of the page that says where a number comes from."""
        return f"/funds/{self.place.fund.slug}/facts/{metric}" if self.place else "/status"

    def limits(self, more: str = "") -> str:
        """What the message does not say."""
        return " ".join(part for part in (more, f"Judged by version {self.rules_version} of the rules.") if part)


def iso(time: datetime) -> str:
    """UTC with a Z, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def subject_line(scene: Scene, news: str, time: datetime) -> str:
    """[Short] Example fund: coverage 0.71× (was 1.12×), 24 May 2021, 17:00 UTC."""
    status = f"[{scene.status}] " if scene.status else "[Source] "
    return f"{status}{scene.name}: {news}, {format_time(time)}"


def compose(scene: Scene, *, number: int, time: datetime, block_hash: str, **said: object) -> Message:
    """A message with what every one says; `said` are the fields that are its news."""
    own = {
        "happened_at": iso(time),
        "fund_name": scene.place.fund.name if scene.place else "",
        "fund_slug": scene.place.fund.slug if scene.place else "",
        "segment": scene.place.segment.slug if scene.place else "",
        "block_number": None if is_made_up(scene.chain) else number,
        "block_hash": "" if is_made_up(scene.chain) else block_hash,
        "status": scene.status,
        "data_status": scene.data_status,
        "finality": scene.finality(number),
        "next_steps": scene.next_steps,
        "limits": scene.limits(),
        "replay": scene.replay,
    }
    return Message(**(own | said))  # type: ignore[arg-type]  # Every field is checked when it is read again.
