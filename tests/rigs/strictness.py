"""One place that decides what a skip means: a gap that is named, or, under STRICT=1, a failure."""

import os
from collections import defaultdict
from collections.abc import Generator
from typing import Any, TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

ALLOWED_PREFIX = "BACKSTOP_REAL_DATA"
"""The one reason that stays a skip under STRICT: these files have no licence, so not everyone can have them."""


def is_strict() -> bool:
    """Whether a missing part fails the run; CI sets this."""
    return os.environ.get("STRICT", "") not in ("", "0")


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Why a report is a skip, or None when it is none; an expected failure is none."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def judge(report: Report) -> Report:
    """Turns a skip into a failure where STRICT demands it."""
    reason = skip_reason(report)
    if reason is not None and is_strict() and not reason.startswith(ALLOWED_PREFIX):
        report.outcome = "failed"
        # Named, because two files that cannot be imported for the same reason are told apart by their text alone.
        report.longrepr = f"STRICT=1 allows no skip, but {report.nodeid} was skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, pytest.TestReport]:
    return judge((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, pytest.CollectReport]:
    return judge((yield))


def pytest_report_header() -> str:
    return "strict: " + ("yes, a skip fails" if is_strict() else "no, a missing part skips its tests")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists what was not tested, by reason."""
    tests_by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = skip_reason(report)
        if reason is not None:
            tests_by_reason[reason].append(report.nodeid)
    if not tests_by_reason:
        return
    terminalreporter.section("not tested here")
    for reason, tests in sorted(tests_by_reason.items()):
        terminalreporter.write_line(f"{len(tests)} × {reason}")
        for test in tests[:5]:
            terminalreporter.write_line(f"    {test}")
        if len(tests) > 5:
            terminalreporter.write_line(f"    and {len(tests) - 5} more")
