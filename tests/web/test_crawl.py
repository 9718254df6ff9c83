"""Whoever follows the links of the site from its home page finds whole pages everywhere."""

from tests.web.crawling import find_faults
from web.edition import SiteConfig


def test_every_page_is_whole(pages: dict[str, str], site_config: SiteConfig) -> None:
    faults = [
        fault for path, text in pages.items() for fault in find_faults(path.split("?")[0], text, site_config.site_url)
    ]
    assert not faults
    assert {"/funds/perp-v2-large-simulated/at/2021-05-21", "/changes", "/coverage"} <= set(pages)
