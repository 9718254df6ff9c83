"""What can go wrong with a provider, and the one table that tells which from what it said.

ChainError
├── RetryableError            the same question may succeed later, smaller, or elsewhere
│   ├── RangeTooWideError     ask fewer blocks (`limit`: how many the provider named, if any)
│   ├── AnswerTooLargeError   too many results or bytes: ask less at once
│   ├── ThrottledError        asked too often (`retry_after` in seconds, if it was said)
│   ├── UnavailableError      no connection, timeout, 5xx, HTML instead of JSON, cut-off JSON, a head that lags
│   ├── StateMissingError     this provider does not keep that state, or the recording does not hold it
│   ├── UntruthError          the answer contradicts itself or a header: another provider must say
│   └── NobodyElseError       another provider was demanded, and there is none
├── RevertError               the contract refused: an answer, not a failure
├── WrongChainError           the provider serves another chain or recording: never asked again
└── RequestError              the provider will never answer this: unknown method, bad parameters, no key
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class ChainError(Exception):
    """Something a provider said or did not say."""


class RetryableError(ChainError):
    """Later, smaller or elsewhere it may succeed."""


class RangeTooWideError(RetryableError):
    """Too many blocks in one eth_getLogs."""

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class AnswerTooLargeError(RetryableError):
    """Too many results or bytes in one answer."""


class ThrottledError(RetryableError):
    """The provider wants fewer requests."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(RetryableError):
    """The provider, or every provider, does not answer usefully now."""


class StateMissingError(RetryableError):
    """That state is not kept here."""


class UntruthError(RetryableError):
    """The answer cannot be true."""


class NobodyElseError(RetryableError):
    """Another provider was demanded, and there is none."""


class RevertError(ChainError):
    """The contract refused the call."""


class WrongChainError(ChainError):
    """Another chain answers at that address."""


class RequestError(ChainError):
    """Never answered, whoever asks again."""


class Kind(StrEnum):
    """What an error message means for us."""

    RANGE = "range"
    SIZE = "size"
    THROTTLE = "throttle"
    UNAVAILABLE = "unavailable"
    STATE_MISSING = "state_missing"
    REVERT = "revert"
    FATAL = "fatal"


@dataclass(frozen=True)
class Said:
    """What a provider said: HTTP status, JSON-RPC code and message, Retry-After in seconds."""

    message: str
    code: int | None = None
    status: int = 200
    retry_after: float | None = None


# First match wins: what a message says outranks its code, because -32000 and -32005 mean everything somewhere.
PATTERNS: tuple[tuple[Kind, str], ...] = (
    (Kind.STATE_MISSING, r"not recorded|missing trie node|no state available|state .{0,80}not available|is pruned"),
    (
        Kind.STATE_MISSING,
        r"no historical rpc|historical state|state histor|archive|header not found|pruned|state (already|is) discard",
    ),
    (Kind.STATE_MISSING, r"block ?(number|hash)? ?(is )?(out of range|not found)|unknown block|blockoutofrange"),
    (Kind.STATE_MISSING, r"resource not found|distance to target block exceeds|hash is not currently canonical"),
    # Before the ranges, for these messages suggest one: what is too large is the answer, at any range.
    (Kind.SIZE, r"query returned more|log response size exceeded|query timeout exceeded|logs matched by query exceed"),
    (Kind.RANGE, r"blocks? (height )?range|range (is )?(too (wide|large|big)|limit|exceed)|too many blocks"),
    (Kind.RANGE, r"(exceeds?|max(imum)?|limited).{0,40}\bblocks\b|ranges? over \d+ ?k? blocks"),
    (Kind.RANGE, r"up to a \d+ block|eth_getlogs is limited"),
    (
        Kind.SIZE,
        r"more than \d+ ?k? ?(results|logs)|(response|result|reply)s?( size)?.{0,20}(too (large|big)|exceed|limit)",
    ),
    (Kind.SIZE, r"too many (results|logs)|response size should|max results"),
    (Kind.SIZE, r"query (timeout|timed out)|timed? ?out.{0,40}(narrow|reduc|smaller)|limit the query|too large"),
    (Kind.THROTTLE, r"rate.?limit|too many requests|throughput|compute units|quota"),
    (Kind.THROTTLE, r"(request|daily|credit|monthly).{0,20}limit|capacity exceeded|exceeded.{0,30}(limit|capacity)"),
    (Kind.THROTTLE, r"limit (reached|exceeded)|unusually high|slow down|backoff|free credits"),
    (Kind.REVERT, r"revert|out of gas|invalid opcode|invalid jump|stack (under|over)flow|gas (uint64 )?overflow"),
    (Kind.FATAL, r"api key|authenticat|unauthor|forbidden|not (supported|allowed|whitelisted)|unsupported"),
    (Kind.FATAL, r"does not exist|upgrade your|method .{0,60}not (found|available)|missed `?to`?|parse error"),
    (Kind.FATAL, r"missing (value|field)|invalid (argument|param|request)|cannot unmarshal|must be"),
    (Kind.UNAVAILABLE, r"timeout|timed out|unavailable|overloaded|try again|bad gateway|internal|request failed"),
)
TABLE = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in PATTERNS)

CODES: dict[int, Kind] = {
    3: Kind.REVERT,
    -32001: Kind.STATE_MISSING,
    -32005: Kind.THROTTLE,
    -32016: Kind.THROTTLE,
    -32029: Kind.THROTTLE,
    429: Kind.THROTTLE,
    -32600: Kind.FATAL,
    -32601: Kind.FATAL,
    -32602: Kind.FATAL,
    -32700: Kind.FATAL,
    -32801: Kind.STATE_MISSING,
}


def classify(said: Said) -> Kind:
    """What kind of error that is; what the table does not know counts as unavailable (another provider is asked)."""
    if said.status == 429:
        return Kind.THROTTLE
    # A server that fails as a whole did not run the contract, whatever JSON-RPC code it wraps that in.
    if said.status >= 500 and "revert" not in said.message.lower():
        return next(
            (kind for kind, pattern in TABLE[:-1] if kind is not Kind.FATAL and pattern.search(said.message)),
            Kind.UNAVAILABLE,
        )
    if said.status in (401, 403):
        return Kind.FATAL
    if said.status == 413:
        return Kind.SIZE
    for kind, pattern in TABLE:
        if pattern.search(said.message):
            return kind
    if said.code in CODES:
        return CODES[said.code]
    return Kind.FATAL if said.status in (400, 404, 405) else Kind.UNAVAILABLE


LIMIT = re.compile(
    r"(?<![\w.])(\d[\d,]*) ?(k)?[ -]?(?:blocks?\b)|(?:range|limit(?:ed)?)(?: is| to| of|:)* ?a? ?(\d[\d,]*)(k)?",
    re.IGNORECASE,
)


def stated_limit(message: str) -> int | None:
    """The number of blocks a range error allows, where it names one: "limited to a 1000 blocks range", "10k blocks"."""
    found = LIMIT.search(message)
    if not found:
        return None
    digits, thousand = (found[1], found[2]) if found[1] else (found[3], found[4])
    limit = int(digits.replace(",", "")) * (1000 if thousand else 1)
    return limit or None


def error_of(said: Said, where: str) -> ChainError:
    """The exception for what a provider said; `where` names provider and method."""
    text = f"{where}: {shorten(said.message)}"
    match classify(said):
        case Kind.RANGE:
            return RangeTooWideError(text, limit=stated_limit(said.message))
        case Kind.SIZE:
            return AnswerTooLargeError(text)
        case Kind.THROTTLE:
            return ThrottledError(text, retry_after=said.retry_after)
        case Kind.STATE_MISSING:
            return StateMissingError(text)
        case Kind.REVERT:
            return RevertError(shorten(said.message))
        case Kind.FATAL:
            return RequestError(text)
        case Kind.UNAVAILABLE:
            return UnavailableError(text)


def shorten(message: str, length: int = 200) -> str:
    """One line of at most `length` characters: providers answer with whole HTML pages."""
    line = " ".join(message.split())
    return line if len(line) <= length else line[: length - 1] + "…"
