"""A fund as a message finds it, without a ledger."""

from alerts.scene import Scene
from ledger.kinds import ChainStatus, SegmentStatus, SourceKind
from ledger.pages import Place
from ledger.tables import Asset, Chain, Metric, Platform, Segment
from tests.rigs.alert_ledger import START, make_fund


def make_scene(
    *,
    kind: SourceKind = SourceKind.LIVE,
    name: str = "Example fund",
    symbol: str = "USDC",
    status: str = "short",
    reason: str = "",
    is_chain: bool = False,
) -> Scene:
    """A fund (or the chain itself) as a message finds it, without a ledger; block 100 is final."""
    chain = Chain(
        chain_id=1, slug="ethereum", name="Ethereum", kind=kind, explorer="https://explorer.example",
        status=ChainStatus.FOLLOWING, finalized_number=100,
    )  # fmt: skip
    asset = Asset(id=1, chain_id=1, address="0x" + "11" * 20, symbol=symbol, decimals=6)
    segment = Segment(
        id=1, fund_slug="example", slug="example", name=name, chain_id=1, asset_id=1, status=SegmentStatus.OK
    )
    platform = Platform(slug="platform", name="Platform")
    place = Place(segment, make_fund("example", name, 1), platform, chain, asset)
    metrics = {
        "status": _metric("status", status, reason),
        "data_status": _metric("data_status", "verified_on_chain", ""),
    }
    return Scene(chain, None if is_chain else place, {} if is_chain else metrics, {1: asset}, False, "1")


def _metric(name: str, text: str, reason: str) -> Metric:
    return Metric(
        segment_id=1, name=name, day="2026-03-02", as_of_number=90, method_version="2", as_of_hash="0x90",
        as_of_time=START, is_day_final=False, unit="text", text=text, quality="ok", reason=reason,
        inputs_digest="0x", computed_at=START,
    )  # fmt: skip
