"""A ledger whose funds are called what nobody should be called, and whose contracts answer what none should answer.

Their numbers come from the calculator itself. The same ledger can be written with plain names, to hold pages against.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from sqlalchemy import Engine

from ledger.database import writing
from ledger.kinds import AlertEvent, ReadingName, Role, Severity
from ledger.tables import Alert, Asset, Coverage, Platform, Price, Reading, Segment, Snapshot
from solvency.compute import compute_all
from tests.web.inventor import COMPUTED_AT, LIVE, NOW, Inventor, address

PLAIN, SYMBOL = "Plain fund", "PLAIN"
LONG = "Wx" * 5_000
SPREAD = "W x " * 2_500
NAMES = {
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "bidi": "Fund \u202e\u2066eruces\u2069 \u200b\u200d\u2060\ufeffend",
    "long": LONG,
    "spread": SPREAD,
    "formula": '=HYPERLINK("http://x")',
    "plus": "+1",
    "at": "@x",
    "quotes": '"it\'s" `so` & &lt;b&gt;',
    "lines": "one\r\ntwo\tthree\x01\x0b\x1b[31m\x7f\x85four\u2028five\u2029six\ufffe\U000e0041",
    "braces": "{{ 7*7 }}{% raw %}",
    "cdata": "]]><b>x</b>--><!--",
    "empty": "",
    "marks": "Z" + "\u0301\u0489" * 40 + "algo",
}
"""Names of funds and platforms, symbols of tokens and words of contracts, each alone."""
EVERYTHING = "".join(NAMES.values())
UINT = 2**256 - 1
LONGEST_WORD = 300
"""Files of funds are ours: nobody writes more than this without a break in what they say of a fund."""


@dataclass(frozen=True)
class Odd:
    """One fund: how it and its token are called, and what is odd about its numbers."""

    slug: str
    name: str = PLAIN
    symbol: str = SYMBOL
    balance: int | None = 50_000_000_000
    """In millionths."""
    price: int | None = 10**8
    """In units of 10^-8 USD; None: the feed did not answer."""
    size: int = 100 * 10**18
    """Of the one open position; 0: no open interest."""
    days_old: int = 0
    """Age of the newest reading."""

    @property
    def newest(self) -> datetime:
        """When it was last read."""
        return NOW - timedelta(days=self.days_old, minutes=2)


NUMBERS = (
    Odd("zero", size=0),
    Odd("negative", balance=-105_166_000_001),
    Odd("old", days_old=30),
    Odd("garbage", balance=UINT),
    Odd("worthless", price=0),
    Odd("unpriced", price=None),
    Odd("unanswered", balance=None),
    Odd("dollar", symbol="usd"),
    Odd("times", symbol="ratio"),
)
ALL = Odd("all", EVERYTHING, EVERYTHING, balance=-UINT // 2, price=None, size=0, days_old=30)
ODD = (*(Odd(slug, name, name) for slug, name in NAMES.items()), *NUMBERS, ALL)
PLAIN_TWIN = tuple(replace(odd, name=PLAIN, symbol=SYMBOL) for odd in ODD)


def invent_hostile(engine: Engine, funds: tuple[Odd, ...] = ODD) -> None:
    """Fills an empty, migrated ledger and computes its numbers."""
    with writing(engine) as session:
        inventor = Inventor(session)
        # The chain's own name is as bad as the worst of its funds.
        inventor.chain(LIVE, "optimism", funds[-1].name or PLAIN, "live", NOW, provenance=funds[0].name)
        eth = _asset(inventor, "base", "vETH", 18)
        for odd in funds:
            _invent(inventor, odd, eth)
    compute_all(engine, lambda: NOW)


def _asset(inventor: Inventor, slug: str, symbol: str, decimals: int) -> Asset:
    """A token by an address that its symbol has no part in."""
    at = address("token", slug)
    made: Asset = inventor.add(
        Asset(chain_id=LIVE, address=at, symbol=symbol, decimals=decimals, feed=address("feed", slug), beta=0.0)
    )
    return made


def _invent(inventor: Inventor, odd: Odd, eth: Asset) -> None:
    inventor.add(Platform(slug=odd.slug, name=odd.name, url="javascript:alert(1)"))
    token = _asset(inventor, odd.slug, odd.symbol, 6)
    # Signs heaped on one letter are one letter, which no browser breaks.
    said = odd.name[: 40 if odd.slug == "marks" else LONGEST_WORD]
    fund = inventor.fund(
        odd.slug,
        odd.name,
        LIVE,
        odd.slug,
        asset=token,
        summary=said,
        control=said,
        methodology=said,
        caveats=[said],
        sources=[{"title": said, "url": "javascript:alert(1)"}],
        waterfall=[
            {"layer": "Insurance fund", "owner": said, "trigger": said, "note": said},
            {"layer": f"Winners {said}", "owner": said, "trigger": said, "note": said},
        ],
    )
    for day in range(3):
        _read(inventor, odd, fund, (token, eth), time=odd.newest - timedelta(days=2 - day))
    _tell(inventor, odd, fund, token)


def _read(inventor: Inventor, odd: Odd, fund: Segment, assets: tuple[Asset, Asset], *, time: datetime) -> None:
    """A whole snapshot: balance and price, the market, and what its two accounts have."""
    token, eth = assets
    block = inventor.block(LIVE, time)
    key: dict[str, Any] = {"chain_id": LIVE, "block_hash": block.hash, "block_number": block.number, "block_time": time}
    inventor.session.add(Snapshot(**key, segment_id=fund.id, kind="scheduled", is_reconciled=True))

    def say(name: ReadingName, raw: int | None, subject: str = "", **more: Any) -> None:
        told: dict[str, Any] = {"decimals": 18, "contract": address(odd.slug), "call": odd.name, "error": None} | more
        if raw is None:
            told["error"] = f"reverted: {odd.name}"
        inventor.session.add(Reading(**key, segment_id=fund.id, name=name, subject=subject, value_raw=raw, **told))

    say(ReadingName.BALANCE, odd.balance, decimals=6, asset_id=token.id)
    say(ReadingName.INDEX_PRICE, 2_000 * 10**18, eth.address)
    say(ReadingName.IS_OPEN, 1, eth.address, decimals=0)
    for account, sign in (("taker", 1), ("maker", -1)):
        if odd.size:
            say(ReadingName.ACCOUNT_VALUE, 40_000 * 10**18, account)
            say(ReadingName.MARGIN_REQUIREMENT, 10_000 * 10**18, account)
            say(ReadingName.POSITION_SIZE, sign * odd.size, f"{account}/{eth.address}")
    inventor.session.add(
        Price(
            **key,
            asset_id=token.id,
            answer_raw=odd.price,
            decimals=8,
            updated_at=time,
            feed=token.feed or "",
            error=None if odd.price is not None else f"reverted: {odd.name}",
        )
    )
    inventor.session.flush()


def _tell(inventor: Inventor, odd: Odd, fund: Segment, token: Asset) -> None:
    """What happened to it: a position, losses, an inflow, a liquidation, changes; and one announcement."""
    start, then = odd.newest - timedelta(days=2, hours=5), odd.newest - timedelta(hours=5)
    own: dict[str, Any] = {"asset_id": token.id}
    if odd.size:
        inventor.fact(
            fund,
            start,
            Role.EXPOSURE_CHANGE,
            odd.size,
            side="position",
            account="taker",
            market=address("token", "base"),
        )
    inventor.fact(fund, then, Role.SHORTFALL, 1_000_001, log=1, market=odd.name, **own)
    inventor.fact(fund, then, Role.PAYOUT, 1_000_001, log=2, market=odd.name, **own)
    inventor.fact(fund, then, Role.CONTRIBUTION, 2_000_002, log=3, source="donation", **own)
    inventor.fact(fund, then, Role.LIQUIDATION, UINT, log=4, side="collateral", account=odd.name, **own)
    inventor.fact(fund, then, Role.PARAM, None, log=5, detail={"name": odd.name, "value": odd.name})
    inventor.fact(fund, then, Role.CONTROL, None, log=6, detail={"event": odd.name}, account=odd.name)
    inventor.add(
        Coverage(
            segment_id=fund.id,
            filter_digest="f",
            from_number=1000,
            to_number=inventor.number(LIVE, NOW) - 500,
            level=2,
            verified_at=COMPUTED_AT,
        )
    )
    said = {"sentence": f"Coverage of {odd.name} fell.", "fund_name": odd.name, "changes": [{"name": odd.symbol}]}
    inventor.add(
        Alert(
            key=f"coverage_low/{odd.slug}/1",
            event=AlertEvent.COVERAGE_LOW,
            severity=Severity.WARNING,
            subject=odd.slug,
            happened_at=odd.newest,
            fund_slug=odd.slug,
            chain_id=LIVE,
            title=f"[Short] {odd.name}: coverage 0.71×",
            message=said,
            created_at=NOW,
        )
    )


SITE_URL = "https://backstop.example"
SLUGS = tuple(odd.slug for odd in ODD)
PRINTED = {
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "bidi": "Fund eruces end",
    "long": "WxWxWxWxWxWxWxWxWxWxWxWxWx…WxWxWxWxWxWx",
    "formula": '=HYPERLINK("http://x")',
    "plus": "+1",
    "at": "@x",
    "quotes": '"it\'s" `so` & &lt;b&gt;',
    "lines": "one two three [31m four five six",
    "braces": "{{ 7*7 }}{% raw %}",
    "cdata": "]]><b>x</b>--><!--",
    "empty": "(unnamed)",
    "marks": "Z\u0301\u0489\u0301algo",
}
"""How pages print each name."""
SITE = (
    *("/", "/events", "/changes", "/compare", "/stress", "/coverage", "/alerts", "/alerts/log", "/status", "/data"),
    *("/funds.json", "/events.json", "/changes.json", "/coverage.json", "/status.json", "/alerts/log.json"),
    *("/funds.csv", "/events.atom", "/changes.atom", "/alerts/log.atom", "/sitemap.xml"),
    *("/?q=f", "/?sort=fund", "/compare?f=all&f=long&f=lines&f=garbage"),
    *(f"/api/v1/{name}" for name in ("funds", "events", "alerts", "chains", "status", "reorgs")),
)
OF_EACH = ("", ".json", "/history.csv", "/events.csv", "/events.atom")
OF_API = ("", "/segments", "/metrics", "/metrics/usable_value", "/events", "/readings?name=balance")
DEEP = ("all", "script", "long", "lines", "garbage", "old")
"""Funds of which every form is looked at; of the others those that are made of other parts of a name."""
OF_DEEP = (
    *("/history", "/history.json", "/events", "/events.json", "/facts/gross_balance", "/facts/usable_value"),
    *("/facts/gross_balance.json", "/facts/usable_value.json", "/facts/worst_1d", "/at/2026-11-21"),
    "/at/2026-11-21.json",
)


def paths_of(slug: str) -> tuple[str, ...]:
    """The forms in which a fund is published, but for its preview picture."""
    own = [f"/funds/{slug}{part}" for part in OF_EACH]
    own += [f"/badges/{slug}.svg", f"/badges/{slug}.json", f"/stress?fund={slug}&shock=-20"]
    if slug in DEEP:
        own += [f"/funds/{slug}{part}" for part in OF_DEEP]
        own += [f"/api/v1/funds/{slug}{part}" for part in OF_API]
    return tuple(own)


@dataclass(frozen=True)
class Page:
    """One answer of the site."""

    kind: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


Pages = Mapping[str, Page]


def of_kind(pages: Pages, kind: str) -> dict[str, Page]:
    """Those of one media type; there are some."""
    found = {path: page for path, page in pages.items() if page.kind == kind}
    assert found, kind
    return found


class Elements(HTMLParser):
    """What elements a page has, with which attributes, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, ...]] = set()
        self.values: set[tuple[str, str]] = set()
        self.others: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add((tag, *sorted(name for name, _ in attrs)))
        self.values |= {(name, value or "") for name, value in attrs if name in ("href", "src", "action")}

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def form_of(path: str) -> str:
    """Which form of any fund a path is."""
    return re.sub(rf"(?<=[/=])({'|'.join(SLUGS)})(?=[/.?&]|$)", "*", re.sub(r"(?<=/events/).+", "*", path))


def rows_of(page: Page) -> list[dict[str, str]]:
    """The rows of a file by the names of its columns, read by RFC 4180."""
    header, *rows = csv.reader(io.StringIO(page.text, newline=""), strict=True)
    assert {len(row) for row in rows} <= {len(header)}
    return [dict(zip(header, row, strict=True)) for row in rows]
