"""A site over an invented ledger, read in process."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.web.crawling import internal_links
from tests.web.invented import invent_ledger
from tests.web.inventor import NOW
from tests.web.visitors import Visitor, invent_two_funds, visitor_of
from web.edition import SiteConfig
from web.site import create_site


class Reader:
    """Asks a site for pages without a socket; follows no redirect."""

    def __init__(self, site: FastAPI) -> None:
        self._transport = httpx.ASGITransport(site)

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://site") as client:
                return await client.request(method, path, headers=dict(headers or {}))

        return asyncio.run(ask())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A ledger with invented funds of every kind; tests only read it."""
    opened = open_engine(f"sqlite:///{tmp_path_factory.mktemp('invented') / 'ledger.sqlite'}")
    upgrade(opened)
    invent_ledger(opened)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def site_config() -> SiteConfig:
    """A site at an address of its own, with the project's documents."""
    return SiteConfig(site_url="https://backstop.example", docs=Path("docs").resolve())


@pytest.fixture(scope="session")
def reader(engine: Engine, site_config: SiteConfig) -> Reader:
    """A reader of the invented site."""
    return Reader(create_site(engine, lambda: NOW, site_config))


@pytest.fixture(scope="session")
def pages(reader: Reader) -> dict[str, str]:
    """Every HTML page of the site by its path, found by following links from the home page."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        answer = reader.get(path)
        assert answer.status_code == 200, f"{path} answers {answer.status_code}"
        if answer.headers["content-type"].startswith("text/html"):
            found[path] = answer.text
            waiting += [link for link in internal_links(answer.text) if link not in found]
    return found


@pytest.fixture
def visitor(database_url: str) -> Iterator[Visitor]:
    """Somebody at a site over two funds, on either database."""
    engine = open_engine(database_url)
    invent_two_funds(engine)
    yield visitor_of(engine)
    engine.dispose()


@pytest.fixture
def one_visitor(sqlite_ledger_url: str) -> Iterator[Visitor]:
    """The same on one database, where that makes no difference."""
    engine = open_engine(sqlite_ledger_url)
    invent_two_funds(engine)
    yield visitor_of(engine)
    engine.dispose()


@pytest.fixture
def new_ledger(sqlite_ledger_url: str) -> Iterator[Engine]:
    """An empty ledger with the newest tables."""
    opened = open_engine(sqlite_ledger_url)
    yield opened
    opened.dispose()
