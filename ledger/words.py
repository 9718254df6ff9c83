"""The published words of statuses, roles and sources: pages and messages say the same."""

from ledger.kinds import AlertEvent, Contribution, DataStatus, FundKind, Role, Severity, SourceKind, Status
from ledger.tables import Chain

DISCLAIMER = (
    "Compares a balance with a modelled or past loss. Not a promise that losses will be paid, not a rating, not advice."
)

STATUSES: dict[Status, tuple[str, str]] = {
    Status.AMPLE: ("Ample", "◆"),
    Status.COVERED: ("Covered", "●"),
    Status.THIN: ("Thin", "◐"),
    Status.SHORT: ("Short", "▲"),
    Status.DEPLETED: ("Depleted", "■"),
    Status.NOT_COMPUTABLE: ("Not computable", "?"),
    Status.NO_FUND: ("No fund", "–"),
}
BAND_WORDS = ("Ample", "Covered", "Thin", "Short", "Depleted")

DATA_WORDS: dict[DataStatus, str] = {
    DataStatus.VERIFIED: "verified on chain",
    DataStatus.THIRD_PARTY: "recorded by a third party",
    DataStatus.SELF_REPORTED: "self-reported",
    DataStatus.ESTIMATED: "estimated",
    DataStatus.PARTIAL: "partial",
    DataStatus.STALE: "stale",
    DataStatus.UNRECONCILED: "unreconciled",
    DataStatus.UNDER_REVIEW: "under review: the implementation changed",
    DataStatus.SOURCE_DOWN: "source down",
    DataStatus.UNVERIFIED: "unverified",
    DataStatus.SIMULATED: "simulated",
    DataStatus.RECONSTRUCTED: "reconstructed",
}
KIND_WORDS: dict[SourceKind, str] = {
    SourceKind.LIVE: "",
    SourceKind.RECORDED: "recorded",
    SourceKind.THIRD_PARTY: "recorded by a third party",
    SourceKind.RECONSTRUCTED: "reconstructed",
    SourceKind.SIMULATED: "simulated",
}
FUND_KINDS: dict[FundKind, str] = {
    FundKind.PERP_FUND: "insurance fund of a perpetuals platform",
    FundKind.LENDING_BACKSTOP: "backstop of a lending market",
    FundKind.RESERVE: "reserve without a defined exposure",
    FundKind.VENUE_FUND: "insurance fund of a venue",
    FundKind.NO_FUND: "no fund, by design",
}
ROLE_WORDS: dict[Role, str] = {
    Role.SHORTFALL: "Shortfall",
    Role.PAYOUT: "Paid by the fund",
    Role.SHORTFALL_COVERED: "Shortfall covered",
    Role.SOCIALISED_LOSS: "Socialised loss",
    Role.ADL: "Auto-deleveraging",
    Role.LIQUIDATION: "Liquidation",
    Role.CONTRIBUTION: "Paid in",
    Role.WITHDRAWAL: "Withdrawal",
    Role.SURPLUS_DISTRIBUTION: "Surplus distributed",
}
SOURCE_WORDS: dict[Contribution, str] = {
    Contribution.LIQUIDATION_FEE: "Liquidation penalty",
    Contribution.TRADING_FEE: "Trading-fee share",
    Contribution.INTEREST: "Interest",
    Contribution.STAKE: "Staked",
    Contribution.AUCTION: "Auction",
    Contribution.DONATION: "Donation",
    Contribution.TREASURY: "Treasury",
    Contribution.TOP_UP: "Top-up",
    Contribution.REVENUE: "Revenue",
    Contribution.UNEXPLAINED: "Unexplained",
}


def plain(word: str | None) -> str:
    """A stored word we have no text for, readable: socialised_loss → socialised loss."""
    return (word or "").replace("_", " ")


def data_words(status: str | None) -> str:
    """The data status in words."""
    return DATA_WORDS[DataStatus(status)] if status in set(DataStatus) else plain(status) or "unknown"


def kind_words(kind: str) -> str:
    """The kind of a recording in words; empty for a live chain."""
    return KIND_WORDS[SourceKind(kind)] if kind in set(SourceKind) else plain(kind)


def chain_title(chain: Chain) -> str:
    """A chain's name without the kind that a recording's name ends with: pages say the kind beside it."""
    return chain.name.removesuffix(f"({kind_words(chain.kind)})").strip()


def fund_kind_words(kind: str) -> str:
    """What sort of fund it is."""
    return FUND_KINDS[FundKind(kind)] if kind in set(FundKind) else plain(kind)


def role_words(role: str) -> str:
    """A fact's role in words."""
    return ROLE_WORDS[Role(role)] if role in {str(known) for known in ROLE_WORDS} else plain(role).capitalize()


def source_words(source: str | None) -> str:
    """Where an inflow comes from, in words."""
    return SOURCE_WORDS[Contribution(source)] if source in set(Contribution) else plain(source).capitalize() or "Other"


EVENT_WORDS: dict[AlertEvent, str] = {
    AlertEvent.COVERAGE_LOW: "Coverage fell below the threshold",
    AlertEvent.COVERAGE_RECOVERED: "Coverage is back above the threshold",
    AlertEvent.BALANCE_DROPPED: "The balance dropped sharply",
    AlertEvent.SHORTFALL_RECORDED: "A shortfall was recorded",
    AlertEvent.DEPLETED: "Nothing is left to pay with",
    AlertEvent.ADL_EXECUTED: "Auto-deleveraging closed positions of other users",
    AlertEvent.LOSS_SOCIALIZED: "Users were made to carry a loss",
    AlertEvent.SLASHED: "Stake was slashed",
    AlertEvent.OWNER_CHANGED: "The owner changed",
    AlertEvent.IMPLEMENTATION_CHANGED: "The implementation changed",
    AlertEvent.PAUSED: "The contract or a market was paused or shut down",
    AlertEvent.PARAMETER_CHANGED: "A parameter changed",
    AlertEvent.WITHDRAWAL_LARGE: "A large withdrawal",
    AlertEvent.OWN_TOKEN_HIGH: "Much of the fund is in the platform's own token",
    AlertEvent.UNRECONCILED: "Recorded flows do not explain the balance",
    AlertEvent.STALE: "Our data are stale",
    AlertEvent.DATA_RECOVERED: "Our data are current again",
    AlertEvent.LAGGING: "Our indexer is behind its chain",
    AlertEvent.DISAGREEMENT: "Sources disagree",
    AlertEvent.DIGEST_DAILY: "Daily digest",
    AlertEvent.DIGEST_WEEKLY: "Weekly digest",
    AlertEvent.RETRACTED: "An earlier message is taken back",
}
SEVERITY_WORDS: dict[Severity, str] = {
    Severity.NOTICE: "Notice",
    Severity.WARNING: "Warning",
    Severity.CRITICAL: "Critical",
}
SEVERITY_ORDER = (Severity.NOTICE, Severity.WARNING, Severity.CRITICAL)


def event_words(event: str) -> str:
    """An alert's event in words."""
    return EVENT_WORDS[AlertEvent(event)] if event in set(AlertEvent) else event


def lowered(text: str) -> str:
    """Lower first letter, unless the first word is an acronym or a name of several capitals."""
    return text if len(text) > 1 and text[1].isupper() else text[:1].lower() + text[1:]
