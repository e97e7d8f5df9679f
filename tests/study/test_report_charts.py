"""Specifications of charts, compiled by Vega-Lite itself, and their axes."""

import json

import pytest
import vl_convert
from made_up_results import made_up_results
from test_report_page import inlined, page


@pytest.fixture(scope="module")
def specs():
    text = page(made_up_results(seeds=(0, 1)))
    return [spec for choices in inlined(text, "specs") for spec in list(choices.values())[:1]]


def axes(spec):
    """Every encoding of an axis with all values of its field in the chart."""
    parts = (spec, *spec.get("layer", ()))
    rows = [row for part in parts for row in part.get("data", {}).get("values", ())]
    for part in parts:
        for channel in ("x", "y"):
            encoding = (part.get("encoding") or {}).get(channel)
            if encoding and "scale" in encoding:
                yield encoding, [row[encoding["field"]] for row in rows if encoding["field"] in row]


def test_vega_lite_compiles_every_chart(specs, capfd):
    for spec in specs:
        vega = vl_convert.vegalite_to_vega(spec)
        assert vega["marks"], spec["description"]
    assert capfd.readouterr() == ("", "")


def test_costs_over_a_decade_have_no_linear_axis():
    results = made_up_results(tasks=("ks",))
    for record in results["times"]:  # hundredfold for one encoder
        if record["encoder"] == "hubert-tiny":
            record |= {key: 100 * record[key] for key in ("median_ms", "p10_ms", "p90_ms")}
    seen = set()
    for choices in inlined(page(results), "specs"):
        for spec in choices.values():
            for encoding, values in axes(spec):
                field, is_bar = encoding["field"], spec.get("mark") == "bar"
                if field in ("cost", "ms", "ratio") and not is_bar:
                    is_log = encoding["scale"].get("type") == "log"
                    assert is_log == (max(values) / min(values) >= 10) or field == "ratio"
                    seen.add(field)
    assert seen == {"cost", "ms", "ratio"}


def test_log_axes_have_positive_values(specs):
    n_log = 0
    for spec in specs:
        for encoding, values in axes(spec):
            if encoding["scale"].get("type") == "log":
                n_log += 1
                assert all(value > 0 for value in values)
    assert n_log


def test_colours_follow_the_style_sheet(specs):
    for spec in specs:
        text = json.dumps(spec)
        assert "#" not in text
        assert "var(--" in text
