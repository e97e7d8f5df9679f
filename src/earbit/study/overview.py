"""What a study shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earbit.progress import say
from earbit.study.outcome import Outcome
from earbit.study.stages.table import STAGES
from earbit.study.step import Step
from earbit.study.workers import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType

N_FIGURES = 8
"""Latest figures that are shown."""
PLAIN_EVERY_S = 60.0


class Overview:
    """Follows the steps of a study; a `Watcher`."""

    def __init__(self, steps: Sequence[Step], n_jobs: int) -> None:
        self.steps = {step.id: step for step in steps}
        self.n_jobs = n_jobs
        self.outcomes: dict[str, Outcome] = {}
        self.running: dict[str, tuple[float, Progress | None]] = {}
        self.figures: list[str] = []
        self.began_s = time.monotonic()
        self.spent_s = self.estimated_s = 0.0
        self.said_s = time.monotonic()

    def began(self, step: Step) -> None:
        """A step begins."""
        self.running[step.id] = (time.monotonic(), None)

    def moved(self, step: Step, progress: Progress) -> None:
        """A running step says how far it is."""
        start_s, _ = self.running[step.id]
        self.running[step.id] = (start_s, progress)

    def ended(self, step: Step, outcome: Outcome) -> None:
        """A step has an outcome."""
        self.outcomes[step.id] = outcome
        self.running.pop(step.id, None)
        if outcome.state == "done" and not outcome.is_old:
            self.spent_s += outcome.wall_s or 0.0
            self.estimated_s += step.estimate_s
        line = self._line(step, outcome)
        if line is not None:
            self.figures.append(line)
            self.show(line)

    def tick(self) -> None:
        """Shows a line about running steps now and then."""
        now_s = time.monotonic()
        if now_s - self.said_s >= PLAIN_EVERY_S and self.running:
            said = [self._of_running(name) for name in self.running]
            self.show(f"{self._position()}: {'; '.join(said)}")

    def show(self, line: str) -> None:
        """Prints a line."""
        self.said_s = time.monotonic()
        say(line)

    def left_s(self) -> float | None:
        """Estimated time left, corrected by how long finished steps have taken."""
        left = [s for s in self.steps.values() if s.id not in self.outcomes]
        now_s = time.monotonic()
        if self.estimated_s <= 0:
            return None
        factor = self.spent_s / self.estimated_s
        alone_s, shared_s, longest_s = 0.0, 0.0, 0.0
        for step in left:
            start_s = self.running.get(step.id, (now_s, None))[0]
            left_s = max(0.0, factor * step.estimate_s - (now_s - start_s))
            if step.is_alone:
                alone_s += left_s
            else:
                shared_s += left_s
                longest_s = max(longest_s, left_s)
        return max(shared_s / self.n_jobs, longest_s) + alone_s

    def _position(self) -> str:
        left_s = self.left_s()
        left = "" if left_s is None else f", about {duration(left_s)} left"
        return f"[{len(self.outcomes)} of {len(self.steps)}{left}]"

    def _line(self, step: Step, outcome: Outcome) -> str | None:
        """A line about an outcome; None for a result that was there before."""
        where = f"{self._position()} {step.id}"
        match outcome.state:
            case "failed":
                return f"{where}: FAILED, {outcome.error}"
            case "not run":
                return f"{where}: not run, {outcome.error}"
        if outcome.is_old:
            return None
        figures = figures_of(step, outcome.result or {})
        return f"{where}: {duration(outcome.wall_s or 0.0)}{', ' if figures else ''}{figures}"

    def _of_running(self, name: str) -> str:
        start_s, progress = self.running[name]
        text = f"{name} {duration(time.monotonic() - start_s)}"
        if progress is None:
            return text
        return f"{text}, {progress.title} {progress.done} of {progress.total}"

    def __enter__(self) -> Overview:
        say(f"{len(self.steps)} steps, {self.n_jobs} at a time")
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the display."""


class LiveOverview(Overview):
    """The same on a terminal: stages, running steps and figures in place."""

    def __init__(self, steps: Sequence[Step], n_jobs: int) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(steps, n_jobs)
        console = Console(stderr=True)
        self.live = Live(
            console=console, auto_refresh=False, transient=True, get_renderable=self.render
        )

    def __enter__(self) -> LiveOverview:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the display, which the summary follows."""
        self.live.stop()

    def tick(self) -> None:
        """Draws the display."""
        self.live.refresh()

    def show(self, line: str) -> None:
        """Failures stay above the display; figures are a part of it."""
        if ": FAILED, " in line:
            self.live.console.print(line, markup=False, highlight=False)
        self.live.refresh()

    def render(self) -> RenderableType:
        """The display."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        stages = Table.grid(padding=(0, 2))
        for name, stage in STAGES.items():
            steps = [step for step in self.steps.values() if step.stage == name]
            if not steps:
                continue
            done = sum(step.id in self.outcomes for step in steps)
            failed = sum(
                step.id in self.outcomes and self.outcomes[step.id].state != "done"
                for step in steps
            )
            note = Text(f"{failed} failed" if failed else "", style="bold red")
            bar = ProgressBar(total=len(steps), completed=done, width=24)
            stages.add_row(Text(stage.title), bar, Text(f"{done}/{len(steps)}"), note)
        running = [Text(f"  {self._of_running(name)}", style="cyan") for name in self.running]
        figures = [Text(f"  {line}", style="dim") for line in self.figures[-N_FIGURES:]]
        spent = duration(time.monotonic() - self.began_s)
        head = Text(f"earbit study {self._position()}, {spent} so far", style="bold")
        return Group(head, stages, *running, *figures)


def overview_of(steps: Sequence[Step], n_jobs: int) -> Overview:
    """The display that fits standard error."""
    kind = LiveOverview if sys.stderr.isatty() else Overview
    return kind(steps, n_jobs)


def figures_of(step: Step, result: Mapping[str, Any]) -> str:
    """The main figures of a result in a few words."""
    match step.stage:
        case "units" | "units2":
            return f"{result['n_units']} units, {result['hours']:.2f} h of speech"
        case "pretrain" | "pretrain2" | "quantize":
            accuracy = result["valid_accuracy"]
            return "" if accuracy is None else f"unit accuracy {accuracy:.1%}"
        case "score":
            scores = result["scores"].items()
            return ", ".join(f"{t} {s['metric']} {s['value']:.3f}" for t, s in scores)
        case "export":
            agreement = result["agreement"]["bit_agreement"]
            return f"{result['bytes'] / 1e6:.2f} MB, bits equal {agreement:.4%}"
        case "times":
            return ", ".join(f"{r['engine']} {r['median_ms']:.1f} ms" for r in result["times"])
        case _:
            return ""


def duration(seconds: float) -> str:
    """A time for people: `12 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
