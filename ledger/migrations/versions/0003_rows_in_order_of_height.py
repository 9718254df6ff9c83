"""Raw logs and facts are keyed in the order in which they are written: by height.

A key that began with the block's hash put every row at a random place of a large index. What ties a row to its block
is no longer a foreign key, which Postgres asks row by row, but the two statements that delete blocks (ledger/blocks.py).
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEYS = {
    "raw_log": ["chain_id", "block_number", "log_index", "block_hash"],
    "fact": ["chain_id", "block_number", "log_index", "fact_no", "segment_id", "block_hash"],
}
INDEXES = {"raw_log": ["raw_log_number"], "fact": ["fact_number"]}  # What the new keys begin with.
TIES = {
    "raw_log": ["raw_log_chain_id_block_hash_fkey"],
    "fact": ["fact_chain_id_block_hash_fkey", "fact_segment_id_fkey", "fact_asset_id_fkey"],
}


def upgrade() -> None:
    """Keys by number, no foreign keys, no index twice."""
    for table, key in KEYS.items():
        for index in INDEXES[table]:
            op.drop_index(index, table_name=table)
        if op.get_bind().dialect.name == "postgresql":
            for tie in TIES[table]:
                op.drop_constraint(tie, table, type_="foreignkey")
            op.drop_constraint(f"{table}_pkey", table, type_="primary")
            op.create_primary_key(f"{table}_pkey", table, key)
        else:
            _rebuild(table, key)


def _rebuild(name: str, key: list[str]) -> None:
    """SQLite changes no key in place: the rows move into a new table with the same columns and indexes."""
    old = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind(), resolve_fks=False)
    columns = [sa.Column(column.name, column.type, nullable=column.nullable) for column in old.columns]
    new = sa.Table(name, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*key))
    for index in old.indexes:
        sa.Index(index.name, *(new.c[column.name] for column in index.columns), unique=index.unique)
    with op.batch_alter_table(name, recreate="always", copy_from=new):
        pass
