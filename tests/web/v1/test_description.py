"""The description is whole: every address, parameter, field and problem has its words, and real examples fit."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine

from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.press import MAKERS
from web.site import create_site
from web.v1.description import load_examples
from web.v1.routes import Counter, create_api_router
from web.v1.twins import TWINS

ALWAYS = {"200", "304", "405", "503"}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def document(reader: Reader) -> Json:
    """The description as it is served."""
    answer = reader.get("/openapi.json")
    assert answer.headers["content-type"].startswith("application/json")
    found: Json = answer.json()
    return found


def api_routes() -> list[APIRoute]:
    """Every route of the API, HEAD aside."""
    api = create_api_router(Counter(create_engine("sqlite://"), lambda: NOW, SiteConfig()))
    return [route for route in api.routes if isinstance(route, APIRoute) and "GET" in route.methods]


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert method == "get", path
            yield path, operation


def test_it_is_openapi_3_1_with_a_licence_and_the_site_as_its_server(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert "Not a promise" in document["info"]["description"]
    assert document["servers"] == [{"url": "https://backstop.example"}]


def test_no_server_is_named_where_the_site_does_not_know_its_address(engine: Engine) -> None:
    unnamed = Reader(create_site(engine, lambda: NOW)).get("/openapi.json").json()
    assert "servers" not in unnamed
    assert "externalDocs" not in unnamed


def test_a_known_description_is_not_sent_again(reader: Reader) -> None:
    first = reader.get("/openapi.json")
    assert first.headers["access-control-allow-origin"] == "*"
    assert reader.get("/openapi.json", {"If-None-Match": first.headers["etag"]}).status_code == 304


def test_every_route_of_the_api_is_described_and_pages_are_not(document: Json, reader: Reader) -> None:
    wanted = {route.path for route in api_routes()} | {twin.path for twin in TWINS}
    assert set(document["paths"]) == wanted
    assert all(path.startswith("/api/v1/") or path.endswith(".json") for path in wanted)


def test_the_twins_that_are_described_are_those_that_the_press_makes() -> None:
    sample = {"slug": "a", "segment": "a", "metric": "a", "block": "7", "day": "2021-05-24", "event": "an-event"}
    paths = [twin.path.format(**sample) for twin in TWINS]
    patterns = [pattern for pattern, _ in MAKERS if pattern.endswith(r"\.json")]
    assert not [path for path in paths if not any(re.fullmatch(pattern, path) for pattern in patterns)]
    missing = [pattern for pattern in patterns if not any(re.fullmatch(pattern, path) for path in paths)]
    assert not missing, "add them to TWINS in web/v1/twins.py"


def test_every_operation_has_its_words_and_its_problems(document: Json) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for path, operation in operations(document):
        assert operation["description"].endswith("."), path
        assert set(operation["tags"]) <= tags, path
        wanted = ALWAYS | ({"404"} if "{" in path else set())
        wanted |= {"400", "429"} if path.startswith("/api/") else set()
        assert set(operation["responses"]) == wanted, path
        for code, said in operation["responses"].items():
            assert said["description"], (path, code)
            if code >= "400":
                assert list(said["content"]) == ["application/problem+json"], (path, code)


def test_every_parameter_has_its_words_and_its_bounds(document: Json) -> None:
    for path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            said = (path, parameter["name"])
            assert len(parameter.get("description", "")) > 8, said
            schema = parameter["schema"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert {"enum", "maxLength", "maximum", "format"} & set(schema), said


def test_every_field_of_every_model_has_its_sentence(document: Json) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, said in schema.get("properties", {}).items()
        if not said.get("description", "").endswith(".")
    ]
    assert not silent


def test_every_model_has_its_words(document: Json) -> None:
    silent = [name for name, said in document["components"]["schemas"].items() if not said.get("description")]
    assert not silent


@pytest.mark.parametrize("route", api_routes(), ids=lambda route: route.path)
def test_the_recorded_example_has_the_fields_that_are_described_and_no_others(route: APIRoute, document: Json) -> None:
    example = load_examples()[route.path]
    model = route.response_model
    assert issubclass(model, BaseModel)
    model.model_validate(example, extra="forbid")
    content = document["paths"][route.path]["get"]["responses"]["200"]["content"]["application/json"]
    assert content["example"] == example


def test_no_example_is_of_an_address_that_is_gone() -> None:
    assert set(load_examples()) == {route.path for route in api_routes()}


def test_the_documentation_names_every_address() -> None:
    page = (SiteConfig().docs / "api.md").read_text()
    assert not [route.path for route in api_routes() if f"`{route.path.removeprefix('/api/v1')}`" not in page]


def test_the_site_serves_what_is_described(engine: Engine) -> None:
    site: FastAPI = create_site(engine, lambda: NOW)
    assert site.openapi_url is None, "the description is served by a route of our own, with its ETag"
