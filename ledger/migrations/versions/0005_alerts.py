"""What is announced, who wants to hear it, and what was sent."""

import sqlalchemy as sa
import sqlmodel.sql.sqltypes
from alembic import op

import ledger.columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Ten tables; those of before stay as they are."""
    op.create_table(
        "endpoint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "public_id",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Random name: message ids are made of it",
        ),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="EndpointKind"),
        sa.Column(
            "address",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="E-mail address, https address, or the channel's name in the settings",
        ),
        sa.Column(
            "owner_id",
            sa.Integer(),
            nullable=True,
            comment="Of a webhook: the confirmed e-mail address that manages it and hears of its failures",
        ),
        sa.Column("status", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="EndpointStatus"),
        sa.Column("status_reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Why it is disabled"),
        sa.Column("digest", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="DigestChoice"),
        sa.Column("secrets", sa.JSON(), nullable=False, comment="Webhook: signing secrets, the newest first"),
        sa.Column(
            "old_secret_until",
            ledger.columns.UtcTime(),
            nullable=True,
            comment="Webhook: until when the older secrets sign as well",
        ),
        sa.Column(
            "failing_since",
            ledger.columns.UtcTime(),
            nullable=True,
            comment="First failure since the last success; NULL: it works",
        ),
        sa.Column("created_at", ledger.columns.UtcTime(), nullable=False, comment="When it was entered"),
        sa.Column(
            "confirmed_at",
            ledger.columns.UtcTime(),
            nullable=True,
            comment="When its owner confirmed it, or it answered its ping",
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.create_index(
            "endpoint_alone",
            ["kind", "address"],
            unique=True,
            sqlite_where=sa.text("owner_id IS NULL"),
            postgresql_where=sa.text("owner_id IS NULL"),
        )
        batch_op.create_index("endpoint_owned", ["owner_id", "kind", "address"], unique=True)

    op.create_table(
        "alert_cursor",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="Chain"),
        sa.Column(
            "live_since",
            ledger.columns.UtcTime(),
            nullable=False,
            comment="Chain time after which things are announced; before it is history",
        ),
        sa.Column("number", sa.BigInteger(), nullable=True, comment="Tip of the chain as the rules last saw it"),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="Rollbacks of the chain that the rules have seen"),
        sa.Column(
            "moved_at",
            ledger.columns.UtcTime(),
            nullable=False,
            comment="Wall-clock time at which that tip was first seen",
        ),
        sa.Column("ruled_at", ledger.columns.UtcTime(), nullable=False, comment="Wall-clock time of the last look"),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["chain.chain_id"],
        ),
        sa.PrimaryKeyConstraint("chain_id"),
    )
    op.create_table(
        "alert_state",
        sa.Column("rule", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Rule, as in the file of rules"),
        sa.Column(
            "subject",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Slug of the segment, or of the chain",
        ),
        sa.Column("chain_id", sa.BigInteger(), nullable=False, comment="Chain it lives on"),
        sa.Column("phase", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="AlertPhase"),
        sa.Column("count", sa.Integer(), nullable=False, comment="Readings in a row that argue for the next phase"),
        sa.Column("level", sa.Integer(), nullable=False, comment="Worst level of this episode; 0: none"),
        sa.Column(
            "began",
            ledger.columns.UtcTime(),
            nullable=True,
            comment="Chain time at which this episode began; NULL outside one",
        ),
        sa.Column(
            "told",
            ledger.columns.ExactDecimal(),
            nullable=True,
            comment="Value last announced; outside an episode the last read",
        ),
        sa.Column("seen_number", sa.BigInteger(), nullable=True, comment="Block of the last reading taken"),
        sa.Column("seen_time", ledger.columns.UtcTime(), nullable=True, comment="Chain time of the last reading taken"),
        sa.Column(
            "episodes", sa.JSON(), nullable=False, comment="Chain times at which episodes of the last 30 days began"
        ),
        sa.Column(
            "is_unstable",
            sa.Boolean(),
            nullable=False,
            comment="True while it changes so often that only the digest speaks of it",
        ),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["chain.chain_id"],
        ),
        sa.PrimaryKeyConstraint("rule", "subject"),
    )
    op.create_table(
        "mute",
        sa.Column("endpoint_id", sa.Integer(), nullable=False, comment="Endpoint"),
        sa.Column("fund_slug", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Fund; empty: all"),
        sa.Column("until", ledger.columns.UtcTime(), nullable=False, comment="Wall-clock time at which it ends"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint_id", "fund_slug"),
    )
    op.create_table(
        "subscription",
        sa.Column("endpoint_id", sa.Integer(), nullable=False, comment="Endpoint"),
        sa.Column("fund_slug", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Fund; empty: all"),
        sa.Column("event", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="AlertEvent; empty: all"),
        sa.Column("least", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Least Severity wanted"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint_id", "fund_slug", "event"),
    )
    op.create_table(
        "token",
        sa.Column(
            "digest", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="sha256 of the token, hexadecimal"
        ),
        sa.Column("endpoint_id", sa.Integer(), nullable=False, comment="Endpoint"),
        sa.Column("purpose", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="TokenPurpose"),
        sa.Column("wishes", sa.JSON(), nullable=True, comment="What confirming it would set: subscriptions and digest"),
        sa.Column("created_at", ledger.columns.UtcTime(), nullable=False, comment="When it was made"),
        sa.Column("expires_at", ledger.columns.UtcTime(), nullable=False, comment="When it stops working"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_endpoint_id"), ["endpoint_id"], unique=False)

    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "key",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="What happened, named so that it can be announced once only",
        ),
        sa.Column("event", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="AlertEvent"),
        sa.Column("severity", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Severity"),
        sa.Column(
            "subject",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Slug of the segment, or of the chain",
        ),
        sa.Column(
            "fund_slug",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=True,
            comment="Fund it is about; NULL: about a source or all",
        ),
        sa.Column(
            "chain_id", sa.BigInteger(), nullable=True, comment="Chain it happened on; NULL: a digest of all live ones"
        ),
        sa.Column(
            "episode",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Id of the episode it belongs to; mails of one are a thread",
        ),
        sa.Column("happened_at", ledger.columns.UtcTime(), nullable=False, comment="Chain time of what happened"),
        sa.Column("number", sa.BigInteger(), nullable=True, comment="Block it happened in or was read at"),
        sa.Column("title", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Subject line"),
        sa.Column("message", sa.JSON(), nullable=False, comment="The whole message as it was announced"),
        sa.Column("retracts", sa.Integer(), nullable=True, comment="The alert that this one takes back"),
        sa.Column(
            "created_at", ledger.columns.UtcTime(), nullable=False, comment="Wall-clock time of the announcement"
        ),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["chain.chain_id"],
        ),
        sa.ForeignKeyConstraint(
            ["fund_slug"],
            ["fund.slug"],
        ),
        sa.ForeignKeyConstraint(
            ["retracts"],
            ["alert.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index("alert_fund", ["fund_slug", "happened_at"], unique=False)
        batch_op.create_index("alert_time", ["happened_at"], unique=False)

    op.create_table(
        "alert_evidence",
        sa.Column("alert_id", sa.Integer(), nullable=False, comment="Alert"),
        sa.Column(
            "fact_key",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Rule, segment, transaction and place in it: the same after a reorg; of a reading its block",
        ),
        sa.Column("chain_id", sa.BigInteger(), nullable=False, comment="Chain"),
        sa.Column("block_number", sa.BigInteger(), nullable=False, comment="Height of the block"),
        sa.Column("block_hash", ledger.columns.HashText(), nullable=False, comment="The block"),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["chain.chain_id"],
        ),
        sa.PrimaryKeyConstraint("alert_id", "fact_key"),
    )
    with op.batch_alter_table("alert_evidence", schema=None) as batch_op:
        batch_op.create_index("alert_evidence_block", ["chain_id", "block_number"], unique=False)

    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "message_id",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="The same in every attempt: webhook-id, and the mail's Message-ID",
        ),
        sa.Column("endpoint_id", sa.Integer(), nullable=False, comment="Endpoint"),
        sa.Column("purpose", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Purpose"),
        sa.Column("alert_id", sa.Integer(), nullable=True, comment="Alert it carries; NULL: it is no alert"),
        sa.Column("detail", sa.JSON(), nullable=True, comment="What else the message is made of"),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="DeliveryState"),
        sa.Column(
            "state_reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False, comment="Why it failed or was dropped"
        ),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="Attempts made since it was ordered, or ordered again"
        ),
        sa.Column("next_at", ledger.columns.UtcTime(), nullable=False, comment="When it is due (again)"),
        sa.Column("claimed_by", sqlmodel.sql.sqltypes.AutoString(), nullable=True, comment="Sender that works on it"),
        sa.Column(
            "claimed_until",
            ledger.columns.UtcTime(),
            nullable=True,
            comment="When others may take it over: that sender is then dead",
        ),
        sa.Column("created_at", ledger.columns.UtcTime(), nullable=False, comment="When it was ordered"),
        sa.Column("finished_at", ledger.columns.UtcTime(), nullable=True, comment="When it ended"),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alert.id"],
        ),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("delivery_due", ["state", "next_at"], unique=False)
        batch_op.create_index("delivery_once", ["alert_id", "endpoint_id"], unique=True)
        batch_op.create_index(batch_op.f("ix_delivery_endpoint_id"), ["endpoint_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("delivery_id", sa.Integer(), nullable=False, comment="Delivery"),
        sa.Column("number", sa.Integer(), nullable=False, comment="1, 2, …"),
        sa.Column("began_at", ledger.columns.UtcTime(), nullable=False, comment="When it began"),
        sa.Column("seconds", sa.Float(), nullable=False, comment="How long it took"),
        sa.Column("is_ok", sa.Boolean(), nullable=False, comment="Whether the other side took the message"),
        sa.Column(
            "answer",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="What the other side said, cut to 300 characters, or the error",
        ),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("delivery_id", "number"),
    )
