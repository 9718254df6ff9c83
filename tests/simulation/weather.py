"""What may go wrong in one seed, and how often; and the count of what really did."""

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Season(Enum):
    """Which kinds of trouble come together. Each has lies that only one rung of the ladder can find."""

    STORM = "storm"
    """Everything at once. Whole blocks are left out: header blooms say so."""
    THIN = "thin"
    """History without the headers of empty blocks, so that no bloom is looked at; nobody lies about it, many lag."""
    SUBTLE = "subtle"
    """One log of several left out or changed, as the header allows: a second provider says so, and it is there."""
    CLUMSY = "clumsy"
    """Answers that contradict themselves or their header, no other lie; never drawn: for guards that others cover."""


@dataclass
class Weather:
    """Rates are per request."""

    season: Season
    lag: float = 0.0
    outage: float = 0.0
    throttle: float = 0.0
    null_head: float = 0.0
    broken_batch: float = 0.0
    lie: float = 0.0
    cap: int | None = None
    is_tagged: bool = True
    has_roots: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def drawn(cls, dice: random.Random, season: Season | None) -> "Weather":
        """Calm in some respects, wild in others; the season is drawn too where none is given."""
        season = season or dice.choice((Season.STORM,) * 5 + (Season.THIN,) * 2 + (Season.SUBTLE,) * 3)
        drawn = cls(
            season,
            lag=dice.choice((0.0, 0.05, 0.2)),
            outage=dice.choice((0.0, 0.02, 0.08)),
            throttle=dice.choice((0.0, 0.02, 0.05)),
            null_head=dice.choice((0.0, 0.03)),
            broken_batch=dice.choice((0.0, 0.03)),
            lie=dice.choice((0.0, 0.3, 0.7)),
            cap=dice.choice((None, None, 7, 25)),
            is_tagged=dice.random() < 0.8,
        )
        if season is Season.THIN:
            drawn.lag = 0.3
        if season is Season.SUBTLE:
            drawn.lag = drawn.outage = drawn.throttle = drawn.null_head = drawn.broken_batch = 0.0
            drawn.lie, drawn.cap = 0.5, dice.choice((7, 25))
            drawn.has_roots = dice.random() < 0.3
        return drawn
