"""One engine in a process of its own, so that its peak memory is its own and nothing else's.

`python -m earbit.cost.engine ENGINE PROGRAM SECONDS THREADS` prints one JSON line when it is
ready, then runs once for every line that it reads and answers with the milliseconds.
The earbit engine never imports torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.measure import peak_rss_bytes
from earbit.runtime.session import Session


def speech_like(n_samples: int, seed: int = 0) -> np.ndarray:
    """Seeded noise at the level of speech; times do not depend on what is said."""
    random = np.random.default_rng(seed)
    return (0.05 * random.standard_normal(n_samples)).astype(np.float32)


def _earbit(program: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    session = Session(program, n_threads)
    return lambda: session.run(audio)


def _torch(program: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    """The full-precision model of the same shape with random weights, in PyTorch."""
    import torch

    from earbit.config import from_dict
    from earbit.model import AudioModel, ModelConfig

    torch.set_num_threads(n_threads)
    config: ModelConfig = from_dict(ModelConfig, Session(program).origin["config"])
    model = AudioModel(config).eval()
    wave_BN = torch.from_numpy(audio)[None]

    def run() -> np.ndarray:
        with torch.inference_mode():
            state: np.ndarray = model(wave_BN).states[-1][0].numpy()
        return state

    return run


ENGINES = {"earbit": _earbit, "torch": _torch}


def main() -> None:
    """Serves one engine until its input closes."""
    engine, program, seconds, threads = sys.argv[1:5]
    audio = speech_like(int(float(seconds) * SAMPLE_RATE_HZ))
    run = ENGINES[engine](Path(program), audio, int(threads))
    output = run()
    ready = {"shape": output.shape, "is_finite": bool(np.isfinite(output).all())}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start_s = time.perf_counter()
        run()
        elapsed_ms = 1e3 * (time.perf_counter() - start_s)
        print(json.dumps({"ms": elapsed_ms, "peak_rss_bytes": peak_rss_bytes()}), flush=True)


if __name__ == "__main__":
    main()
