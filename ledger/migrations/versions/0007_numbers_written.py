"""Each segment counts how often its numbers were written: what was made of them is known to hold, without reading them.

The newest time of computation, by which that was told before, says nothing of two computations at one time, or of one that
began first and ended last. Its index goes with it. And the balances that small lines are drawn from have an index that
holds them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, whose count begins at 0, and two indexes."""
    comment = "How often its numbers were written or taken back; what is made of them holds until then"
    # The default is for rows that are there: each new one says its own.
    column = sa.Column("numbers_written", sa.BigInteger(), nullable=False, server_default="0", comment=comment)
    op.add_column("segment", column)
    op.drop_index("metric_computed", "metric")
    of_balances = sa.text("name = 'gross_balance'")
    op.create_index(
        "metric_balance",
        "metric",
        ["segment_id", "name", "day", "as_of_number", "method_version", "value"],
        sqlite_where=of_balances,
        postgresql_where=of_balances,
    )
