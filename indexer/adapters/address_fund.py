"""A published wallet: its balance is balanceOf of the listed tokens, its flows are their Transfers in and out.

Only the tokens of the fund's file count, by address: a token that copies name and symbol is another address, and a
zero-value transfer moves nothing.
"""

from collections.abc import Sequence

from indexer.adapter import ContractCall, FactDraft, Known, Log, LogFilter, Read, ReadValue
from indexer.specs import FundSpec
from indexer.words import Event, address_topic
from ledger.kinds import Contribution, ReadingName, Role, Side

TRANSFER = Event("Transfer(address indexed from, address indexed to, uint256 value)")


class AddressFund:
    """One wallet and the tokens its file lists."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, fund: FundSpec) -> None:
        fund.check_contracts({"holder"})
        self.holder = fund.contract("holder")
        self.primary = fund.balance().address
        self.decimals = {asset.address: asset.decimals for asset in fund.assets}

    def filters(self) -> Sequence[LogFilter]:
        """Transfers of the listed tokens from and to the wallet."""
        tokens, transfer = frozenset(self.decimals), frozenset({TRANSFER.topic0})
        me = frozenset({address_topic(self.holder)})
        return [LogFilter(tokens, (transfer, me)), LogFilter(tokens, (transfer, None, me))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """A top-up or a withdrawal; whether a withdrawal paid a loss cannot be told from a transfer."""
        if log.address not in self.decimals or not log.topics or log.topics[0] != TRANSFER.topic0:
            return ()
        sender, receiver, amount = TRANSFER.values(log)
        if amount == 0 or sender == receiver or self.holder not in (sender, receiver):
            return ()
        if receiver == self.holder:
            return (FactDraft(Role.CONTRIBUTION, amount, log.address, Contribution.TOP_UP, account=sender),)
        return (FactDraft(Role.WITHDRAWAL, amount, log.address, account=receiver),)

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """The balance of every listed token; the main one has no subject, the others their address."""
        return [
            Read(
                ContractCall(token, "balanceOf(address)", (self.holder,)),
                (
                    ReadValue(
                        ReadingName.BALANCE,
                        "" if token == self.primary else token,
                        decimals=self.decimals[token],
                        asset=token,
                    ),
                ),
            )
            for token in sorted(self.decimals)
        ]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """The same: a wallet has nothing else."""
        return self.flow_reads(known)
