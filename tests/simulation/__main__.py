"""`python -m tests.simulation --seed 17 --verbose` tells one seed's story; `--seeds 0-999` plays many."""

import argparse
import logging
import sys
import time

from tests.simulation.fleet import play_all, report_lines, template
from tests.simulation.story import be_silent, play
from tests.simulation.weather import Season


def seeds_of(text: str) -> range:
    """`A-B`, both included."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    """Exit code 1 where a seed ends wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", type=seeds_of, default=range(1000), metavar="A-B", help="many (default: 0-999)")
    parser.add_argument("--season", type=Season, choices=Season, help="instead of the one the seed draws")
    parser.add_argument("--verbose", action="store_true", help="tell the story of the one seed")
    chosen = parser.parse_args()
    log = logging.getLogger("indexer")
    log.propagate = False
    log.setLevel(logging.INFO if chosen.verbose else logging.CRITICAL)
    began = time.monotonic()
    if chosen.seed is not None:
        with template() as migrated:
            results = [play(chosen.seed, migrated, print if chosen.verbose else be_silent, chosen.season)]
    else:
        results = play_all(chosen.seeds, chosen.season)
    print("\n".join(report_lines(results)))
    print(f"{time.monotonic() - began:.1f} s")
    sys.exit(any(result.errors for result in results))


if __name__ == "__main__":
    main()
