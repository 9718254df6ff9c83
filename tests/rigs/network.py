"""Refuses every connection of this process that leaves the machine."""

import ipaddress
import sys
from typing import Any

import pytest

LOCAL_NAMES = {"localhost", "testserver", ""}
"""`testserver` is the name by which in-process clients call an application; nothing is dialled."""


def is_local(host: object) -> bool:
    """Whether a host name or address is this machine; None and the empty name bind to it."""
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse_foreign_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: pytest's own failure is no `Exception`, so no retry or broad except can swallow it."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # A text is the path of a Unix socket.
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_local(host):
        pytest.fail(f"{event} to {host!r}: tests reach no network but loopback", pytrace=True)


def pytest_configure() -> None:
    sys.addaudithook(refuse_foreign_hosts)
