"""Webhooks as Standard Webhooks defines them: one signed POST to a checked address, no redirect, one time limit."""

import asyncio
import ssl
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

import httpx
import msgspec

from alerts.channel import ChannelError, Parcel, Receipt
from alerts.message import Message
from alerts.reach import Destination, Resolver, UnreachableAddressError
from alerts.signing import sign
from ledger.clock import Clock
from ledger.kinds import Purpose

LIMIT_SECONDS = 15.0
"""For all of one attempt: looking up, connecting, sending, and reading the answer."""
BODY_LIMIT = 20_000
"""A body stays below this many bytes, as Standard Webhooks asks."""
TRIMMED = ("lines", "evidence", "changes")
"""Which lists of a message lose their last items where the body would be too large, in this order."""
ANSWER_BYTES = 4_096
SHOWN_CHARACTERS = 200
DAY_SECONDS = 86_400.0
GONE = 410
PATIENCE = (429, 503)
"""Answers whose Retry-After is honoured."""


@dataclass(frozen=True)
class Answer:
    """What an endpoint said, its body cut."""

    status: int
    retry_after: str
    text: str

    def __str__(self) -> str:
        printable = "".join(letter if letter.isprintable() else " " for letter in self.text)
        shown = " ".join(printable.split())[:SHOWN_CHARACTERS]
        return f"{self.status}: {shown}" if shown else str(self.status)


class PingAnswer(msgspec.Struct):
    """What an endpoint may answer to a ping; the bare challenge does as well."""

    challenge: str


class WebhookChannel:
    """Sends to webhooks; the resolver decides which addresses may be reached, `verify` which certificates do."""

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        *,
        verify: ssl.SSLContext | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._tls = verify or httpx.create_ssl_context(trust_env=False)
        self._limit_seconds = limit_seconds

    async def send(self, parcel: Parcel) -> Receipt:
        """Posts the parcel once; raises ChannelError unless the endpoint answers 2xx, and a ping's challenge."""
        body = render_body(parcel)
        headers = self._headers(parcel, body)
        try:
            async with asyncio.timeout(self._limit_seconds):
                destination = await self._resolver.resolve(parcel.address)
                answer = await self._post(destination, headers, body)
        except UnreachableAddressError as error:
            raise ChannelError(str(error)) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ChannelError(f"the endpoint gave no complete answer in {self._limit_seconds:g} seconds") from error
        except httpx.HTTPError as error:
            raise ChannelError(describe_trouble(error)) from error
        return self._judge(parcel, answer)

    async def close(self) -> None:
        """Nothing is left open between two messages."""

    def _headers(self, parcel: Parcel, body: bytes) -> dict[str, str]:
        timestamp = int(self._clock().timestamp())
        try:
            signature = sign(parcel.secrets, parcel.message_id, timestamp, body)
        except ValueError as error:
            raise ChannelError(f"the message cannot be signed, {error}: give the webhook a new secret") from error
        return {
            "webhook-id": parcel.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
            "content-type": "application/json",
            "user-agent": "Backstop",
            "accept-encoding": "identity",  # A packed answer could unpack to any size.
        }

    async def _post(self, destination: Destination, headers: dict[str, str], body: bytes) -> Answer:
        # A client of its own: a shared one knows its connections and cookies by IP address, and would hand what
        # belongs to one name, its checked certificate too, to another name at the same address.
        async with (
            httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=self._limit_seconds) as client,
            client.stream(
                "POST",
                destination.pinned,
                content=body,
                headers=headers | {"host": destination.url.netloc.decode("ascii")},
                extensions={"sni_hostname": destination.host},
                follow_redirects=False,
            ) as response,
        ):
            said = await anext(aiter(response.aiter_raw(ANSWER_BYTES)), b"")
        return Answer(response.status_code, response.headers.get("retry-after", ""), said.decode(errors="replace"))

    def _judge(self, parcel: Parcel, answer: Answer) -> Receipt:
        if answer.status == GONE:
            raise ChannelError(f"the endpoint said that it is gone ({answer})", permanent=True)
        if 300 <= answer.status < 400:
            raise ChannelError(
                f"the endpoint answered {answer.status}, a redirect: none is followed, so enter the final address"
            )
        if not 200 <= answer.status < 300:
            wait = seconds_to_wait(answer.retry_after, self._clock()) if answer.status in PATIENCE else None
            raise ChannelError(f"the endpoint answered {answer}", retry_after=wait)
        if parcel.purpose == Purpose.PING and not has_challenge(answer.text, challenge_of(parcel.message_id)):
            raise ChannelError(
                "the ping must be answered with the challenge from data.challenge, as plain text or as JSON "
                f'{{"challenge": "…"}}; the answer was {answer}'
            )
        return Receipt(str(answer))


def render_body(parcel: Parcel) -> bytes:
    """The JSON of a parcel: the same bytes in every attempt."""
    message = parcel.message
    event = parcel.purpose if message is None else message.event
    return _fit({"type": event, "timestamp": parcel.created_at, "data": _data_of(parcel)})


def _data_of(parcel: Parcel) -> dict[str, Any]:  # Any: JSON.
    if parcel.purpose == Purpose.PING:
        return {"challenge": challenge_of(parcel.message_id)}
    message, links = parcel.message, parcel.links
    said = (parcel.detail or {}) if message is None else _with_whole_addresses(message, links.site).to_json()
    # Only these links: what others let their bearer do is for the owner's mailbox.
    given = {"page": links.page, "site": links.site}
    return {"message_id": parcel.message_id, "purpose": parcel.purpose, **said, "links": given}


def challenge_of(message_id: str) -> str:
    """What the endpoint must answer to a ping; a ping's message id is random, so only who reads it knows."""
    return sha256(f"ping:{message_id}".encode()).hexdigest()


def has_challenge(text: str, challenge: str) -> bool:
    """Whether an answer is the challenge itself, or JSON that holds it under that name."""
    try:
        said = msgspec.json.decode(text, type=PingAnswer).challenge
    except (msgspec.MsgspecError, RecursionError):
        said = text.strip()
    return said == challenge


def seconds_to_wait(retry_after: str, now: datetime) -> float | None:
    """What a Retry-After header asks for, in seconds or as a date, at most a day; None if it says nothing usable."""
    if retry_after.isdecimal():
        return min(float(retry_after), DAY_SECONDS)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), DAY_SECONDS)


def describe_trouble(error: httpx.HTTPError) -> str:
    """Why there is no answer, in words that tell nothing about the network the name leads to."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the endpoint's certificate was not accepted: {cause.verify_message.rstrip('.')}"
    if cause is not None:
        return "the encrypted connection to the endpoint failed"
    if isinstance(error, httpx.ConnectError):
        return "no connection to the endpoint could be made"
    return "the endpoint broke the connection, or its answer was no HTTP"


def _with_whole_addresses(message: Message, site: str) -> Message:
    whole = (
        msgspec.structs.replace(each, href=site + each.href) if each.href.startswith("/") else each
        for each in message.evidence
    )
    return msgspec.structs.replace(message, evidence=tuple(whole))


def _fit(event: dict[str, Any]) -> bytes:
    for name in TRIMMED:
        if len(msgspec.json.encode(event)) >= BODY_LIMIT and name in event["data"]:
            event = _shorten(event, name)
    return msgspec.json.encode(event)


def _shorten(event: dict[str, Any], name: str) -> dict[str, Any]:
    data, items = event["data"], event["data"][name]

    def with_first(count: int) -> dict[str, Any]:
        return event | {"data": data | {"truncated": True, name: items[:count]}}

    counts = range(1, len(items) + 1)
    return with_first(bisect_left(counts, BODY_LIMIT, key=lambda count: len(msgspec.json.encode(with_first(count)))))
