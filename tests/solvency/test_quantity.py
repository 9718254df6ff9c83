"""A number that may be unknown: its rules, and that unknown never turns into a number."""

import pytest

from solvency.quantity import (
    Quantity,
    add_up,
    divide,
    inherit_quality,
    join_quality,
    make_exact,
    make_unknown,
    render_count,
)


def test_an_unknown_number_carries_a_reason_and_no_value() -> None:
    with pytest.raises(ValueError, match="reason"):
        Quantity(None, "usd", "unknown")
    with pytest.raises(ValueError, match="no value"):
        Quantity(0.0, "usd", "unknown", "not read")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="say it in words"):
        Quantity(value, "ratio")


def test_no_value_and_no_words_is_not_ok() -> None:
    with pytest.raises(ValueError, match="needs words"):
        Quantity(None, "ratio")


def test_an_answer_in_words_is_known() -> None:
    assert Quantity(None, "days", words="not shrinking").is_known


def test_a_stale_number_keeps_its_value_but_is_not_known() -> None:
    stale = Quantity(5.0, "usd").lower_quality("stale", "balance is 2 h old")
    assert (stale.value, stale.is_known, stale.reason) == (5.0, False, "balance is 2 h old")


def test_lowering_to_unknown_takes_the_value_away() -> None:
    lost = Quantity(5.0, "usd", ci_low=4.0, ci_high=6.0).lower_quality("unknown", "source down")
    assert (lost.value, lost.ci_low, lost.ci_high, lost.quality) == (None, None, None, "unknown")


def test_quality_is_never_raised() -> None:
    stale = Quantity(5.0, "usd", "stale", "old")
    assert stale.lower_quality("partial", "short history") == stale


def test_the_worst_leg_rules_with_its_own_reasons_only() -> None:
    assert join_quality([("partial", "short"), ("stale", "old price"), ("stale", "old balance")]) == (
        "stale",
        "old price; old balance",
    )
    assert join_quality([]) == ("ok", "")


def test_a_ratio_with_an_unknown_leg_is_unknown_with_that_legs_reason() -> None:
    ratio = divide(Quantity(1.0, "usd"), make_unknown("usd", "no reading"), when_zero="none")
    assert (ratio.value, ratio.quality, ratio.reason) == (None, "unknown", "no reading")


def test_a_ratio_over_zero_is_words_and_not_infinity() -> None:
    assert divide(Quantity(1.0, "usd"), Quantity(0.0, "usd"), when_zero="no open interest").words == "no open interest"


def test_a_ratio_over_almost_zero_does_not_overflow() -> None:
    tiny = divide(Quantity(1e300, "usd"), Quantity(1e-300, "usd"), when_zero="no open interest")
    assert tiny.words == "no open interest"


def test_a_negative_denominator_is_an_error() -> None:
    with pytest.raises(ValueError, match="not negative"):
        divide(Quantity(1.0, "usd"), Quantity(-1.0, "usd"), when_zero="none")


def test_a_ratio_inherits_stale_and_at_least() -> None:
    top = Quantity(10.0, "usd", "partial", "at least: ALT has no price", is_lower_bound=True)
    ratio = divide(top, Quantity(5.0, "usd", "stale", "old"), when_zero="none")
    assert (ratio.value, ratio.quality, ratio.is_lower_bound) == (2.0, "stale", True)


def test_a_sum_with_one_unknown_part_is_unknown() -> None:
    assert add_up([Quantity(1.0, "usd"), make_unknown("usd", "hidden")], "usd").value is None


def test_a_sum_does_not_depend_on_the_order_of_its_parts() -> None:
    parts = [Quantity(x, "usd") for x in (1e16, 1.0, -1e16, 0.1)]
    assert add_up(parts, "usd").value == add_up(parts[::-1], "usd").value == 1.1


def test_a_good_result_of_good_inputs_stays_good() -> None:
    assert inherit_quality(Quantity(1.0, "usd"), [Quantity(2.0, "usd")]).quality == "ok"


def test_an_exact_number_keeps_its_written_digits() -> None:
    assert str(make_exact(0.9995)) == "0.9995"
    with pytest.raises(ValueError, match="finite"):
        make_exact(float("nan"))


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 days"), (1, "1 day"), (2, "2 days"), (1_095, "1,095 days"), (1.0, "1 day"), (94.5, "94.5 days")],
)
def test_one_is_counted_in_the_singular(count: float, words: str) -> None:
    assert render_count(count, "day") == words


def test_a_word_without_an_s_brings_its_own_plural() -> None:
    assert [render_count(n, "balance is", "balances are") for n in (1, 2)] == ["1 balance is", "2 balances are"]
