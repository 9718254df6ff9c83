"""Alerts at work: settings that are wrong, channels, the jobs one by one, and the heartbeat."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from alerts.catcher import MailCatcher
from alerts.channels.email import EmailChannel
from app.alerting import (
    DELIVER,
    HEARTBEAT_SECONDS,
    LATE_AFTER,
    RULES,
    SILENT_AFTER,
    Pictures,
    Ways,
    beat,
    check_settings,
    find_trouble,
    open_channels,
    opened_alerts,
    tidy_up,
)
from app.demo_post import kept_here
from app.schedule import Job
from app.settings import Settings, SettingsError
from ledger.clock import system_clock
from ledger.database import open_engine, reading, writing
from ledger.deliveries import KEPT_FOR
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose, Role, Severity, TokenPurpose
from ledger.outbox import order
from ledger.subscriptions import Wishes, ask_confirmation, enter_confirmed
from ledger.tables import AlertCursor, Chain, Delivery, Endpoint, Platform, Segment, Token
from ledger.tokens import issue_token
from ledger.upgrades import upgrade
from tests.rigs.catcher import Catcher, Reply
from tests.rigs.outbox_rows import ETHEREUM, NOW, OPTIMISM, add_endpoint, add_funds
from tests.rigs.postbox import Simulated
from tests.web.invented import invent_ledger
from tests.web.inventor import CRASH_END, SIMULATED, Inventor
from tests.web.inventor import NOW as INVENTED_NOW

# Apprise imports a module of the standard library that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SITE = "https://backstop.example"
LARGE = "perp-v2-large-simulated"
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def settings_of(**given: object) -> Settings:
    """Settings with what a test gives, and nothing of this machine's."""
    return Settings(_env_file=None, **given)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with three funds on two live chains, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


@pytest.fixture
def post() -> Iterator[MailCatcher]:
    """A mail server."""
    with MailCatcher() as opened:
        yield opened


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"smtp_url": "mail.example:25"}, "BACKSTOP_SMTP_URL: the address of the mail server begins with smtp:// or"),
        (
            {"smtp_url": "smtp://me@mail.example"},
            "BACKSTOP_SMTP_URL: the address of the mail server has a user without",
        ),
        ({"smtp_url": "smtp://me:pass:word@h:x"}, "BACKSTOP_SMTP_URL: the address of the mail server cannot be read"),
        ({"mail_from": "Backstop"}, "BACKSTOP_MAIL_FROM: 'Backstop' is no e-mail address"),
        ({"mail_from": "a@b.example\r\nBcc: c@d.example"}, "BACKSTOP_MAIL_FROM: "),
        ({"mail_bounces": "bounces"}, "BACKSTOP_MAIL_BOUNCES: 'bounces' is no e-mail address"),
        ({"public_url": None}, "BACKSTOP_PUBLIC_URL is missing: links in mails need the address of the site"),
        ({"operator_urls": {"on-call": "nothing-we-know://secret-token"}}, "BACKSTOP_OPERATOR_URLS: apprise does not"),
    ],
)
def test_a_setting_that_only_the_first_message_would_stumble_over_is_named_at_the_start(
    given: dict[str, object], line: str
) -> None:
    sound = {"smtp_url": "smtp://127.0.0.1", "mail_from": "Backstop <a@b.example>", "public_url": SITE}
    check_settings(settings_of(**sound))
    with pytest.raises(SettingsError) as caught:
        check_settings(settings_of(**sound | given))
    assert str(caught.value).startswith(line)
    assert "secret-token" not in str(caught.value)
    assert "pass:word" not in str(caught.value)


def test_without_a_mail_server_nothing_about_mail_is_asked_for() -> None:
    check_settings(settings_of())
    assert EndpointKind.EMAIL not in open_channels(settings_of(), Ways(None), clock=system_clock)


def test_a_channel_is_opened_for_each_kind_that_the_settings_allow() -> None:
    given = settings_of(mail_from="Backstop <a@b.example>", mail_bounces="bounces@b.example")
    channels = open_channels(given, Ways("smtps://me:secret@mail.example"), clock=system_clock)
    assert channels.keys() == set(EndpointKind)
    mail = channels[EndpointKind.EMAIL]
    assert isinstance(mail, EmailChannel)
    assert (mail.smtp.host, mail.smtp.port, mail.smtp.is_tls) == ("mail.example", 465, True)
    assert (str(mail.origin), str(mail.bounces)) == ("Backstop <a@b.example>", "bounces@b.example")


@pytest.mark.parametrize("given", [{"mail_from": "nobody"}, {"mail_bounces": "nobody"}])
def test_channels_that_cannot_be_opened_name_the_setting(given: dict[str, str], post: MailCatcher) -> None:
    with pytest.raises(SettingsError, match=f"BACKSTOP_{next(iter(given)).upper()}: "):
        open_channels(settings_of(**given), Ways(post.url), clock=system_clock)


def test_the_demo_reaches_nobody_whom_the_settings_name() -> None:
    given = settings_of(
        operator_urls={"on-call": "json://127.0.0.1"}, heartbeat_url="http://127.0.0.1/", mail_bounces="a@b.example"
    )
    kept = kept_here(given)
    assert (kept.operator_urls, kept.heartbeat_url, kept.mail_bounces) == ({}, None, None)
    assert (
        kept_here(settings_of(port=7, mail_from="a@b.example")).model_dump()
        == settings_of(port=7, mail_from="a@b.example").model_dump()
    )


def test_upkeep_forgets_who_never_confirmed_dead_tokens_and_what_was_sent_long_ago(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with writing(engine) as session:
        for name, asked in (("old", NOW - DAY - SECOND), ("new", NOW - DAY + SECOND)):
            ask_confirmation(session, f"{name}@example.org", Wishes(), now=asked)
        kept = add_endpoint(session, "kept", kind=EndpointKind.EMAIL)
        for issued in (NOW - 90 * DAY, NOW - 89 * DAY):
            issue_token(session, kept, TokenPurpose.MANAGE, now=issued)
        for ended in (NOW - KEPT_FOR - SECOND, NOW - KEPT_FOR + SECOND):
            number = order(session, kept, Purpose.LINK, now=ended)
            delivery = session.get(Delivery, number)
            assert delivery is not None
            delivery.state, delivery.finished_at = DeliveryState.SENT, ended
    with caplog.at_level(logging.INFO, "app.alerting"):
        for _ in range(2):
            tidy_up(engine, NOW)
    with reading(engine) as session:
        assert set(session.exec(select(Endpoint.address))) == {"new@example.org", "kept@example.org"}
        assert [token.created_at for token in session.exec(select(Token))] == [NOW - 89 * DAY]
        assert sorted(session.exec(select(Delivery.finished_at).where(Delivery.endpoint_id == kept))) == [
            NOW - KEPT_FOR + SECOND
        ]
    # How many, once, and not whose.
    assert [one.getMessage() for one in caplog.records] == ["deleted 1 addresses that nobody confirmed within a day"]


def look(engine: Engine, chain_id: int, when: timedelta) -> None:
    """The rules last looked at a chain so long before NOW."""
    with writing(engine) as session:
        session.merge(AlertCursor(chain_id=chain_id, live_since=NOW, moved_at=NOW, ruled_at=NOW - when))


def wait(engine: Engine, since: timedelta) -> None:
    """A message has been due so long before NOW."""
    with writing(engine) as session:
        order(session, add_endpoint(session, f"since-{since}"), Purpose.TEST, now=NOW - since)


def test_alerts_can_be_relied_on_while_the_rules_look_and_no_message_is_late(engine: Engine) -> None:
    for chain_id in (ETHEREUM, OPTIMISM):
        look(engine, chain_id, SILENT_AFTER)
    wait(engine, LATE_AFTER)
    wait(engine, -DAY)
    assert find_trouble(engine, NOW) == ""


def test_rules_that_never_looked_are_as_silent_as_those_that_stopped(engine: Engine) -> None:
    assert find_trouble(engine, NOW) == "the rules have not looked at Ethereum, Optimism for 5 minutes"
    look(engine, ETHEREUM, 0 * SECOND)
    look(engine, OPTIMISM, SILENT_AFTER + SECOND)
    assert find_trouble(engine, NOW) == "the rules have not looked at Optimism for 5 minutes"


def test_a_message_that_nobody_sends_is_trouble(engine: Engine) -> None:
    for chain_id in (ETHEREUM, OPTIMISM):
        look(engine, chain_id, 0 * SECOND)
    wait(engine, LATE_AFTER + SECOND)
    assert find_trouble(engine, NOW) == "a message has been due since 2026-01-05 11:49 UTC"


def test_a_recording_that_was_not_served_yet_is_no_trouble(engine: Engine) -> None:
    for chain_id in (ETHEREUM, OPTIMISM):
        look(engine, chain_id, 0 * SECOND)
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", CRASH_END)
        inventor.fund("crashed", "Crashed fund", SIMULATED, "p")
    assert find_trouble(engine, NOW) == "the rules have not looked at Crash for 5 minutes"
    with writing(engine) as session:
        chain = session.get(Chain, SIMULATED)
        assert chain is not None
        chain.head_time = None
    assert find_trouble(engine, NOW) == ""


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was logged, and how loudly."""
    return [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "app.alerting"]


async def test_the_watchdog_hears_from_us_while_all_is_well_and_nothing_where_it_is_not(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    for chain_id in (ETHEREUM, OPTIMISM):
        look(engine, chain_id, 0 * SECOND)
    clock = Simulated(NOW)
    with Catcher() as watchdog:
        watchdog.replies(Reply(200, b"OK"))
        url = f"http://127.0.0.1:{watchdog.port}/ping/42"
        await beat(engine, url, clock)
        assert [caught.path for caught in watchdog.caught] == ["/ping/42"]
        assert lines(caplog) == []
        clock.now = NOW + SILENT_AFTER + SECOND
        await beat(engine, url, clock)
        assert lines(caplog) == [
            ("ERROR", "no heartbeat: the rules have not looked at Ethereum, Optimism for 5 minutes")
        ]
        clock.now = NOW
        wait(engine, LATE_AFTER + MINUTE)
        await beat(engine, url, clock)
        assert lines(caplog)[1:] == [("ERROR", "no heartbeat: a message has been due since 2026-01-05 11:49 UTC")]
        assert len(watchdog.caught) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(500), "the watchdog did not take the heartbeat: it answered 500"),
        (Reply(302, headers={"location": "/"}), "the watchdog did not take the heartbeat: it answered 302"),
        (Reply(is_cut=True), "the watchdog cannot be reached: Server disconnected without sending a response."),
    ],
)
async def test_a_watchdog_that_does_not_take_the_heartbeat_is_one_line_without_its_address(
    engine: Engine, caplog: pytest.LogCaptureFixture, reply: Reply, said: str
) -> None:
    for chain_id in (ETHEREUM, OPTIMISM):
        look(engine, chain_id, 0 * SECOND)
    with Catcher() as watchdog:
        watchdog.replies(reply)
        await beat(engine, f"http://127.0.0.1:{watchdog.port}/ping/s3cret", Simulated(NOW))
        assert len(watchdog.caught) == 1
    assert lines(caplog) == [("WARNING", said)]


async def test_the_jobs_are_rules_sender_upkeep_and_a_heartbeat_where_one_is_wanted(engine: Engine) -> None:
    async def jobs_of(settings: Settings) -> dict[str, Job]:
        async with opened_alerts(engine, settings, Ways(None), site_url=SITE) as jobs:
            return {job.name: job for job in jobs}

    plain = await jobs_of(settings_of(alert_seconds=2.5))
    assert list(plain) == [RULES, DELIVER, "upkeep of subscriptions"]
    assert (plain[RULES].every_seconds, plain[DELIVER].every_seconds) == (2.5, 2.5)
    watched = await jobs_of(settings_of(heartbeat_url="http://127.0.0.1:1/"))
    # After a standstill the rules look first; the watchdog is not told of a trouble that has just ended.
    assert watched["heartbeat"].first_after_seconds == watched["heartbeat"].every_seconds == HEARTBEAT_SECONDS


async def test_operators_of_the_settings_are_entered_when_alerts_start_and_switched_off_when_they_are_gone(
    engine: Engine,
) -> None:
    async def statuses(*names: str) -> dict[str, str]:
        settings = settings_of(operator_urls=dict.fromkeys(names, "json://127.0.0.1:1"))
        async with opened_alerts(engine, settings, Ways(None), site_url=SITE):
            with reading(engine) as session:
                return {row.address: row.status for row in session.exec(select(Endpoint))}

    active, disabled = EndpointStatus.ACTIVE, EndpointStatus.DISABLED
    assert await statuses("chat", "on-call") == {"chat": active, "on-call": active}
    assert await statuses("chat") == {"chat": active, "on-call": disabled}
    assert await statuses("on-call") == {"chat": disabled, "on-call": active}


@pytest.fixture
def crash(sqlite_ledger_url: str) -> Iterator[Engine]:
    """A recording with one fund, a reader who wants everything, and a shortfall a minute before its end."""
    opened = open_engine(sqlite_ledger_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", CRASH_END)
        usdc = inventor.asset(SIMULATED, "USDC", 6, 1.0, CRASH_END)
        fund = inventor.fund("alpha-simulated", "Alpha fund (simulated)", SIMULATED, "perp-v2", asset=usdc)
        inventor.fact(fund, CRASH_END - MINUTE, Role.SHORTFALL, 5_000_000_000, asset_id=usdc.id)
        enter_confirmed(session, "reader@example.org", Wishes(least=Severity.CRITICAL), now=NOW)
    yield opened
    opened.dispose()


async def test_what_the_rules_find_is_announced_told_to_the_sender_and_sent_once(
    crash: Engine, post: MailCatcher, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    ways, since = Ways(post.url), {"crash": CRASH_END - DAY}

    def hear() -> None:
        told.append("now")

    with caplog.at_level(logging.INFO, "app.alerting"):
        for _ in range(2):  # The second start goes on where the first ended.
            async with opened_alerts(
                crash, settings_of(), ways, site_url=f"{SITE}/", live_since=since, when_told=hear
            ) as jobs:
                work = {job.name: job.run for job in jobs}
                for name in (DELIVER, RULES, DELIVER, RULES, DELIVER):
                    await work[name]()
    (mail,) = post.messages
    assert mail.recipients == ("reader@example.org",)
    assert "5,000\u00a0USDC" in str(mail.mail["Subject"])
    assert f"{SITE}/alerts/unsubscribe?token=" in str(mail.mail["List-Unsubscribe"])
    assert told == ["now"]
    ((level, line),) = lines(caplog)
    # The shortfall, and the digests of the day and the week that are over, which this reader did not ask for.
    assert (level, line.partition(": ")[0]) == ("INFO", "announced 3")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A ledger with invented funds that have balances to draw."""
    opened = open_engine(f"sqlite:///{tmp_path_factory.mktemp('pictures') / 'ledger.sqlite'}")
    upgrade(opened)
    invent_ledger(opened)
    yield opened
    opened.dispose()


def change_numbers(session: Session) -> None:
    """Something was computed anew."""
    [segment, *_] = session.exec(select(Segment)).all()
    segment.numbers_written += 1


def change_tip(session: Session) -> None:
    """The chain moved on."""
    chain = session.get(Chain, SIMULATED)
    assert chain is not None
    chain.head_number = (chain.head_number or 0) + 1


@pytest.mark.parametrize("change", [change_numbers, change_tip])
def test_a_picture_is_drawn_once_for_each_state_of_the_ledger(drawn: Engine, change: Callable[[Session], None]) -> None:
    pictures = Pictures(drawn, lambda: INVENTED_NOW)
    first = pictures.draw(LARGE)
    assert first is not None
    assert first.startswith(b"\x89PNG")
    assert pictures.draw(LARGE) is first
    with writing(drawn) as session:
        change(session)
    again = pictures.draw(LARGE)
    assert again is not first
    assert pictures.draw(LARGE) is again


def test_a_fund_that_has_nothing_to_draw_has_no_picture(drawn: Engine) -> None:
    pictures = Pictures(drawn, lambda: INVENTED_NOW)
    assert pictures.draw("nobody") is None
    assert pictures.draw("nobody") is None
