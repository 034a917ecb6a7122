// SPDX-License-Identifier: GPL-2.0
/*
 * mmu_notifier_top: which subscriber costs which process how much?
 *
 * Reads /sys/kernel/debug/mmu_notifier/processes every few seconds and shows the
 * differences, the most expensive first. Recording is on while it runs. The columns
 * are explained in Documentation/mm/mmu_notifier/seeing.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>

#define DEBUGFS		"/sys/kernel/debug"
#define PROCESSES	DEBUGFS "/mmu_notifier/processes"
#define RECORDING	DEBUGFS "/mmu_notifier/recording"

#define NAME		64
#define STUCK_US	1000000		/* ranges that are in flight for longer */
#define MAX_STUCK	16

/* One subscriber of one process: what was read, and how it has changed. */
struct row {
	int pid;
	char comm[NAME];
	char subscriber[NAME];
	char slowest[NAME];
	unsigned long long subscriptions, calls, time_us;
	unsigned long long retries, slowest_us, in_flight;	/* of the process */
	double calls_rate, us_per_call, percent, retries_rate;
};

struct table {
	struct row *rows;
	size_t nr, room;
	unsigned int processes;
	unsigned long long subscriptions, in_flight;
	double when;
	char stuck[MAX_STUCK][4 * NAME];
	unsigned int nr_stuck;
};

static volatile sig_atomic_t stop;
static bool switched_on;

static void on_signal(int nr)
{
	(void)nr;
	stop = 1;
}

/* What could not be written is left as it is: there is nobody to tell. */
static int write_recording(const char *value)
{
	int fd = open(RECORDING, O_WRONLY), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void switch_off(void)
{
	if (switched_on)
		write_recording("0");
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "mmu_notifier_top: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(EXIT_FAILURE);
}

/* Say what has to be done for there to be something to read. */
static void __attribute__((noreturn)) die_no_file(int err)
{
	struct statfs fs;

	if (err == EACCES || err == EPERM)
		die("%s: %s; it is for root", PROCESSES, strerror(err));
	if (err != ENOENT)
		die("%s: %s", PROCESSES, strerror(err));
	if (statfs(DEBUGFS, &fs) || fs.f_type != DEBUGFS_MAGIC)
		die("debugfs is not mounted: mount -t debugfs none " DEBUGFS);
	die("this kernel has no %s: it wants CONFIG_MMU_NOTIFIER_STATS=y and CONFIG_DEBUG_FS=y",
	    PROCESSES);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * Reading
 */

static struct row *add_row(struct table *t, const struct row *process)
{
	if (t->nr == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->rows = realloc(t->rows, t->room * sizeof(*t->rows));
		if (!t->rows)
			die("no memory");
	}
	t->rows[t->nr] = *process;
	return &t->rows[t->nr++];
}

static void copy(char *to, const char *from)
{
	snprintf(to, NAME, "%s", from);
}

/*
 * One line is one process. The words "key=value" that follow "subscriber" or "range"
 * are about that.
 */
static void parse(struct table *t, char *line)
{
	char *word, *value, *save = NULL;
	struct row process = {}, *row = NULL;
	char range[NAME] = "", event[NAME] = "", task[NAME] = "", callback[NAME] = "";
	unsigned long long age = 0;
	size_t first = t->nr;

	for (word = strtok_r(line, "\n ", &save); word; word = strtok_r(NULL, "\n ", &save)) {
		unsigned long long nr;

		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		nr = strtoull(value, NULL, 0);

		if (!strcmp(word, "pid")) {
			process.pid = nr;
		} else if (!strcmp(word, "comm")) {
			copy(process.comm, value);
		} else if (!strcmp(word, "retries")) {
			process.retries = nr;
		} else if (!strcmp(word, "slowest")) {
			copy(process.slowest, value);
		} else if (!strcmp(word, "slowest_us")) {
			process.slowest_us = nr;
		} else if (!strcmp(word, "in_flight")) {
			process.in_flight = nr;
		} else if (!strcmp(word, "subscriber")) {
			row = add_row(t, &process);
			copy(row->subscriber, value);
		} else if (row && !strcmp(word, "subscriptions")) {
			row->subscriptions = nr;
			t->subscriptions += nr;
		} else if (row && !strcmp(word, "calls")) {
			row->calls = nr;
		} else if (row && !strcmp(word, "time_us")) {
			row->time_us = nr;
		} else if (!strcmp(word, "releasing")) {
			copy(callback, value);
			copy(event, "release");
		} else if (!strcmp(word, "range")) {
			copy(range, value);
			callback[0] = '\0';
			age = 0;
		} else if (!strcmp(word, "event")) {
			copy(event, value);
		} else if (!strcmp(word, "age_us")) {
			age = nr;
		} else if (!strcmp(word, "task")) {
			copy(task, value);
			if (age >= STUCK_US && t->nr_stuck < MAX_STUCK)
				snprintf(t->stuck[t->nr_stuck++], sizeof(t->stuck[0]),
					 "%d %s: %s (%s) by %s for %.1f s", process.pid,
					 process.comm, range, event, task, age / 1e6);
		} else if (!strcmp(word, "callback")) {
			copy(callback, value);
		} else if (!strcmp(word, "since_us") && nr >= STUCK_US) {
			char *text = t->stuck[t->nr_stuck ? t->nr_stuck - 1 : 0];
			size_t len;

			if (!range[0] && t->nr_stuck < MAX_STUCK)
				snprintf(t->stuck[t->nr_stuck++], sizeof(t->stuck[0]),
					 "%d %s: end of the process, in %s for %.1f s",
					 process.pid, process.comm, callback, nr / 1e6);
			else if (range[0] && age >= STUCK_US) {
				len = strlen(text);
				snprintf(text + len, sizeof(t->stuck[0]) - len,
					 ", in %s for %.1f s", callback, nr / 1e6);
			}
		}
	}
	/* An address space that ends, or whose subscriptions have just ended. */
	if (t->nr == first && process.pid)
		copy(add_row(t, &process)->subscriber, "-");
	t->processes++;
	t->in_flight += process.in_flight;
}

static void read_table(struct table *t)
{
	FILE *f = fopen(PROCESSES, "r");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		die_no_file(errno);
	t->nr = 0;
	t->nr_stuck = 0;
	t->processes = 0;
	t->subscriptions = 0;
	t->in_flight = 0;
	t->when = now();
	while (getline(&line, &size, f) > 0)
		parse(t, line);
	if (ferror(f))
		die("%s: %s", PROCESSES, strerror(errno));
	free(line);
	fclose(f);
}

/*
 * Comparing
 */

static const struct row *find(const struct table *t, const struct row *like)
{
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->rows[i].pid == like->pid &&
		    !strcmp(t->rows[i].subscriber, like->subscriber))
			return &t->rows[i];
	return NULL;
}

/* What is less than before is another process's, under the same number. */
static unsigned long long since(unsigned long long new, unsigned long long old)
{
	return new >= old ? new - old : new;
}

static void compare(struct table *t, const struct table *before)
{
	static const struct row none;
	double seconds = before->when ? t->when - before->when : 0;
	size_t i;

	if (seconds <= 0)
		return;
	for (i = 0; i < t->nr; i++) {
		struct row *row = &t->rows[i];
		const struct row *old = find(before, row) ?: &none;
		unsigned long long calls = since(row->calls, old->calls);
		unsigned long long us = since(row->time_us, old->time_us);

		row->calls_rate = calls / seconds;
		row->us_per_call = calls ? (double)us / calls : 0;
		row->percent = us / seconds / 1e4;
		row->retries_rate = since(row->retries, old->retries) / seconds;
	}
}

static int by_cost(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->percent != y->percent)
		return x->percent < y->percent ? 1 : -1;
	if (x->calls_rate != y->calls_rate)
		return x->calls_rate < y->calls_rate ? 1 : -1;
	if (x->in_flight != y->in_flight)
		return x->in_flight < y->in_flight ? 1 : -1;
	if (x->subscriptions != y->subscriptions)
		return x->subscriptions < y->subscriptions ? 1 : -1;
	return x->pid - y->pid;
}

/*
 * Showing
 */

static void show(struct table *t, bool batch, bool recorded)
{
	struct winsize size = {};
	size_t room = t->nr, shown = 0, i;
	time_t clock = time(NULL);
	char text[16];

	qsort(t->rows, t->nr, sizeof(*t->rows), by_cost);
	strftime(text, sizeof(text), "%H:%M:%S", localtime(&clock));
	if (!batch) {
		printf("\033[H\033[J");
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 6 + t->nr_stuck)
			room = size.ws_row - 5 - t->nr_stuck;
	}
	printf("%s  %u process%s, %llu subscription%s, %llu range%s in flight%s\n", text,
	       t->processes, t->processes == 1 ? "" : "es",
	       t->subscriptions, t->subscriptions == 1 ? "" : "s",
	       t->in_flight, t->in_flight == 1 ? "" : "s",
	       recorded ? "" : "; recording is off, so calls are not counted");
	for (i = 0; i < t->nr_stuck; i++)
		printf("stuck: %s\n", t->stuck[i]);
	printf("%7s %-15s %-36s %6s %9s %9s %7s %9s %6s %10s  %s\n", "PID", "COMMAND",
	       "SUBSCRIBER", "SUBS", "CALLS/s", "us/CALL", "TIME %", "RETRIES/s", "FLIGHT",
	       "SLOWEST us", "IN");
	for (i = 0; i < t->nr && shown < room; i++) {
		const struct row *row = &t->rows[i];

		/* Who was there, and is no longer. */
		if (!row->subscriptions && !row->calls_rate && !row->in_flight)
			continue;
		shown++;
		printf("%7d %-15s %-36s %6llu %9.0f %9.1f %7.2f %9.0f %6llu %10llu  %s\n",
		       row->pid, row->comm, row->subscriber, row->subscriptions,
		       row->calls_rate, row->us_per_call, row->percent, row->retries_rate,
		       row->in_flight, row->slowest_us, row->slowest);
	}
	if (!t->nr)
		printf("        (no process is subscribed to)\n");
	if (i < t->nr)
		printf("        (and %zu more)\n", t->nr - i);
	if (batch)
		printf("\n");
	fflush(stdout);
}

static void help(FILE *to)
{
	fprintf(to,
		"usage: mmu_notifier_top [-b] [-d SECONDS] [-n TIMES] [-r]\n"
		"Shows which subscriber of MMU notifiers costs which process how much.\n"
		"  -b, --batch      one table below the other; so it is if the output is no terminal\n"
		"  -d, --delay S    seconds between two tables (2)\n"
		"  -n, --times N    end after N tables\n"
		"  -r, --read-only  do not switch recording on: then calls are counted only if it\n"
		"                   is on already\n");
}

static void __attribute__((noreturn)) wrong(const char *what, const char *value)
{
	fprintf(stderr, "mmu_notifier_top: %s '%s' (--help tells what there is)\n", what, value);
	exit(2);
}

static bool is_recording(void)
{
	char value = '0';
	int fd = open(RECORDING, O_RDONLY);

	if (fd >= 0) {
		if (read(fd, &value, 1) != 1)
			value = '0';
		close(fd);
	}
	return value == '1';
}

static void sleep_for(double seconds)
{
	struct timespec t = { .tv_sec = seconds, .tv_nsec = (seconds - (long)seconds) * 1e9 };

	nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },
		{ "delay", required_argument, NULL, 'd' },
		{ "times", required_argument, NULL, 'n' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct sigaction action = { .sa_handler = on_signal };
	struct table tables[2] = {};
	bool batch = !isatty(STDOUT_FILENO), read_only = false;
	unsigned long times = 0, i;
	double delay = 2;
	char *end;
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":bd:n:rh", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			batch = true;
			break;
		case 'd':
			delay = strtod(optarg, &end);
			if (*end || !(delay >= 0.1 && delay <= 3600))
				wrong("not a delay from 0.1 to 3600 seconds:", optarg);
			break;
		case 'n':
			times = strtoul(optarg, &end, 10);
			if (*end || !times || *optarg == '-')
				wrong("not a number of tables:", optarg);
			break;
		case 'r':
			read_only = true;
			break;
		case 'h':
			help(stdout);
			return EXIT_SUCCESS;
		case ':':
			wrong("a value is missing after", argv[optind - 1]);
		default:
			wrong("no such option:", argv[optind - 1]);
		}
	}
	if (optind < argc)
		wrong("what is", argv[optind]);

	if (access(PROCESSES, R_OK))
		die_no_file(errno);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (!read_only && !is_recording()) {
		err = write_recording("1");
		if (err)
			die("%s: %s; -r does without", RECORDING, strerror(-err));
		switched_on = true;
		atexit(switch_off);
	}

	/* The first one is what the others are compared with. */
	read_table(&tables[1]);
	for (i = 0; !stop && (!times || i < times); i++) {
		struct table *t = &tables[i % 2];

		sleep_for(delay);
		if (stop)
			break;
		read_table(t);
		compare(t, &tables[(i + 1) % 2]);
		show(t, batch, is_recording());
	}
	return EXIT_SUCCESS;
}
