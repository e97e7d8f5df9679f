"""The page of a study: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.extras import TRAIN, imported
from earbit.files import write_text
from earbit.heads.estimates import needed_tasks
from earbit.study.report import numbers
from earbit.study.report.answer import QUESTION, answer_of
from earbit.study.report.charts.costs import length_chart, role_chart
from earbit.study.report.charts.errors import propagation_charts
from earbit.study.report.charts.scores import loss_chart, score_charts, score_legend
from earbit.study.report.charts.shapes import shape_charts
from earbit.study.report.charts.spec import Chart, columns_of
from earbit.study.report.charts.times import engine_chart, op_charts, speed_up_charts
from earbit.study.report.charts.trade_offs import front_chart, trade_off_charts
from earbit.study.report.charts.training import curve_charts, unit_charts
from earbit.study.report.claim import cast_of
from earbit.study.report.claims import claims_of
from earbit.study.report.compare import comparison_of
from earbit.study.report.downloads import csv_files
from earbit.study.report.provenance import provenance, steps_in, unit_lines
from earbit.study.report.rows import FLOAT, Study, number
from earbit.study.report.script import LICENSE, chart_library
from earbit.study.report.tables import cost_table, paper_ratios, score_table
from earbit.study.report.warnings import warning_groups

ABOUT = {"settings": ("scale", "corpus"), "machine": ("cpu", "isa")}
"""What the head of the page names."""


def write_report(
    results: Mapping[str, Any], path: Path, other: Mapping[str, Any] | None = None
) -> None:
    """Writes the page of a study, or the comparison of a study with another one.

    results, other: contents of results.json.  Any table and record may be missing.  Raises
    UnsupportedError without the extra `report`.
    """
    write_text(path, page_of(results, other, script=chart_library()))


def page_of(
    results: Mapping[str, Any], other: Mapping[str, Any] | None = None, *, script: str
) -> str:
    """The page as HTML; script: JavaScript that defines `vegaEmbed`."""
    study = Study(results)
    charts: list[Chart] = []

    def drawn(found: Sequence[Chart | None] | Chart | None) -> list[dict[str, Any]]:
        """Charts with the number under which the page finds their specifications."""
        some = found if isinstance(found, Sequence) else [found]
        numbered = []
        for chart in some:
            if chart is not None:
                numbered.append({"chart": chart, "id": len(charts)})
                charts.append(chart)
        return numbered

    context = _study_context(study, drawn) if other is None else _comparison(study, other, drawn)
    jinja2 = imported("jinja2", TRAIN, "the report of a study")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("earbit.study.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    files = _files(study, results, other)
    template = environment.get_template("page.html.j2" if other is None else "compare.html.j2")
    page: str = template.render(
        **context,
        columns_of=lambda drawn: columns_of([one["chart"] for one in drawn]),
        library=script,
        license=LICENSE,
        specs=_inlined([dict(chart.specs) for chart in charts]),
        files=_inlined(files),
        file_names=list(files),
    )
    return page


def _files(
    study: Study, results: Mapping[str, Any], other: Mapping[str, Any] | None
) -> dict[str, str]:
    files = {"results.json": json.dumps(results)}
    if other is not None:
        return files | {"other-results.json": json.dumps(other)}
    return files | csv_files(study)


def _inlined(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    return json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")


def _comparison(study: Study, other: Mapping[str, Any], drawn: Any) -> dict[str, Any]:
    comparison = comparison_of(study, Study(other))
    return {"comparison": comparison, "charts": drawn(comparison.charts)}


def _study_context(study: Study, drawn: Any) -> dict[str, Any]:
    cast = cast_of(study)
    counted = numbers.counted
    return {
        "study": study,
        "numbers": numbers,
        "about": {
            name: study.part(part).get(name, "-") for part, names in ABOUT.items() for name in names
        },
        "n_threads": int(number(study.part("machine"), "threads_in_times") or 1),
        "size": ", ".join(
            (
                counted(len(study.encoders), "encoder"),
                counted(len(study.plans), "plan"),
                counted(len(study.tasks), "task"),
                counted(len(study.seeds), "seed"),
            )
        ),
        "reference": f"{cast.transformer or next(iter(study.encoders), '-')} in {FLOAT}",
        "question": QUESTION,
        "answer": answer_of(study),
        "needed": needed_tasks(len(study.tasks)),
        "seconds": _seconds(study),
        "claims": claims_of(study),
        "warnings": warning_groups(study),
        "failed": steps_in(study, "failed"),
        "not_run": steps_in(study, "not run"),
        "scores": score_table(study),
        "costs": cost_table(study, cast),
        "paper": paper_ratios(study, cast),
        "units": unit_lines(study),
        "provenance": provenance(study),
        "score_legend": score_legend(study),
        "score_charts": drawn(score_charts(study)),
        "loss_chart": drawn(loss_chart(study)),
        "trade_off_charts": drawn(trade_off_charts(study)),
        "front_chart": drawn(front_chart(study)),
        "cost_charts": drawn([role_chart(study), length_chart(study)]),
        "engine_chart": drawn(engine_chart(study)),
        "op_charts": drawn(op_charts(study)),
        "speed_up_charts": drawn(speed_up_charts(study, cast)),
        "propagation_charts": drawn(propagation_charts(study)),
        "shape_charts": drawn(shape_charts(study, cast)),
        "curve_charts": drawn(curve_charts(study)),
        "unit_charts": drawn(unit_charts(study)),
    }


def _seconds(study: Study) -> str:
    """Length of the audio of costs and times."""
    found = {v for t in ("cost", "times") for r in study.table(t) if (v := number(r, "seconds"))}
    return " and ".join(f"{seconds:g} s" for seconds in sorted(found)) or "a clip"
