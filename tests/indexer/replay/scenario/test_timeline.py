"""The play's steps: sparse days, then hours, each with every price."""

from itertools import pairwise

from indexer.replay.scenario.prices import DAYS, load_prices
from indexer.replay.scenario.timeline import ALT_BREAK, STEPS, build_steps, hour_step

DAY, HOUR = 86_400, 3_600


def test_steps_are_daily_until_16_may_and_hourly_from_17_may() -> None:
    moments = [step.moment for step in build_steps(load_prices(), 1)]
    assert len(moments) == STEPS
    assert {after - before for before, after in pairwise(moments[:DAYS])} == {DAY}
    assert {after - before for before, after in pairwise(moments[DAYS:])} == {HOUR}
    assert moments[DAYS] == 1621209600
    assert max(after - before for before, after in pairwise(moments)) == DAY


def test_eth_and_btc_are_the_same_for_every_seed_and_alt_and_usdc_are_not() -> None:
    one, two = (build_steps(load_prices(), seed) for seed in (1, 2))
    for asset in ("ETH", "BTC"):
        assert [step.prices[asset] for step in one] == [step.prices[asset] for step in two]
    for asset in ("ALT", "USDC"):
        assert [step.prices[asset] for step in one] != [step.prices[asset] for step in two]


def test_alt_loses_most_of_its_value_around_the_worst_hour() -> None:
    for seed in range(20):
        steps = build_steps(load_prices(), seed)
        assert steps[ALT_BREAK + 6].prices["ALT"] < 0.25 * steps[ALT_BREAK - 1].prices["ALT"]


def test_the_worst_hour_counts_as_violent_and_a_quiet_one_does_not() -> None:
    steps = build_steps(load_prices(), 1)
    assert steps[hour_step(61)].is_violent
    assert not steps[hour_step(90)].is_violent
    assert not any(step.is_violent for step in steps[:DAYS])
