"""Who wants to hear what, and what was sent: endpoints, their wishes and tokens, deliveries and each attempt."""

from datetime import datetime

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from ledger.columns import UtcTime
from ledger.tables.sentences import Json, only_where, said


class Endpoint(SQLModel, table=True):
    """Where messages go: an e-mail address, a webhook, or a channel of whoever runs Backstop. No more is known of people."""

    __tablename__ = "endpoint"
    __table_args__ = (
        # A NULL equals no other: without an owner an address stands there once, with one once for each owner.
        Index("endpoint_alone", "kind", "address", unique=True, **only_where("owner_id IS NULL")),
        Index("endpoint_owned", "owner_id", "kind", "address", unique=True),
    )
    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(unique=True, sa_column_kwargs=said("Random name: message ids are made of it"))
    kind: str = Field(sa_column_kwargs=said("EndpointKind"))
    address: str = Field(sa_column_kwargs=said("E-mail address, https address, or the channel's name in the settings"))
    owner_id: int | None = Field(
        default=None,
        foreign_key="endpoint.id",
        ondelete="CASCADE",
        sa_column_kwargs=said("Of a webhook: the confirmed e-mail address that manages it and hears of its failures"),
    )
    status: str = Field(sa_column_kwargs=said("EndpointStatus"))
    status_reason: str = Field(default="", sa_column_kwargs=said("Why it is disabled"))
    digest: str = Field(default="none", sa_column_kwargs=said("DigestChoice"))
    secrets: list[str] = Field(
        default_factory=list, sa_type=JSON, sa_column_kwargs=said("Webhook: signing secrets, the newest first")
    )
    old_secret_until: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("Webhook: until when the older secrets sign as well")
    )
    failing_since: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("First failure since the last success; NULL: it works")
    )
    created_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it was entered"))
    confirmed_at: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("When its owner confirmed it, or it answered its ping")
    )


class Subscription(SQLModel, table=True):
    """One wish of an endpoint: which fund, which event, from which severity on."""

    __tablename__ = "subscription"
    endpoint_id: int = Field(
        foreign_key="endpoint.id", ondelete="CASCADE", primary_key=True, sa_column_kwargs=said("Endpoint")
    )
    fund_slug: str = Field(primary_key=True, sa_column_kwargs=said("Fund; empty: all"))
    event: str = Field(primary_key=True, sa_column_kwargs=said("AlertEvent; empty: all"))
    least: str = Field(sa_column_kwargs=said("Least Severity wanted"))


class Mute(SQLModel, table=True):
    """Messages about a fund that an endpoint does not want for a while."""

    __tablename__ = "mute"
    endpoint_id: int = Field(
        foreign_key="endpoint.id", ondelete="CASCADE", primary_key=True, sa_column_kwargs=said("Endpoint")
    )
    fund_slug: str = Field(primary_key=True, sa_column_kwargs=said("Fund; empty: all"))
    until: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time at which it ends"))


class Token(SQLModel, table=True):
    """A random word that was mailed to somebody and lets its bearer act for one endpoint; only its digest is kept."""

    __tablename__ = "token"
    digest: str = Field(primary_key=True, sa_column_kwargs=said("sha256 of the token, hexadecimal"))
    endpoint_id: int = Field(
        foreign_key="endpoint.id", ondelete="CASCADE", index=True, sa_column_kwargs=said("Endpoint")
    )
    purpose: str = Field(sa_column_kwargs=said("TokenPurpose"))
    wishes: Json | None = Field(
        default=None, sa_type=JSON, sa_column_kwargs=said("What confirming it would set: subscriptions and digest")
    )
    created_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it was made"))
    expires_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it stops working"))


class Delivery(SQLModel, table=True):
    """One message to one endpoint: what is still to do, and how it ended."""

    __tablename__ = "delivery"
    __table_args__ = (
        Index("delivery_due", "state", "next_at"),
        Index("delivery_once", "alert_id", "endpoint_id", unique=True),
    )
    id: int | None = Field(default=None, primary_key=True)
    message_id: str = Field(
        unique=True, sa_column_kwargs=said("The same in every attempt: webhook-id, and the mail's Message-ID")
    )
    endpoint_id: int = Field(
        foreign_key="endpoint.id", ondelete="CASCADE", index=True, sa_column_kwargs=said("Endpoint")
    )
    purpose: str = Field(sa_column_kwargs=said("Purpose"))
    alert_id: int | None = Field(
        default=None, foreign_key="alert.id", sa_column_kwargs=said("Alert it carries; NULL: it is no alert")
    )
    detail: Json | None = Field(default=None, sa_type=JSON, sa_column_kwargs=said("What else the message is made of"))
    state: str = Field(sa_column_kwargs=said("DeliveryState"))
    state_reason: str = Field(default="", sa_column_kwargs=said("Why it failed or was dropped"))
    attempts: int = Field(default=0, sa_column_kwargs=said("Attempts made since it was ordered, or ordered again"))
    next_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it is due (again)"))
    claimed_by: str | None = Field(default=None, sa_column_kwargs=said("Sender that works on it"))
    claimed_until: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("When others may take it over: that sender is then dead")
    )
    created_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it was ordered"))
    finished_at: datetime | None = Field(default=None, sa_type=UtcTime, sa_column_kwargs=said("When it ended"))


class Attempt(SQLModel, table=True):
    """One attempt to send a delivery."""

    __tablename__ = "attempt"
    delivery_id: int = Field(
        foreign_key="delivery.id",
        ondelete="CASCADE",
        primary_key=True,
        sa_column_kwargs=said("Delivery"),
    )
    number: int = Field(primary_key=True, sa_column_kwargs=said("1, 2, …"))
    began_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("When it began"))
    seconds: float = Field(sa_column_kwargs=said("How long it took"))
    is_ok: bool = Field(sa_column_kwargs=said("Whether the other side took the message"))
    answer: str = Field(sa_column_kwargs=said("What the other side said, cut to 300 characters, or the error"))
