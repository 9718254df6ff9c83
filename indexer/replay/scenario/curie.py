"""Deploys one Perp v2 (Curie) system with its Uniswap v3 pools, directly initialised and without proxies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth_utils.crypto import keccak

from indexer.replay.scenario.cast import COIN_UNIT, USDC_UNIT, Cast
from indexer.replay.scenario.chain import Call, Chain

POOL_FEE = 10_000  # The pool's own 1 % tier: tick spacing 200.
TRADING_FEE = 1_000  # Millionths of the notional that traders pay.
FUND_SHARE = 200_000  # Millionths of the trading fee that go to the insurance fund.
_OBSERVATIONS = 250
_MAX_TICKS_A_BLOCK = 1_000
_UNLIMITED = 2**255


@dataclass(frozen=True)
class PerpPlan:
    """What distinguishes one deployment: its fund, its markets and how deep the maker quotes them (USD)."""

    name: str
    seed_usdc: int
    markets: tuple[str, ...]
    depths: dict[str, float]


@dataclass(frozen=True)
class PerpMarket:
    """One market: the virtual base token and the pool it trades in."""

    asset: str
    base: str
    pool: str


@dataclass(frozen=True)
class PerpDeployment:
    """Addresses of one Perp v2 system by contract name, and its markets by asset."""

    plan: PerpPlan
    contracts: dict[str, str]
    markets: dict[str, PerpMarket]

    @property
    def clearing_house(self) -> str:
        return self.contracts["ClearingHouse"]

    @property
    def vault(self) -> str:
        return self.contracts["Vault"]

    @property
    def insurance_fund(self) -> str:
        return self.contracts["InsuranceFund"]

    @property
    def account_balance(self) -> str:
        return self.contracts["AccountBalance"]


def deploy_perp(
    chain: Chain,
    cast: Cast,
    plan: PerpPlan,
    *,
    usdc: str,
    weth: str,
    factory: str,
    dispatchers: Mapping[str, str],
    prices: Mapping[str, float],
) -> PerpDeployment:
    """Deploys and links the contracts, then one market per planned asset at its opening price."""
    builder = _Builder(chain, cast, usdc=usdc, factory=factory)
    builder.deploy_trading()
    builder.deploy_margin()
    builder.link_core()
    builder.call(
        "CollateralManager",
        "addCollateral(address,(address,uint24,uint24,uint256))",
        weth,
        (dispatchers["ETH"], 700_000, 100_000, 10**5 * COIN_UNIT),
    )
    markets = {asset: builder.deploy_market(asset, dispatchers[asset], prices[asset]) for asset in plan.markets}
    return PerpDeployment(plan, builder.contracts, markets)


def sqrt_price_x96(price: float) -> int:
    """Uniswap's square-root price in Q64.96; both virtual tokens have 18 decimals."""
    return int(math.sqrt(price) * 2**96)


class _Builder:
    """Keeps the addresses of the system under construction; the order of calls is what the constructors demand."""

    def __init__(self, chain: Chain, cast: Cast, *, usdc: str, factory: str) -> None:
        self.chain, self.owner, self.usdc, self.factory = chain, cast.owner, usdc, factory
        self.contracts: dict[str, str] = {}

    def deploy_trading(self) -> None:
        """Tokens, registry and books: what the vault and the clearing house are built upon."""
        # Curie refuses a base token above the quote token, so the quote token gets a high address.
        self._burn_nonces_until(lambda address: address >> 152 >= 0xC0)
        self._create("QuoteToken", "initialize(string,string)", "vUSD", "vUSD")
        self._create("ClearingHouseConfig", "initialize()")
        self._create("InsuranceFund", "initialize(address)", self.usdc)
        self._create("MarketRegistry", "initialize(address,address)", self.factory, "QuoteToken")
        self._create("OrderBook", "initialize(address)", "MarketRegistry")
        self._create("AccountBalance", "initialize(address,address)", "ClearingHouseConfig", "OrderBook")
        self._create(
            "Exchange", "initialize(address,address,address)", "MarketRegistry", "OrderBook", "ClearingHouseConfig"
        )
        self.call("Exchange", "setAccountBalance(address)", "AccountBalance")
        self.call("OrderBook", "setExchange(address)", "Exchange")

    def deploy_margin(self) -> None:
        """Vault and collateral, then the clearing house, which asks them for their links and decimals."""
        self._create(
            "Vault",
            "initialize(address,address,address,address)",
            "InsuranceFund",
            "ClearingHouseConfig",
            "AccountBalance",
            "Exchange",
        )
        self._create(
            "CollateralManager",
            "initialize(address,address,uint8,uint24,uint24,uint24,uint24,uint256,uint256)",
            "ClearingHouseConfig",
            "Vault",
            5,
            750_000,
            500_000,
            5_000,
            30_000,
            10_000 * USDC_UNIT,
            500 * USDC_UNIT,
        )
        self.call("Vault", "setCollateralManager(address)", "CollateralManager")
        self.call("InsuranceFund", "setVault(address)", "Vault")
        self.call("AccountBalance", "setVault(address)", "Vault")
        self._create(
            "ClearingHouse",
            "initialize(address,address,address,address,address,address,address)",
            "ClearingHouseConfig",
            "Vault",
            "QuoteToken",
            self.factory,
            "Exchange",
            "AccountBalance",
            "InsuranceFund",
        )
        self._create("DelegateApproval", "initialize()")

    def link_core(self) -> None:
        for name in ("MarketRegistry", "OrderBook", "Exchange", "AccountBalance", "Vault"):
            self.call(name, "setClearingHouse(address)", "ClearingHouse")
        self.call("ClearingHouse", "setDelegateApproval(address)", "DelegateApproval")
        # The default cap is zero, which refuses every deposit.
        self.call("ClearingHouseConfig", "setSettlementTokenBalanceCap(uint256)", _UNLIMITED)
        self.contracts["Beneficiary"] = self.chain.deploy("Beneficiary", self.owner, ["address"], [self.usdc])
        self.call("InsuranceFund", "setSurplusBeneficiary(address)", "Beneficiary")
        self.call("QuoteToken", "mintMaximumTo(address)", "ClearingHouse")
        self.call("QuoteToken", "addWhitelist(address)", "ClearingHouse")

    def deploy_market(self, asset: str, dispatcher: str, price: float) -> PerpMarket:
        quote, label = self.contracts["QuoteToken"], f"v{asset}"
        self._burn_nonces_until(lambda address: address < int(quote, 16))
        base = self.chain.deploy("BaseToken", self.owner)
        self._send(base, "initialize(string,string,address)", label, label, dispatcher)
        self._send(self.factory, "createPool(address,address,uint24)", base, quote, POOL_FEE, gas=10_000_000)
        pool = self._find_pool(base, quote)
        self._send(pool, "initialize(uint160)", sqrt_price_x96(price))
        self._send(pool, "increaseObservationCardinalityNext(uint16)", _OBSERVATIONS, gas=14_000_000)
        self._send(base, "mintMaximumTo(address)", self.contracts["ClearingHouse"])
        for holder in (self.contracts["ClearingHouse"], pool):
            self._send(base, "addWhitelist(address)", holder)
        self.call("QuoteToken", "addWhitelist(address)", pool)
        self.call("MarketRegistry", "addPool(address,uint24)", base, POOL_FEE)
        self.call("MarketRegistry", "setFeeRatio(address,uint24)", base, TRADING_FEE)
        self.call("MarketRegistry", "setInsuranceFundFeeRatio(address,uint24)", base, FUND_SHARE)
        self.call("Exchange", "setMaxTickCrossedWithinBlock(address,uint24)", base, _MAX_TICKS_A_BLOCK)
        return PerpMarket(asset, base, pool)

    def call(self, contract: str, signature: str, *args: object) -> None:
        """Sends a call to one of the system's contracts; an argument that names another becomes its address."""
        self._send(self.contracts[contract], signature, *args)

    def _create(self, name: str, initializer: str, *args: object) -> None:
        self.contracts[name] = self.chain.deploy(name, self.owner)
        self.call(name, initializer, *args)

    def _send(self, to: str, signature: str, *args: object, gas: int = 6_000_000) -> None:
        resolved = tuple(self.contracts.get(arg, arg) if isinstance(arg, str) else arg for arg in args)
        self.chain.send(Call(to, signature, resolved), self.owner, gas=gas)

    def _find_pool(self, base: str, quote: str) -> str:
        from_factory = Call(self.factory, "getPool(address,address,uint24)", (base, quote, POOL_FEE), ("address",))
        return str(self.chain.read(from_factory))

    def _burn_nonces_until(self, is_wanted: Callable[[int], bool]) -> None:
        while not is_wanted(self._next_contract_address()):
            self.chain.burn_nonce(self.owner)

    def _next_contract_address(self) -> int:
        """Address of the owner's next contract: last 20 bytes of keccak(rlp([sender, nonce])), yellow paper § 7."""
        nonce = int(self.chain.rpc("eth_getTransactionCount", self.owner, "latest"), 16)
        packed = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
        encoded = packed if 0 < nonce < 0x80 else bytes([0x80 + len(packed)]) + packed
        body = b"\x94" + bytes.fromhex(self.owner[2:]) + encoded
        return int.from_bytes(keccak(bytes([0xC0 + len(body)]) + body)[12:], "big")
