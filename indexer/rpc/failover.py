"""Which provider is asked, which next, and what each failure means for its standing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from indexer.rpc.errors import (
    AnswerTooLargeError,
    ChainError,
    NobodyElseError,
    RangeTooWideError,
    RequestError,
    RevertError,
    StateMissingError,
    ThrottledError,
    UnavailableError,
    UntruthError,
    WrongChainError,
)
from indexer.rpc.provider import About, Keeps, Pace, Provider
from indexer.rpc.reader import ChainTerms

T = TypeVar("T")
Work = Callable[[Provider], Awaitable[T]]
TOO_LARGE = (RangeTooWideError, AnswerTooLargeError)
NOBODY: frozenset[str] = frozenset()

ROUNDS = 4  # How often all providers are asked before the chain counts as unreachable.
THROTTLED_ROUNDS = 24  # Being told to slow down is no outage: halving 24 times reaches any rate.
ROUND_SECONDS = 0.25
ILL_VOICE_SECONDS = 1.0  # The same for one that has just failed.
VOICE_SECONDS = 5.0  # How long a provider may think when all are asked the same: the slowest holds up the answer.


@dataclass(frozen=True)
class Whom:
    """Whom to ask: `avoid` last, `without` never (both by name), and what about, as not all keep everything.

    `is_divisible`: less can be asked at once, so the first refusal for size is raised instead of asking the next.
    """

    avoid: frozenset[str] = NOBODY
    without: frozenset[str] = NOBODY
    about: About | None = None
    is_divisible: bool = False


ANYBODY = Whom()


class Failover:
    """The providers of one chain: they take turns, stand in for each other, and come back by themselves."""

    def __init__(self, terms: ChainTerms, providers: Sequence[Provider], pace: Pace) -> None:
        self._terms = terms
        self._providers = providers
        self._pace = pace
        self._turns: Counter[Keeps | None] = Counter()

    async def ask(self, work: Work[T], whom: Whom = ANYBODY) -> T:
        """The first good answer of any provider; raises what all of them said when none has one."""
        said: dict[str, ChainError] = {}
        rounds = throttled = 0
        while rounds < ROUNDS and throttled < THROTTLED_ROUNDS:
            said = {}
            for provider in self._in_order(whom):
                try:
                    if whom.without and provider.is_busy(self._pace.monotonic()):
                        # Another opinion is not worth minutes: the caller has other ways.
                        raise ThrottledError(f"{provider.name}: is left alone until it may be asked again")
                    return await self._once(provider, work, whom)
                except ChainError as error:
                    if isinstance(error, RevertError) or (whom.is_divisible and isinstance(error, TOO_LARGE)):
                        raise
                    said[provider.name] = error
            if any(isinstance(error, TOO_LARGE) for error in said.values()) or not any(
                isinstance(e, ThrottledError | UnavailableError | UntruthError) for e in said.values()
            ):
                break
            is_throttled = any(isinstance(error, ThrottledError) for error in said.values())
            if is_throttled and whom.without:
                break
            throttled, rounds = throttled + is_throttled, rounds + (not is_throttled)
            if rounds < ROUNDS and not is_throttled:
                await self._pace.sleep(ROUND_SECONDS * 2 ** (rounds - 1))
        raise self._verdict(said, whom)

    async def _once(self, provider: Provider, work: Work[T], whom: Whom) -> T:
        """One provider's answer; its standing follows from it. Whatever it says wrongly comes out as a ChainError."""
        try:
            await provider.check(self._terms)
            result = await work(provider)
        except ChainError as error:
            provider.judge(error, whom.about)
            raise
        except ValueError as error:
            # Hex that is none, a number without end: shapes that no decoder looked at.
            lie = UntruthError(f"{provider.name}: an answer holds no proper value ({type(error).__name__})")
            provider.judge(lie, whom.about)
            raise lie from error
        provider.answered()
        return result

    async def everyone(self, work: Work[T | None]) -> dict[str, T]:
        """Provider → answer of all that answer within VOICE_SECONDS, also of those set aside; each host speaks once."""

        async def voice(provider: Provider) -> T | None:
            now = self._pace.monotonic()
            if provider.is_busy(now):
                return None
            seconds = VOICE_SECONDS if provider.quiet_until <= now else ILL_VOICE_SECONDS
            try:
                async with self._pace.limit(seconds):
                    return await self._once(provider, work, ANYBODY)
            except ChainError:
                return None
            except TimeoutError:
                provider.judge(UnavailableError(f"{provider.name}: said nothing in {seconds:.0f} s"))
                return None

        speakers = {provider.host: provider for provider in reversed(self._usable())}
        answers = await asyncio.gather(*(voice(provider) for provider in speakers.values()))
        return {p.name: said for p, said in zip(speakers.values(), answers, strict=True) if said is not None}

    def voices(self, without: frozenset[str] = NOBODY) -> int:
        """How many independent providers answer now: those of one host are one voice."""
        now = self._pace.monotonic()
        usable = self._usable(without)
        return len({p.host for p in usable if p.quiet_until <= now and not p.is_busy(now)})

    def distrust(self, name: str, reason: str) -> None:
        """Sets a provider aside for what others hold against it."""
        for provider in self._providers:
            if provider.name == name:
                provider.doubt(reason)

    def _usable(self, without: frozenset[str] = NOBODY) -> list[Provider]:
        """Those that serve this chain and are not of the hosts named."""
        hosts = {provider.host for provider in self._providers if provider.name in without}
        return [provider for provider in self._providers if provider.out is None and provider.host not in hosts]

    def _in_order(self, whom: Whom) -> list[Provider]:
        """Whom to ask first: who keeps it, is healthy and need not pause; taking turns, avoided ones last."""
        usable = self._usable(whom.without)
        line = whom.about.keeps if whom.about else None
        self._turns[line] += 1  # Each kind of question by itself: else a fixed mix of them gives one the same always.
        turned = [usable[(n + self._turns[line]) % len(usable)] for n in range(len(usable))]
        now = self._pace.monotonic()
        return sorted(turned, key=lambda p: (p.name in whom.avoid, *p.reluctance(now, whom.about)))

    def _verdict(self, said: Mapping[str, ChainError], whom: Whom) -> ChainError:
        """One error for all of it: kinder kinds only when everybody said so."""
        if not self._providers:
            return UnavailableError(f"{self._terms.slug}: no endpoint is set; name one in the chain's rpc setting")
        if not said and whom.without and self._usable():
            return NobodyElseError(f"{self._terms.slug}: nobody to ask but {', '.join(sorted(whom.without))}")
        if not said:
            return WrongChainError("; ".join(p.out for p in self._providers if p.out))
        errors = list(said.values())
        text = "; ".join(dict.fromkeys(str(error) for error in errors))
        if any(isinstance(error, TOO_LARGE) for error in errors):
            return AnswerTooLargeError(text)
        for kind in (StateMissingError, RequestError, ThrottledError, WrongChainError):
            if all(isinstance(error, kind) for error in errors):
                return kind(text)
        return UnavailableError(f"{self._terms.slug}: no provider has an answer ({text})")
