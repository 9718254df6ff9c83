"""What is answered where there is no page: the address it is under, or a published copy while the database is away."""

import re

from fastapi import Request, Response

from ledger.errors import LedgerError
from web.pages import is_known
from web.press import HTML, JSON, Press, Sheet
from web.shelf import SHORT, Shelf

COPY_HEADER = "Backstop-Copy"
"""Says of an answer that it is a published copy, and of when."""


def right_path(path: str) -> str:
    """The one way an address is written here: small letters, single slashes, none at the end."""
    return re.sub("/{2,}", "/", path).rstrip("/").lower() or "/"


def moved(press: Press, request: Request) -> Response | None:
    """The way to the page that an address must mean; None where none is under the right one either."""
    path = request.scope["path"]
    right = right_path(path)
    if right == path or request.method not in {"GET", "HEAD"}:
        return None
    try:
        sheet = press.sheet(right)
    except LedgerError:
        return None
    return None if sheet is None or sheet.code != 200 else _lead_to(right, request)


def copied(shelf: Shelf, request: Request) -> Response | None:
    """A published page instead of one that cannot be made; None where a copy must not or cannot stand in."""
    right = right_path(request.scope["path"])
    copy = shelf.find(right, is_asking=bool(request.scope["query_string"]))
    if copy is None or request.method not in {"GET", "HEAD"}:
        return None
    if right != request.scope["path"]:
        return _lead_to(right, request)
    sheet = Sheet(copy.body, HTML if copy.is_page else JSON)
    headers = {"ETag": sheet.etag, "Cache-Control": SHORT, COPY_HEADER: copy.told}
    if is_known(request, sheet):
        return Response(status_code=304, headers=headers)
    return Response(sheet.body, headers=headers, media_type=sheet.media_type)


def _lead_to(path: str, request: Request) -> Response:
    query = request.scope["query_string"].decode("latin-1")
    target = f"{path}?{query}" if query else path
    return Response(status_code=308, headers={"Location": target, "Cache-Control": "public, max-age=3600"})
