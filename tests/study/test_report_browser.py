"""The page in a browser: charts are drawn, without errors and without requests.

Needs Chromium (Debian: `apt install chromium`).
"""

import functools
import json
import re
import shutil
import subprocess

import pytest
from made_up_results import made_up_results

from earbit.study.report.page import page_of, write_report
from earbit.study.report.script import chart_library

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Time passes as fast as the page computes, and ends after so many milliseconds.
    *("--virtual-time-budget=60000", "--enable-logging=stderr"),
)
PROBE = """
<script>
addEventListener("load", () => setInterval(() => {
  const width = (e) => e.getBoundingClientRect().width;
  const result = {
    ready: document.documentElement.dataset.ready,
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    requests: performance.getEntriesByType("resource").map((e) => e.name),
    charts: [...document.querySelectorAll("[data-chart]")].map(
      (e) => [e.querySelectorAll("svg .mark-symbol, svg .mark-rect, svg .mark-line, svg .mark-area")
        .length, width(e), e.querySelector("svg") ? width(e.querySelector("svg")) : 0]),
    ink: getComputedStyle(document.body).color,
  };
  parent.postMessage(JSON.stringify(result), "*");
}, 50));
</script>
"""


FRAME = """<!doctype html><html><body style="margin:0">
<script>addEventListener("message", (event) => { document.title = event.data; });</script>
<iframe src="report.html" style="border:0;width:{width}px;height:900px"></iframe></body></html>"""
# A window has at least 500 pixels, and a frame may have fewer.


@functools.cache
def text_of(n_seeds):
    """The page, with a script that reports on it in its title."""
    results = made_up_results(seeds=tuple(range(n_seeds)))
    return page_of(results, script=chart_library()).replace("</head>", PROBE + "</head>", 1)


def opened(tmp_path, width, *flags):
    """What the script found at a width, and what the browser wrote to its log."""
    (tmp_path / "report.html").write_text(text_of(2), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.replace("{width}", str(width)), encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    size = f"--window-size={max(width, 500)},900"
    done = subprocess.run(
        [CHROMIUM, *FLAGS, *flags, size, profile, "--dump-dom"]
        + [(tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title, done.stdout[:300]
    log = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(title[1].replace("&amp;", "&")), log


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_charts_are_drawn_without_errors_and_requests(tmp_path, width, scheme):
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    found, log = opened(tmp_path, width, *dark)
    assert log == []
    assert found["ready"] == "true"
    assert found["requests"] == []
    assert found["charts"]
    for n_marks, place, drawn in found["charts"]:
        assert n_marks > 0
        assert drawn <= place + 1
    assert found["scroll"] <= found["inner"] == width
    assert (found["ink"] == "rgb(26, 32, 41)") == (scheme == "light")


def test_a_broken_chart_is_said_in_the_log(tmp_path):
    # The judge of the test above can fail.
    broken = text_of(2).replace('"mark":"bar"', '"mark":"nonsense"', 1)
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
        + [(tmp_path / "broken.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert any("CONSOLE" in line for line in done.stderr.splitlines())
    assert "This chart cannot be drawn" in done.stdout


def test_the_page_is_printed_with_all_columns_of_its_tables(tmp_path):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    results = made_up_results()
    write_report(results, tmp_path / "report.html")
    flags = [*FLAGS, "--no-pdf-header-footer", f"--user-data-dir={tmp_path / 'profile'}"]
    pdf = tmp_path / "report.pdf"
    subprocess.run(
        [CHROMIUM, *flags, f"--print-to-pdf={pdf}", (tmp_path / "report.html").as_uri()],
        capture_output=True,
        timeout=300,
        check=True,
    )
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    words = set(text.split())
    first, last = ("PR", "ER"), ("parameters", "memory")  # columns of Table 2 and of Table 1
    assert {*first, *last} <= words
    assert {f"{1e-6 * r['peak_rss_bytes']:.1f}" for r in results["times"][:1]} <= words
