#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""off-cost-report.py DIR WITHOUT WITH: what checker and tracepoints cost, switched off.

WITHOUT and WITH are the build directories of two kernels that differ in those only.
Compares their functions, instruction by instruction, and the lines "CASE FIGURE" of
DIR/without.txt and DIR/with.txt. Writes all of it to DIR/off-cost.tsv, prints what
there is to say, and which targets are met; the exit status is 1 if one is missed, and
2 if something cannot be compared.

Addresses are compared by what lies there, and jumps by where they lead. A nop is one
of ours if the table of jump labels says so, and code that is reached by way of
such a nop alone runs only while something is switched on: it is left out. Nothing
else is.
"""
import bisect
import collections
import glob
import os
import re
import statistics
import struct
import subprocess
import sys
import textwrap

# The keys that are off; those of them that have a place outside of the core, where
# entries change and pages are freed; and the targets
KEYS = re.compile(r"(mmu_notifier_(recording|checking|coverage)|__tracepoint_(mmu_notifier|mmu_mirror)_\w+)$")
CHECKS = {"mmu_notifier_coverage", "mmu_notifier_checking"}
PAIR_LIMIT = 6
UNSUBSCRIBED = re.compile(r"(pair|tlb)/none$")

# Where symbols are linked to, where they are in memory, and how far that is from
# where all memory is mapped: numbers of these kinds stand for symbols
LINKED_AT = 0xffffffff80000000
LINEAR = 0x777f80000000
ONE_GB = 1 << 30

PADDING = {"nop", "nopw", "nopl", "cs", "data16", "xchg", "int3"}

# What does not return, so that what comes behind is not reached by it
DEAD_ENDS = {"__stack_chk_fail", "__fortify_panic", "panic", "do_exit", "make_task_dead"}

IDENTICAL, NOPS, RENAMED, DIFFERENT, ALONE = "identical", "nops", "registers", "different", "alone"
CLONE = re.compile(r"(\.(constprop|isra|part)\.\d+)+$")
COLD = re.compile(r"\.cold(\.\d+)?$")
INSTRUCTION = re.compile(r"([0-9a-f]{16}):\t(.*)$")
FUNCTION = re.compile(r"([0-9a-f]{16}) <(.*)>:$")
BRANCH = re.compile(r"(?:(?:bnd|notrack) )?(j\w+|call|loop\w*|xbegin) +([0-9a-f]+)(?: <(.*)>)?$")
PLACE = re.compile(r"-?0x[0-9a-f]+\(%rip\)(.*?) +# ([0-9a-f]+)(?: <.*>)?$")
NUMBER = re.compile(r"(-?)0x([0-9a-f]{4,16})\b")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Instruction:
    """text: with places named; target: of a branch; alike: texts that mean the same"""
    __slots__ = ("address", "op", "text", "target", "alike")

    def __init__(self, address, text):
        self.address = address
        self.op = text.split(None, 1)[0]
        self.text = text
        self.target = None
        self.alike = None


class Kernel:
    def __init__(self, directory):
        self.directory = directory
        self.vmlinux = os.path.join(directory, "vmlinux")
        self.read_symbols()
        self.read_jump_labels()
        self.read_functions()

    def read_symbols(self):
        symbols = {}
        self.bounds = {}
        for line in output("nm", "-n", "-S", "--defined-only", self.vmlinux).splitlines():
            fields = line.split()
            if len(fields) == 4:
                symbols[int(fields[0], 16)] = (int(fields[1], 16), fields[3])
            else:
                self.bounds[fields[-1]] = int(fields[0], 16)
        self.starts = sorted(symbols)
        self.symbols = symbols

    def name(self, address):
        """what lies there; what has no name, such as a string, is data"""
        i = bisect.bisect_right(self.starts, address) - 1
        if i >= 0:
            start = self.starts[i]
            size, name = self.symbols[start]
            if address < start + size:
                name = re.sub(r"^(__UNIQUE_ID_\w*?)\d+$", r"\1", name)
                return f"<{name}+{address - start:#x}>" if address > start else f"<{name}>"
        return "<data>"

    def read_jump_labels(self):
        with open(self.vmlinux, "rb") as f:
            elf = f.read()
        phoff, = struct.unpack_from("<Q", elf, 0x20)
        phentsize, phnum = struct.unpack_from("<HH", elf, 0x36)
        start, stop = self.bounds["__start___jump_table"], self.bounds["__stop___jump_table"]
        for i in range(phnum):
            kind, _, offset, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", elf, phoff + i * phentsize)
            if kind == 1 and vaddr <= start < vaddr + filesz:
                table = elf[offset + start - vaddr:offset + stop - vaddr]
                break
        self.labels = {}
        for at in range(0, len(table), 16):
            code, target, key = struct.unpack_from("<iiq", table, at)
            key = self.name(start + at + 8 + (key & ~3)).strip("<>").split("+")[0]
            self.labels[start + at + code] = (start + at + 4 + target, key)

    def read_functions(self):
        """(name, which of that name) -> [Instruction], the cold part behind the rest"""
        self.functions = collections.OrderedDict()
        seen = collections.Counter()
        current = None
        objdump = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", self.vmlinux],
                                   stdout=subprocess.PIPE, text=True)
        for line in objdump.stdout:
            line = line.rstrip()
            m = INSTRUCTION.match(line)
            if m and current is not None:
                current.append(Instruction(int(m[1], 16), m[2]))
                continue
            m = FUNCTION.match(line)
            if m:
                current = None		# a label only, if it has no size
                if self.symbols.get(int(m[1], 16)):
                    current = []
                    self.functions[m[2], seen[m[2]]] = current
                    seen[m[2]] += 1
        if objdump.wait():
            raise ValueError(f"objdump cannot read {self.vmlinux}")
        for key in list(self.functions):
            body = self.functions[key]
            while body and body[-1].op in PADDING and body[-1].address not in self.labels:
                body.pop()
            if not body:
                del self.functions[key]
        for name, nr in list(self.functions):
            whole = COLD.sub("", name)
            if whole != name and (whole, nr) in self.functions:
                self.functions[whole, nr] += self.functions.pop((name, nr))

    def resolve(self, body):
        """name places, and find where branches lead, once they are of interest"""
        own = {i.address for i in body}
        for i in body:
            m = BRANCH.match(i.text)
            if m:
                target = int(m[2], 16)
                if target in own:
                    i.target, i.text = target, m[1]
                elif m[3] and "+" not in m[3]:
                    i.text = f"{m[1]} {m[3]}"
                else:
                    i.text = f"{m[1]} {self.name(target)}"
                continue
            if i.address in self.labels and self.labels[i.address][0] in own:
                i.target = self.labels[i.address][0]
            m = PLACE.search(i.text)
            if m:
                i.text = i.text[:m.start()] + self.name(int(m[2], 16)) + m[1]
            text = i.text
            i.text = NUMBER.sub(self.symbol, text)
            i.alike = NUMBER.sub(self.symbol_perhaps, text)

    def symbol(self, number):
        """an address of the kernel, even as a negative displacement"""
        value = int(number[2], 16)
        if number[1]:
            value = (1 << 64) - value
        return self.name(value) if LINKED_AT < value < LINKED_AT + 2 * ONE_GB - (1 << 20) else number[0]

    def symbol_perhaps(self, number):
        """also a per-CPU variable, or a place in memory: these look like other numbers"""
        value = int(number[2], 16)
        if number[1] or value > LINKED_AT:
            return self.symbol(number)
        if LINEAR < value < LINEAR + ONE_GB:
            value -= LINEAR
        return self.name(value + LINKED_AT if 1 << 24 <= value < ONE_GB else value)

    def keys_in(self, body):
        return [i for i in body
                if i.address in self.labels and KEYS.match(self.labels[i.address][1])]

    def reached(self, body, start, keys):
        """addresses that are reached from these, not by way of any of keys"""
        index = {i.address: n for n, i in enumerate(body)}
        todo, seen = [index[a] for a in start], set()
        while todo:
            n = todo.pop()
            if n in seen or n >= len(body):
                continue
            seen.add(n)
            i = body[n]
            if i.target is not None and i.address not in keys:
                todo.append(index[i.target])
            if i.op in ("jmp", "ret", "ud2") and i.address not in self.labels:
                continue
            if i.op == "call" and i.text.split()[-1] in DEAD_ENDS:
                continue
            todo.append(n + 1)
        return {body[n].address for n in seen}

    def hot(self, key):
        """[(text, alike)] of what runs while our keys are off, without nops; their number"""
        body = self.functions[key]
        self.resolve(body)
        ours = self.keys_in(body)
        at = {i.address for i in ours}
        for i in ours:
            if "nop" not in i.text and not i.text.startswith("xchg"):
                raise ValueError(f"{key[0]}: the jump label at {i.address:x} is no nop")
        cold = set()
        if at:
            targets = [i.target for i in ours if i.target is not None]
            cold = self.reached(body, targets, at) - self.reached(body, [body[0].address], at)
        kept = [i for i in body if i.address not in cold and i.address not in at]
        addresses = [i.address for i in kept]
        lines = []
        for i in kept:
            to = ""
            if i.target is not None:
                to = f" .{bisect.bisect_left(addresses, i.target)}"
            lines.append((i.text + to, (i.alike or i.text) + to, i.op))
        nops = sum(1 for i in ours if i.address not in cold)
        return lines, nops


def same(a, b):
    return len(a) == len(b) and all(x[0] == y[0] or x[1] == y[1] for x, y in zip(a, b))


def renamed(a, b):
    return collections.Counter(x[2] for x in a) == collections.Counter(x[2] for x in b)


class Function:
    def __init__(self, name, verdict, nops, without, with_):
        self.name, self.verdict, self.nops = name, verdict, nops
        self.without, self.with_ = without, with_

    @property
    def more(self):
        return self.with_ - self.without

    def __str__(self):
        text = self.name
        if self.verdict in (DIFFERENT, ALONE):
            text += f" {self.more:+}"
        if self.nops:
            text += f" ({self.nops} nop{'s' * (self.nops > 1)})"
        return text


def of_ours(kernel):
    """functions of the core itself, of its checker, of what only the checker uses, and of tests"""
    names = set()
    objects = []
    for pattern in "mm/mmu_notifier*.o", "mm/page_ext.o", "mm/tests/*.o":
        objects += glob.glob(f"{kernel.directory}/{pattern}")
    for line in output("nm", *objects).splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT":
            names.add(COLD.sub("", fields[2]))
    return names


HOOK = re.compile(r"__mmu_notifier_(?!check|exempt|subscriptions_destroy)\w+")


def calls_hook(body):
    for i in body:
        if i.op in ("call", "jmp"):
            m = BRANCH.match(i.text)
            if m and m[3] and HOOK.match(m[3]):
                return True
    return False


def pairs(without, with_):
    """(key, key): functions of the same name, or clones of the same function; None: only in one"""
    left = {}
    for key in without.functions:
        if key not in with_.functions:
            left.setdefault(CLONE.sub("", key[0]), []).append(key)
    for key in with_.functions:
        if key in without.functions:
            yield key, key
        else:
            others = left.get(CLONE.sub("", key[0]))
            yield (others.pop(0) if others else None), key
    for others in left.values():
        for key in others:
            yield key, None


def compare(without, with_):
    """three lists of Function: those that call hooks, those with checks, all others"""
    ours = of_ours(without) | of_ours(with_)
    hooks, checks, others = [], [], []
    for old_key, new_key in pairs(without, with_):
        name = (new_key or old_key)[0]
        if COLD.sub("", name) in ours:
            continue
        keys = set()
        if new_key:
            keys = {with_.labels[i.address][1] for i in with_.keys_in(with_.functions[new_key])}
        group = others
        if keys - CHECKS or not keys and old_key and calls_hook(without.functions[old_key]):
            group = hooks
        elif keys:
            group = checks
        old, _ = without.hot(old_key) if old_key else ([], 0)
        new, nops = with_.hot(new_key) if new_key else ([], 0)
        if not old or not new:
            verdict = ALONE
        elif same(old, new):
            verdict = NOPS if nops else IDENTICAL
        elif renamed(old, new):
            verdict = RENAMED
        else:
            verdict = DIFFERENT
        group.append(Function(name, verdict, nops, len(old), len(new)))
    return hooks, checks, others


def figures(name):
    cases = collections.OrderedDict()
    with open(name) as f:
        for line in f:
            case, figure = line.split()
            cases.setdefault(case, []).append(int(figure))
    return cases


WORDS = {
    IDENTICAL: "the same",
    NOPS: "the same but for nops",
    RENAMED: "as many instructions, others",
    DIFFERENT: "more or fewer instructions",
    ALONE: "inlined in one kernel only",
}


def show(title, functions, most=12):
    """how many of each verdict, and the worst of those that are not the same"""
    print(f"\n{title}: {len(functions)} functions")
    for verdict, words in WORDS.items():
        found = sorted((f for f in functions if f.verdict == verdict), key=lambda f: (-f.more, f.name))
        print(f"  {words:<30}{len(found):>6}")
        if verdict == IDENTICAL or not found:
            continue
        names = [str(f) for f in found[:most]]
        if len(found) > most:
            names.append(f"and {len(found) - most} others, the last of them {found[-1]}")
        print(textwrap.fill(", ".join(names), 95, initial_indent="    ", subsequent_indent="    "))


def main():
    if len(sys.argv) != 4:
        print(__doc__.split("\n")[0])
        return 2
    directory = sys.argv[1]
    without, with_ = Kernel(sys.argv[2]), Kernel(sys.argv[3])
    hooks, checks, others = compare(without, with_)
    if not hooks or not checks:
        print("error: no function calls a hook, or none has a check: are these the right kernels?",
              file=sys.stderr)
        return 2

    show("Call a hook of the MMU notifiers", hooks)
    show("Change entries or free pages, and have a check, a nop", checks)
    show("All others", others)

    old, new = figures(f"{directory}/without.txt"), figures(f"{directory}/with.txt")
    if not old or old.keys() != new.keys():
        print(f"error: {directory}/with.txt has other cases than without.txt, or there are none",
              file=sys.stderr)
        return 2
    print(f"\n{'instructions':<34}{'without':>10}{'with':>10}{'':>8}")
    rows, missed = [], []
    for case in old:
        a, b = statistics.median_low(old[case]), statistics.median_low(new[case])
        rows.append((case, a, b))
        limit = 0 if UNSUBSCRIBED.match(case) else PAIR_LIMIT if case.startswith("pair/") else None
        flag = "  no target" if limit is None else ""
        if limit is not None and b - a > limit:
            flag = f"  more than {limit}"
            missed.append(f"{case}: {b - a:+}, not more than {limit} is allowed")
        print(f"{case:<34}{a:>10}{b:>10}{b - a:>+8}{flag}")

    with open(f"{directory}/off-cost.tsv", "w") as f:
        f.write("what\tname\tverdict\tnops\twithout\twith\n")
        for what, group in (("hook", hooks), ("check", checks), ("other", others)):
            for fn in group:
                if what == "other" and fn.verdict == IDENTICAL:
                    continue
                f.write(f"{what}\t{fn.name}\t{fn.verdict}\t{fn.nops}\t{fn.without}\t{fn.with_}\n")
        for case, a, b in rows:
            f.write(f"case\t{case}\t\t\t{a}\t{b}\n")

    changed = [f.name for f in hooks if f.verdict != IDENTICAL]
    if changed:
        missed.append(f"hooks that are not the same: {', '.join(changed)}")
    print()
    if missed:
        for what in missed:
            print(f"missed: {what}")
        return 1
    changed = sum(f.verdict not in (IDENTICAL, NOPS) for f in checks)
    if changed:
        print(f"no target: {changed} functions with a check in them are compiled otherwise")
    print("OFF-COST: PASS")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as e:
        print(f"error: {e!r}: is there another build in these directories?", file=sys.stderr)
        sys.exit(2)
