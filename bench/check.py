#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""check.py [--update] --compilers TEXT MEASURED.tsv COMMITTED.csv

Compares figures that were just taken with the committed ones, and writes TAP: one
that is more than 2 % worse has failed, one more than 2 % better is remarked upon.
Where a call waits for a grace period the limit is wider, see LIMITS. With --update
the committed ones are written instead. Called by scripts/bench.

Another compiler makes other instructions of the same source, so figures taken with
other compilers than the committed ones are shown, and not judged.
"""

import argparse
import csv
import sys

from figures import SPDX, Error, number, read_tsv

LIMIT = 0.02

# What has to be done for a grace period to end depends on what else is to be done
# then, which is one of several things: the same kernel has several figures.
LIMITS = {"flush_sync": 0.08, "barrier": 0.2}
COLUMNS = ["state", "op", "unit", "median"]
COMPILERS = "# compilers: "


def read_measured(path):
    figures, _ = read_tsv(path, "check", "check")
    return {(f.state, f.op, f.unit): f.median for f in figures}


def read_committed(path):
    """The figures, and the compilers that they are of."""
    compilers, lines = None, []
    with open(path, encoding="utf-8", newline="") as file:
        for line in file:
            if line.startswith(COMPILERS):
                compilers = line[len(COMPILERS):].rstrip("\n")
            elif not line.startswith("#"):
                lines.append(line)
    rows = csv.DictReader(lines)
    if rows.fieldnames != COLUMNS:
        raise Error(f"{path}: the columns are not {','.join(COLUMNS)}")
    return {(row["state"], row["op"], row["unit"]): float(row["median"])
            for row in rows}, compilers


def write_committed(path, measured, compilers):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {SPDX}\n"
                   "# What make bench-check compares with; scripts/bench --check"
                   " --update writes it.\n"
                   f"{COMPILERS}{compilers}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for key, median in sorted(measured.items()):
            table.writerow([*key, number(median)])


def compare(before, now, limit):
    """Whether that is good enough, and in words what has changed."""
    change = now / before - 1
    # What is just the limit is not above, however floating point rounds.
    if change > limit + 1e-9:
        return False, f"{100 * change:.1f} % worse than {before:,.0f}"
    if change < -limit - 1e-9:
        return True, (f"{-100 * change:.1f} % better than {before:,.0f}:"
                      " commit it with scripts/bench --check --update")
    return True, f"{round(100 * change, 1) + 0.0:+.1f} %"


def judge(key, committed, measured, same_compilers):
    state, op, unit = key
    if key not in measured:
        return False, f"{state} {op}: not measured any more"
    text = f"{state} {op}: {measured[key]:,.0f} {unit}"
    if key not in committed:
        return False, f"{text}, and none committed: scripts/bench --check --update"
    good, change = compare(committed[key], measured[key], LIMITS.get(state, LIMIT))
    if not same_compilers:
        return True, f"{text}, {change} # SKIP other compilers"
    return good, f"{text}, {change}"


def report(committed, measured, same_compilers):
    """Writes TAP. Returns whether nothing has failed."""
    keys = sorted(committed.keys() | measured.keys())
    all_good = True
    for count, key in enumerate(keys, 1):
        good, text = judge(key, committed, measured, same_compilers)
        print(f"{'ok' if good else 'not ok'} {count} {text}")
        all_good &= good
    print(f"1..{len(keys)}")
    return all_good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--compilers", required=True)
    parser.add_argument("measured")
    parser.add_argument("committed")
    args = parser.parse_args()
    measured = read_measured(args.measured)
    if args.update:
        write_committed(args.committed, measured, args.compilers)
        return 0
    committed, compilers = read_committed(args.committed)
    if compilers != args.compilers:
        print(f"# committed: {compilers}\n# here: {args.compilers}")
    return 0 if report(committed, measured, compilers == args.compilers) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Error, OSError) as error:
        sys.exit(f"check.py: {error}")
