"""What search engines are told: every page by its full address, and whose addresses are not theirs to keep."""

import re
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

from sqlalchemy import Engine

from ledger.pages import asking
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.crawlers import MOST_ADDRESSES, is_page, sitemap
from web.edition import Edition, SiteConfig
from web.press import list_paths
from web.site import create_site

NAMESPACE = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def addresses(body: bytes) -> list[str]:
    root = ElementTree.fromstring(body)
    assert root.tag == f"{NAMESPACE}urlset"
    assert {child.tag for child in root} == {f"{NAMESPACE}url"}
    return [entry.findtext(f"{NAMESPACE}loc") or "" for entry in root]


def test_the_sitemap_names_every_listed_page_once_by_its_full_address(
    reader: Reader, engine: Engine, site_config: SiteConfig
) -> None:
    answer = reader.get("/sitemap.xml")
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    found = addresses(answer.content)
    with asking(engine) as session:
        listed = [path for path in list_paths(Edition(session, lambda: NOW, site_config)) if is_page(path)]
    assert found == [f"https://backstop.example{path}" for path in listed]
    assert len(found) == len(set(found)) > 60
    for path in ("/", "/data", "/coverage", "/compare", "/funds/perp-v2-large-simulated"):
        assert f"https://backstop.example{path}" in found
    assert not [one for one in found if re.search(r"\.(json|atom|svg|css|png)$", one)]


def test_every_address_in_the_sitemap_is_a_page_that_says_it_is_there(reader: Reader) -> None:
    for address in addresses(reader.get("/sitemap.xml").content):
        path = address.removeprefix("https://backstop.example")
        page = reader.get(path)
        assert page.status_code == 200, path
        assert page.headers["content-type"].startswith("text/html"), path
        assert f'<link rel="canonical" href="{address}">' in page.text


def test_a_site_that_does_not_know_its_address_has_no_sitemap(engine: Engine) -> None:
    reader = Reader(create_site(engine, lambda: NOW, SiteConfig()))
    assert reader.get("/sitemap.xml").status_code == 404
    assert "Sitemap" not in reader.get("/robots.txt").text
    with asking(engine) as session:
        assert "/sitemap.xml" not in list_paths(Edition(session, lambda: NOW, SiteConfig()))


def test_robots_may_read_all_but_what_is_one_readers_own(reader: Reader) -> None:
    answer = reader.get("/robots.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    rules = RobotFileParser()
    rules.parse(answer.text.splitlines())
    for path in ("/", "/funds.json", "/alerts", "/alerts/log", "/badges/x.svg", "/compare?f=a"):
        assert rules.can_fetch("anyone", f"https://backstop.example{path}"), path
    for path in ("/alerts/confirm?token=x", "/alerts/manage", "/alerts/unsubscribe", "/alerts/mute", "/dev/mail"):
        assert not rules.can_fetch("anyone", f"https://backstop.example{path}"), path
    assert rules.site_maps() == ["https://backstop.example/sitemap.xml"]


def test_a_sitemap_holds_no_more_than_one_may(site_config: SiteConfig) -> None:
    body = sitemap(site_config, [f"/funds/a{number}" for number in range(MOST_ADDRESSES + 1)])
    assert body is not None
    assert len(addresses(body)) == MOST_ADDRESSES


def test_addresses_are_escaped(site_config: SiteConfig) -> None:
    body = sitemap(site_config, ["/a&b<c>"])
    assert body is not None
    assert addresses(body) == ["https://backstop.example/a&b<c>"]
