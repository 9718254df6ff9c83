"""What search engines are told: which pages there are, and which addresses are nobody's to keep."""

from collections.abc import Iterable

from web.edition import SiteConfig
from web.templating import render

MOST_ADDRESSES = 50_000
"""More than this a sitemap may not hold (sitemaps.org)."""
PRIVATE = (
    "/alerts/confirm",
    "/alerts/manage",
    "/alerts/unsubscribe",
    "/alerts/mute",
    "/alerts/link",
    "/alerts/sent",
    "/dev/",
)
"""Addresses with a token, and what one reader alone is shown."""


def is_page(path: str) -> bool:
    """True for a page of HTML: twins, feeds, pictures and files have a dot in their last part."""
    return "." not in path.rpartition("/")[2]


def sitemap(config: SiteConfig, paths: Iterable[str]) -> bytes | None:
    """Every page by its full address; None where the site does not know its own: such a sitemap would be invalid."""
    if not config.site_url:
        return None
    pages = [path for path in paths if is_page(path)]
    return render("sitemap.xml", addresses=[config.site_url + path for path in pages[:MOST_ADDRESSES]])


def robots(config: SiteConfig) -> bytes:
    """Everything may be read but what belongs to one reader."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE), "Allow: /"]
    if config.site_url:
        lines += ["", f"Sitemap: {config.site_url}/sitemap.xml"]
    return "\n".join([*lines, ""]).encode()
