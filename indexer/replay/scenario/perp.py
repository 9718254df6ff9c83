"""What anyone can do on one Perp v2 deployment: deposit, trade, arbitrage, read accounts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from indexer.replay.scenario.cast import COIN_UNIT, USDC_UNIT, Cast
from indexer.replay.scenario.chain import Call, Chain, Receipt
from indexer.replay.scenario.curie import PerpDeployment, sqrt_price_x96
from indexer.replay.scenario.deploy import World
from indexer.replay.scenario.traders import Entry

_OPEN = "openPosition((address,bool,bool,uint256,uint256,uint256,uint160,bytes32))"
_CLOSE = "closePosition((address,uint160,uint256,uint256,bytes32))"
_DEADLINE = 2**40
_NO_REFERRAL = b"\0" * 32
_TICK_SPACING = 200
# A swap may move the pool by about 10 % at most.
_LARGEST_STEP = 1.085
_DEEP_POCKET = 4e7


@dataclass
class PerpDesk:
    """One deployment in play, with the markets that are still open and the traders who hold positions."""

    chain: Chain
    cast: Cast
    world: World
    perp: PerpDeployment
    holders: dict[str, set[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    open_assets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open_assets = list(self.perp.plan.markets)

    def deposit_usdc(self, who: str, usd: float) -> None:
        """Gives fresh USDC to an account, which deposits it as margin."""
        self._deposit(who, self.world.usdc, int(usd * USDC_UNIT))

    def give_usdc(self, who: str, usd: float, *, spender: str) -> None:
        """Adds USDC to an account's wallet and lets the spender take any amount of it."""
        usdc = self.world.usdc
        amount = int(usd * USDC_UNIT)
        self.chain.send(Call(usdc, "transfer(address,uint256)", (who, amount)), self.cast.owner)
        self.chain.send(Call(usdc, "approve(address,uint256)", (spender, 2**256 - 1)), who)

    def deposit_weth(self, who: str, coins: float) -> None:
        self._deposit(who, self.world.weth, int(coins * COIN_UNIT))

    def add_liquidity(self, asset: str, price: float, bounds: tuple[float, float]) -> None:
        """The maker quotes between the bounds (multiples of the price) with the planned depth, L·√P in USD."""
        low, high = bounds
        depth = self.perp.plan.depths[asset]
        quote, coins = depth * (1 - math.sqrt(low)), depth / price * (1 - math.sqrt(1 / high))
        order = (
            self.perp.markets[asset].base,
            int(coins * 1.01 * COIN_UNIT),
            int(quote * COIN_UNIT),
            _tick(price * low),
            _tick(price * high),
            0,
            0,
            False,
            _DEADLINE,
        )
        signature = "addLiquidity((address,uint256,uint256,int24,int24,uint256,uint256,bool,uint256))"
        self.chain.send(Call(self.perp.clearing_house, signature, (order,)), self.cast.maker)

    def enter(self, entry: Entry, eth_price: float) -> None:
        """Deposits the margin and opens; when the margin is a little short, the trader takes less."""
        if entry.asset not in self.open_assets:
            return
        self.seen.add(entry.trader)
        if entry.weth_margin:
            self.deposit_weth(entry.trader, entry.weth_margin / eth_price)
        self.deposit_usdc(entry.trader, entry.margin)
        for share in (1.0, 0.9, 0.75):
            if self._open(entry, entry.margin * entry.leverage * share).succeeded:
                self.holders.setdefault(entry.trader, set()).add(entry.asset)
                return

    def leave(self, trader: str) -> None:
        """Closes what the trader holds and withdraws half of what is free."""
        for asset in sorted(self.holders.get(trader, ())):
            if asset in self.open_assets and self.close(trader, asset, note="trader close").succeeded:
                self.holders[trader].discard(asset)
        free = self.chain.read(
            self._vault_call("getFreeCollateralByToken(address,address)", trader, self.world.usdc, returns="uint256")
        )
        if free > 100 * USDC_UNIT:
            withdraw = Call(self.perp.vault, "withdraw(address,uint256)", (self.world.usdc, free // 2))
            self.chain.send(withdraw, trader, may_fail=True)

    def close(self, who: str, asset: str, *, note: str, gap: int = 2) -> Receipt:
        order = (self.perp.markets[asset].base, 0, 0, _DEADLINE, _NO_REFERRAL)
        return self.chain.send(Call(self.perp.clearing_house, _CLOSE, (order,)), who, note=note, may_fail=True, gap=gap)

    def spot_call(self, asset: str) -> Call:
        """Asks the pool for its square-root price, Q64.96."""
        return Call(self.perp.markets[asset].pool, "slot0()", (), ("uint160",))

    def arbitrage_call(self, asset: str, spot: float, target: float) -> Call:
        """A swap from the spot price towards the target, as far as the exchange's limits allow at once."""
        is_up = target > spot
        limit = min(target, spot * _LARGEST_STEP) if is_up else max(target, spot / _LARGEST_STEP)
        amount = int((_DEEP_POCKET if is_up else _DEEP_POCKET / spot) * COIN_UNIT)
        base = self.perp.markets[asset].base
        order = (base, not is_up, True, amount, 0, _DEADLINE, sqrt_price_x96(limit), _NO_REFERRAL)
        return Call(self.perp.clearing_house, _OPEN, (order,))

    def capacity(self) -> int:
        """The fund's capacity in smallest units of USDC; may be negative."""
        return int(self.chain.read(Call(self.perp.insurance_fund, "getInsuranceFundCapacity()", (), ("int256",))))

    def position_sizes(self, traders: list[str]) -> dict[str, dict[str, int]]:
        """Taker position by trader and asset, zeros left out."""
        pairs = [(trader, asset) for trader in traders for asset in self.perp.markets]
        signature = "getTakerPositionSize(address,address)"
        sizes = self.chain.read_many(
            [
                Call(self.perp.account_balance, signature, (trader, self.perp.markets[asset].base), ("int256",))
                for trader, asset in pairs
            ]
        )
        found: dict[str, dict[str, int]] = {}
        for (trader, asset), size in zip(pairs, sizes, strict=True):
            if size:
                found.setdefault(trader, {})[asset] = size
        return found

    def account_values(self, traders: list[str]) -> list[tuple[int, int]]:
        """(account value, margin required to avoid liquidation), 18 decimals, in the order of the traders."""
        calls = []
        for trader in traders:
            calls.append(Call(self.perp.clearing_house, "getAccountValue(address)", (trader,), ("int256",)))
            requirement = "getMarginRequirementForLiquidation(address)"
            calls.append(Call(self.perp.account_balance, requirement, (trader,), ("int256",)))
        answers = self.chain.read_many(calls)
        return list(zip(answers[::2], answers[1::2], strict=True))

    def _open(self, entry: Entry, notional: float) -> Receipt:
        # A long spends exactly this much quote; a short receives exactly this much.
        base = self.perp.markets[entry.asset].base
        order = (base, not entry.is_long, entry.is_long, int(notional * COIN_UNIT), 0, _DEADLINE, 0, _NO_REFERRAL)
        return self.chain.send(
            Call(self.perp.clearing_house, _OPEN, (order,)), entry.trader, note="open", may_fail=True
        )

    def _deposit(self, who: str, token: str, amount: int) -> None:
        self.chain.send_together(
            [
                (Call(token, "transfer(address,uint256)", (who, amount)), self.cast.owner),
                (Call(token, "approve(address,uint256)", (self.perp.vault, amount)), who),
                (Call(self.perp.vault, "deposit(address,uint256)", (token, amount)), who),
            ]
        )

    def _vault_call(self, signature: str, *args: object, returns: str) -> Call:
        return Call(self.perp.vault, signature, args, (returns,))


def _tick(price: float) -> int:
    return math.floor(math.log(price) / math.log(1.0001) / _TICK_SPACING) * _TICK_SPACING
