"""Alerts while everything else happens too: `backstop run` is killed again and again amid the crash."""

import json
import random
import subprocess
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, func
from sqlmodel import col, select

from alerts.catcher import MailCatcher
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from app.settings import SHIPPED_FUNDS
from indexer.registry import load_funds
from indexer.replay.node import load_replay, running_node
from ledger.database import open_engine, reading, writing
from ledger.kinds import AlertEvent, DigestChoice, SnapshotKind
from ledger.outbox import DIGESTS, message_id_of, oldest_waiting
from ledger.subscriptions import Wishes, enter_confirmed
from ledger.tables import Alert, AlertCursor, Cursor, Endpoint, Metric, Snapshot
from tests.rigs.commands import Place, Running, look_until_seen
from tests.rigs.demo_ledger import RECORDING, SLUG

READER, SITE = "reader@mail.example", "https://backstop.example"
EVE = datetime(2021, 5, 17, tzinfo=UTC)
KILLS = 4
STEPS = 100
"""In which the node moves through the week."""
STEP_SECONDS = 0.2


class Week:
    """The week of the crash on a node: it moves on only when it is told to."""

    def __init__(self) -> None:
        self.replay = load_replay(RECORDING, start=0)
        self.head = self.replay.head
        self.head.advance_to_time(int(EVE.timestamp()))
        self._first, self._rest = self.head.time, self.replay.tape.times[-1] - self.head.time

    def move_to(self, step: int) -> None:
        """Moves to a step of STEPS."""
        self.head.advance_to_time(self._first + self._rest * step // STEPS)


def subscribe(engine: Engine) -> None:
    """A reader who wants everything, and the daily digest."""
    with writing(engine) as session:
        enter_confirmed(session, READER, Wishes(digest=DigestChoice.DAILY), now=datetime.now(UTC))


def place_at(directory: Path, url: str, node_url: str, post: MailCatcher) -> Place:
    """Where `backstop run` follows the recording on a node, looks often, and sends to the catcher."""
    (chain,) = load_funds(SHIPPED_FUNDS / SLUG).chains
    variables = {
        "BACKSTOP_FUNDS_DIR": str(SHIPPED_FUNDS / SLUG),
        "BACKSTOP_RPC_URLS": json.dumps({str(chain.id): [node_url]}),
        "BACKSTOP_POLL_SECONDS": "0.2",
        "BACKSTOP_COMPUTE_SECONDS": "6",
        "BACKSTOP_ALERT_SECONDS": "0.2",
        "BACKSTOP_SMTP_URL": post.url,
        "BACKSTOP_PUBLIC_URL": SITE,
    }
    return Place(directory, variables, url)


def rules_have_looked(engine: Engine, *, after: datetime) -> bool | None:
    """Whether the rules have looked at the chain since then."""
    with reading(engine) as session:
        ruled = session.exec(select(AlertCursor.ruled_at)).one_or_none()
    return True if ruled is not None and ruled > after else None


def is_settled(engine: Engine, last: int, *, after: datetime) -> bool | None:
    """Whether the last block was followed, computed and since then ruled upon, and nothing waits to be sent."""
    with reading(engine) as session:
        tip = session.exec(select(Cursor.number)).one()
        read = session.exec(
            select(func.max(Snapshot.block_number)).where(Snapshot.kind == SnapshotKind.SCHEDULED)
        ).one()
        newest = select(func.max(Metric.as_of_number)).group_by(col(Metric.segment_id))
        computed = session.exec(newest).all()
        computed_at = session.exec(select(func.max(Metric.computed_at))).one()
        ruled = session.exec(select(AlertCursor)).one()
        waiting = oldest_waiting(session, now=datetime.max.replace(tzinfo=UTC))
    is_read = tip == last and {*computed} == {read} and ruled.number == last
    return True if is_read and ruled.ruled_at > max(computed_at, after) and waiting is None else None


def list_alerts(engine: Engine) -> list[Alert]:
    """What was announced."""
    with reading(engine) as session:
        return list(session.exec(select(Alert).order_by(col(Alert.id))))


def arrived(post: MailCatcher) -> dict[str, list[str]]:
    """Subjects of the mails that came in, by their message ids."""
    found = defaultdict(list)
    for caught in reversed(post.messages):
        assert caught.recipients == (READER,)
        found[str(caught.mail["Message-ID"]).strip("<>").partition("@")[0]].append(str(caught.mail["Subject"]))
    return found


def expected(engine: Engine) -> dict[str, str]:
    """Message id and key of everything that was announced and that the reader wants."""
    with reading(engine) as session:
        reader = session.exec(select(Endpoint).where(Endpoint.address == READER)).one()
    wanted = [one for one in list_alerts(engine) if one.event != AlertEvent.DIGEST_WEEKLY]
    return {message_id_of(alert.key, reader.public_id): alert.key for alert in wanted}


def live_once(place: Place, engine: Engine, week: Week, steps: range, *, dice: random.Random, log: Path) -> None:
    """A run that follows the week for some steps and is killed at one of them, or before it has begun."""
    log.touch()
    began, death = datetime.now(UTC), dice.choice(steps)
    with place.start("run", log=log) as process:
        if dice.random() < 0.75:
            look_until_seen(process, lambda: rules_have_looked(engine, after=began), "a first look of the rules")
        for step in steps:
            week.move_to(step)
            if step == death:
                wait(process, dice.uniform(0, STEP_SECONDS))
                process.kill()
            wait(process, STEP_SECONDS)
    print(f"killed at step {death} of {steps}: {len(list_alerts(engine))} announced")


def wait(process: Running, seconds: float) -> None:
    """Lets a process work for a while, or for as long as it lives."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def found_in_one_look(engine: Engine, folder: Path) -> set[str]:
    """Keys of the events that rules announce which look once, at the end, on a copy without any announcement."""
    copy = folder / "copy.sqlite"
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
    fresh = open_engine(f"sqlite:///{copy}")
    with writing(fresh) as session:
        for name in ("attempt", "delivery", "alert_evidence", "alert", "alert_state", "alert_cursor"):
            session.connection().exec_driver_sql(f"DELETE FROM {name}")
    Ruler(fresh, lambda: datetime.now(UTC), load_rules(), live_since={SLUG: EVE}).rule()
    keys = event_keys(fresh)
    fresh.dispose()
    return keys


def event_keys(engine: Engine) -> set[str]:
    """Keys of what was announced of facts: neither levels, which are seen only when looked at, nor digests."""
    return {alert.key for alert in list_alerts(engine) if not alert.episode and alert.event not in DIGESTS}


def test_a_run_that_is_killed_again_and_again_amid_the_crash_loses_no_alert_and_says_nothing_twice(
    sqlite_ledger_url: str, tmp_path: Path, seed: int
) -> None:
    dice, engine, week = random.Random(seed), open_engine(sqlite_ledger_url), Week()
    logs = [tmp_path / f"log-{number}" for number in range(KILLS + 3)]
    with MailCatcher() as post, running_node([week.replay]) as node:
        place = place_at(tmp_path, sqlite_ledger_url, node.url_of(SLUG), post)
        assert place.finish("index", "--once").returncode == 0
        assert place.finish("compute").returncode == 0
        subscribe(engine)
        run_to_the_end(place, engine, week, began=EVE, log=logs.pop())  # From here on the chain is live.
        assert list_alerts(engine) == []
        for life in range(KILLS):
            steps = range(life * STEPS // KILLS, (life + 1) * STEPS // KILLS)
            live_once(place, engine, week, steps, dice=dice, log=logs.pop())
        week.move_to(STEPS)
        run_to_the_end(place, engine, week, began=datetime.now(UTC), log=logs.pop())
        caught, told = arrived(post), list_alerts(engine)
        print(f"seed {seed}: {len(told)} announced, {len(post.messages)} mails of {len(caught)} ids")

        assert {AlertEvent.DEPLETED, AlertEvent.SHORTFALL_RECORDED} <= {AlertEvent(one.event) for one in told}
        assert len({alert.key for alert in told}) == len(told) > 30
        assert caught.keys() == expected(engine).keys()
        assert {len({*subjects}) for subjects in caught.values()} == {1}, "under one id there is one message"
        assert event_keys(engine) == found_in_one_look(engine, tmp_path)

        before = len(post.messages)
        run_to_the_end(place, engine, week, began=datetime.now(UTC), log=logs.pop())
        assert (len(post.messages), len(list_alerts(engine))) == (before, len(told)), "one more run says nothing new"
    assert not [log for log in tmp_path.glob("log-*") if "Traceback" in log.read_text()]
    engine.dispose()


def run_to_the_end(place: Place, engine: Engine, week: Week, *, began: datetime, log: Path) -> None:
    """A run that is stopped, as a person would, once everything that the node has was followed and announced."""
    log.touch()
    with place.start("run", log=log) as process:
        last = week.head.number
        look_until_seen(process, lambda: rules_have_looked(engine, after=began), "a first look of the rules")
        look_until_seen(process, lambda: is_settled(engine, last, after=began), "the end of what there is")
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0, log.read_text()
