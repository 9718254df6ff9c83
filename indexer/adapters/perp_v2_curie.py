"""Perpetual Protocol v2 (Curie): one insurance fund, its capacity, what feeds it, and the positions it stands behind.

The capacity moves by: transfers to and from the fund's wallet, deposits made for it in the vault, PnlRealized(fund)
(18 decimals, floored to the settlement token's), its fee of a collateral liquidation, and BadDebtSettled. Repaid moves
money between the fund's two pockets and changes nothing. The contract floors the sum of what is realised and not yet
in the vault, and a withdrawal of the fund drops the rest: counted so, flows give the capacity to the last unit, while
facts, which hold whole units, fall behind it by half a unit each. Positions are Σ PositionChanged − Σ PositionClosed; a
liquidation emits PositionChanged itself. Makers only show in LiquidityChanged.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from indexer.adapter import ContractCall, FactDraft, Known, Log, LogFilter, Read, ReadValue
from indexer.specs import FundSpec
from indexer.words import Event, address_topic
from ledger.kinds import Contribution, ReadingName, Role, Side

BAD_DEBT_SETTLED = Event("BadDebtSettled(address indexed trader, uint256 amount)")
COLLATERAL_LIQUIDATED = Event(
    "CollateralLiquidated(address indexed trader, address indexed collateralToken, address indexed liquidator, "
    "uint256 collateral, uint256 repaid, uint256 insuranceFundFee, uint24 discountRatio)"
)
DEPOSITED = Event("Deposited(address indexed collateralToken, address indexed trader, uint256 amount)")
WITHDRAWN = Event("Withdrawn(address indexed collateralToken, address indexed trader, uint256 amount)")
PNL_REALIZED = Event("PnlRealized(address indexed trader, int256 amount)")
POSITION_CHANGED = Event(
    "PositionChanged(address indexed trader, address indexed baseToken, int256 exchangedPositionSize, "
    "int256 exchangedPositionNotional, uint256 fee, int256 openNotional, int256 realizedPnl, uint256 sqrtPriceAfterX96)"
)
POSITION_CLOSED = Event(
    "PositionClosed(address indexed trader, address indexed baseToken, int256 closedPositionSize, "
    "int256 closedPositionNotional, int256 openNotional, int256 realizedPnl, uint256 closedPrice)"
)
POSITION_LIQUIDATED = Event(
    "PositionLiquidated(address indexed trader, address indexed baseToken, uint256 positionNotional, "
    "uint256 positionSize, uint256 liquidationFee, address liquidator)"
)
LIQUIDITY_CHANGED = Event(
    "LiquidityChanged(address indexed maker, address indexed baseToken, address indexed quoteToken, int24 lowerTick, "
    "int24 upperTick, int256 base, int256 quote, int128 liquidity, uint256 quoteFee)"
)
REPAID = Event("Repaid(uint256 repaidAmount, uint256 tokenBalanceAfterRepaid)")
FEE_DISTRIBUTED = Event(
    "FeeDistributed(uint256 surplus, uint256 insuranceFundCapacity, uint256 insuranceFundFreeCollateral, "
    "uint256 distributionThreshold)"
)
THRESHOLD_CHANGED = Event("DistributionThresholdChanged(uint256 distributionThreshold)")
BENEFICIARY_CHANGED = Event("SurplusBeneficiaryChanged(address surplusBeneficiary)")
OWNERSHIP_TRANSFERRED = Event("OwnershipTransferred(address indexed previousOwner, address indexed newOwner)")
POOL_ADDED = Event("PoolAdded(address indexed baseToken, uint24 indexed feeRatio, address indexed pool)")
FUND_FEE_RATIO_CHANGED = Event("InsuranceFundFeeRatioChanged(address baseToken, uint24 feeRatio)")
FEE_RATIO_CHANGED = Event("FeeRatioChanged(address baseToken, uint24 feeRatio)")
PENALTY_RATIO_CHANGED = Event("LiquidationPenaltyRatioChanged(uint24 liquidationPenaltyRatio)")
COLLATERAL_FEE_RATIO_CHANGED = Event("CLInsuranceFundFeeRatioChanged(uint24 clInsuranceFundFeeRatio)")
STATUS_UPDATED = Event("StatusUpdated(uint8 indexed status)")
TRANSFER = Event("Transfer(address indexed from, address indexed to, uint256 value)")

REQUIRED = {"insurance_fund", "vault", "clearing_house", "account_balance", "market_registry"}
OPTIONAL = frozenset({"clearing_house_config", "collateral_manager", "order_book", "exchange"})
MARKET_STATES = ("open", "paused", "closed")
PROTOCOL_DECIMALS = 18
NO_UNIT: Mapping[str, Any] = {}
RATIO: Mapping[str, Any] = {"unit": "fraction", "decimals": 6}
"""Perp's uint24 ratios: 1e6 is the whole."""
MARGIN_CALL = "getMarginRequirementForLiquidation"

Handler = Callable[[Log], Sequence[FactDraft]]


def contract_reads(calls: Mapping[tuple[str, str, str], ReadValue]) -> list[Read]:
    """Argument-free calls by (contract, signature, returned type) that carry one value each."""
    return [Read(ContractCall(to, call, (), (kind,)), (value,)) for (to, call, kind), value in calls.items()]


class PerpV2Curie:
    """One deployment of Perp v2; the fund is its segment, the base tokens are its markets."""

    version = 1
    # One unit where the event is floored, one where the view floors the sum of what is not settled yet.
    rounding_per_flow_raw = 2
    is_exact = True
    tracked_sides = frozenset({Side.POSITION, Side.LIQUIDITY})

    def __init__(self, fund: FundSpec) -> None:
        fund.check_contracts(REQUIRED, OPTIONAL)
        settlement = fund.balance()
        self.token, self.decimals = settlement.address, settlement.decimals
        self.money = {"unit": settlement.symbol, "decimals": self.decimals}
        self.scale = 10 ** (PROTOCOL_DECIMALS - self.decimals)
        self.contracts = fund.contracts
        self.fund, self.vault = fund.contract("insurance_fund"), fund.contract("vault")
        self.base_tokens = frozenset(asset.address for asset in fund.assets if asset.is_market)
        self.handlers = self._handlers()

    def _handlers(self) -> dict[tuple[str, str], Handler]:
        contract = self.contracts
        handled: list[tuple[str | None, Event, Handler]] = [
            (self.vault, BAD_DEBT_SETTLED, self._bad_debt),
            (self.vault, COLLATERAL_LIQUIDATED, self._collateral_liquidated),
            (self.vault, DEPOSITED, self._vault_move(DEPOSITED)),
            (self.vault, WITHDRAWN, self._vault_move(WITHDRAWN)),
            (contract["account_balance"], PNL_REALIZED, self._pnl_realized),
            (contract["clearing_house"], POSITION_CHANGED, self._position(POSITION_CHANGED, 1)),
            (contract["clearing_house"], POSITION_CLOSED, self._position(POSITION_CLOSED, -1)),
            (contract["clearing_house"], POSITION_LIQUIDATED, self._position_liquidated),
            *((contract.get(name), LIQUIDITY_CHANGED, self._liquidity) for name in
              ("clearing_house", "order_book", "exchange")),  # Earlier versions emitted it elsewhere.
            (self.fund, REPAID, self._repaid),
            (self.fund, FEE_DISTRIBUTED, self._fee_distributed),
            (self.fund, THRESHOLD_CHANGED,
             self._param(THRESHOLD_CHANGED, "distribution_threshold", self.money)),
            (self.fund, BENEFICIARY_CHANGED, self._param(BENEFICIARY_CHANGED, "surplus_beneficiary")),
            (self.fund, OWNERSHIP_TRANSFERRED, self._owner_changed),
            (contract["market_registry"], POOL_ADDED, self._pool_added),
            (contract["market_registry"], FUND_FEE_RATIO_CHANGED, self._market_param("insurance_fund_fee_ratio")),
            (contract["market_registry"], FEE_RATIO_CHANGED, self._market_param("fee_ratio")),
            (contract.get("clearing_house_config"), PENALTY_RATIO_CHANGED,
             self._param(PENALTY_RATIO_CHANGED, "liquidation_penalty_ratio", RATIO)),
            (contract.get("collateral_manager"), COLLATERAL_FEE_RATIO_CHANGED,
             self._param(COLLATERAL_FEE_RATIO_CHANGED, "collateral_liquidation_fee_ratio", RATIO)),
            *((token, STATUS_UPDATED, self._status_updated) for token in sorted(self.base_tokens)),
            (self.token, TRANSFER, self._transfer),
        ]  # fmt: skip
        return {(address, event.topic0): handler for address, event, handler in handled if address}

    def filters(self) -> Sequence[LogFilter]:
        """Everything of the deployment's own contracts; of shared ones only what names the fund."""
        me = frozenset({address_topic(self.fund)})
        named = {
            (self.vault, DEPOSITED.topic0): (None, me),
            (self.vault, WITHDRAWN.topic0): (None, me),
            (self.contracts["account_balance"], PNL_REALIZED.topic0): (me,),
        }
        whole: dict[str, set[str]] = {}
        for address, topic0 in self.handlers:
            if (address, topic0) not in named and address != self.token:
                whole.setdefault(address, set()).add(topic0)
        transfer = frozenset({TRANSFER.topic0})
        return [
            *(LogFilter(frozenset({address}), (frozenset(topics),)) for address, topics in whole.items()),
            *(LogFilter(frozenset({a}), (frozenset({t}), *rest)) for (a, t), rest in named.items()),
            LogFilter(frozenset({self.token}), (transfer, me)),
            LogFilter(frozenset({self.token}), (transfer, None, me)),
        ]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """The facts of one log; transfers and realized profit get their final role in `attribute`."""
        handler = self.handlers.get((log.address, log.topics[0])) if log.topics else None
        return handler(log) if handler else ()

    def _bad_debt(self, log: Log) -> Sequence[FactDraft]:
        trader, amount = BAD_DEBT_SETTLED.values(log)
        if amount == 0:
            return ()
        draft = FactDraft(Role.SHORTFALL, amount, self.token, account=trader)
        return (draft, replace(draft, role=Role.PAYOUT))

    def _collateral_liquidated(self, log: Log) -> Sequence[FactDraft]:
        trader, token, liquidator, collateral, repaid, fee, _ = COLLATERAL_LIQUIDATED.values(log)
        debt = FactDraft(
            Role.LIQUIDATION, repaid, self.token, side=Side.DEBT, account=trader, detail={"liquidator": liquidator}
        )
        seized = FactDraft(
            Role.LIQUIDATION, collateral, token, side=Side.COLLATERAL, account=trader, detail={"token": token}
        )
        paid = FactDraft(Role.CONTRIBUTION, fee, self.token, Contribution.LIQUIDATION_FEE, account=trader)
        return (debt, seized, paid) if fee else (debt, seized)

    def _vault_move(self, event: Event) -> Handler:
        def moved(log: Log) -> Sequence[FactDraft]:
            token, trader, amount = event.values(log)
            if trader != self.fund or token != self.token or amount == 0:
                return ()
            return (FactDraft(Role.ACCOUNTING, amount, self.token, detail={"event": event.name}),)

        return moved

    def _pnl_realized(self, log: Log) -> Sequence[FactDraft]:
        trader, amount = PNL_REALIZED.values(log)
        floored = amount // self.scale
        if trader != self.fund or floored == 0:
            return ()
        if floored < 0:
            return (FactDraft(Role.WITHDRAWAL, -floored, self.token, detail={"event": PNL_REALIZED.name}),)
        return (FactDraft(Role.CONTRIBUTION, floored, self.token, Contribution.TRADING_FEE),)

    def _position(self, event: Event, sign: int) -> Handler:
        def changed(log: Log) -> Sequence[FactDraft]:
            trader, market, size, *_ = event.values(log)
            if size == 0:
                return ()
            return (
                FactDraft(Role.EXPOSURE_CHANGE, sign * size, market, side=Side.POSITION, account=trader, market=market),
            )

        return changed

    def _position_liquidated(self, log: Log) -> Sequence[FactDraft]:
        trader, market, notional, size, fee, liquidator = POSITION_LIQUIDATED.values(log)
        detail = {"size_raw": str(size), "penalty_raw": str(fee), "liquidator": liquidator}
        return (
            FactDraft(
                Role.LIQUIDATION,
                notional // self.scale,
                self.token,
                side=Side.POSITION,
                account=trader,
                market=market,
                detail=detail,
            ),
        )

    def _liquidity(self, log: Log) -> Sequence[FactDraft]:
        maker, market, _, _, _, _, _, liquidity, _ = LIQUIDITY_CHANGED.values(log)
        if liquidity == 0:
            return ()
        return (FactDraft(Role.EXPOSURE_CHANGE, liquidity, side=Side.LIQUIDITY, account=maker, market=market),)

    def _repaid(self, log: Log) -> Sequence[FactDraft]:
        amount, left = REPAID.values(log)
        return (FactDraft(Role.ACCOUNTING, amount, self.token, detail={"event": "Repaid", "wallet_after": str(left)}),)

    def _fee_distributed(self, log: Log) -> Sequence[FactDraft]:
        surplus, capacity, free, threshold = FEE_DISTRIBUTED.values(log)
        detail = {"event": "FeeDistributed", "capacity": str(capacity), "free": str(free), "threshold": str(threshold)}
        return (FactDraft(Role.ACCOUNTING, surplus, self.token, detail=detail),)

    def _param(self, event: Event, name: str, unit: Mapping[str, Any] = NO_UNIT) -> Handler:
        def changed(log: Log) -> Sequence[FactDraft]:
            (value,) = event.values(log)
            return (FactDraft(Role.PARAM, detail={"name": name, "value": str(value), **unit}),)

        return changed

    def _market_param(self, name: str) -> Handler:
        event = FUND_FEE_RATIO_CHANGED if name == "insurance_fund_fee_ratio" else FEE_RATIO_CHANGED

        def changed(log: Log) -> Sequence[FactDraft]:
            market, ratio = event.values(log)
            detail = {"name": name, "value": str(ratio), **RATIO}
            return (FactDraft(Role.PARAM, market=market, detail=detail),)

        return changed

    def _owner_changed(self, log: Log) -> Sequence[FactDraft]:
        before, after = OWNERSHIP_TRANSFERRED.values(log)
        return (FactDraft(Role.CONTROL, account=after, detail={"event": "OwnershipTransferred", "before": before}),)

    def _pool_added(self, log: Log) -> Sequence[FactDraft]:
        market, fee_ratio, pool = POOL_ADDED.values(log)
        return (FactDraft(Role.MARKET_CREATED, market=market, detail={"pool": pool, "fee_ratio": fee_ratio}),)

    def _status_updated(self, log: Log) -> Sequence[FactDraft]:
        (status,) = STATUS_UPDATED.values(log)
        state = MARKET_STATES[status]
        role = Role.PARAM if state == "open" else Role.MARKET_SHUTDOWN
        return (FactDraft(role, market=log.address, detail={"name": "market_state", "value": state}),)

    def _transfer(self, log: Log) -> Sequence[FactDraft]:
        sender, receiver, amount = TRANSFER.values(log)
        # Zero-value transfers cost a stranger nothing and move nothing; one to itself moves nothing either.
        if amount == 0 or sender == receiver or self.fund not in (sender, receiver):
            return ()
        other = receiver if sender == self.fund else sender
        if other == self.vault:
            direction = "to vault" if sender == self.fund else "from vault"
            return (FactDraft(Role.ACCOUNTING, amount, self.token, account=other, detail={"event": direction}),)
        if sender == self.fund:
            return (FactDraft(Role.WITHDRAWAL, amount, self.token, account=other),)
        return (FactDraft(Role.CONTRIBUTION, amount, self.token, Contribution.TOP_UP, account=other),)

    def attribute(self, logs: Sequence[Log], facts: Sequence[Sequence[FactDraft]]) -> Sequence[Sequence[FactDraft]]:
        """Settles what only the whole transaction shows.

        Realized profit of exactly half a penalty (± 1 unit of 1e-18) is the penalty's share, any other is a share of
        trading fees. A transfer out that a FeeDistributed names is the surplus. A move between wallet and vault with
        both ends seen is internal; with one end only, money came in or went out.
        """
        settled = [list(drafts) for drafts in facts]
        topics = {log.topics[0] for log in logs}
        if POSITION_LIQUIDATED.topic0 in topics:
            self._attribute_penalties(logs, settled)
        if FEE_DISTRIBUTED.topic0 in topics:
            self._attribute_surplus(logs, settled)
        moves = [(row, draft) for row, drafts in enumerate(settled) for draft in drafts if self._is_pocket_move(draft)]
        for into, out, role in (
            ("Deposited", "to vault", Role.CONTRIBUTION),
            ("from vault", "Withdrawn", Role.CONTRIBUTION),
            ("to vault", "Deposited", Role.WITHDRAWAL),
            ("Withdrawn", "from vault", Role.WITHDRAWAL),
        ):
            for row, draft in unmatched(moves, into, out):
                source = Contribution.TOP_UP if role == Role.CONTRIBUTION else None
                settled[row] = [replace(draft, role=role, source=source)]
        return settled

    @staticmethod
    def _is_pocket_move(draft: FactDraft) -> bool:
        names = ("Deposited", "Withdrawn", "to vault", "from vault")
        return draft.role == Role.ACCOUNTING and draft.detail is not None and draft.detail["event"] in names

    def _attribute_penalties(self, logs: Sequence[Log], settled: list[list[FactDraft]]) -> None:
        penalties = [POSITION_LIQUIDATED.values(log)[4] for log in logs if log.topics[0] == POSITION_LIQUIDATED.topic0]
        for row, log in enumerate(logs):
            if log.topics[0] != PNL_REALIZED.topic0 or not settled[row]:
                continue
            amount = PNL_REALIZED.values(log)[1]
            match = next((fee for fee in penalties if abs(2 * amount - fee) <= 2), None)
            if match is not None:
                penalties.remove(match)
                settled[row] = [replace(settled[row][0], source=Contribution.LIQUIDATION_FEE)]

    def _attribute_surplus(self, logs: Sequence[Log], settled: list[list[FactDraft]]) -> None:
        surplus = [FEE_DISTRIBUTED.values(log)[0] for log in logs if log.topics[0] == FEE_DISTRIBUTED.topic0]
        for row, drafts in enumerate(settled):
            if drafts and drafts[0].role == Role.WITHDRAWAL and drafts[0].amount_raw in surplus:
                surplus.remove(drafts[0].amount_raw)
                settled[row] = [replace(drafts[0], role=Role.SURPLUS_DISTRIBUTION)]

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """Capacity and its two pockets."""
        money = {"decimals": self.decimals, "asset": self.token}
        return [
            Read(
                ContractCall(self.fund, "getInsuranceFundCapacity()", (), ("int256",)),
                (ReadValue(ReadingName.BALANCE, **money),),  # type: ignore[arg-type]  # One dict for int and str.
            ),
            Read(
                ContractCall(self.token, "balanceOf(address)", (self.fund,)),
                (ReadValue(ReadingName.WALLET_BALANCE, **money),),  # type: ignore[arg-type]
            ),
            Read(
                ContractCall(self.vault, "getSettlementTokenValue(address)", (self.fund,), ("int256",)),
                (ReadValue(ReadingName.VAULT_BALANCE, **money),),  # type: ignore[arg-type]
            ),
        ]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """The fund, each market's price and state, and every account with an open position or order."""
        accounts: dict[str, set[str]] = {}
        for account, market, _ in known.sums:
            accounts.setdefault(account, set()).add(market)
        threshold = ReadValue(ReadingName.DISTRIBUTION_THRESHOLD, decimals=self.decimals, asset=self.token)
        fixed = {
            (self.fund, "getDistributionThreshold()", "uint256"): threshold,
            (self.fund, "owner()", "uint256"): ReadValue(ReadingName.OWNER),
        }
        return [
            *self.flow_reads(known),
            *contract_reads(fixed),
            *(read for market in sorted(known.markets) for read in self._market_reads(market)),
            *(read for account in sorted(accounts) for read in self._account_reads(account, sorted(accounts[account]))),
        ]

    def _market_reads(self, market: str) -> list[Read]:
        index = ReadValue(ReadingName.INDEX_PRICE, market, decimals=PROTOCOL_DECIMALS)
        mark = ReadValue(ReadingName.MARK_PRICE, market, decimals=PROTOCOL_DECIMALS)
        return [
            # Interval 0 is the latest price, not an average over time.
            Read(ContractCall(market, "getIndexPrice(uint256)", (0,)), (index,)),
            Read(ContractCall(self.contracts["account_balance"], "getMarkPrice(address)", (market,)), (mark,)),
            Read(ContractCall(market, "isOpen()", (), ("bool",)), (ReadValue(ReadingName.IS_OPEN, market),)),
        ]

    def _account_reads(self, account: str, markets: Sequence[str]) -> list[Read]:
        balance, house = self.contracts["account_balance"], self.contracts["clearing_house"]
        asked = [
            (house, "getAccountValue(address)", (account,), ReadingName.ACCOUNT_VALUE, account),
            (balance, f"{MARGIN_CALL}(address)", (account,), ReadingName.MARGIN_REQUIREMENT, account),
        ]  # fmt: skip
        pairs = [
            (balance, f"{call}(address,address)", (account, market), name, f"{account}/{market}")
            for market in markets
            for call, name in (
                ("getTotalPositionSize", ReadingName.POSITION_SIZE),
                ("getTakerPositionSize", ReadingName.TAKER_SIZE),
            )
        ]
        return [
            Read(ContractCall(to, call, args, ("int256",)), (ReadValue(name, subject, decimals=PROTOCOL_DECIMALS),))
            for to, call, args, name, subject in [*asked, *pairs]
        ]


def unmatched(moves: Sequence[tuple[int, FactDraft]], name: str, partner: str) -> list[tuple[int, FactDraft]]:
    """Moves called `name` for which no `partner` of the same amount exists in the transaction."""
    left = [draft.amount_raw for _, draft in moves if draft.detail and draft.detail["event"] == partner]
    alone = []
    for row, draft in moves:
        if draft.detail is None or draft.detail["event"] != name:
            continue
        if draft.amount_raw in left:
            left.remove(draft.amount_raw)
        else:
            alone.append((row, draft))
    return alone
