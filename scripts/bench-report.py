#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""bench-report.py DIR: what the benchmark measured, as results and as a report.

Reads the lines "CASE FIGURE" of DIR/STICK-stock.txt and DIR/STICK-ours.txt and
"KEY=VALUE" of DIR/machine.txt; a case that stands there several times was
measured several times. A stick that was not measured is left out. Writes

  DIR/results.json            a list of {case, stick, unit, stock, ours, ratio, spread};
                              stock and ours are medians, spread is (max - min) / median
                              of whichever of them varied more; waits have maxima too
  DIR/headline.md             the table for the README
  DIR/report/benchmark.md     the report, and benchmark.tsv, its figures
  DIR/*.dat                   what bench-plots.sh draws

and prints the figures and the verdict: which targets are met. With CHECK=1 in the
environment the exit status is 1 if one was missed.
"""
import json
import os
import re
import statistics
import sys

STICKS = {"native": "native harness", "insn": "guest instructions", "wall": "guest wall clock"}

# What a group of cases is: in the report's order, with what its reader has to know.
GROUPS = [
    (r"pair/", "One invalidation",
     "Start and end together, callbacks empty. \"beyond\": a page below all intervals; \"gap\": "
     "a page between two of them, at random; \"overlap-N\": a range that overlaps N of them."),
    (r"tlb/", "A TLB flush",
     "What a flush does for secondary TLBs in an mm where nobody listens to that."),
    (r"scale\d/", "Threads",
     "Throughput of N threads on disjoint pages of one mm, over that of one thread. The control "
     "has two mms; a run whose control is below 1.96 was not used."),
    (r"op/", "Operations",
     "System calls and faults, as the process sees them; pageout and migrate per page, fork of 16 "
     "VMAs with 64 pages each. \"off\": a kernel without MMU notifiers; \"interval-1\": elsewhere."),
    (r"rmap/", "External reverse maps",
     "The same with CONFIG_MMU_RMAP_NOTIFIER, which nobody uses. In the place of stock is this tree "
     "without that option."),
    (r"register/", "Registration",
     "By number of VMAs: the first list subscription of an mm, the second, and an interval in an "
     "mm that has no other subscription."),
    (r"wait/(unregister|exit)-", "Isolation",
     "Unregistration in one process, and exit of another with one subscription, while a callback "
     "of a third sleeps for a second, or as long as the name says. The control: while none does."),
    (r"wait/", "Waiting for unrelated ranges",
     "An invalidation of X is in flight for a second, or as long as the name says; the subscription "
     "is to other pages. \"list\": a list callback sleeps, nobody subscribes to X; "
     "\"list-covered\": somebody does; \"interval\": the callback of an interval at X sleeps; "
     "\"open\": X is held open by the caller, nobody subscribes to it. \"held\" is the worst of "
     "these. \"chain\": two threads take turns, so that X is always in flight; it is broken off after "
     "5 s, which is what a figure of 5 s means."),
    (r"(insert|remove)/", "Insertion and removal",
     "One by one. \"range-end-max\": the longest end of any range while 100,000 are inserted."),
    (r"size/", "Memory", "Bytes. \"mm-with\": what the first subscription adds to an mm, per-CPU "
     "memory included, besides the driver's own structure, in a guest with two CPUs; \"index\": what each of 100,000 "
     "intervals adds."),
    (r"calls/", "Callbacks per operation",
     "Calls of invalidate_range_start; of any young callback, or of the secondary-TLB flush with "
     "another thread running, where the name says so. \"everything\": those for the whole address space."),
]

# A median that is no more than this above the control's, or within the range of
# the control's runs, is as good: an emulated CPU takes as long to wake up.
WAIT_NOISE_US = 100

WAITS = ["read-begin", "insert", "remove"]
HOLDS = ["list", "list-covered", "interval", "open"]


def unit_of(case, stick):
    group = case.split("/")[0]
    if group.startswith("scale"):
        return "times one thread"
    if group == "calls":
        return "calls"
    if group == "size":
        return "bytes"
    if stick == "insn":
        return "instructions"
    if stick == "wall" or case.endswith("range-end-max"):
        return "us"
    return "ns"


def read_figures(path):
    figures = {}
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                case, figure = line.split()
                figures.setdefault(case, []).append(float(figure))
    return figures


def worst_hold(figures):
    """The variants of "held" as one case: those figures with the largest median."""
    for what in WAITS:
        variants = [figures[f"wait/{what}-foreign-held-{how}"] for how in HOLDS
                    if f"wait/{what}-foreign-held-{how}" in figures]
        if variants:
            figures[f"wait/{what}-foreign-held"] = max(variants, key=statistics.median)


# Words of cases that have an order of their own
ORDER = ["off", "none", "release", "control", "list", "interval", "first", "second"]


def natural(text):
    """A key that sorts 8 before 64 before 10k, and by ORDER before the alphabet."""
    def number(digits, k):
        return int(digits) * (1000 if k else 1)

    text = re.sub(r"\b(" + "|".join(ORDER) + r")\b",
                  lambda m: f"!{chr(65 + ORDER.index(m[1]))}", text)
    parts = re.findall(r"(\d+)(k\b)?|(\D+)", text)
    return [(1, number(d, k), "") if d else (0, 0, t) for d, k, t in parts]


def group_of(case):
    return next((i for i, g in enumerate(GROUPS) if re.match(g[0], case)), len(GROUPS))


def spread(figures):
    median = statistics.median(figures)
    return (max(figures) - min(figures)) / median if median else 0


def rounded(figure):
    return float(f"{figure:.6g}")


class Results:
    def __init__(self, directory):
        self.rows = []
        self.all = {}
        for stick in STICKS:
            stock, ours = (read_figures(os.path.join(directory, f"{stick}-{which}.txt"))
                           for which in ("stock", "ours"))
            worst_hold(stock)
            worst_hold(ours)
            for case in ours:
                if case in stock:
                    self.add(case, stick, stock[case], ours[case])
                elif case.startswith("rmap/"):
                    without = ours["op/" + case.removeprefix("rmap/")]
                    self.add(case, stick, without, ours[case])
        self.rows.sort(key=lambda r: (group_of(r["case"]), natural(r["case"]), r["stick"]))

    def add(self, case, stick, stock, ours):
        s, o = statistics.median(stock), statistics.median(ours)
        row = {"case": case, "stick": stick, "unit": unit_of(case, stick),
               "stock": rounded(s), "ours": rounded(o),
               "ratio": round(o / s, 4) if s else None,
               "spread": round(max(spread(stock), spread(ours)), 4)}
        if case.startswith("wait/"):
            row["stock_max"], row["ours_max"] = max(stock), max(ours)
        self.rows.append(row)
        self.all[case, stick] = row

    def get(self, case, stick):
        return self.all.get((case, stick))


# ------------------------------------------------------------------ verdict

def number(figure):
    if figure is None:
        return "-"
    if abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.4g}"


def at_most(results, case, stick, limit, noise=0):
    row = results.get(case, stick)
    ok = row and row["ratio"] is not None and row["ratio"] <= limit + min(noise, row["spread"])
    figure = row and f"{row['ratio']:.3f} ({number(row['ours'])} / {number(row['stock'])} {row['unit']})"
    words = f"at most {limit:g}" + (f", or within the spread up to {noise:g}" if noise else "")
    return f"{case}, {stick}: ratio to stock", words, figure, ok


def scales(results, case):
    row = results.get(case, "native")
    return (f"{case}: two threads over one", "at least 1.9",
            row and f"{row['ours']:.2f} (stock {row['stock']:.2f})", row and row["ours"] >= 1.9)


def does_not_wait(results, what, how):
    row = results.get(f"wait/{what}-foreign-{how}", "wall")
    control = results.get(f"wait/{what}-control", "wall")
    if not row or not control:
        return f"wait/{what}-foreign-{how}", "", None, False
    noise = max(control["ours_max"], control["ours"] + WAIT_NOISE_US)
    ok = row["ours"] <= noise and row["ours_max"] <= 100000
    return (f"wait/{what}-foreign-{how}, wall", "median as the control's, none over 100 ms",
            f"{number(row['ours'])} us, at most {number(row['ours_max'])} (control {number(control['ours'])}, "
            f"at most {number(control['ours_max'])}; stock {number(row['stock'])})", ok)


def longest_end(results):
    row = results.get("insert/100k-during-range-end-max", "native")
    return ("insert/100k-during-range-end-max, native", "at most 100 us",
            row and f"{number(row['ours'])} us (stock {number(row['stock'])})", row and row["ours"] <= 100)


def flush(results):
    with_list, without = (results.get(f"tlb/{which}", "insn") for which in ("list-1", "none"))
    if not with_list or not without:
        return "tlb/list-1 above tlb/none", "6 instructions", None, False
    ours, stock = (with_list[k] - without[k] for k in ("ours", "stock"))
    return ("tlb/list-1 above tlb/none, insn", "at most 6",
            f"{number(ours)} instructions (stock {number(stock)})", ours <= 6)


def verdicts(results):
    yield 1, at_most(results, "pair/interval-1-beyond", "native", 1.0)
    yield 1, at_most(results, "pair/interval-10k-beyond", "native", 1.0)
    yield 1, at_most(results, "pair/list-1-interval-1", "native", 1.0)
    for case in "interval-1", "interval-10k", "list-1-interval-1":
        yield 1, scales(results, f"scale2/{case}")
    yield 2, at_most(results, "pair/interval-10k-gap", "native", 0.3)
    yield 2, at_most(results, "pair/interval-100k-gap", "native", 0.3)
    yield 3, at_most(results, "pair/interval-100k-overlap-1", "native", 0.6)
    yield 3, at_most(results, "pair/interval-100-overlap-100", "native", 1.0)
    yield 4, at_most(results, "pair/list-1", "native", 0.7)
    # A nanosecond: two runs of the same program differ by this much.
    yield 4, at_most(results, "pair/none", "native", 1.0, noise=0.05)
    yield 4, at_most(results, "pair/none", "insn", 1.0)
    for what in WAITS:
        for how in "held", "chain":
            yield 5, does_not_wait(results, what, how)
    yield 6, longest_end(results)
    yield 7, flush(results)
    yield 8, at_most(results, "calls/pageout-64m-4k-tlb-everything", "wall", 0.01)
    yield 9, at_most(results, "rmap/pageout-none", "insn", 1.01)
    yield 9, at_most(results, "rmap/migrate-none", "insn", 1.01)


# ------------------------------------------------------------------- tables

def verdict_table(results):
    table = []
    for nr, (what, limit, figure, ok) in verdicts(results):
        if figure is None:
            table.append((nr, what, limit, "not measured", "-"))
        else:
            table.append((nr, what, limit, figure, "ok" if ok else "MISSED"))
    return table


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def ratio(row):
    return "-" if row["ratio"] is None else f"{row['ratio']:.3f}"


HEADLINE = [
    ("invalidation, nobody subscribed", "pair/none", "native"),
    ("one list subscription", "pair/list-1", "native"),
    ("one interval, elsewhere", "pair/interval-1-beyond", "native"),
    ("one of each", "pair/list-1-interval-1", "native"),
    ("10,000 intervals, in a gap", "pair/interval-10k-gap", "native"),
    ("100,000 intervals, in a gap", "pair/interval-100k-gap", "native"),
    ("two threads over one, one interval elsewhere", "scale2/interval-1", "native"),
    ("longest range end while 100,000 are inserted", "insert/100k-during-range-end-max", "native"),
    ("registration, 60,000 VMAs: the first", "register/60k-first", "insn"),
    ("the second", "register/60k-second", "insn"),
    ("reader, while something else is invalidated for 1 s", "wait/read-begin-foreign-held", "wall"),
    ("the same, always something else in flight", "wait/read-begin-foreign-chain", "wall"),
    ("unregister, while another process's callback sleeps 1 s", "wait/unregister-foreign-callback", "wall"),
]


def headline(results):
    rows = []
    for text, case, stick in HEADLINE:
        row = results.get(case, stick)
        if row:
            rows.append((text, f"{number(row['stock'])}", f"{number(row['ours'])}", row["unit"]))
    return markdown(("", "stock", "this tree", "unit"), rows)


PLOTS = [
    ("pair", "One invalidation, by number of subscriptions"),
    ("threads", "Throughput, by number of threads"),
    ("register", "Registration, by number of VMAs"),
    ("wait", "Waiting, by length of a foreign invalidation"),
]


def report(results, machine):
    text = ["<!-- SPDX-License-Identifier: GPL-2.0 -->", "# Benchmark of the MMU notifiers", "",
            "Stock's core and this tree's, side by side in one run of `make bench`, which wrote this",
            "file: do not edit it. The figures are in [benchmark.tsv](benchmark.tsv).", ""]
    text += markdown(("", ""), [(k, v) for k, v in machine.items()])
    text += ["", "## Targets", ""]
    text += markdown(("", "case", "limit", "figure", ""), verdict_table(results))
    text += ["", "## How it is measured", "",
             "- **native**: each core compiled in user space, stock's file unmodified, with the",
             "  barriers of the kernel's own locks and SRCU on x86 (tools/testing/mmu_notifier). Real-time",
             "  priority, short windows, medians, stock and ours in turns.",
             "- **insn**: instructions of a guest under QEMU's `-icount shift=0`, where the time-stamp",
             "  counter counts them; exact, whatever the host does, but blind to caches, barriers and",
             "  contention. Both kernels have the same options.",
             "- **wall**: microseconds in a guest with two emulated CPUs. For waiting that takes",
             "  milliseconds; less than one is mostly the emulator.", "",
             "Figures are medians; spread is (max - min) / median, of stock or ours, whichever is more.",
             "A ratio below 1 means that ours costs less, except for the throughput of threads."]
    for index, (_, title, about) in enumerate(GROUPS):
        rows = [r for r in results.rows if group_of(r["case"]) == index]
        if not rows:
            continue
        text += ["", f"## {title}", ""] + wrapped(about) + [""]
        text += markdown(("case", "stick", "unit", "stock", "ours", "ratio", "spread"),
                         [(r["case"], r["stick"], r["unit"], number(r["stock"]), number(r["ours"]),
                           ratio(r), f"{r['spread']:.3f}") for r in rows])
    text += ["", "## Plots"]
    for name, caption in PLOTS:
        text += ["", f"### {caption}", "", f"![{caption}](benchmark-{name}.svg)"]
    return text


def wrapped(text, width=88):
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


# ---------------------------------------------------------------- plot data

def value(results, case, stick, which):
    row = results.get(case, stick)
    return f"{row[which]:g}" if row else "nan"


def plot_data(results):
    """Lines of columns for gnuplot; "nan" where nothing was measured."""
    both = ("stock", "ours")

    def columns(x, cases, stick):
        return " ".join([str(x)] + [value(results, c, stick, w) for c in cases for w in both])

    def name(n):
        return f"{n // 1000}k" if n >= 1000 else str(n)

    pair = ["subscriptions list-stock list-ours gap-stock gap-ours"]
    for n in sorted({2 ** i for i in range(7)} | {10 ** i for i in range(6)}):
        gap = f"pair/interval-{name(n)}-gap" if n > 1 else "pair/interval-1-beyond"
        pair.append(columns(n, (f"pair/list-{n}", gap), "native"))

    lines = ["none", "list-1", "interval-1", "interval-10k", "list-1-interval-1"]
    threads = ["threads " + " ".join(f"{c}-{w}" for c in lines for w in both), "1" + " 1" * 2 * len(lines)]
    for n in range(2, 10):
        if results.get(f"scale{n}/none", "native"):
            threads.append(columns(n, [f"scale{n}/{c}" for c in lines], "native"))

    register = ["vmas first-stock first-ours second-stock second-ours"]
    for n in (10, 1000, 10000, 60000):
        register.append(columns(n, [f"register/{name(n)}-{w}" for w in ("first", "second")], "insn"))

    waits = ["read-begin", "insert", "remove"]
    wait = ["ms " + " ".join(f"{c}-{w}" for c in waits + ["unregister"] for w in both)]
    for ms in (100, 200, 500, 1000, 2000):
        length = "" if ms == 1000 else f"-{ms}ms"
        wait.append(columns(ms, [f"wait/{c}-foreign-held-list{length}" for c in waits] +
                            [f"wait/unregister-foreign-callback{length}"], "wall"))
    return {"pair": pair, "threads": threads, "register": register, "wait": wait}


# --------------------------------------------------------------------- main

def write(path, lines):
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def print_table(title, rows):
    print(title)
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(str(cell).ljust(w) for cell, w in zip(row, widths)).rstrip())


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        print("bench-report.py: usage: bench-report.py DIR", file=sys.stderr)
        return 2
    directory = sys.argv[1]
    results = Results(directory)
    if not results.rows:
        print(f"bench-report.py: no figures in {directory}", file=sys.stderr)
        return 2
    with open(os.path.join(directory, "machine.txt")) as f:
        machine = dict(line.rstrip("\n").split("=", 1) for line in f)

    out = os.path.join(directory, "report")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(directory, "results.json"), "w") as f:
        json.dump(results.rows, f, indent=1)
        f.write("\n")
    write(os.path.join(directory, "headline.md"), headline(results))
    write(os.path.join(out, "benchmark.md"), report(results, machine))
    keys = ("case", "stick", "unit", "stock", "ours", "ratio", "spread")
    write(os.path.join(out, "benchmark.tsv"),
          ["# SPDX-License-Identifier: GPL-2.0", "\t".join(keys)] +
          ["\t".join(str(r[k]) for k in keys) for r in results.rows])
    for name, lines in plot_data(results).items():
        write(os.path.join(directory, f"{name}.dat"), lines)

    print_table(f"Linux {machine.get('kernel', '')}",
                [("case", "stick", "unit", "stock", "ours", "ratio", "spread")] +
                [(r["case"], r["stick"], r["unit"], number(r["stock"]), number(r["ours"]), ratio(r),
                  f"{r['spread']:.3f}") for r in results.rows])
    table = verdict_table(results)
    print_table("Targets", table)
    missed = sum(row[-1] == "MISSED" for row in table)
    unknown = sum(row[-1] == "-" for row in table)
    print(f"{len(table) - missed - unknown} targets met, {missed} missed, {unknown} not measured")
    return 1 if missed and os.environ.get("CHECK") == "1" else 0


sys.exit(main())
