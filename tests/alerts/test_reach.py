"""Which addresses a webhook may have, and where its connection then goes."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.reach import PublicResolver, UnreachableAddressError, check_url, is_public, look_up_host

PUBLIC_V4, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Names:
    """A name server that gives these answers in turn, the last one for ever, and counts its questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


ALLOWED = [
    "https://hooks.example.com/in?key=1",
    "HTTPS://Hooks.Example.com",
    "https://hooks.example.com:443/",
    "https://hooks.example.com:1024/",
    "https://hooks.example.com:65535/",
    "https://a_b.xn--bcher-kva.example/",
    "https://bücher.example/",
    "https://xn--a.example/",
    "https://12.example.com/",
    f"https://{PUBLIC_V4}/in",
    f"https://[{PUBLIC_V6}]:8443/in",
    "https://[64:ff9b::5db8:d70e]/",
]

REFUSED = [
    ("http://hooks.example.com/", "begins with https://"),
    ("ftp://hooks.example.com/", "begins with https://"),
    ("hooks.example.com/in", "begins with https://"),
    ("", "begins with https://"),
    ("https://user:pass@hooks.example.com/", "leave out what stands before the @"),
    ("https://user@hooks.example.com/", "leave out what stands before the @"),
    ("https://hooks.example.com\\@127.0.0.1/", "leave out what stands before the @"),
    ("https:///in", "no full host name"),
    ("https://localhost/", "no full host name"),
    ("https://intranet/", "no full host name"),
    ("https://hooks.example.com./", "no full host name"),
    ("https://hooks..example.com/", "no full host name"),
    ("https://.example.com/", "no full host name"),
    ("https://hooks example.com/", "no full host name"),
    ("https://%31%32%37.0.0.1.example/", "no full host name"),
    ("https://" + "a" * 64 + ".example/", "no full host name"),
    ("https://" + "a." * 124 + "example/", "no full host name"),
    ("https://hooks.example.com:0/", "port 0 is not allowed"),
    ("https://hooks.example.com:22/", "port 22 is not allowed"),
    ("https://hooks.example.com:1023/", "port 1023 is not allowed"),
    ("https://hooks.example.com:65536/", "port 65536 is not allowed"),
    ("https://hooks.example.com:port/", "no web address"),
    ("https://hooks.example.com/\nx", "no web address"),
    ("https://①②⑦.0.0.1/", "no web address"),
    ("https://[::1/", "no web address"),
    ("https://hooks.example.com/" + "a" * 2000, "longer than 2000 characters"),
    ("https://127.0.0.1/", "127.0.0.1 is not a public address"),
    ("https://127。0。0。1/", "127.0.0.1 is not a public address"),
    ("https://10.1.2.3/", "not a public address"),
    ("https://100.64.0.1/", "not a public address"),
    ("https://169.254.169.254/latest/meta-data/", "not a public address"),
    ("https://0.0.0.0/", "not a public address"),
    ("https://[::1]/", "not a public address"),
    ("https://[::]/", "not a public address"),
    ("https://[::ffff:127.0.0.1]/", "not a public address"),
    (f"https://[::ffff:{PUBLIC_V4}]/", "not a public address"),
    ("https://[fe80::1]/", "not a public address"),
    ("https://[fd00:ec2::254]/", "not a public address"),
    ("https://[2002:7f00:1::]/", "not a public address"),
    ("https://[64:ff9b::7f00:1]/", "not a public address"),
    ("https://[64:ff9b::a9fe:a9fe]/", "not a public address"),
    ("https://[fe80::1%eth0]/", "is not a public address"),
    (f"https://[{PUBLIC_V6}%1]/", "is not a public address"),
    ("https://2130706433/", "a number and no address"),
    ("https://0177.0.0.1/", "no web address"),
    ("https://0x7f000001/", "a number and no address"),
    ("https://0x7f.1/", "a number and no address"),
    ("https://127.0.0.0x1/", "a number and no address"),
    ("https://127.1/", "a number and no address"),
    ("https://hooks.example.1/", "a number and no address"),
]


@pytest.mark.parametrize("url", ALLOWED)
async def test_an_https_address_of_a_public_host_is_accepted(url: str) -> None:
    assert check_url(url) is None
    assert (await PublicResolver(Names([PUBLIC_V4])).resolve(url)).ip == ip_address(PUBLIC_V4)


@pytest.mark.parametrize(("url", "reason"), REFUSED)
async def test_every_other_address_is_refused_with_what_to_write_before_any_name_server_is_asked(
    url: str, reason: str
) -> None:
    assert reason in (check_url(url) or "")
    names = Names([PUBLIC_V4])
    with pytest.raises(UnreachableAddressError, match=reason):
        await PublicResolver(names).resolve(url)
    assert names.asked == []


@given(st.text(alphabet=st.sampled_from("htps:/@[]%.\\?#0x17fa-_é。\n ")) | st.text())
def test_no_text_makes_the_check_fail_otherwise(text: str) -> None:
    for url in (text, "https://" + text):
        fault = check_url(url)
        assert fault is None or len(fault) > 20


# The IANA registries of special-purpose addresses, of IPv4 and of IPv6, with their multicast: RFC 6890 and after.
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32",
    "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "3fff::/20",
    "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    "64:ff9b::10.0.0.0/104", "64:ff9b::127.0.0.0/104", "64:ff9b::169.254.0.0/112", "64:ff9b::224.0.0.0/100",
]  # fmt: skip


@pytest.mark.parametrize("block", SPECIAL)
async def test_a_name_in_a_special_block_is_refused_at_both_ends_of_the_block(block: str) -> None:
    network = ip_network(block)
    for ip in (network[0], network[-1]):
        with pytest.raises(UnreachableAddressError, match=r"^hooks\.example\.com resolves to an address that is not"):
            await PublicResolver(Names([str(ip)])).resolve("https://hooks.example.com/")


NEIGHBOURS = [
    "1.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255",
    "2001:200::", "2001:db7:ffff::", "2003::", "3ffe:ffff::", "64:ff9b::9.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("ip", NEIGHBOURS)
def test_neighbours_of_the_special_blocks_are_public(ip: str) -> None:
    assert is_public(ip_address(ip))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_behind_nat64_is_judged_as_itself(ip: IPv4Address) -> None:
    assert is_public(IPv6Address(int(IPv6Address("64:ff9b::")) + int(ip))) == is_public(ip)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_wrapped_in_any_other_way_is_never_public(ip: IPv4Address) -> None:
    for prefix, shift in (("::ffff:0:0", 0), ("::", 0), ("2002::", 80), ("2001::", 64)):
        assert not is_public(IPv6Address(int(IPv6Address(prefix)) + (int(ip) << shift)))


@pytest.mark.parametrize("answers", [[PUBLIC_V4, "10.0.0.1"], ["::1", PUBLIC_V4], [PUBLIC_V6, "fe80::1%2"], []])
async def test_one_answer_that_is_not_public_refuses_the_name_and_so_does_none(answers: list[str]) -> None:
    with pytest.raises(UnreachableAddressError, match="not public"):
        await PublicResolver(Names(answers)).resolve("https://hooks.example.com/")


async def test_the_first_answer_is_pinned_and_the_name_asked_for_once() -> None:
    names = Names([PUBLIC_V6, PUBLIC_V4])
    destination = await PublicResolver(names).resolve("https://Hooks.Example.com:8443/in?key=1")
    assert names.asked == [("hooks.example.com", 8443)]
    assert str(destination.pinned) == f"https://[{PUBLIC_V6}]:8443/in?key=1"
    assert destination.host == "hooks.example.com"


async def test_a_name_that_later_points_inside_is_refused_then() -> None:
    names = Names([PUBLIC_V4], ["192.168.0.1"])
    resolver = PublicResolver(names)
    assert str((await resolver.resolve("https://hooks.example.com/")).ip) == PUBLIC_V4
    with pytest.raises(UnreachableAddressError, match="not public"):
        await resolver.resolve("https://hooks.example.com/")
    assert len(names.asked) == 2


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
async def test_a_name_that_cannot_be_looked_up_is_said_to_be_so(error: Exception) -> None:
    async def look_up(_host: str, _port: int) -> Sequence[str]:
        raise error

    with pytest.raises(
        UnreachableAddressError, match=r"hooks\.example\.com cannot be looked up: check how it is spelt"
    ):
        await PublicResolver(look_up).resolve("https://hooks.example.com/")


async def test_this_machines_own_resolver_is_asked_and_its_answer_checked() -> None:
    assert "127.0.0.1" in await look_up_host("localhost", 443)

    async def look_up(_host: str, port: int) -> Sequence[str]:
        return await look_up_host("localhost", port)

    with pytest.raises(UnreachableAddressError, match="not public"):
        await PublicResolver(look_up).resolve("https://hooks.example.com/")
