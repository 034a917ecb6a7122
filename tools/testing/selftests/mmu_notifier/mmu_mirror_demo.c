// SPDX-License-Identifier: GPL-2.0
/*
 * The main job of "make run": every scenario with every personality, as a
 * table that grows while one looks.
 *
 * Exit status: 0 if every row holds, 1 if one does not, 2 if it was called
 * wrongly, 4 if there is no device.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"

#define SECONDS		30
#define EXIT_USAGE	2
#define EXIT_SKIP	4

static void help(FILE *to)
{
	fprintf(to,
		"usage: mmu_mirror_demo [-p PERSONALITY] [-e EFFORT] [-t] [--list] [SCENARIO...]\n"
		"Changes the memory of a process in every way that Linux knows while a device\n"
		"works on it through /dev/mmu_mirror, and compares what the two see.\n"
		"  -p, --personality P  only with that kind of device: shadow, svm, ...\n"
		"  -e, --effort N       storms last N times as long (1)\n"
		"  -t, --times          say how long each took\n"
		"  -l, --list           name the scenarios\n"
		"  SCENARIO             only those whose names contain this\n");
}

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "mmu_mirror_demo: %s '%s' (--help tells what there is)\n", what, value);
	return EXIT_USAGE;
}

static bool wanted(const struct scenario *scn, char **filters)
{
	if (!*filters)
		return true;
	for (; *filters; filters++)
		if (strstr(scn->name, *filters))
			return true;
	return false;
}

static void list(void)
{
	const struct scenario *scn;
	unsigned int i;

	for (i = 0; (scn = scenario_nth(i)); i++)
		printf("%-20s%s\n", scn->name, scn->what);
}

static bool times;

struct totals {
	unsigned int rows;
	unsigned int bad;
	unsigned int skipped;
	__u64 accesses;
	__u64 stale;
};

/* So that a trace says what it shows, if somebody traces. */
static void mark(const struct scenario *scn, unsigned int personality)
{
	static const char * const paths[] = {
		"/sys/kernel/tracing/trace_marker",
		"/sys/kernel/debug/tracing/trace_marker",
	};
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (!file_write(paths[i], "demo: %s (%s)", scn->what,
				mirror_personalities[personality]))
			return;
}

static void row(const struct scenario *scn, unsigned int personality, unsigned int effort,
		struct totals *t)
{
	static const char * const words[] = { "ok", "FAILED", "skipped" };
	struct verdict v;

	printf("%-39s %-8s", scn->what, mirror_personalities[personality]);
	fflush(stdout);
	mark(scn, personality);
	scenario_run(scn, personality, effort, SECONDS, &v);
	printf(" %9llu %9llu %9llu %6llu  %s", v.callbacks,
	       v.dropped, v.accesses,
	       v.stale, words[v.outcome]);
	if (times)
		printf("  %llu ms", v.us / 1000);
	printf("\n");
	if (v.why[0])
		printf("    %s: %s\n", scn->name, v.why);
	fflush(stdout);

	t->rows++;
	t->bad += v.outcome == OUTCOME_FAIL;
	t->skipped += v.outcome == OUTCOME_SKIP;
	t->accesses += v.accesses;
	t->stale += v.stale;
}

static int closing(const struct totals *t, unsigned int nr, unsigned int kinds,
		   __u64 us)
{
	printf("\n%u scenarios x %u personalit%s, %llu device accesses, %llu stale, %.1f s",
	       nr, kinds, kinds == 1 ? "y" : "ies", t->accesses,
	       t->stale, us / 1e6);
	if (t->bad)
		printf(";\n%u rows failed, %u skipped.\n", t->bad, t->skipped);
	else
		printf(":\nthe device never saw a page that was no longer the process's.\n");
	if (t->skipped && !t->bad)
		printf("%u rows were skipped, see there.\n", t->skipped);
	printf("DEMO: %s\n", t->bad ? "FAIL" : "PASS");
	return t->bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_all(char **filters, int only, unsigned int effort)
{
	struct totals t = {};
	const struct scenario *scn;
	unsigned int i, p, nr = 0;
	__u64 began = now_us();

	printf("%-39s %-8s %9s %9s %9s %6s  %s\n", "", "", "callbacks", "SPTEs", "device", "",
	       "");
	printf("%-39s %-8s %9s %9s %9s %6s  %s\n", "operation", "device", "received",
	       "dropped", "accesses", "stale", "verdict");
	for (i = 0; (scn = scenario_nth(i)); i++) {
		if (!wanted(scn, filters))
			continue;
		nr++;
		for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
			if (mirror_personalities[p] && (only < 0 || only == (int)p))
				row(scn, p, effort, &t);
	}
	if (!nr)
		return wrong("no scenario has a name with", filters[0]);
	return closing(&t, nr, t.rows / nr, now_us() - began);
}

static int personality_of(const char *name)
{
	int p;

	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
		if (mirror_personalities[p] && !strcmp(name, mirror_personalities[p]))
			return p;
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "personality", required_argument, NULL, 'p' },
		{ "effort", required_argument, NULL, 'e' },
		{ "times", no_argument, NULL, 't' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int effort = 1;
	struct mirror dev;
	int only = -1, c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":p:e:tlh", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			only = personality_of(optarg);
			if (only < 0)
				return wrong("no such personality:", optarg);
			break;
		case 'e':
			effort = atoi(optarg);
			if (effort < 1 || effort > 1000)
				return wrong("not an effort from 1 to 1000:", optarg);
			break;
		case 't':
			times = true;
			break;
		case 'l':
			list();
			return EXIT_SUCCESS;
		case 'h':
			help(stdout);
			return EXIT_SUCCESS;
		case ':':
			return wrong("a value is missing after", argv[optind - 1]);
		default:
			return wrong("no such option:", argv[optind - 1]);
		}
	}

	c = mirror_try_open(&dev);
	if (c) {
		fprintf(stderr, "mmu_mirror_demo: cannot open %s: %s\n", MMU_MIRROR_PATH,
			strerror(-c));
		return EXIT_SKIP;
	}
	mirror_close(&dev);
	sysmm_init();
	return run_all(argv + optind, only, effort);
}
