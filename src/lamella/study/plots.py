"""Pictures of studies; they need matplotlib."""

from __future__ import annotations

from typing import Any

from lamella.errors import ArgumentError
from lamella.study.range_test import RangeTest
from lamella.study.study import Study, typical

_LINE, _SPREAD, _WARNING = "#0072b2", "#56b4e9", "#d55e00"


def new_axes() -> Any:
    """Axes of a new figure.

    Raises:
        ImportError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Pictures of a study are drawn with matplotlib: pip install 'lamella[study]'") from error
    return Figure(figsize=(7, 4.2), layout="constrained").subplots()


def plot_study(study: Study, name: str = "learning_rate", axes: Any = None) -> Any:
    """Draws the loss that each run ended with against a setting, both on logarithmic axes where all are above 0.

    The line is the median of the runs that did not diverge, the band goes from the least to the greatest. Where half of
    the runs diverge, the ground is shaded. Below the axis stand the values that were best with each seed.

    Args:
        study: What is drawn.
        name: A setting that is a number.
        axes: Where to draw; new ones by default. `axes.figure.savefig("study.png")` keeps the picture.

    Raises:
        ArgumentError: No setting of this name, or one that is no number.
        ImportError: matplotlib is missing.
    """
    values: list[Any] = [run.settings.get(name) for run in study.runs]
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        raise ArgumentError(
            f"plot() draws against a setting that is a number in every run; {name!r} is not. There are: "
            f"{list(study.runs[0].settings)}."
        )
    axes = new_axes() if axes is None else axes
    places = sorted(set(values))
    ended = {
        place: [run.last(study.judged_by) for run in study.runs if run.settings[name] == place and not run.diverged]
        for place in places
    }
    kept = [place for place in places if ended[place]]
    axes.fill_between(
        kept, [min(ended[p]) for p in kept], [max(ended[p]) for p in kept], color=_SPREAD, alpha=0.35, linewidth=0
    )
    axes.plot(kept, [typical(ended[p]) for p in kept], "o-", color=_LINE, markersize=4, label="median of the seeds")
    before = typical([run.before for run in study.runs])
    axes.axhline(before, color="black", linestyle=":", linewidth=0.8, label="before training")
    if all(place > 0 for place in places):
        axes.set_xscale("log")
    if all(value > 0 for each in ended.values() for value in each):
        axes.set_yscale("log")
    edge = study.edge(name)
    if edge is not None:
        axes.axvspan(edge, places[-1], color=_WARNING, alpha=0.15, linewidth=0)
        axes.axvline(edge, color=_WARNING, linewidth=1, label=f"diverges from {edge:.2g} on")
    best = [settings[name] for settings in study.best_by_seed.values()]
    axes.plot(best, [0.02] * len(best), "^", color="black", transform=axes.get_xaxis_transform(), label="best by seed")
    axes.set(xlabel=name.replace("_", " "), ylabel=f"{study.judged_by.replace('_', ' ')} after training")
    axes.legend(frameon=False)
    return axes


def plot_range_test(test: RangeTest, axes: Any = None) -> Any:
    """Draws the loss of a range test against the rate.

    Args:
        test: What is drawn.
        axes: Where to draw; new ones by default.

    Raises:
        ImportError: matplotlib is missing.
    """
    axes = new_axes() if axes is None else axes
    axes.plot(test.rates, test.losses, color=_SPREAD, linewidth=0.8, alpha=0.7, label="each step")
    axes.plot(test.rates, test.smoothed, color=_LINE, label="smoothed")
    axes.axvline(test.steepest, color="black", linestyle=":", label=f"falls quickest at {test.steepest:.2g}")
    axes.axvline(test.edge, color=_WARNING, linestyle=":", label=f"least at {test.edge:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.set_ylim(top=1.1 * max(test.smoothed))
    axes.legend(frameon=False)
    return axes
