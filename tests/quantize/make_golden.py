"""Writes `golden/*.txt`, what every plan makes of every leaf; run it by `python` from anywhere.

Look at the difference before you commit it: a leaf that changed its bits by itself is a bug.
"""

from pathlib import Path

from earbit.load import random_model
from earbit.nn.leaves import leaves_of
from earbit.presets import PRESETS, preset
from earbit.quantize.convert import convert
from earbit.quantize.plan import PLANS

GOLDEN = Path(__file__).parent / "golden"
NAMES = [name for name in PRESETS if name.endswith("-tiny")]


def reports_of(name: str) -> str:
    """The report of a preset under every plan, as text."""
    sections = []
    for plan in PLANS.values():
        model = random_model(preset(name), 0)
        report = convert(model, plan.precisions(leaves_of(model)))
        sections.append("\n".join([f"[{plan.name}]", *map(str, report)]))
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    for name in NAMES:
        (GOLDEN / f"{name}.txt").write_text(reports_of(name))
