#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py FIGURES DOCS RESULTS

Writes the report of a run of scripts/bench: from the figures in the folder FIGURES,
DOCS/performance.md with its plots in DOCS/performance/, and all figures in
RESULTS/figures.csv and figures.json. The same figures give the same bytes. Fails if a
figure that a target needs is not there, after everything else was written.
"""

import argparse
import os
import re
import sys

import plots
from figures import (MACHINES, SPREAD_LIMIT, Error, read_run, write_csv,
                     write_json)
from targets import MANY, OPS, judge

NAMES = {
    "unpatched": "unpatched",
    "patched": "patched, no module",
    "module": "patched, module",
}

STATES = {
    "unwatched": "unwatched",
    "other_fs": "group on another file system",
    "other_file": "group on another file",
    "ignored": "ignored",
    "ignored_evictable": "ignored, evictable mark",
    "pre": "PRE",
    "post": "POST",
    "both": "PRE and POST",
    "inotify": "inotify",
    "notif": "FAN_CLASS_NOTIF, FID",
    "notif_name": "FAN_CLASS_NOTIF, DFID_NAME",
    "notif_ignored": "FAN_CLASS_NOTIF, ignored (evictable)",
    "notif_other_file": "FAN_CLASS_NOTIF on another file",
    "pre_access": "FAN_PRE_ACCESS",
    "access_perm": "FAN_ACCESS_PERM",
    "open_perm": "FAN_OPEN_PERM",
    "bpf_lsm": "BPF LSM, ring buffer",
    "fuse": "FUSE",
    "fuse_passthrough": "FUSE passthrough",
    "flush": "flush",
    "flush_sync": "flush and sync",
    "barrier": "barrier",
    "upstream_flush": "FAN_MARK_FLUSH",
    "upstream_remove": "mark by mark",
    "journal_off": "no journal",
    "journal_on": "journal",
    "upstream_mark_add": "FAN_MARK_ADD, ignore, evictable",
}

# The peers' states, on the kernel that they exist on without the series.
OLDER = ("inotify", "notif", "notif_name", "notif_ignored", "pre_access",
         "access_perm", "open_perm", "bpf_lsm", "fuse", "fuse_passthrough")
NEWER = ("ignored", "ignored_evictable", "pre", "post", "both")

# What was seen on an unpatched 7.3.4 before there was this program.
SEEN = (
    ("unwatched", "pwrite_1", 1720), ("unwatched", "pread_1", 1292),
    ("notif_ignored", "pwrite_1", 2314), ("inotify", "pwrite_1", 3436),
    ("notif", "pwrite_1", 4448), ("notif_name", "pwrite_1", 5564),
    ("pre_access", "pread_1", 12753), ("access_perm", "pread_1", 12926),
    ("upstream_mark_add", "evictable_ignore", 4117),
)
SEEN_FLUSH = 575  # by mark

# Written by hand: why what is not met is not.
REMAINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remains.md")

NONE = "–"
FLAG = " †"


def name_of(state):
    return STATES.get(state, state.replace("_", " "))


def amount(value):
    """A figure as it is read: four digits at least, and no fraction that is 0."""
    if value >= 1e7:
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}".removesuffix(".0")


def change(value, base):
    """By how much value is more than base: in per cent, or how many times as much."""
    if value >= 2 * base:
        return f"× {value / base:.1f}"
    per_cent = round(100 * (value / base - 1), 1)
    return f"{per_cent + 0.0:+.1f} %"


def cell(figure, base=None):
    if figure is None:
        return NONE
    text = amount(figure.median) + (FLAG if figure.flagged else "")
    if base is not None and base is not figure:
        text += f" ({change(figure.median, base.median)})"
    return text


def table(header, rows, words=1):
    """A table whose columns are to the right, but for the first ones, of words."""
    lines = [header, ["---"] * words + ["---:"] * (len(header) - words), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(name, text):
    return f"![{text}](performance/{name}.svg)"


def medians(figures, machine, state, ops):
    found = [figures.find(machine, state, op) for op in ops]
    return [figure and figure.median for figure in found]


def excess(figures, one, base, ops):
    """By how many per cent the state one costs more than base, by operation."""
    pairs = zip(medians(figures, *one, ops), medians(figures, *base, ops))
    return [100 * (a / b - 1) if a and b else None for a, b in pairs]


class Report:
    """Puts the parts together: text, tables, and plots in files of their own."""

    def __init__(self, figures, about, folder):
        self.figures = figures
        self.about = about
        self.folder = folder
        self.parts = []

    def add(self, *parts):
        self.parts += parts

    def plot(self, name, text, draw, *args, **kwargs):
        draw(os.path.join(self.folder, f"{name}.svg"), *args, **kwargs)
        self.add(picture(name, text))

    def text(self):
        return "\n\n".join(self.parts) + "\n"

    def op_table(self, columns, base):
        """By operation and (machine, state, title), beside the column base."""
        rows = []
        for op in OPS:
            first = self.figures.find(*base, op)
            rows.append([op] + [cell(self.figures.find(machine, state, op), first)
                                for machine, state, _ in columns])
        self.add(table(["operation"] + [title for *_, title in columns], rows))


def intro(report):
    flagged = sum(figure.flagged for figure in report.figures.all)
    report.add(
        "# Performance",
        "Written by `make bench`, which takes all figures anew; do not edit."
        " The figures with all samples are in [figures.csv](../bench/results/figures.csv)"
        " and [figures.json](../bench/results/figures.json), the programs in `bench/`.",
        "Except where it says otherwise, a figure is **executed instructions per"
        " operation**, of the kernel and of all processes that take part, a listener"
        " included: the machine is emulated with one CPU, and its clock counts"
        " instructions. So the figures do not depend on the machine that this runs on."
        " They know nothing of caches and of other CPUs. A figure is the median of its"
        " samples, each the mean of many operations; the spread is their range, without"
        " the highest and lowest tenth, by the median."
        f" {flagged} of {len(report.figures.all)} figures have a spread of more than"
        f" {100 * SPREAD_LIMIT:.1f} %; they have a †, and are listed at the end."
        " M are millions."
        " The files are on ext4 with default options, on a loop device in memory.",
        "Three machines: the kernel without the series (*unpatched*), with it"
        " (*patched, no module*), and with the module inserted (*patched, module*).")


def measured_with(report):
    rows = [[name, value.replace("|", "\\|")] for name, value
            in report.about.items() if not name.startswith("made of")]
    report.add("## Measured with")
    report.add("\n".join(f"- {name}: {value}" for name, value in rows))
    report.add("The kernels are built from `allnoconfig` and the fragments"
               " [kernel.config](../kernel.config) and [bench.config](../bench.config),"
               " the same for all; options that differ are those named above. The"
               " emulator runs with `-icount shift=0,sleep=off`.")


def targets(report):
    outcomes = list(judge(report.figures))
    report.add("## Targets", table(
        ["target", "limit", "measured", ""],
        [[o.target.what, o.target.limit, o.measured, o.met] for o in outcomes],
        words=4))
    with open(REMAINS, encoding="utf-8") as file:
        report.add(file.read().split("-->\n", 1)[1].strip())
    return [o for o in outcomes if o.met == "unknown"]


UNWATCHED = (
    ("patched", "unwatched", "patched, no module"),
    ("module", "unwatched", "module, no group"),
    ("module", "other_fs", "group on another file system"),
    ("module", "other_file", "group on another file"),
    ("unpatched", "notif_other_file", "unpatched, FAN_CLASS_NOTIF on another file"),
)


def unwatched(report):
    base = ("unpatched", "unwatched")
    report.add("## An unwatched file",
               "What everybody pays. Instructions per operation, and by how much that"
               " is more than on the unpatched kernel. With no group of the class, the"
               " hooks are branches that are patched out; with one, each looks at the"
               " interest masks of the file, its mount and its file system. As soon as a"
               " group of an older class watches anything there, each operation looks at"
               " these masks for its events, too; the last column is that alone.")
    report.op_table([(*base, "unpatched"), *UNWATCHED], base)
    report.plot("unwatched", "More instructions for an unwatched file",
                plots.grouped_bars, OPS,
                {title: excess(report.figures, (machine, state), base, OPS)
                 for machine, state, title in UNWATCHED},
                "% more instructions than unpatched", line=(0.3, "target"))


def watched(report):
    base = ("module", "unwatched")
    columns = [("module", state, name_of(state)) for state in ("pre", "post", "both")]
    report.add("## A watched file",
               "The file system is marked, and a listener in another process reads each"
               " event and answers each question at once. Its work is counted, and that"
               " of the scheduler between the two.")
    report.op_table([(*base, "unwatched"), *columns], base)
    report.plot("watched", "Instructions for a watched file",
                plots.grouped_bars, OPS,
                {title: medians(report.figures, machine, state, OPS)
                 for machine, state, title in [(*base, "unwatched"), *columns]},
                "instructions per operation")


IGNORED = (
    ("module", "ignored", "ignored"),
    ("module", "ignored_evictable", "ignored, evictable mark"),
    ("unpatched", "notif_ignored", "FAN_CLASS_NOTIF on unpatched, ignored (evictable)"),
)


def ignored(report):
    base = ("module", "unwatched")
    report.add("## An ignored file",
               "The file system is marked for the events of the operation, and the inode"
               " is ignored: what a journal leaves behind for each file that it knows of"
               " already. Beside it upstream's evictable ignore mark, with FAN_MODIFY, on"
               " the unpatched kernel.")
    report.op_table([(*base, "unwatched"), *IGNORED], base)
    report.plot("ignored", "More instructions for an ignored file",
                plots.grouped_bars, OPS,
                {title: excess(report.figures, (machine, state),
                               (machine, "unwatched"), OPS)
                 for machine, state, title in IGNORED},
                "% more than unwatched, same kernel", line=(10, "target of pwrite_1"))


TOUCH_OPS = ("pwrite_1", "pwrite_1_again")
TOUCHES = (
    ("module", "first_touch_unwatched", "no group"),
    ("module", "first_touch_response", "FAN_RESPONSE_IGNORE"),
    ("module", "first_touch_mark", "mark by the event's file handle, and answer"),
    ("module", "first_touch_mark_fd", "mark by a descriptor at hand, and answer"),
    ("unpatched", "first_touch_upstream",
     "FAN_PRE_ACCESS: mark by the event's descriptor, and answer"),
)


def first_touch(report):
    report.add("## The first touch",
               "The first write to a file in a period: the question, the answer, and the"
               " ignore mark that keeps the file quiet from then on. `FAN_RESPONSE_IGNORE`"
               " does the last two in one step; without it a listener calls"
               " `fanotify_mark()` and answers. In the first period there is no mark yet,"
               " in those that follow one that was flushed. 1-byte pwrite, listener"
               " included.")
    rows = []
    base = [report.figures.find("module", "first_touch_mark", op) for op in TOUCH_OPS]
    for machine, state, title in TOUCHES:
        found = [report.figures.find(machine, state, op) for op in TOUCH_OPS]
        rows.append([title, NAMES[machine]] +
                    [cell(figure, other) for figure, other in zip(found, base)])
    report.add(table(["", "kernel", "first period", "those that follow"], rows, words=2))


CHECKPOINT = ("flush", "flush_sync", "barrier")
UPSTREAM_CHECKPOINT = ("upstream_flush", "upstream_remove")


def checkpoint_columns():
    return ([("module", state, name_of(state)) for state in CHECKPOINT] +
            [("unpatched", state, name_of(state) + ", unpatched")
             for state in UPSTREAM_CHECKPOINT])


def inode_counts(figures):
    return sorted({figure.op for figure in figures.section("checkpoint")
                   if figure.op.isdigit()}, key=int)


def checkpoint(report):
    counts = inode_counts(report.figures)
    columns = checkpoint_columns()
    report.add("## A checkpoint",
               "All ignore masks of a group are dropped, so that each file is asked about"
               " again: with `FAN_MARK_FLUSH | FAN_MARK_IGNORE`, the same with"
               " `FAN_MARK_SYNC`, and a barrier, from the call until `FAN_Q_BARRIER` was"
               " read. Beside it what the unpatched kernel has: `FAN_MARK_FLUSH` of all"
               " inode marks, and removing one mark after the other. Instructions in all.")
    if not counts:
        report.add("Not measured.")
        return
    report.add(table(
        ["ignored inodes"] + [title for *_, title in columns],
        [[f"{int(count):,}"] + [cell(report.figures.find(machine, state, count))
                                for machine, state, _ in columns]
         for count in counts]))
    curves = {}
    for machine, state, title in columns:
        points = [(int(count), report.figures.find(machine, state, count))
                  for count in counts]
        curves[title] = [(x, figure.median) for x, figure in points if figure]
    report.plot("checkpoint", "Instructions for a checkpoint", plots.lines,
                {"ignored inodes": curves}, "instructions")


def million_marks(report):
    report.add("## A million marks",
               "What it takes to have them: memory by object, in the kernel's caches, and"
               " instructions to add an evictable ignore mark. Beside it what it takes to"
               " be rid of 1,000,000 at once.")
    rows = []
    for what, state, op, unit in (
            ("memory of a mark, bytes", "memory", "mark", "bytes"),
            ("memory of a connector, bytes", "memory", "connector", "bytes"),
            ("memory of an inode, bytes", "memory", "inode", "bytes"),
            ("add an ignore mark by name, instructions", "mark_add",
             "evictable_ignore", "instructions"),
            ("the same in FAN_CLASS_NOTIF, instructions", "upstream_mark_add",
             "evictable_ignore", "instructions"),
            ("add an ignore mark by descriptor, instructions", "mark_add",
             "evictable_ignore_fd", "instructions"),
            ("the same in FAN_CLASS_NOTIF, instructions", "upstream_mark_add",
             "evictable_ignore_fd", "instructions"),
            ("flush 1,000,000, instructions", "flush", MANY, "instructions"),
            ("flush and sync 1,000,000, instructions", "flush_sync", MANY,
             "instructions"),
            ("FAN_MARK_FLUSH of 1,000,000, instructions", "upstream_flush", MANY,
             "instructions"),
            ("remove 1,000,000 one by one, instructions", "upstream_remove", MANY,
             "instructions")):
        rows.append([what] + [cell(report.figures.find(machine, state, op, unit))
                              for machine in MACHINES])
    report.add(table([""] + [NAMES[machine] for machine in MACHINES], rows))


PEER_OPS = {"pwrite_1": "1-byte pwrite", "pread_1": "1-byte pread"}


def peers(report):
    figures = report.figures
    states = [("unpatched", "unwatched"), *(("module", state) for state in NEWER),
              *(("unpatched", state) for state in OLDER)]
    report.add("## Peers",
               "The same operations with what there is today, on the unpatched kernel,"
               " beside this class. Those that report an event include its reading,"
               " those that ask a question its answer by another process. The BPF program"
               " is on `file_permission` and writes to a ring buffer. FUSE is a file"
               " system in user space that passes everything on to the one below; its"
               " `strict_limit`, which slows down who writes a lot to it, is turned off.")
    rows, panels = [], {title: [] for title in PEER_OPS.values()}
    for machine, state in states:
        found = {op: figures.find(machine, state, op) for op in PEER_OPS}
        if not any(found.values()):
            continue
        rows.append([name_of(state), NAMES[machine]] +
                    [cell(figure, figures.find(machine, "unwatched", op))
                     for op, figure in found.items()])
        for op, figure in found.items():
            if figure:
                panels[PEER_OPS[op]].append(
                    (name_of(state), figure.median, int(state in OLDER)))
    header = ["", "kernel", *PEER_OPS.values()]
    report.add(table(header, rows, words=2),
               "In brackets: more than unwatched on that kernel.")
    panels = {title: bars for title, bars in panels.items() if bars}
    if panels:
        report.plot("peers", "Instructions beside peers", plots.sideways_bars,
                    panels, "instructions per operation")
    report.add("All operations, on the unpatched kernel:")
    present = [state for state in OLDER
               if any(figures.find("unpatched", state, op) for op in OPS)]
    report.add(table(["operation", "unwatched"] + [name_of(state) for state in present],
                     [[op] + [cell(figures.find("unpatched", state, op))
                              for state in ("unwatched", *present)] for op in OPS]))
    report.add("The same on the patched kernel with the module, which the older"
               " interfaces should not notice:")
    report.add(table(["operation", "unwatched"] + [name_of(state) for state in present],
                     [[op] + [cell(figures.find("module", state, op),
                                   figures.find("unpatched", state, op))
                              for state in ("unwatched", *present)] for op in OPS]))


NUMBERED = re.compile(r"(.+?)_(\d+)$")


def place_of(where):
    """The place of a (machine, state) in a table."""
    machine, state = where
    known = list(STATES)
    return (MACHINES.index(machine),
            known.index(state) if state in known else len(known), state)


def scaling(report):
    figures = report.figures.section("scale")
    report.add("## Scaling (indicative)",
               "By the clock, on several CPUs, so these are of the machine that they were"
               " taken on"
               f" ({report.about.get('wall clock', 'unknown')}), and only the order of"
               " magnitude says something: *tasks_N*, N processes that write a byte to a"
               " file of their own and one group; *groups_N*, one process and N groups, which"
               " watch another file where the state is unwatched.")
    kinds = {}
    for figure in figures:
        match = NUMBERED.match(figure.op)
        if match:
            kinds.setdefault((match[1], figure.unit), {}).setdefault(
                (figure.machine, figure.state), {})[int(match[2])] = figure
    if not kinds:
        report.add("Not measured.")
        return
    unit_names = {"ops_per_s": "operations per second", "ns": "ns per operation"}
    panels = {}
    for (kind, unit), curves in sorted(kinds.items()):
        counts = sorted({count for points in curves.values() for count in points})
        order = sorted(curves, key=place_of)
        report.add(table(
            [f"{kind}, {unit_names.get(unit, unit)}"] + [str(count) for count in counts],
            [[f"{name_of(state)}, {NAMES[machine]}"] +
             [cell(curves[machine, state].get(count)) for count in counts]
             for machine, state in order]))
        panels[f"number of {kind}"] = {
            name_of(state): [(count, figure.median) for count, figure
                             in sorted(curves[machine, state].items())]
            for machine, state in order if machine == "module"}
    panels = {kind: curves for kind, curves in panels.items() if curves}
    if panels:
        report.plot("scaling", "Scaling, by the clock", plots.lines, panels,
                    unit_names.get(unit, unit))


def real_work(report):
    figures = report.figures.section("work")
    report.add("## Real work",
               "Whole programs and the sync of the file system after them, in"
               " instructions: without a listener, and with `samples/journal` recording"
               " all changes, in a period that has just begun, which is when it costs"
               " most. What was waited is not counted. *stress_ng* is eleven of its"
               " stressors, in place of fsstress, which Debian does not have.")
    if not figures:
        report.add("Not measured.")
        return
    ops = list(dict.fromkeys(figure.op for figure in figures))
    columns = list(dict.fromkeys((figure.machine, figure.state) for figure in figures))
    columns.sort(key=lambda where: MACHINES.index(where[0]))
    base = columns[0]
    by_place = {(figure.machine, figure.state, figure.op): figure for figure in figures}
    report.add(table(
        ["work"] + [f"{name_of(state)}, {NAMES[machine]}" for machine, state in columns],
        [[op] + [cell(by_place.get((*where, op)), by_place.get((*base, op)))
                 for where in columns] for op in ops]))
    series = {}
    for where in columns[1:]:
        pairs = [(by_place.get((*where, op)), by_place.get((*base, op))) for op in ops]
        series[f"{name_of(where[1])}, {NAMES[where[0]]}"] = [
            100 * (a.median / b.median - 1) if a and b else None for a, b in pairs]
    if series:
        report.plot("work", "More instructions for real work", plots.grouped_bars,
                    ops, series, f"% more than {name_of(base[1])}, {NAMES[base[0]]}")


def checked(report):
    """The harness itself: figures that were known before it was there."""
    rows = []
    for state, op, before in SEEN:
        figure = report.figures.find("unpatched", state, op)
        if figure:
            rows.append([name_of(state), op, amount(before), cell(figure),
                         change(figure.median, before)])
    figure = report.figures.find("unpatched", "upstream_flush", MANY)
    if figure:
        by_mark = figure.median / int(MANY)
        rows.append(["FAN_MARK_FLUSH", "by mark", amount(SEEN_FLUSH), amount(by_mark),
                     change(by_mark, SEEN_FLUSH)])
    report.add("## The harness, checked",
               "Figures of an unpatched 7.3.4, taken by hand before this program was"
               " there. That kernel had fewer options.",
               table(["", "operation", "by hand", "here", "difference"], rows, words=2)
               if rows else "Not measured.")


def spreads(report):
    flagged = [figure for figure in report.figures.all if figure.flagged]
    report.add(f"## Spread above {100 * SPREAD_LIMIT:.1f} %",
               table(["kernel", "state", "operation", "median", "spread"],
                     [[NAMES[f.machine], name_of(f.state), f.op, amount(f.median),
                       f"{100 * f.spread:.2f} %"] for f in flagged], words=3)
               if flagged else "None.")


def write_report(source, docs, results):
    """Writes everything. Returns the targets that could not be judged."""
    figures, about = read_run(source)
    folder = os.path.join(docs, "performance")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(results, exist_ok=True)
    write_csv(figures, os.path.join(results, "figures.csv"))
    write_json(figures, about, os.path.join(results, "figures.json"))
    report = Report(figures, about, folder)
    intro(report)
    measured_with(report)
    unknown = targets(report)
    for part in (unwatched, watched, ignored, first_touch, checkpoint, million_marks,
                 peers, scaling, real_work, checked, spreads):
        part(report)
    with open(os.path.join(docs, "performance.md"), "w", encoding="utf-8") as file:
        file.write(report.text())
    return unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures")
    parser.add_argument("docs")
    parser.add_argument("results")
    args = parser.parse_args()
    unknown = write_report(args.figures, args.docs, args.results)
    for outcome in unknown:
        print(f"{outcome.target.what}: {outcome.measured}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Error, OSError) as error:
        sys.exit(f"report.py: {error}")
