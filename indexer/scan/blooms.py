"""Level 2 of the verification ladder: what came is in the headers' blooms, and the blooms promise no more. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_utils.crypto import keccak

from indexer.adapter import Log, LogFilter
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header
from indexer.scan.verify import ByBlock, is_of, matches

Pair = tuple[str, tuple[str, ...]]
"""Contract and event of a log: its address and its first topic, where it has one."""
MOST_PAIRS = 65_536
Answers = dict[int, frozenset[int]]
"""Block → which filters its logs are answers to, by their places."""


@lru_cache(maxsize=65_536)
def bloom_bits(value: str) -> int:
    """The three bits that an address or topic (0x text) sets in a 2048-bit bloom, as a mask (Yellow Paper, 4.3.1)."""
    digest = keccak(bytes.fromhex(value[2:]))
    return sum({1 << (int.from_bytes(digest[at : at + 2], "big") & 2047) for at in (0, 2, 4)})


def bloom_of(header: Header) -> int | None:
    """The header's bloom as a number, or None where the node gives none."""
    return int(header.logs_bloom, 16) if len(header.logs_bloom) > 2 else None


@dataclass
class ChainBlooms:
    """Whether a chain's headers carry blooms: some layer-2 chains fill them with zeros. None: not known yet."""

    are_there: bool | None = None

    def see(self, headers: Iterable[Header]) -> None:
        """One bloom that is not zero settles it."""
        if not self.are_there and any(bloom_of(header) for header in headers):
            self.are_there = True


class BloomQuestion:
    """One filter asked of many blocks."""

    def __init__(self, wanted: LogFilter) -> None:
        self.wanted = wanted
        self.is_of_pair = set(wanted.topics[1:]) <= {None}
        """Whether contract and event alone decide what it matches."""
        self._any_of = [
            tuple(bloom_bits(value) for value in sorted(allowed))
            for allowed in (wanted.addresses or None, *wanted.topics)
            if allowed is not None
        ]

    def may_hold(self, bloom: int) -> bool:
        """Whether the block may hold a log of it; False means certainly not."""
        return all(any(bits & bloom == bits for bits in masks) for masks in self._any_of)


class BloomCheck:
    """For those who ask for these filters. Contract and event of each log are looked up in its block's bloom.

    Of the further topics only those that a filter names: a keccak for each would be too dear. What a pair of contract
    and event means is worked out once.
    """

    def __init__(self, filters: Iterable[LogFilter]) -> None:
        self._questions = [BloomQuestion(wanted) for wanted in filters]
        further = [allowed for question in self._questions for allowed in question.wanted.topics[1:] if allowed]
        self._named = frozenset[str]().union(*further)
        self._pairs: dict[Pair, tuple[int, frozenset[int]]] = {}

    def answered(self, blocks: ByBlock, headers: Mapping[int, Header], where: str) -> Answers:
        """Block → the filters that its logs answer; raises UntruthError for a log that its bloom does not hold."""
        return {
            number: self._answered(logs, bloom, f"{where}: block {number}")
            for number, logs in blocks.items()
            if (bloom := bloom_of(headers[number])) is not None
        }

    def unanswered(self, answers: Answers, headers: Iterable[Header]) -> tuple[list[Header], bool]:
        """Blocks whose bloom says that a filter may match where no such log came, and whether all had blooms.

        A false alarm is possible (blooms are saturated on busy chains); that a filter's only log is left out in silence
        is not.
        """
        suspects: list[Header] = []
        is_complete = True
        for header in headers:
            answered = answers.get(header.number, frozenset())
            if header.number in answers and len(answered) == len(self._questions):
                continue
            bloom = bloom_of(header)
            if bloom is None:
                is_complete = False
            elif any(at not in answered and question.may_hold(bloom) for at, question in enumerate(self._questions)):
                suspects.append(header)
        return suspects, is_complete

    def _answered(self, logs: Sequence[Log], bloom: int, where: str) -> frozenset[int]:
        """Which questions the logs of one block answer."""
        answered = frozenset[int]()
        for pair in {(log.address, log.topics[:1]) for log in logs}:
            bits, questions = self._pairs.get(pair) or self._learn(pair)
            if bits & bloom != bits:
                raise UntruthError(f"{where}: its bloom holds no log of {' '.join((pair[0], *pair[1]))}")
            answered |= questions
        return answered | self._by_further_topics(logs, bloom, where) if self._named else answered

    def _learn(self, pair: Pair) -> tuple[int, frozenset[int]]:
        """The bits that contract and event set, and the questions that they answer whatever the further topics are."""
        if len(self._pairs) >= MOST_PAIRS:
            self._pairs.clear()
        address, event = pair
        bits = bloom_bits(address)
        for topic in event:
            bits |= bloom_bits(topic)
        questions = frozenset(
            at
            for at, question in enumerate(self._questions)
            if question.is_of_pair and is_of(question.wanted, address, event)
        )
        self._pairs[pair] = bits, questions
        return bits, questions

    def _by_further_topics(self, logs: Sequence[Log], bloom: int, where: str) -> frozenset[int]:
        """Which questions all topics together answer. A topic that a filter names must be in the bloom."""
        for named in self._named.intersection(topic for log in logs for topic in log.topics[1:]):
            bits = bloom_bits(named)
            if bits & bloom != bits:
                raise UntruthError(f"{where}: its bloom holds no log with {named}")
        return frozenset(
            at
            for at, question in enumerate(self._questions)
            if not question.is_of_pair and any(matches(question.wanted, log) for log in logs)
        )
