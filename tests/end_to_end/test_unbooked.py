"""Losses that no event shows, with another seed on a real node: whom the contract refuses, since when, and how much."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.rigs.direct_chain import Question, Reverted
from tests.rigs.played_scenario import (
    PlayedScenario,
    Row,
)
from tests.rigs.scenario_reads import (
    BAD_DEBT_SETTLED,
    POSITION_CLOSED,
    SMALL,
    account_values,
    capacities,
    scheduled_blocks,
    seconds_of,
    sizes_at,
    traders_of,
)


def unbooked(scenario: PlayedScenario, slug: str) -> list[tuple[int, Row]]:
    """(block, account row) of each day's unbooked loss."""
    days = scenario.metrics(slug, "unbooked_loss").values()
    return [(row["as_of_number"], account) for row in days for account in (row["detail"] or {}).get("accounts", [])]


def test_the_contract_itself_refuses_to_liquidate_every_account_marked_refused(scenario: PlayedScenario) -> None:
    perp, keeper = scenario.perps[SMALL], scenario.manifest["actors"]["keepers"][0]
    last = scheduled_blocks(scenario, SMALL)[-1]
    asked, closed, at_last = 0, 0, 0
    for block, row in unbooked(scenario, SMALL):
        account = row["account"]
        state = [Question(base, "isOpen()", (), ("bool",)) for base in perp.markets.values()]
        are_open = dict(zip(perp.markets.values(), scenario.chain.calls(state, block), strict=True))
        held = [market for who, market in sizes_at(scenario, perp, block) if who == account]
        tradable = [market for market in held if are_open[market]]
        assert held, f"{account} has nothing open at block {block}"
        if not tradable:
            assert not row["is_refused"]
            closed += 1
            continue
        attempts = [
            Question(perp.contracts["ClearingHouse"], "liquidate(address,address)", (account, market), (), keeper)
            for market in tradable
        ]
        answers = scenario.chain.calls(attempts, block)
        assert row["is_refused"] == (answers[0] == Reverted("CH_IIC")), f"{account} at block {block}: {answers}"
        assert len(set(answers)) == 1
        asked += 1
        at_last += block == last
    print(f"{asked} accounts asked, {at_last} of them at the last snapshot; {closed} only in a closed market")
    assert at_last >= 1
    assert closed >= 3


def test_an_account_below_zero_is_dated_at_the_first_hour_in_which_the_contract_says_so(
    scenario: PlayedScenario,
) -> None:
    perp, hours = scenario.perps[SMALL], scheduled_blocks(scenario, SMALL)
    rows = {(row["account"], row["since_block"]): block for block, row in unbooked(scenario, SMALL)}
    dates = {row["since_block"]: row["since"] for _, row in unbooked(scenario, SMALL)}
    assert len(rows) >= 5
    for (account, since), block in rows.items():
        before = max(hour for hour in hours if hour < since)
        spell = [hour for hour in hours if since <= hour <= block]
        healthy, *sick = account_values(scenario, perp, account, [before, *spell])
        assert healthy >= 0, f"{account} was below zero before block {since}"
        assert max(sick) < 0, f"{account} recovered between blocks {since} and {block}"
    for since, date in dates.items():
        assert date == datetime.fromtimestamp(seconds_of(scenario, since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_unbooked_loss_is_the_sum_of_negative_account_values_at_the_price_of_usdc(
    scenario: PlayedScenario,
) -> None:
    perp, feed = scenario.perps[SMALL], scenario.manifest["aggregators"]["USDC"]
    days = [row for row in scenario.metrics(SMALL, "unbooked_loss").values() if row["value"]]
    assert days
    for row in days:
        block, accounts = row["as_of_number"], sorted(traders_of(scenario, perp))
        price = scenario.chain.call(Question(feed, "latestAnswer()", (), ("int256",)), block)
        values = [account_values(scenario, perp, account, [block])[0] for account in accounts]
        negative = {account: value for account, value in zip(accounts, values, strict=True) if value < 0}
        assert set(negative) == {account["account"] for account in row["detail"]["accounts"]}
        deficit = Decimal(-sum(negative.values()) * price) / 10**26
        assert row["value"] == pytest.approx(deficit, abs=Decimal("0.05"))


def test_the_loss_of_the_paused_market_is_published_12_hours_before_it_was_booked(scenario: PlayedScenario) -> None:
    perp, market = scenario.perps[SMALL], scenario.perps[SMALL].markets["vALT"]
    closing = scenario.manifest["marks"]["alt_closed"]["block"]
    quits = {
        log.tx: log.values[0]
        for log in scenario.chain.logs(perp.contracts["ClearingHouse"], POSITION_CLOSED, last=scenario.head)
        if log.values[1] == market and log.block >= closing
    }
    settled = scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    booked = {log.values[0]: log for log in settled if quits.get(log.tx) == log.values[0]}
    published = scenario.metrics(SMALL, "unbooked_loss")["2021-05-19"]
    known = {row["account"]: row for row in published["detail"]["accounts"]}
    first = min(log.block for log in booked.values())
    assert len(booked) >= 5
    assert published["as_of_number"] < first
    for account, log in booked.items():
        hours = (seconds_of(scenario, log.block) - seconds_of(scenario, known[account]["since_block"])) / 3600
        print(f"{account}: {log.values[1]} units booked {hours:.1f} h after the account fell below zero")
        assert hours >= 12
    (capacity,) = capacities(scenario, perp, [published["as_of_number"]])
    assert 0 < capacity < sum(log.values[1] for log in booked.values())
    assert published["value"] > capacity // 10**6
