"""Drift's polls: what happened between two of them, by hand and on the real history."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.adapter import FactDraft
from indexer.venues.drift import (
    Between,
    FundMark,
    FundState,
    MarketState,
    Poll,
    RawPoll,
    VenueError,
    hash_of,
    holes_before,
    read_poll,
    split_change,
    units,
    values_of,
)
from ledger.kinds import FLOW_SIGN, Contribution, ReadingName, Role

MILLION = 10**6


def market(paid: str = "0.0", lost: int = 0, short: str = "-2.5") -> MarketState:
    """A market whose other numbers do not matter here."""
    return MarketState(
        oracle_price="31.596002",
        base_long="194.3",
        base_short=short,
        total_fee="114.459482",
        total_liquidation_fee="27.091534",
        quote_max_insurance="1000.0",
        quote_settled_insurance=paid,
        total_social_loss_raw=lost,
    )


def poll(time: int, fund: FundState | None = None, **markets: MarketState) -> Poll:
    """A poll of the fund and these markets."""
    return Poll(time, fund, markets)


def state(vault: int | None, total: int, user: int) -> FundState:
    """The fund in whole USDC and shares."""
    return FundState(total * MILLION, user * MILLION, None if vault is None else vault * MILLION)


def flow(facts: list[tuple[int, FactDraft]]) -> int:
    """Effect of facts on the vault."""
    return sum(FLOW_SIGN.get(draft.role, 0) * (draft.amount_raw or 0) for _, draft in facts)


def test_a_decimal_becomes_exact_units_and_never_a_float() -> None:
    assert units("3242.91208", 6) == 3_242_912_080
    assert units("0.1", 6) * 3 == 300_000
    assert units("-38.1", 9) == -38_100_000_000


@pytest.mark.parametrize("text", ["0.0000001", "", "nan", "1e400000", "about 3"])
def test_what_is_no_exact_decimal_is_refused(text: str) -> None:
    with pytest.raises(VenueError):
        units(text, 6)


def test_a_payout_and_a_socialised_loss_are_what_counters_grew_since_the_markets_last_poll() -> None:
    between = Between()
    assert between.take(poll(100, SOL=market("0.433938"))) == []
    assert between.take(poll(200)) == []
    facts = between.take(poll(300, SOL=market("10.433938", 7)))
    assert [(since, fact.role, fact.amount_raw, fact.market) for since, fact in facts] == [
        (100, Role.SHORTFALL, 10_000_007, "SOL"),
        (100, Role.PAYOUT, 10_000_000, "SOL"),
        (100, Role.SOCIALISED_LOSS, 7, "SOL"),
    ]


def test_payout_unstake_and_revenue_in_one_interval_are_told_apart() -> None:
    # Vault 1,000 USDC at 1,000 shares; 100 user shares leave (worth 100), a market is paid 30, revenue brings 5:
    # 1,000 − 100 − 30 + 5 = 875.
    between = Between()
    between.take(poll(100, state(1000, 1000, 800), SOL=market("0.0")))
    facts = between.take(poll(200, state(875, 900, 700), SOL=market("30.0")))
    flows = [(fact.role, fact.source, fact.amount_raw) for _, fact in facts if fact.role in FLOW_SIGN]
    assert flows == [
        (Role.PAYOUT, None, 30 * MILLION),
        (Role.WITHDRAWAL, None, 100 * MILLION),
        (Role.CONTRIBUTION, Contribution.REVENUE, 5 * MILLION),
    ]
    assert flow(facts) == -125 * MILLION


def test_an_unstake_alone_is_no_payout() -> None:
    facts = split_change(FundMark(1, 1000, 1000, 800), FundMark(2, 900, 900, 700), 0)
    assert [(fact.role, fact.amount_raw, fact.detail) for fact in facts] == [
        (Role.WITHDRAWAL, 100, {"what": "unstake", "shares": "100"})
    ]


def test_a_stake_is_valued_at_the_share_price_before_rounded_down() -> None:
    # 10 shares at 7/3 a share are 23.3: 23 is the stake, what else came in is revenue.
    facts = split_change(FundMark(1, 7, 3, 0), FundMark(2, 31, 13, 10), 0)
    assert [(fact.source, fact.amount_raw) for fact in facts] == [
        (Contribution.STAKE, 23),
        (Contribution.REVENUE, 1),
    ]


def test_money_that_left_without_a_reason_is_called_unexplained() -> None:
    facts = split_change(FundMark(1, 100, 100, 50), FundMark(2, 90, 100, 50), 0)
    assert [(fact.role, fact.amount_raw, fact.detail) for fact in facts] == [
        (Role.WITHDRAWAL, 10, {"what": "unexplained"})
    ]


def test_an_unknown_vault_stays_unknown_and_splits_nothing() -> None:
    between = Between()
    between.take(poll(100, state(None, 100, 50)))
    assert between.take(poll(200, state(500, 100, 40))) == []
    values = values_of(Poll(1, state(None, 100, 50), {}))
    assert values[0].name == ReadingName.BALANCE
    assert values[0].value_raw is None
    assert values[0].error == "the vault's amount was not polled"


def test_a_payout_polled_without_the_fund_belongs_to_the_next_split() -> None:
    between = Between()
    between.take(poll(100, state(1000, 1000, 800), SOL=market("0.0")))
    paid = between.take(poll(150, SOL=market("30.0")))
    split = between.take(poll(200, state(970, 1000, 800)))
    assert flow(paid) == -30 * MILLION
    assert split == []


def test_a_lifetime_counter_that_falls_is_refused() -> None:
    between = Between()
    between.take(poll(100, SOL=market("2.0")))
    with pytest.raises(VenueError, match="SOL"):
        between.take(poll(200, SOL=market("1.0")))


def test_a_poll_without_its_fields_says_which_is_missing() -> None:
    with pytest.raises(VenueError, match="user_shares_raw"):
        read_poll(RawPoll(5, {"time": 5, "fund": {"total_shares_raw": 1}, "markets": {}}))


def test_the_short_side_is_a_magnitude() -> None:
    values = {value.name: value.value_raw for value in values_of(Poll(1, None, {"SOL": market(short="-38.1")}))}
    assert values[ReadingName.OPEN_INTEREST_SHORT] == 38_100_000_000


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    one, other = {"fund": None, "markets": {"a": 1, "b": 2}}, {"markets": {"b": 2, "a": 1}, "fund": None}
    assert hash_of(RawPoll(1, one)) == hash_of(RawPoll(1, other)) != hash_of(RawPoll(1, {"fund": 1}))


def test_a_gap_far_above_the_usual_is_a_hole() -> None:
    times = [0, 600, 1200, 1800, 9000, 9600, 90 * 86_400]
    assert [time for time, is_hole in holes_before(times, []).items() if is_hole] == [9000, 90 * 86_400]
    assert holes_before(times[3:], times[:3]) == {t: h for t, h in holes_before(times, []).items() if t >= 1800}


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**6)),
        min_size=2,
        max_size=20,
    )
)
def test_the_split_always_adds_up_to_the_vaults_change(rows: list[tuple[int, int, int, int]]) -> None:
    between, paid, total = Between(), 0, 0
    polls = []
    for time, (vault, shares, user, payout) in enumerate(rows):
        paid += payout
        text = f"{paid // MILLION}.{paid % MILLION:06d}"
        polls.append(poll(time, FundState(shares, user, vault), SOL=market(text)))
    between.take(polls[0])
    for before, now in pairwise(polls):
        change = flow(between.take(now))
        assert before.fund is not None
        assert now.fund is not None
        assert change == (now.fund.vault_raw or 0) - (before.fund.vault_raw or 0)
        total += change
    assert msgspec.json.decode(msgspec.json.encode(polls[0]), type=Poll) == polls[0]
