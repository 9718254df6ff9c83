"""Errors for programs: problem documents (RFC 9457), and how the API's description announces them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

PROBLEM = "application/problem+json"
DETAILS = {
    400: "A parameter of this request is not what is described for it; `errors` says which. Nothing was looked up.",
    404: "There is nothing at this address. Addresses of funds never change once they are published; "
    "a number exists only where it was computed.",
    405: "Everything here is read with GET.",
    429: "Many requests came from your network within a minute. Wait as long as Retry-After says; "
    "an answer stays the same until its ETag changes.",
    503: "Backstop cannot reach its database right now, so it answers nothing rather than something old. Try again "
    "after the seconds that Retry-After says.",
}


class WrongParameter(BaseModel):
    """A parameter that was refused."""

    parameter: str = Field(description="Name of the parameter in the query.")
    reason: str = Field(description="What is wrong with its value, or that there is no such parameter.")


class Problem(BaseModel):
    """What went wrong, by RFC 9457."""

    type: str = Field(description="Always about:blank: the problem is what its status says.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do, in a sentence.")
    errors: list[WrongParameter] = Field([], description="Parameters that were refused; of status 400 alone.")


def problem_response(
    code: int, detail: str = "", headers: Mapping[str, str] | None = None, wrong: Sequence[WrongParameter] = ()
) -> Response:
    """A problem document that scripts of any site may read; without a detail it says what the status means."""
    title = HTTPStatus(code).phrase
    said = detail if detail and detail != title else DETAILS.get(code, "The request could not be answered.")
    problem = Problem(type="about:blank", title=title, status=code, detail=said, errors=list(wrong))
    open_to_all = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
    return Response(problem.model_dump_json(), code, {**open_to_all, **(headers or {})}, media_type=PROBLEM)


def find_wrong(errors: Sequence[Any]) -> list[WrongParameter] | None:
    """Refused parameters out of FastAPI's errors; None where the path itself is none that exists.

    Of each the first error: pydantic adds that a parameter which may be left out is not left out either.
    """
    if any(error["loc"][0] == "path" for error in errors):
        return None
    found = {str(error["loc"][1]): error["msg"] for error in reversed(errors)}
    return [WrongParameter(parameter=name, reason=reason) for name, reason in reversed(found.items())]


def announce(*codes: int) -> dict[int | str, dict[str, Any]]:
    """How a route's description names its problems."""
    return {code: _announced(code) for code in codes}


def _announced(code: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": DETAILS[code],
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if code in (429, 503):
        schema = {"type": "string", "pattern": "^[0-9]+$"}
        said["headers"] = {"Retry-After": {"description": "Seconds to wait.", "required": True, "schema": schema}}
    return said
