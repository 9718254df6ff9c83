"""Signatures of webhooks as Standard Webhooks defines them, and the secrets that make them."""

import hmac
import secrets as randomness
from base64 import b64decode, b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret of 256 random bits, as the receiver's library takes it."""
    return PREFIX + b64encode(randomness.token_bytes(SECRET_BYTES)).decode()


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of webhook-signature: one HMAC-SHA256 for each secret; raises ValueError without a usable one."""
    if not secrets:
        raise ValueError("there is no secret to sign with")
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join("v1," + b64encode(hmac.digest(_key(secret), signed, "sha256")).decode() for secret in secrets)


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret does not begin with {PREFIX}")
    return b64decode(secret.removeprefix(PREFIX), validate=True)
