"""Logs to facts: each log through its adapter, and whole transactions where money can only be attributed so."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import TypeGuard

from indexer.adapter import Adapter, AdapterError, Attributing, FactDraft, Log
from indexer.words import WordsError


def decode_logs(adapter: Adapter, logs: Sequence[Log]) -> list[Sequence[FactDraft]]:
    """The facts of each log, in the order of the logs; transactions must be complete and their logs adjacent.

    Raises AdapterError naming block, log and contract when a log has another layout than the shape says.
    """
    facts: list[Sequence[FactDraft]] = []
    decode = adapter.decode
    try:
        for log in logs:
            facts.append(decode(log))
    except (WordsError, ValueError, IndexError) as error:
        failed = logs[len(facts)]
        raise AdapterError(
            f"log {int(failed.log_index, 16)} of block {int(failed.block_number, 16)} from {failed.address} cannot be "
            f"decoded ({error}): does the fund's file name the right contract?"
        ) from error
    return attributed(adapter, logs, facts) if is_attributing(adapter) else facts


def is_attributing(adapter: Adapter) -> TypeGuard[Attributing]:
    """Whether it sees whole transactions."""
    return sees_transactions(type(adapter))


@cache
def sees_transactions(kind: type) -> bool:
    """The same of a class, once: it is asked for each portion of logs, and Python takes long over a protocol."""
    return issubclass(kind, Attributing)


def attributed(
    adapter: Attributing, logs: Sequence[Log], facts: Sequence[Sequence[FactDraft]]
) -> list[Sequence[FactDraft]]:
    """The same facts after the adapter has seen each transaction as a whole."""
    settled: list[Sequence[FactDraft]] = []
    pairs = zip(logs, facts, strict=True)
    for _, members in groupby(pairs, key=lambda pair: (pair[0].block_hash, pair[0].transaction_hash)):
        transaction = list(members)
        settled += adapter.attribute([log for log, _ in transaction], [drafts for _, drafts in transaction])
    return settled
