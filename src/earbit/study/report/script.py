"""The scripts of the page: Vega, Vega-Lite and Vega-Embed in one file, from vl-convert."""

from __future__ import annotations

import contextlib
from importlib.metadata import version

from earbit.audio.synthetic.build import cache_folder
from earbit.errors import DataError
from earbit.extras import imported
from earbit.files import make_folder, write_text

_EXPORTS = "window.vegaEmbed = vegaEmbed;"
LICENSE = "Charts: Vega, Vega-Lite and Vega-Embed, (c) University of Washington, BSD 3-Clause."


def chart_library() -> str:
    """JavaScript that defines `vegaEmbed`; raises UnsupportedError without the extra `report`.

    It loads nothing: the page works offline.  vl-convert takes 5 s, so the user's cache keeps it.
    """
    vl_convert = imported("vl_convert", "report", "the report of a study")
    kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle(_EXPORTS)
    # A script element ends at the first of these, even in a string.
    script = bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    with contextlib.suppress(DataError, OSError):  # a cache that cannot be written
        make_folder(kept.parent)
        write_text(kept, script)
    return script
