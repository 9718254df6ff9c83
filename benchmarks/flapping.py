"""How many messages a coverage that hugs its threshold gives in a month: by the shipped rule, and by simpler ones.

    python -m benchmarks.flapping [--months 400]

The month is the worst case of a rule: x moves by .02·(1.02 − x) + .006·N(0,1) every 5 minutes and is read with an
error of .004·N(0,1), so that it crosses 1.00 all the time. Seeds are 0, 1, 2, …
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from rich.console import Console

from alerts.machine import State, Terms, grade, step
from alerts.thresholds import load_rules
from benchmarks.results import RESULTS, Target, record

BEGIN, EVERY, READINGS = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=5), 30 * 288
MEAN, PULL, SHOCK, ERROR = 1.02, 0.02, 0.006, 0.004
TARGETS = {
    "alerts.messages_a_month_max": Target("messages", 5, is_most=True, meaning="worst month of a hugging coverage"),
    "alerts.messages_a_month_median": Target("messages", 2, is_most=True, meaning="median month of the same"),
}


def hugging(seed: int) -> Iterator[float]:
    """Readings of one month."""
    dice, x = random.Random(seed), MEAN
    for _ in range(READINGS):
        x += PULL * (MEAN - x) + SHOCK * dice.gauss(0, 1)
        yield x + ERROR * dice.gauss(0, 1)


def count_messages(seed: int, *, is_patient: bool) -> int:
    """Messages of the shipped rule; without patience no episode is remembered beyond the day."""
    rules = load_rules()
    rule = rules.levels["coverage_low"]
    terms = Terms(rule.enter_after, rule.clear_after, rules.max_episodes_a_day)
    state, told = State(), 0
    for place, value in enumerate(hugging(seed)):
        signal = grade(value, rule.enter, rule.clear or 0.0)
        state, said = step(state, signal, BEGIN + place * EVERY, terms)
        told += said is not None
        if not is_patient:
            state = replace(state, recent=state.recent[-1:])
    return told


def count_crossings(seed: int) -> int:
    """Messages of a rule that speaks at each crossing."""
    sides = [value < 1 for value in hugging(seed)]
    return sum(one != other for one, other in pairwise(sides))


def main() -> int:
    """Prints how many months had how many messages; exit code 1 where the worst is over its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=400, help="how many months, seeds 0, 1, …")
    months = parser.parse_args().months
    console = Console(width=140, highlight=False)
    patient = sorted(count_messages(seed, is_patient=True) for seed in range(months))
    hasty = sorted(count_messages(seed, is_patient=False) for seed in range(months))
    naive = sorted(count_crossings(seed) for seed in range(min(months, 20)))
    values = {"alerts.messages_a_month_max": patient[-1], "alerts.messages_a_month_median": patient[months // 2]}
    record(RESULTS, values, TARGETS)
    for name, counts in (("shipped rule", patient), ("without patience", hasty)):
        said = ", ".join(f"{count} in {n}" for count, n in sorted(Counter(counts).items()))
        console.print(f"{name}: messages in {months} months: {said}")
    console.print(f"at each crossing: median {naive[len(naive) // 2]} messages a month")
    return 0 if all(TARGETS[name].is_met(value) for name, value in values.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
