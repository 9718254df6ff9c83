"""Perp v2: what each log does to the fund, attribution over a transaction, and what is read."""

import msgspec
import pytest

from indexer.adapter import AdapterError, FactDraft, Known, Log
from indexer.adapters.perp_v2_curie import (
    BAD_DEBT_SETTLED,
    BENEFICIARY_CHANGED,
    COLLATERAL_LIQUIDATED,
    DEPOSITED,
    FEE_DISTRIBUTED,
    FEE_RATIO_CHANGED,
    LIQUIDITY_CHANGED,
    PENALTY_RATIO_CHANGED,
    PNL_REALIZED,
    POOL_ADDED,
    POSITION_CHANGED,
    POSITION_CLOSED,
    POSITION_LIQUIDATED,
    REPAID,
    STATUS_UPDATED,
    THRESHOLD_CHANGED,
    TRANSFER,
    WITHDRAWN,
    PerpV2Curie,
)
from indexer.decode import decode_logs
from indexer.registry import FUNDS
from indexer.scan.filters import matching
from indexer.specs import FundSpec, load_fund_file
from ledger.kinds import FLOW_SIGN, Contribution, ReadingName, Role, Side
from ledger.numbers import format_setting
from tests.indexer.emitting import account, log_of

TRADER, KEEPER, DAO, OTHER = account(0xA1), account(0xA2), account(0xA3), account(0xA4)
USD, WEI = 10**6, 10**18


@pytest.fixture
def fund() -> FundSpec:
    return load_fund_file(FUNDS / "perp-v2.toml")


@pytest.fixture
def adapter(fund: FundSpec) -> PerpV2Curie:
    return PerpV2Curie(fund)


def decoded(adapter: PerpV2Curie, *logs: Log) -> list[FactDraft]:
    """All facts of these logs as the indexer would get them: through the filters, by transaction."""
    kept = matching(tuple(adapter.filters()), logs)
    return [fact for facts in decode_logs(adapter, kept) for fact in facts]


def flows(facts: list[FactDraft]) -> list[tuple[Role, Contribution | None, int]]:
    """What moves the balance."""
    return [(f.role, f.source, f.amount_raw or 0) for f in facts if f.role in FLOW_SIGN]


def balance_change(facts: list[FactDraft]) -> int:
    return sum(FLOW_SIGN[role] * amount for role, _, amount in flows(facts))


def liquidated(fund: FundSpec, fee: int, index: int = 0) -> Log:
    house = fund.contract("clearing_house")
    return log_of(POSITION_LIQUIDATED, house, TRADER, account(1), 100 * WEI, WEI, fee, KEEPER, index=index)


def realized(adapter: PerpV2Curie, fund: FundSpec, amount: int, index: int = 0) -> Log:
    return log_of(PNL_REALIZED, fund.contract("account_balance"), adapter.fund, amount, index=index)


def test_bad_debt_is_a_shortfall_and_a_payout_of_the_same_amount(adapter: PerpV2Curie) -> None:
    facts = decoded(adapter, log_of(BAD_DEBT_SETTLED, adapter.vault, TRADER, 123_456_789))
    assert [(f.role, f.amount_raw, f.account, f.asset) for f in facts] == [
        (Role.SHORTFALL, 123_456_789, TRADER, adapter.token),
        (Role.PAYOUT, 123_456_789, TRADER, adapter.token),
    ]


def test_profit_of_half_a_penalty_is_a_liquidation_fee_and_any_other_a_trading_fee(
    adapter: PerpV2Curie, fund: FundSpec
) -> None:
    facts = decoded(
        adapter,
        realized(adapter, fund, 1_250_000_000_000_000_001, 0),
        liquidated(fund, 2_500_000_000_000_000_001, 1),
        realized(adapter, fund, 30_000_000_000_000_000, 2),
    )
    assert flows(facts) == [
        (Role.CONTRIBUTION, Contribution.LIQUIDATION_FEE, 1_250_000),
        (Role.CONTRIBUTION, Contribution.TRADING_FEE, 30_000),
    ]


def test_the_penalty_itself_is_never_an_inflow(adapter: PerpV2Curie, fund: FundSpec) -> None:
    facts = decoded(adapter, liquidated(fund, 10 * WEI))
    assert flows(facts) == []
    assert [(f.role, f.side, f.amount_raw) for f in facts] == [(Role.LIQUIDATION, Side.POSITION, 100 * USD)]


def test_profit_of_another_account_does_not_concern_the_fund(adapter: PerpV2Curie, fund: FundSpec) -> None:
    assert decoded(adapter, log_of(PNL_REALIZED, fund.contract("account_balance"), TRADER, WEI)) == []


def test_profit_is_floored_also_below_zero(adapter: PerpV2Curie, fund: FundSpec) -> None:
    assert flows(decoded(adapter, realized(adapter, fund, 1_999_999_999_999))) == [
        (Role.CONTRIBUTION, Contribution.TRADING_FEE, 1)
    ]
    assert flows(decoded(adapter, realized(adapter, fund, -1))) == [(Role.WITHDRAWAL, None, 1)]
    assert decoded(adapter, realized(adapter, fund, 999_999_999_999)) == []


def test_parameters_name_the_unit_in_which_the_contract_stores_them(adapter: PerpV2Curie, fund: FundSpec) -> None:
    facts = decoded(
        adapter,
        log_of(THRESHOLD_CHANGED, adapter.fund, 600_100 * USD, index=0),
        log_of(PENALTY_RATIO_CHANGED, fund.contract("clearing_house_config"), 25_000, index=1),
        log_of(FEE_RATIO_CHANGED, fund.contract("market_registry"), OTHER, 1_000, index=2),
        log_of(BENEFICIARY_CHANGED, adapter.fund, DAO, index=3),
    )
    told = [(f.detail or {}) for f in facts]
    said = [format_setting(one["value"], one).replace("\N{NO-BREAK SPACE}", " ") for one in told]
    assert said == ["600,100 USDC.e", "2.5 %", "0.1 %", DAO]


def test_repaying_the_vault_changes_nothing(adapter: PerpV2Curie) -> None:
    facts = decoded(
        adapter,
        log_of(TRANSFER, adapter.token, adapter.fund, adapter.vault, 5 * USD, index=0),
        log_of(DEPOSITED, adapter.vault, adapter.token, adapter.fund, 5 * USD, index=1),
        log_of(REPAID, adapter.fund, 5 * USD, 0, index=2),
    )
    assert {fact.role for fact in facts} == {Role.ACCOUNTING}


def test_a_deposit_that_a_stranger_makes_for_the_fund_is_a_top_up(adapter: PerpV2Curie) -> None:
    facts = decoded(adapter, log_of(DEPOSITED, adapter.vault, adapter.token, adapter.fund, 5 * USD))
    assert flows(facts) == [(Role.CONTRIBUTION, Contribution.TOP_UP, 5 * USD)]


def test_distributed_surplus_leaves_once_though_it_moves_twice(adapter: PerpV2Curie) -> None:
    facts = decoded(
        adapter,
        log_of(WITHDRAWN, adapter.vault, adapter.token, adapter.fund, 7 * USD, index=0),
        log_of(TRANSFER, adapter.token, adapter.vault, adapter.fund, 7 * USD, index=1),
        log_of(TRANSFER, adapter.token, adapter.fund, DAO, 7 * USD, index=2),
        log_of(FEE_DISTRIBUTED, adapter.fund, 7 * USD, 100 * USD, 50 * USD, 93 * USD, index=3),
    )
    assert flows(facts) == [(Role.SURPLUS_DISTRIBUTION, None, 7 * USD)]


def test_a_bare_transfer_is_a_top_up_and_one_out_a_withdrawal(adapter: PerpV2Curie) -> None:
    facts = decoded(
        adapter,
        log_of(TRANSFER, adapter.token, DAO, adapter.fund, 9 * USD, tx=1, index=0),
        log_of(TRANSFER, adapter.token, adapter.fund, OTHER, 2 * USD, tx=2, index=1),
    )
    assert flows(facts) == [
        (Role.CONTRIBUTION, Contribution.TOP_UP, 9 * USD),
        (Role.WITHDRAWAL, None, 2 * USD),
    ]
    assert balance_change(facts) == 7 * USD


def test_poison_and_look_alikes_change_nothing(adapter: PerpV2Curie) -> None:
    facts = decoded(
        adapter,
        log_of(TRANSFER, adapter.token, adapter.fund, OTHER, 0, index=0),
        log_of(TRANSFER, account(0xBAD), DAO, adapter.fund, 10**12, index=1),
        log_of(TRANSFER, adapter.token, adapter.fund, adapter.fund, USD, index=2),
        log_of(BAD_DEBT_SETTLED, account(0xBAD), TRADER, USD, index=3),
    )
    assert facts == []


def test_a_collateral_liquidation_pays_the_fund_its_fee(adapter: PerpV2Curie) -> None:
    weth = account(0xEE)
    facts = decoded(
        adapter, log_of(COLLATERAL_LIQUIDATED, adapter.vault, TRADER, weth, KEEPER, WEI, 1800 * USD, 54 * USD, 100_000)
    )
    assert [(f.role, f.side, f.amount_raw, f.asset) for f in facts] == [
        (Role.LIQUIDATION, Side.DEBT, 1800 * USD, adapter.token),
        (Role.LIQUIDATION, Side.COLLATERAL, WEI, weth),
        (Role.CONTRIBUTION, None, 54 * USD, adapter.token),
    ]
    assert facts[2].source == Contribution.LIQUIDATION_FEE


def test_positions_are_changes_less_closings_and_liquidations_count_once(adapter: PerpV2Curie, fund: FundSpec) -> None:
    house, market = fund.contract("clearing_house"), account(1)
    facts = decoded(
        adapter,
        log_of(POSITION_CHANGED, house, TRADER, market, 5 * WEI, -9, 0, 0, 0, 1, index=0),
        liquidated(fund, WEI, 1),
        log_of(POSITION_CHANGED, house, TRADER, market, -2 * WEI, 9, 0, 0, 0, 1, index=2),
        log_of(POSITION_CLOSED, house, TRADER, market, 3 * WEI, 9, 0, 0, 1, index=3),
    )
    changes = [f.amount_raw for f in facts if f.role == Role.EXPOSURE_CHANGE]
    assert changes == [5 * WEI, -2 * WEI, -3 * WEI]
    assert sum(amount or 0 for amount in changes) == 0


def test_makers_are_known_by_their_liquidity_and_read_while_they_have_any(adapter: PerpV2Curie, fund: FundSpec) -> None:
    house, market = fund.contract("clearing_house"), account(1)
    (fact,) = decoded(adapter, log_of(LIQUIDITY_CHANGED, house, TRADER, market, account(2), -200, 200, WEI, WEI, 77, 0))
    assert (fact.side, fact.amount_raw, fact.account, fact.market) == (Side.LIQUIDITY, 77, TRADER, market)
    known = Known({market: {}}, {(TRADER, market, Side.LIQUIDITY): 77})
    subjects = {(v.name, v.subject) for read in adapter.scheduled_reads(known) for v in read.values}
    assert {
        (ReadingName.ACCOUNT_VALUE, TRADER),
        (ReadingName.MARGIN_REQUIREMENT, TRADER),
        (ReadingName.POSITION_SIZE, f"{TRADER}/{market}"),
        (ReadingName.TAKER_SIZE, f"{TRADER}/{market}"),
        (ReadingName.INDEX_PRICE, market),
        (ReadingName.IS_OPEN, market),
        (ReadingName.BALANCE, ""),
    } <= subjects


def test_markets_are_found_and_their_closing_is_seen(adapter: PerpV2Curie, fund: FundSpec) -> None:
    base = sorted(adapter.base_tokens)[0]
    facts = decoded(
        adapter,
        log_of(POOL_ADDED, fund.contract("market_registry"), base, 10_000, account(3), index=0),
        log_of(STATUS_UPDATED, base, 1, index=1),
        log_of(STATUS_UPDATED, base, 2, index=2),
    )
    assert [(f.role, f.market) for f in facts] == [
        (Role.MARKET_CREATED, base),
        (Role.MARKET_SHUTDOWN, base),
        (Role.MARKET_SHUTDOWN, base),
    ]
    assert [f.detail["value"] for f in facts[1:] if f.detail] == ["paused", "closed"]


def test_a_log_of_another_layout_names_its_place(adapter: PerpV2Curie) -> None:
    log = msgspec.structs.replace(log_of(BAD_DEBT_SETTLED, adapter.vault, TRADER, 1), data="0x")
    with pytest.raises(AdapterError, match="log 0 of block 7 from 0x"):
        decode_logs(adapter, [log])


def test_a_file_without_a_needed_contract_or_with_a_misspelt_one_says_which(fund: FundSpec) -> None:
    short = {name: text for name, text in fund.contracts.items() if name != "vault"}
    with pytest.raises(AdapterError, match=r"contracts\.vault"):
        PerpV2Curie(msgspec.structs.replace(fund, contracts=short))
    typo = {**fund.contracts, "order_bok": account(1)}
    with pytest.raises(AdapterError, match=r'"order_bok".*did you mean "order_book"'):
        PerpV2Curie(msgspec.structs.replace(fund, contracts=typo))
