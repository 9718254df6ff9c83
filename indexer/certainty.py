"""Whether one provider's header is enough to give up what we hold, or to build on for ever."""

import logging

from indexer.rpc.reader import ChainReader, Header, Word

log = logging.getLogger(__name__)


class Certainty:
    """A second provider's word; where nobody else can say, the same header at two looks in a row."""

    def __init__(self, reader: ChainReader, slug: str) -> None:
        self._reader = reader
        self._slug = slug
        self._seen_once = ""
        self._contradicted = ""

    async def of(self, header: Header) -> bool:
        """Whether this block stands. False: not yet, look again at the next poll."""
        word = await self._reader.confirms(header)
        is_second_look, self._seen_once = self._seen_once == header.hash, header.hash if word is Word.ALONE else ""
        if word is Word.CONTRADICTED and self._contradicted != header.hash:
            log.warning("%s: block %d has two versions; waiting", self._slug, header.number)
            self._contradicted = header.hash
        return word is Word.CONFIRMED or (word is Word.ALONE and is_second_look)

    @property
    def is_half_said(self) -> bool:
        """Whether the last header needs but a second look."""
        return bool(self._seen_once)

    def forget(self) -> None:
        """Nothing stands against us now: what does so later is a first look again."""
        self._seen_once = ""
