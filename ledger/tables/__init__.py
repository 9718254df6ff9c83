"""Every table and column of the ledger, each with one sentence (docs/data-dictionary.md is made from them).

Facts, readings, prices and snapshots hang on a block by foreign key with cascade, so that a reorg is one delete.
Facts are append-only; totals are recomputed, never updated. Amounts are integers in smallest units.
"""

from ledger.tables.registry import Asset, Chain, Fund, Platform, Segment  # isort: skip  A foreign key's target comes first.
from ledger.tables.chain import Block, Coverage, Cursor, OrphanedLog, RawLog, Reorg  # isort: skip
from ledger.tables.facts import Fact, Price, Reading, Snapshot  # isort: skip
from ledger.tables.metrics import Metric  # isort: skip
from ledger.tables.alerts import Alert, AlertCursor, AlertEvidence, AlertState  # isort: skip
from ledger.tables.outbox import Attempt, Delivery, Endpoint, Mute, Subscription, Token  # isort: skip
from ledger.tables.verification import Verification  # isort: skip

__all__ = [
    "Alert",
    "AlertCursor",
    "AlertEvidence",
    "AlertState",
    "Asset",
    "Attempt",
    "Block",
    "Chain",
    "Coverage",
    "Cursor",
    "Delivery",
    "Endpoint",
    "Fact",
    "Fund",
    "Metric",
    "Mute",
    "OrphanedLog",
    "Platform",
    "Price",
    "RawLog",
    "Reading",
    "Reorg",
    "Segment",
    "Snapshot",
    "Subscription",
    "Token",
    "Verification",
]
