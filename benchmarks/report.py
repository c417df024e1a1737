"""Medians of the rounds, as tables for a terminal, for Markdown and as JSON.

Begin with `Report`.
"""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.goals import GOALS, Goal

__all__ = ["Report", "machine"]

VERSIONED = (
    *("tornado", "uvloop", "httptools", "jinja2", "starlette", "uvicorn", "granian", "litestar", "fastapi", "falcon"),
    *("blacksheep", "sanic", "aiohttp", "django"),
)
Samples = dict[str, dict[str, list[dict[str, float]]]]


class Report:
    """The samples of a run: workload, application, then one dict of figures a round.

    Args:
        first: The application that ratios are taken against.
    """

    def __init__(self, first: str = "torngas") -> None:
        self.first = first
        self.samples: Samples = {}

    def add(self, workload: str, app: str, figures: Mapping[str, float]) -> None:
        self.samples.setdefault(workload, {}).setdefault(app, []).append(dict(figures))

    def medians(self, workload: str) -> dict[str, dict[str, float]]:
        """The median of each figure, by application, fastest first."""
        found = {
            app: {name: statistics.median(row[name] for row in rows if name in row) for name in _names(rows)}
            for app, rows in self.samples[workload].items()
        }
        return dict(sorted(found.items(), key=lambda item: -next(iter(item[1].values()))))

    def highest_rates(self, workload: str) -> dict[str, float]:
        """The highest rate of each application in any round."""
        found = self.samples.get(workload, {})
        return {app: max(row["rps"] for row in rows if "rps" in row) for app, rows in found.items()}

    def text(self, workload: str) -> str:
        """One workload as a table for a terminal."""
        rows = self._rows(workload)
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def markdown(self) -> str:
        """Every workload: ratios to the best rival and rates over all, then one table each."""
        parts = [self.ratios(), self._overview()]
        for workload in self.samples:
            rows = self._rows(workload)
            body = "\n".join("| " + " | ".join(row) + " |" for row in rows[1:])
            parts.append(f"### {workload}\n\n| {' | '.join(rows[0])} |\n|{' --- |' * len(rows[0])}\n{body}")
        return "\n\n".join(parts) + "\n"

    def ratios(self) -> str:
        """How many times as much the best rival takes, for each workload that has a goal."""
        tails = "p99 at half rate: ours, lowest rival | p99 at one rate: ours, lowest rival"
        head = f"| workload | figure | ours | best rival | its | ratio | goal | {tails} |"
        lines = [head, "| --- | --- | ---: | --- | ---: | ---: | ---: | --- | --- |"]
        for workload, goal in GOALS.items():
            if self.first in self.samples.get(workload, {}):
                lines.append(self._ratio_line(workload, goal))
        return "\n".join(lines)

    def _ratio_line(self, workload: str, goal: Goal) -> str:
        found = {app: figures for app, figures in self.medians(workload).items() if not app.startswith("bare")}
        ours = found.pop(self.first)
        best = min(found, key=lambda app: found[app][goal.figure], default=None)
        its = found[best][goal.figure] if best is not None else 0
        ratio = its / ours[goal.figure]
        cells = (_shown(ours[goal.figure]), best or "", _shown(its), f"{ratio:.2f}", f"{goal.ratio:.2f}")
        tails = (_tail(name, ours, found.values()) for name in ("half_p99_ms", "same_p99_ms"))
        return f"| {workload} | {goal.figure} | {' | '.join((*cells, *tails))} |"

    def json(self) -> str:
        medians = {workload: self.medians(workload) for workload in self.samples}
        return json.dumps({"machine": machine(), "medians": medians, "samples": self.samples}, indent=1) + "\n"

    def _overview(self) -> str:
        """Requests a second of every application under every load, by the first workload's order."""
        medians = {workload: self.medians(workload) for workload in self.samples}
        loads = [name for name, found in medians.items() if all("rps" in figures for figures in found.values())]
        if not loads:
            return ""
        apps = list(dict.fromkeys(app for name in loads for app in medians[name]))
        lines = [f"| requests a second | {' | '.join(loads)} |", f"| --- |{' ---: |' * len(loads)}"]
        for app in apps:
            cells = [f"{medians[name][app]['rps']:,.0f}" if app in medians[name] else "" for name in loads]
            lines.append(f"| {app} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def _rows(self, workload: str) -> list[list[str]]:
        """Header and lines; the last columns say how our figures compare with the line's."""
        medians = self.medians(workload)
        names = _names(list(medians.values()))
        ours = medians.get(self.first, {})
        compared = [name for name in names if name in {"rps", "cpu_us"} or len(names) <= 3]
        rows = [[workload, *names, *(f"ours/its {name}" for name in compared)]]
        for app, found in medians.items():
            ratios = [f"{ours[name] / found[name]:.2f}" if ours and found.get(name) else "" for name in compared]
            rows.append([app, *(_shown(found[name]) if name in found else "" for name in names), *ratios])
        return rows


def _tail(name: str, ours: Mapping[str, float], rivals: Iterable[Mapping[str, float]]) -> str:
    """Return our figure and the lowest of *rivals*, where there are both."""
    theirs = [figures[name] for figures in rivals if name in figures]
    return f"{ours[name]:.2f}, {min(theirs):.2f} ms" if theirs and name in ours else ""


def _names(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the names of all figures; some are taken in one round only."""
    return list(dict.fromkeys(name for row in rows for name in row))


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": f"{len(model)} x {model[0] if model else 'unknown'}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
