"""The indexer's guards, each with the edit that takes it out, and a process that plays seeds without one of them.

The edit is made while the module is imported: nothing is switched off in the program itself, nothing is patched.
Guards that cover each other are taken out together; the name says both.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from types import ModuleType
from typing import NamedTuple

from tests.simulation.weather import Season

MOST_SEEDS = 300


class Edit(NamedTuple):
    """`old` stands in the module exactly once and becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Guard:
    """What is taken out, in which season its absence shows (None: any), and from which seed on it is looked for."""

    name: str
    edits: tuple[Edit, ...]
    season: Season | None = None
    first_seed: int = 0


NO_OPINION = (
    Edit(
        "indexer.scan.opinion",
        "if self._reader.voices() < 2 or not self.is_wanted(batch.logs, span[0]):",
        "if self._reader.voices() >= 0:",
    ),
    Edit(
        "indexer.scan.opinion",
        "        if self._reader.voices() < 2:\n            return Opinion(batch.logs)\n        hashes",
        "        if self._reader.voices() >= 0:\n            return Opinion(batch.logs)\n        hashes",
    ),
)

NO_SUSPICION = Edit("indexer.scan.fetch", "for at in range(0, len(suspects), SUSPECTS_AT_ONCE):", "for at in range(0):")

GUARDS = (
    Guard(
        "rows are deleted on rollback",
        (
            Edit(
                "ledger.blocks",
                "((RawLog, RawLog.block_number), (Fact, Fact.block_number), (Block, Block.number)):",
                "((Block, Block.number),):",
            ),
        ),
    ),
    Guard(
        "parent hashes are checked",
        (Edit("indexer.chain.reconcile", "return header.parent_hash == parent_hash", "return True"),),
    ),
    Guard(
        "history: the same provider's head has reached the range's end, and a second provider is asked",
        (Edit("indexer.rpc.pool", "if provider.head < last:", "if provider.head < 0:"), *NO_OPINION),
        season=Season.THIN,
    ),
    Guard(
        "cursor and data move in one transaction",
        (
            Edit(
                "indexer.commit", "            work(session)\n            return Cursor(", "            return Cursor("
            ),
            Edit(
                "indexer.commit",
                "self._cursor = await self._writer.write(both)",
                "self._cursor = await self._writer.write(both)\n        await self._writer.write(work)",
            ),
        ),
    ),
    Guard(
        "a bloom without its log is asked about elsewhere, and a second provider is asked",
        (
            NO_SUSPICION,
            *NO_OPINION,
        ),
        season=Season.STORM,
    ),
    Guard(
        "the tip is compared by hash while the head stands still",
        (
            Edit(
                "indexer.chain.finality",
                "return self.latest.hash, self.finalized.hash",
                "return str(self.latest.number), str(self.finalized.number)",
            ),
        ),
    ),
    Guard(
        "head and tip are compared at the lower of the two",
        (Edit("indexer.follow", "number = min(tip.number, heads.latest.number)", "number = tip.number"),),
        first_seed=50,
    ),
    Guard(
        "a log is of the block whose header is held, blooms are asked, and a second provider",
        (
            Edit(
                "indexer.scan.verify",
                "{log.block_hash for log in members} - {header.hash}",
                "{log.block_hash for log in members} - {log.block_hash for log in members}",
            ),
            Edit(
                "indexer.rpc.pool",
                "if any(log.block_hash != block_hash for log in logs):",
                "if any(not log.block_hash for log in logs):",
            ),
            NO_SUSPICION,
            *NO_OPINION,
        ),
        season=Season.CLUMSY,
    ),
    Guard(
        "a log is in its block's bloom, and a second provider is asked",
        (
            Edit(
                "indexer.scan.blooms",
                "or self._learn(pair)\n            if bits & bloom != bits:",
                "or self._learn(pair)\n            if bits < 0:",
            ),
            Edit(
                "indexer.scan.blooms",
                "bits = bloom_bits(named)\n            if bits & bloom != bits:",
                "bits = bloom_bits(named)\n            if bits < 0:",
            ),
            *NO_OPINION,
        ),
        season=Season.STORM,
    ),
    Guard(
        "an answer holds each log once, blooms are asked, and a second provider",
        (
            Edit(
                "indexer.scan.verify",
                "if any(len(set(own)) != len(own) for own in answered):",
                "if any(len(set(own)) < 0 for own in answered):",
            ),
            NO_SUSPICION,
            *NO_OPINION,
        ),
        season=Season.CLUMSY,
        first_seed=60,
    ),
    Guard(
        "the cursor moves by compare-and-swap, and what is written is fenced by it",
        (
            Edit(
                "ledger.blocks",
                "            col(Cursor.epoch) == held.epoch,\n        )\n        .values(number=number",
                "        )\n        .values(number=number",
            ),
            Edit(
                "ledger.blocks",
                "            col(Cursor.number) == held.number,\n            col(Cursor.hash) == held.hash,\n",
                "",
            ),
            Edit(
                "indexer.commit",
                "if finalized != self.finalized or place_of(find_cursor(session, self.terms.id)) !=",
                "if finalized is Ellipsis and place_of(find_cursor(session, self.terms.id)) !=",
            ),
        ),
    ),
    Guard(
        "a reorg is believed on a second word only",
        (
            Edit(
                "indexer.certainty",
                "return word is Word.CONFIRMED or (",
                "return word in Word or (",
            ),
        ),
    ),
    Guard("a second provider is asked", NO_OPINION, season=Season.SUBTLE),
    Guard(
        "coverage is written with its data",
        (
            Edit(
                "indexer.commit",
                "        await self._move(self._ahead(fetched.end), lambda session: self._insert",
                "        for each in sound:\n"
                "            if max(fetched.first, each.start) <= fetched.last:\n"
                "                added = coverage_of(each, fetched, self._clock())\n"
                "                await self._writer.write(partial(extend_coverages, added=[added]))\n"
                "        await self._move(self._ahead(fetched.end), lambda session: self._insert",
            ),
        ),
    ),
    Guard(
        "a fund that came late has blocks above finality fetched again",
        (Edit("indexer.follow", "        await self._refetch_late_segments(finalized)\n", ""),),
    ),
)


class Mutating(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports the edited modules as they would be without the guard."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Only the edited modules are ours."""
        if all(edit.module != fullname for edit in self._edits):
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(path))

    def get_filename(self, fullname: str) -> str:
        """The real file, for tracebacks."""
        return fullname.replace(".", os.sep) + ".py"

    def get_data(self, path: str) -> bytes:
        """The source without the guard."""
        return edited_source(path, self._edits).encode()

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is cached: the next import of the same file is another one."""
        path = self.get_filename(module.__name__)
        exec(compile(self.get_data(path), path, "exec"), module.__dict__)


def edited_source(path: str, edits: Sequence[Edit]) -> str:
    """A module's text after its edits; raises LookupError when one of them no longer fits."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  pathlib may be among what is being imported.
        source = file.read()
    for edit in edits:
        if edit.module.replace(".", os.sep) + ".py" != path:
            continue
        if source.count(edit.old) != 1:
            raise LookupError(f"the guard moved: {path} holds {source.count(edit.old)} times {edit.old!r}")
        source = source.replace(edit.old, edit.new)
    return source


def first_wrong(guard: Guard, most: int = MOST_SEEDS) -> tuple[int, str] | None:
    """The first seed that ends wrong without the guard and how, played by all cores; None when all end well."""
    sys.meta_path.insert(0, Mutating(guard.edits))
    from tests.simulation.fleet import template  # noqa: PLC0415  Not before the edits are in place.
    from tests.simulation.story import play  # noqa: PLC0415

    logging.getLogger("indexer").setLevel(logging.CRITICAL)
    seeds = range(guard.first_seed, guard.first_seed + most)
    with template() as migrated, get_context("fork").Pool(os.cpu_count()) as pool:
        for result in pool.imap(partial(play, template=migrated, season=guard.season), seeds):
            if result.errors:
                return result.seed, result.errors[0]
    return None


def main() -> None:
    """`python -m tests.simulation.guards "NAME"`: plays without that guard; exit code 1 when it makes no difference."""
    guard = next(guard for guard in GUARDS if guard.name == sys.argv[1])
    found = first_wrong(guard)
    if found is None:
        print(f"without it {MOST_SEEDS} seeds end as they should")
        sys.exit(1)
    print(f"seed {found[0]}: {found[1]}")


if __name__ == "__main__":
    main()
