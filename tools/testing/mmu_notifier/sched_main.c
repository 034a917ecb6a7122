// SPDX-License-Identifier: GPL-2.0
/*
 * Explore the programs named by the arguments, or all of them; KTAP. Stops at
 * the first failure with -x; -l lists them.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sched_programs.h"

static bool chosen(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* The @nr-th of all, or NULL. */
static const struct sched_program *program(unsigned int nr)
{
	static const struct sched_program *const tables[] = {
		sched_programs, sched_settle_programs, sched_index_programs,
	};
	const struct sched_program *p;
	unsigned int i;

	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (p = tables[i]; p->name; p++)
			if (!nr--)
				return p;
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	bool stop = argc > 1 && !strcmp(argv[1], "-x");
	char **names = argv + 1 + stop;
	const struct sched_program *p;
	struct sched_result result;
	unsigned int i, nr = 0;
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "-l")) {
		for (i = 0; (p = program(i)); i++)
			printf("%s\n", p->name);
		return 0;
	}
	for (i = 0; (p = program(i)); i++)
		nr += chosen(p->name, names);
	if (!nr) {
		fprintf(stderr, "%s: no such program; these are there:\n", argv[0]);
		for (i = 0; (p = program(i)); i++)
			fprintf(stderr, "  %-26s %s\n", p->name, p->what);
		return 2;
	}
	printf("KTAP version 1\n1..%u\n", nr);
	for (i = 0, nr = 0; (p = program(i)) && !(failed && stop); i++) {
		double begin = now();

		if (!chosen(p->name, names))
			continue;
		sched_explore(p, &result);
		printf("# %s\n", p->what);
		printf("# %.3g schedules with up to %u preemptions and %u reorderings; ",
		       result.schedules, p->preemptions, p->reorderings);
		printf("%lu states, %lu steps, %.1f s\n", result.states, result.steps,
		       now() - begin);
		if (result.failure)
			printf("# %s\n", result.failure);
		printf("%s %u - %s\n", result.failure ? "not ok" : "ok", ++nr, p->name);
		fflush(stdout);
		failed |= !!result.failure;
	}
	return failed;
}
