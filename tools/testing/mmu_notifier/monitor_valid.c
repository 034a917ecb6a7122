// SPDX-License-Identifier: GPL-2.0
/*
 * What mmon_valid() of tools/lib/mmu_monitor costs, on memory that stands for the
 * area of /dev/mmu_monitor: it is asked for each use of a registration, and must
 * take less than 5 ns. The best of many rounds counts, since others run, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mmon.h"

#define LIMIT_NS	5.0
#define CALLS		100000
#define ROUNDS		200
#define WATCHES		100000

static struct mmon_watch watches[WATCHES];
static __u64 *words;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Ask @nr watches in turn, CALLS times in all; the best round by call, in ns. */
static double ask(unsigned int nr, unsigned int *valid)
{
	unsigned int round, i, at, sum;
	double best = 1e9, begin, took;

	for (round = 0; round < ROUNDS; round++) {
		sum = 0;
		begin = now_ns();
		for (i = 0, at = 0; i < CALLS; i++, at = at + 1 == nr ? 0 : at + 1)
			sum += mmon_valid(&watches[at]);
		took = (now_ns() - begin) / CALLS;
		best = took < best ? took : best;
		*valid = sum;
	}
	return best;
}

static int verdict(int nr, const char *what, bool good)
{
	printf("%sok %d - %s\n", good ? "" : "not ", nr, what);
	return !good;
}

int main(void)
{
	unsigned int i, all, one, half;
	double few_ns, one_ns, many_ns;
	int failed = 0;

	words = aligned_alloc(4096, (WATCHES + 511) / 512 * 4096);
	if (!words)
		return 1;
	for (i = 0; i < WATCHES; i++) {
		words[i] = 2 * i + 2;
		watches[i].word = &words[i];
		watches[i].generation = words[i];
	}
	one_ns = ask(1, &one);
	few_ns = ask(1000, &all);
	many_ns = ask(WATCHES, &all);
	for (i = 0; i < WATCHES; i += 2)
		words[i]++;
	ask(WATCHES, &half);

	printf("KTAP version 1\n1..2\n");
	printf("# mmon_valid: one watch %.2f ns, 1000 in turn %.2f ns, 100000 in turn %.2f ns\n",
	       one_ns, few_ns, many_ns);
	failed += verdict(1, "valid says what the word does",
			  one == CALLS && all == CALLS && half == CALLS / 2);
	failed += verdict(2, "valid takes less than 5 ns", one_ns < LIMIT_NS && few_ns < LIMIT_NS);
	return failed != 0;
}
