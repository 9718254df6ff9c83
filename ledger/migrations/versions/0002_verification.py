"""Which rungs of the verification ladder which blocks have passed."""

import sqlalchemy as sa
import sqlmodel.sql.sqltypes
from alembic import op

import ledger.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table, with what coverage says about the second rung already."""
    op.create_table(
        "verification",
        sa.Column("segment_id", sa.Integer(), nullable=False, comment="Segment"),
        sa.Column(
            "filter_digest",
            sqlmodel.sql.sqltypes.AutoString(),
            nullable=False,
            comment="Digest of addresses and topics asked for, as in coverage",
        ),
        sa.Column(
            "level",
            sa.Integer(),
            nullable=False,
            comment="Rung: 2 header blooms asked, 3 a second provider gave the same logs, 4 proved by receiptsRoot, "
            "5 flows explain the balances at both ends",
        ),
        sa.Column("from_number", sa.BigInteger(), nullable=False, comment="First block"),
        sa.Column("to_number", sa.BigInteger(), nullable=False, comment="Last block"),
        sa.Column(
            "verified_at",
            ledger.columns.UtcTime(),
            nullable=False,
            comment="Wall-clock time of the last extension; for rung 5 that of the later balance",
        ),
        sa.ForeignKeyConstraint(["segment_id"], ["segment.id"]),
        sa.PrimaryKeyConstraint("segment_id", "filter_digest", "level", "from_number"),
    )
    op.execute(
        "INSERT INTO verification (segment_id, filter_digest, level, from_number, to_number, verified_at) "
        "SELECT segment_id, filter_digest, 2, from_number, to_number, verified_at FROM coverage WHERE level >= 2"
    )
