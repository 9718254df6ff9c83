"""Digests: a day and a week at a time, one for each clock: what was announced, what goes on, and how funds stand."""

from datetime import timedelta

from alerts.digests import walk_digests
from alerts.message import FundLine, Message
from alerts.thresholds import load_rules
from alerts.watch import Watch
from ledger.alerts import list_cursors
from ledger.database import reading
from ledger.kinds import ChainStatus, DigestChoice, Role, SegmentStatus, SourceKind
from ledger.pages import list_chains
from tests.rigs.alert_ledger import DAY, HOUR, MINUTE, START, AlertLedger, plain

DAILY, WEEKLY = "digest.daily", "digest.weekly"


def digests(ledger: AlertLedger, event: str = DAILY) -> list[Message]:
    return [message for message in ledger.messages() if message.event == event]


def lines(message: Message) -> list[str]:
    return [plain(line.text) for line in message.lines]


def test_a_day_on_which_nothing_happened_says_so_and_how_the_funds_stand(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin(after=10 * HOUR)
    chain.grow_for(13 * HOUR)
    fund.coverage(1.3)
    fund.status("covered")
    assert ruler.rule() == []
    chain.grow_for(HOUR + MINUTE)
    assert ruler.rule() == ["digest.daily:live:2026-03-02"]
    assert ruler.rule() == []
    (digest,) = digests(ledger)
    assert digest.subject == "[Digest] 2 Mar 2026: nothing happened"
    assert digest.sentence == "2 Mar 2026: nothing happened that a rule speaks of."
    assert digest.lines == (
        FundLine(
            "alpha", "Alpha fund: Covered, coverage 1.30×, as of 2 Mar 2026, 23:00 UTC", "Alpha fund", is_calm=True
        ),
    )
    assert (digest.happened_at, digest.severity) == ("2026-03-03T00:00:00Z", "notice")


def test_a_digest_lists_the_days_announcements_of_that_day_only(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin(after=10 * HOUR)
    other = chain.fund("beta")
    chain.grow_for(HOUR)
    fund.fact(Role.SHORTFALL, 12)
    fund.fact(Role.SOCIALISED_LOSS, 2)
    other.fact(Role.ADL, 5)
    ruler.rule()
    chain.grow_for(14 * HOUR)
    other.fact(Role.SHORTFALL, 7)
    ruler.rule()
    (digest,) = digests(ledger)
    assert digest.subject == "[Digest] 2 Mar 2026: 3 announcements at 2 funds"
    assert lines(digest)[:3] == [
        "2 Mar 2026, 11:00 UTC: A shortfall of 12 USDC at Alpha fund, at block 3,300 (2 Mar 2026, 11:00 UTC).",
        "2 Mar 2026, 11:00 UTC: An auto-deleveraging of 5 USDC at Beta fund, at block 3,300 (2 Mar 2026, 11:00 UTC).",
        "2 Mar 2026, 11:00 UTC: A socialised loss of 2 USDC at Alpha fund, at block 3,300 (2 Mar 2026, 11:00 UTC).",
    ]
    assert [line.fund_slug for line in digest.lines[:3]] == ["alpha", "beta", "alpha"]
    chain.grow_for(DAY)
    ruler.rule()
    assert digests(ledger)[1].subject == "[Digest] 3 Mar 2026: 1 announcement at 1 fund"


def test_an_announcement_about_a_source_is_at_no_fund(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin(after=10 * HOUR)
    chain.say(ChainStatus.HALTED, "why")
    chain.grow()
    ruler.rule()
    chain.grow_for(15 * HOUR)
    ruler.rule()
    assert digests(lite)[0].subject == "[Digest] 2 Mar 2026: 1 announcement"


def test_the_week_is_told_on_monday_and_begins_on_monday(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin(after=10 * HOUR)
    for _ in range(7):
        chain.grow_for(DAY)
        fund.fact(Role.SHORTFALL, 1)
        ruler.rule()
    (week,) = digests(lite, WEEKLY)
    assert len(digests(lite)) == 7
    assert week.key == "digest.weekly:live:2026-03-02"
    assert week.subject == "[Digest] the week from 2 Mar 2026: 6 announcements at 1 fund"
    assert week.sentence == "The week from 2 Mar 2026: 6 announcements at 1 fund."
    assert week.happened_at == "2026-03-09T00:00:00Z"


def test_what_goes_on_is_named_every_day_until_it_is_over(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin(after=10 * HOUR)
    for hour in range(1, 67):
        chain.grow_for(HOUR)
        fund.coverage(1.3 if hour > 30 else 0.7)
        if hour % 3 == 2:  # Midnight is among these.
            ruler.rule()
    first, second, third = digests(lite)
    going = "Goes on since 2 Mar 2026, 13:00 UTC: coverage fell below the threshold at Alpha fund"
    assert [digest.subject for digest in (first, second, third)] == [
        "[Digest] 2 Mar 2026: 1 announcement at 1 fund",
        "[Digest] 3 Mar 2026: nothing happened",
        "[Digest] 4 Mar 2026: 1 announcement at 1 fund",  # It was over at four.
    ]
    assert [going in lines(digest) for digest in (first, second, third)] == [True, True, False]


def test_what_is_unstable_is_named_even_between_two_episodes(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin(after=10 * HOUR)
    chain.grow_for(10 * HOUR)
    for episode in range(5):
        fund.judge(SegmentStatus.UNRECONCILED)
        chain.grow()
        ruler.rule()
        fund.judge(SegmentStatus.OK)
        for _ in range(2 * min(2**episode, 8)):
            chain.grow()
            ruler.rule()
    chain.grow_for(4 * HOUR)
    ruler.rule()
    (digest,) = digests(lite)
    assert (
        "Goes on: recorded flows do not explain the balance at Alpha fund, and changes too often to be told each time"
    ) in lines(digest)


def test_live_chains_share_a_digest_and_each_recording_has_its_own(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin(after=10 * HOUR)
    other = ledger.chain("optimism", chain_id=10)
    beta = other.fund("beta")
    replay = ledger.chain("crash", chain_id=42, kind=SourceKind.SIMULATED, name="Crash (simulated)")
    gamma = replay.fund("gamma")
    other.grow(chain.tip)
    ruler.rule()
    for one in (chain, other, replay):
        one.grow_for(HOUR)
    for each in (fund, beta, gamma):
        each.fact(Role.SHORTFALL, 1)
    ruler.rule()
    for one in (chain, other):
        one.grow_for(14 * HOUR)
    ruler.rule()
    assert [digest.key for digest in digests(ledger)] == ["digest.daily:live:2026-03-02"]
    replay.grow_for(2 * DAY)
    ruler.rule()
    live, played = digests(ledger)
    assert played.key == "digest.daily:crash:2026-03-03"
    assert (live.replay, played.replay) == ("", "Replay of Crash: simulated")
    assert {line.fund_slug for line in live.lines} == {"alpha", "beta"}
    assert {line.fund_slug for line in played.lines} == {"gamma"}
    assert [alert.chain_id for alert in ledger.alerts() if alert.event == DAILY] == [None, 42]


def test_days_before_the_chain_went_live_have_no_digest(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin(after=DAY + HOUR)
    chain.grow()
    fund.fact(Role.SHORTFALL, 1, at=100)
    assert ruler.rule() == []
    chain.grow_for(DAY)
    ruler.rule()
    assert [digest.key for digest in digests(lite)] == ["digest.daily:live:2026-03-03"]
    assert digests(lite)[0].subject == "[Digest] 3 Mar 2026: nothing happened"


def test_the_first_days_digest_holds_only_what_came_after_going_live(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin(after=10 * HOUR)
    fund.fact(Role.SHORTFALL, 1)  # At the very time of going live.
    chain.grow()
    fund.fact(Role.SHORTFALL, 2)
    ruler.rule()
    chain.grow_for(15 * HOUR)
    ruler.rule()
    (digest,) = digests(lite)
    assert digest.subject == "[Digest] 2 Mar 2026: 1 announcement at 1 fund"
    assert "2 USDC" in lines(digest)[0]


def test_a_digest_waits_until_the_day_was_read_and_holds_what_was_read_late(lite: AlertLedger) -> None:
    """A replay's clock may be hours ahead of what was indexed, and so may ours after an outage."""
    replay = lite.chain("crash", kind=SourceKind.SIMULATED)
    fund = replay.fund()
    ruler = lite.ruler()
    ruler.rule()
    for hour in range(1, 30):
        replay.grow_for(HOUR)
        replay.serve(replay.number_at(START + 3 * DAY))
        if hour == 23:
            fund.fact(Role.SHORTFALL, 1)
        lite.wait(timedelta(seconds=1))
        ruler.rule()
    (digest,) = digests(lite)
    assert digest.subject == "[Digest] 2 Mar 2026: 1 announcement at 1 fund"


def test_a_chain_that_does_not_answer_delays_no_digest_and_is_named_in_it(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin(after=10 * HOUR)
    chain.grow()
    ruler.rule()
    for _ in range(15 * 2):
        lite.wait(HOUR / 2)
        ruler.rule()
    (digest,) = digests(lite)
    assert digest.subject == "[Digest] 2 Mar 2026: 1 announcement at 1 fund"
    assert "Goes on since 2 Mar 2026, 11:00 UTC: our data are stale at Alpha fund" in lines(digest)


def test_a_chain_that_is_far_behind_and_catching_up_delays_the_digest_by_an_hour_at_most(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin(after=10 * HOUR)
    behind = lite.chain("optimism", chain_id=10)
    behind.fund("beta")
    ruler.rule()
    chain.grow_for(13 * HOUR)
    written = []
    for _ in range(30):
        chain.grow_for(5 * MINUTE)
        behind.grow()
        ruler.rule()
        written += [lite.clock.now] if digests(lite) else []
    assert written[0] == START + DAY + HOUR


def test_a_day_is_told_once_whoever_looks(ledger: AlertLedger) -> None:
    chain, _, ruler = ledger.begin(after=10 * HOUR)
    chain.grow_for(15 * HOUR)
    ruler.rule()
    for _ in range(3):
        assert ledger.ruler().rule() == []
    assert len(digests(ledger)) == 1


def test_only_those_who_chose_it_get_a_digest(ledger: AlertLedger) -> None:
    chain, _, ruler = ledger.begin(after=10 * HOUR)
    ledger.listen("everything")
    ledger.listen("every-day", digest=DigestChoice.DAILY)
    ledger.listen("every-week", digest=DigestChoice.WEEKLY)
    for _ in range(7):
        chain.grow_for(DAY)
        ruler.rule()
    assert [name for name, _ in ledger.deliveries()] == [*["every-day"] * 7, "every-week"]


def test_a_digest_waits_for_what_the_rules_have_not_seen_yet(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin(after=10 * HOUR)
    chain.grow_for(13 * HOUR)
    ruler.rule()
    chain.grow_for(2 * HOUR)  # Past midnight, and no rule has looked since.
    with reading(lite.engine) as session:
        (state,), (cursor,) = list_chains(session), list_cursors(session)
        watch = Watch(session, state, cursor, load_rules(), now=lite.clock(), wall_now=lite.clock())
        watch.now = watch.tip_time = START + 23 * HOUR
        assert list(walk_digests(session, [watch], load_rules())) == []
        watch.now = watch.tip_time = START + 25 * HOUR
        assert [draft.message.event for draft in walk_digests(session, [watch], load_rules())] == [DAILY]
