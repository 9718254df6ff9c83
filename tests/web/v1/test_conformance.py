"""Somebody else's fuzzer asks the API what its description allows and what it does not: no answer is undescribed."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from sqlalchemy import Engine

from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.site import create_site

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
LARGE = "perp-v2-large-simulated"
THERE = {"slug": LARGE, "segment": LARGE, "name": "coverage", "metric": "coverage", "day": "2021-05-22"}


@pytest.fixture(scope="module")
def described(engine: Engine, site_config: SiteConfig) -> schemathesis.BaseSchema:
    """The API over the invented ledger, as its own description has it."""
    return schemathesis.openapi.from_asgi("/openapi.json", create_site(engine, lambda: NOW, site_config))


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_is_described(
    described: schemathesis.BaseSchema, mode: GenerationMode, is_there: bool
) -> None:
    asked, answered = set(), set()
    for found in described.get_all_operations():
        operation = found.ok()
        there = {name: THERE[name] for name in THERE if is_there and f"{{{name}}}" in operation.path}
        can_be_wrong = operation.query or (operation.path_parameters and not there)
        if mode is GenerationMode.NEGATIVE and not can_be_wrong:
            continue

        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=there or None))
        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: Case) -> None:
            if mode is GenerationMode.POSITIVE and is_there:
                case.query.pop("cursor", None)  # Any text fits its description, but only ours names a place.
            answer = case.call()
            case.validate_response(answer, checks=CHECKS)
            asked.add(case.operation.path)
            if answer.status_code == 200:
                answered.add(case.operation.path)

        ask()
    assert len(asked) >= 7
    if mode is GenerationMode.POSITIVE and is_there:
        assert {path for path in asked if path.startswith("/api/")} <= answered
