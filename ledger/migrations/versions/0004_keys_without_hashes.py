"""Keys of raw logs and facts end where they tell rows apart: the block's hash is no part of them.

A chain has one block at a height in the ledger (block_number is unique), and what hangs on a block goes with it. The hash
made the keys' indexes, which hold nothing else of use, a sixth of the ledger.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEYS = {
    "raw_log": ["chain_id", "block_number", "log_index"],
    "fact": ["chain_id", "block_number", "log_index", "fact_no", "segment_id"],
}


def upgrade() -> None:
    """Shorter keys; rows and other indexes stay."""
    for table, key in KEYS.items():
        if op.get_bind().dialect.name == "postgresql":
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
