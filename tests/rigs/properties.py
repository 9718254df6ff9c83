"""How hypothesis runs here: no deadline, because a busy machine is no bug, and a failure prints how to repeat it."""

from hypothesis import settings


def pytest_configure() -> None:
    settings.register_profile("backstop", deadline=None, print_blob=True)
    settings.load_profile("backstop")
