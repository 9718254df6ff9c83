"""The addresses of /api/v1. Who asks too often waits, a known answer is not sent again, any script may read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from limits import RateLimitItem, parse
from pydantic import BaseModel
from sqlalchemy import Engine

from ledger.clock import Clock
from ledger.pages import asking
from web.api import Json, to_bytes
from web.edition import Edition, SiteConfig
from web.pages import FRESH, is_known
from web.posting import Turnstile
from web.press import JSON, Sheet
from web.v1 import answers, lists
from web.v1.paging import EventQuery, LossQuery, NoQuery, PageQuery, ReadingQuery
from web.v1.problems import announce

OFTEN = (parse("600 per minute"),)
HEADERS = {
    "ETag": ("Changes with every byte of the answer.", True),
    "Link": ('Address of the rows that follow, with rel="next"; absent on the last page.', False),
    "Cache-Control": ("How long an answer may be shown without asking again.", True),
}
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response])
Nothing = Annotated[NoQuery, Query()]
Slug = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]*$", max_length=100, description="Slug of a fund.")]
Name = Annotated[
    str, Path(pattern="^[a-z0-9_]+$", max_length=100, description="Name of a metric, as in /api/v1/methodology.")
]


@dataclass(frozen=True)
class Counter:
    """Where questions are taken and answered."""

    engine: Engine
    clock: Clock
    config: SiteConfig
    often: tuple[RateLimitItem, ...] = OFTEN
    turnstile: Turnstile = field(default_factory=Turnstile)

    def tell(
        self, request: Request, make: Callable[[Edition], Json], kind: type[Edition] = lists.BriefEdition
    ) -> Response:
        """Answers out of one consistent look at the ledger."""
        self.turnstile.admit(request, self.often)
        with asking(self.engine) as session:
            content = make(kind(session, self._minute, self.config))
        return reply(request, content)

    def tell_of(self, request: Request, slug: str, make: Callable[[lists.FundEdition], Json]) -> Response:
        """The same about one fund."""
        self.turnstile.admit(request, self.often)
        with asking(self.engine) as session:
            content = make(lists.FundEdition(session, self._minute, self.config, slug))
        return reply(request, content)

    def _minute(self) -> datetime:
        """The time, up to the next full minute: answers stay the same for one, and nothing looks younger than it is."""
        now = self.clock()
        return (
            now if not (now.second or now.microsecond) else now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        )


def reply(request: Request, content: Json) -> Response:
    """An answer, or 304 where the reader has that very one."""
    sheet = Sheet(to_bytes(content), JSON)
    headers = {
        "ETag": sheet.etag,
        "Cache-Control": FRESH,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "ETag, Link",
    }
    if is_known(request, sheet):
        return Response(status_code=304, headers=headers)
    if content.get("next"):
        headers["Link"] = f'<{content["next"]}>; rel="next"'
    return Response(sheet.body, media_type=sheet.media_type, headers=headers)


def create_api_router(counter: Counter) -> APIRouter:
    """Every address of the API."""
    router = APIRouter(prefix=lists.ROOT)

    def get(path: str, model: type[BaseModel], tag: str) -> Callable[[Endpoint], Endpoint]:
        """Decorator: answers GET and HEAD there with that model."""

        def add(endpoint: Endpoint) -> Endpoint:
            codes = (400, 404, 405, 429, 503) if "{" in path else (400, 405, 429, 503)
            responses = {**announce_answer(), **announce(*codes)}
            router.add_api_route(path, endpoint, methods=["GET"], response_model=model, responses=responses, tags=[tag])
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
            return endpoint

        return add

    add_funds(get, counter)
    add_rows(get, counter)
    add_site(get, counter)
    return router


def announce_answer() -> dict[int | str, dict[str, Any]]:
    """How a route's description names its answers that are none of its problems."""
    headers = {
        name: {"description": text, "required": is_always, "schema": {"type": "string"}}
        for name, (text, is_always) in HEADERS.items()
    }
    return {
        200: {"description": "The answer.", "headers": headers},
        304: {"description": "The reader has this answer: it named its ETag in If-None-Match."},
    }


Get = Callable[[str, type[BaseModel], str], Callable[[Endpoint], Endpoint]]


def add_funds(get: Get[Any], counter: Counter) -> None:
    """Funds and how they stand."""

    @get("/funds", answers.Funds, "Funds")
    def list_funds(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """All funds, by slug, with how each segment stands."""
        return counter.tell(request, lambda edition: lists.all_funds(edition, query))

    @get("/funds/{slug}", answers.Fund, "Funds")
    def get_fund(request: Request, slug: Slug, query: Nothing) -> Response:
        """One fund: what it covers, its contracts, its waterfall, its caveats, and how each segment stands."""
        return counter.tell_of(request, slug, lists.one_fund)

    @get("/funds/{slug}/segments", answers.Segments, "Funds")
    def list_segments(request: Request, slug: Slug, query: Nothing) -> Response:
        """The segments of one fund, and what was not scanned of each."""
        return counter.tell_of(request, slug, lists.fund_segments)


def add_rows(get: Get[Any], counter: Counter) -> None:
    """Numbers, readings and facts."""

    @get("/funds/{slug}/metrics", answers.Metrics, "Numbers")
    def list_metrics(request: Request, slug: Slug, query: Nothing) -> Response:
        """The latest row of each metric of each segment of one fund."""
        return counter.tell_of(request, slug, lists.fund_metrics)

    @get("/funds/{slug}/metrics/{name}", answers.MetricDays, "Numbers")
    def list_metric_days(request: Request, slug: Slug, name: Name, query: Annotated[PageQuery, Query()]) -> Response:
        """One metric of one fund by day, newest first: of each day and segment the row that stands."""
        return counter.tell_of(request, slug, lambda edition: lists.metric_days(edition, name, query))

    @get("/funds/{slug}/readings", answers.Readings, "Numbers")
    def list_fund_readings(request: Request, slug: Slug, query: Annotated[ReadingQuery, Query()]) -> Response:
        """What contracts or a venue answered, by subject in falling order, and of each subject the newest first."""
        return counter.tell_of(request, slug, lambda edition: lists.fund_readings(edition, query))

    @get("/funds/{slug}/events", answers.Events, "Events")
    def list_fund_events(request: Request, slug: Slug, query: Annotated[EventQuery, Query()]) -> Response:
        """Facts of one fund, the highest block first."""
        return counter.tell_of(request, slug, lambda edition: lists.fund_events(edition, query))

    @get("/events", answers.Events, "Events")
    def list_all_events(request: Request, query: Annotated[LossQuery, Query()]) -> Response:
        """Shortfalls, payouts, socialised losses and ADL of all funds, newest first."""
        return counter.tell(request, lambda edition: lists.all_events(edition, query))

    @get("/alerts", answers.Alerts, "Events")
    def list_all_alerts(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """What was announced, newest first, with what was taken back."""
        return counter.tell(request, lambda edition: lists.all_alerts(edition, query))


def add_site(get: Get[Any], counter: Counter) -> None:
    """The sources, the method, and how current the whole is."""

    @get("/chains", answers.Chains, "Sources")
    def list_chains(request: Request, query: Nothing) -> Response:
        """Chains, recordings and venues: how far each was followed and how late we are."""
        return counter.tell(request, lists.all_chains)

    @get("/reorgs", answers.Reorgs, "Sources")
    def list_all_reorgs(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Reorganisations that replaced blocks we had stored, newest first."""
        return counter.tell(request, lambda edition: lists.all_reorgs(edition, query))

    @get("/methodology", answers.Methodology, "Method")
    def get_methodology(request: Request, query: Nothing) -> Response:
        """The versions of the method, and of each metric its formula, unit, source and limits."""
        return counter.tell(request, lists.method)

    @get("/status", answers.SiteStatus, "Sources")
    def get_status(request: Request, query: Nothing) -> Response:
        """How current the whole is, and what is missing of each segment."""
        return counter.tell(request, lists.site_status, Edition)  # Its digest is of all numbers.
