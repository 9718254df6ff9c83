"""Published numbers are found by segment, day and block, and the newest computation without reading them all.

The index that goes held the first three columns of the key: it found nothing that the key does not find.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indexes only."""
    op.drop_index("metric_series", "metric")
    op.create_index("metric_day", "metric", ["segment_id", "day", "as_of_number"])
    op.create_index("metric_computed", "metric", ["computed_at"])
