"""The style sheet as it is served, and its colours: for three kinds of colour blindness, in light and dark."""

import math
import re
from itertools import combinations
from pathlib import Path

import pytest

from web.frames import squeeze, static_files, static_path

SOURCE = Path("web/static/site.css").read_text()
SERVED = static_files()[static_path("site.css")].decode()
FILLS = ("covered", "thin", "short", "depleted", "unknown")
# What full loss of one kind of cone leaves of linear RGB: Machado, Oliveira and Fernandes 2009, table of severity 1.0.
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)
Triple = tuple[float, ...]


def theme(scheme: str) -> dict[str, str]:
    """Custom properties that are colours; the dark theme replaces those of the light one."""
    light, dark = SERVED.split("@media (prefers-color-scheme:dark)", 1)
    found = dict(re.findall(r"--([a-z]+):(#[0-9a-f]{3,6})", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([a-z]+):(#[0-9a-f]{3,6})", dark[:400]))


def linear(colour: str) -> Triple:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    values = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    return tuple(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)


def times(matrix: tuple[Triple, ...], vector: Triple) -> Triple:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def lab(rgb: Triple) -> Triple:
    def bent(value: float) -> float:
        return math.cbrt(value) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116

    x, y, z = (bent(value / white) for value, white in zip(times(TO_XYZ, rgb), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of relative luminances."""
    low, high = sorted(times((TO_XYZ[1],), linear(colour))[0] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def selectors(css: str) -> list[str]:
    """Everything in front of a brace, without the spaces that carry no meaning."""
    bare = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    found = re.findall(r"[^{};]+(?=\{)", bare)
    return [re.sub(r"\s+", " ", re.sub(r"\s*,\s*", ",", one)).strip().replace(": ", ":") for one in found]


def test_every_selector_and_every_string_survives_being_squeezed() -> None:
    assert selectors(SERVED) == selectors(SOURCE)
    assert len(selectors(SERVED)) > 100
    assert re.findall(r'"[^"]*"', SERVED) == re.findall(r'"[^"]*"', SOURCE)


def test_every_declaration_survives_being_squeezed() -> None:
    assert SERVED.count(":") == re.sub(r"/\*.*?\*/", "", SOURCE, flags=re.DOTALL).count(":")
    assert squeeze(SERVED) == SERVED


def test_a_space_that_means_something_stays() -> None:
    assert (
        squeeze(".a :is(b, i) > c { margin: 0 auto;\n  content: 'x' ; }")
        == ".a :is(b,i) > c{margin:0 auto;content:'x'}"
    )
    assert squeeze('a { content: " ; : { "; width: calc(1px + 2px) }') == 'a{content:" ; : { ";width:calc(1px + 2px)}'
    assert squeeze("@media (min-width: 64rem) { b { top: 0 } }") == "@media (min-width:64rem){b{top:0}}"
    assert squeeze("/* why: not { */ a { top: 0 }") == "a{top:0}"


def test_the_style_sheet_stays_small() -> None:
    assert len(SERVED.encode()) <= 10_240
    assert len(static_files()[static_path("site.js")]) <= 6 * 1024


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_fills_differ_for_eyes_that_lack_one_kind_of_cone(scheme: str, kind: str) -> None:
    colours = theme(scheme)
    seen = {
        name: lab(tuple(min(max(value, 0.0), 1.0) for value in times(BLINDNESS[kind], linear(colours[name]))))
        for name in FILLS
    }
    near = {(a, b): math.dist(seen[a], seen[b]) for a, b in combinations(FILLS, 2)}
    assert min(near.values()) >= 20, near


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_borders_stand_out_from_the_page(scheme: str) -> None:
    colours = theme(scheme)
    for ground in ("page", "faint"):
        for text in ("ink", "muted", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    # A fill's border is ink; what is unknown has its own colour as a dashed border.
    for border in ("ink", "unknown", "short", "muted"):
        assert contrast(colours[border], colours["page"]) >= 3, border


def test_the_dark_theme_was_read_as_one() -> None:
    assert theme("dark")["page"] != theme("light")["page"]
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert lab((1.0, 1.0, 1.0)) == pytest.approx((100, 0, 0), abs=0.02)
