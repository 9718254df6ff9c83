"""create_site(): routes, security headers, and error pages that say what happened and what to do."""

import json
import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from ledger.clock import Clock
from ledger.errors import LedgerError
from web.contexts import ErrorPage
from web.edition import SiteConfig
from web.frames import static_path
from web.pages import create_router
from web.press import HTML, Press
from web.templating import render

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000"
TITLES = {404: "No such page", 405: "Only reading is possible here", 503: "The ledger does not answer"}
MESSAGES = {
    404: "There is no page at this address. Addresses of funds never change once they are published; "
    "a number exists only where it was computed.",
    405: "Backstop's pages are read with GET.",
    503: "Backstop cannot reach its database right now, so it shows nothing rather than something old. Try again soon.",
}


def create_site(engine: Engine, clock: Clock, config: SiteConfig | None = None) -> FastAPI:
    """The site over a ledger; it only reads. `clock` says what now is for live chains."""
    chosen = config or SiteConfig()
    site = FastAPI(title="Backstop", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    site.include_router(create_router(Press(engine, clock, chosen)))
    site.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)

    @site.middleware("http")
    async def guard(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await proceed(request)
        response.headers.update(HEADERS)
        if chosen.site_url.startswith("https://"):
            response.headers["Strict-Transport-Security"] = HSTS
        return response

    @site.exception_handler(HTTPException)
    async def refuse(request: Request, error: Exception) -> Response:
        return error_response(request, getattr(error, "status_code", 500))

    @site.exception_handler(RequestValidationError)
    async def refuse_path(request: Request, error: Exception) -> Response:
        return error_response(request, 404)

    @site.exception_handler(LedgerError)
    async def apologise(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        return error_response(request, 503)

    return site


def error_response(request: Request, code: int) -> Response:
    """An error as a page, or as problem+json (RFC 9457) where a twin was asked for."""
    title = TITLES.get(code, "Something went wrong")
    message = MESSAGES.get(code, "The request could not be answered.")
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "30"} if code == 503 else {})
    if request.url.path.endswith(".json"):
        problem = {"type": "about:blank", "title": title, "status": code, "detail": message}
        return Response(json.dumps(problem), code, headers, media_type="application/problem+json")
    page = ErrorPage(style=static_path("site.css"), icon=static_path("icon.svg"), title=title, message=message)
    return Response(render("error.html", page=page), code, headers, media_type=HTML)
