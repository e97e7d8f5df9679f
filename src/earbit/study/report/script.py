"""The scripts of the page: Vega, Vega-Lite and Vega-Embed in one file, from vl-convert."""

from __future__ import annotations

import functools

from earbit.extras import imported

_EXPORTS = "window.vegaEmbed = vegaEmbed;"
LICENSE = "Charts: Vega, Vega-Lite and Vega-Embed, (c) University of Washington, BSD 3-Clause."


@functools.cache
def chart_library() -> str:
    """JavaScript that defines `vegaEmbed`; raises UnsupportedError without the extra `report`.

    It loads nothing: the page works offline.
    """
    vl_convert = imported("vl_convert", "report", "the report of a study")
    script: str = vl_convert.javascript_bundle(_EXPORTS)
    # A script element ends at the first of these, even in a string.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
