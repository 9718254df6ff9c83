"""Forms that are handed in: only from our own pages, not too large, and not too often."""

import ipaddress
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import Message

MOST_BYTES = 262_144
"""Of a form: with every box ticked it has a few kilobytes."""
MOST_FIELDS = 2000
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""What stands for a sign that is none."""
NO_TEXT = re.compile("[\0\ud800-\udfff]")
SENDING = (parse("10 per 10 minutes"), parse("50 per day"))
"""For what makes us send something."""
ACTING = (parse("120 per 10 minutes"),)
"""For what only changes the bearer's own rows."""

InAddress = Annotated[str, Query(max_length=200)]
"""A word in the address of a page; a token has 43 characters."""


@dataclass(frozen=True)
class Filled:
    """What a form holds; uploads are not among it."""

    values: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str:
        """The first value of a field; empty where it is absent."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field."""
        return self.values.get(name, ())


async def read_filled(request: Request) -> Filled:
    """The form in a request; answers 413 to one that is too large and 400 to what is no form."""
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise HTTPException(413)
        return message

    form = await Request(request.scope, receive).form(max_files=0, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES)
    return Filled({name: tuple(readable(str(value)) for value in form.getlist(name)) for name in form})


def readable(text: str) -> str:
    """The text without what nobody types and no database takes: NUL, and halves of signs that some encodings leave."""
    return NO_TEXT.sub(UNREADABLE, text)


def refuse_foreign(request: Request) -> None:
    """Answers 403 to a form on another site.

    There are no cookies here that such a form could use; it could only make its readers send mails. A browser that
    was told to name no referrer calls its origin null even towards ourselves, so null says nothing.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "null")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin == "null" or origin.partition("://")[2] == request.url.netloc
    if not is_own:
        raise HTTPException(403)


async def read_own(request: Request) -> Filled:
    """The form in a request, if it stands on one of our pages."""
    refuse_foreign(request)
    return await read_filled(request)


Own = Annotated[Filled, Depends(read_own)]


class Turnstile:
    """Counts forms by the network they come from, in memory only; the `limits` package does it by the wall clock."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, request: Request, limits: tuple[RateLimitItem, ...]) -> None:
        """Answers 429 where too many came."""
        network = network_of(request.client.host if request.client else "")
        for limit in limits:
            if not self._limiter.hit(limit, network):
                reset = self._limiter.get_window_stats(limit, network).reset_time
                seconds = max(1, math.ceil(reset - time.time()))
                raise HTTPException(429, headers={"Retry-After": str(seconds)})


def network_of(host: str) -> str:
    """An address, or of IPv6 the 64 bits that one subscriber of a provider is given."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
    return host
