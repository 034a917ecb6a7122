#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# guide-check.py GUIDE SOURCE..: every piece of C in GUIDE is pulled in from one
# of SOURCE, the files that lint compiles, and every message of the core's that it
# quotes is in one of them. Says what is not so, and fails.

import os
import re
import sys

guide, *sources = sys.argv[1:]
sources = {os.path.normpath(s) for s in sources}
lines = open(guide).read().split("\n")
problems = []
snippets = 0


def problem(nr, text):
    problems.append(f"{guide}:{nr}: {text}")


def options(nr):
    """The :name: value lines that follow line nr, and where they end"""
    found = {}
    while nr < len(lines):
        m = re.match(r"\s+:([\w-]+):\s*(.*)", lines[nr])
        if not m:
            break
        found[m[1]] = m[2]
        nr += 1
    return found, nr


def body(nr):
    """The indented block from line nr on"""
    text = []
    while nr < len(lines) and (not lines[nr] or lines[nr][0] in " \t"):
        text.append(lines[nr])
        nr += 1
    return "\n".join(text)


def check_include(nr, path, opts):
    path = os.path.normpath(os.path.join(os.path.dirname(guide), path))
    if path not in sources:
        return problem(nr, f"{path} is not among the files that are compiled")
    begin, end = opts.get("start-after"), opts.get("end-before")
    if not begin or not end:
        return problem(nr, "needs :start-after: and :end-before:")
    text = open(path).read()
    if text.count(begin) != 1:
        return problem(nr, f"{path} has {text.count(begin)} of {begin}")
    rest = text[text.index(begin) + len(begin):]
    if end not in rest:
        return problem(nr, f"{path} has no {end} after {begin}")
    snippet = rest[:rest.index(end)]
    if not re.search(r"[;}]", snippet):
        return problem(nr, f"nothing in {path} after {begin}")
    if re.search(r"/\* \[", snippet):
        problem(nr, f"{begin} in {path} is cut in two by another mark")


core = "".join(open(s).read() for s in sources if s.startswith("mm/mmu_notifier"))
messages = 0

for nr, line in enumerate(lines, 1):
    m = re.match(r"   \w+ \[mmu_notifier_mistakes\]:? (.*)", line)
    if m:
        messages += 1
        if m[1] not in core:
            problem(nr, f"the core does not print: {m[1]}")
    m = re.match(r"\s*\.\. literalinclude::\s*(\S+)", line)
    if m:
        snippets += 1
        check_include(nr, m[1], options(nr)[0])
        continue
    m = re.match(r"\s*\.\. (code-block|code|sourcecode|highlight)::\s*(\S*)", line)
    if m and m[2] in ("none", "text"):
        continue
    if m:
        problem(nr, "code has to be pulled in by literalinclude")
    elif re.search(r"::$", line) and not line.lstrip().startswith(".."):
        if re.search(r"[;{]\s*$", body(nr), re.M):
            problem(nr, "a literal block with C in it; use literalinclude")

if not snippets:
    problem(0, "no snippet at all")
if not messages:
    problem(0, "no message of the core's at all")
print("\n".join(problems) or f"{snippets} snippets, {messages} messages")
sys.exit(bool(problems))
