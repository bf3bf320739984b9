# SPDX-License-Identifier: GPL-2.0
"""Tests of the report and of the comparison, on figures that are made up.

python3 -m unittest in this folder; scripts/check does. What draws is left out where
there is no matplotlib.
"""

import contextlib
import filecmp
import importlib.util
import io
import os
import tempfile
import unittest

import check
import figures
import targets

HAVE_PLOTS = importlib.util.find_spec("matplotlib") is not None


def make(state, op, value, machine="module", unit="instructions", section="cost"):
    return figures.Figure(machine, section, state, op, unit, (float(value),))


def meeting_all_targets():
    """Figures with which each target is met, by (machine, state, op)."""
    cost = {}
    for op in targets.OPS:
        cost["unpatched", "unwatched", op] = 1000
        cost["patched", "unwatched", op] = 1001
        for state in ("unwatched", "other_fs", "other_file"):
            cost["module", state, op] = 1002
    cost["module", "ignored", "pwrite_1"] = 1050
    cost["module", "ignored_evictable", "pwrite_1"] = 1100
    cost["module", "pre", "pread_1"] = 9000
    cost["unpatched", "pre_access", "pread_1"] = 10000
    cost["module", "post", "pwrite_1"] = 3000
    cost["unpatched", "notif", "pwrite_1"] = 4000
    cost["module", "first_touch_response", "pwrite_1"] = 6000
    cost["module", "first_touch_mark", "pwrite_1"] = 20000
    cost["module", "first_touch_mark_fd", "pwrite_1"] = 10000
    for state in ("flush", "flush_sync", "barrier"):
        cost["module", state, "10"] = 500
        cost["module", state, "1000000"] = 520
    return cost


def judged(cost):
    """What becomes of each target, by its text."""
    run = figures.Figures(make(state, op, value, machine)
                          for (machine, state, op), value in cost.items())
    return {outcome.target.what: outcome.met for outcome in targets.judge(run)}


class Samples(unittest.TestCase):
    def test_median_and_spread_leave_out_the_outer_tenths(self):
        figure = figures.Figure("module", "cost", "pre", "stat", "instructions",
                                (1.0, 100, 100, 100, 101, 102, 102, 103, 104, 9999))
        self.assertEqual(figure.median, 101.5)
        self.assertAlmostEqual(figure.spread, 4 / 101.5)
        self.assertTrue(figure.flagged)

    def test_a_few_samples_all_count(self):
        figure = figures.Figure("module", "cost", "pre", "stat", "instructions",
                                (1000.0, 1005.0))
        self.assertAlmostEqual(figure.spread, 5 / 1002.5)
        self.assertFalse(figure.flagged)

    def test_only_instructions_are_flagged(self):
        figure = figures.Figure("module", "scale", "pre", "tasks_2", "ns", (1.0, 9.0))
        self.assertFalse(figure.flagged)


class Lines(unittest.TestCase):
    def test_a_figure(self):
        figure = figures.parse_line("pre\tstat\tinstructions\t1 2.5", "module", "cost")
        self.assertEqual(figure.samples, (1, 2.5))

    def test_what_is_no_figure(self):
        for line in ("pre\tstat\tinstructions", "pre\tstat\tmiles\t1",
                     "pre\tstat\tns\t", "pre\tstat\tns\t0", "pre\tstat\tns\t1 nan",
                     "pre\tstat\tns\tx"):
            with self.assertRaises(ValueError, msg=line):
                figures.parse_line(line, "module", "cost")

    def test_one_figure_twice(self):
        with self.assertRaises(figures.Error):
            figures.Figures([make("pre", "stat", 1), make("pre", "stat", 2)])


class Targets(unittest.TestCase):
    def test_all_met(self):
        self.assertEqual(set(judged(meeting_all_targets()).values()), {"met"})

    def test_each_can_be_missed(self):
        dear = [("patched", "unwatched", "rename"), ("module", "unwatched", "stat"),
                ("module", "other_fs", "pread_4k"), ("module", "other_file", "stat"),
                ("module", "ignored", "pwrite_1"),
                ("module", "ignored_evictable", "pwrite_1"),
                ("module", "pre", "pread_1"), ("module", "post", "pwrite_1"),
                ("module", "first_touch_response", "pwrite_1"),
                ("module", "flush", "1000000"), ("module", "flush_sync", "1000000"),
                ("module", "barrier", "1000000")]
        missed = set()
        for where in dear:
            cost = meeting_all_targets()
            cost[where] *= 2.5
            missed |= {what for what, met in judged(cost).items() if met != "met"}
        self.assertEqual(missed, {target.what for target in targets.TARGETS})

    def test_cheaper_with_many_is_not_equal_either(self):
        cost = meeting_all_targets()
        cost["module", "flush", "1000000"] = 400
        self.assertEqual(list(judged(cost).values()).count("**not met**"), 1)

    def test_what_is_not_measured_is_not_met(self):
        self.assertEqual(set(judged({}).values()), {"unknown"})


class Check(unittest.TestCase):
    KEY = ("pre", "pread_1", "instructions")

    def outcome(self, committed, measured, same_compilers=True):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            good = check.report(committed, measured, same_compilers)
        self.assertIn("1..1\n", out.getvalue())
        self.assertEqual(good, out.getvalue().startswith("ok"))
        return good, out.getvalue()

    def test_limits(self):
        for now, good, text in ((1000, True, "+0.0 %"), (1020, True, "+2.0 %"),
                                (1021, False, "2.1 % worse"),
                                (980, True, "-2.0 %"), (900, True, "10.0 % better")):
            result, out = self.outcome({self.KEY: 1000.0}, {self.KEY: float(now)})
            self.assertEqual(result, good, now)
            self.assertIn(text, out)

    def test_what_waits_has_a_wider_limit(self):
        key = ("flush_sync", "10", "instructions")
        self.assertTrue(self.outcome({key: 1000.0}, {key: 1080.0})[0])
        self.assertFalse(self.outcome({key: 1000.0}, {key: 1081.0})[0])

    def test_figures_that_come_and_go(self):
        self.assertFalse(self.outcome({self.KEY: 1000.0}, {})[0])
        self.assertFalse(self.outcome({}, {self.KEY: 1000.0})[0])

    def test_other_compilers(self):
        result, out = self.outcome({self.KEY: 1000.0}, {self.KEY: 9999.0}, False)
        self.assertTrue(result)
        self.assertIn("# SKIP", out)

    def test_what_is_written_can_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "check.csv")
            check.write_committed(path, {self.KEY: 12.25}, "clang; gcc")
            self.assertEqual(check.read_committed(path),
                             ({self.KEY: 12.25}, "clang; gcc"))


def write_run(folder):
    """A run with all sections, as scripts/bench leaves it."""
    lines = {(machine, section): [] for machine in figures.MACHINES
             for section in ("cost", "checkpoint", "work", "scale")}
    for (machine, state, op), value in meeting_all_targets().items():
        section = "checkpoint" if op.isdigit() else "cost"
        lines[machine, section].append(
            f"{state}\t{op}\tinstructions\t{value} {value + 1} {value}\n")
    for machine in figures.MACHINES:
        lines[machine, "work"].append("journal_off\tuntar\tinstructions\t5e9\n")
        for count, value in ((2, 100), (64, 900)):
            lines[machine, "scale"].append(f"post\ttasks_{count}\tns\t{value}\n")
    for (machine, section), some in lines.items():
        os.makedirs(os.path.join(folder, machine), exist_ok=True)
        with open(os.path.join(folder, machine, f"{section}.tsv"), "w",
                  encoding="utf-8") as file:
            file.writelines([f"# made of: {machine}-1\n", *some])
    with open(os.path.join(folder, "about.tsv"), "w", encoding="utf-8") as file:
        for machine in figures.MACHINES:
            file.write(f"made of {machine}\t{machine}-1\n")
        file.write("kernel\tLinux 7.3.4\n")


class Run(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        write_run(os.path.join(self.folder, "run"))

    def test_figures_of_another_kernel_are_refused(self):
        path = os.path.join(self.folder, "run", "module", "cost.tsv")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("module-1", "module-2"))
        with self.assertRaises(figures.Error):
            figures.read_run(os.path.join(self.folder, "run"))

    @unittest.skipUnless(HAVE_PLOTS, "no matplotlib")
    def test_the_same_figures_give_the_same_bytes(self):
        import report

        trees = []
        for name in ("one", "two"):
            docs = os.path.join(self.folder, name)
            unknown = report.write_report(os.path.join(self.folder, "run"), docs,
                                          os.path.join(docs, "results"))
            self.assertEqual(unknown, [])
            trees.append(sorted(os.path.relpath(os.path.join(place, file), docs)
                                for place, _, files in os.walk(docs) for file in files))
        self.assertEqual(trees[0], trees[1])
        self.assertIn("performance/checkpoint.svg", trees[0])
        same, *others = filecmp.cmpfiles(*(os.path.join(self.folder, name)
                                           for name in ("one", "two")),
                                         trees[0], shallow=False)
        self.assertEqual(others, [[], []])
        self.assertEqual(sorted(same), trees[0])
        with open(os.path.join(self.folder, "one", "performance.md"),
                  encoding="utf-8") as file:
            self.assertNotIn("not met", file.read())


if __name__ == "__main__":
    unittest.main()
