#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# picture.py TRACE PICTURE: draw a trace of MMU notifiers, as tracefs prints it, as
# SVG: address over time, ranges, callbacks, the device's faults, and who had to
# begin again. Each marker "demo: TITLE" in the trace begins a panel. Beside each
# panel is its busiest moment, enlarged.

import re
import sys
from collections import Counter, namedtuple

LINE = re.compile(r"^\s*(.*?)-(\d+)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): (\w+): (.*)$")
WORD = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")

COLOURS = {
    "unmap": "#6a3d9a", "clear": "#1f78b4", "protection_vma": "#33a02c",
    "protection_page": "#8bbf5a", "soft_dirty": "#17a2a2", "release": "#888888",
    "migrate": "#ff9d1f", "exclusive": "#b15928",
}
FAULT, RETRY, WAIT = "#111111", "#e31a1c", "#e31a1c"

# Pixels
LEFT, RIGHT, WIDTH, ZOOM, BETWEEN = 118, 16, 640, 400, 96
HEAD, HEIGHT, FOOT, TOP, GAP = 40, 150, 34, 78, 10

PAGE = 4096
HUGE = 64 << 20         # longer ranges say nothing about where it happens
NEAR = 256 << 10        # addresses that are closer are shown together
ENLARGED = 16           # ranges that the enlarged moment has, on average

Range = namedtuple("Range", "began ended start end event")
Call = namedtuple("Call", "began ended start end event")
Dot = namedtuple("Dot", "when addr")
Wait = namedtuple("Wait", "began ended start end")


class Panel:
    def __init__(self, title, began):
        self.title = title
        self.began = self.ended = began
        self.ranges, self.calls, self.faults, self.retries, self.waits = [], [], [], [], []
        self.told = 0           # readers told to retry

    def busy(self):
        return len(self.ranges) + len(self.faults) + len(self.retries)


def read(path):
    """The panels of a trace."""
    panels, flying = [], {}
    panel = None
    with open(path, errors="replace") as f:
        for line in f:
            match = LINE.match(line)
            if not match:
                continue
            _, task, when, event, rest = match.groups()
            when = float(when)
            if event == "tracing_mark_write":
                if rest.startswith("demo: "):
                    panel = Panel(rest[6:].strip(), when)
                    panels.append(panel)
                    flying = {}
                continue
            if not panel:
                panel = Panel("", when)
                panels.append(panel)
            panel.ended = max(panel.ended, when)
            w = dict(WORD.findall(rest))
            add(panel, event, task, when, w, flying)
    return [p for p in panels if p.busy()]


def add(panel, event, task, when, w, flying):
    if event == "mmu_mirror_fault":
        # what failed for want of a mapping is neither
        if w["result"] == "0":
            panel.faults.append(Dot(when, int(w["addr"], 0)))
        elif w["result"] == "-11":
            panel.retries.append(Dot(when, int(w["addr"], 0)))
        return
    if not event.startswith("mmu_notifier_") or "start" not in w:
        return
    start = int(w["start"], 0)
    if event == "mmu_notifier_interval_collide":
        if w["told"] == "wait":
            panel.waits.append(Wait(when - int(w["wait"]) / 1e9, when, start,
                                    int(w["last"], 0) + 1))
        else:
            panel.told += 1
        return
    if "end" not in w:
        return
    end = int(w["end"], 0)
    key = (task, start, end)
    if event == "mmu_notifier_range_start":
        flying[key] = when
    elif event == "mmu_notifier_range_end":
        began = flying.pop(key, when - int(w["duration"]) / 1e9)
        panel.ranges.append(Range(began, when, start, end, w["event"]))
    elif event == "mmu_notifier_invalidate":
        panel.calls.append(Call(when - int(w["duration"]) / 1e9, when, start, end, w["event"]))


class Windows:
    """The addresses that are touched, without what is between them."""

    def __init__(self, panel):
        device = [(d.addr, d.addr + PAGE) for d in panel.faults + panel.retries]
        told = [(c.start, c.end) for c in panel.calls if c.end - c.start <= HUGE]
        spans = []
        for start, end in sorted(device or told or [(r.start, r.end) for r in panel.ranges]):
            if spans and start <= spans[-1][1] + NEAR:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([start, end])
        # what reaches beyond is seen to do so
        edge = max(sum(e - s for s, e in spans) // 24, PAGE // 4)
        self.pages = [(e - s) // PAGE for s, e in spans[:6]]
        self.spans = [(max(s - edge, 0), e + edge) for s, e in spans[:6]]
        self.total = sum(e - s for s, e in self.spans)
        self.height = HEIGHT - GAP * (len(self.spans) - 1)

    def each(self):
        """(first address, last, y of the first, pixels per byte), from below."""
        y = HEIGHT
        for start, end in self.spans:
            height = self.height * (end - start) / self.total
            yield start, end, y, height / (end - start)
            y -= height + GAP

    def boxes(self, start, end):
        for first, last, y, scale in self.each():
            a, b = max(start, first), min(end, last)
            if a < b:
                yield y - (b - first) * scale, (b - a) * scale

    def y(self, addr):
        for first, last, y, scale in self.each():
            if first <= addr < last:
                return y - (addr + PAGE / 2 - first) * scale
        return None


def number(value):
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def ticks(span, room):
    """A step of 1, 2 or 5 times a power of ten, for that many labels."""
    step = 1e-6
    while True:
        for factor in (1, 2, 5):
            if span / (step * factor) <= room:
                return step * factor
        step *= 10


class Drawing:
    """One of the two parts of a panel: what happens from @began to @ended."""

    def __init__(self, panel, windows, began, ended, x, width):
        self.panel, self.windows = panel, windows
        self.began, self.ended = began, ended
        self.left, self.width = x, width
        self.scale = width / max(ended - began, 1e-9)

    def x(self, when):
        return min(max((when - self.began) * self.scale, 0), self.width)

    def seen(self, item):
        return item.ended >= self.began and item.began <= self.ended

    def rects(self, items, least):
        """Paths by event; what looks the same is drawn once."""
        paths, known = {}, set()
        for item in items:
            if not self.seen(item):
                continue
            x0, x1 = self.x(item.began), self.x(item.ended)
            for y, height in self.windows.boxes(item.start, item.end):
                box = (number(x0), number(y), number(max(x1 - x0, least)),
                       number(max(height, 1.2)))
                if (item.event, box) in known:
                    continue
                known.add((item.event, box))
                paths.setdefault(item.event, []).append("M{0} {1}h{2}v{3}h-{2}z".format(*box))
        return paths

    def dots(self, items, shape):
        known, path = set(), []
        for item in items:
            y = self.windows.y(item.addr)
            if y is None or not self.began <= item.when <= self.ended:
                continue
            at = (number(self.x(item.when)), number(y))
            if at not in known:
                known.add(at)
                path.append(shape.format(*at))
        return "".join(path)

    def svg(self, large):
        out = [f'<g transform="translate({self.left} {HEAD})">']
        for first, last, y, scale in self.windows.each():
            height = (last - first) * scale
            out.append(f'<rect class="w" y="{number(y - height)}" width="{self.width}" '
                       f'height="{number(height)}"/>')
        for event, paths in sorted(self.rects(self.panel.ranges, 0.7).items()):
            out.append(f'<path fill="{COLOURS.get(event, "#000")}" fill-opacity="{0.42 if large else 0.35}" '
                       f'd="{"".join(paths)}"/>')
        for event, paths in sorted(self.rects(self.panel.calls, 0.5).items()):
            out.append(f'<path fill="{COLOURS.get(event, "#000")}" fill-opacity="0.85" '
                       f'd="{"".join(paths)}"/>')
        waits = [f"M{number(self.x(w.began))} -4H{number(max(self.x(w.ended), self.x(w.began) + 1))}"
                 for w in self.panel.waits if self.seen(w)]
        if waits:
            out.append(f'<path class="wait" d="{"".join(waits)}"/>')
        dots = self.dots(self.panel.faults, "M{0} {1}h0")
        if dots:
            out.append(f'<path class="f" stroke-width="{4 if large else 2.2}" d="{dots}"/>')
        arm = 3.4 if large else 2.6
        dots = self.dots(self.panel.retries,
                         "M{0} {1}m-%g -%gl%g %gm0 -%gl-%g %g" % (arm, arm, 2 * arm, 2 * arm,
                                                                2 * arm, 2 * arm, 2 * arm))
        if dots:
            out.append(f'<path class="r" stroke-width="{1.6 if large else 1.2}" d="{dots}"/>')
        out.append(self.axis())
        out.append("</g>")
        return "\n".join(out)

    def axis(self):
        span = self.ended - self.began
        step = ticks(span, self.width / 90)
        # as small as is needed for whole numbers
        unit, name = (1, "s") if step >= 1 else (1e-3, "ms") if step >= 1e-3 else (1e-6, "us")
        origin = self.began - self.panel.began
        out, t = [], 0.0
        first = -(-origin // step) * step
        t = first
        while t <= origin + span + 1e-12:
            x = number((t - origin) * self.scale)
            label = f"{t / unit:.10g}"
            if unit == 1e-6:
                label = f"+{(t - first) / unit:.10g}"
            out.append(f'<path class="a" d="M{x} {HEIGHT}v4"/><text class="t" x="{x}" '
                       f'y="{HEIGHT + 15}">{label}</text>')
            t += step
        what = f"time ({name})"
        if unit == 1e-6:
            what = f"time (us) from {first * 1e3:.3f} ms on"
        out.append(f'<path class="a" d="M0 {HEIGHT}H{self.width}"/>'
                   f'<text class="t" x="{self.width / 2}" y="{HEIGHT + 28}">{what}</text>')
        return "".join(out)


def busiest(panel):
    """
    The moment where the process and its device take turns most often, short enough for
    single ranges to be told apart.
    """
    marks = sorted([(r.began, 0) for r in panel.ranges] + [(d.when, 1) for d in panel.retries] +
                   [(d.when, 2) for d in panel.faults])
    turns = []
    for i, (when, kind) in enumerate(marks):
        points = (0.4, 3, 0.2)[kind]
        turns.append((when, points + (i > 0 and marks[i - 1][1] != kind)))
    span = panel.ended - panel.began
    if len(panel.ranges) > ENLARGED:
        span *= ENLARGED / len(panel.ranges)
    best, at, weight, low = -1, panel.began, 0, 0
    for when, points in turns:
        weight += points
        while turns[low][0] < when - span:
            weight -= turns[low][1]
            low += 1
        if weight > best:
            best, at = weight, turns[low][0]
    began = max(at - span * 0.05, panel.began)
    return began, min(began + span * 1.1, panel.ended)


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def draw_panel(panel, y):
    windows = Windows(panel)
    # nothing happens before and after
    times = ([r.began for r in panel.ranges] + [r.ended for r in panel.ranges] +
             [d.when for d in panel.faults + panel.retries])
    panel.began, panel.ended = min(times), max(times)
    began, ended = busiest(panel)
    whole = Drawing(panel, windows, panel.began, panel.ended, LEFT, WIDTH)
    x = LEFT + WIDTH + BETWEEN
    part = Drawing(panel, windows, began, ended, x, ZOOM)
    out = [f'<g transform="translate(0 {y})">']
    out.append(f'<text class="h" x="{LEFT}" y="14">{escape(panel.title)}</text>')
    out.append(f'<text class="s" x="{LEFT}" y="27">{len(panel.ranges):,} ranges, '
               f'{len(panel.calls):,} callbacks, {len(panel.faults):,} faults, '
               f'{len(panel.retries):,} begun again, {len(panel.waits):,} readers waited, '
               f'in {(panel.ended - panel.began) * 1e3:,.1f} ms</text>')
    out.append(f'<text class="s" x="{x}" y="27">the busiest {(ended - began) * 1e3:,.2f} ms of it'
               '</text>')
    for (first, last, wy, scale), pages in zip(windows.each(), windows.pages):
        height = (last - first) * scale
        labels = [(f"0x{(first + PAGE - 1) // PAGE * PAGE:x}", wy)]
        if height > 24:
            labels.append((f"0x{last // PAGE * PAGE:x}", wy - height + 9))
        if height > 40:
            labels.append((f"{pages:,} pages", wy - height / 2 + 4))
        for text, at in labels:
            out.append(f'<text class="l" x="{LEFT - 6}" y="{number(HEAD + at)}">{text}</text>')
    out.append(whole.svg(False))
    out.append(part.svg(True))
    # where that is
    a, b = LEFT + whole.x(began), LEFT + whole.x(ended)
    out.append(f'<path class="z" d="M{number(a)} {HEAD}v{HEIGHT}M{number(b)} {HEAD}v{HEIGHT}'
               f'M{number(b)} {HEAD}L{x} {HEAD}M{number(b)} {HEAD + HEIGHT}L{x} {HEAD + HEIGHT}"/>')
    out.append("</g>")
    return "\n".join(out)


def legend(events, x, y):
    out, at = [f'<g transform="translate({x} {y})">'], 0
    for event in events:
        out.append(f'<rect x="{at}" y="-9" width="18" height="10" fill="{COLOURS.get(event, "#000")}" '
                   'fill-opacity="0.4"/>'
                   f'<rect x="{at}" y="-9" width="6" height="10" fill="{COLOURS.get(event, "#000")}"/>'
                   f'<text class="s" x="{at + 23}" y="0">{event}</text>')
        at += 34 + 6.6 * len(event)
    at += 4
    for mark, text in ((f'<path class="f" stroke-width="4" d="M{{0}} -4h0"/>', "fault of the device"),
                       (f'<path class="r" stroke-width="1.6" d="M{{0}} -4m-3.4 -3.4l6.8 6.8m0 -6.8l-6.8 6.8"/>',
                        "fault begun again (collided)"),
                       (f'<path class="wait" d="M{{0}} -4m-8 0h16"/>', "reader waits")):
        out.append(mark.format(number(at + 8)) + f'<text class="s" x="{number(at + 20)}" y="0">{text}</text>')
        at += 34 + 6.4 * len(text)
    out.append("</g>")
    return "".join(out)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: picture.py TRACE PICTURE")
    panels = read(sys.argv[1])
    if not panels:
        sys.exit(f"picture.py: {sys.argv[1]} has no event of MMU notifiers; "
                 "were events/mmu_notifier/enable and a subscriber there?")
    # seldom ones have no place in the legend's order, but are in it
    events = [e for e in COLOURS if any(r.event == e for p in panels for r in p.ranges)]
    step = HEAD + HEIGHT + FOOT + 14
    width = LEFT + WIDTH + BETWEEN + ZOOM + RIGHT
    height = TOP + step * len(panels)
    with open(sys.argv[2], "w") as f:
        f.write(f'''<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: GPL-2.0 -->
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>MMU notifiers at work: address over time</title>
<style>
text {{ font-family: sans-serif; fill: #222 }}
.h {{ font-size: 13px; font-weight: bold }}
.s, .t {{ font-size: 11px }}
.t {{ text-anchor: middle }}
.l {{ font-size: 10px; font-family: monospace; text-anchor: end }}
.w {{ fill: #f4f4f4 }}
.a {{ stroke: #666; fill: none }}
.z {{ stroke: #999; fill: none; stroke-dasharray: 3 3 }}
.f {{ stroke: {FAULT}; fill: none; stroke-linecap: round }}
.r {{ stroke: {RETRY}; fill: none }}
.wait {{ stroke: {WAIT}; fill: none; stroke-width: 3 }}
</style>
<rect width="{width}" height="{height}" fill="white"/>
<text x="{LEFT}" y="26" style="font-size: 17px; font-weight: bold">MMU notifiers at work: address over time</text>
<text class="s" x="{LEFT}" y="44">A box is one invalidation, from start to end, over the addresses that it covers; dark is what the subscriber's callbacks take of it.</text>
{legend(events, LEFT, 64)}
<text class="s" transform="translate(14 {TOP + HEAD + HEIGHT / 2}) rotate(-90)" text-anchor="middle">address</text>
''')
        for i, panel in enumerate(panels):
            f.write(draw_panel(panel, TOP + i * step) + "\n")
        f.write("</svg>\n")
    total = Counter(r.event for p in panels for r in p.ranges)
    print(f"{len(panels)} panels, ranges: " + ", ".join(f"{n} {e}" for e, n in total.most_common()))


if __name__ == "__main__":
    main()
