"""Morpho Blue: no fund. A liquidation that leaves debt without collateral is written off its suppliers at once.

Totals of a market, exactly: supply = Σ supply changes + interest − written off; borrow = Σ debt changes + interest,
where a liquidation takes away what was repaid and what was written off. One wei of collateral left hides a loss.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from indexer.adapter import ContractCall, FactDraft, Known, Log, LogFilter, Read, ReadValue
from indexer.specs import FundSpec
from indexer.words import Event
from ledger.kinds import ReadingName, Role, Side

CREATE_MARKET = Event("CreateMarket(bytes32 indexed id, (address,address,address,address,uint256) marketParams)")
SUPPLY = Event(
    "Supply(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets, uint256 shares)"
)
WITHDRAW = Event(
    "Withdraw(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver, "
    "uint256 assets, uint256 shares)"
)
BORROW = Event(
    "Borrow(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver, "
    "uint256 assets, uint256 shares)"
)
REPAY = Event(
    "Repay(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets, uint256 shares)"
)
SUPPLY_COLLATERAL = Event(
    "SupplyCollateral(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets)"
)
WITHDRAW_COLLATERAL = Event(
    "WithdrawCollateral(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver, "
    "uint256 assets)"
)
LIQUIDATE = Event(
    "Liquidate(bytes32 indexed id, address indexed caller, address indexed borrower, uint256 repaidAssets, "
    "uint256 repaidShares, uint256 seizedAssets, uint256 badDebtAssets, uint256 badDebtShares)"
)
ACCRUE_INTEREST = Event(
    "AccrueInterest(bytes32 indexed id, uint256 prevBorrowRate, uint256 interest, uint256 feeShares)"
)
SET_FEE = Event("SetFee(bytes32 indexed id, uint256 newFee)")
OWNER_SET = Event("SetOwner(address indexed newOwner)")

NOBODY = "0x" + "0" * 40
PRICE_DECIMALS = 36  # collateral units × price / 1e36 = loan units, whatever the tokens' decimals.

Handler = Callable[[Log], Sequence[FactDraft]]
SHARES = {Side.SUPPLY: Side.SUPPLY_SHARES, Side.DEBT: Side.DEBT_SHARES}


class MorphoBlue:
    """One deployment with all its markets; those whose loan token the file lists are read at blocks."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, fund: FundSpec) -> None:
        fund.check_contracts({"morpho"})
        self.morpho = fund.contract("morpho")
        self.decimals = {asset.address: asset.decimals for asset in fund.assets}
        # A market's events name its id only; the tokens come from its CreateMarket, which is always seen first.
        self.markets: dict[str, tuple[str, str]] = {}
        self.handlers: dict[str, Handler] = {
            CREATE_MARKET.topic0: self._market_created,
            SUPPLY.topic0: self._changed(SUPPLY, Side.SUPPLY, 1),
            WITHDRAW.topic0: self._changed(WITHDRAW, Side.SUPPLY, -1),
            BORROW.topic0: self._changed(BORROW, Side.DEBT, 1),
            REPAY.topic0: self._changed(REPAY, Side.DEBT, -1),
            SUPPLY_COLLATERAL.topic0: self._collateral(SUPPLY_COLLATERAL, 1),
            WITHDRAW_COLLATERAL.topic0: self._collateral(WITHDRAW_COLLATERAL, -1),
            LIQUIDATE.topic0: self._liquidated,
            ACCRUE_INTEREST.topic0: self._accrued,
            SET_FEE.topic0: self._fee_set,
            OWNER_SET.topic0: self._owner_set,
        }

    def remember(self, markets: Mapping[str, Mapping[str, Any]]) -> None:
        """Markets that the ledger knows from earlier runs; an id is the hash of its tokens, so this is never wrong."""
        for market, detail in markets.items():
            self.markets[market] = (detail["loan"], detail["collateral"])

    def filters(self) -> Sequence[LogFilter]:
        """All events of the one contract that move a market's totals or rules."""
        return [LogFilter(frozenset({self.morpho}), (frozenset(self.handlers),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """The facts of one log."""
        handler = self.handlers.get(log.topics[0]) if log.topics and log.address == self.morpho else None
        return handler(log) if handler else ()

    def _loan(self, market: str) -> str | None:
        return self.markets[market][0] if market in self.markets else None

    def _collateral_token(self, market: str) -> str | None:
        return self.markets[market][1] if market in self.markets else None

    def _market_created(self, log: Log) -> Sequence[FactDraft]:
        market, loan, collateral, oracle, irm, lltv = CREATE_MARKET.values(log)
        self.markets[market] = (loan, collateral)
        detail = {"loan": loan, "collateral": collateral, "oracle": oracle, "irm": irm, "lltv": str(lltv)}
        return (FactDraft(Role.MARKET_CREATED, market=market, detail=detail),)

    def _changed(self, event: Event, side: Side, sign: int) -> Handler:
        account_at = [parameter.name for parameter in event.parameters].index("onBehalf")

        def changed(log: Log) -> Sequence[FactDraft]:
            values = event.values(log)
            market, account, assets, shares = values[0], values[account_at], values[-2], values[-1]
            role = Role.EXPOSURE_CHANGE
            draft = FactDraft(role, sign * assets, self._loan(market), side=side, account=account, market=market)
            return (draft, FactDraft(role, sign * shares, side=SHARES[side], account=account, market=market))

        return changed

    def _collateral(self, event: Event, sign: int) -> Handler:
        account_at = [parameter.name for parameter in event.parameters].index("onBehalf")

        def changed(log: Log) -> Sequence[FactDraft]:
            values = event.values(log)
            token = self._collateral_token(values[0])
            return (
                FactDraft(
                    Role.EXPOSURE_CHANGE,
                    sign * values[-1],
                    token,
                    side=Side.COLLATERAL,
                    account=values[account_at],
                    market=values[0],
                ),
            )

        return changed

    def _liquidated(self, log: Log) -> Sequence[FactDraft]:
        market, caller, borrower, repaid, repaid_shares, seized, lost, lost_shares = LIQUIDATE.values(log)
        loan, collateral = self._loan(market), self._collateral_token(market)

        def draft(role: Role, amount: int, asset: str | None, side: Side | None = None) -> FactDraft:
            return FactDraft(role, amount, asset, side=side, account=borrower, market=market)

        facts = [
            replace(draft(Role.LIQUIDATION, repaid, loan, Side.DEBT), detail={"liquidator": caller}),
            draft(Role.LIQUIDATION, seized, collateral, Side.COLLATERAL),
            draft(Role.EXPOSURE_CHANGE, -repaid - lost, loan, Side.DEBT),
            draft(Role.EXPOSURE_CHANGE, -repaid_shares - lost_shares, None, Side.DEBT_SHARES),
            draft(Role.EXPOSURE_CHANGE, -seized, collateral, Side.COLLATERAL),
        ]
        if lost:
            facts += [draft(Role.SHORTFALL, lost, loan), draft(Role.SOCIALISED_LOSS, lost, loan)]
        return facts

    def _accrued(self, log: Log) -> Sequence[FactDraft]:
        market, _, interest, fee_shares = ACCRUE_INTEREST.values(log)
        accrued = FactDraft(Role.INTEREST_ACCRUED, interest, self._loan(market), market=market)
        # The event does not name the fee recipient; the shares still count in the market's total.
        fee = FactDraft(Role.EXPOSURE_CHANGE, fee_shares, side=Side.SUPPLY_SHARES, market=market)
        return [*([accrued] if interest else []), *([fee] if fee_shares else [])]

    def _fee_set(self, log: Log) -> Sequence[FactDraft]:
        market, fee = SET_FEE.values(log)
        detail = {"name": "fee", "value": str(fee), "unit": "fraction", "decimals": 18}
        return (FactDraft(Role.PARAM, market=market, detail=detail),)

    def _owner_set(self, log: Log) -> Sequence[FactDraft]:
        (owner,) = OWNER_SET.values(log)
        return (FactDraft(Role.CONTROL, account=owner, detail={"event": "SetOwner"}),)

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """Nothing: there is no balance."""
        return ()

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """Totals and oracle price of each market whose loan token the fund's file lists."""
        return [
            read
            for market, detail in sorted(known.markets.items())
            if detail["loan"] in self.decimals
            for read in self._market_reads(market, detail["loan"], detail["oracle"])
        ]

    def _market_reads(self, market: str, loan: str, oracle: str) -> list[Read]:
        decimals = self.decimals[loan]
        totals = ContractCall(self.morpho, "market(bytes32)", (bytes.fromhex(market[2:]),), ("uint128",) * 6)
        values = (
            ReadValue(ReadingName.TOTAL_SUPPLY, market, 0, decimals, loan),
            ReadValue(ReadingName.TOTAL_SUPPLY_SHARES, market, 1),
            ReadValue(ReadingName.TOTAL_BORROW, market, 2, decimals, loan),
            ReadValue(ReadingName.TOTAL_BORROW_SHARES, market, 3),
        )
        price = ReadValue(ReadingName.ORACLE_PRICE, market, decimals=PRICE_DECIMALS)
        reads = [Read(totals, values)]
        # A market without an oracle cannot be borrowed from.
        return reads if oracle == NOBODY else [*reads, Read(ContractCall(oracle, "price()"), (price,))]
