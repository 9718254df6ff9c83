"""docs/methodology.md: the calculator's text with the numbers that today's code decides.

`python -m app.methodology > docs/methodology.md` writes it anew; a test compares the two.
"""

import sys
from importlib.resources import files

from solvency.compute import METHOD_VERSION, load_named_days
from solvency.largest import SCENARIOS
from solvency.methodology import format_percent, render_methodology, render_named_days
from solvency.money import MINIMUM_DAYS
from solvency.outlook import GRADED_DAYS
from solvency.risk import REFERENCE_STEP
from solvency.scenarios import CASCADE_SHOCKS
from solvency.stress import LADDER
from solvency.yardsticks import COST_DAYS, STRESSED_VOLATILITY

# A link reference that nothing refers to: readers of the page do not see it, readers of the file do.
HEADER = "[//]: # (Made by python -m app.methodology from solvency/methodology.md and the code: change those.)\n\n"


def render_document() -> str:
    """The methodology in Markdown."""
    text = files("solvency").joinpath("methodology.md").read_text(encoding="utf-8")
    return HEADER + render_methodology(text, list_further())


def list_further() -> dict[str, str]:
    """The slots whose constants stand in modules that know the ledger, so that no pure module may ask them."""
    named = load_named_days()
    return {
        "method_version": METHOD_VERSION,
        "minimum_days": str(MINIMUM_DAYS),
        "reference_move": format_percent(LADDER[REFERENCE_STEP]),
        "cascade_move": format_percent(max(CASCADE_SHOCKS)),
        "cover_move": format_percent(max(SCENARIOS)),
        "graded_days": str(GRADED_DAYS),
        "protection_days": " and ".join(map(str, COST_DAYS)),
        "stressed_volatility": format_percent(STRESSED_VOLATILITY),
        "named_days_version": named.version,
        "named_days": render_named_days(named.days),
    }


if __name__ == "__main__":
    sys.stdout.write(render_document())
