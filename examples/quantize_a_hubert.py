"""From a HuBERT of another program to a quantized program and a keyword spotter, in five steps.

python examples/quantize_a_hubert.py SOURCE AUDIO OUT [--plan w1a2 w1a1] [--n-steps 300]
SOURCE: a folder of transformers or a checkpoint (docs/quantize-a-hubert.md).
AUDIO: a folder of audio, which needs labels for the evaluation only, or `synthetic`.
"""

import argparse
from pathlib import Path

from earbit.cli.main import main as earbit


def run(source: str, audio: str, out: Path, plans: list[str], n_steps: int, task: str) -> Path:
    """Imports, quantizes, evaluates and exports; returns the program."""
    model, student, scores = (str(out / name) for name in ("float", "student", "scores"))
    program = out / "program.safetensors"

    # 1. The teacher.  Nothing in the source is executed.
    if not Path(model, "model.safetensors").exists():
        earbit(["import", source, "--out", model])

    # 2. The student learns from the hidden states of the teacher: no units, no labels.
    steps = ["--n-steps", str(n_steps)]
    earbit(["quantize", model, "--corpus", audio, "--plan", *plans, *steps, "--out", student])

    # 3. A head on frozen features of the student, and its score.
    earbit(["superb", student, "--task", task, "--data", audio, "--out", scores])

    # 4. One file for the runtime, verified against PyTorch.
    earbit(["export", student, "--head", scores, "--out", str(program)])
    return program


def main() -> None:
    """Reads the arguments, runs all steps and labels the audio of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source")
    parser.add_argument("audio")
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", nargs="+", default=["w1a2", "w1a1"])
    parser.add_argument("--n-steps", type=int, default=300)
    parser.add_argument("--task", default="ks")
    given = parser.parse_args()
    program = run(given.source, given.audio, given.out, given.plan, given.n_steps, given.task)
    # 5. The program needs no PyTorch.
    if Path(given.audio).is_dir():
        earbit(["run", str(program), given.audio])


if __name__ == "__main__":
    main()
