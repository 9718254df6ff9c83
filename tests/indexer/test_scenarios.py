"""Each of the 43 scenarios is played by a test that says so, and the page that lists them names tests there are."""

from tests.rigs.scenarios import PAGE, named_tests, scenarios_played, sentences, with_tests

EVERY_SCENARIO = set(range(1, 44))


def test_every_scenario_is_played() -> None:
    missing = sorted(EVERY_SCENARIO - scenarios_played().keys())
    words = sentences(PAGE.read_text())
    assert not missing, "\n".join(f"no test plays scenario {number}: {words.get(number)}" for number in missing)


def test_no_test_plays_a_scenario_that_nobody_wrote_down() -> None:
    assert scenarios_played().keys() <= EVERY_SCENARIO


def test_the_page_tells_every_scenario_and_names_tests_that_play_it() -> None:
    page, played = PAGE.read_text(), scenarios_played()
    assert sentences(page).keys() == EVERY_SCENARIO
    stale = {
        number: gone
        for number, tests in named_tests(page).items()
        if (gone := sorted(set(tests) - set(played.get(number, [])))) or not tests
    }
    assert not stale, f"make the page anew with `python -m tests.rigs.scenarios`: {stale}"


def test_the_page_made_anew_names_every_test_there_is() -> None:
    played = scenarios_played()
    assert named_tests(with_tests(PAGE.read_text(), played)) == {n: played.get(n, []) for n in EVERY_SCENARIO}
