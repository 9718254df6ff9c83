"""The shipped seed, played once in full: each thing the pages must be able to show really happened on the chain."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from indexer.replay.scenario.chain import Call
from indexer.replay.scenario.node import CHAIN_ID
from indexer.replay.scenario.play import SHIPPED_SEED, play
from tests.indexer.replay.scenario.history import DAY, MIDNIGHT_17_MAY, History, PerpHistory

LAST_DAYS = (22, 23, 24)
FLOOR_HAIRCUT = 0.995


@pytest.fixture(scope="module")
def history(anvil: Path, node_modules: Path, creation_code: dict[str, str]) -> Iterator[History]:
    print(f"seed {SHIPPED_SEED}")
    with play(SHIPPED_SEED, anvil=anvil, node_modules=node_modules, creation_code=creation_code) as played:
        reader = History(played)
        yield reader
        reader.close()


@pytest.fixture(scope="module")
def large(history: History) -> PerpHistory:
    return PerpHistory(history, "large")


@pytest.fixture(scope="module")
def small(history: History) -> PerpHistory:
    return PerpHistory(history, "small")


def test_the_chain_is_our_own_and_small_enough_to_record(history: History) -> None:
    assert int(history.ask("eth_chainId"), 16) == CHAIN_ID == 420210501
    assert history.manifest["head"]["number"] <= 4_500
    assert history.ask("eth_getBlockByNumber", "latest", False)["hash"] == history.manifest["head"]["hash"]


def test_history_runs_from_1_february_to_the_end_of_24_may_without_a_missing_step(history: History) -> None:
    days = {(time - 1612137600) // DAY for time in history.block_times}
    hours = {(time - MIDNIGHT_17_MAY) // 3600 for time in history.block_times if time >= MIDNIGHT_17_MAY}
    assert days == set(range(113))
    assert hours == set(range(192))
    assert MIDNIGHT_17_MAY + 8 * DAY - 60 < history.block_times[-1] < MIDNIGHT_17_MAY + 8 * DAY


def test_all_feeds_stand_at_the_real_price_of_the_worst_hour(history: History) -> None:
    block = history.manifest["marks"]["worst_hour"]["block"]
    feeds = history.manifest["aggregators"]
    answers = [
        history.read(Call(feeds[asset], "latestAnswer()", (), ("int256",)), block) for asset in ("ETH", "BTC", "USDC")
    ]
    # Medians of 19 May 2021, 13:00 UTC, from the liquidation table; the USDC feed stays within a cent of 1.
    assert answers[:2] == [215239000000, 3505904000000]
    assert answers[2] == pytest.approx(10**8, abs=10**6)


@pytest.mark.parametrize("day", LAST_DAYS)
def test_the_large_fund_survives_ten_percent_both_ways(large: PerpHistory, day: int) -> None:
    block = large.history.day_end(day)
    usable = large.capacity(block) * FLOOR_HAIRCUT
    for percent in range(11):
        assert large.stressed_loss(block, percent / 100) <= usable
        assert large.stressed_loss(block, -percent / 100) <= usable


@pytest.mark.parametrize("day", LAST_DAYS)
def test_the_large_fund_covers_its_worst_week_twice_and_lasts_half_a_year(large: PerpHistory, day: int) -> None:
    block, end = large.history.day_end(day), MIDNIGHT_17_MAY + (day - 16) * DAY
    known = [(time, loss) for time, loss in large.shortfalls if time < end]
    worst = max(sum(loss for time, loss in known if last - 7 * DAY < time <= last) for last, _ in known)
    capacity = large.capacity(block)
    assert capacity * FLOOR_HAIRCUT / worst >= 2
    # The whole history is little longer than 90 days: what it lost since the start bounds the 90-day outflow.
    assert 600_000 - capacity < capacity / 2


def test_the_large_fund_has_at_least_five_episodes(large: PerpHistory) -> None:
    times = sorted(time for time, _ in large.shortfalls)
    assert 1 + sum(after - before >= DAY for before, after in pairwise(times)) >= 5


def test_the_large_fund_leaves_no_loss_unbooked_for_a_day_and_refuses_no_liquidation(large: PerpHistory) -> None:
    for day in range(-5, 25):  # 25 April to 24 May.
        assert large.bankrupt(large.history.day_end(day)) == {}
    refused = [failure for failure in large.history.manifest["failed_transactions"] if failure["reason"] == "CH_IIC"]
    assert all(failure["to"] != large.contracts["ClearingHouse"] for failure in refused)


def test_the_small_fund_is_driven_below_zero_topped_up_and_driven_below_zero_again(small: PerpHistory) -> None:
    marks = small.history.manifest["marks"]
    hour_after = {name: small.history.last_block_before(mark["time"] + 3_600) for name, mark in marks.items()}
    assert small.capacity(hour_after["worst_hour"]) > 0
    assert small.capacity(hour_after["alt_closed"]) < 0
    assert small.capacity(hour_after["first_top_up"]) < 0
    assert small.capacity(hour_after["second_top_up"]) > 0
    assert small.capacity(marks["late_quits"]["block"]) > 0
    assert small.capacity(hour_after["late_quits"]) < 0
    assert small.capacity(small.history.manifest["head"]["number"]) < 0


def test_nobody_tops_the_small_fund_up_in_the_last_day(small: PerpHistory) -> None:
    fund, dao = (
        "0x" + address[2:].lower().rjust(64, "0")
        for address in (small.contracts["InsuranceFund"], small.history.manifest["actors"]["dao"])
    )
    usdc = small.history.manifest["tokens"]["USDC"]
    arrivals = [
        event.time
        for event in small.history.events(usdc, "Transfer(address,address,uint256)")
        if event.topics[1:] == (dao, fund)
    ]
    assert len(arrivals) == 3, "seed and two top-ups"
    assert max(arrivals) < small.history.block_times[-1] - DAY


def test_losses_of_the_paused_market_stay_unbooked_for_twelve_hours(small: PerpHistory) -> None:
    marks = small.history.manifest["marks"]
    paused = small.history.last_block_before(marks["alt_paused"]["time"] + 3_600)
    closed = marks["alt_closed"]["block"]
    assert small.history.block_times[closed] - small.history.block_times[paused] >= 12 * 3_600
    still_bankrupt = small.bankrupt(paused).keys() & small.bankrupt(closed).keys()
    unbooked = -sum(small.bankrupt(closed)[account] for account in still_bankrupt)
    assert small.capacity(closed) > 0
    assert unbooked > small.capacity(closed)


def test_the_contract_refuses_liquidations_that_the_small_fund_cannot_pay(small: PerpHistory) -> None:
    house = small.contracts["ClearingHouse"]
    refused = [f for f in small.history.manifest["failed_transactions"] if (f["to"], f["reason"]) == (house, "CH_IIC")]
    assert len(refused) >= 5
    receipt = small.history.ask("eth_getTransactionReceipt", refused[0]["tx_hash"])
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    head = small.history.manifest["head"]["number"]
    assert any(-value > small.capacity(head) for value in small.bankrupt(head).values())


@pytest.mark.parametrize("name", ["large", "small"])
def test_both_funds_repay_distribute_and_see_every_kind_of_liquidation(history: History, name: str) -> None:
    perp = PerpHistory(history, name)
    fund, vault = perp.contracts["InsuranceFund"], perp.contracts["Vault"]
    assert history.events(fund, "Repaid(uint256,uint256)")
    assert history.events(fund, "FeeDistributed(uint256,uint256,uint256,uint256)")
    collateral_sold = "CollateralLiquidated(address,address,address,uint256,uint256,uint256,uint24)"
    assert history.events(vault, collateral_sold)
    settled = {event.tx_hash for event in history.events(vault, "BadDebtSettled(address,uint256)")}
    position_liquidated = "PositionLiquidated(address,address,uint256,uint256,uint256,address)"
    liquidated = {event.tx_hash for event in history.events(perp.contracts["ClearingHouse"], position_liquidated)}
    assert liquidated & settled, "insolvent ones"
    assert liquidated - settled, "solvent ones"


def test_morpho_realises_bad_debt_in_both_markets_and_hides_one_debt_behind_a_wei(history: History) -> None:
    morpho = history.manifest["morpho"]
    signature = "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)"
    liquidations = history.events(morpho["address"], signature)
    with_bad_debt = {event.topics[1] for event in liquidations if event.words[3] > 0}
    assert with_bad_debt == {market["id"] for market in morpho["markets"].values()}
    market_id = bytes.fromhex(morpho["markets"]["ALT/USDC"]["id"][2:])
    types = ("uint256", "uint128", "uint128")
    debtor = history.manifest["hidden_debtor"]
    position = Call(morpho["address"], "position(bytes32,address)", (market_id, debtor), types)
    _, borrow_shares, collateral = history.read(position, history.manifest["head"]["number"])
    assert borrow_shares > 0
    assert collateral == 1


def test_the_reserve_pays_receives_and_is_poisoned(history: History) -> None:
    reserve = "0x" + history.manifest["reserve"]["address"][2:].lower().rjust(64, "0")
    transfer = "Transfer(address,address,uint256)"
    real = history.events(history.manifest["tokens"]["USDC"], transfer)
    assert [event for event in real if event.topics[2] == reserve and event.words[0] > 0]
    assert [event for event in real if event.topics[1] == reserve and event.words[0] > 0]
    assert [event for event in real if event.topics[1] == reserve and event.words[0] == 0], "zero-value poison"
    fakes = history.events(history.manifest["tokens"]["lookalike_USDC"], transfer)
    assert [event for event in fakes if event.topics[2] == reserve]
