"""Morpho's suppliers, borrowers and keeper: interest, liquidations, realised bad debt, and one debt left hidden."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from indexer.replay.scenario.cast import COIN_UNIT, USDC_UNIT, Cast
from indexer.replay.scenario.chain import Call, Chain
from indexer.replay.scenario.deploy import World
from indexer.replay.scenario.morpho import PARAMS, MorphoMarket
from indexer.replay.scenario.timeline import Step, hour_step

_SUPPLY_STEP = 1
_ORDINARY_STEP = hour_step(1)
_RECKLESS_STEP = hour_step(58)
# The keeper is overwhelmed around the worst hour of 19 May.
_ABSENT = frozenset(map(hour_step, (59, 60, 61)))
_EARLY_STEPS = {1: 20, 3: 74, 5: 98}  # Borrower: step at which he comes, before falls in spring.
_RECKLESS = frozenset({0, 2, 4})
_ORACLE_UNIT = 10**36
_WAD = 10**18
_VIRTUAL_SHARES = 10**6
_MOST_LIQUIDATIONS = 3
_UNLIMITED = 2**256 - 1


@dataclass
class Lending:
    """Everyone who touches Morpho; borrowers with an even number pledge WETH, the others ALT."""

    chain: Chain
    cast: Cast
    world: World
    rng: Random
    hidden_debtor: str | None = None
    borrowing: set[str] = field(default_factory=set)

    def fund_actors(self) -> None:
        """Hands out USDC and approvals."""
        for supplier in self.cast.suppliers:
            self._equip(supplier, 5_000_000)
        self._equip(self.cast.morpho_keeper, 10_000_000)

    def act(self, step: Step) -> None:
        """What is due at this step."""
        if step.index == _SUPPLY_STEP:
            self._supply_all()
        for number, borrower in enumerate(self.cast.borrowers):
            if step.index == self._arrival(number):
                self._borrow(number, borrower, is_reckless=number in _RECKLESS)
        if step.index not in _ABSENT:
            self._liquidate_unsafe()
        if step.index % 40 == 21:
            self._withdraw_some()
        if step.index % 30 == 14:
            self._repay_some()

    def accrue(self) -> None:
        """Brings both markets' interest up to date."""
        for market in self.world.morpho.markets.values():
            self._send(f"accrueInterest({PARAMS})", (market.params,), self.cast.morpho_keeper)

    def _arrival(self, number: int) -> int:
        if number in _RECKLESS:
            return _RECKLESS_STEP
        return _EARLY_STEPS.get(number, _ORDINARY_STEP)

    def _market(self, number: int) -> MorphoMarket:
        return self.world.morpho.markets["WETH" if number % 2 == 0 else "ALT"]

    def _supply_all(self) -> None:
        for supplier in self.cast.suppliers:
            for symbol, usd in (("WETH", 1_400_000), ("ALT", 600_000)):
                args = (self.world.morpho.markets[symbol].params, usd * USDC_UNIT, 0, supplier, b"")
                self._send(f"supply({PARAMS},uint256,uint256,address,bytes)", args, supplier)

    def _borrow(self, number: int, borrower: str, *, is_reckless: bool) -> None:
        market = self._market(number)
        ltv, debt = self._draw_loan(market, is_reckless=is_reckless)
        price = self._oracle_price(market) / (_ORACLE_UNIT / COIN_UNIT * USDC_UNIT)
        coins = int(debt / ltv / price * COIN_UNIT)
        morpho, approve = self.world.morpho.address, "approve(address,uint256)"
        supply = (market.params, coins, borrower, b"")
        loan = (market.params, int(debt * USDC_UNIT), 0, borrower, borrower)
        transfer = Call(market.collateral, "transfer(address,uint256)", (borrower, coins))
        steps = [
            Call(market.collateral, approve, (morpho, _UNLIMITED)),
            Call(self.world.usdc, approve, (morpho, _UNLIMITED)),
            Call(morpho, f"supplyCollateral({PARAMS},uint256,address,bytes)", supply),
            Call(morpho, f"borrow({PARAMS},uint256,uint256,address,address)", loan),
        ]
        self.chain.send_together([(transfer, self.cast.owner), *((call, borrower) for call in steps)])
        self.borrowing.add(borrower)

    def _draw_loan(self, market: MorphoMarket, *, is_reckless: bool) -> tuple[float, float]:
        """Loan to value and debt in USD."""
        if market.name == "WETH/USDC":
            ltv = self.rng.uniform(0.835, 0.855) if is_reckless else self.rng.uniform(0.25, 0.8)
            return ltv, self.rng.uniform(40_000, 280_000)
        return self.rng.uniform(0.4, 0.74), self.rng.uniform(20_000, 120_000)

    def _liquidate_unsafe(self) -> None:
        left = _MOST_LIQUIDATIONS
        for number, borrower in enumerate(self.cast.borrowers):
            if left == 0:
                return
            if borrower in self.borrowing and self._liquidate_if_unsafe(borrower, self._market(number)):
                left -= 1

    def _liquidate_if_unsafe(self, borrower: str, market: MorphoMarket) -> bool:
        shares, collateral, debt = self._read_position(borrower, market)
        worth = collateral * self._oracle_price(market) // _ORACLE_UNIT
        if shares == 0 or collateral < 10 or debt * _WAD <= worth * market.lltv:
            return False
        # Morpho's incentive: min(1.15, 1 / (1 - 0.3 (1 - lltv))).
        incentive = min(1.15, 1 / (1 - 0.3 * (1 - market.lltv / _WAD)))
        if debt * incentive < worth * 0.999:
            seized, repaid = 0, shares
        else:
            # Taking all collateral makes Morpho book the bad debt; leaving one wei of it hides the debt.
            is_hiding = market.name == "ALT/USDC" and self.hidden_debtor is None
            seized, repaid = collateral - int(is_hiding), 0
            self.hidden_debtor = borrower if is_hiding else self.hidden_debtor
        args = (market.params, borrower, seized, repaid, b"")
        self._send(f"liquidate({PARAMS},address,uint256,uint256,bytes)", args, self.cast.morpho_keeper)
        self.borrowing.discard(borrower)
        return True

    def _read_position(self, borrower: str, market: MorphoMarket) -> tuple[int, int, int]:
        """Borrow shares, collateral and debt in smallest units (interest up to the last accrual)."""
        types = ("uint256", "uint128", "uint128")
        position = Call(self.world.morpho.address, "position(bytes32,address)", (market.market_id, borrower), types)
        totals = Call(self.world.morpho.address, "market(bytes32)", (market.market_id,), ("uint128",) * 6)
        _, shares, collateral = self.chain.read(position)
        _, _, assets, all_shares, _, _ = self.chain.read(totals)
        return shares, collateral, shares * (assets + 1) // (all_shares + _VIRTUAL_SHARES) + 1

    def _withdraw_some(self) -> None:
        symbol, supplier = self.rng.choice(["WETH", "ALT"]), self.rng.choice(self.cast.suppliers)
        amount = self.rng.randint(5, 40) * 1_000 * USDC_UNIT
        args = (self.world.morpho.markets[symbol].params, amount, 0, supplier, supplier)
        self._send(f"withdraw({PARAMS},uint256,uint256,address,address)", args, supplier, may_fail=True)

    def _repay_some(self) -> None:
        if not self.borrowing:
            return
        borrower = self.rng.choice(sorted(self.borrowing))
        market = self._market(self.cast.borrowers.index(borrower))
        amount = self.rng.randint(1, 8) * 1_000 * USDC_UNIT
        self._send(
            f"repay({PARAMS},uint256,uint256,address,bytes)",
            (market.params, amount, 0, borrower, b""),
            borrower,
            may_fail=True,
        )

    def _oracle_price(self, market: MorphoMarket) -> int:
        return int(self.chain.read(Call(market.oracle, "price()", (), ("uint256",))))

    def _equip(self, who: str, usd: int) -> None:
        transfer = Call(self.world.usdc, "transfer(address,uint256)", (who, usd * USDC_UNIT))
        approve = Call(self.world.usdc, "approve(address,uint256)", (self.world.morpho.address, _UNLIMITED))
        self.chain.send_together([(transfer, self.cast.owner), (approve, who)])

    def _send(self, signature: str, args: tuple[object, ...], sender: str, *, may_fail: bool = False) -> None:
        note = f"morpho {signature.partition('(')[0]}"
        self.chain.send(Call(self.world.morpho.address, signature, args), sender, note=note, may_fail=may_fail)
