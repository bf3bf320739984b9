# SPDX-License-Identifier: GPL-2.0
"""What the costs are meant to be, and whether they are.

Every target is a ratio of two figures and a limit. Older classes are taken on the
kernel without the series, since that is what is there today.
"""

from dataclasses import dataclass
from typing import Callable

from figures import Missing

OPS = ("pwrite_1", "pwrite_4k", "pread_1", "pread_4k", "open_close",
       "create_unlink", "rename", "stat", "mmap_fault", "mmap_read_fault")

FEW, MANY = "10", "1000000"


@dataclass(frozen=True)
class Target:
    what: str
    limit: str
    ratio: Callable  # of the figures: the ratio, and what else is to be said
    met: Callable  # of the ratio


@dataclass(frozen=True)
class Outcome:
    target: Target
    measured: str
    met: str


def cost(figures, where):
    return figures.get(*where).median


def plain_ratio(figures, one, other):
    a, b = cost(figures, one), cost(figures, other)
    return a / b, f"{a:,.0f} against {b:,.0f}"


def ratio(one, other):
    return lambda figures: plain_ratio(figures, one, other)


def worst_op(machine, state):
    """The operation that has become dearest by proportion, of all of them."""
    def measure(figures):
        return max(
            (plain_ratio(figures, (machine, state, op),
                         ("unpatched", "unwatched", op))[0], op)
            for op in OPS)
    return measure


def at_most(limit):
    # A ratio that is equal but for how floating point rounds is not above.
    return lambda value: value <= limit + 1e-9


def within(limit):
    return lambda value: abs(value - 1) <= limit + 1e-9


def unwatched_targets():
    for machine, state, what in (
            ("patched", "unwatched", "the module not inserted"),
            ("module", "unwatched", "no group"),
            ("module", "other_fs", "a group on another file system"),
            ("module", "other_file", "a group on another file")):
        yield Target(f"unwatched file, {what}, to unpatched; worst operation",
                     "at most 1.003", worst_op(machine, state), at_most(1.003))


def checkpoint_targets():
    for state, what in (("flush", "flush"), ("flush_sync", "flush and sync"),
                        ("barrier", "barrier")):
        yield Target(f"checkpoint of 1,000,000 to that of 10: {what}",
                     "1 within 0.05",
                     ratio(("module", state, MANY), ("module", state, FEW)),
                     within(0.05))


TARGETS = (
    *unwatched_targets(),
    Target("ignored inode to unwatched, 1-byte pwrite", "at most 1.1",
           ratio(("module", "ignored", "pwrite_1"),
                 ("module", "unwatched", "pwrite_1")), at_most(1.1)),
    Target("evictable ignored inode to unwatched, 1-byte pwrite", "at most 1.1",
           ratio(("module", "ignored_evictable", "pwrite_1"),
                 ("module", "unwatched", "pwrite_1")), at_most(1.1)),
    Target("PRE round trip to FAN_PRE_ACCESS's, 1-byte pread", "at most 0.9",
           ratio(("module", "pre", "pread_1"),
                 ("unpatched", "pre_access", "pread_1")), at_most(0.9)),
    Target("POST to FAN_MODIFY with FID reporting, 1-byte pwrite", "at most 0.8",
           ratio(("module", "post", "pwrite_1"),
                 ("unpatched", "notif", "pwrite_1")), at_most(0.8)),
    *(Target("first touch with FAN_RESPONSE_IGNORE to answer and mark, 1-byte pwrite;"
             f" the mark by {what}", "at most 0.6",
             ratio(("module", "first_touch_response", "pwrite_1"),
                   ("module", state, "pwrite_1")), at_most(0.6))
      for state, what in (("first_touch_mark", "the event's file handle"),
                          ("first_touch_mark_fd", "a descriptor at hand"))),
    *checkpoint_targets(),
)


def judge(figures):
    """Yields an Outcome for each target."""
    for target in TARGETS:
        try:
            value, detail = target.ratio(figures)
        except Missing as missing:
            yield Outcome(target, f"not measured: {missing}", "unknown")
            continue
        yield Outcome(target, f"{value:.4f} ({detail})",
                      "met" if target.met(value) else "**not met**")
