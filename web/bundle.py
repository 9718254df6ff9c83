"""The library that draws charts in a browser, ours to serve: made once, and only when a reader asks to look closer."""

from functools import cache
from importlib.metadata import version


@cache
def bundle_path() -> str:
    """Where it is served. Making it takes seconds, so it is named by the release it comes from, not by its digest."""
    return f"/static/vega.{version('vl-convert-python')}.js"


@cache
def bundle_body() -> bytes:
    """Vega, Vega-Lite and Vega-Embed with the interpreter that a strict content policy needs."""
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first chart only.

    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return made.encode()
