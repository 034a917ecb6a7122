#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# callers-check.py LINUX PAGE..: every function in LINUX that calls a hook of the
# MMU notifiers stands in the table of PAGE for that hook, and every function in
# the table calls it, with the events that the table says and, for ranges, with the
# bits of what becomes of the memory. Says what is not so, and fails.
#
# A table is announced by a comment, ".. callers: NAME". The first cell of a row
# names functions and their file: "f(), g(), mm/file.c".

import os
import re
import subprocess
import sys

linux, *pages = sys.argv[1:]

where = "arch block drivers fs include io_uring ipc kernel lib mm net security sound virt".split()
# the core, its tests, and the header that the hooks are declared in
ours = re.compile(r"(mm/mmu_notifier|mm/tests/|include/linux/mmu_|drivers/misc/mmu_mirror/)")

# What makes a function belong in which table. The last three tables are of those
# who have taken the locks that somebody else's range needs.
hooks = {
    "ranges": r"mmu_notifier_(range_init(_owner)?|invalidate_range_(start|start_nonblock|end))\s*\(",
    "young": r"(mmu_notifier_(clear_flush_young|clear_young|test_young)|(ptep|pmdp)_clear(_flush)?_young_notify)\s*\(",
    "tlbs": r"mmu_notifier_arch_invalidate_secondary_tlbs\s*\(",
    "lives": r"mmu_notifier_(release|subscriptions_init|subscriptions_destroy)\s*\(",
    "walkers": r"(mmu_notifier_invalidate_range|(ptep|pmdp_huge|pudp_huge)_clear_flush_notify)\s*\(",
    "zaps": r"zap_(page_range_single|vma_ptes|vma_pages)\s*\(",
    "splits": r"(split_huge_p[mu]d|split_huge_pmd_address|__split_huge_p[mu]d)\s*\(",
    "protections": r"(change_protection|change_prot_numa|uffd_wp_range)\s*\(",
}
# The table of who changes page tables has others in it as well.
partly = ["walkers"]
# What becomes of the memory, MMU_NOTIFIER_RANGE_ in the source.
details = "DROP MOVE REPLACE FORK KEEP".split()
# A first, cheap look: which files can have any of them at all.
quick = r"mmu_notifier_|_young_notify|_flush_notify|zap_(page_range|vma)|split_huge_p[mu]d|change_prot|uffd_wp_range"


def without_comments(text):
    """The same lines, with nothing where comments and strings were"""
    def blank(m):
        return re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', blank, text, flags=re.S)


def functions(text):
    """For each line, the function whose body it is in, or None"""
    name, inside, depth, found, macro = None, None, 0, [], False
    for line in text.split("\n"):
        if macro or line.startswith("#"):
            macro = line.endswith("\\")
            found.append(None)
            continue
        if depth == 0:
            m = re.match(r"(?:[A-Za-z_][\w\s*]*?\b)?(\w+)\s*\(", line)
            if m:
                name = m[1]
        if line == "{" or (depth == 0 and line.rstrip().endswith("{")):
            inside = name
        found.append(inside if depth or "{" in line else None)
        depth = 0 if line.startswith("}") else depth + line.count("{") - line.count("}")
    return found


def callers():
    """Table -> {(function, file): the events named where it sets a range up}, and
    {(function, file): the details that it names anywhere}"""
    there = [d for d in where if os.path.isdir(os.path.join(linux, d))]
    files = subprocess.run(["grep", "-rlE", "--include=*.[ch]", quick, *there], cwd=linux,
                           env={**os.environ, "LC_ALL": "C"},
                           capture_output=True, text=True, check=True).stdout.split()
    found = {hook: {} for hook in hooks}
    said = {}
    for f in files:
        if ours.match(f):
            continue
        text = without_comments(open(os.path.join(linux, f), errors="replace").read())
        lines = text.split("\n")
        inside = functions(text)
        for nr, line in enumerate(lines):
            said.setdefault((inside[nr], f), set()).update(
                re.findall(rf"\bMMU_NOTIFIER_RANGE_({'|'.join(details)})\b", line))
        for hook, what in hooks.items():
            for nr, line in enumerate(lines):
                if not inside[nr] or not re.search(r"\b" + what, line):
                    continue
                events = found[hook].setdefault((inside[nr], f), set())
                call = re.split(r";", " ".join(lines[nr:nr + 4]))[0]
                events |= set(re.findall(r"MMU_NOTIFY_(\w+)", call))
    return found, said


def tables():
    """Table -> {(function, file): (page, line, second cell)}"""
    found = {}
    for page in pages:
        table, lines = None, open(page).read().split("\n")
        for nr, line in enumerate(lines, 1):
            m = re.match(r"\.\. callers: (\w+)", line)
            if m:
                table = found.setdefault(m[1], {})
                if m[1] not in hooks:
                    sys.exit(f"{page}:{nr}: no such table: {m[1]}")
            elif re.match(r"\S", line) and not line.startswith(".. list-table"):
                table = None
            if table is None or not line.startswith("   * - "):
                continue
            cell, second = [line[7:]], []
            rest = nr
            while rest < len(lines) and lines[rest].startswith("       "):
                cell.append(lines[rest])
                rest += 1
            while rest < len(lines) and lines[rest].startswith("     ") and \
                    (not second or lines[rest].startswith("       ")):
                second.append(lines[rest])
                rest += 1
            names = []
            for name, path in re.findall(r"(\w+)\(\)|([\w./-]+\.[ch]\b)", " ".join(cell)):
                if name:
                    names.append(name)
                    continue
                for n in names:
                    table[n, path] = (page, nr, " ".join(second))
                names = []
    return found


def named():
    return set(re.findall(r"(\w+)\(\)", "".join(open(p).read() for p in pages)))


(calls, said), rows = callers(), tables()
problems = []
for hook in hooks:
    if hook not in rows:
        problems.append(f"{' '.join(pages)}: no table \".. callers: {hook}\"")
        continue
    for f in sorted(calls[hook].keys() - rows[hook].keys(), key=lambda f: f[::-1]):
        if hook not in partly or f[0] not in named():
            problems.append(f"table {hook} lacks {f[0]}(), {f[1]}")
    for f in sorted(rows[hook].keys() - calls[hook].keys()):
        if hook in partly:
            continue
        page, nr, _ = rows[hook][f]
        problems.append(f"{page}:{nr}: {f[0]}(), {f[1]} is in table {hook}, but calls nothing of it")
    for f in calls[hook].keys() & rows[hook].keys():
        page, nr, second = rows[hook][f]
        for event in sorted(calls[hook][f]):
            if not re.search(rf"\b{event}\b", second):
                problems.append(f"{page}:{nr}: {f[0]}() says {event}, the table does not")
        # Where a range is set up, not where another function's is ended.
        if hook != "ranges" or not calls[hook][f]:
            continue
        for detail in details:
            if (detail in said[f]) != bool(re.search(rf"\b{detail}\b", second)):
                there, missing = ("the table", "source") if detail not in said[f] else ("the source", "table")
                problems.append(f"{page}:{nr}: {f[0]}(): {there} says {detail}, the {missing} does not")
print("\n".join(problems) or
      f"{sum(len(calls[h]) for h in hooks)} callers, in {len(hooks)} tables")
sys.exit(bool(problems))
