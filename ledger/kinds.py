"""The words all rooms share: what a source is, what a fact does, how good a number is, how a fund stands."""

from enum import IntEnum, StrEnum


class SourceKind(StrEnum):
    """Where a chain's data come from; a property of the chain or recording, shown on every page."""

    LIVE = "live"
    RECORDED = "recorded"
    THIRD_PARTY = "recorded_by_third_party"
    RECONSTRUCTED = "reconstructed"
    SIMULATED = "simulated"


class Shape(StrEnum):
    """A known contract or venue layout; each has one adapter or venue module of the same name."""

    PERP_V2_CURIE = "perp_v2_curie"
    MORPHO_BLUE = "morpho_blue"
    ADDRESS_FUND = "address_fund"
    AAVE_V2 = "aave_v2"
    DRIFT = "drift"


class FundKind(StrEnum):
    """What a fund is for; decides which metrics its status requires (METHOD, Status)."""

    PERP_FUND = "perp_fund"
    LENDING_BACKSTOP = "lending_backstop"
    RESERVE = "reserve"  # a wallet without a defined exposure
    VENUE_FUND = "venue_fund"
    NO_FUND = "no_fund"  # by design: users carry the loss


class BlockStatus(StrEnum):
    """Whether a stored block can still be replaced."""

    UNFINALIZED = "unfinalized"
    FINALIZED = "finalized"


class ChainStatus(StrEnum):
    """How the indexer stands with a chain."""

    NEW = "new"
    FOLLOWING = "following"
    UNREACHABLE = "unreachable"
    HALTED = "halted"


class SegmentStatus(StrEnum):
    """Whether a segment's indexed data can be trusted; anything but OK carries a reason."""

    NEW = "new"
    OK = "ok"
    UNRECONCILED = "unreconciled"
    UNKNOWN = "unknown"
    UNVERIFIED = "unverified"  # its chain is halted: nothing since that block can be relied on


class Role(StrEnum):
    """What one fact does to a fund, to users, or to the state of positions (names of the field)."""

    # Flows of the fund. Contributions add; the others take away.
    CONTRIBUTION = "contribution"
    WITHDRAWAL_REQUEST = "withdrawal_request"
    WITHDRAWAL = "withdrawal"
    PAYOUT = "payout"
    SURPLUS_DISTRIBUTION = "surplus_distribution"
    # Losses.
    LIQUIDATION = "liquidation"
    SHORTFALL = "shortfall"
    SHORTFALL_COVERED = "shortfall_covered"
    SOCIALISED_LOSS = "socialised_loss"
    ADL = "adl"
    # State and setup.
    EXPOSURE_CHANGE = "exposure_change"
    INTEREST_ACCRUED = "interest_accrued"
    MARKET_CREATED = "market_created"
    MARKET_SHUTDOWN = "market_shutdown"
    PARAM = "param"
    CONTROL = "control"
    ACCOUNTING = "accounting"  # internal moves that change no balance, kept for the record


FLOW_SIGN: dict[Role, int] = {
    Role.CONTRIBUTION: 1,
    Role.WITHDRAWAL: -1,
    Role.PAYOUT: -1,
    Role.SURPLUS_DISTRIBUTION: -1,
}
"""Effect of a fund-flow role on the fund's balance: Δ balance = Σ sign × amount_raw."""


class Contribution(StrEnum):
    """Where a contribution comes from (attribution of inflows)."""

    LIQUIDATION_FEE = "liquidation_fee"
    TRADING_FEE = "trading_fee"
    INTEREST = "interest"
    STAKE = "stake"
    AUCTION = "auction"
    DONATION = "donation"
    TREASURY = "treasury"
    TOP_UP = "top_up"  # a bare transfer to the fund, from whomever
    REVENUE = "revenue"
    UNEXPLAINED = "unexplained"


class Side(StrEnum):
    """Which side of a position or of a liquidation an amount belongs to."""

    POSITION = "position"  # signed base quantity of a perpetual
    DEBT = "debt"
    COLLATERAL = "collateral"
    SUPPLY = "supply"
    DEBT_SHARES = "debt_shares"
    SUPPLY_SHARES = "supply_shares"
    LIQUIDITY = "liquidity"  # a maker's liquidity in a pool: zero means no open order


class ReadingName(StrEnum):
    """What a contract read or a venue poll answers; `subject` says for whom (account, market, or both)."""

    BALANCE = "balance"  # the fund's gross balance or signed capacity, in the reading's asset
    WALLET_BALANCE = "wallet_balance"
    VAULT_BALANCE = "vault_balance"
    DISTRIBUTION_THRESHOLD = "distribution_threshold"
    OWNER = "owner"  # an address as a number
    ACCOUNT_VALUE = "account_value"  # subject: account
    MARGIN_REQUIREMENT = "margin_requirement"  # subject: account
    POSITION_SIZE = "position_size"  # subject: account/market, makers included
    TAKER_SIZE = "taker_size"  # subject: account/market
    INDEX_PRICE = "index_price"  # subject: market
    MARK_PRICE = "mark_price"  # subject: market
    IS_OPEN = "is_open"  # subject: market; 1 or 0
    TOTAL_SUPPLY = "total_supply"  # subject: market
    TOTAL_SUPPLY_SHARES = "total_supply_shares"  # subject: market
    TOTAL_BORROW = "total_borrow"  # subject: market
    TOTAL_BORROW_SHARES = "total_borrow_shares"  # subject: market
    ORACLE_PRICE = "oracle_price"  # subject: market; the protocol's own scale
    LIQUIDATION_LTV = "liquidation_ltv"  # subject: market
    OPEN_INTEREST_LONG = "open_interest_long"  # subject: market
    OPEN_INTEREST_SHORT = "open_interest_short"  # subject: market; a magnitude
    INSURANCE_CAP = "insurance_cap"  # subject: market
    INSURANCE_USED = "insurance_used"  # subject: market; lifetime, cumulative
    SOCIALISED_LOSS_TOTAL = "socialised_loss_total"  # subject: market; lifetime, cumulative
    TOTAL_SHARES = "total_shares"
    USER_SHARES = "user_shares"
    LIQUIDATION_FEE_TOTAL = "liquidation_fee_total"  # subject: market; lifetime, cumulative
    TRADING_FEE_TOTAL = "trading_fee_total"  # subject: market; lifetime, cumulative


class SnapshotKind(StrEnum):
    """Why a block was read: a function of chain time and flows, never of when the process ran."""

    SCHEDULED = "scheduled"  # first block of a UTC hour (day where blocks are sparse): everything
    FLOW = "flow"  # a block in which the fund's balance moved: its balance only


class Quality(StrEnum):
    """How far a metric can be relied on; anything but OK carries a reason."""

    OK = "ok"
    PARTIAL = "partial"
    STALE = "stale"
    UNKNOWN = "unknown"


class Band(IntEnum):
    """Coverage bands that compare (0–3) and the one that is a fact (4)."""

    AMPLE = 0
    COVERED = 1
    THIN = 2
    SHORT = 3
    DEPLETED = 4


class Status(StrEnum):
    """What is published of a segment on the coverage axis."""

    AMPLE = "ample"
    COVERED = "covered"
    THIN = "thin"
    SHORT = "short"
    DEPLETED = "depleted"
    NOT_COMPUTABLE = "not_computable"
    NO_FUND = "no_fund"


class DataStatus(StrEnum):
    """What is published of a segment on the data axis."""

    VERIFIED = "verified_on_chain"
    THIRD_PARTY = "recorded_by_third_party"
    SELF_REPORTED = "self_reported"
    ESTIMATED = "estimated"
    PARTIAL = "partial"
    STALE = "stale"
    UNRECONCILED = "unreconciled"
    UNDER_REVIEW = "under_review"
    SOURCE_DOWN = "source_down"
    UNVERIFIED = "unverified"
    SIMULATED = "simulated"
    RECONSTRUCTED = "reconstructed"


class Severity(StrEnum):
    """How urgent an alert is; the rules say in words what each means."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertEvent(StrEnum):
    """What an alert says has happened; the ids that webhooks carry."""

    COVERAGE_LOW = "fund.coverage.low"
    COVERAGE_RECOVERED = "fund.coverage.recovered"
    BALANCE_DROPPED = "fund.balance.dropped"
    SHORTFALL_RECORDED = "fund.shortfall.recorded"
    DEPLETED = "fund.depleted"
    ADL_EXECUTED = "platform.adl.executed"
    LOSS_SOCIALIZED = "platform.loss.socialized"
    SLASHED = "fund.slashed"
    OWNER_CHANGED = "fund.owner.changed"
    IMPLEMENTATION_CHANGED = "fund.implementation.changed"
    PAUSED = "fund.paused"
    PARAMETER_CHANGED = "fund.parameter.changed"
    WITHDRAWAL_LARGE = "fund.withdrawal.large"
    OWN_TOKEN_HIGH = "fund.composition.own_token_high"
    UNRECONCILED = "fund.unreconciled"
    STALE = "data.stale"
    DATA_RECOVERED = "data.recovered"
    LAGGING = "indexer.lagging"
    DISAGREEMENT = "source.disagreement"
    DIGEST_DAILY = "digest.daily"
    DIGEST_WEEKLY = "digest.weekly"
    RETRACTED = "event.retracted"


class AlertPhase(StrEnum):
    """Where the state machine of one rule and subject stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class EndpointKind(StrEnum):
    """How messages reach somebody."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    OPERATOR = "operator"  # a channel of whoever runs Backstop, named in the settings


class EndpointStatus(StrEnum):
    """Whether messages are sent to an endpoint."""

    UNCONFIRMED = "unconfirmed"
    ACTIVE = "active"
    DISABLED = "disabled"  # by its owner, by bounces, or by an endpoint that answers no more


class DigestChoice(StrEnum):
    """How often somebody wants the digest."""

    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"


class Purpose(StrEnum):
    """Why a message is sent to one endpoint."""

    ALERT = "alert"
    CONFIRM = "confirm"  # a new address is asked whether it wants what was ordered
    LINK = "link"  # a known address asked for its own page
    PING = "ping"  # a new webhook must answer before it is active
    WARNING = "warning"  # the owner of a webhook hears that it will be, or was, switched off
    TEST = "test"


class DeliveryState(StrEnum):
    """How one delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # given up: the schedule is over, or the error is permanent
    DROPPED = "dropped"  # not wanted any more: muted, switched off or gone


class TokenPurpose(StrEnum):
    """What the bearer of a token may do."""

    CONFIRM = "confirm"
    MANAGE = "manage"  # see, change, mute, unsubscribe, export, delete
