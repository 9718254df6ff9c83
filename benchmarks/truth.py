"""What the tables must hold after a run: counts and digests that the generator wrote without any decoder.

A digest is the sum, modulo 2^128, of a hash of each row's text: it does not depend on the order of rows, and a row that
is missing, changed or there twice changes it.
"""

import hashlib
from dataclasses import dataclass

import msgspec

MODULUS = 1 << 128


class Sum(msgspec.Struct):
    """Count and digest of a set of rows."""

    count: int = 0
    digest: int = 0

    def add(self, line: str) -> None:
        """One row's text."""
        self.count += 1
        self.digest += int.from_bytes(hashlib.blake2b(line.encode(), digest_size=16).digest(), "big")

    def said(self) -> list[str]:
        """As JSON can hold it."""
        return [str(self.count), f"{self.digest % MODULUS:032x}"]


@dataclass
class Sums:
    """The three tables that a scan fills."""

    blocks: Sum
    logs: Sum
    facts: Sum

    @classmethod
    def empty(cls) -> "Sums":
        """Nothing yet."""
        return cls(Sum(), Sum(), Sum())

    def said(self) -> dict[str, list[str]]:
        """Table → count and digest."""
        return {"block": self.blocks.said(), "raw_log": self.logs.said(), "fact": self.facts.said()}


def differences(expected: dict[str, list[str]], found: dict[str, list[str]]) -> list[str]:
    """What is wrong, one sentence a table; empty when all is right."""
    wrong = []
    for table, (count, digest) in expected.items():
        if found[table][0] != count:
            wrong.append(f"{table} holds {found[table][0]} rows instead of {count}")
        elif found[table][1] != digest:
            wrong.append(f"{table} holds {count} rows, but not the ones that the chain has")
    return wrong
