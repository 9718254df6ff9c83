"""Many readers of one page: keep-alive connections that ask again as soon as they have the whole answer."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

BUFFER = 1 << 22
"""More than any page: a whole answer is read in one go."""


@dataclass(frozen=True)
class Load:
    """What one page bore."""

    answers: int
    seconds: float
    body_bytes: int
    """Of the last answer, as it came over the wire."""
    encoding: str

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class AnswerError(RuntimeError):
    """The page answered something else than 200: then its speed says nothing."""


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Length of the body and its encoding; raises AnswerError for any other code than 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if head[0].split()[1] != "200":
        raise AnswerError(f"the page answered {head[0]!r}")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    fields = {name.lower(): value.strip() for name, value in pairs}
    encoding = fields.get("content-encoding", "identity")
    if "content-length" in fields:
        return len(await reader.readexactly(int(fields["content-length"]))), encoding
    length = 0
    while size := int(await reader.readline(), 16):
        length += len(await reader.readexactly(size + 2)) - 2
    await reader.readline()
    return length, encoding


async def _ask(url: str, accept: str, until: float) -> tuple[int, int, str]:
    """One reader until that time: how many whole answers came, and the length and encoding of the last."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=BUFFER)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = (f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/html", f"Accept-Encoding: {accept}")
    request = "\r\n".join((*lines, "", "")).encode()
    count, length, encoding = 0, 0, ""
    try:
        while time.perf_counter() < until:
            writer.write(request)
            length, encoding = await _read_answer(reader)
            count += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return count, length, encoding


async def _bear(url: str, accept: str, seconds: float, connections: int) -> Load:
    began = time.perf_counter()
    told = await asyncio.gather(*(_ask(url, accept, began + seconds) for _ in range(connections)))
    took = time.perf_counter() - began
    return Load(sum(count for count, *_ in told), took, told[0][1], told[0][2])


def bear(url: str, *, seconds: float, connections: int = 12, accept: str = "gzip") -> Load:
    """Reads a page for so many seconds, after a fifth as many that do not count; `accept`: what encoding readers take.

    Answers under way when the time is over are waited for and counted, with the time that they took.
    """
    asyncio.run(_bear(url, accept, seconds / 5, connections))
    return asyncio.run(_bear(url, accept, seconds, connections))
