"""SIGKILL of a sender at any moment: nothing is lost, and what arrives twice has the same id both times."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlmodel import select

from alerts.delivery import AT_ONCE, LEASE
from ledger.database import open_engine, reading, writing
from ledger.kinds import DeliveryState
from ledger.outbox import order_alert
from ledger.tables import Delivery
from tests.rigs.killable_index import KILLED
from tests.rigs.killable_sender import (
    INSIDE_CLAIM,
    MOMENTS,
    Death,
    list_caught,
    run_sender,
    running_catcher,
)
from tests.rigs.outbox_rows import NOW, add_endpoint, add_funds, make_alert

RECEIVERS = 6
ALERTS_A_START = 2
KILLS_A_MOMENT = 5
KILLS_AT_ANY_TIME = 20
MOST_STARTS = 120


@pytest.fixture
def catcher() -> Iterator[int]:
    """The port of a catcher in a process of its own."""
    with running_catcher() as port:
        yield port


@dataclass
class Outbox:
    """A ledger whose senders die, and what its receivers may not get again."""

    url: str
    port: int
    dice: random.Random
    starts: int = 0
    settled: dict[str, int] = field(default_factory=dict)
    """Message id → how often it had arrived when the ledger first called it sent."""

    def fill(self) -> None:
        """Receivers that want everything."""
        engine = open_engine(self.url)
        with writing(engine) as session:
            add_funds(session)
            for n in range(RECEIVERS):
                add_endpoint(session, f"receiver-{n}")
        engine.dispose()

    def order(self) -> None:
        """Some more alerts, each with its deliveries in one transaction."""
        engine = open_engine(self.url)
        with writing(engine) as session:
            for n in range(ALERTS_A_START):
                assert order_alert(session, make_alert(f"{self.starts}:{n}"), now=NOW) == RECEIVERS
        engine.dispose()

    def run(self, *, death: Death | None = None, kill_after: float | None = None) -> int:
        """Starts a sender when the claims of the one before have run out; its exit code."""
        self.starts += 1
        now = NOW + self.starts * 2 * LEASE
        name = f"sender {self.starts}"
        return run_sender(self.url, self.port, now, name=name, death=death, kill_after=kill_after)

    def check(self) -> Counter[str]:
        """What the ledger calls sent has arrived, and does not arrive again; how often each message arrived."""
        times = Counter(one.message_id for one in list_caught(self.port))
        for message_id, state in self.states().items():
            if state == DeliveryState.SENT:
                assert times[message_id] >= 1, "called sent, and never arrived"
                assert times[message_id] == self.settled.setdefault(message_id, times[message_id]), "sent once more"
        return times

    def states(self) -> dict[str, str]:
        engine = open_engine(self.url)
        with reading(engine) as session:
            states = dict(session.exec(select(Delivery.message_id, Delivery.state)).all())
        engine.dispose()
        return states


def timed(outbox: Outbox, *, kill_after: float | None = None) -> tuple[int, float]:
    """The exit code of a sender, and the seconds it took."""
    began = time.monotonic()
    code = outbox.run(kill_after=kill_after)
    return code, time.monotonic() - began


def test_a_kill_at_any_moment_loses_nothing_and_what_comes_twice_has_one_id(
    database_url: str, catcher: int, seed: int
) -> None:
    outbox = Outbox(database_url, catcher, random.Random(seed))
    outbox.fill()
    outbox.order()
    code, duration = timed(outbox)
    assert code == 0
    print(f"seed {seed}, an undisturbed sender takes {duration:.2f} s for {ALERTS_A_START * RECEIVERS} messages")
    kills = Counter[str]()
    planned = [*MOMENTS * KILLS_A_MOMENT, *["any"] * KILLS_AT_ANY_TIME]
    outbox.dice.shuffle(planned)
    for moment in planned:
        while True:
            outbox.order()
            if moment == "any":
                code, elapsed = timed(outbox, kill_after=outbox.dice.uniform(0.0, duration))
                # A start that was slow for its own reasons says nothing of the next: most kills would come too late.
                duration = min(duration, elapsed) if code == 0 else duration
            else:
                # There is one claim for certain, and each moment of a delivery as often as there are deliveries.
                most = 1 if moment == INSIDE_CLAIM else ALERTS_A_START * RECEIVERS
                code = outbox.run(death=Death(moment, outbox.dice.randint(1, most)))
            outbox.check()
            assert outbox.starts < MOST_STARTS
            if code == KILLED:
                break
            assert code == 0  # It was quicker than its death; another one is started.
        kills[moment] += 1
    assert outbox.run() == 0
    times = outbox.check()
    assert kills == Counter(dict.fromkeys(MOMENTS, KILLS_A_MOMENT) | {"any": KILLS_AT_ANY_TIME})
    states = outbox.states()
    twice = sum(times.values()) - len(times)
    print(f"{len(states)} messages in {outbox.starts} starts, {kills.total()} kills, {twice} arrived once more")
    assert set(states.values()) == {DeliveryState.SENT}
    assert times.keys() == states.keys()
    ids: dict[tuple[str, str], set[str]] = {}
    for one in list_caught(catcher):
        ids.setdefault((one.address, one.key), set()).add(one.message_id)
    assert len(ids) == len(states)
    assert all(len(same) == 1 for same in ids.values())
    # Whoever dies between sending and writing it down leaves one to be sent again; nobody leaves more than it began.
    assert KILLS_A_MOMENT <= twice <= kills.total() * AT_ONCE
