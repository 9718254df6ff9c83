"""Whether one provider's header is enough to give up what we hold, or to build on for ever."""

import logging

from indexer.rpc.provider import Pace
from indexer.rpc.reader import ChainReader, Header, Word

log = logging.getLogger(__name__)

LONELY_SECONDS = 60.0
"""How long a provider whom others could confirm, and do not, must say the same before our blocks are given up."""


class Certainty:
    """A second provider's word; where there is none to ask, the same header at two looks in a row.

    `lonely_seconds`: where others are configured and silent, so much time must lie between the looks.
    """

    def __init__(self, reader: ChainReader, slug: str, pace: Pace, *, lonely_seconds: float = LONELY_SECONDS) -> None:
        self._reader = reader
        self._slug = slug
        self._pace = pace
        self._lonely_seconds = lonely_seconds
        self._half_said: tuple[str, float] | None = None
        self._contradicted = ""

    async def of(self, header: Header) -> bool:
        """Whether this block stands. False: not yet, look again at the next poll."""
        word, now = await self._reader.confirms(header), self._pace.monotonic()
        first = self._half_said[1] if self._half_said and self._half_said[0] == header.hash else None
        self._half_said = (header.hash, now if first is None else first) if word is Word.ALONE else None
        if word is Word.CONTRADICTED and self._contradicted != header.hash:
            log.warning("%s: block %d has two versions; waiting", self._slug, header.number)
            self._contradicted = header.hash
        wait = self._lonely_seconds if len(self._reader.standing()) > 1 else 0.0
        return word is Word.CONFIRMED or (word is Word.ALONE and first is not None and now - first >= wait)

    @property
    def is_half_said(self) -> bool:
        """Whether the last header needs but another look."""
        return self._half_said is not None

    def forget(self) -> None:
        """Nothing stands against us now: what does so later is a first look again."""
        self._half_said = None
