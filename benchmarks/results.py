"""build/bench.json: one flat object, name → value, unit, target; and whether a target was reached."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("build/bench.json")


@dataclass(frozen=True)
class Target:
    """What a figure should be: at least so much, or at most."""

    unit: str
    value: float
    is_most: bool = False
    meaning: str = ""

    def is_met(self, value: float) -> bool:
        """Equal is enough."""
        return value <= self.value if self.is_most else value >= self.value

    def said(self) -> str:
        """With its direction."""
        return f"{'≤' if self.is_most else '≥'} {self.value:g}"


TARGETS: Mapping[str, Target] = {
    "indexer.sqlite.share": Target("of ceiling", 0.18, meaning="events/s into SQLite ÷ fetch + parse, same round"),
    "indexer.postgres.share": Target("of ceiling", 0.12, meaning="events/s into Postgres ÷ fetch + parse, same round"),
    "indexer.sqlite.ratio_50ms": Target("ratio", 0.9, meaning="own rate with latency ÷ own rate without, SQLite"),
    "indexer.postgres.ratio_50ms": Target("ratio", 0.9, meaning="own rate with latency ÷ own rate without, Postgres"),
    "indexer.peak_rss_mb": Target("MB", 200, is_most=True, meaning="highest peak memory of a run of full size"),
    "indexer.rss_growth": Target("ratio", 1.2, is_most=True, meaning="peak memory at 2 × size ÷ at size / 5"),
    "indexer.requests_ratio": Target("ratio", 1.2, is_most=True, meaning="HTTP requests ÷ least possible under caps"),
    "indexer.vs_web3py": Target("×", 30, meaning="events/s into SQLite ÷ plain web3.py loop, same round"),
    "indexer.live_p95_ms": Target("ms", 300, is_most=True, meaning="block to committed facts, 95th percentile"),
}
"""The names that this benchmark writes. Others in the file belong to other measurements and stay."""


def record(path: Path, values: Mapping[str, float], targets: Mapping[str, Target] = TARGETS) -> None:
    """Puts these figures into the file and leaves every other name as it is."""
    held = json.loads(path.read_text()) if path.exists() else {}
    for name, value in values.items():
        held[name] = {"value": round(value, 4), "unit": targets[name].unit, "target": targets[name].value}
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".part")
    written.write_text(json.dumps(dict(sorted(held.items())), indent=2) + "\n")
    written.replace(path)  # One step, so that a reader never finds half a file.
