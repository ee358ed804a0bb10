"""The plots of the results: dots of servers, and lines of how costs grow.

They are dark on their own light ground, so that a dark page shows them as well. Text is kept as text, and equal
figures give equal files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BACKGROUND, INK, FAINT, LINE = "#fbfcfe", "#1f2733", "#d5dbe5", "#2f6fde"
COLOURS = ("#2f6fde", "#e09f3e", "#9aa4b2")
OWN = "relay"
STEEP = 20
"""A figure that grows by more than so many times is drawn on a logarithmic scale."""


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "svg.hashsalt": "relay",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "figure.facecolor": BACKGROUND,
            "axes.facecolor": BACKGROUND,
            "axes.edgecolor": FAINT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9.5,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )
    return pyplot


def dots(
    file: Path, columns: Mapping[str, Mapping[str, float]], kinds: Mapping[str, str], order: Sequence[str]
) -> None:
    """Draw a panel for each title with a dot for each name; `kinds` gives each name's kind, `order` all kinds.

    The scale is logarithmic, as the figures are far apart: there a bar's length would mean nothing.
    """
    pyplot = _pyplot()
    from matplotlib import patches, ticker

    names = list(reversed(list(kinds)))
    size = (4.2 * len(columns), 0.36 * len(names) + 1.4)
    figure, axes = pyplot.subplots(1, len(columns), figsize=size, sharey=True)
    colours = {kind: COLOURS[number % len(COLOURS)] for number, kind in enumerate(order)}
    for axis, (title, values) in zip(axes, columns.items(), strict=True):
        for row, name in enumerate(names):
            axis.axhline(row, color=FAINT, linewidth=0.8, zorder=1)
            axis.plot([values[name]], [row], "o", color=colours[kinds[name]], markersize=8)
            axis.annotate(_brief(values[name]), (values[name], row), (8, 3), textcoords="offset points")
        axis.set_xscale("log")
        axis.margins(x=0.2, y=0.12)
        axis.set_yticks(range(len(names)), names)
        axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_title(title)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
    for label in axes[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == OWN else "normal")
    handles = [patches.Patch(color=colours[kind]) for kind in order]
    figure.legend(handles=handles, labels=list(order), loc="lower center", ncols=len(order), frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    _save(pyplot, figure, file)


def lines(file: Path, axis_name: str, points: Mapping[int, Mapping[str, float]]) -> None:
    """Draw a panel for each figure, over the numbers under which it was measured."""
    pyplot = _pyplot()
    from matplotlib import ticker

    numbers = sorted(points)
    titles = list(points[numbers[0]])
    figure, axes = pyplot.subplots(1, len(titles), figsize=(3.2 * len(titles), 2.5), squeeze=False)
    for axis, title in zip(axes[0], titles, strict=True):
        values = [points[number][title] for number in numbers]
        axis.plot(numbers, values, color=LINE, marker="o", markersize=4, linewidth=1.6)
        for number, value in zip(numbers, values, strict=True):
            axis.annotate(_brief(value), (number, value), (0, 6), textcoords="offset points", ha="center")
        axis.set_xscale("log")
        axis.set_xticks(numbers, [f"{number:,}" for number in numbers])
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        if min(values) > 0 and max(values) > STEEP * min(values):
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.3 * max(values))
        axis.margins(x=0.15, y=0.25)
        axis.grid(axis="y", color=FAINT, linewidth=0.6)
        axis.tick_params(length=0)
        axis.set_title(title)
        axis.set_xlabel(axis_name)
    figure.tight_layout()
    _save(pyplot, figure, file)


def _brief(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2g}" if figure < 10 else f"{figure:.0f}"


def _save(pyplot: Any, figure: Any, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
