# SPDX-License-Identifier: GPL-2.0
"""locks.py SCRATCH OPERATION - counts the instructions under each spinlock.

Reads what scripts/bench-profile has left in SCRATCH (build/bench/profile), the log of
each instruction of a machine that does nothing but OPERATION, and prints by function
that takes a spinlock: how often per operation, the median of the instructions from
when it has the lock until it gives it up, and both multiplied. Locks that are taken
under another count for that one as well, and are printed below it with a "+" for each.
"""

import collections
import pathlib
import statistics
import sys

from profile import SYSCALL, TRACE, Symbols, demangle

LOCK = "_raw_spin_lock", "_raw_spin_lock_irq", "_raw_spin_lock_irqsave", "_raw_spin_lock_bh", "_raw_spin_trylock"
UNLOCK = "_raw_spin_unlock", "_raw_spin_unlock_irq", "_raw_spin_unlock_irqrestore", "_raw_spin_unlock_bh"
HELPERS = "rust_helper_", "__raw_", "_raw_"


class Held:
    """A lock that is held, by the function that has taken it."""

    def __init__(self, taker):
        self.taker = taker
        self.count = 0


def addresses(log):
    for line in log:
        trace = TRACE.match(line)
        if trace:
            yield int(trace[1], 16)


def main():
    scratch, operation = pathlib.Path(sys.argv[1]), sys.argv[2]
    symbols = Symbols(scratch / "symbols")
    first = symbols.address(SYSCALL[operation.split("_")[0]])
    names = set(symbols.names)
    locks = {symbols.address(name) for name in LOCK if name in names}
    unlocks = {symbols.address(name) for name in UNLOCK if name in names}
    regions = collections.defaultdict(list)
    held, caller, operations, entering = [], None, 0, False
    with open(scratch / "log", "rb") as log:
        for address in addresses(log):
            if address == first:
                operations += 1
            if not operations:
                continue
            name = symbols.name(address)
            if address in locks:
                held.append(Held(tuple(h.taker[-1] for h in held) + (caller,)))
                entering = True
            elif address in unlocks and held:
                done = held.pop()
                regions[done.taker].append(done.count)
                entering = False
            else:
                # What it takes to get the lock is not yet under it.
                entering = entering and name in LOCK
                for lock in held[:-1] if entering else held:
                    lock.count += 1
            if not name.startswith(HELPERS):
                caller = name
    operations = max(operations - 1, 1)
    known = demangle(sorted({name for taker in regions for name in taker}))
    print(f"{operations} operations")
    print("   often    held   per operation")
    for taker, counts in sorted(regions.items()):
        often, median = len(counts) / operations, statistics.median(counts)
        if often < 0.1:
            continue
        print(f"{often:8.2f} {median:7.0f} {often * median:7.0f}   {'+' * (len(taker) - 1)}{known[taker[-1]]}")


if __name__ == "__main__":
    main()
