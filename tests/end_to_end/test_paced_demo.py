"""The demo that plays its week, as a visitor sees it: alerts, their log, and the mails of somebody who subscribes."""

import html
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.rigs.commands import Place, Running, look_until_seen

GUEST, READER = "guest@mail.example", "reader@demo.example"
WEEK_SECONDS = 30
ROW = re.compile(
    r'<tr><td[^>]*>[^<]*</td><td data-label="What"><a href="(?P<path>/dev/mail/\d+)">(?P<subject>[^<]*)</a></td>'
    r'<td data-label="To">(?P<to>[^<]*)</td></tr>'
)


class Mail(NamedTuple):
    """One mail in the demo's inbox."""

    path: str
    subject: str


@dataclass
class Visit:
    """Somebody with a browser at a demo that runs."""

    process: Running
    site: httpx.Client

    def wait_for(self, look: Callable[[], Any], what: str) -> Any:
        return look_until_seen(self.process, lambda: look() or None, what)

    def mails(self, to: str) -> list[Mail]:
        """Mails to somebody, the newest first."""
        rows = ROW.finditer(self.read("/dev/mail"))
        return [Mail(row["path"], html.unescape(row["subject"])) for row in rows if row["to"] == to]

    def alerts(self, to: str) -> list[Mail]:
        """Those of them that announce something of the replay."""
        return [mail for mail in self.mails(to) if mail.subject.startswith("[Replay]")]

    def read(self, path: str) -> str:
        answer = self.site.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def announced(self) -> list[dict[str, Any]]:
        """What was announced so far, the newest first."""
        found: list[dict[str, Any]] = self.site.get("/alerts/log.json").json()["announcements"]
        return found

    def path_in(self, mail: Mail, page: str) -> str:
        """The link in a mail to one of the site's pages, as a path on it."""
        found = re.search(rf"https?://[^\s<>&\"]+{page}\?[^\s<>\"]+", self.read(mail.path))
        assert found, f"no link to {page} in {mail}"
        parts = urlsplit(html.unescape(found[0]))
        return f"{parts.path}?{parts.query}"


@pytest.fixture
def visit(tmp_path: Any) -> Iterator[Visit]:
    """A demo on a free port, from the moment its site is up."""
    log = tmp_path / "log"
    log.touch()
    place = Place(tmp_path, {"BACKSTOP_REPLAY_SECONDS": str(WEEK_SECONDS), "COLUMNS": "200"})
    with place.start("demo", log=log) as process:
        assert process.stdout is not None
        found = next((m for m in map(re.compile(r"The site is up: (http://\S+)").search, process.stdout) if m), None)
        assert found, log.read_text()
        with httpx.Client(base_url=found[1], timeout=60, trust_env=False) as site:
            yield Visit(process, site)
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_visitor_subscribes_confirms_hears_of_the_crash_and_ends_it(visit: Visit, tmp_path: Any) -> None:
    form = {"address": GUEST, "least": "notice", "digest": "none"}
    assert "/dev/mail" not in visit.read("/alerts")
    assert visit.site.post("/alerts/subscribe", data=form).status_code == 200
    (question,) = visit.wait_for(lambda: visit.mails(GUEST), "the mail that asks for confirmation")
    asking = visit.path_in(question, "/alerts/confirm")
    token = asking.partition("token=")[2]
    assert "Do you want these alerts?" in visit.read(asking), "opening the link changes nothing"
    assert visit.site.post("/alerts/confirm", data={"token": token}).status_code == 200
    before = len(visit.announced())

    first = visit.wait_for(lambda: visit.alerts(GUEST), "an alert for the visitor")[-1]
    page = visit.read(first.path)
    assert "Replay of" in page
    assert first.subject.removeprefix("[Replay] ") in {one["title"] for one in visit.announced()}
    body = visit.site.get(f"{first.path}/body")
    assert "sandbox" in page
    assert body.headers["content-security-policy"].startswith("default-src 'none'")

    one_click = visit.path_in(first, "/alerts/unsubscribe")
    assert "Do you want no more messages?" in visit.read(one_click)
    answer = visit.site.post(one_click, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    last = max(one["id"] for one in visit.announced())
    later = visit.wait_for(lambda: [one for one in visit.announced() if one["id"] > last], "a later announcement")
    titles = {one["title"] for one in later}
    visit.wait_for(
        lambda: titles <= {mail.subject.removeprefix("[Replay] ") for mail in visit.mails(READER)},
        "the mails about it for the demo's own reader",
    )
    assert not titles & {mail.subject.removeprefix("[Replay] ") for mail in visit.mails(GUEST)}
    assert len(visit.announced()) > before

    log = visit.read("/alerts/log")
    assert html.unescape(log).count("Replay of") > 3
    assert visit.site.get("/alerts/log.atom").headers["content-type"].startswith("application/atom+xml")
    assert visit.read("/readyz") == "ok\n"
    assert "msg_" in visit.read("/dev/mail").partition("Webhook calls")[2]

    visit.process.send_signal(signal.SIGTERM)
    assert visit.process.wait(timeout=60) == 0
    said = (tmp_path / "log").read_text()
    assert said.rstrip().endswith("stopped")
    assert "Traceback" not in said
    assert " error " not in said
