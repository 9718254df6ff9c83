"""Aave V2's liquidations: what was repaid and what was seized. V2 never books bad debt, so no loss is in any event."""

from collections.abc import Sequence

from indexer.adapter import FactDraft, Known, Log, LogFilter, Read
from indexer.specs import FundSpec
from indexer.words import Event
from ledger.kinds import Role, Side

LIQUIDATION_CALL = Event(
    "LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user, "
    "uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)"
)


class AaveV2:
    """One deployment: its main pool and, where the file names it, the pool for AMM shares."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, fund: FundSpec) -> None:
        fund.check_contracts({"pool"}, frozenset({"amm_pool"}))
        self.pools = frozenset(fund.contracts.values())

    def filters(self) -> Sequence[LogFilter]:
        """The pools' LiquidationCall."""
        return [LogFilter(self.pools, (frozenset({LIQUIDATION_CALL.topic0}),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """Two facts a log: the debt repaid and the collateral taken; the market is the reserve each belongs to."""
        if log.address not in self.pools or not log.topics or log.topics[0] != LIQUIDATION_CALL.topic0:
            return ()
        collateral, debt, user, repaid, seized, liquidator, as_receipt = LIQUIDATION_CALL.values(log)
        detail = {"liquidator": liquidator, "receive_atoken": as_receipt, "collateral": collateral}
        return (
            FactDraft(Role.LIQUIDATION, repaid, debt, side=Side.DEBT, account=user, market=debt, detail=detail),
            FactDraft(Role.LIQUIDATION, seized, collateral, side=Side.COLLATERAL, account=user, market=collateral),
        )

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """Nothing: the pool has no fund of its own."""
        return ()

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """Nothing: liquidations are history, and the loss a liquidation leaves is in no view."""
        return ()
