"""Rows that an outbox needs: three funds on two chains, endpoints with wishes, alerts with whole messages."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlmodel import Session

from alerts.message import FundLine, Message
from ledger.kinds import (
    AlertEvent,
    DigestChoice,
    EndpointKind,
    EndpointStatus,
    FundKind,
    Severity,
    SourceKind,
)
from ledger.tables import Alert, Chain, Endpoint, Fund, Platform, Segment, Subscription

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
ETHEREUM, OPTIMISM = 1, 10
FUNDS = {"alpha": (ETHEREUM,), "beta": (OPTIMISM,), "gamma": (ETHEREUM, OPTIMISM)}
"""Fund → the chains of its segments."""

Wish = tuple[str, str, Severity]
EVERYTHING: Wish = ("", "", Severity.NOTICE)


def add_funds(session: Session) -> None:
    """The chains and funds."""
    for chain_id, name in ((ETHEREUM, "ethereum"), (OPTIMISM, "optimism")):
        session.add(Chain(chain_id=chain_id, slug=name, name=name.title(), kind=SourceKind.LIVE))
    session.add(Platform(slug="p", name="P"))
    session.flush()
    for slug, chains in FUNDS.items():
        session.add(Fund(slug=slug, platform_slug="p", name=slug.title(), kind=FundKind.RESERVE, shape="address_fund",
                         chain_id=chains[0], methodology="m", file_digest="d"))  # fmt: skip
        session.flush()
        for chain_id in chains:
            session.add(Segment(fund_slug=slug, slug=f"{slug}/{chain_id}", name=slug.title(), chain_id=chain_id))
    session.flush()


def add_endpoint(
    session: Session,
    name: str,
    *,
    kind: EndpointKind = EndpointKind.WEBHOOK,
    status: EndpointStatus = EndpointStatus.ACTIVE,
    digest: DigestChoice = DigestChoice.NONE,
    wishes: Iterable[Wish] = (EVERYTHING,),
    owner_id: int | None = None,
) -> int:
    """An endpoint that wants everything unless it is told otherwise; its id."""
    address = {EndpointKind.EMAIL: f"{name}@example.org", EndpointKind.WEBHOOK: f"https://{name}.example/hook"}
    endpoint = Endpoint(public_id=f"public-{name}", kind=kind, address=address.get(kind, name), status=status,
                        digest=digest, owner_id=owner_id, created_at=NOW)  # fmt: skip
    session.add(endpoint)
    session.flush()
    assert endpoint.id is not None
    for fund_slug, event, least in wishes:
        session.add(Subscription(endpoint_id=endpoint.id, fund_slug=fund_slug, event=event, least=least))
    session.flush()
    return endpoint.id


def make_alert(
    key: str = "coverage:alpha:1",
    *,
    event: AlertEvent = AlertEvent.COVERAGE_LOW,
    severity: Severity = Severity.WARNING,
    fund_slug: str | None = "alpha",
    chain_id: int | None = ETHEREUM,
    retracts: int | None = None,
    episode: str = "",
    lines: tuple[FundLine, ...] = (),
) -> Alert:
    """An alert that is not in the ledger yet."""
    message = Message(
        key=key,
        event=event,
        severity=severity,
        subject="[Short] Alpha: coverage 0.71× (was 1.12×), 17:00 UTC",
        sentence="Coverage of Alpha fell to 0.71× at 17:00 UTC.",
        happened_at="2026-01-05T11:59:00Z",
        fund_slug=fund_slug or "",
        lines=lines,
    )
    return Alert(key=key, event=event, severity=severity, subject=fund_slug or "ethereum", fund_slug=fund_slug,
                 chain_id=chain_id, happened_at=NOW, title=message.subject, message=message.to_json(),
                 retracts=retracts, episode=episode, created_at=NOW)  # fmt: skip
