"""The routes: one a page and one a JSON twin, all of them reads; paths are as wide as slugs and no wider."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from web.press import HTML, Press, Sheet

Slug = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]*$", max_length=100)]
Metric = Annotated[str, Path(pattern="^[a-z0-9_]+$", max_length=100)]

FRESH = "public, max-age=60, stale-while-revalidate=600"
FOREVER = "public, max-age=31536000, immutable"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response])


def answer(press: Press, request: Request) -> Response:
    """The page behind the request's path, or 304 where the reader has it already; raises 404 for none."""
    sheet = press.sheet(request.url.path)
    if sheet is None:
        raise HTTPException(404)
    headers = {"ETag": sheet.etag, "Cache-Control": FOREVER if sheet.is_static else FRESH}
    if is_known(request, sheet):
        return Response(status_code=304, headers=headers)
    if sheet.media_type != HTML and not sheet.is_static:
        headers["Access-Control-Allow-Origin"] = "*"
    return Response(sheet.body, media_type=sheet.media_type, headers=headers)


def is_known(request: Request, sheet: Sheet) -> bool:
    """True when the reader named this very page in If-None-Match (weak comparison)."""
    named = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return sheet.etag.removeprefix("W/") in named or "*" in named


def create_router(press: Press) -> APIRouter:
    """All pages of one press."""
    router = APIRouter()
    add_fixed(router, press)
    add_funds(router, press)

    @route(router, "/healthz", include_in_schema=False)
    def healthz() -> Response:
        """Whether the ledger answers."""
        press.check()
        return Response("ok\n", media_type="text/plain", headers={"Cache-Control": "no-store"})

    return router


def route(router: APIRouter, *paths: str, include_in_schema: bool = True) -> Callable[[Endpoint], Endpoint]:
    """Decorator: answers GET and HEAD at these paths."""

    def add(endpoint: Endpoint) -> Endpoint:
        for path in paths:
            router.add_api_route(path, endpoint, methods=["GET"], include_in_schema=include_in_schema)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        return endpoint

    return add


def add_fixed(router: APIRouter, press: Press) -> None:
    """Pages without parameters."""

    @route(router, "/funds.json", "/events.json", "/status.json")
    def fixed_twin(request: Request) -> Response:
        """A JSON twin of a page without parameters."""
        return answer(press, request)

    @route(router, "/", "/events", "/events.atom", "/status", include_in_schema=False)
    @route(router, "/methodology", "/methodology/changelog", "/glossary", include_in_schema=False)
    def fixed_page(request: Request) -> Response:
        """A page without parameters."""
        return answer(press, request)

    @route(router, "/static/{name}", include_in_schema=False)
    def static(request: Request) -> Response:
        """The style sheet and the icon."""
        return answer(press, request)


def add_funds(router: APIRouter, press: Press) -> None:
    """Pages of one fund; a twin stands before its page, whose pattern would match it too."""

    @route(router, "/funds/{slug}.json")
    def fund_twin(request: Request, slug: Slug) -> Response:
        """One fund with everything its page shows."""
        return answer(press, request)

    @route(router, "/funds/{slug}", include_in_schema=False)
    def fund(request: Request, slug: Slug) -> Response:
        """One fund."""
        return answer(press, request)

    @route(router, "/funds/{slug}/facts/{metric}.json")
    def number_twin(request: Request, slug: Slug, metric: Metric) -> Response:
        """Where one number comes from."""
        return answer(press, request)

    @route(router, "/funds/{slug}/facts/{metric}", include_in_schema=False)
    def number(request: Request, slug: Slug, metric: Metric) -> Response:
        """Where one number comes from."""
        return answer(press, request)
