"""Commands for packed programs (run, bench) and for the machine (doctor)."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

from earbit.audio.formats import READ_FORMATS, listed
from earbit.bench.peers.catalogue import PEERS
from earbit.cli.arguments import NEEDS_TRAIN, Option, Positional
from earbit.cli.bench_programs import check_programs, described, programs_of
from earbit.cli.bench_scores import read_scores, scores_of
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Json,
    PresetSettings,
    Seed,
)
from earbit.errors import ConfigError, DataError
from earbit.files import writable
from earbit.output import emit, for_terminal
from earbit.progress import say
from earbit.shipped import shipped_programs


def run(
    file: Annotated[
        Path,
        Positional(
            "PROGRAM",
            "Program file that `earbit export` wrote, or the name of one that comes with earbit: "
            f"{', '.join(shipped_programs())}.",
        ),
    ],
    audio: Annotated[
        tuple[Path, ...],
        Positional(
            "AUDIO",
            f"Audio files ({listed(READ_FORMATS)}, of any sampling rate and number of channels), "
            "folders, or - for standard input.",
        ),
    ] = (),
    out: Annotated[
        Path | None,
        Option(
            "FILE.npz",
            "File for the features: one array (frames, width) for each audio file, under its name, "
            "and the scores of the program's head. Without it, features are not kept. FILE.rttm "
            "takes the segments of a head of kind `segments` instead.",
        ),
    ] = None,
    layers: Annotated[
        Literal["last", "all"],
        Option(
            "",
            "Write features of the last layer, or of all layers as an array (layers + 1, frames, "
            "width) that begins with the encoder's input.",
        ),
    ] = "last",
    threshold: Annotated[
        float | None,
        Option(
            "X",
            "Probability below which a label is rejected, as (no keyword). Default: that of the "
            "program. With --query, the smallest score of a match.",
        ),
    ] = None,
    query: Annotated[
        Path | None,
        Option("FILE", "Score the audio files by how well they match this spoken query."),
    ] = None,
    layer: Annotated[int | None, Option("N", "Hidden state that --query compares.")] = None,
    head: Annotated[
        Path | None,
        Option(
            "DIR",
            "Output folder of `earbit superb --task qbe` on this model, which gives the layer and "
            "the threshold of --query.",
        ),
    ] = None,
    stream: Annotated[
        bool,
        Option(
            "",
            "Print results while the audio arrives: of one file, or of - as 16-bit samples, raw "
            "(mono, 16 kHz, little-endian) or as a wav file. docs/streaming.md",
        ),
    ] = False,
    mic: Annotated[bool, Option("", "Print results while the microphone records.")] = False,
    threads: Annotated[int, Option("N", "Number of threads. It does not change the results.")] = 1,
    json: Json = None,
) -> None:
    """Computes features of audio files, and labels or text if the program has a head.

      earbit run keywords-w1a1 speech.wav
      earbit run hubert.safetensors speech.wav --out features.npz
      earbit run words.safetensors my-audio --json words.json
      earbit run hubert.safetensors my-audio --query word.wav --head hubert-qbe
      earbit run words.safetensors --stream -

    Prints a table to a terminal, and JSON otherwise, as with --json -.  Files that cannot be read
    are skipped.  The results of the others are written, and the exit status is 2.  After Ctrl-C,
    the current file is dropped, and the results of the files before it are written.  If FILE.npz
    existed before, it is kept, and the results go to FILE.partial.npz.
    """
    if stream or mic:
        refused = {
            "--out": out,
            "--layers": layers != "last",
            "--query": query,
            "--layer": layer is not None,
            "--head": head,
        }
        for option, value in refused.items():
            if value:
                raise ConfigError(f"{option} does not go with --stream or --mic; leave it out")
        _run_stream(file, audio, mic, threshold, threads, json)
        return
    if not audio:
        raise ConfigError("missing: AUDIO ...; see earbit run --help")
    from earbit.query import render_search, search_files
    from earbit.run import NoneUsable, RunInterrupted, render_run, run_files

    if query is None and (layer is not None or head is not None):
        raise ConfigError(f"--{'head' if layer is None else 'layer'} is for --query; leave it out")
    if query is not None and (out is not None or layers == "all"):
        raise ConfigError("--query writes no features; leave out --out and --layers")

    def show(records: list[dict[str, Any]]) -> None:
        render = render_run if query is None else render_search
        emit(records, json, for_terminal(render(records)))

    try:
        if query is None:
            records = run_files(
                file, audio, out, layers=layers, threads=threads, threshold=threshold
            )
        else:
            records = search_files(
                file, audio, query, layer=layer, head=head, threshold=threshold, threads=threads
            )
    except (NoneUsable, RunInterrupted) as early:
        show(early.summary)
        raise
    show(records)
    results = {"label", "text", "segments"}
    has_results = query is not None or any(results & set(record) for record in records)
    if out is None and not has_results and sys.stderr.isatty():
        say("the features are not kept; --out FILE.npz keeps them")
    n_bad = sum("error" in record for record in records)
    if n_bad:
        raise DataError(f"{n_bad} of {len(records)} files left out, see above; the rest is done")


def _run_stream(
    file: Path,
    audio: tuple[Path, ...],
    mic: bool,
    threshold: float | None,
    threads: int,
    json: Path | None,
) -> None:
    from earbit.run_stream import as_text, changes, stream_events

    if len(audio) != (0 if mic else 1):
        raise ConfigError(
            f"{len(audio)} audio files; --stream takes one, or - for standard input, and --mic none"
        )
    if json not in (None, Path("-")):
        raise ConfigError(f"--json {json}: a stream prints lines of JSON; give --json -")
    is_text = json is None and sys.stdout.isatty()
    source = None if mic else audio[0]
    events = stream_events(file, source, threshold=threshold, threads=threads)
    for event in changes(events) if is_text else events:
        if is_text:
            line = as_text(event)
        else:
            line = dumps(writable(event), ensure_ascii=False, allow_nan=False) + "\n"
        print(line, end="", flush=True)
    if is_text:
        print()


def bench(
    file: Annotated[
        str,
        Positional(
            "WHAT",
            "A program of `earbit export`. With the extra `train`, also a model folder of earbit, "
            f"and with --plan a model file or a preset (random weights). {PRESETS_ARE}",
        ),
    ],
    plan: Annotated[
        tuple[str, ...],
        Option(
            "PLAN",
            f"Export the preset or model under each of these plans first. {PLANS_ARE}",
        ),
        NEEDS_TRAIN,
    ] = (),
    seconds: Annotated[
        tuple[float, ...], Option("S", "Lengths of the audio in seconds. Each is measured.")
    ] = (10.0,),
    threads: Annotated[
        tuple[int, ...],
        Option("N", "Numbers of threads. Each is measured."),
    ] = (1,),
    runs: Annotated[
        int | None,
        Option(
            "N",
            "Runs for each measurement, of which the median is reported. Default: 15, or fewer "
            "(at least 5) if they take more than two minutes.",
        ),
    ] = None,
    engines: Annotated[
        tuple[str, ...],
        Option(
            "ENGINE",
            f"Other engines to measure: none, all, or any of {', '.join(PEERS)}. All need "
            "the extra `train`, and an engine that is not installed is left out.",
        ),
    ] = ("torch",),
    scores: Annotated[
        tuple[Path, ...],
        Option(
            "DIR",
            "Output folders of `earbit superb` on the measured programs or models, whose scores "
            "are shown beside the times.",
        ),
    ] = (),
    set: Annotated[PresetSettings, NEEDS_TRAIN] = (),
    seed: Annotated[Seed, NEEDS_TRAIN] = 0,
    json: Json = None,
) -> None:
    """Measures time and memory of programs, next to other engines on the same machine.

      earbit bench hubert.safetensors
      earbit bench hubert-base --plan w1a1 w8a8 --seconds 1 10 --threads 1 2 --json times.json
      earbit bench hubert-tiny --plan w1a1 --engines none --runs 5
      earbit bench words.safetensors --scores onebit-ks

    Each point (a length and a number of threads) is printed when it is finished.  After Ctrl-C, the
    table and the JSON contain the finished points.
    """
    # Arguments are checked before PyTorch is imported, which takes seconds.
    from earbit.bench.peers.catalogue import peers_named
    from earbit.bench.points import check_runs, points_of
    from earbit.bench.quiet import warn_of_disturbance

    settings, points = set, points_of(seconds, threads)
    check_runs(runs)
    check_programs(file, plan, settings, seed)
    peers = peers_named(engines)
    found = read_scores(scores)
    warn_of_disturbance(threads)
    from earbit.bench.verb import bench_all

    with programs_of(file, plan, seed, settings) as (programs, model):
        measured = described(file, programs)

        def keep(text: str, result: dict[str, Any]) -> None:
            emit({**result, "programs": measured}, json, text)

        beside = scores_of(found, programs, model)
        bench_all(programs, points, keep, model=model, engines=peers, n_runs=runs, scores=beside)


def doctor(json: Json = None) -> None:
    """Shows CPU, cores, kernels and versions, tests every kernel, and gives advice on speed."""
    from earbit.runtime.doctor import examine, render_doctor

    result = examine()
    emit(result, json, render_doctor(result))
    if not result["ok"]:
        raise SystemExit(1)
