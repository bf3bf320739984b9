# SPDX-License-Identifier: GPL-2.0
"""profile.py SCRATCH OPERATION COMMAND... - counts the instructions of each function.

COMMAND boots a virtual machine, the monitor of which is at SCRATCH/monitor, and says
"going" when it does nothing but OPERATION. It is made to log each instruction for a
while, and is ended then. Called by scripts/bench-profile.
"""

import bisect
import collections
import pathlib
import re
import socket
import subprocess
import sys
import time

# What an operation begins with, to count them.
SYSCALL = {
    "pwrite": "__x64_sys_pwrite64",
    "pread": "__x64_sys_pread64",
    "open": "__x64_sys_openat",
    "create": "__x64_sys_unlink",
    "rename": "__x64_sys_rename",
    "stat": "__x64_sys_newfstatat",
    "mmap": "asm_exc_page_fault",
}
TRACE = re.compile(rb"Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
WARM_UP = 5  # seconds, at full speed
LOGGED = 3  # seconds, of which the first few operations are enough
LEAST = 20  # operations


def monitor(path, *commands):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        for command in commands:
            sock.sendall(command.encode() + b"\n")
            time.sleep(0.5)


def run(scratch, command):
    """Has a log written of what the machine does when it is at it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as machine:
        for line in machine.stdout:
            if line.strip() == b"going":
                break
            sys.stderr.buffer.write(line)
        else:
            sys.exit("profile: the machine did not get to the operation")
        time.sleep(WARM_UP)
        monitor(
            scratch / "monitor",
            f"logfile {scratch}/log",
            "one-insn-per-tb on",
            "log exec,nochain",
        )
        time.sleep(LOGGED)
        monitor(scratch / "monitor", "log none", "quit")


class Symbols:
    def __init__(self, path):
        found = []
        for line in path.read_text().splitlines():
            address, kind, name = line.split()[:3]
            if kind in "tTwW":
                found.append((int(address, 16), name))
        found.sort()
        self.addresses = [address for address, _ in found]
        self.names = [name for _, name in found]

    def name(self, address):
        if address < 1 << 63:
            return "(user space)"
        return self.names[bisect.bisect(self.addresses, address) - 1]

    def address(self, name):
        return self.addresses[self.names.index(name)]


def demangle(names):
    filtered = subprocess.run(
        ["llvm-cxxfilt"], input="\n".join(names), text=True, capture_output=True, check=True
    )
    return dict(zip(names, filtered.stdout.splitlines()))


def main():
    scratch, operation, command = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    run(scratch, command)
    symbols = Symbols(scratch / "symbols")
    first = symbols.address(SYSCALL[operation.split("_")[0]])
    counts = collections.Counter()
    pending = collections.Counter()
    operations = -1
    with open(scratch / "log", "rb") as log:
        for line in log:
            trace = TRACE.match(line)
            if not trace:
                continue
            address = int(trace[1], 16)
            if address == first:
                # What was before the first one, and after the last, is not whole.
                if operations >= 0:
                    counts += pending
                pending.clear()
                operations += 1
            pending[address] += 1
    if operations < LEAST:
        sys.exit(f"profile: {max(operations, 0)} operations in {LOGGED} seconds are too few")

    by_name = collections.Counter()
    for address, count in counts.items():
        by_name[symbols.name(address)] += count
    names = demangle(list(by_name))
    print(f"{sum(counts.values()) / operations:10.1f} of {operations} operations")
    for name, count in by_name.most_common():
        print(f"{count / operations:10.1f} {names[name]}")


if __name__ == "__main__":
    main()
