"""The benchmark of flapping: its month hugs the threshold, and the shipped rule keeps what the benchmark promises."""

from statistics import fmean

from alerts.thresholds import load_rules
from benchmarks.flapping import READINGS, TARGETS, count_crossings, count_messages, hugging

MONTHS = range(6)


def test_a_month_of_readings_hugs_the_threshold_and_is_the_same_for_the_same_seed() -> None:
    month = list(hugging(1))
    assert len(month) == READINGS == 8_640
    assert month == list(hugging(1))
    assert month != list(hugging(2))
    enter, *_ = load_rules().levels["coverage_low"].enter
    assert abs(fmean(month) - 1.02) < 0.02
    assert 0.05 < sum(value < enter for value in month) / READINGS < 0.6


def test_the_shipped_rule_speaks_a_few_times_where_simpler_ones_speak_often() -> None:
    patient = [count_messages(seed, is_patient=True) for seed in MONTHS]
    hasty = [count_messages(seed, is_patient=False) for seed in MONTHS]
    naive = [count_crossings(seed) for seed in MONTHS]
    assert min(patient) >= 1, "a month below the threshold is not passed over in silence"
    assert TARGETS["alerts.messages_a_month_max"].is_met(max(patient))
    assert sum(patient) <= sum(hasty)
    assert min(naive) > 100 * max(patient)
