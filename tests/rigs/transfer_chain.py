"""A chain of Transfer logs on anvil, and a fund that watches one wallet: small, but every byte is real."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Engine

from indexer.adapter import FactDraft, Known, Log, LogFilter, Read
from indexer.lanes import Tracked
from ledger.database import writing
from ledger.kinds import Contribution, FundKind, Role, Shape, Side, SourceKind
from ledger.tables import Asset, Chain, Fund, Platform, Segment

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
WALLET = "0x" + "ab" * 20
STRANGER = "0x" + "cd" * 20

# Emits Transfer(caller, calldata[0:32], calldata[32:64]); with less calldata it returns 42.
#   PUSH1 64; CALLDATASIZE; LT; PUSH1 51; JUMPI
#   PUSH1 32; CALLDATALOAD; PUSH1 0; MSTORE; PUSH1 0; CALLDATALOAD; CALLER; PUSH32 topic; PUSH1 32; PUSH1 0; LOG3; STOP
#   JUMPDEST; PUSH1 42; PUSH1 0; MSTORE; PUSH1 32; PUSH1 0; RETURN
EMITTER = (
    "0x604380600b6000396000f3"
    "6040361060385760203560005260003533"
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    "60206000a3005b602a60005260206000f3"
)


class AnvilChain:
    """Speaks to anvil directly, beside the code under test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(timeout=30, verify=False)  # Loopback: no certificates to read.
        self.token = ""

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one request; an error fails the test."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._http.post(self.url, json=body).json()
        assert "error" not in answer, answer
        return answer["result"]

    def deploy(self) -> str:
        """Puts the emitter on the chain, one block."""
        tx = self.ask("eth_sendTransaction", {"from": SENDER, "data": EMITTER, "gas": "0x100000"})
        self.mine()
        self.token = self.ask("eth_getTransactionReceipt", tx)["contractAddress"]
        return self.token

    def send(self, *transfers: tuple[str, int]) -> None:
        """One block with these transfers (receiver, amount), each a transaction of its own."""
        self.submit(*transfers)
        self.mine()

    def submit(self, *transfers: tuple[str, int]) -> None:
        """Hands in these transfers for whatever block comes next."""
        for receiver, amount in transfers:
            data = "0x" + receiver[2:].rjust(64, "0") + f"{amount:064x}"
            self.ask("eth_sendTransaction", {"from": SENDER, "to": self.token, "data": data, "gas": "0x20000"})

    def mine(self, blocks: int = 1) -> None:
        """Mines pending transactions into the first block; the others stay empty."""
        self.ask("anvil_mine", hex(blocks))

    def head(self) -> int:
        """The head's number."""
        return int(self.ask("eth_blockNumber"), 16)

    def hash_of(self, number: int) -> str:
        """The hash of a block."""
        return str(self.ask("eth_getBlockByNumber", hex(number), False)["hash"])

    def reorganise(self, depth: int, *transfers: tuple[str, int]) -> None:
        """Replaces the last `depth` blocks; the transfers are in the first block of the new branch."""
        pairs = [
            [
                {
                    "from": SENDER,
                    "to": self.token,
                    "data": "0x" + receiver[2:].rjust(64, "0") + f"{amount:064x}",
                    "gas": "0x20000",
                },
                0,
            ]
            for receiver, amount in transfers
        ]
        self.ask("anvil_reorg", depth, pairs)


class TransferAdapter:
    """Transfers of one token to and from one wallet."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, token: str, wallet: str) -> None:
        self.token = token
        self.wallet = wallet
        self._padded = "0x" + wallet[2:].rjust(64, "0")

    def filters(self) -> Sequence[LogFilter]:
        token, topic, wallet = frozenset({self.token}), frozenset({TRANSFER}), frozenset({self._padded})
        return [LogFilter(token, (topic, None, wallet)), LogFilter(token, (topic, wallet, None))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        is_in = log.topics[2] == self._padded
        return [
            FactDraft(
                role=Role.CONTRIBUTION if is_in else Role.WITHDRAWAL,
                amount_raw=int(log.data, 16),
                asset=self.token,
                source=Contribution.TOP_UP if is_in else None,
                account="0x" + log.topics[1 if is_in else 2][26:],
                detail={"seen": True},
            )
        ]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        return []

    def flow_reads(self, known: Known) -> Sequence[Read]:
        return []


@dataclass(frozen=True)
class Terms:
    """What the pool must know of the chain under test."""

    id: int = 31337
    slug: str = "anvil"
    kind: SourceKind = SourceKind.LIVE
    multicall3: str | None = None
    multicall3_block: int | None = None
    finality_seconds: int = 900


def register(engine: Engine, tokens: Sequence[str], *, chain_id: int = 31337, wallet: str = WALLET) -> list[Tracked]:
    """A chain with one fund for each token in the ledger, segment ids 1, 2, …; and what to track."""
    with writing(engine) as session:
        if session.get(Chain, chain_id) is None:
            session.add(Chain(chain_id=chain_id, slug=f"chain-{chain_id}", name="Chain", kind="live"))
        if session.get(Platform, "p") is None:
            session.add(Platform(slug="p", name="P"))
    return [add_fund(engine, at + 1, token, chain_id=chain_id, wallet=wallet) for at, token in enumerate(tokens)]


def add_fund(engine: Engine, segment_id: int, token: str, *, chain_id: int = 31337, wallet: str = WALLET) -> Tracked:
    """One fund with one segment."""
    slug = f"fund-{segment_id}"
    fund = Fund(
        slug=slug,
        platform_slug="p",
        name=slug,
        kind=str(FundKind.RESERVE),
        shape=str(Shape.ADDRESS_FUND),
        chain_id=chain_id,
        methodology="Transfers of one token.",
        file_digest="0",
    )
    with writing(engine) as session:
        session.add(fund)
        if segment_id == 1:
            session.add(Asset(chain_id=chain_id, address=token, symbol="T", decimals=18))
        session.flush()
        session.add(Segment(id=segment_id, fund_slug=slug, slug=slug, name=slug, chain_id=chain_id))
    return Tracked(segment_id, slug, str(Shape.ADDRESS_FUND), TransferAdapter(token, wallet), (token,))
