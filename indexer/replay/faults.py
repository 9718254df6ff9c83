"""Errors a replay node answers with: JSON-RPC code, message, data."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

_ERROR_STRING = bytes.fromhex("08c379a0")


class RpcError(Exception):
    """Becomes the `error` of a JSON-RPC answer."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        return error if self.data is None else error | {"data": self.data}


def not_recorded(what: str) -> RpcError:
    """The one answer to a question the recording holds no answer to."""
    return RpcError(-32000, f"not recorded: {what}")


def invalid(what: str) -> RpcError:
    return RpcError(-32602, f"invalid params: {what}")


def reverted(data: str) -> RpcError:
    """A revert as nodes report it: code 3, the contract's reason where it gave one, the raw data."""
    reason = _find_reason(bytes.fromhex(data[2:]))
    return RpcError(3, f"execution reverted: {reason}" if reason else "execution reverted", data)


def _find_reason(data: bytes) -> str | None:
    if data[:4] != _ERROR_STRING:
        return None
    try:
        (reason,) = decode(["string"], data[4:])
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return None
    return str(reason)
