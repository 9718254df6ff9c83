"""The published words: statuses, data statuses, roles, kinds of sources, and the one generated sentence of a fund."""

from dataclasses import dataclass

from ledger.kinds import Status
from ledger.words import STATUSES, lowered
from web.contexts import Badge, Figure

PURPOSE = (
    "How large the insurance funds of trading and lending platforms are, what they may have to pay, "
    "what they failed to pay, and where every number comes from."
)

SEVERITY = (
    Status.DEPLETED,
    Status.SHORT,
    Status.THIN,
    Status.NOT_COMPUTABLE,
    Status.COVERED,
    Status.AMPLE,
    Status.NO_FUND,
)
NOT_COMPUTED = "not computed in this method version"


def badge(status: str | None, note: str = "") -> Badge:
    """The badge of a stored status; what is not there or not known to us is Not computable."""
    key = Status(status) if status in set(Status) else Status.NOT_COMPUTABLE
    word, glyph = STATUSES[key]
    return Badge(key=str(key), word=word, glyph=glyph, note=note if key is Status.NOT_COMPUTABLE else "")


@dataclass(frozen=True)
class Answer:
    """What the generated sentence is made of."""

    badge: Badge
    reason: str
    decided_by: str
    """What made the band, as part of a sentence; may be empty."""
    balance: Figure
    usable: Figure
    coverage: Figure
    reference_loss: Figure
    reference_source: str
    gap: Figure
    is_capped: bool
    """True where markets have caps of their own, which may bind before the fund is empty."""
    worst: Figure
    worst_days: str
    socialised: Figure
    next_layers: str
    """What stands behind the fund, in order; without a fund the layer that loses."""
    losers: str
    """Whose loss it is in the end; may be empty."""


def answer_sentence(answer: Answer) -> str:
    """One or two sentences that say how the fund stands and why; each kind of not knowing has its own words."""
    match answer.badge.key:
        case Status.NO_FUND:
            return _no_fund(answer)
        case Status.DEPLETED:
            return _depleted(answer)
        case Status.NOT_COMPUTABLE:
            return _not_computable(answer)
        case _:
            return _compared(answer)


def _no_fund(answer: Answer) -> str:
    start = "There is no fund here, by design: when collateral falls short, "
    start += f"{lowered(answer.next_layers)} carry the loss. " if answer.next_layers else "users carry the loss. "
    if not answer.socialised.is_known:
        return start + f"What they lost so far is unknown: {_clause(answer.socialised.reason)}."
    if answer.socialised.text in ("$0", "$0.00"):
        return start + f"No such loss was recognised up to {answer.socialised.as_of}."
    return start + f"Losses they carried so far: {answer.socialised.text}, up to {answer.socialised.as_of}."


def _depleted(answer: Answer) -> str:
    told = emptied(answer.balance)
    if answer.reason:
        told += f": {_clause(answer.reason)}"
    if answer.next_layers:
        told += f". What comes next by the platform's own rules: {lowered(answer.next_layers)}"
    if answer.losers:
        told += f". Whose loss it is then: {lowered(answer.losers)}"
    return f"{told}."


def emptied(balance: Figure) -> str:
    """Why nothing can be paid: owed, nothing held, or a deficit that exceeds what is held or unknown."""
    if not balance.is_known:
        return "What the fund holds is unknown, and an unresolved deficit exceeds what it could pay"
    if balance.text.startswith("−"):
        return f"The fund owes {balance.text[1:]} net at {balance.as_of}; nothing is left to pay with"
    if not any(digit in "123456789" for digit in balance.text):
        return f"The fund held {balance.text} at {balance.as_of}; nothing is left to pay with"
    return f"The fund held {balance.text} at {balance.as_of}, and an unresolved deficit exceeds what it could pay"


def _not_computable(answer: Answer) -> str:
    why = _clause(answer.reason) or "a number that the status requires is unknown"
    best = f" On what is known it would be {_after_at_best(answer.badge.note)} at best." if answer.badge.note else ""
    held = ""
    if answer.usable.is_known:
        held = f" It could pay {_amount(answer.usable)}, at {answer.usable.as_of}."
        if answer.usable.quality == "stale":
            held = f" The last known usable value, {answer.usable.text}, dates from {answer.usable.as_of}."
    return f"Coverage cannot be stated: {why}.{best}{held}"


def _compared(answer: Answer) -> str:
    if not answer.reference_loss.is_known or not answer.coverage.is_known:
        unknown = answer.coverage if not answer.coverage.is_known else answer.reference_loss
        text = f"The fund could pay {_amount(answer.usable)}; its coverage is unknown: {_clause(unknown.reason)}."
    elif not answer.coverage.text.endswith("×"):
        text = f"The fund could pay {_amount(answer.usable)}; against it stands {answer.coverage.text}."
    else:
        source = f" ({answer.reference_source})" if answer.reference_source else ""
        text = (
            f"The fund could pay {_amount(answer.usable)}, {answer.coverage.text} "
            f"the reference loss of {answer.reference_loss.text}{source}."
        )
    if answer.decided_by:
        text += f" What makes it {answer.badge.word}: {answer.decided_by}."
    if answer.gap.is_known:
        move = answer.gap.text.replace("≥", "at least")
        text += f" It could pay for an instant move of all prices by {move} in either direction"
        text += ", since each market's payments are capped." if answer.is_capped else "."
    if answer.worst.is_known and answer.worst_days:
        text += f" Its worst 24 hours of shortfalls so far cost {answer.worst.text}, on {answer.worst_days}."
    return text


def _amount(figure: Figure) -> str:
    if not figure.is_known:
        return f"an unknown amount ({_clause(figure.reason)})"
    return figure.text


def _clause(reason: str) -> str:
    return reason.strip().rstrip(".") or NOT_COMPUTED


def _after_at_best(note: str) -> str:
    return note.removeprefix("at best ").strip()
