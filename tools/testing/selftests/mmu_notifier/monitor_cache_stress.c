// SPDX-License-Identifier: GPL-2.0
/*
 * monitor_cache_stress: a registration cache (tools/lib/mmu_monitor/example_cache.c)
 * under a process that does all it can think of with its memory.
 *
 *	--seconds N	how long (10)
 *	--threads N	so many threads change mappings, and so many use them (3)
 *	--room N	entries that the cache keeps (96)
 *	--seed N	of the random numbers
 *	--unaware	the cache believes that nothing changes; there must be wrong hits
 *	--pipes		do without io_uring
 *
 * The mock card (mock_nic.h) pins what is registered, and reads what it pinned. Each
 * page is stamped anew whenever its mapping is changed. A hit is wrong if the
 * card reads something else than the CPU does, at a time at which nobody changes the
 * mapping: readers take a lock of the slot of addresses that they read in. There
 * are gets without that lock, too, while the mapping is being changed, to have the
 * cache register in all the wrong moments. Nothing is said of these, but what they
 * left in the cache may be hit by a reader later.
 *
 * Exit status: 0: no wrong hit; 1: there were some; 2: too little happened to say
 * so; 4: there is no /dev/mmu_monitor.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "example_cache.h"
#include "mock_nic.h"

#define SLOTS		24
#define PAGES		16
#define STAMP		64		/* bytes at the beginning of a page */
#define SHOWN		10		/* wrong hits that are described */

/* Where nothing gets mapped that is not asked to be */
#define POOL		((char *)0x10000000000UL)

/**
 * struct slot - some addresses at which something is mapped, or nothing
 * @lock: for writing: who changes what is mapped.
 * @base: the first of PAGES pages.
 * @mapped: is that page?
 * @shared: is the same file mapped by the other process?
 * @file: it, or -1.
 * @last: what was done last.
 */
struct slot {
	pthread_rwlock_t lock;
	char *base;
	bool mapped[PAGES];
	bool shared;
	int file;
	const char *last;
};

static struct slot slots[SLOTS];
static struct slot *volatile changing = slots;
static struct mock_nic nic;
static struct excache *cache;
static size_t page;
static unsigned int seed;
static volatile bool stopping;
static int to_truncater = -1, from_truncater = -1;
static __u64 stamps;

/*
 * A child walks through the C library's list of stacks, which it may have copied
 * while another thread was changing it.
 */
static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;

static __thread bool pinned;		/* by this thread, since it was set to false */
static __thread unsigned int random_state;

static struct {
	__u64 changes, gets, hits, fresh, unmapped, children, wrong, bad;
} total;

#define COUNT(what)	__atomic_fetch_add(&total.what, 1, __ATOMIC_RELAXED)

static unsigned int below(unsigned int n)
{
	return rand_r(&random_state) / 7 % n;
}

static void fail(const char *what)
{
	fprintf(stderr, "monitor_cache_stress: %s: %s\n", what, strerror(errno));
	_exit(3);
}

/* It takes long, which is why there are caches; and much can change meanwhile. */
static int pin(void *context, void *start, size_t length, __u64 *key)
{
	int err = mock_nic_pin(context, start, length, key);

	pinned = true;
	if (!below(4))
		usleep(below(4000));
	return err;
}

static struct excache_device device = {
	.context = &nic,
	.pin = pin,
	.unpin = mock_nic_unpin,
	.forked = mock_nic_forked,
};

/* Each stamp is another one. */
static void stamp(char *at)
{
	__u64 value = __atomic_add_fetch(&stamps, 1, __ATOMIC_RELAXED), *word = (__u64 *)at;
	unsigned int i;

	for (i = 0; i < STAMP / sizeof(*word); i++)
		word[i] = value << 8 | i;
}

static void stamp_pages(char *start, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		stamp(start + i * page);
}

/* Does the card read what the CPU does? Nobody changes what is at @at meanwhile. */
static bool same(struct excache_entry *entry, const char *at, bool hit, const char *what)
{
	char seen[STAMP];
	int err = mock_nic_read(&nic, entry->key, at, seen, STAMP);

	if (!err && !memcmp(seen, at, STAMP))
		return true;
	if (!hit)
		COUNT(bad);
	if (COUNT(wrong) < SHOWN)
		fprintf(stderr, "wrong %s at %p, last %s: the card reads %#llx, the CPU %#llx\n",
			hit ? "hit" : "registration", at, what,
			err ? 0 : *(unsigned long long *)seen, *(unsigned long long *)at);
	return false;
}

/* Get, have the card read one of the pages, put: of memory that is all there. */
static bool use(char *start, size_t length, char *at, const char *what)
{
	struct excache_entry *entry;
	bool right;
	int err;

	pinned = false;
	COUNT(gets);
	err = excache_get(cache, start, length, &entry);
	if (err) {
		errno = -err;
		fail("excache_get");
	}
	right = same(entry, at, !pinned, what);
	if (pinned)
		COUNT(fresh);
	else
		COUNT(hits);
	excache_put(cache, entry);
	return right;
}

/* ------------------------------------------------------------ the slots */

static void set_mapped(struct slot *s, unsigned int first, unsigned int nr, bool mapped)
{
	memset(&s->mapped[first], mapped, nr * sizeof(bool));
	if (mapped)
		stamp_pages(s->base + first * page, nr);
}

static bool all_mapped(const struct slot *s, unsigned int first, unsigned int nr)
{
	return !memchr(&s->mapped[first], false, nr * sizeof(bool));
}

static void drop_file(struct slot *s)
{
	if (s->file >= 0)
		close(s->file);
	s->file = -1;
	s->shared = false;
}

static int new_file(void)
{
	int fd = memfd_create("stress", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGES * page))
		fail("memfd");
	return fd;
}

/* Over whatever is there: memory of its own, a file's, or a file's copied on write */
static void map_over(struct slot *s)
{
	unsigned int kind = below(4), nr = below(4) ? PAGES : PAGES / 2;
	int flags = MAP_FIXED | (kind == 1 ? MAP_SHARED : MAP_PRIVATE), fd = -1;

	if (kind == 1 || kind == 2)
		fd = new_file();
	else
		flags |= MAP_ANONYMOUS;
	if (mmap(s->base, nr * page, PROT_READ | PROT_WRITE, flags, fd, 0) != s->base)
		fail("mmap");
	if (nr < PAGES && munmap(s->base + nr * page, (PAGES - nr) * page))
		fail("munmap");
	drop_file(s);
	s->file = fd;
	s->shared = kind == 1;
	set_mapped(s, nr, PAGES - nr, false);
	set_mapped(s, 0, nr, true);
}

static void unmap(struct slot *s, unsigned int first, unsigned int nr)
{
	if (munmap(s->base + first * page, nr * page))
		fail("munmap");
	set_mapped(s, first, nr, false);
}

/* Another process truncates the file, and this one makes it long again. */
static void truncate_file(struct slot *s)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	char done;

	pthread_mutex_lock(&one);
	if (write(to_truncater, &s->file, sizeof(s->file)) != sizeof(s->file) ||
	    read(from_truncater, &done, 1) != 1)
		fail("the process that truncates");
	pthread_mutex_unlock(&one);
	if (ftruncate(s->file, PAGES * page))
		fail("ftruncate");
	stamp_pages(s->base, PAGES);
}

static void punch(struct slot *s, unsigned int first, unsigned int nr)
{
	if (fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * page,
		      nr * page))
		fail("fallocate");
	stamp_pages(s->base + first * page, nr);
}

static void advise(struct slot *s, unsigned int first, unsigned int nr, int advice)
{
	if (madvise(s->base + first * page, nr * page, advice))
		fail("madvise");
	stamp_pages(s->base + first * page, nr);
}

/* Another slot gets it. Both are locked. What is more than one mapping stays. */
static void move(struct slot *from, struct slot *to)
{
	if (mremap(from->base, PAGES * page, PAGES * page, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to->base) == MAP_FAILED) {
		unmap(to, 0, PAGES);
		return;
	}
	drop_file(to);
	to->file = from->file;
	to->shared = from->shared;
	from->file = -1;
	drop_file(from);
	set_mapped(from, 0, PAGES, false);
	set_mapped(to, 0, PAGES, true);
}

/* The half that it lacks, in place */
static void grow(struct slot *s)
{
	if (mremap(s->base, PAGES / 2 * page, PAGES * page, 0) == s->base)
		set_mapped(s, PAGES / 2, PAGES / 2, true);
}

/*
 * A child has a cache that is empty, and memory that is its own from then on. What
 * is shared it only looks at.
 */
static int be_child(struct slot *s)
{
	char *at = s->base + below(PAGES) * page;

	__u64 wrong = total.wrong, hits = total.hits, fresh = total.fresh;

	use(s->base, PAGES * page, at, "fork, in the child");
	if (total.fresh == fresh)
		return 1;
	if (!s->shared)
		stamp_pages(s->base, PAGES);
	use(s->base, PAGES * page, at, "fork, in the child, again");
	if (total.hits == hits && !(nic.classes & MMU_MONITOR_REPLACED))
		return 2;
	if (!s->shared && mmap(s->base, PAGES * page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return 3;
	if (!s->shared)
		stamp_pages(s->base, PAGES);
	use(s->base, PAGES * page, at, "mmap in the child");
	return total.wrong == wrong ? 0 : 4;
}

static void fork_once(struct slot *s)
{
	int status;
	pid_t pid;

	pthread_mutex_lock(&stacks_lock);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid)
		_exit(be_child(s));
	pthread_mutex_unlock(&stacks_lock);
	if (!s->shared)
		stamp_pages(s->base, PAGES);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	COUNT(children);
	if (status && COUNT(wrong) < SHOWN)
		fprintf(stderr, "wrong in a child, which ended with status %#x\n", status);
}

static void change(struct slot *s, struct slot *other)
{
	unsigned int first = below(PAGES), nr = 1 + below(PAGES - first);
	bool full = all_mapped(s, 0, PAGES);

	switch (below(12)) {
	case 0:
		s->last = "munmap";
		unmap(s, first, nr);
		break;
	case 1:
		s->last = "munmap of all";
		unmap(s, 0, PAGES);
		break;
	case 2:
		if (!all_mapped(s, first, nr))
			break;
		s->last = "MADV_DONTNEED";
		advise(s, first, nr, MADV_DONTNEED);
		break;
	case 3:
		if (!all_mapped(s, first, nr))
			break;
		s->last = "MADV_PAGEOUT";
		advise(s, first, nr, MADV_PAGEOUT);
		break;
	case 4:
		if (!s->shared || !full)
			break;
		s->last = "truncate by another process";
		truncate_file(s);
		break;
	case 5:
		if (!s->shared || !full)
			break;
		s->last = "punched hole";
		punch(s, first, nr);
		break;
	case 6:
		if (!full || pthread_rwlock_trywrlock(&other->lock))
			break;
		s->last = "mremap";
		other->last = "mremap";
		move(s, other);
		pthread_rwlock_unlock(&other->lock);
		break;
	case 7:
		if (!all_mapped(s, 0, PAGES / 2) || memchr(&s->mapped[PAGES / 2], true, PAGES / 2))
			break;
		s->last = "mremap to more";
		grow(s);
		break;
	case 8:
		if (!full || below(4))
			break;
		s->last = "fork";
		fork_once(s);
		break;
	default:
		s->last = "mmap over it";
		map_over(s);
		break;
	}
	COUNT(changes);
}

static void *changer(void *arg)
{
	struct timespec pause = { 0 };
	struct slot *s, *other;
	unsigned int i;

	random_state = (unsigned long)arg;
	while (!stopping) {
		s = &slots[below(SLOTS)];
		other = &slots[below(SLOTS)];
		if (other == s)
			other = &slots[(s - slots + 1) % SLOTS];
		pthread_rwlock_wrlock(&s->lock);
		changing = s;
		for (i = 1 + below(3); i > 0; i--)
			change(s, other);
		pthread_rwlock_unlock(&s->lock);
		pause.tv_nsec = below(1000000);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ------------------------------------------ memory that is one's own */

static pthread_mutex_t brk_lock = PTHREAD_MUTEX_INITIALIZER;

static void use_malloc(void)
{
	static const size_t sizes[] = { 100, 4000, 9000, 40000, 300000 };
	size_t size = sizes[below(5)];
	char *p = malloc(size), *at;

	if (!p)
		fail("malloc");
	at = p + below((size - STAMP) / page + 1) * page;
	stamp(at);
	use(p, size, at, "malloc");
	if (below(2)) {
		stamp(at);
		use(p, size, at, "malloc, again");
	}
	free(p);
}

/* malloc() copes with a break that others move. */
static void use_brk(void)
{
	size_t size = (1 + below(8)) * page;
	char *p;

	pthread_mutex_lock(&brk_lock);
	p = sbrk(size);
	if (p == (void *)-1)
		fail("sbrk");
	stamp(p + size - STAMP);
	use(p, size, p + size - STAMP, "brk");
	if (sbrk(0) == p + size)
		sbrk(-size);
	pthread_mutex_unlock(&brk_lock);
}

/* As a library's data are, that is loaded and unloaded */
static void use_file(void)
{
	size_t size = (1 + below(8)) * page;
	int fd = new_file();
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	stamp(p);
	use(p, size, p, "mapped file");
	munmap(p, size);
	close(fd);
}

static void __attribute__((noinline)) use_stack(unsigned int pages)
{
	char *p = alloca(pages * page);

	stamp(p);
	use(p, pages * page, p, "stack");
}

static void *on_stack(void *arg)
{
	random_state = (unsigned long)arg;
	use_stack(1 + below(4));
	return NULL;
}

static void use_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (64 + 64 * below(4)) << 10);
	pthread_mutex_lock(&stacks_lock);
	if (pthread_create(&thread, &attr, on_stack, (void *)(unsigned long)random_state))
		fail("pthread_create");
	pthread_join(thread, NULL);
	pthread_mutex_unlock(&stacks_lock);
	pthread_attr_destroy(&attr);
}

static void use_own(void)
{
	switch (below(6)) {
	case 0:
		use_brk();
		break;
	case 1:
		use_file();
		break;
	case 2:
		use_thread();
		break;
	default:
		use_malloc();
		break;
	}
}

/* ------------------------------------------------------------- users */

/* While mappings change; what comes back is not looked at. */
static void get_unlocked(struct slot *s, unsigned int first, unsigned int nr)
{
	struct excache_entry *entry;

	COUNT(gets);
	if (!excache_get(cache, s->base + first * page, nr * page, &entry))
		excache_put(cache, entry);
}

static void get_locked(struct slot *s, unsigned int first, unsigned int nr)
{
	char *start = s->base + first * page;
	struct excache_entry *entry;

	pthread_rwlock_rdlock(&s->lock);
	if (all_mapped(s, first, nr)) {
		use(start, nr * page, start + below(nr) * page, s->last);
	} else {
		COUNT(gets);
		COUNT(unmapped);
		if (!excache_get(cache, start, nr * page, &entry)) {
			if (COUNT(wrong) < SHOWN)
				fprintf(stderr, "wrong hit at %p, last %s: nothing is mapped\n",
					start, s->last);
			excache_put(cache, entry);
		}
	}
	pthread_rwlock_unlock(&s->lock);
}

static void *user(void *arg)
{
	unsigned int first, nr, i;
	struct slot *s;

	random_state = (unsigned long)arg;
	while (!stopping) {
		s = &slots[below(SLOTS)];
		/* mostly the same buffers, else there were few hits */
		first = below(4) ? 0 : below(PAGES);
		nr = below(4) ? (PAGES - first + 1) / 2 : 1 + below(PAGES - first);
		for (i = below(6); i > 0 && !stopping; i--) {
			if (below(4))
				get_locked(s, first, nr);
			else
				get_unlocked(below(2) ? changing : s, first, nr);
		}
		if (!below(8))
			use_own();
	}
	return NULL;
}

/* -------------------------------------------------------------- main */

/* Told a descriptor of its parent's, it empties that file. */
static void truncate_for(pid_t parent, int in, int out)
{
	char path[64], done = 1;
	int file;

	while (read(in, &file, sizeof(file)) == sizeof(file)) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", parent, file);
		if (truncate(path, 0))
			break;
		if (write(out, &done, 1) != 1)
			break;
	}
	_exit(0);
}

static void start_truncater(void)
{
	pid_t parent = getpid();
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		fail("pipe");
	switch (fork()) {
	case -1:
		fail("fork");
		break;
	case 0:
		close(there[1]);
		truncate_for(parent, there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	to_truncater = there[1];
	from_truncater = back[0];
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void report(double since)
{
	struct excache_counters c;

	excache_progress(cache, &c);
	printf("# %.0f s: %llu changes, %llu children, %llu gets: %llu hits, %llu fresh, ",
	       now() - since, total.changes, total.children, total.gets, total.hits, total.fresh);
	printf("%llu of nothing; %llu evicted by events, %llu found invalid, %llu pushed out, ",
	       total.unmapped, c.told, c.found, c.pushed);
	printf("%llu not cached; %llu wrong hits\n", c.uncached, total.wrong);
	fflush(stdout);
}

/* The main thread's stack is the one that grows. */
static void run(unsigned int seconds, unsigned int threads)
{
	double since = now(), shown = since;
	pthread_t thread[2 * threads];
	unsigned long i;

	for (i = 0; i < 2 * threads; i++)
		if (pthread_create(&thread[i], NULL, i % 2 ? user : changer,
				   (void *)(unsigned long)(seed + i + 1)))
			fail("pthread_create");
	while (now() - since < seconds) {
		use_stack(1 + below(64));
		if (now() - shown >= 10) {
			report(since);
			shown = now();
		}
		usleep(3000);
	}
	stopping = true;
	for (i = 0; i < 2 * threads; i++)
		pthread_join(thread[i], NULL);
	report(since);
}

static int verdict(unsigned int seconds)
{
	if (total.bad) {
		printf("# the card does not read what was just registered: the test is at fault\n");
		return 2;
	}
	if (total.wrong) {
		printf("# %llu wrong hits\n", total.wrong);
		return 1;
	}
	if (total.hits < 5 * seconds || total.changes < 5 * seconds ||
	    total.children < seconds / 60) {
		printf("# too little happened to say anything\n");
		return 2;
	}
	printf("# no wrong hit in %llu\n", total.hits);
	return 0;
}

static unsigned int to_number(const char *text, unsigned int least)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (*end || n < least || n > 1000000) {
		fprintf(stderr, "monitor_cache_stress: %s: not a number of %u or more\n", text,
			least);
		exit(3);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "room", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 'S' },
		{ "unaware", no_argument, NULL, 'u' },
		{ "pipes", no_argument, NULL, 'p' },
		{ }
	};
	unsigned int seconds = 10, threads = 3, room = 96, i;
	bool unaware = false, use_pipes = false;
	int c, err;

	seed = time(NULL);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seconds = to_number(optarg, 1);
			break;
		case 't':
			threads = to_number(optarg, 1);
			break;
		case 'r':
			room = to_number(optarg, 0);
			break;
		case 'S':
			seed = to_number(optarg, 0);
			break;
		case 'u':
			unaware = true;
			break;
		case 'p':
			use_pipes = true;
			break;
		default:
			fprintf(stderr, "options: --seconds, --threads, --room, --seed N; %s\n",
				"--unaware, --pipes");
			return 3;
		}
	}
	page = sysconf(_SC_PAGESIZE);
	random_state = seed;
	/* let freed memory go back to the kernel, and the break to us */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 0);
	mallopt(M_TOP_PAD, 0);
	mallopt(M_ARENA_MAX, 1000);

	start_truncater();
	err = mock_nic_open(&nic, room + 8 * threads, use_pipes);
	if (err) {
		errno = -err;
		fail("mock_nic_open");
	}
	printf("# pages are in %s\n", nic.ring < 0 ? "pipes" : "io_uring's buffers");
	device.classes = nic.classes;
	err = excache_new(&device, room, unaware ? EXCACHE_UNAWARE : 0, &cache);
	if (err) {
		printf("# no /dev/mmu_monitor: %s\n", strerror(-err));
		return 4;
	}
	for (i = 0; i < SLOTS; i++) {
		slots[i].base = POOL + i * 2 * PAGES * page;
		slots[i].file = -1;
		slots[i].last = "nothing";
		pthread_rwlock_init(&slots[i].lock, NULL);
	}
	printf("# seed %u\n", seed);
	run(seconds, threads);
	return verdict(seconds);
}
