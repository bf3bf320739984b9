# SPDX-License-Identifier: GPL-2.0
"""The plots of the report. The same figures give the same bytes."""

import re

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402 - the backend has to be chosen first

from figures import SPDX  # noqa: E402

# Colours that stay apart for those who cannot tell red from green (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9",
           "#f0e442", "#000000")
MARKERS = "os^Dv<>x"

STYLE = {
    "svg.hashsalt": "vfs-filter",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "legend.frameon": False,
}


def save(plot, path):
    plot.savefig(path, format="svg", bbox_inches="tight",
                 metadata={"Date": None, "Creator": None})
    pyplot.close(plot)
    with open(path, encoding="utf-8") as file:
        declaration, rest = file.read().split("\n", 1)
    rest = re.sub(r"[ \t]+$", "", rest, flags=re.MULTILINE)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{declaration}\n<!-- {SPDX} -->\n{rest}")


def grouped_bars(path, groups, series, unit, line=None):
    """Bars side by side. series: name -> a value for each group, None for none.

    line is a value and what it stands for.
    """
    with pyplot.rc_context(STYLE):
        plot, axes = pyplot.subplots(figsize=(8, 3.4))
        width = 0.8 / len(series)
        for place, (name, values) in enumerate(series.items()):
            there = [(x, y) for x, y in enumerate(values) if y is not None]
            axes.bar([x + (place - (len(series) - 1) / 2) * width for x, _ in there],
                     [y for _, y in there], width, label=name)
        if line is not None:
            axes.axhline(line[0], color="black", linewidth=1, linestyle="--",
                         label=line[1])
        axes.set_xticks(range(len(groups)), groups, rotation=20, ha="right")
        axes.set_ylabel(unit)
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.24), ncols=3)
        save(plot, path)


def sideways_bars(path, panels, unit):
    """A panel beside the other.

    panels: title -> (name, value, number of the colour) from top to bottom.
    """
    with pyplot.rc_context(STYLE):
        rows = max(len(bars) for bars in panels.values())
        plot, all_axes = pyplot.subplots(
            1, len(panels), figsize=(10, 0.8 + 0.26 * rows), squeeze=False)
        for axes, (title, bars) in zip(all_axes[0], panels.items()):
            names, values, colours = zip(*bars)
            drawn = axes.barh(range(len(bars)), values,
                              color=[COLOURS[colour] for colour in colours])
            axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=2)
            axes.set_yticks(range(len(bars)), names)
            axes.invert_yaxis()
            axes.margins(x=0.15)
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.set_xlabel(unit)
            axes.set_title(title)
        plot.tight_layout()
        save(plot, path)


def lines(path, panels, unit):
    """A panel beside the other. panels: what is across -> {name: [(x, y), ...]}."""
    with pyplot.rc_context(STYLE):
        plot, all_axes = pyplot.subplots(
            1, len(panels), figsize=(max(7.5, 4 * len(panels)), 3.6), squeeze=False)
        for axes, (across, curves) in zip(all_axes[0], panels.items()):
            for place, (name, points) in enumerate(curves.items()):
                axes.plot([x for x, _ in points], [y for _, y in points],
                          marker=MARKERS[place % len(MARKERS)], label=name)
            ticks = sorted({x for points in curves.values() for x, _ in points})
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
            axes.minorticks_off()
            axes.yaxis.set_major_formatter("{x:,.12g}")
            axes.set_xlabel(across)
            axes.set_ylabel(unit)
            axes.grid(alpha=0.3)
        handles = {}
        for axes in all_axes[0]:
            handles |= {label: handle for handle, label
                        in zip(*axes.get_legend_handles_labels())}
        plot.tight_layout()
        plot.legend(handles.values(), handles.keys(), loc="upper center",
                    bbox_to_anchor=(0.5, 0.0), ncols=3)
        save(plot, path)
