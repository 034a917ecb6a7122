// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the nested guest of test-guest.sh: fills memory with patterns, and sees
 * whether they stay.
 *
 *	guestmem THREADS MEGABYTES
 *
 * Each thread has MEGABYTES of its own: a half is anonymous, a quarter is a file
 * on tmpfs, and in the last quarter all pages are alike, for KSM below to merge.
 * Over and over a thread verifies its pages, and writes some of them anew, so that
 * there are pages that were just used and others that were not for a while. The
 * pattern of a page tells where it belongs and how often it was written: another
 * page in its place is seen, and an older state of the same page too.
 *
 * Every few seconds a line says how far it is; it ends when it is killed.
 */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096
#define WORDS		(PAGE / sizeof(uint64_t))
#define REPORT_SECONDS	3
#define MAX_COMPLAINTS	20

struct area {
	const char *name;
	volatile uint64_t *mem;
	uint32_t *written;	/* how often, by page */
	size_t pages;
	bool alike;
};

static atomic_ullong verified;
static atomic_ullong wrong;
static atomic_uint rounds;
static size_t thread_bytes;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15;
	x ^= x >> 29;
	x *= 0xd1342543de82ef95;
	return x ^ x >> 32;
}

/* The first word of a page; the others count up from it. */
static uint64_t first_word(const struct area *a, size_t page)
{
	uintptr_t where = (uintptr_t)a->mem + page * PAGE;

	return a->alike ? mix(0xa11ce) : mix(where) + mix(a->written[page] + 1);
}

static void fill(const struct area *a, size_t page)
{
	volatile uint64_t *word = a->mem + page * WORDS;
	uint64_t value = first_word(a, page);
	size_t i;

	for (i = 0; i < WORDS; i++)
		word[i] = value + i;
}

static void verify(const struct area *a, size_t page)
{
	const volatile uint64_t *word = a->mem + page * WORDS;
	uint64_t value = first_word(a, page);
	unsigned int bad = 0;
	size_t i, first = 0;

	for (i = 0; i < WORDS; i++)
		if (word[i] != value + i && !bad++)
			first = i;
	atomic_fetch_add(&verified, 1);
	if (bad && atomic_fetch_add(&wrong, 1) < MAX_COMPLAINTS)
		printf("guestmem: WRONG: %s page %zu: %u words, word %zu is %#llx and not %#llx\n",
		       a->name, page, bad, first, (unsigned long long)word[first],
		       (unsigned long long)(value + first));
}

static void area_new(struct area *a, const char *name, size_t bytes, bool file,
		     bool alike)
{
	FILE *f = file ? tmpfile() : NULL;
	size_t page;

	if (file && (!f || ftruncate(fileno(f), bytes)))
		err(EXIT_FAILURE, "a file of %zu bytes on tmpfs", bytes);
	a->name = name;
	a->pages = bytes / PAGE;
	a->alike = alike;
	a->written = calloc(a->pages, sizeof(*a->written));
	a->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
		      file ? fileno(f) : -1, 0);
	if (!a->written || a->mem == MAP_FAILED)
		err(EXIT_FAILURE, "%zu bytes of memory", bytes);
	for (page = 0; page < a->pages; page++)
		fill(a, page);
}

static void *checker(void *seed)
{
	uint64_t random = (uintptr_t)seed;
	struct area areas[3];
	struct area *a;
	size_t page;

	area_new(&areas[0], "anonymous", thread_bytes / 2, false, false);
	area_new(&areas[1], "tmpfs", thread_bytes / 4, true, false);
	area_new(&areas[2], "alike", thread_bytes / 4, false, true);

	for (;;) {
		for (a = areas; a < areas + 3; a++) {
			for (page = 0; page < a->pages; page++) {
				verify(a, page);
				random = mix(random + page);
				if (random % 4)
					continue;
				a->written[page]++;
				fill(a, page);
			}
		}
		atomic_fetch_add(&rounds, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int i, threads = argc == 3 ? atoi(argv[1]) : 0;
	pthread_t thread;

	thread_bytes = argc == 3 ? strtoul(argv[2], NULL, 0) << 20 : 0;
	if (!threads || !thread_bytes)
		errx(EXIT_FAILURE, "usage: guestmem THREADS MEGABYTES");
	setlinebuf(stdout);
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, checker, (void *)(uintptr_t)(i + 1)))
			errx(EXIT_FAILURE, "cannot create thread %u", i);
	for (;;) {
		sleep(REPORT_SECONDS);
		printf("guestmem: rounds=%u pages=%llu wrong=%llu\n", atomic_load(&rounds),
		       atomic_load(&verified), atomic_load(&wrong));
	}
}
