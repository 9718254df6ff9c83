"""Where a webhook may go: https to a public address, looked up, checked and pinned anew for every attempt.

UnreachableAddressError   the address may not be reached, or its name cannot be looked up
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

import httpx

IPAddress = IPv4Address | IPv6Address
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host's name and a port to its addresses; raises OSError where a name server gives none."""

LONGEST_URL = 2_000
HTTPS_PORT = 443
HIGH_PORTS = range(1024, 65536)
"""Besides 443: below stand other protocols (mail, SSH, …) that a request could disturb, above people's own servers."""

HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A host whose last label is one of these is read as an address, by browsers and by getaddrinfo alike."""

NAT64 = ip_network("64:ff9b::/96")
"""Networks without IPv4 make every IPv4 host look like this, so it is judged by the address within."""
NOT_ONE_HOST = tuple(
    ip_network(block)
    for block in (
        "::ffff:0:0/96",  # an IPv4 address of any kind, mapped
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4: an IPv4 address of any kind, wrapped
        "3fff::/20",  # documentation
        "fec0::/10",  # what private IPv6 addresses were before fc00::/7
    )
)
"""What some version of Python's ipaddress calls global, and is no address of one host there."""


class UnreachableAddressError(ValueError):
    """An address where no webhook may go: says what is wrong and how to mend it."""


@dataclass(frozen=True)
class Destination:
    """A web address, and the IP address and port that its connection goes to, whatever its name says by then."""

    url: httpx.URL
    ip: IPAddress
    port: int

    @property
    def host(self) -> str:
        """The name that its certificate must bear, as name servers know it."""
        return host_of(self.url)

    @property
    def pinned(self) -> httpx.URL:
        """The address to connect to; `url` still says which host to ask for."""
        return self.url.copy_with(host=str(self.ip), port=self.port)


class Resolver(Protocol):
    """Says where a connection goes; whoever hands one over decides what may be reached."""

    async def resolve(self, url: str) -> Destination:
        """Looks the address up once; raises UnreachableAddressError."""
        ...


async def look_up_host(host: str, port: int) -> list[str]:
    """The addresses of a host as this machine's own resolver gives them, the best first."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class PublicResolver:
    """Reaches the public internet by https and nothing else."""

    def __init__(self, look_up: LookUp = look_up_host) -> None:
        self._look_up = look_up

    async def resolve(self, url: str) -> Destination:
        """Pins the first answer; raises UnreachableAddressError unless every answer is public."""
        parsed = parse_url(url)
        host, port = host_of(parsed), parsed.port or HTTPS_PORT
        try:
            answers = [ip_address(text) for text in await self._look_up(host, port)]
        except (OSError, UnicodeError) as error:  # UnicodeError: a label that no name server can be asked for.
            raise UnreachableAddressError(f"{host} cannot be looked up: check how it is spelt") from error
        if not answers or not all(is_public(ip) for ip in answers):
            raise UnreachableAddressError(
                f"{host} resolves to an address that is not public: give a host that the whole internet reaches"
            )
        return Destination(parsed, answers[0], port)


def check_url(url: str) -> str | None:
    """What is wrong with a webhook's address and how to mend it, None if nothing is; its name is not looked up."""
    try:
        parse_url(url)
    except UnreachableAddressError as error:
        return str(error)
    return None


def parse_url(url: str) -> httpx.URL:
    """The parts of a webhook's address; raises UnreachableAddressError for all that can be told without asking."""
    if len(url) > LONGEST_URL:
        raise UnreachableAddressError(f"the address is longer than {LONGEST_URL} characters: give a shorter one")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UnreachableAddressError("this is no web address: write https://, a host and a path") from error
    if parsed.scheme != "https":
        raise UnreachableAddressError("messages are sent encrypted only: write an address that begins with https://")
    if parsed.userinfo:
        raise UnreachableAddressError("the address holds a user name: leave out what stands before the @")
    if parsed.port not in (None, HTTPS_PORT) and parsed.port not in HIGH_PORTS:
        raise UnreachableAddressError(f"port {parsed.port} is not allowed: use 443, or one from 1024 to 65535")
    _check_host(host_of(parsed))
    return parsed


def host_of(url: httpx.URL) -> str:
    """The host in ASCII: httpx's own `host` translates it back for readers and fails at some."""
    return url.raw_host.decode("ascii")


def _check_host(host: str) -> None:
    if ":" in host or NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            is_allowed = is_public(ip_address(host))
        except ValueError as error:  # 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 all mean one address and hide it.
            raise UnreachableAddressError(f"{host} is a number and no address: write the host's name") from error
        if not is_allowed:
            raise UnreachableAddressError(
                f"{host} is not a public address: give a host that the whole internet reaches"
            )
    elif not HOST_NAME.fullmatch(host):
        raise UnreachableAddressError("the address has no full host name: write one such as hooks.example.com")


def is_public(ip: IPAddress) -> bool:
    """Whether this is the address of one host on the public internet."""
    if "%" in str(ip):  # A zone: the address is of one link of this machine.
        return False
    if ip in NAT64:
        return is_public(IPv4Address(int(ip) & 0xFFFF_FFFF))
    return (
        ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in block for block in NOT_ONE_HOST)
    )
