"""One provider over HTTP: requests in batches, answers decoded by type, every failure a ChainError."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from indexer.rpc.errors import (
    AnswerTooLargeError,
    ChainError,
    RequestError,
    Said,
    ThrottledError,
    UnavailableError,
    error_of,
    shorten,
)
from indexer.rpc.messages import NO_ERROR, Ask, Envelope, encode_asks, plain_results
from indexer.rpc.wire import AiohttpTransport

BATCH = msgspec.json.Decoder(list[Envelope] | Envelope)
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
NO_JSON = (msgspec.DecodeError, RecursionError)
"""What decoding raises: arrays without end nest deeper than the decoder goes."""
MOST_AT_ONCE = 1000  # Nobody asks for more at once.
MOST_BYTES = 64 << 20  # Of one answer, unpacked: a hundred thousand logs.


def name_of(url: str) -> str:
    """The provider's name in messages: its host (and port). Paths and user parts hold keys and are never shown."""
    parts = urlsplit(url)
    return parts.hostname + (f":{parts.port}" if parts.port else "") if parts.hostname else "provider without a host"


class RpcClient:
    """Sends JSON-RPC to one URL. Opens connections at the first request; `close` ends them.

    `transport`: what carries requests instead of the network, for providers inside this process.
    """

    def __init__(
        self, url: str, *, timeout: httpx.Timeout = TIMEOUT, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url
        self.name = name_of(url)
        self.requests = 0
        self._http = httpx.AsyncClient(
            timeout=timeout,
            headers={"Content-Type": "application/json"},
            transport=transport or AiohttpTransport(is_secure=url.startswith("https")),
        )
        self._most = self._ceiling = MOST_AT_ONCE

    async def close(self) -> None:
        """Ends all connections."""
        await self._http.aclose()

    async def one(self, ask: Ask[Any]) -> Any:
        """The result of one request, of the type its decoder says; raises ChainError."""
        (answer,) = await self.batch([ask])
        if isinstance(answer, ChainError):
            raise answer
        return answer

    async def batch(self, asks: Sequence[Ask[Any]]) -> list[Any]:
        """Results in the order asked; a request that failed alone has its ChainError in its place.

        Raises ChainError when the provider failed as a whole.
        """
        if len(asks) > self._most:
            parts = [asks[at : at + self._most] for at in range(0, len(asks), self._most)]
            return [answer for part in parts for answer in await self.batch(part)]
        body = await self._post(encode_asks(asks))
        results = plain_results(body, asks)
        if results is None:
            return await self._each_result(body, asks)
        self._was_taken(asks)
        return results

    async def _each_result(self, body: bytes, asks: Sequence[Ask[Any]]) -> list[Any]:
        """The same where not all is as it should be, or what was asked is rare."""
        envelopes = self._decode_body(body, asks)
        if isinstance(envelopes, Envelope) and len(asks) > 1:
            return await self._in_smaller_parts(envelopes, asks)
        self._was_taken(asks)
        answered = [envelopes] if isinstance(envelopes, Envelope) else envelopes
        by_id = {envelope.id: envelope for envelope in answered}
        if len(by_id) != len(answered):
            raise UnavailableError(f"{self.name}: {asks[0].method} was answered twice in one batch")
        if len(asks) == 1 and 0 not in by_id and len(by_id) == 1:
            by_id = {0: next(iter(by_id.values()))}  # Some nodes answer errors with a null id.
        return [self._result(by_id.get(n), ask) for n, ask in enumerate(asks)]

    def _was_taken(self, asks: Sequence[Ask[Any]]) -> None:
        """A batch of that size was no trouble: the next may be larger."""
        if len(asks) == self._most < self._ceiling:
            self._most = (self._most + self._ceiling + 1) // 2

    async def _in_smaller_parts(self, refusal: Envelope, asks: Sequence[Ask[Any]]) -> list[Any]:
        """One object in answer to a batch: an error for all of it, a batch too large, or a node that knows no batches.

        The largest batch that is taken is found by halving, and then by steps up to what was refused.
        """
        error = self._said(refusal, f"{self.name}: batch of {len(asks)}")
        if isinstance(error, ThrottledError | UnavailableError):
            raise error
        self._ceiling = min(self._ceiling, len(asks) - 1)
        self._most = min(self._ceiling, (len(asks) + 1) // 2)
        return await self.batch(asks)

    async def _post(self, body: bytes) -> bytes:
        self.requests += 1
        try:
            async with self._http.stream("POST", self.url, content=body) as response:
                content = await self._whole(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__} {shorten(str(error))}".rstrip()) from error
        if response.status_code != 200:
            raise self._http_error(response, content)
        return content

    async def _whole(self, response: httpx.Response) -> bytes:
        """The body, unpacked; one that would fill the memory is refused while it comes."""
        parts, size = [], 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise AnswerTooLargeError(f"{self.name}: an answer of more than {MOST_BYTES >> 20} MB")
        return b"".join(parts)

    def _http_error(self, response: httpx.Response, content: bytes) -> ChainError:
        """What a failed response says; a JSON-RPC error inside it is the better witness."""
        message, code = content.decode("utf-8", "replace") or response.reason_phrase, None
        try:
            inner = msgspec.json.decode(content)
        except NO_JSON:
            inner = None
        error = inner.get("error") if isinstance(inner, dict) else None
        if isinstance(error, dict):
            message, code = str(error.get("message", message)), error.get("code")
        said = Said(
            f"{message}",
            code=code if isinstance(code, int) else None,
            status=response.status_code,
            retry_after=retry_after_of(response.headers),
        )
        return error_of(said, f"{self.name}: HTTP {response.status_code}")

    def _decode_body(self, body: bytes, asks: Sequence[Ask[Any]]) -> list[Envelope] | Envelope:
        try:
            envelopes: list[Envelope] | Envelope = BATCH.decode(body)
            return envelopes
        except NO_JSON as error:
            shown = shorten(body[:120].decode("utf-8", "replace"), 80)
            kind = "HTML" if body.lstrip()[:1] == b"<" else "no valid JSON-RPC"
            raise UnavailableError(
                f"{self.name}: {asks[0].method} got {kind} with HTTP 200 ({len(body)} bytes: {shown!r})"
            ) from error

    def _result(self, envelope: Envelope | None, ask: Ask[Any]) -> Any:
        where = f"{self.name}: {ask.method}"
        if envelope is None:
            return UnavailableError(f"{where}: the batch came back without this answer")
        if bytes(envelope.error) not in NO_ERROR:
            return self._said(envelope, where)
        if not memoryview(envelope.result).nbytes:
            return UnavailableError(f"{where}: neither result nor error")
        try:
            return ask.result.decode(envelope.result)
        except (*NO_JSON, ValueError) as error:
            return UnavailableError(f"{where}: the result is not what the method returns ({error})")

    def _said(self, envelope: Envelope, where: str) -> ChainError:
        """The error inside an answer; some providers put a bare text there."""
        raw = bytes(envelope.error)
        try:
            error = msgspec.json.decode(raw) if raw else "no error given"
        except NO_JSON:
            return RequestError(f"{where}: {shorten(raw.decode('utf-8', 'replace'))}")
        if not isinstance(error, dict):
            return error_of(Said(str(error)), where)
        code, data = error.get("code"), error.get("data")
        message = str(error.get("message", ""))
        reason = revert_reason(data) if isinstance(data, str) else None
        text = f"{message} ({reason})" if reason and reason not in message else message
        return error_of(Said(text, code=code if isinstance(code, int) else None), where)


def revert_reason(data: str) -> str | None:
    """The text of a Solidity Error(string), or None for other data."""
    if not data.startswith("0x08c379a0"):
        return None
    try:
        raw = bytes.fromhex(data[10:])
    except ValueError:
        return None
    length = int.from_bytes(raw[32:64], "big")
    return raw[64 : 64 + length].decode("utf-8", "replace") or None


def retry_after_of(headers: httpx.Headers) -> float | None:
    """Seconds that Retry-After asks for; a date is counted from the response's own Date header."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
        return (until - parsedate_to_datetime(headers["date"])).total_seconds()
    except (ValueError, KeyError, TypeError):
        return None
