"""Turn what was measured into tables, bars and the figure of the page."""

import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from tf_backprop import plotting, report
from tools import readme

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "benchmarks" / "results.json"


def read(path: Path = FILE) -> dict[str, Any]:
    """Return the results as ``python -m benchmarks`` wrote them."""
    return json.loads(path.read_text(encoding="utf-8"))


def median(way: dict[str, Any]) -> float:
    """Return the median time of the whole work, NaN where there is none."""
    return statistics.median(way["total"]) if way["total"] else float("nan")


def ratio(results: dict[str, Any], work: str, way: str, to: str) -> float:
    """Return the time of `way` divided by that of `to`, tracing and compiling included."""
    by_name = {timed["way"]: timed for timed in results[work]}
    return median(by_name[way]) / median(by_name[to])


def pass_ratio(results: dict[str, Any], work: str, way: str, to: str) -> float:
    """Return the time of one pass of `way`, once all is compiled, divided by that of `to`."""
    by_name = {timed["way"]: timed for timed in results[work]}
    return by_name[way]["a_pass"] / by_name[to]["a_pass"]


class Bar(NamedTuple):
    """A ratio that was measured, and the least or the most that it may be."""

    what: str
    value: float
    limit: float
    at_least: bool

    @property
    def holds(self) -> bool | None:
        """Tell whether the bar holds; return None where the ratio could not be measured."""
        if np.isnan(self.value):
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


#: Lessons 09, 10 and 11 differ only in how they find the gradient: the time of one stands for all three.
OURS, MOONS = "lesson 11", "lesson 12"


def bars(results: dict[str, Any]) -> list[Bar]:
    """Return every bar with the ratio that was measured."""
    found = []
    for way, least in (("TensorFlow 1 session", 2), ("Keras fit", 6), ("eager", 6), ("PyTorch", 1)):
        found.append(Bar(f"softmax: {way} / {OURS}", ratio(results, "softmax", way, OURS), least, True))
    found.append(Bar(f"softmax: {OURS} / NumPy", ratio(results, "softmax", OURS, "NumPy"), 1.45, False))
    for way, most in (("NumPy", 1.3), ("JAX scan", 1.5)):
        found.append(Bar(f"softmax, one epoch: {OURS} / {way}", pass_ratio(results, "softmax", OURS, way), most, False))
    found.append(Bar(f"moons: NumPy / {MOONS}", ratio(results, "moons", "NumPy", MOONS), 10, True))
    found.append(Bar(f"moons: {MOONS} / JAX scan", ratio(results, "moons", MOONS, "JAX scan"), 2.5, False))
    for checked in results["check"]:
        most = 100 if checked["verdict"] == "right" else 4000
        found.append(Bar(f"check: {checked['gradient']} / one loss", checked["check"] / checked["loss"], most, False))
    for number, most in (("01", 1.3), ("02", 1.3), ("05", 1.3), ("07", 1)):  # 01, 02 and 05 are plain Python loops
        lesson, way = f"lesson {number}", f"{number}, the document's way"
        found.append(Bar(f"small: {lesson} / {way}", ratio(results, "small", lesson, way), most, False))
    bare = results["processes"][0]
    for process in results["processes"][1:]:
        number = process["name"][:2]
        most = 1.8 if number in ("03", "05", "06") else 1.35 if number <= "07" else 2.5 if number <= "11" else None
        if most is not None:
            value = statistics.median(process["seconds"]) / statistics.median(bare["seconds"])
            found.append(Bar(f"process: {process['name']} / import tensorflow", value, most, False))
        if "08" <= number <= "11":
            more = max(process["megabytes"]) - min(bare["megabytes"])
            found.append(Bar(f"megabytes: {process['name']} above import tensorflow", more, 350, False))
    return found


def way_table(timed: list[dict[str, Any]], steps: int, tablefmt: str = "simple") -> str:
    """Return one row per way: its time as a ratio to that of the first way, and the parts of that time."""
    ours = median(timed[0])
    rows = []
    for way in timed:
        if not way["total"]:
            rows.append([way["way"], way["note"], "", "", "", ""])
            continue
        marked = f" (from {way['extrapolated_from']} passes)" if way["extrapolated_from"] else ""
        spread = f"{min(way['total']):.2f} to {max(way['total']):.2f}{marked}"
        times = f"{median(way) / ours:.2f}", f"{median(way):.2f}", spread, f"{way['once']:.2f}"
        rows.append([way["way"], *times, f"{way['a_pass'] / steps * 1e6:.0f}"])
    headers = ["way", "ratio", "seconds", "smallest to largest", "paid once, s", "µs per step"]
    return report.table(headers, rows, tablefmt)


def small_table(timed: list[dict[str, Any]], tablefmt: str = "simple") -> str:
    """Return one row per small lesson: the time of its training, beside that of the document's way."""
    by_name, rows = {way["way"]: way for way in timed}, []
    for name in [way["way"] for way in timed if way["way"].startswith("lesson")]:
        ours, theirs = median(by_name[name]), median(by_name[f"{name.removeprefix('lesson ')}, the document's way"])
        rows.append([name, f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.2f}"])
    return report.table(["lesson", "ours, s", "the document's way, s", "ratio"], rows, tablefmt)


def process_table(processes: list[dict[str, Any]], tablefmt: str = "simple") -> str:
    """Return one row per lesson: wall time and peak memory of its process, beside those of the bare import."""
    bare, rows = processes[0], []
    for process in processes:
        seconds = statistics.median(process["seconds"])
        ratio = seconds / statistics.median(bare["seconds"])
        more = max(process["megabytes"]) - min(bare["megabytes"])
        rows.append(
            [process["name"], f"{seconds:.1f}", f"{ratio:.2f}", f"{max(process['megabytes']):.0f}", f"{more:+.0f}"]
        )
    headers = ["process", "seconds", "ratio", "peak memory, MB", "above the import"]
    return report.table(headers, rows, tablefmt)


def slope(xs: list[float], ys: list[float]) -> float:
    """Return the exponent of the power law through the last half of the points, by least squares on log axes."""
    half = min(len(xs) // 2, len(xs) - 2)
    return float(np.polyfit(np.log(xs[half:]), np.log(ys[half:]), 1)[0])


def check_table(checked: list[dict[str, Any]], tablefmt: str = "simple") -> str:
    """Return one row per gradient that was checked: what the check says, and its time beside one loss."""
    rows = [
        [
            c["gradient"],
            c["verdict"],
            f"{c['check'] * 1e3:.1f}",
            f"{c['loss'] * 1e6:.0f}",
            f"{c['check'] / c['loss']:.0f}",
        ]
        for c in checked
    ]
    return report.table(["gradient", "what the check says", "check, ms", "one loss, µs", "ratio"], rows, tablefmt)


def growth_table(curves: dict[str, dict[str, Any]], tablefmt: str = "simple") -> str:
    """Return one row per way: its times at all sizes, and the slope that is fitted to those at the large end."""
    xs = sorted({x for curve in curves.values() for x in curve["x"]})
    rows = []
    for name, curve in curves.items():
        at = dict(zip(curve["x"], curve["y"], strict=True))
        rows.append([name, *(f"{at[x]:.3g}" if x in at else "" for x in xs), f"{slope(curve['x'], curve['y']):.2f}"])
    return report.table(["way", *(f"{x:,}" for x in xs), "slope"], rows, tablefmt)


def bar_table(found: list[Bar], tablefmt: str = "simple") -> str:
    """Return one row per bar: what was measured, its limit, and whether the bar holds."""
    said = {True: "holds", False: "FAILS", None: "not measured"}
    rows = [
        [bar.what, f"{bar.value:.3g}", f"{'at least' if bar.at_least else 'at most'} {bar.limit:g}", said[bar.holds]]
        for bar in found
    ]
    return report.table(["bar", "measured", "must be", ""], rows, tablefmt)


def plot_ways(ways: list[dict[str, Any]], ax) -> None:
    """Draw the time of each way, as a ratio to the first one's, and how much of it is paid once, to compile."""
    measured = [way for way in ways if way["total"]]
    ours = median(ways[0])
    ax.axvline(1, color="grey", linewidth=1)
    for row, way in enumerate(measured):
        total = median(way) / ours
        colour = plotting.COLOURS[0] if way["way"].startswith("lesson") else "black"
        ax.plot(total, row, "o", color=colour, markersize=8, label="the whole work" if row == 0 else None)
        once = min(way["once"] / ours, total)
        ax.plot(once, row, "|", color=colour, markersize=10, label="of it paid once, to compile" if row == 0 else None)
        said = f"{total:.2g}" if total < 100 else f"{total:,.0f}"
        ax.annotate(said, (total, row), (9, 0), textcoords="offset points", va="center")
    names = [way["way"] + (" *" if way["extrapolated_from"] else "") for way in measured]
    ax.set(yticks=range(len(names)), yticklabels=names, xscale="log")
    ax.set_xlim(0.015, 3 * max(median(way) / ours for way in measured))
    ax.set_xlabel(f"time, as a ratio to {ways[0]['way']}'s (* extrapolated)")
    ax.invert_yaxis()


def plot(results: dict[str, Any]):
    """Draw the ways of training softmax regression and the moons network, and how time grows with the steps."""
    figure, axes = plotting.mosaic("A;B;C", size=(9, 12.5), height_ratios=[1.25, 0.95, 1])
    plot_ways(results["softmax"], axes["A"])
    axes["A"].legend(loc="upper right")
    eager = ratio(results, "softmax", "eager", OURS)
    axes["A"].set_title(f"Softmax regression, ten epochs: eager takes {eager:.0f} times as long as a compiled epoch")
    plot_ways(results["moons"], axes["B"])
    numpy = ratio(results, "moons", "NumPy", MOONS)
    axes["B"].set_title(f"The moons network, one sample per step: NumPy takes {numpy:.0f} times as long")
    ax = axes["C"]
    curves = results["growth"]["steps"]
    for (name, curve), marker in zip(curves.items(), "os^vDPX", strict=False):
        ax.plot(curve["x"], curve["y"], marker + "-", label=name, markersize=5)
    pays = crossing(curves["tf.function per step"], curves[OURS])
    ax.set(xscale="log", yscale="log", xlabel="steps", ylabel="seconds in all, compiling included")
    ax.set_title(f"Compiling is paid once: it pays from about {round(pays, -2):.0f} steps on")
    ax.legend(ncols=2)
    return figure


def crossing(rising: dict[str, Any], flat: dict[str, Any]) -> float:
    """Return the x from which on `rising` is above `flat`, by straight lines on log axes."""
    xs = [x for x in rising["x"] if x in flat["x"]]
    rising_at, flat_at = dict(zip(rising["x"], rising["y"], strict=True)), dict(zip(flat["x"], flat["y"], strict=True))
    gap = np.log([rising_at[x] / flat_at[x] for x in xs])
    last = np.flatnonzero(gap <= 0)[-1]  # the next point is above
    return float(np.exp(np.interp(0, gap[last : last + 2], np.log(xs[last : last + 2]))))


def tables(results: dict[str, Any], tablefmt: str = "simple") -> dict[str, str]:
    """Return all tables of the page docs/speed.md by their names."""
    machine = ", ".join(f"{name} {value or 'not installed'}" for name, value in results["machine"].items())
    return {
        "machine": f"{machine}; {results['images']}.",
        "softmax": way_table(results["softmax"], 550, tablefmt),
        "moons": way_table(results["moons"], 1400, tablefmt),
        "small": small_table(results["small"], tablefmt),
        "check": check_table(results["check"], tablefmt),
        "processes": process_table(results["processes"], tablefmt),
        **{kind: growth_table(curves, tablefmt) for kind, curves in results["growth"].items()},
        "bars": bar_table(bars(results), tablefmt),
    }


def renew(results: dict[str, Any], figure: bool = True) -> None:
    """Write the results, the tables of the page and the figure."""
    FILE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    readme.replace(tables(results, "pipe"))
    if figure:
        plotting.save(plot(results), ROOT / "figures", "speed")
