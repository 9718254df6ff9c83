"""Each chain counts how often its facts were written: what was made of them is known to hold, without reading them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, whose count begins at 0."""
    comment = "How often its facts were written or taken back; what is made of them holds until then"
    # The default is for rows that are there: each new one says its own.
    op.add_column(
        "chain", sa.Column("facts_written", sa.BigInteger(), nullable=False, server_default="0", comment=comment)
    )
