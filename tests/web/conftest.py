"""A site over an invented ledger, in process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from ledger.database import open_engine, upgrade
from tests.web.invented import NOW, invent_ledger
from web.edition import SiteConfig
from web.site import create_site


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A ledger with invented funds of every kind; tests only read it."""
    opened = open_engine(f"sqlite:///{tmp_path_factory.mktemp('invented') / 'ledger.sqlite'}")
    upgrade(opened)
    invent_ledger(opened)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def site_config(tmp_path_factory: pytest.TempPathFactory) -> SiteConfig:
    """A site at an address of its own, with the project's documents."""
    return SiteConfig(site_url="https://backstop.example", docs=Path("docs").resolve())


@pytest.fixture(scope="session")
def client(engine: Engine, site_config: SiteConfig) -> Iterator[TestClient]:
    """A reader without redirects."""
    with TestClient(create_site(engine, lambda: NOW, site_config), follow_redirects=False) as opened:
        yield opened
