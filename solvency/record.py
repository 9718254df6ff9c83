"""What was lost and who bore it, by day: worst windows, episodes, uncovered loss, accounts below zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ledger.kinds import FundKind, ReadingName, Role
from solvency.coverage import NO_MODELLED_LOSS
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.few import compute_daily_chance_bound, describe_none_recognised
from solvency.flow_book import UsdAmount
from solvency.losses import (
    DAY_SECONDS,
    Episode,
    WorstWindow,
    compute_scaled_worst_window,
    compute_worst_window,
    group_episodes,
)
from solvency.positions import find_negative_accounts, find_settlement_price, list_open_accounts
from solvency.quantity import Quantity, add_up, divide_usable, make_unknown, render_count, scale_raw
from solvency.sharing import NegativeAccount, select_unresolved

STREAMS = ("facts", "prices")
SCALED = ("facts", "prices", "markets")
ALL = ("facts", "money", "markets", "prices")
UNREAD_ACCOUNTS = "accounts below zero are not read here: only booked losses count"
UNSEEN_LIQUIDATIONS = "polls tell what was lost and paid, not each liquidation"


@dataclass(frozen=True)
class Record:
    """The record of losses up to a day, for the metrics that build on it."""

    worst: Mapping[int, WorstWindow]
    scaled: WorstWindow
    episodes: list[Episode]
    n_loss_days: int
    unbooked: Quantity
    accounts: list[dict[str, Any]]
    unresolved: Quantity
    uncovered_year: Quantity
    uncovered_month: Quantity
    burden_year: dict[str, str]


def read_record(day: Day) -> Record:
    """Read the record of losses as it stands on a day."""
    walk, events = day.walk, day.walk.list_loss_events()
    worst = {
        days: compute_worst_window(events, window_seconds=days * DAY_SECONDS, observed_seconds=day.observed_seconds)
        for days in (1, 7, 30)
    }
    scaled = compute_scaled_worst_window(
        events, walk.exposures, exposure_now=day.exposure.total,
        window_seconds=7 * DAY_SECONDS, observed_seconds=day.observed_seconds,
    )  # fmt: skip
    reason = "" if events else day.never_booked
    if unpriced := walk.count_unpriced_losses():
        reason = describe_unpriced(unpriced)
    if reason:
        lost = WorstWindow(make_unknown("usd", reason))
        worst, scaled = dict.fromkeys(worst, lost), lost
    unbooked, accounts, unresolved = _read_unresolved(day)
    year, parts = _sum_uncovered(day, 365, unresolved)
    month, _ = _sum_uncovered(day, 30, unresolved)
    return Record(
        worst={days: _mark(day, window) for days, window in worst.items()},
        scaled=_mark(day, scaled),
        episodes=group_episodes(events),
        n_loss_days=len({event.seconds // DAY_SECONDS for event in events}),
        unbooked=unbooked,
        accounts=accounts,
        unresolved=unresolved,
        uncovered_year=year,
        uncovered_month=month,
        burden_year=parts,
    )


def describe_unpriced(count: int) -> str:
    """Why a sum of shortfalls is unknown: so many of them have no price."""
    return f"{render_count(count, 'shortfall has', 'shortfalls have')} no price in USD"


def _mark(day: Day, window: WorstWindow) -> WorstWindow:
    loss = day.mark_unobserved(window.loss)
    return WorstWindow(loss, window.first_seconds, window.last_seconds, window.unscaled, window.exposure_then)


def _read_unresolved(day: Day) -> tuple[Quantity, list[dict[str, Any]], Quantity]:
    """Accounts below zero (unbooked loss, their list) and the unresolved deficit, USD."""
    hole = _read_hole(day)
    if day.never_booked:
        return make_unknown("usd", day.never_booked), [], make_unknown("usd", day.never_booked)
    if not day.has_public_positions:
        return make_unknown("usd", UNREAD_ACCOUNTS), [], hole.lower_quality("partial", UNREAD_ACCOUNTS)
    price, hidden = find_settlement_price(day.walk), _count_hidden(day)
    if price is None or hidden or not day.walk.markets:
        reason = "account values have no price in USD" if price is None else "accounts were not read at this block"
        reason = f"{render_count(hidden, 'account value')} could not be read" if hidden else reason
        return make_unknown("usd", reason), [], make_unknown("usd", reason)
    negative = _list_negative(day, price)
    counted = select_unresolved([account for account, _ in negative], now_seconds=day.as_of_seconds)
    unbooked = Quantity(sum(account.deficit for account, _ in negative), "usd", n_obs=len(negative))
    unresolved = add_up([hole, *(Quantity(account.deficit, "usd") for account in counted)], "usd")
    return unbooked, [row for _, row in negative], unresolved


def _read_hole(day: Day) -> Quantity:
    """How far the fund itself is below zero, USD; 0 where there is no fund by design, unknown with its balance."""
    gross = day.money.gross
    if day.kind == FundKind.NO_FUND:
        return Quantity(0.0, "usd")
    return make_unknown("usd", gross.reason) if gross.value is None else Quantity(max(0.0, -gross.value), "usd")


def _count_hidden(day: Day) -> int:
    """Accounts that hold a position, or were asked for, and whose value was not answered."""
    rows = day.walk.markets
    asked = {subject for name, subject in rows if name == ReadingName.ACCOUNT_VALUE}
    holders = {account for (account, _), size in day.walk.takers.items() if size != 0}
    answered = {s for s in asked if rows[ReadingName.ACCOUNT_VALUE, s].value_raw is not None}
    return len((asked | holders) - answered)


def _list_negative(day: Day, price: Decimal) -> list[tuple[NegativeAccount, dict[str, Any]]]:
    """Each account below zero, with what its contract would do about it."""
    rows, spells = day.walk.markets, day.walk.spells
    gross = day.money.gross.value
    money = None if gross is None else max(gross, 0.0)
    tradable = list_open_accounts(day.walk)
    found = []
    for account in find_negative_accounts(rows):
        value = rows[ReadingName.ACCOUNT_VALUE, account]
        deficit = -float(scale_raw(value.value_raw or 0, value.decimals) * price)
        margin = rows.get((ReadingName.MARGIN_REQUIREMENT, account))
        needed = None
        if margin is not None and margin.value_raw is not None:
            needed = scale_raw(margin.value_raw, margin.decimals) * price
        # A liquidation that would cost more than the fund holds reverts; one in a closed market is settled unchecked.
        # Without the balance nobody can say whether it would.
        is_refused = None if money is None else deficit > money and account in tradable
        spell = spells[account]
        item = NegativeAccount(account, deficit, spell.since_seconds, bool(is_refused))
        found.append(
            (
                item,
                {
                    "account": account,
                    "value_usd": render_usd(-deficit),
                    "requirement_usd": render_usd(needed),
                    "since": _render_time(spell.since_seconds),
                    "since_block": spell.since_number,
                    "is_refused": is_refused,
                    "loss_beyond_fund": render_usd(None if money is None else max(0.0, deficit - money)),
                },
            )
        )
    return sorted(found, key=lambda pair: (-pair[0].deficit, pair[0].account))


def _sum_uncovered(day: Day, days: int, unresolved: Quantity) -> tuple[Quantity, dict[str, str]]:
    """ADL + socialised + unresolved over the last days, USD, with its parts."""
    start = day.as_of_seconds - days * DAY_SECONDS
    window = [amount for amount in day.walk.burdens if amount.row.seconds > start]
    if any(amount.usd is None for amount in window):
        return make_unknown("usd", "a loss of users has no price in USD"), {}
    adl, socialised = (
        sum((amount.usd or Decimal(0) for amount in window if amount.row.role == role), Decimal(0))
        for role in (Role.ADL, Role.SOCIALISED_LOSS)
    )
    parts = {
        "adl": render_usd(adl) or "0.00",
        "socialised": render_usd(socialised) or "0.00",
        "unresolved": render_usd(unresolved.value) or "unknown",
    }
    total = add_up([Quantity(float(adl), "usd"), Quantity(float(socialised), "usd"), unresolved], "usd")
    total = Quantity(
        total.value, "usd", total.quality, total.reason, window_days=float(days), n_obs=day.observed_days,
        n_events=len(window),
    )  # fmt: skip
    return (total if total.value is None else day.mark_unobserved(total)), parts


def draft_record(day: Day, record: Record) -> list[Draft]:
    """Every metric of the record of losses."""
    drafts = [_draft_window(f"worst_{days}d", window, STREAMS) for days, window in sorted(record.worst.items())]
    if day.kind != FundKind.NO_FUND:
        drafts += [_draft_window("worst_7d_scaled", record.scaled, SCALED), _draft_ratio(day, record)]
    drafts += _draft_counts(day, record)
    drafts += _draft_totals(day, record)
    return drafts


def _draft_window(name: str, window: WorstWindow, streams: tuple[str, ...]) -> Draft:
    detail: dict[str, Any] = {}
    if window.first_seconds is not None and window.last_seconds is not None:
        detail = {
            "from": _render_time(window.first_seconds),
            "to": _render_time(window.last_seconds),
            "events": window.loss.n_events,
            "unscaled_usd": render_usd(window.unscaled),
            "exposure_then_usd": render_usd(window.exposure_then),
        }
    return Draft(name, window.loss, streams, rounding="up", detail=detail)


def compute_week_ratio(usable: Quantity, record: Record) -> Quantity:
    """U / exposure-scaled worst 7 days."""
    return divide_usable(usable, record.scaled.loss, when_zero=NO_MODELLED_LOSS)


def _draft_ratio(day: Day, record: Record) -> Draft:
    band = compute_week_ratio(day.money.minimum, record)
    detail = {
        "usable_usd": render_usd(day.money.usable.value),
        "usable_min_7d_usd": render_usd(day.money.minimum.value),
        "worst_7d_scaled_usd": render_usd(record.scaled.loss.value),
        "band_ratio": band.value if band.value is None else round(band.value, 4),
    }
    return Draft("coverage_worst_7d", compute_week_ratio(day.money.usable, record), ALL, rounding="down", detail=detail)


def _draft_counts(day: Day, record: Record) -> list[Draft]:
    """Observed days, episodes, the bound of M12, liquidations."""
    n, k = day.observed_days, len(record.episodes)
    days = Quantity(float(n), "days", n_obs=n, n_events=k)
    bound = compute_daily_chance_bound(min(record.n_loss_days, n), n)
    count = day.mark_unobserved(Quantity(float(k), "count", n_obs=n, n_events=k))
    if reason := day.never_booked:
        bound = make_unknown("fraction", reason, n_obs=n)
        count = count.lower_quality("partial", reason) if k else make_unknown("count", reason, n_obs=n)
    seen = day.walk.liquidations
    liquidations = Quantity(float(seen.n_events), "count")
    if day.walk.history.chain.is_venue and not seen.n_events:
        liquidations = make_unknown("count", UNSEEN_LIQUIDATIONS)
    sums = {side: {s: str(raw) for s, raw in sorted(by.items())} for side, by in sorted(seen.raw_by_side.items())}
    words = describe_none_recognised(n) if k == 0 and not day.never_booked else ""
    return [
        Draft("observed_days", days, STREAMS, detail={"history_days": day.history_days, "words": words}),
        Draft("shortfall_day_bound", bound, STREAMS, rounding="up"),
        Draft("episodes", count, STREAMS, detail={"latest": _describe_episodes(record.episodes[-10:])}),
        Draft("liquidations", liquidations, STREAMS, detail={"by_asset": sums}),
    ]


def _describe_episodes(episodes: list[Episode]) -> list[dict[str, Any]]:
    return [
        {
            "from": _render_time(episode.first_seconds),
            "to": _render_time(episode.last_seconds),
            "amount_usd": render_usd(episode.amount),
            "events": episode.n_events,
        }
        for episode in episodes
    ]


def _draft_totals(day: Day, record: Record) -> list[Draft]:
    """Totals of shortfall, payout and socialised loss, uncovered loss, and accounts below zero."""
    walk = day.walk
    everything = (-1, day.as_of_seconds)
    shortfall = _name_sum(day, walk.flows.gross_usd.sum_between(*everything), len(walk.losses))
    paid = _name_sum(day, walk.flows.payouts_usd.sum_between(*everything), None)
    drafts = [
        Draft("shortfall_total", shortfall, STREAMS, rounding="up", detail={"by_market": _sum_by_market(walk.losses)}),
        Draft("uncovered_loss_365d", record.uncovered_year, ALL, rounding="up", detail=record.burden_year),
        Draft("uncovered_loss_30d", record.uncovered_month, ALL, rounding="up"),
        Draft("unresolved_deficit", record.unresolved, ALL, rounding="up"),
        _draft_socialised(day),
    ]
    if day.kind != FundKind.NO_FUND:
        drafts.append(Draft("payout_total", paid, STREAMS, rounding="up"))
        detail = {"accounts": record.accounts}
        drafts.append(Draft("unbooked_loss", record.unbooked, ALL, rounding="up", detail=detail))
    return drafts


def _draft_socialised(day: Day) -> Draft:
    losses = [amount for amount in day.walk.burdens if amount.row.role == Role.SOCIALISED_LOSS]
    known = [amount.usd for amount in losses if amount.usd is not None]
    whole = sum(known, Decimal(0)) if len(known) == len(losses) else None
    total = _name_sum(day, whole, len(losses))
    return Draft("socialised_total", total, STREAMS, rounding="up", detail={"by_market": _sum_by_market(losses)})


def _name_sum(day: Day, total: Decimal | None, n_events: int | None) -> Quantity:
    """A total over the whole record; an amount without a price makes it unknown."""
    if total is None:
        return make_unknown("usd", "an amount has no price in USD")
    if total == 0 and day.never_booked:
        return make_unknown("usd", day.never_booked, n_obs=day.observed_days)
    return day.mark_unobserved(Quantity(float(total), "usd", n_obs=day.observed_days, n_events=n_events))


def _sum_by_market(amounts: list[UsdAmount]) -> dict[str, Any]:
    """USD by market; one without a price is said to be unknown."""
    sums: dict[str, Decimal | None] = {}
    for amount in amounts:
        market = amount.row.market or ""
        before = sums.get(market, Decimal(0))
        sums[market] = None if before is None or amount.usd is None else before + amount.usd
    return {market: render_usd(total) for market, total in sorted(sums.items())}


def _render_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
