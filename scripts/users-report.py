#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# users-report.py RESULTS: compare what the suites of scripts/test-clients.sh said
# on stock and on ours. Prints one table and leaves it as users.tsv, and a verdict
# for each test as users.ktap. Fails for whatever ours does worse.
#
# A test is one command, plain or subscribed. It passes by its exit status. Those
# that print TAP are compared case by case as well, by the cases' names.

import os
import re
import sys
from collections import Counter

TESTS = os.path.join(os.path.dirname(__file__), '..',
                     'tools/testing/selftests/mmu_notifier/users/tests')
CASE = re.compile(r'^\s*(?:# *)?(ok|not ok)\s+(?:\d+\s+)?(?:- )?(.*)')
HANGS = ('137', '143', '124')


class Run:
    """One test on one kernel."""

    def __init__(self):
        self.cases = Counter()
        self.status = 'hang'        # its end was never seen
        self.counts = {}

    def line(self, text):
        case = CASE.match(text)
        if not case:
            return
        verdict, name = case.groups()
        if '# SKIP' in name.upper():
            verdict = 'skip'
        name = re.sub(r'\s*#\s*(SKIP|XFAIL|TODO).*', '', name, flags=re.I)
        # addresses and durations are no part of a name
        self.cases[verdict, re.sub(r'0x[0-9a-f]+|[0-9.]+ *(ms|s|us)\b', '', name)] += 1

    def end(self, status, counts):
        self.counts = counts
        self.status = {'0': 'pass', '4': 'skip'}.get(
            status, 'hang' if status in HANGS else 'fail')

    def number(self, verdict):
        return sum(n for (v, _), n in self.cases.items() if v == verdict)

    def result(self):
        if not self.cases:
            return self.status
        text = '%s %d' % (self.status, self.number('ok'))
        for verdict in ('not ok', 'skip'):
            if self.number(verdict):
                text += ', %d %s' % (self.number(verdict), verdict)
        return text

    def calls(self):
        return (self.counts.get('invalidate_range_start', 0) +
                self.counts.get('clear_flush_young', 0) +
                self.counts.get('clear_young', 0) +
                self.counts.get('test_young', 0))


def read(path):
    runs, now = {}, None
    with open(path, encoding='utf-8', errors='replace') as f:
        for text in f:
            text = text.rstrip('\r\n')
            word = text.split()
            if text.startswith('@@ begin '):
                now = runs[word[2], ' '.join(word[3:])] = Run()
            elif text.startswith('@@ end ') and now:
                now.end(word[3], {k: int(n) for k, n in (w.split('=') for w in word[4:])})
                now = None
            elif now:
                now.line(text)
    return runs


def worse(stock, ours, flags, variant):
    """Why ours is not as good as stock; None if it is."""
    if stock.status == 'pass' and ours.status != 'pass':
        return 'passes on stock, here: ' + ours.status
    for bad in ('not ok', 'skip'):
        for (verdict, name), n in ours.cases.items():
            if verdict == bad and n > stock.cases[bad, name] and stock.cases['ok', name]:
                return '%s: %s' % (bad, name)
    if ours.number('ok') < stock.number('ok'):
        return '%d cases good, %d on stock' % (ours.number('ok'), stock.number('ok'))
    if (variant == 'subscribed' or 'd' in flags) and not ours.calls():
        return 'it was to drive notifiers, and drove none'
    return None


def flags_of():
    with open(TESTS, encoding='utf-8') as f:
        words = (line.split() for line in f)
        return {' '.join(w[3:]): (w[0], w[1]) for w in words if w and w[0][0] != '#'}


def main():
    results = sys.argv[1]
    stock = read(os.path.join(results, 'users-stock.out'))
    ours = read(os.path.join(results, 'users-ours.out'))
    flags = flags_of()
    rows, cases, failed = [], [], 0

    for key in dict.fromkeys(list(stock) + list(ours)):
        variant, command = key
        suite, flag = flags.get(command, ('?', ''))
        s, o = stock.get(key, Run()), ours.get(key, Run())
        why = worse(s, o, flag, variant)
        name = suite + ' ' + command + (' (subscribed)' if variant != 'plain' else '')
        rows.append([name, s.result(), o.result(), s.calls(), o.calls(),
                     s.counts.get('seconds', ''), o.counts.get('seconds', ''),
                     why or ''])
        failed += why is not None
        # what neither of them passes says nothing about ours
        skip = ' # SKIP %s on stock, too' % o.status if not why and o.status != 'pass' else ''
        cases.append('%s %d - %s%s' % ('not ok' if why else 'ok', len(rows), name, skip))
        if why:
            cases.insert(-1, '# ' + why)

    head = ['test', 'stock', 'ours', 'calls on stock', 'on ours', 's on stock', 'on ours', 'worse']
    with open(os.path.join(results, 'users.tsv'), 'w', encoding='utf-8') as f:
        f.write('# SPDX-License-Identifier: GPL-2.0\n')     # where it is recorded
        for row in [head] + rows:
            f.write('\t'.join(map(str, row)) + '\n')
    with open(os.path.join(results, 'users.ktap'), 'w', encoding='utf-8') as f:
        f.write('KTAP version 1\n1..%d\n' % len(rows))
        f.write(''.join(c + '\n' for c in cases))

    print('%-58s %-26s %-26s %9s %9s' % ('test', 'stock', 'ours', 'calls', 'on ours'))
    for name, s, o, calls, our_calls, _, _, why in rows:
        print('%-58s %-26s %-26s %9s %9s%s' %
              (name, s, o, calls, our_calls, '  WORSE: ' + why if why else ''))
    print('%d tests, %d worse on ours' % (len(rows), failed))
    return failed > 0 or not rows


if __name__ == '__main__':
    sys.exit(main())
