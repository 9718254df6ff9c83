"""The browser rig: it draws, it stays on this machine, and its accessibility checker finds what is wrong."""

import pytest
from playwright.sync_api import Page


def test_the_browser_draws_the_glyphs_of_the_status_words(page: Page) -> None:
    page.set_content("<body style='font: 40px system-ui'>" + "".join(f"<p><span>{g}</span></p>" for g in "◆●◐▲■"))
    widths = page.eval_on_selector_all("span", "all => all.map(one => one.getBoundingClientRect().width)")
    assert all(width > 0 for width in widths), widths


def test_the_browser_cannot_leave_the_machine(page: Page) -> None:
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://backstop.example/")


def test_axe_finds_an_image_without_a_text(page: Page, axe_source: str) -> None:
    page.set_content(
        "<html lang=en><title>t</title><main><h1>h</h1><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    )
    page.evaluate(axe_source)
    violations = page.evaluate("axe.run().then(found => found.violations.map(one => one.id))")
    assert "image-alt" in violations
