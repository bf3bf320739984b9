# SPDX-License-Identifier: GPL-2.0
"""The figures that the programs in bench/ print: how they are read, what is said
of their samples, and how they are kept.

A figure is what one operation costs in one state on one machine. The programs
print one a line, "STATE<TAB>OP<TAB>UNIT<TAB>samples"; scripts/bench keeps these
lines in build/bench/MACHINE/SECTION.tsv. Lines that begin with "#" are remarks.
"""

import csv
import json
import math
import os
import statistics
from dataclasses import dataclass

SPDX = "SPDX-License-Identifier: GPL-2.0"

# The machines, in the order in which they are told of: the kernel without the
# series, with it, and with the module inserted as well.
MACHINES = ("unpatched", "patched", "module")
UNITS = ("instructions", "bytes", "ns", "ops_per_s")

# Samples of a count of instructions that differ by more are flagged.
SPREAD_LIMIT = 0.005


class Error(Exception):
    """Something that is wrong with the figures, to be told to the user."""


class Missing(Error):
    """A figure that was asked for was not taken."""


@dataclass(frozen=True)
class Figure:
    machine: str
    section: str
    state: str
    op: str
    unit: str
    samples: tuple

    @property
    def key(self):
        return (self.machine, self.section, self.state, self.op, self.unit)

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def spread(self):
        """The range of the samples by their median, without the outer tenths."""
        drop = len(self.samples) // 10
        kept = sorted(self.samples)[drop:len(self.samples) - drop]
        return (kept[-1] - kept[0]) / self.median

    @property
    def flagged(self):
        return self.unit == "instructions" and self.spread > SPREAD_LIMIT


class Figures:
    """All figures of a run, found by machine, state, operation and unit."""

    def __init__(self, figures):
        self.all = sorted(figures, key=lambda figure: figure.key)
        self._index = {}
        for figure in self.all:
            where = (figure.machine, figure.state, figure.op, figure.unit)
            if where in self._index:
                raise Error("there are two figures for " + ", ".join(where))
            self._index[where] = figure

    def find(self, machine, state, op, unit="instructions"):
        """The figure, or None where none was taken."""
        return self._index.get((machine, state, op, unit))

    def get(self, machine, state, op, unit="instructions"):
        figure = self.find(machine, state, op, unit)
        if figure is None:
            raise Missing(f"{state} {op} in {unit} on {machine}")
        return figure

    def section(self, section):
        return [figure for figure in self.all if figure.section == section]


def parse_samples(text):
    samples = tuple(float(word) for word in text.split())
    if not samples or not all(math.isfinite(x) and x > 0 for x in samples):
        raise ValueError("a sample that is not a number above 0")
    return samples


def parse_line(line, machine, section):
    fields = line.split("\t")
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields instead of 4")
    state, op, unit, samples = fields
    if unit not in UNITS:
        raise ValueError(f"no unit {unit}")
    return Figure(machine, section, state, op, unit, parse_samples(samples))


def read_tsv(path, machine, section):
    """The figures of a file, and its remarks of the form "# NAME: VALUE"."""
    figures, remarks = [], {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("#"):
                name, colon, value = line[1:].partition(":")
                if colon:
                    remarks[name.strip()] = value.strip()
            elif line:
                try:
                    figures.append(parse_line(line, machine, section))
                except ValueError as error:
                    raise Error(f"{path}:{number}: {error}") from None
    return figures, remarks


def read_about(path):
    """What the figures were taken with: lines of NAME<TAB>VALUE."""
    about = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, tab, value = line.rstrip("\n").partition("\t")
            if not tab:
                raise Error(f"{path}: not NAME<TAB>VALUE: {line.rstrip()}")
            about[name] = value
    return about


def read_run(folder):
    """All figures in a folder, which must be of the programs and kernels it names."""
    about = read_about(os.path.join(folder, "about.tsv"))
    figures = []
    for machine in MACHINES:
        place = os.path.join(folder, machine)
        names = os.listdir(place) if os.path.isdir(place) else []
        for name in sorted(name for name in names if name.endswith(".tsv")):
            path = os.path.join(place, name)
            some, remarks = read_tsv(path, machine, name[:-len(".tsv")])
            if remarks.get("made of") != about.get(f"made of {machine}"):
                raise Error(f"{path} is of another kernel, module or programs than"
                            " the last run, take it again")
            figures += some
    return Figures(figures), about


def number(value):
    """As few digits as say it: samples are means, so they have fractions."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def write_csv(figures, path):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {SPDX}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["machine", "section", "state", "op", "unit", "median",
                        "spread_percent", "flagged", "samples"])
        for figure in figures.all:
            table.writerow([*figure.key, number(figure.median),
                            number(100 * figure.spread),
                            "yes" if figure.flagged else "no",
                            " ".join(map(number, figure.samples))])


def write_json(figures, about, path):
    content = {
        "license": SPDX,
        "about": about,
        "figures": [{
            "machine": figure.machine,
            "section": figure.section,
            "state": figure.state,
            "op": figure.op,
            "unit": figure.unit,
            "median": round(figure.median, 3),
            "spread_percent": round(100 * figure.spread, 3),
            "flagged": figure.flagged,
            "samples": [round(x, 3) for x in figure.samples],
        } for figure in figures.all],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.write("\n")
