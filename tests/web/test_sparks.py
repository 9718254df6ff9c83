"""Small lines: points by day, breaks where a day is missing or unknown, and a foot that makes no fall look small."""

from decimal import Decimal

from web.sparks import spark

WEEK = {f"2021-05-{day}": Decimal(day) for day in range(10, 17)}


def test_a_point_a_day_from_edge_to_edge_above_a_foot_of_zero() -> None:
    line = spark(WEEK, "Gross balance")
    assert line is not None
    assert line.paths == ("2.0,9.5 17.3,8.2 32.7,7.0 48.0,5.8 63.3,4.5 78.7,3.2 94.0,2.0",)
    assert line.label == "Gross balance, 10 May 2021 to 16 May 2021"


def test_a_missing_day_and_an_unknown_one_break_the_line_and_a_lone_day_is_a_dot() -> None:
    values = {day: value for day, value in WEEK.items() if day != "2021-05-13"} | {"2021-05-15": None}
    line = spark(values, "")
    assert line is not None
    assert [path.count(" ") + 1 for path in line.paths] == [3, 2, 2]
    assert [len(set(path.split())) for path in line.paths] == [3, 1, 1]


def test_the_order_of_days_and_the_kind_of_number_make_no_difference() -> None:
    turned = {day: float(value) for day, value in reversed(WEEK.items())}
    assert spark(turned, "") == spark(WEEK, "")


def test_below_zero_the_lowest_value_is_the_foot() -> None:
    line = spark({"2021-05-10": 1.0, "2021-05-11": -3.0}, "")
    assert line is not None
    assert line.paths == ("2.0,2.0 94.0,22.0",)


def test_fewer_than_two_known_days_are_no_line() -> None:
    assert spark({"2021-05-10": 1.0, "2021-05-11": None}, "") is None
    assert spark({}, "") is None
