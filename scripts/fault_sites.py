# SPDX-License-Identifier: GPL-2.0
"""Which allocations in the source were seen to fail, see scripts/fault-sites.

Usage: fault_sites.py --src DIR --linux DIR --files FILE --stacks FILE
       --spared FILE --module FILE --kernel FILE

Prints TAP with a test for each place that allocates memory.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

# What allocates in C, where it is called.
C_CALL = re.compile(
    r"\b(?:k[vmzc]*alloc\w*|kmem_cache_z?alloc\w*|kmemdup\w*|kstrdup\w*|kasprintf"
    r"|anon_inode_getfile\w*|kobject_create_and_add|alloc_workqueue|alloc_percpu"
    r"|alloc_large_system_hash|mempool_init_\w+|pidfs_register_pid\w*|pidfd_prepare|init_srcu_struct\w*)\("
)
# Whatever allocates in Rust is given flags, or is a function of C.
RUST_CALL = re.compile(r"\bmemcg::gfp\(\)|\bGFP_[A-Z]+\w*|\bbindings::\w*alloc\w*\(")


class Site:
    """A call that allocates: a file, and the lines from its name to its end."""

    def __init__(self, file, first, last, text):
        self.file, self.first, self.last, self.text = file, first, last, text
        self.seen = False

    def covers(self, file, line):
        return file == self.file and self.first <= line <= self.last

    def __str__(self):
        return f"{self.file}:{self.first}: {self.text}"


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def closing(text, at):
    """Position behind the parenthesis that closes the one at this position."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return i
    return at


def opening(text, at):
    """Position of the parenthesis that this position is in, or -1."""
    depth = 0
    for i in range(at - 1, -1, -1):
        depth += {")": 1, "}": 1, "]": 1, "(": -1, "{": -1, "[": -1}.get(text[i], 0)
        if depth < 0:
            return i if text[i] == "(" else -1
    return -1


def c_sites(root, file, lines):
    """Those of a C file; if `lines` is not None, only those that begin in one of them."""
    raw = (root / file).read_text()
    text = re.sub(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', blank, raw, flags=re.S)
    for match in C_CALL.finditer(text):
        first = line_of(text, match.start())
        source = raw.split("\n")[first - 1]
        # A definition, a declaration, or a preprocessor line is no call.
        if not source.startswith("\t") or (lines is not None and first not in lines):
            continue
        last = line_of(text, closing(text, match.end() - 1))
        yield Site(file, first, last, source.strip())


def rust_sites(root, file):
    raw = (root / file).read_text()
    # Tests are last in their file, and what is there for them has their attribute.
    text = re.split(r"^#\[kunit_tests", raw, flags=re.M)[0]
    text = re.sub(r"//[^\n]*", blank, text)
    text = re.sub(r"^    #\[cfg\(CONFIG_KUNIT[^\n]*\n.*?^    }\n", blank, text, flags=re.M | re.S)
    text = re.sub(r"^use [^\n]*", blank, text, flags=re.M)
    for match in RUST_CALL.finditer(text):
        called = match.group().endswith("(")
        at = match.end() - 1 if called else opening(text, match.start())
        if at < 0:
            continue
        first = line_of(text, at)
        last = line_of(text, closing(text, at) if called else match.end())
        yield Site("src/" + file, first, last, raw.split("\n")[first - 1].strip())


def read_files(path):
    """Files of the kernel to be looked at, each with the lines that are new, or with none: all."""
    for line in Path(path).read_text().splitlines():
        file, *numbers = line.split()
        yield file, {int(n) for n in numbers} or None


def read_spared(path):
    """Pairs of a file and a part of a line in it, with the reason."""
    spared, key = {}, None
    for line in Path(path).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("\t") and key:
            spared[key] += line.strip() + " "
        else:
            key = tuple(line.split(": ", 1))
            spared[key] = ""
    return spared


def read_frames(path):
    """All functions that were on a stack, with offset and size, and if they are the module's."""
    frame = re.compile(r"^(\S+)\+0x([0-9a-f]+)/0x([0-9a-f]+)( \[vfs_filter\])?$")
    for line in sorted(set(Path(path).read_text().splitlines())):
        match = frame.match(line)
        if match:
            yield match[1], int(match[2], 16), int(match[3], 16), bool(match[4])


def symbols(elf):
    """Addresses and sizes by name. A name can have several."""
    table = {}
    out = subprocess.run(["llvm-nm", "-S", elf], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        fields = line.split()
        if len(fields) == 4:
            table.setdefault(fields[3], []).append((int(fields[0], 16), int(fields[1], 16)))
    return table


def lines_of(elf, addresses):
    """Files and lines that the addresses are of, with all that they were inlined into."""
    out = subprocess.run(
        ["llvm-addr2line", "-i", "-e", elf], check=True, capture_output=True, text=True,
        input="".join(f"{address:#x}\n" for address in addresses),
    ).stdout
    for line in out.splitlines():
        file, _, number = line.split(" ")[0].rpartition(":")
        if number.isdigit():
            yield file, int(number)


def seen_lines(elf, frames):
    """What the frames are of, and those of functions that are of another size here."""
    table, addresses, strange = symbols(elf), [], []
    for name, offset, size, _ in frames:
        of_name = table.get(name, [])
        fitting = [address for address, own in of_name if size - 16 < own <= size]
        # It returns to behind the call.
        addresses += [address + offset - 1 for address in fitting]
        if of_name and not fitting:
            strange.append(f"{name} has {size} bytes, and here {of_name}")
    return set(lines_of(elf, addresses)), strange


def main():
    parser = argparse.ArgumentParser()
    for option in ("src", "linux", "files", "stacks", "spared"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--module", required=True)
    parser.add_argument("--kernel", required=True)
    args = parser.parse_args()

    src, linux = Path(args.src).resolve(), Path(args.linux).resolve()
    sites = []
    for file in sorted(src.rglob("*.rs")):
        sites += rust_sites(src, str(file.relative_to(src)))
    for file, lines in read_files(args.files):
        sites += c_sites(linux, file, lines)

    frames = list(read_frames(args.stacks))
    seen, strange = set(), []
    for elf, of_module in ((args.module, True), (args.kernel, False)):
        lines, odd = seen_lines(elf, [frame for frame in frames if frame[3] == of_module])
        seen |= lines
        strange += odd
    for file, line in seen:
        for root, prefix in ((src, "src/"), (linux, "")):
            path = (linux / file).resolve()
            if path.is_relative_to(root):
                name = prefix + str(path.relative_to(root))
                for site in sites:
                    site.seen |= site.covers(name, line)

    spared, used = read_spared(args.spared), set()
    failed = 0
    for number, site in enumerate(sites, 1):
        keys = [key for key in spared if key[0] == site.file and key[1] in site.text]
        used.update(keys)
        good = site.seen != bool(keys)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} {site}")
        if site.seen and keys:
            print("# it was seen to fail, and need not be spared")
        elif not site.seen and not keys:
            print("# it was not seen to fail")
        for key in keys:
            print(f"# spared: {spared[key].strip()}")
    for key in spared.keys() - used:
        failed += 1
        print(f"not ok {len(sites) + 1} spared, and not there: {': '.join(key)}")
        sites.append(None)
    for odd in strange:
        print(f"# not compared: {odd}")
    print(f"1..{len(sites)}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
