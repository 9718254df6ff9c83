"""The API's own description as OpenAPI 3.1: its addresses, the JSON twins of the pages, and their problems."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from sqlalchemy import Engine

from ledger.clock import Clock
from ledger.words import DISCLAIMER
from web.api import to_bytes
from web.edition import SiteConfig
from web.pages import FRESH, is_known
from web.press import JSON, Sheet
from web.v1.problems import Problem, announce
from web.v1.routes import Counter, create_api_router
from web.v1.twins import TWINS, Described

PATH = "/openapi.json"
EXAMPLES = Path(__file__).parent / "examples.json"
REFERENCE = "#/components/schemas/{model}"
TITLE, VERSION = "Backstop", "1.0.0"
SUMMARY = "Insurance funds of trading and lending platforms, with the losses they stand against."
ABOUT = (
    f"{DISCLAIMER}\n\nEvery number has its block, time, unit, quality and method version. null is unknown and has a "
    "reason; 0 is a value that was read. Amounts are text, exact to the last digit. Lists are paged by `next`. "
    "Everything is read with GET, without a key, by scripts of any site."
)
TAGS = (
    ("Funds", "Funds, their segments, and how each stands."),
    ("Numbers", "Published metrics and the readings behind them."),
    ("Events", "What logs and polls said, and what was announced."),
    ("Sources", "How our own sources stand."),
    ("Method", "How the numbers are made."),
    ("Twins", "The JSON twin of each page, for the same address with .json; as files where the site is published so."),
)
PARAMETERS: dict[str, dict[str, Any]] = {
    "slug": {"description": "Slug of a fund.", "pattern": "^[a-z0-9][a-z0-9-]*$", "maxLength": 100},
    "segment": {"description": "Slug of a segment of that fund.", "pattern": "^[a-z0-9][a-z0-9-]*$", "maxLength": 100},
    "metric": {"description": "Name of a metric.", "pattern": "^[a-z0-9_]+$", "maxLength": 100},
    "block": {
        "description": "Height of the block the number holds at.",
        "pattern": "^(0|[1-9][0-9]*)$",
        "maxLength": 15,
    },
    "day": {"description": "UTC day, YYYY-MM-DD.", "format": "date"},
    "event": {"description": "Id of an event, as lists of events link it.", "minLength": 3, "maxLength": 200},
}
OF_A_PAGE = {"type": "object", "description": "The fields of its page, which change with the page."}


def load_examples() -> dict[str, Any]:
    """A recorded answer of each address."""
    found: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return found


def describe(api: APIRouter, site_url: str) -> dict[str, Any]:
    """The whole description; servers are named only where the site knows its own address."""
    document = get_openapi(
        title=TITLE,
        version=VERSION,
        openapi_version="3.1.0",
        summary=SUMMARY,
        description=ABOUT,
        routes=api.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
        servers=[{"url": site_url}] if site_url else None,
        license_info={"name": "MIT", "identifier": "MIT"},
        external_docs={"description": "How numbers are made", "url": f"{site_url}/methodology"} if site_url else None,
    )
    for path, example in load_examples().items():
        responses = document["paths"][path]["get"]["responses"]
        responses["200"]["content"]["application/json"]["example"] = example
        responses.pop("422", None)  # FastAPI's own answer to a wrong parameter: ours is 400.
    schemas = document["components"]["schemas"]
    for foreign in ("HTTPValidationError", "ValidationError"):
        schemas.pop(foreign, None)
    models: list[type[BaseModel]] = [Problem, *(twin.model for twin in TWINS if twin.model is not None)]
    _, further = models_json_schema([(model, "serialization") for model in models], ref_template=REFERENCE)
    document["components"]["schemas"] = schemas | further["$defs"]
    document["paths"] |= {twin.path: {"get": _twin(twin)} for twin in TWINS}
    return document


def published_description(engine: Engine, clock: Clock, config: SiteConfig) -> bytes:
    """The description as a file: the bytes that a server of this site answers with."""
    return to_bytes(describe(create_api_router(Counter(engine, clock, config)), config.site_url))


def _twin(twin: Described) -> dict[str, Any]:
    """How one twin is described."""
    schema = OF_A_PAGE if twin.model is None else {"$ref": REFERENCE.format(model=twin.model.__name__)}
    names = re.findall(r"{(\w+)}", twin.path)
    content = {"application/json": {"schema": schema}}
    problems = announce(*((404, 405, 503) if names else (405, 503)))
    return {
        "tags": ["Twins"],
        "summary": f"Twin of {twin.path.removesuffix('.json')}",
        "description": twin.sentence,
        "operationId": "twin" + re.sub(r"\W+", "_", twin.path.removesuffix(".json")),
        "parameters": [_parameter(name) for name in names],
        "responses": {
            "200": {"description": "The twin.", "content": content},
            "304": {"description": "The reader has this twin: it named its ETag in If-None-Match."},
        }
        | {str(code): said for code, said in problems.items()},
    }


def _parameter(name: str) -> dict[str, Any]:
    said = dict(PARAMETERS[name])
    text = said.pop("description")
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"} | said}


def create_description_router(api: APIRouter, site_url: str) -> APIRouter:
    """Where the description stands."""
    router = APIRouter()
    sheet: Callable[[], Sheet] = cache(lambda: Sheet(to_bytes(describe(api, site_url)), JSON))

    @router.api_route(PATH, methods=["GET", "HEAD"], include_in_schema=False)
    def openapi(request: Request) -> Response:
        """The description of the API."""
        headers = {"ETag": sheet().etag, "Cache-Control": FRESH, "Access-Control-Allow-Origin": "*"}
        if is_known(request, sheet()):
            return Response(status_code=304, headers=headers)
        return Response(sheet().body, media_type=JSON, headers=headers)

    return router
