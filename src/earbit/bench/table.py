"""Results of `earbit bench` as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.bench.engine import OURS
from earbit.text_table import aligned

HEADER = (
    "engine",
    "number formats",
    "seconds",
    "threads",
    "median ms",
    "p10-p90 ms",
    "time/audio",
    "peak MB",
    "cosine",
    "time/first row",
)
LEGEND = (
    "number formats: w1a8 is weights of 1 bit and activations of 8, w32a32 and fp32 are float32; "
    "w1a1+w32a32 has layers of both",
    "time/audio: median over the length of the audio, 0.01 is a hundred times real time",
    "peak MB: of the whole process, libraries included",
    "cosine: of the output with PyTorch's in float32, 1 is equal, - is not compared",
    "time/first row: median over that of the first row with these seconds and threads, "
    "2.00 takes twice as long",
)

SCORES = (
    "last columns: scores of earbit superb (--scores); proxy and fine-tuned scores do not compare "
    "with published ones"
)
NOT_COMPARED = (
    "not compared: other engines cannot run the weights of a program or of a quantized model, so "
    "they run random ones of its shape; their times can be compared, outputs cannot; earbit export "
    "compares a program with PyTorch"
)


def render_bench(records: Sequence[dict[str, Any]]) -> str:
    """Renders records as a table, with times relative to the first record of each point.

    A line below notes engines whose weights differ from those of the program.
    """
    titles = list(dict.fromkeys(t for record in records for t in record.get("scores", {})))
    rows: list[Sequence[str]] = [(*HEADER, *titles)]
    first: dict[tuple[float, int], float] = {}
    for record in records:
        point = (record["seconds"], record["threads"])
        base_ms = first.setdefault(point, record["median_ms"])
        cosine = record["cosine"]
        rows.append(
            (
                label_of(record),
                record["precision"],
                f"{record['seconds']:g}",
                str(record["threads"]),
                f"{record['median_ms']:.1f}",
                f"{record['p10_ms']:.1f}-{record['p90_ms']:.1f}",
                f"{record['rtf']:.4f}",
                f"{record['peak_rss_bytes'] / 1e6:.0f}",
                "-" if cosine is None else f"{cosine:.5f}",
                f"{record['median_ms'] / base_ms:.2f}",
                *(record["scores"].get(title, {}).get("text", "-") for title in titles),
            )
        )
    runs = sorted({record["n_runs"] for record in records})
    n_runs = str(runs[0]) if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    below = [f"measured: {n_runs} run(s) of each, in turn"]
    if _have_other_weights(records):
        below.append(NOT_COMPARED)
    return "\n".join([*aligned(rows), *below, *LEGEND, *([SCORES] if titles else [])])


def _have_other_weights(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are peers with other weights than the programs."""
    ours = [record for record in records if record["engine"] == OURS]
    return len(ours) < len(records) and all(record["cosine"] is None for record in ours)


def line_of(record: Mapping[str, Any]) -> str:
    """A record in a few words, for progress lines."""
    return (
        f"{label_of(record)}: {record['median_ms']:.1f} ms "
        f"({record['p10_ms']:.1f}-{record['p90_ms']:.1f}), "
        f"{record['peak_rss_bytes'] / 1e6:.0f} MB"
    )


def label_of(record: Mapping[str, Any]) -> str:
    """Label of a record in a table: name of a peer, or plan of a program."""
    return f"{OURS} {record['plan']}" if record["plan"] else str(record["engine"])
