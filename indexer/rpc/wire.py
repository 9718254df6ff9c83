"""httpx's requests over aiohttp's connections, whose parser in C costs a fifth of the time for pages of megabytes."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.request import getproxies

import aiohttp
import httpx

CONNECTIONS = 16
KEPT_SECONDS = 60.0
READ_AHEAD = 1 << 20
"""Bytes of an answer that may wait unread; a page of logs comes in a few pieces of this size."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carries requests of one client. Opens its connections at the first request; never follows a redirect."""

    def __init__(self, *, is_secure: bool) -> None:
        # Loading the machine's certificates takes 0.1 s; a node without TLS needs none.
        self._tls: ssl.SSLContext | bool = httpx.create_ssl_context() if is_secure else True
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Status and headers; the body follows as it is read, still packed."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_SECONDS, ssl=self._tls)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, read_bufsize=READ_AHEAD, trust_env=bool(getproxies())
            )
        patience = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(None, sock_connect=patience.get("connect"), sock_read=patience.get("read"))
        with told_as_httpx():
            answer = await self._session.request(
                request.method,
                str(request.url),
                data=await request.aread(),
                headers=dict(request.headers),
                allow_redirects=False,
                timeout=timeout,
            )
        headers = [(name.decode(), value.decode("latin-1")) for name, value in answer.raw_headers]
        return httpx.Response(answer.status, headers=headers, stream=AnswerStream(answer))

    async def aclose(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class AnswerStream(httpx.AsyncByteStream):
    """The body of one answer; a connection whose answer is not read to its end is not used again."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with told_as_httpx():
            async for piece in self._answer.content.iter_any():
                yield piece

    async def aclose(self) -> None:
        """Gives the connection back, or ends it."""
        self._answer.close()


@contextmanager
def told_as_httpx() -> Iterator[None]:
    """Translates aiohttp's errors into those of httpx, which everybody above knows."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error
    except aiohttp.InvalidURL as error:
        raise httpx.UnsupportedProtocol(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
