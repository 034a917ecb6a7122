#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# claims-check.py [PAGE]: what the tables of claims.rst name is there, and what is
# there is in the tables. Each row is claim, where, breaks, tests. Breaks and tests are
# literals; the page says what they stand for. Says what is not so, and fails.

import glob
import os
import re
import sys

docs = "Documentation/mm/mmu_notifier"
page = sys.argv[1] if len(sys.argv) > 1 else f"{docs}/claims.rst"
native = "tools/testing/mmu_notifier"
guest = "tools/testing/selftests/mmu_notifier"
problems = []


def problem(nr, text):
    problems.append(f"{page}:{nr}: {text}")


def read(*patterns):
    """The text of all files that match"""
    files = sorted(f for p in patterns for f in glob.glob(p))
    if not files:
        sys.exit(f"claims-check.py: no {' '.join(patterns)}; run it where the Makefile is")
    return "\n".join(open(f, errors="replace").read() for f in files)


sched = set(re.findall(r'^\t\t"([\w-]+)",(?= "|$)', read(f"{native}/sched_*.c"), re.M))
unit = set(re.findall(r"^TEST_F\(\w+, (\w+)\)", read(f"{native}/unit.c"), re.M))
kunit = set(re.findall(r"KUNIT_CASE\w*\((\w+)", read("mm/tests/*_kunit.c")))
source = read("mm/mmu_notifier*.[ch]", "drivers/misc/mmu_monitor/*.[ch]")


def test_exists(test):
    kind, *rest = test.split()
    if kind == "fuzz":
        return not rest
    if kind == "guest" and 1 <= len(rest) <= 2:
        program = f"{guest}/{rest[0]}.c"
        return os.path.exists(program) and \
            (len(rest) == 1 or re.search(rf"\b{rest[1]}\b", read(program, f"{guest}/scn_*.c")))
    if len(rest) != 1:
        return False
    if kind == "litmus":
        return os.path.exists(f"{docs}/litmus/{rest[0]}.litmus")
    return rest[0] in {"sched": sched, "unit": unit, "kunit": kunit}.get(kind, ())


def path(name):
    where, base = (guest, name[6:]) if name.startswith("guest/") else (native, name)
    return f"{where}/busted/{base}.patch"


def found_by(patch):
    """The tests that a native patch names, as the page writes them; [] of a guest's"""
    m = re.search(r"^Found-by: (\w+) ?(.*)", patch, re.M)
    if not m:
        return []
    return [f"{m[1]} {case}" for case in m[2].split()] or [m[1]]


def check_break(nr, name, tests):
    if not os.path.exists(path(name)):
        problem(nr, f"no such break: {name}; it would be {path(name)}")
        return
    patch = open(path(name)).read()
    if name.startswith("guest/"):
        head = patch.split("\n---\n")[0]
        cases = [t.split()[-1] for t in tests if t.split()[0] in ("guest", "kunit")]
        if not any(re.search(rf"\b{c}", head) or f"{c.split('_')[0]}_*" in head for c in cases):
            problem(nr, f"{path(name)} says nothing of the row's tests: {', '.join(cases)}")
        return
    missing = [t for t in found_by(patch) if t not in tests and
               not (t == "unit" and any(u.startswith("unit ") for u in tests))]
    for t in missing:
        problem(nr, f"{path(name)} is found by {t}, which is not in the row")


def rows():
    """(line, cells) of each row, the heads included; each cell one line"""
    row, first = [], 0
    for nr, line in enumerate(open(page).read().split("\n") + [""], 1):
        m = re.match(r"   (\*| ) - (.*)", line)
        if row and (not line or (m and m[1] == "*")):
            yield first, row
            row = []
        if m:
            first = nr if m[1] == "*" else first
            row.append(m[2])
        elif row:
            row[-1] += " " + line.strip()


seen, nr_rows = set(), 0
for nr, cells in rows():
    if cells[0] == "Claim":
        continue
    nr_rows += 1
    if len(cells) != 4:
        problem(nr, f"{len(cells)} cells instead of claim, where, break and test")
        continue
    where, breaks, tests = cells[1], *(re.findall(r"``([^`]+)``", c) for c in cells[2:])
    for f in re.findall(r"(\w+)\(\)", where):
        if not re.search(rf"\b{f}\(", source):
            problem(nr, f"no such function: {f}()")
    if not re.search(r"\w\(\)", where):
        problem(nr, "says of no function where the claim is made true")
    if not breaks or not tests:
        problem(nr, "a claim needs a break and a test that goes red")
    for t in tests:
        if not test_exists(t):
            problem(nr, f"no such test: {t}")
    for b in breaks:
        check_break(nr, b, tests)
        seen.add(b)

if not nr_rows:
    sys.exit(f"{page}: no claims in it")
for p in sorted(glob.glob(f"{native}/busted/*.patch")):
    name = os.path.basename(p)[:-len(".patch")]
    if name not in seen:
        problems.append(f"{page}: no claim that {p} makes false")
print("\n".join(problems) or f"{nr_rows} claims, {len(seen)} breaks")
sys.exit(bool(problems))
