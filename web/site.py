"""create_site(): routes, security headers, and error pages that say what happened and what to do."""

import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.clock import Clock
from ledger.errors import LedgerError
from web.contexts import ErrorPage
from web.desk import Desk
from web.edition import SiteConfig
from web.frames import static_path
from web.inbox import create_inbox_router
from web.instead import copied, moved
from web.pages import LEAST_PACKED, create_health_router, create_page_router
from web.press import GZIP_LEVEL, HTML, Press
from web.shelf import Shelf
from web.subscribe import create_subscription_router
from web.templating import render
from web.v1.description import create_description_router
from web.v1.problems import WrongParameter, find_wrong, problem_response
from web.v1.routes import Counter, create_api_router

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000"
API = "/api/"
FIRST_PAGE_SECONDS = 1.0
"""How long a site that ends waits for a page that it began by itself."""
TITLES = {
    400: "The form cannot be read",
    403: "This form stands on another site",
    404: "No such page",
    405: "Only reading is possible here",
    413: "The form is too large",
    429: "Too many forms",
    503: "The ledger does not answer",
}
MESSAGES = {
    400: "What arrived is not what a form of these pages sends. Go back, load the page anew and try again.",
    403: "Backstop takes forms from its own pages only. Open the page itself and fill in the form there.",
    404: "There is no page at this address. Addresses of funds never change once they are published; "
    "a number exists only where it was computed.",
    405: "Backstop's pages are read with GET.",
    413: "What arrived is larger than any form of these pages. Go back and shorten what you typed.",
    429: "Many forms came from your network in a short time. Nothing was changed. Wait a while, then send yours again.",
    503: "Backstop cannot reach its database right now, so it shows nothing rather than something old. Try again soon.",
}


class Guard:
    """Puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, *, is_encrypted: bool) -> None:
        self._app = app
        self._headers = HEADERS | ({"Strict-Transport-Security": HSTS} if is_encrypted else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on; only the start of an answer is changed."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


def create_site(engine: Engine, clock: Clock, config: SiteConfig | None = None) -> FastAPI:
    """The site over a ledger; it only reads, subscriptions aside. `clock` says what now is for live chains."""
    chosen = config or SiteConfig()
    press = Press(engine, clock, chosen)
    shelf = None if chosen.published is None else Shelf(chosen.published)
    site = FastAPI(title="Backstop", docs_url=None, redoc_url=None, openapi_url=None, lifespan=partial(opening, press))
    site.include_router(create_health_router(press))
    api = create_api_router(Counter(engine, clock, chosen))
    site.include_router(api)
    site.include_router(create_description_router(api, chosen.site_url))
    desk = Desk(engine, clock, chosen, press)
    site.include_router(create_subscription_router(desk))
    if chosen.inbox is not None:
        site.include_router(create_inbox_router(desk, chosen.inbox))
    site.include_router(create_page_router(press))
    # Answers that are made for one reader; kept pages are packed once (Sheet.packed).
    site.add_middleware(GZipMiddleware, minimum_size=LEAST_PACKED, compresslevel=GZIP_LEVEL)
    site.add_middleware(Guard, is_encrypted=chosen.site_url.startswith("https://"))

    @site.exception_handler(HTTPException)
    async def refuse(request: Request, error: Exception) -> Response:
        code = getattr(error, "status_code", 500)
        found = await run_in_threadpool(moved, press, request) if code == 404 else None
        return found or error_response(
            request, code, getattr(error, "headers", None), detail=getattr(error, "detail", "")
        )

    @site.exception_handler(RequestValidationError)
    async def refuse_parameter(request: Request, error: RequestValidationError) -> Response:
        wrong = find_wrong(error.errors()) if request.scope["path"].startswith(API) else None
        if wrong:
            return error_response(request, 400, wrong=wrong)
        return await run_in_threadpool(moved, press, request) or error_response(request, 404)

    @site.exception_handler(LedgerError)
    async def apologise(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        found = None if shelf is None else await run_in_threadpool(copied, shelf, request)
        return found or error_response(request, 503)

    return site


@asynccontextmanager
async def opening(press: Press, _site: FastAPI) -> AsyncIterator[None]:
    """While a site is served. It makes its home page at once, so that hardly a reader waits for all numbers to be
    read; what that reads is kept for every other page."""
    first = threading.Thread(target=_make_home, args=(press,), name="first-page", daemon=True)
    first.start()
    yield
    await run_in_threadpool(first.join, FIRST_PAGE_SECONDS)


def _make_home(press: Press) -> None:
    with suppress(LedgerError):  # Whoever asks is told.
        press.sheet("/")


def error_response(
    request: Request,
    code: int,
    told: Mapping[str, str] | None = None,
    *,
    detail: str = "",
    wrong: Sequence[WrongParameter] = (),
) -> Response:
    """An error as a page, or as problem+json (RFC 9457) where the API or a twin was asked."""
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "30"} if code == 503 else {}) | dict(told or {})
    path = request.scope["path"]
    if path.startswith(API) or path.endswith(".json"):
        return problem_response(code, detail, headers, wrong)
    title = TITLES.get(code, "Something went wrong")
    message = MESSAGES.get(code, "The request could not be answered.")
    page = ErrorPage(style=static_path("site.css"), icon=static_path("icon.svg"), title=title, message=message)
    return Response(render("error.html", page=page), code, headers, media_type=HTML)
