"""Runs one engine in a separate process, so that peak memory is that of the engine alone.

`python -m earbit.bench.engine ENGINE FILE SECONDS THREADS OUTPUT` writes the output of its first
run to OUTPUT (.npy), prints one JSON line when it is ready, then runs once for every line that it
reads and prints the milliseconds.  The earbit engine never imports torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.measure import peak_rss_bytes, pin_to_cores
from earbit.runtime.session import Session

OURS = "earbit"


def speech_like(n_samples: int, seed: int = 0) -> np.ndarray:
    """Seeded noise at the level of speech. Times do not depend on the content."""
    random = np.random.default_rng(seed)
    return (0.05 * random.standard_normal(n_samples)).astype(np.float32)


def loaded(engine: str, file: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    """Loads a file into an engine; every call of the result is one run: (frames, width) float32."""
    # Each engine imports only its own packages.
    match engine.partition("-")[0]:
        case "earbit":
            session = Session(file, n_threads)
            return lambda: session.run(audio)
        case "torch":
            from earbit.bench.peers import pytorch

            return pytorch.loaded(engine, file, audio, n_threads)
        case "onnxruntime":
            from earbit.bench.peers import onnx_runtime

            return onnx_runtime.loaded(engine, file, audio, n_threads)
        case "openvino":
            from earbit.bench.peers import open_vino

            return open_vino.loaded(engine, file, audio, n_threads)
        case _:
            raise ValueError(f"no engine {engine!r}")


def main() -> None:
    """Runs one engine until standard input closes."""
    engine, file, seconds, threads, output_file = sys.argv[1:6]
    pin_to_cores(int(threads))
    audio = speech_like(int(float(seconds) * SAMPLE_RATE_HZ))
    run = loaded(engine, Path(file), audio, int(threads))
    output = run()
    np.save(output_file, output)
    ready = {"shape": output.shape, "is_finite": bool(np.isfinite(output).all())}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start_s = time.perf_counter()
        run()
        elapsed_ms = 1e3 * (time.perf_counter() - start_s)
        print(json.dumps({"ms": elapsed_ms, "peak_rss_bytes": peak_rss_bytes()}), flush=True)


if __name__ == "__main__":
    main()
