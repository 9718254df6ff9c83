"""Random words that let their bearer act for one endpoint; the ledger keeps only their digests."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete
from sqlmodel import Session, col

from ledger.kinds import TokenPurpose
from ledger.tables import Token
from ledger.tables.sentences import Json

LIFETIMES = {TokenPurpose.CONFIRM: timedelta(hours=24), TokenPurpose.MANAGE: timedelta(days=90)}


def digest_of(token: str) -> str:
    """What of a token is stored and searched."""
    return sha256(token.encode()).hexdigest()


def issue_token(
    session: Session, endpoint_id: int, purpose: TokenPurpose, *, now: datetime, wishes: Json | None = None
) -> str:
    """A new token of 256 random bits; it is told once, in the message that carries it. Nothing is committed."""
    token = secrets.token_urlsafe(32)
    session.add(
        Token(
            digest=digest_of(token),
            endpoint_id=endpoint_id,
            purpose=purpose,
            wishes=wishes,
            created_at=now,
            expires_at=now + LIFETIMES[purpose],
        )
    )
    return token


def find_token(session: Session, token: str, purpose: TokenPurpose, *, now: datetime) -> Token | None:
    """The token's row while it lives and may do this."""
    found = session.get(Token, digest_of(token))
    return found if found is not None and found.purpose == purpose and found.expires_at > now else None


def delete_expired_tokens(session: Session, *, now: datetime) -> None:
    """Removes tokens that no longer work."""
    session.execute(delete(Token).where(col(Token.expires_at) <= now).execution_options(synchronize_session=False))
