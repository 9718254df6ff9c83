"""The model chain: blocks with true blooms and parent hashes, transfers in transactions, reorgs, and a moving finality.

Whoever looks at it sees a View: the chain as it stood after one change. A provider that lags, or sits on a branch
that was given up, is one that holds on to an older view.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from indexer.receipts import receipts_root
from indexer.replay.bloom import compute_bloom
from indexer.replay.words import ZERO_BLOOM
from indexer.rpc.reader import Receipt

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
BLOCK_SECONDS = 2
GENESIS_TIME = 1_700_000_000
FINALITY_BLOCKS = 8
DEEPEST_REORG = 6
LONGEST_BLOCK = 4

TOKENS = tuple("0x" + f"{n:02x}" * 20 for n in range(0x10, 0x14))
WALLET = "0x" + "ab" * 20
ACCOUNTS = (WALLET, *("0x" + f"{n:02x}" * 20 for n in range(0xC0, 0xC6)))


def padded(address: str) -> str:
    """An address as a topic."""
    return "0x" + address[2:].rjust(64, "0")


@dataclass(frozen=True)
class Transfer:
    """One event before it stands in a block."""

    token: str
    sender: str
    receiver: str
    amount: int

    @property
    def topics(self) -> tuple[str, str, str]:
        """As the contract emits them."""
        return TRANSFER, padded(self.sender), padded(self.receiver)

    @property
    def concerns_wallet(self) -> bool:
        """Whether a fund that watches the wallet wants it."""
        return WALLET in (self.sender, self.receiver)


@dataclass(frozen=True)
class Transaction:
    """Its hash stays the same however often it is mined; its place does not."""

    hash: str
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True)
class Emission:
    """A transfer in its place."""

    index: int
    tx_hash: str
    transfer: Transfer


@dataclass(frozen=True)
class Block:
    """A block; two of them are the same if their hashes are."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    transactions: tuple[Transaction, ...]

    @cached_property
    def emissions(self) -> tuple[Emission, ...]:
        """Its logs in order."""
        pairs = [(tx.hash, transfer) for tx in self.transactions for transfer in tx.transfers]
        return tuple(Emission(index, tx_hash, transfer) for index, (tx_hash, transfer) in enumerate(pairs))

    @cached_property
    def logs(self) -> tuple[dict[str, Any], ...]:
        """Its logs as JSON-RPC writes them."""
        return tuple(self.wire_log(emission) for emission in self.emissions)

    def wire_log(self, emission: Emission) -> dict[str, Any]:
        """One log as JSON-RPC writes it."""
        return {
            "address": emission.transfer.token,
            "topics": list(emission.transfer.topics),
            "data": f"0x{emission.transfer.amount:064x}",
            "blockNumber": hex(self.number),
            "blockHash": self.hash,
            "transactionHash": emission.tx_hash,
            "logIndex": hex(emission.index),
            "removed": False,
        }

    @cached_property
    def bloom(self) -> str:
        """Of all its logs."""
        words = {word for log in self.logs for word in (log["address"], *log["topics"])}
        return compute_bloom(sorted(words)) or ZERO_BLOOM

    @cached_property
    def receipts(self) -> tuple[dict[str, Any], ...]:
        """One for each transaction, as JSON-RPC writes them."""
        return tuple(
            {
                "transactionHash": tx.hash,
                "transactionIndex": hex(at),
                "blockHash": self.hash,
                "cumulativeGasUsed": hex(21_000 * (at + 1)),
                "logsBloom": ZERO_BLOOM,
                "type": "0x2",
                "status": "0x1",
                "logs": [log for log in self.logs if log["transactionHash"] == tx.hash],
            }
            for at, tx in enumerate(self.transactions)
        )

    @cached_property
    def header(self) -> msgspec.Raw:
        """The header as JSON-RPC writes it."""
        return msgspec.Raw(msgspec.json.encode(self._fields()))

    @cached_property
    def header_with_root(self) -> msgspec.Raw:
        """The same with its receiptsRoot, which takes as long to compute as all the rest of a block."""
        root = receipts_root(msgspec.convert(self.receipts, list[Receipt]))
        return msgspec.Raw(msgspec.json.encode({**self._fields(), "receiptsRoot": root}))

    def _fields(self) -> dict[str, Any]:
        return {
            "number": hex(self.number),
            "hash": self.hash,
            "parentHash": self.parent_hash,
            "timestamp": hex(self.timestamp),
            "logsBloom": self.bloom,
        }


@dataclass(frozen=True)
class View:
    """The whole chain at one moment, and the height that was final then."""

    blocks: tuple[Block, ...]
    finalized: int

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.blocks[-1]

    def agrees_on_final(self, newer: "View") -> bool:
        """Whether what is final by now is part of this older view, as far as it goes."""
        number = min(self.head.number, newer.finalized)
        return self.blocks[number] is newer.blocks[number]

    def at(self, number: int) -> Block | None:
        """The block at a height, if the chain is that long."""
        return self.blocks[number] if 0 <= number < len(self.blocks) else None


@dataclass
class World:
    """The true chain and all it ever was. `dice` alone decides what happens."""

    dice: random.Random
    views: list[View] = field(default_factory=list)
    known_since: dict[str, int] = field(default_factory=dict)
    reorgs: list[int] = field(default_factory=list)
    _block_of: dict[str, Block] = field(default_factory=dict)
    _pending: list[Transaction] = field(default_factory=list)
    _made: int = 0
    _salt: bytes = b""

    def __post_init__(self) -> None:
        self._salt = self.dice.randbytes(16)
        self._show((Block(0, self._new_hash(), "0x" + "0" * 64, GENESIS_TIME, ()),))

    @property
    def view(self) -> View:
        """The chain as it is now."""
        return self.views[-1]

    def find(self, block_hash: str) -> Block | None:
        """A block that is or once was part of the chain."""
        return self._block_of.get(block_hash)

    def grow(self, blocks: int = 1) -> None:
        """New blocks on top, some of them empty."""
        for _ in range(blocks):
            self._show((*self.view.blocks, self._next(self.view.head, self._transactions())))

    def reorganise(self) -> int:
        """Replaces up to six blocks above finality by another branch: as long, longer, or shorter. Gives the depth."""
        view = self.view
        depth = self.dice.randint(1, DEEPEST_REORG)
        depth = min(depth, view.head.number - view.finalized)
        if depth < 1:
            return 0
        chain, replaced = list(view.blocks[:-depth]), view.blocks[-depth:]
        self._pending += [tx for block in replaced for tx in block.transactions if self.dice.random() < 0.9]
        for _ in range(max(1, depth + self.dice.choice((-1, 0, 0, 0, 1, 2)))):
            chain.append(self._next(chain[-1], self._transactions()))
        self._show(tuple(chain))
        self.reorgs.append(depth)
        return depth

    def return_to_old_branch(self) -> int:
        """A → B → A: the branch given up last is the chain again and longer. Gives the depth (0: none fits)."""
        view = self.view
        for old in reversed(self.views[-12:-1]):
            fork = next((n for n, (a, b) in enumerate(zip(old.blocks, view.blocks, strict=False)) if a is not b), None)
            if fork is None:
                continue
            depth = len(view.blocks) - fork
            if fork <= view.finalized or depth > DEEPEST_REORG or len(old.blocks) - fork > DEEPEST_REORG:
                return 0
            self._show((*old.blocks, self._next(old.head, ())))
            self.reorgs.append(depth)
            return depth
        return 0

    def invented_branch(self, dice: random.Random) -> View:
        """A branch above the final block that never was: what a lying provider may claim."""
        view = self.view
        fork = dice.randint(view.finalized, max(view.finalized, view.head.number - 1))
        chain = list(view.blocks[: fork + 1])
        while len(chain) <= view.head.number + dice.randint(0, 1):
            chain.append(self._next(chain[-1], tuple(self._transaction(dice) for _ in range(dice.randint(0, 2)))))
        return View(tuple(chain), view.finalized)

    def _transactions(self) -> tuple[Transaction, ...]:
        """Those that wait (in any order) before new ones, as many as a block takes."""
        wanted = self.dice.choice((0, 0, 0, 1, 1, 2, 3, LONGEST_BLOCK))
        self.dice.shuffle(self._pending)
        taken, self._pending = self._pending[:wanted], self._pending[wanted:]
        fresh = [self._transaction(self.dice) for _ in range(wanted - len(taken))]
        return (*taken, *fresh)

    def _transaction(self, dice: random.Random) -> Transaction:
        transfers = [
            Transfer(dice.choice(TOKENS), *dice.sample(ACCOUNTS, 2), dice.randint(1, 10**24))
            if dice.random() < 0.5
            else Transfer(dice.choice(TOKENS), dice.choice(ACCOUNTS[1:]), WALLET, dice.randint(1, 10**24))
            for _ in range(dice.choice((1, 1, 2, 3)))
        ]
        return Transaction(self._new_hash(), tuple(transfers))

    def _next(self, parent: Block, transactions: Iterable[Transaction]) -> Block:
        return Block(
            parent.number + 1, self._new_hash(), parent.hash, parent.timestamp + BLOCK_SECONDS, tuple(transactions)
        )

    def _new_hash(self) -> str:
        self._made += 1
        return "0x" + blake2b(self._made.to_bytes(8, "big"), digest_size=32, key=self._salt).hexdigest()

    def _show(self, blocks: tuple[Block, ...]) -> None:
        before = self.views[-1].finalized if self.views else 0
        self.views.append(View(blocks, max(before, blocks[-1].number - FINALITY_BLOCKS, 0)))
        for block in reversed(blocks):
            if self._block_of.setdefault(block.hash, block) is not block or block.hash in self.known_since:
                break
            self.known_since[block.hash] = len(self.views) - 1


def wanted_emissions(blocks: Sequence[Block], token: str, start: int) -> list[tuple[Block, Emission]]:
    """What a fund that watches the wallet's transfers of one token must hold of these blocks."""
    return [
        (block, emission)
        for block in blocks
        if block.number >= start
        for emission in block.emissions
        if emission.transfer.token == token and emission.transfer.concerns_wallet
    ]
