"""The first block of each UTC hour or day that has blocks: a function of chain time, found with few requests."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from indexer.rpc.reader import ChainReader, Header

SECONDS = {"hour": 3600, "day": 86_400}
BATCH = 500
"""Headers asked for at once."""


def slot_of(header: Header, step: int) -> int:
    """Which hour (or day) since 1970 the block falls in; `step` in seconds."""
    return header.timestamp // step


def starts_among(headers: Sequence[Header], step: int) -> list[Header]:
    """Blocks of a dense run (heights without gaps) in another slot than the block before; the first only opens it."""
    pairs = pairwise(headers)
    return [now for before, now in pairs if slot_of(now, step) > slot_of(before, step)]


async def find_starts(reader: ChainReader, low: Header, high: Header, step: int) -> list[Header]:
    """The first block of each slot with blocks, above `low` and up to `high`, ascending; both must be final.

    All borders are looked for at once: a round asks for the two blocks around each border's interpolated place, every
    other round for the middle, so that sparse stretches cannot stall it. Times of blocks never fall.
    """
    known = {low.number: low, high.number: high}
    is_guess = True
    while wanted := sorted({n for pair in open_gaps(known, step) for n in probes(*pair, step, is_guess=is_guess)}):
        for first in range(0, len(wanted), BATCH):
            found = await reader.headers(wanted[first : first + BATCH])
            known.update((header.number, header) for header in found)
        is_guess = not is_guess
    headers = [known[number] for number in sorted(known)]
    return [
        now
        for before, now in pairwise(headers)
        if now.number == before.number + 1 and slot_of(now, step) > slot_of(before, step)
    ]


def open_gaps(known: dict[int, Header], step: int) -> list[tuple[Header, Header]]:
    """Neighbours with unknown blocks between them of which at least one starts a slot."""
    headers = [known[number] for number in sorted(known)]
    return [
        (before, now)
        for before, now in pairwise(headers)
        if now.number > before.number + 1 and slot_of(now, step) > slot_of(before, step)
    ]


def probes(before: Header, now: Header, step: int, *, is_guess: bool) -> Iterable[int]:
    """Heights to ask for inside one gap: all of a short one, else around each border or the middle."""
    inside = range(before.number + 1, now.number)
    borders = range(slot_of(before, step) + 1, slot_of(now, step) + 1)
    if len(inside) <= 2 * len(borders):
        return inside
    if not is_guess:
        return (inside[len(inside) // 2],)
    blocks, seconds = now.number - before.number, now.timestamp - before.timestamp
    guesses = (before.number + -(-(border * step - before.timestamp) * blocks // seconds) for border in borders)
    return {min(max(number, inside[0]), inside[-1]) for guess in guesses for number in (guess - 1, guess)}
