"""A real browser without root and without system libraries: Chromium from npm, driven by Playwright.

The npm package holds four brotli files: the headless shell, the few shared libraries it wants (NSS, expat), a software
renderer and one font. They are unpacked once, beside the npm packages.
"""

import fcntl
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import brotli
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.rigs.node_parts import NODE_MODULES, find_part

PACKAGE = ("@sparticuz", "chromium", "bin")
LIBRARIES = "al2023"  # Built for glibc 2.34: runs on any Linux from 2022 on.
ARCHIVES = (LIBRARIES, "swiftshader", "fonts")
ARGUMENTS = (
    "--headless=shell",
    "--no-sandbox",  # Containers and CI run as root, where the sandbox refuses to start.
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # Docker gives 64 MB there, too little for a page with charts.
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/font-cache</cachedir>
  <alias><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Open Sans</family><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family><family>Open Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family><family>Open Sans</family></prefer></alias>
</fontconfig>
"""


def unpack_chromium(packed: Path, folder: Path) -> Path:
    """The folder with a browser that can be started; unpacks once (about 3 s), all or nothing.

    `packed`: the `bin` folder of the npm package.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another worker may be at it: then it is there when it is our turn.
        if not folder.exists() or folder.stat().st_mtime < (packed / "chromium.br").stat().st_mtime:
            unpack_anew(packed, folder)
    return folder


def unpack_anew(packed: Path, folder: Path) -> None:
    """Puts a newly unpacked browser in the folder's place."""
    part = Path(tempfile.mkdtemp(prefix="chromium-", dir=folder.parent))
    executable = part / "chromium"
    executable.write_bytes(brotli.decompress((packed / "chromium.br").read_bytes()))
    executable.chmod(0o755)
    for name in ARCHIVES:
        # The renderer belongs beside the executable; the others have folders of their own.
        target = part if name == "swiftshader" else part / name
        archive = io.BytesIO(brotli.decompress((packed / f"{name}.tar.br").read_bytes()))
        with tarfile.open(fileobj=archive) as files:
            files.extractall(target, filter="data")
    (part / "fonts.conf").write_text(FONTS.format(folder=folder))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The folder of the unpacked browser."""
    return unpack_chromium(find_part(*PACKAGE), NODE_MODULES.parent / "chromium")


@pytest.fixture(scope="module")
def browser(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running browser. One per module: Playwright's loop would otherwise be in the way of async tests."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(tmp_path_factory.mktemp("home")),
        "LD_LIBRARY_PATH": str(chromium / LIBRARIES / "lib"),
        "FONTCONFIG_FILE": str(chromium / "fonts.conf"),
    }
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium / "chromium", args=list(ARGUMENTS), env=environment, chromium_sandbox=False
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page at 1366 × 768 whose script errors and refused resources fail the test."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield opened
    context.close()
    assert not complaints, f"the page complained: {complaints}"


@pytest.fixture(scope="session")
def axe_source() -> str:
    """The accessibility checker axe-core, to be evaluated in a page."""
    return find_part("axe-core", "axe.min.js").read_text()


def pytest_report_header() -> str:
    return f"chromium: {'found' if NODE_MODULES.joinpath(*PACKAGE).exists() else 'missing (its tests are skipped)'}"
