"""The routes of pages and of how the site itself stands, all of them reads; the press knows which pages there are."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from ledger.errors import LedgerError, LedgerOutdatedError
from web.press import FOREVER, HTML, PNG, Press, Sheet

log = logging.getLogger(__name__)

FRESH = "public, max-age=60, stale-while-revalidate=600"
OVERDUE = timedelta(minutes=10)
LEAST_PACKED = 1024
"""Bytes: what is smaller travels as it is."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response])


def answer(press: Press, request: Request) -> Response:
    """The page behind the request's path, or 304 where the reader has it already; raises 404 for none."""
    sheet = press.sheet(request.scope["path"], tuple(request.query_params.multi_items()))
    if sheet is None:
        raise HTTPException(404)
    if sheet.code != 200:
        return Response(sheet.body, sheet.code, {"Cache-Control": "no-store"}, media_type=sheet.media_type)
    headers = {"ETag": sheet.etag, "Cache-Control": FOREVER if sheet.is_static else FRESH, **sheet.headers}
    if is_known(request, sheet):
        return Response(status_code=304, headers=headers)
    if sheet.media_type != HTML and not sheet.is_static:
        headers["Access-Control-Allow-Origin"] = "*"
    if len(sheet.body) < LEAST_PACKED or sheet.media_type == PNG:
        return Response(sheet.body, media_type=sheet.media_type, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(sheet.body, media_type=sheet.media_type, headers=headers)  # The middleware says Vary.
    headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(sheet.packed, media_type=sheet.media_type, headers=headers)


def is_known(request: Request, sheet: Sheet) -> bool:
    """True when the reader named this very page in If-None-Match (weak comparison)."""
    named = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return sheet.etag.removeprefix("W/") in named or "*" in named


def create_health_router(press: Press) -> APIRouter:
    """How the site itself stands."""
    router = APIRouter()

    @route(router, "/healthz", include_in_schema=False)
    def healthz() -> Response:
        """Whether the ledger answers."""
        press.check()
        return Response("ok\n", media_type="text/plain", headers={"Cache-Control": "no-store"})

    @route(router, "/readyz", include_in_schema=False)
    def readyz() -> Response:
        """Whether the site answers and messages leave: 503 where not, or where one has been due for OVERDUE."""
        try:
            since = press.waiting_since()
        except LedgerError as error:
            log.error("%s", error)
            return Response(f"{_why_away(error)}\n", 503, {"Cache-Control": "no-store"}, media_type="text/plain")
        if since is not None and press.now - since > OVERDUE:
            text = f"a message has been due since {since:%Y-%m-%dT%H:%M:%SZ}: is a sender running?\n"
            return Response(text, 503, {"Cache-Control": "no-store"}, media_type="text/plain")
        return Response("ok\n", media_type="text/plain", headers={"Cache-Control": "no-store"})

    return router


def _why_away(error: LedgerError) -> str:
    """For everybody to read: the log has the address of the database and what it said."""
    if isinstance(error, LedgerOutdatedError):
        return "the tables of the database are missing or of another version, so nothing is read: see the log"
    return "the database does not answer"


def create_page_router(press: Press) -> APIRouter:
    """Every page, feed and file that the press knows, by its path; it stands last, for it takes what others left."""
    router = APIRouter()

    def page(request: Request) -> Response:
        return answer(press, request)

    # A plain route: what FastAPI does about parameters costs as much as finding the page, and there are none.
    router.add_route("/{path:path}", page, methods=["GET"], include_in_schema=False)
    return router


def route(router: APIRouter, *paths: str, include_in_schema: bool = True) -> Callable[[Endpoint], Endpoint]:
    """Decorator: answers GET and HEAD at these paths."""

    def add(endpoint: Endpoint) -> Endpoint:
        for path in paths:
            router.add_api_route(path, endpoint, methods=["GET"], include_in_schema=include_in_schema)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        return endpoint

    return add
