// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `export`: process A, the test itself, exports a window of its
 * memory. Processes B, forked, import it and access it on request (struct peer).
 * Whatever becomes of A's pages, B sees what A sees, or nothing.
 *
 * Every value is written once only, so one that is read says where it was written.
 * After each change B looks first through SPTEs that exist, where what is stale
 * shows, then through new ones.
 *
 * Both sides' devices are opened by A before it forks, so it can ask all of them
 * for their counters; B uses its own.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define NR		16
#define MAX_PEERS	4
#define SECONDS		120
#define MS		1000u

/* MPOL_MF_MOVE_ALL of <linux/mempolicy.h> */
#define MOVE_ALL	4

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

/* ---------------------------------------------------------------- peers */

enum job {
	JOB_IMPORT,
	JOB_READ,
	JOB_WRITE,
	JOB_ADD,
	JOB_CHECK,
	JOB_ENGINE,
	JOB_MMAP,
	JOB_LOAD,
	JOB_STORE,
	JOB_COUNT_UP,
	JOB_DETACH,
	JOB_CLOSE_EXPORTER,
	JOB_GET_EXPORTER,
	JOB_QUIT,
};

struct request {
	enum job job;
	void *addr;
	__u64 value;
	unsigned int flags;
};

struct reply {
	int err;
	__u64 value;
};

/**
 * struct peer - a process B
 * @dev: its device.
 * @pid: itself.
 * @ask: where to write what it shall do.
 * @hear: where to read what came of it.
 */
struct peer {
	struct mirror dev;
	pid_t pid;
	int ask;
	int hear;
};

/* Of the parent: by a system call, for the guest has no sockets to pass it on. */
static int get_fd(int fd)
{
	int parent = syscall(SYS_pidfd_open, getppid(), 0), got;

	if (parent < 0)
		return -1;
	got = syscall(SYS_pidfd_getfd, parent, fd, 0);
	close(parent);
	return got;
}

/* B's own loads and stores, where it has mapped what it imports */
static char *mapped;
static sigjmp_buf bus_error;

static void on_bus_error(int sig)
{
	siglongjmp(bus_error, sig);
}

static int load_or_store(const struct request *q, struct reply *r)
{
	__u64 *word = (__u64 *)(mapped + (size_t)q->addr);

	signal(SIGBUS, on_bus_error);
	if (sigsetjmp(bus_error, 1))
		return -EFAULT;
	if (q->job == JOB_LOAD)
		r->value = __atomic_load_n(word, __ATOMIC_RELAXED);
	else
		__atomic_store_n(word, q->value, __ATOMIC_RELAXED);
	return 0;
}

/* Adds to the first words of pages for some time, and says how often it did. */
static __u64 count_up(const struct request *q)
{
	__u64 end = now_us() + q->value, n = 0;

	while (now_us() < end)
		__atomic_fetch_add((__u64 *)(mapped + n++ % NR * page_size), 1,
				   __ATOMIC_RELAXED);
	return n;
}

static void do_job(struct peer *p, struct mirror *exporter, const struct request *q,
		   struct reply *r)
{
	struct mmu_mirror_check check;

	r->value = q->value;
	switch (q->job) {
	case JOB_IMPORT:
		r->err = mirror_try_import(&p->dev, exporter);
		break;
	case JOB_READ:
		r->err = mirror_try_read(&p->dev, q->addr, &r->value, 8, q->flags);
		break;
	case JOB_WRITE:
		r->err = mirror_try_write(&p->dev, q->addr, &r->value, 8, q->flags);
		break;
	case JOB_ADD:
		r->err = mirror_try_add(&p->dev, q->addr, q->value, &r->value, q->flags);
		break;
	case JOB_CHECK:
		r->err = mirror_try_check(&p->dev, NULL, 0, &check);
		r->value = check.stale;
		break;
	case JOB_ENGINE:
		r->err = mirror_try_engine(&p->dev, q->flags, q->addr, q->value, &r->value);
		break;
	case JOB_MMAP:
		mapped = mmap(NULL, q->value, PROT_READ | PROT_WRITE, q->flags, p->dev.fd, 0);
		r->err = mapped == MAP_FAILED ? -errno : 0;
		break;
	case JOB_LOAD:
	case JOB_STORE:
		r->err = load_or_store(q, r);
		break;
	case JOB_COUNT_UP:
		r->value = count_up(q);
		r->err = 0;
		break;
	case JOB_DETACH:
		r->err = mirror_try_detach(&p->dev, NULL);
		break;
	case JOB_CLOSE_EXPORTER:
		mirror_close(exporter);
		r->err = 0;
		break;
	case JOB_GET_EXPORTER:
		exporter->fd = get_fd(q->value);
		r->err = exporter->fd < 0 ? -EBADF : 0;
		break;
	case JOB_QUIT:
		_exit(0);
	}
}

static void peer_main(struct peer *p, struct mirror exporter)
{
	struct request q;
	struct reply r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(p->ask, &q, sizeof(q)) == sizeof(q)) {
		do_job(p, &exporter, &q, &r);
		if (write(p->hear, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(1);
}

/* A process B which has A's file, or does not. */
static int peer_start(struct peer *p, struct mirror *exporter, bool inherit)
{
	struct mirror none = { .fd = -1 };
	int ask[2], hear[2];

	if (mirror_try_open(&p->dev) || pipe(ask) || pipe(hear))
		return -1;
	p->pid = fork();
	if (p->pid < 0)
		return -1;
	if (!p->pid) {
		close(ask[1]);
		close(hear[0]);
		p->ask = ask[0];
		p->hear = hear[1];
		if (!inherit)
			close(exporter->fd);
		peer_main(p, inherit ? *exporter : none);
	}
	close(ask[0]);
	close(hear[1]);
	p->ask = ask[1];
	p->hear = hear[0];
	return 0;
}

static void peer_send(struct peer *p, const struct request *q)
{
	if (write(p->ask, q, sizeof(*q)) != sizeof(*q))
		mirror_die("process B is gone");
}

static int peer_wait(struct peer *p, __u64 *value)
{
	struct reply r;

	if (read(p->hear, &r, sizeof(r)) != sizeof(r))
		mirror_die("process B is gone");
	if (value)
		*value = r.value;
	return r.err;
}

static int peer_do(struct peer *p, enum job job)
{
	struct request q = { .job = job };

	peer_send(p, &q);
	return peer_wait(p, NULL);
}

static int peer_read(struct peer *p, void *addr, __u64 *value, unsigned int flags)
{
	struct request q = { .job = JOB_READ, .addr = addr, .flags = flags };

	peer_send(p, &q);
	return peer_wait(p, value);
}

static int peer_write(struct peer *p, void *addr, __u64 value, unsigned int flags)
{
	struct request q = { .job = JOB_WRITE, .addr = addr, .value = value, .flags = flags };

	peer_send(p, &q);
	return peer_wait(p, NULL);
}

static __u64 peer_stale(struct peer *p)
{
	struct request q = { .job = JOB_CHECK };
	__u64 stale = 0;

	peer_send(p, &q);
	return peer_wait(p, &stale) ? 0 : stale;
}

static int peer_engine(struct peer *p, unsigned int flags, void *addr, size_t length,
		       __u64 *done)
{
	struct request q = {
		.job = JOB_ENGINE,
		.addr = addr,
		.value = length,
		.flags = flags,
	};

	peer_send(p, &q);
	return peer_wait(p, done);
}

/* Whatever it is doing. Its device is closed with it if A has closed it, too. */
static void peer_kill(struct peer *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->ask);
	close(p->hear);
	p->pid = 0;
}

/* -------------------------------------------------------------- fixture */

FIXTURE(export) {
	struct mirror a;
	struct peer b[MAX_PEERS];
	int nr_peers;
	char *window;
	size_t length;
	__u64 value;
};

static void *map(size_t length, int flags, int fd)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);
}

FIXTURE_SETUP(export)
{
	int err = mirror_try_open(&self->a);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	signal(SIGPIPE, SIG_IGN);
	self->value = 0xe0000000ULL + getpid() * 0x100000ULL;
	self->length = NR * page_size;
	self->window = map(self->length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(self->window, MAP_FAILED);
	/* B's copy of it would make A's writes copies */
	ASSERT_EQ(madvise(self->window, self->length, MADV_DONTFORK), 0);
	ASSERT_EQ(mirror_try_attach(&self->a, MMU_MIRROR_EXPORT, self->window, self->length), 0);
	ASSERT_EQ(peer_start(&self->b[0], &self->a, true), 0);
	self->nr_peers = 1;
	ASSERT_EQ(peer_do(&self->b[0], JOB_IMPORT), 0);
}

/* Nothing is left behind by anybody. */
FIXTURE_TEARDOWN(export)
{
	struct mmu_mirror_counters c;
	int i;

	for (i = 0; i < self->nr_peers; i++) {
		peer_kill(&self->b[i]);
		if (self->b[i].dev.fd < 0)
			continue;
		mirror_try_detach(&self->b[i].dev, NULL);
		c = mirror_counters(&self->b[i].dev);
		EXPECT_EQ(c.mapped, 0u);
		EXPECT_EQ(c.exported, 0u);
		EXPECT_EQ(c.unbalanced, 0u);
		mirror_close(&self->b[i].dev);
	}
	if (self->a.fd < 0)
		return;
	mirror_try_detach(&self->a, NULL);
	c = mirror_counters(&self->a);
	EXPECT_EQ(c.in_flight, 0u);
	EXPECT_EQ(c.mapped, 0u);
	EXPECT_EQ(c.exported, 0u);
	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_EQ(c.start, c.end + c.refused);
	mirror_close(&self->a);
}

#define B	(&self->b[0])

static __u64 *word(char *window, size_t i)
{
	return (__u64 *)(window + i * page_size);
}

static __u64 load(char *window, size_t i)
{
	return __atomic_load_n(word(window, i), __ATOMIC_RELAXED);
}

/* A writes to all pages, B reads and writes; it has writable SPTEs then. */
#define PRIME(p, window, nr) do { \
	size_t _i; \
	__u64 _v; \
	for (_i = 0; _i < (nr); _i++) { \
		*word(window, _i) = ++self->value; \
		ASSERT_EQ(peer_read(p, word(window, _i), &_v, 0), 0) TH_LOG("page %zu", _i); \
		ASSERT_EQ(_v, self->value) TH_LOG("page %zu", _i); \
		ASSERT_EQ(peer_write(p, word(window, _i), ++self->value, 0), 0); \
		ASSERT_EQ(load(window, _i), self->value) TH_LOG("page %zu", _i); \
	} \
} while (0)

/* B sees what A sees, by old SPTEs if there are any, by new ones in any case. */
#define AGREE(p, window, nr) do { \
	size_t _i; \
	__u64 _v; \
	int _err; \
	EXPECT_EQ(peer_stale(p), 0u); \
	for (_i = 0; _i < (nr); _i++) { \
		_err = peer_read(p, word(window, _i), &_v, MMU_MIRROR_NOFAULT); \
		if (!_err) { \
			EXPECT_EQ(_v, load(window, _i)) TH_LOG("old SPTE of page %zu", _i); \
		} else { \
			EXPECT_EQ(_err, -EFAULT); \
		} \
		EXPECT_EQ(peer_read(p, word(window, _i), &_v, 0), 0) TH_LOG("page %zu", _i); \
		EXPECT_EQ(_v, load(window, _i)) TH_LOG("page %zu", _i); \
	} \
} while (0)

/* B has no SPTE of these pages. */
#define GONE(p, window, nr) do { \
	size_t _i; \
	__u64 _v; \
	for (_i = 0; _i < (nr); _i++) \
		EXPECT_EQ(peer_read(p, word(window, _i), &_v, MMU_MIRROR_NOFAULT), -EFAULT) \
			TH_LOG("page %zu", _i); \
} while (0)

/* No page can be reached by B, by any SPTE. */
#define NOTHING(p, window, nr) do { \
	size_t _i; \
	__u64 _v; \
	GONE(p, window, nr); \
	for (_i = 0; _i < (nr); _i++) \
		EXPECT_EQ(peer_read(p, word(window, _i), &_v, 0), -EFAULT) \
			TH_LOG("page %zu", _i); \
} while (0)

/* As in the scenarios, what is missing is a failure, unless that is wanted. */
static bool lacks(const char *why)
{
	if (why && !getenv("MMU_MIRROR_LENIENT"))
		mirror_die("missing here: %s", why);
	return why;
}

#define TEST_EXPORT(name)	TEST_F_TIMEOUT(export, name, SECONDS)

/* --------------------------------------------------- what happens to pages */

TEST_EXPORT(access)
{
	struct mmu_mirror_counters c;
	__u64 v;

	PRIME(B, self->window, NR);
	AGREE(B, self->window, NR);
	c = mirror_counters(&B->dev);
	EXPECT_EQ(c.mapped, NR);
	EXPECT_EQ(c.exported, NR);
	EXPECT_EQ(c.start, 0u);
	EXPECT_EQ(mirror_counters(&self->a).mapped, 0u);

	/* A's own device has a table of its own */
	EXPECT_EQ(mirror_try_read(&self->a, self->window, &v, 8, MMU_MIRROR_NOFAULT), -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->a, self->window, &v, 8, 0), 0);
	EXPECT_EQ(v, load(self->window, 0));
	EXPECT_EQ(mirror_counters(&self->a).exported, 1u);

	/* no more than the window */
	EXPECT_EQ(peer_read(B, self->window + self->length, &v, 0), -EFAULT);
	EXPECT_EQ(peer_read(B, self->window - 8, &v, 0), -EFAULT);
}

TEST_EXPORT(swapped)
{
	if (lacks(need_swap()))
		SKIP(return, "no swap");
	PRIME(B, self->window, NR);
	/* what only B has written is not lost */
	ASSERT_EQ(evict(self->window, NR), NR);
	GONE(B, self->window, NR);
	EXPECT_GE(mirror_counters(&self->a).folios, NR);
	EXPECT_GE(mirror_counters(&B->dev).dropped, NR);
	EXPECT_EQ(pages_swapped(self->window, NR), NR);
	AGREE(B, self->window, NR);
	PRIME(B, self->window, NR);
}

TEST_EXPORT(migrated)
{
	__u64 pfns[NR];

	if (lacks(need_nodes()))
		SKIP(return, "no second node");
	PRIME(B, self->window, NR);
	pages_pfns(self->window, NR, pfns);
	ASSERT_EQ(pages_move(0, self->window, NR, !page_node(self->window)), NR);
	GONE(B, self->window, NR);
	EXPECT_EQ(pages_elsewhere(self->window, NR, pfns), NR);
	AGREE(B, self->window, NR);
	PRIME(B, self->window, NR);
}

TEST_EXPORT(unmapped)
{
	PRIME(B, self->window, NR);
	ASSERT_EQ(munmap(word(self->window, 4), 4 * page_size), 0);
	NOTHING(B, (char *)word(self->window, 4), 4);
	AGREE(B, self->window, 4);
	AGREE(B, (char *)word(self->window, 8), NR - 8);

	ASSERT_EQ(madvise(word(self->window, 8), 8 * page_size, MADV_DONTNEED), 0);
	GONE(B, (char *)word(self->window, 8), 8);
	AGREE(B, (char *)word(self->window, 8), 8);
	EXPECT_EQ(load(self->window, 8), 0u);
}

TEST_EXPORT(mapped_over)
{
	PRIME(B, self->window, NR);
	ASSERT_EQ(mmap(self->window, self->length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), self->window);
	GONE(B, self->window, NR);
	AGREE(B, self->window, NR);
	PRIME(B, self->window, NR);
}

TEST_EXPORT(protected)
{
	__u64 v;
	size_t i;

	PRIME(B, self->window, NR);
	ASSERT_EQ(mprotect(self->window, self->length, PROT_READ), 0);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(peer_write(B, word(self->window, i), 1, MMU_MIRROR_NOFAULT), -EFAULT);
		EXPECT_EQ(peer_write(B, word(self->window, i), 1, 0), -EFAULT);
	}
	AGREE(B, self->window, NR);
	ASSERT_EQ(mprotect(self->window, self->length, PROT_NONE), 0);
	NOTHING(B, self->window, NR);
	ASSERT_EQ(mprotect(self->window, self->length, PROT_READ | PROT_WRITE), 0);
	EXPECT_EQ(peer_read(B, self->window, &v, 0), 0);
	PRIME(B, self->window, NR);
}

/* Files that live in the page cache only; for both the window is over the file. */
static int new_file(bool shmem)
{
	char name[] = "/tmp/export_test.XXXXXX";
	int fd;

	if (shmem)
		return memfd_create("export_test", MFD_CLOEXEC);
	mkdir("/tmp", 0777);
	fd = mkstemp(name);
	unlink(name);
	return fd;
}

#define WINDOW_OVER(fd) do { \
	ASSERT_GE(fd, 0); \
	ASSERT_EQ(ftruncate(fd, self->length), 0); \
	ASSERT_EQ(mmap(self->window, self->length, PROT_READ | PROT_WRITE, \
		       MAP_SHARED | MAP_FIXED, fd, 0), self->window); \
} while (0)

TEST_EXPORT(truncated)
{
	__u64 v;
	int shmem;

	for (shmem = 0; shmem < 2; shmem++) {
		int fd = new_file(shmem);

		WINDOW_OVER(fd);
		PRIME(B, self->window, NR);
		ASSERT_EQ(ftruncate(fd, 4 * page_size), 0);
		NOTHING(B, (char *)word(self->window, 4), NR - 4);
		AGREE(B, self->window, 4);

		/* longer again: zeros, and new pages */
		ASSERT_EQ(ftruncate(fd, self->length), 0);
		ASSERT_EQ(peer_read(B, word(self->window, 5), &v, 0), 0);
		EXPECT_EQ(v, 0u);
		PRIME(B, self->window, NR);
		close(fd);
	}
}

TEST_EXPORT(punched)
{
	int fd = new_file(true);

	WINDOW_OVER(fd);
	PRIME(B, self->window, NR);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * page_size,
			    4 * page_size), 0);
	GONE(B, (char *)word(self->window, 4), 4);
	AGREE(B, self->window, NR);
	EXPECT_EQ(load(self->window, 4), 0u);
	PRIME(B, self->window, NR);

	/* and through the file, with A's mapping gone: B follows A, not the file */
	ASSERT_EQ(munmap(self->window, self->length), 0);
	NOTHING(B, self->window, NR);
	close(fd);
}

TEST_EXPORT(shmem_swapped)
{
	int fd = new_file(true);
	unsigned int tries;

	if (lacks(need_swap()))
		SKIP(return, "no swap");
	WINDOW_OVER(fd);
	PRIME(B, self->window, NR);
	lru_drain();
	for (tries = 0; tries < 20 && pages_incore(self->window, NR); tries++) {
		ASSERT_EQ(madvise(self->window, self->length, MADV_PAGEOUT), 0);
		sleep_ms(tries);
	}
	ASSERT_EQ(pages_incore(self->window, NR), 0u);
	GONE(B, self->window, NR);
	AGREE(B, self->window, NR);
	close(fd);
}

/* Two mappings of one file in the window: one folio, two SPTEs of B's. */
TEST_EXPORT(aliased)
{
	int fd = new_file(true);
	__u64 v;
	size_t i;

	WINDOW_OVER(fd);
	ASSERT_EQ(mmap(word(self->window, NR / 2), self->length / 2, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, 0), word(self->window, NR / 2));
	PRIME(B, self->window, NR);
	AGREE(B, self->window, NR);
	EXPECT_EQ(mirror_counters(&B->dev).exported, NR);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, self->length), 0);
	GONE(B, self->window, NR);
	EXPECT_EQ(mirror_counters(&B->dev).exported, 0u);

	/* one of the mappings goes, the other stays */
	PRIME(B, self->window, NR);
	ASSERT_EQ(munmap(self->window, self->length / 2), 0);
	NOTHING(B, self->window, NR / 2);
	for (i = NR / 2; i < NR; i++)
		EXPECT_EQ(peer_read(B, word(self->window, i), &v, MMU_MIRROR_NOFAULT), 0);
	AGREE(B, (char *)word(self->window, NR / 2), NR / 2);
	close(fd);
}

/* A's child gets A's pages; what B writes is A's alone. */
TEST_EXPORT(forked)
{
	int go[2], status, child_first;
	__u64 before[NR];
	char byte = 0;
	pid_t pid;
	size_t i;

	ASSERT_EQ(madvise(self->window, self->length, MADV_DOFORK), 0);
	for (child_first = 0; child_first < 2; child_first++) {
		PRIME(B, self->window, NR);
		for (i = 0; i < NR; i++)
			before[i] = load(self->window, i);
		ASSERT_EQ(pipe(go), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			for (i = 0; child_first && i < NR; i++)
				if ((*word(self->window, i))++ != before[i])
					_exit(2);
			if (read(go[0], &byte, 1) != 1)
				_exit(3);
			for (i = 0; i < NR; i++)
				if (load(self->window, i) != before[i] + child_first)
					_exit(4);
			_exit(0);
		}
		/* the pages are shared now: no writable SPTE is left */
		for (i = 0; i < NR; i++)
			EXPECT_EQ(peer_write(B, word(self->window, i), 1, MMU_MIRROR_NOFAULT),
				  -EFAULT);
		AGREE(B, self->window, NR);
		/* half of them copied by A's CPU, the others by B */
		for (i = 0; i < NR; i++) {
			if (i % 2)
				*word(self->window, i) = ++self->value;
			else
				ASSERT_EQ(peer_write(B, word(self->window, i), ++self->value, 0),
					  0);
		}
		AGREE(B, self->window, NR);
		ASSERT_EQ(write(go[1], &byte, 1), 1);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		close(go[0]);
		close(go[1]);
	}
	PRIME(B, self->window, NR);
}

TEST_EXPORT(merged)
{
	__u64 v;
	size_t i;

	if (lacks(need_ksm()))
		SKIP(return, "no KSM");
	PRIME(B, self->window, NR);
	self->value++;
	for (i = 0; i < NR; i++)
		ASSERT_EQ(peer_write(B, word(self->window, i), self->value, 0), 0);
	ASSERT_EQ(madvise(self->window, self->length, MADV_MERGEABLE), 0);
	ksm_run();
	within_ms(20000, pages_same(self->window, NR) == NR);
	ksm_stop();
	ASSERT_EQ(pages_same(self->window, NR), NR);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(peer_write(B, word(self->window, i), 1, MMU_MIRROR_NOFAULT), -EFAULT);
	AGREE(B, self->window, NR);
	EXPECT_EQ(pages_same(self->window, NR), NR);

	/* one page for all, until somebody writes: here B */
	for (i = 0; i < NR; i += 2)
		ASSERT_EQ(peer_write(B, word(self->window, i), ++self->value, 0), 0);
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(peer_read(B, word(self->window, i), &v, 0), 0);
		EXPECT_EQ(v, load(self->window, i));
	}
	AGREE(B, self->window, NR);
	EXPECT_NE(load(self->window, 1), load(self->window, 0));
}

/* A window over a huge page, of which B has every 16th page */
TEST_EXPORT(split)
{
	const size_t nr = huge_size / page_size;
	struct mirror a;
	struct peer p;
	char *huge;
	__u64 v;
	size_t i;

	if (lacks(need_debugfs()))
		SKIP(return, "no debugfs");
	huge = map(2 * huge_size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(huge, MAP_FAILED);
	huge = (char *)(((uintptr_t)huge + huge_size - 1) / huge_size * huge_size);
	memset(huge, 0, huge_size);
	ASSERT_TRUE(huge_make(huge, huge_size));
	ASSERT_EQ(madvise(huge, huge_size, MADV_DONTFORK), 0);

	mirror_open(&a);
	mirror_attach(&a, MMU_MIRROR_EXPORT, huge, huge_size);
	ASSERT_EQ(peer_start(&p, &a, true), 0);
	ASSERT_EQ(peer_do(&p, JOB_IMPORT), 0);
	for (i = 0; i < nr; i += 16) {
		*word(huge, i) = ++self->value;
		ASSERT_EQ(peer_write(&p, word(huge, i), ++self->value, 0), 0);
	}
	EXPECT_EQ(mirror_counters(&p.dev).exported, nr / 16);
	huge_split(huge, huge_size);
	EXPECT_EQ(huge_mapped(huge), 0u);
	for (i = 0; i < nr; i += 16)
		EXPECT_EQ(peer_read(&p, word(huge, i), &v, MMU_MIRROR_NOFAULT), -EFAULT);
	AGREE(&p, huge, nr / 4);

	/* and whole again */
	EXPECT_TRUE(huge_make(huge, huge_size));
	AGREE(&p, huge, nr / 4);
	peer_kill(&p);
	mirror_close(&p.dev);
	mirror_close(&a);
}

/* Its folios cannot be exported: what their ranges say has to do. */
TEST_EXPORT(hugetlb)
{
	struct mirror a;
	struct peer p;
	char *huge;

	if (lacks(need_hugetlb(2)))
		SKIP(return, "no huge pages");
	huge = map(huge_size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	ASSERT_NE(huge, MAP_FAILED);
	mirror_open(&a);
	mirror_attach(&a, MMU_MIRROR_EXPORT, huge, huge_size);
	ASSERT_EQ(madvise(huge, huge_size, MADV_DONTFORK), 0);
	ASSERT_EQ(peer_start(&p, &a, true), 0);
	ASSERT_EQ(peer_do(&p, JOB_IMPORT), 0);
	PRIME(&p, huge, NR);
	EXPECT_EQ(mirror_counters(&p.dev).mapped, NR);
	EXPECT_EQ(mirror_counters(&p.dev).exported, 0u);
	ASSERT_EQ(madvise(huge, huge_size, MADV_DONTNEED), 0);
	GONE(&p, huge, NR);
	AGREE(&p, huge, NR);
	PRIME(&p, huge, NR);
	if (!need_nodes()) {
		void *page = huge;
		int node = !page_node(huge), status = 0;

		/* the other node may have none: then it stays */
		syscall(SYS_move_pages, 0, 1, &page, &node, &status, MOVE_ALL);
		AGREE(&p, huge, NR);
	}
	peer_kill(&p);
	mirror_close(&p.dev);
	mirror_close(&a);
	munmap(huge, huge_size);
}

/* --------------------------------------------------------------- several */

TEST_EXPORT(several_importers)
{
	__u64 v;
	size_t i;
	int n;

	if (lacks(need_swap()))
		SKIP(return, "no swap");
	for (; self->nr_peers < MAX_PEERS; self->nr_peers++) {
		ASSERT_EQ(peer_start(&self->b[self->nr_peers], &self->a, true), 0);
		ASSERT_EQ(peer_do(&self->b[self->nr_peers], JOB_IMPORT), 0);
	}
	for (n = 0; n < MAX_PEERS; n++)
		PRIME(&self->b[n], self->window, NR);
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(mirror_try_write(&self->a, word(self->window, i), &self->value, 8, 0), 0);
		self->value++;
	}
	for (n = 0; n < MAX_PEERS; n++)
		AGREE(&self->b[n], self->window, NR);

	ASSERT_EQ(evict(self->window, NR), NR);
	for (n = 0; n < MAX_PEERS; n++)
		GONE(&self->b[n], self->window, NR);
	for (n = 0; n < MAX_PEERS; n++)
		AGREE(&self->b[n], self->window, NR);

	/* one leaves, the others stay */
	EXPECT_EQ(peer_do(&self->b[1], JOB_DETACH), 0);
	EXPECT_EQ(peer_read(&self->b[1], self->window, &v, 0), -ENXIO);
	AGREE(&self->b[0], self->window, NR);
	ASSERT_EQ(madvise(self->window, self->length, MADV_DONTNEED), 0);
	for (n = 0; n < MAX_PEERS; n++)
		if (n != 1)
			GONE(&self->b[n], self->window, NR);

	/* and comes back */
	EXPECT_EQ(peer_do(&self->b[1], JOB_IMPORT), 0);
	for (n = 0; n < MAX_PEERS; n++)
		AGREE(&self->b[n], self->window, NR);
}

/* pages_move() leaves alone what is mapped more than once. */
static size_t move_shared(char *window, size_t nr, int node)
{
	size_t i, there = 0;

	for (i = 0; i < nr; i++) {
		void *page = window + i * page_size;
		int status = -1;

		syscall(SYS_move_pages, 0, 1, &page, &node, &status, MOVE_ALL);
		there += status == node;
	}
	return there;
}

/* Two exports of the same file's pages: each folio belongs to both. */
TEST_EXPORT(two_exporters)
{
	struct mirror a2 = { .fd = -1 };
	int fd = new_file(true), n;
	char *window2;
	size_t i;

	WINDOW_OVER(fd);
	window2 = map(self->length, MAP_SHARED, fd);
	ASSERT_NE(window2, MAP_FAILED);
	mirror_open(&a2);
	mirror_attach(&a2, MMU_MIRROR_EXPORT, window2, self->length);
	ASSERT_EQ(peer_start(&self->b[1], &a2, true), 0);
	self->nr_peers = 2;
	ASSERT_EQ(peer_do(&self->b[1], JOB_IMPORT), 0);

	PRIME(&self->b[0], self->window, NR);
	PRIME(&self->b[1], window2, NR);
	AGREE(&self->b[0], self->window, NR);
	EXPECT_EQ(mirror_counters(&self->b[0].dev).exported, NR);
	EXPECT_EQ(mirror_counters(&self->b[1].dev).exported, NR);

	/* a range is one mapping's, a folio both's */
	ASSERT_EQ(munmap(window2, page_size), 0);
	NOTHING(&self->b[1], window2, 1);
	EXPECT_EQ(mirror_counters(&self->b[0].dev).exported, NR);
	AGREE(&self->b[0], self->window, NR);
	if (!lacks(need_nodes())) {
		lru_drain();
		ASSERT_EQ(move_shared(self->window, NR, !page_node(self->window)), NR);
		GONE(&self->b[0], self->window, NR);
		GONE(&self->b[1], window2, NR);
		for (n = 0; n < 2; n++)
			AGREE(&self->b[n], n ? window2 + page_size : self->window, NR - 1);
	}

	/* one leaves, the other goes on */
	mirror_close(&a2);
	EXPECT_EQ(peer_do(&self->b[1], JOB_CLOSE_EXPORTER), 0);
	EXPECT_EQ(mirror_counters(&self->b[1].dev).exported, 0u);
	PRIME(&self->b[0], self->window, NR);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, self->length), 0);
	GONE(&self->b[0], self->window, NR);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(load(self->window, i), 0u);
	close(fd);
}

struct pager {
	char *window;
	bool stop;
};

static void *swap_and_move(void *arg)
{
	struct pager *pager = arg;
	bool swap = !need_swap(), nodes = !need_nodes();
	unsigned int i;

	for (i = 0; !__atomic_load_n(&pager->stop, __ATOMIC_ACQUIRE); i++) {
		if (swap && i % 2)
			madvise(pager->window, NR * page_size, MADV_PAGEOUT);
		else if (nodes)
			pages_move(0, pager->window, NR, i / 2 % 2);
		sleep_ms(1);
	}
	return NULL;
}

/* Engines and CPU add while pages come and go: no addition may be lost. */
TEST_EXPORT(storm)
{
	struct pager pager = { .window = self->window };
	__u64 sum = 0, added = 0, done;
	pthread_t thread;
	unsigned int i;
	int n;

	for (; self->nr_peers < 3; self->nr_peers++) {
		ASSERT_EQ(peer_start(&self->b[self->nr_peers], &self->a, true), 0);
		ASSERT_EQ(peer_do(&self->b[self->nr_peers], JOB_IMPORT), 0);
	}
	for (n = 0; n < 3; n++)
		ASSERT_EQ(peer_engine(&self->b[n], MMU_MIRROR_ENGINE_ADD, self->window,
				      self->length, NULL), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, swap_and_move, &pager), 0);
	for (i = 0; i < 3000 || (i < 60000 && mirror_counters(&self->a).folios < 200); i++) {
		__atomic_fetch_add(word(self->window, i % NR), 1, __ATOMIC_RELAXED);
		added++;
		if (i % 16 == 0)
			usleep(100);
	}
	__atomic_store_n(&pager.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (n = 0; n < 3; n++) {
		ASSERT_EQ(peer_engine(&self->b[n], 0, NULL, 0, &done), 0);
		EXPECT_GT(done, 0u);
		added += done;
		EXPECT_EQ(peer_stale(&self->b[n]), 0u);
	}
	for (i = 0; i < NR; i++)
		sum += load(self->window, i);
	EXPECT_EQ(sum, added);
	EXPECT_GE(mirror_counters(&self->a).folios, 200u);
	for (n = 0; n < 3; n++)
		AGREE(&self->b[n], self->window, NR);
}

/* --------------------------------------------------------- mapped by B */

static int peer_mmap(struct peer *p, size_t length, int flags)
{
	struct request q = { .job = JOB_MMAP, .value = length, .flags = flags };

	peer_send(p, &q);
	return peer_wait(p, NULL);
}

static int peer_load(struct peer *p, size_t page, __u64 *value)
{
	struct request q = { .job = JOB_LOAD, .addr = (void *)(page * page_size) };

	peer_send(p, &q);
	return peer_wait(p, value);
}

static int peer_store(struct peer *p, size_t page, __u64 value)
{
	struct request q = {
		.job = JOB_STORE,
		.addr = (void *)(page * page_size),
		.value = value,
	};

	peer_send(p, &q);
	return peer_wait(p, NULL);
}

/* Loads and stores of B's and of A's are of the same words. */
#define SHARED(p, window, first, nr) do { \
	size_t _i; \
	__u64 _v; \
	for (_i = first; _i < (first) + (nr); _i++) { \
		EXPECT_EQ(peer_load(p, _i, &_v), 0) TH_LOG("page %zu", _i); \
		EXPECT_EQ(_v, load(window, _i)) TH_LOG("page %zu", _i); \
	} \
} while (0)

#define SHARED_PRIME(p, window, first, nr) do { \
	size_t _i; \
	__u64 _v; \
	for (_i = first; _i < (first) + (nr); _i++) { \
		*word(window, _i) = ++self->value; \
		EXPECT_EQ(peer_load(p, _i, &_v), 0) TH_LOG("page %zu", _i); \
		EXPECT_EQ(_v, self->value) TH_LOG("page %zu", _i); \
		EXPECT_EQ(peer_store(p, _i, ++self->value), 0) TH_LOG("page %zu", _i); \
		EXPECT_EQ(load(window, _i), self->value) TH_LOG("page %zu", _i); \
	} \
} while (0)

TEST_EXPORT(mapped)
{
	bool nodes = !need_nodes(), swap = !need_swap();
	int fd = new_file(true);
	__u64 v;
	size_t i;

	ASSERT_EQ(peer_mmap(B, self->length, MAP_SHARED), 0);
	SHARED_PRIME(B, self->window, 0, NR);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, NR);
	if (swap) {
		ASSERT_EQ(evict(self->window, NR), NR);
		SHARED(B, self->window, 0, NR);
		SHARED_PRIME(B, self->window, 0, NR);
		/* what only B has stored is not lost */
		for (i = 0; i < NR; i++)
			ASSERT_EQ(peer_store(B, i, ++self->value), 0);
		ASSERT_EQ(evict(self->window, NR), NR);
		EXPECT_EQ(load(self->window, NR - 1), self->value);
		SHARED(B, self->window, 0, NR);
	}
	if (nodes) {
		SHARED_PRIME(B, self->window, 0, NR);
		ASSERT_EQ(pages_move(0, self->window, NR, !page_node(self->window)), NR);
		SHARED(B, self->window, 0, NR);
		SHARED_PRIME(B, self->window, 0, NR);
	}

	ASSERT_EQ(madvise(self->window, self->length, MADV_DONTNEED), 0);
	EXPECT_EQ(peer_load(B, 3, &v), 0);
	EXPECT_EQ(v, 0u);
	SHARED_PRIME(B, self->window, 0, NR);
	ASSERT_EQ(mprotect(self->window, self->length, PROT_READ), 0);
	EXPECT_EQ(peer_store(B, 0, 1), -EFAULT);
	SHARED(B, self->window, 0, NR);
	EXPECT_EQ(peer_store(B, 0, 1), -EFAULT);
	ASSERT_EQ(mprotect(self->window, self->length, PROT_READ | PROT_WRITE), 0);
	SHARED_PRIME(B, self->window, 0, NR);
	ASSERT_EQ(munmap(self->window, 4 * page_size), 0);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(peer_load(B, i, &v), -EFAULT);
		EXPECT_EQ(peer_store(B, i, 1), -EFAULT);
	}
	SHARED(B, self->window, 4, NR - 4);

	WINDOW_OVER(fd);
	SHARED_PRIME(B, self->window, 0, NR);
	ASSERT_EQ(ftruncate(fd, 4 * page_size), 0);
	for (i = 4; i < NR; i++)
		EXPECT_EQ(peer_load(B, i, &v), -EFAULT);
	SHARED(B, self->window, 0, 4);
	close(fd);
}

/* A page of A's and its child's is not one that B may store to. */
TEST_EXPORT(mapped_forked)
{
	int go[2], status;
	char byte = 0;
	pid_t pid;
	size_t i;

	ASSERT_EQ(madvise(self->window, self->length, MADV_DOFORK), 0);
	ASSERT_EQ(peer_mmap(B, self->length, MAP_SHARED), 0);
	SHARED_PRIME(B, self->window, 0, NR);
	ASSERT_EQ(pipe(go), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		__u64 before = load(self->window, NR - 1);

		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		for (i = 0; i < NR; i++)
			if (load(self->window, i) != before - 2 * (NR - 1 - i))
				_exit(3);
		_exit(0);
	}
	SHARED(B, self->window, 0, NR);
	for (i = 0; i < NR; i++)
		ASSERT_EQ(peer_store(B, i, ++self->value), 0);
	SHARED(B, self->window, 0, NR);
	EXPECT_EQ(load(self->window, NR - 1), self->value);
	ASSERT_EQ(write(go[1], &byte, 1), 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	close(go[0]);
	close(go[1]);
}

TEST_EXPORT(mapped_storm)
{
	struct pager pager = { .window = self->window };
	struct request q = { .job = JOB_COUNT_UP, .value = 2000 * MS };
	__u64 added = 0, sum = 0, done;
	pthread_t thread;
	size_t i;
	int n;

	for (; self->nr_peers < 2; self->nr_peers++) {
		ASSERT_EQ(peer_start(&self->b[1], &self->a, true), 0);
		ASSERT_EQ(peer_do(&self->b[1], JOB_IMPORT), 0);
	}
	for (n = 0; n < 2; n++)
		ASSERT_EQ(peer_mmap(&self->b[n], self->length, MAP_SHARED), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, swap_and_move, &pager), 0);
	for (n = 0; n < 2; n++)
		peer_send(&self->b[n], &q);
	for (i = 0; i < 2000; i++) {
		__atomic_fetch_add(word(self->window, i % NR), 1, __ATOMIC_RELAXED);
		added++;
		usleep(500);
	}
	for (n = 0; n < 2; n++) {
		ASSERT_EQ(peer_wait(&self->b[n], &done), 0);
		added += done;
	}
	__atomic_store_n(&pager.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (i = 0; i < NR; i++)
		sum += load(self->window, i);
	EXPECT_EQ(sum, added);
	EXPECT_GE(mirror_counters(&self->a).folios, 3u);
	TH_LOG("%llu additions, %llu folio callbacks", added, mirror_counters(&self->a).folios);
}

/* The mapping outlives the import, and shows nothing then. */
TEST_EXPORT(mapped_ends)
{
	__u64 v;

	ASSERT_EQ(peer_mmap(B, self->length, MAP_SHARED), 0);
	SHARED_PRIME(B, self->window, 0, NR);
	mirror_patience(&self->a, 100 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	ASSERT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 1u);
	EXPECT_EQ(peer_load(B, 0, &v), -EFAULT);
	EXPECT_EQ(peer_store(B, 1, 1), -EFAULT);
	mirror_confirm(&B->dev, 0);

	EXPECT_EQ(peer_do(B, JOB_DETACH), 0);
	EXPECT_EQ(peer_load(B, 1, &v), -EFAULT);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), 0);
	SHARED(B, self->window, 0, NR);
	EXPECT_EQ(peer_do(B, JOB_DETACH), 0);
	EXPECT_EQ(peer_load(B, 1, &v), -EFAULT);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), 0);
	SHARED_PRIME(B, self->window, 0, NR);

	/* the exporter leaves; the mapping keeps the file for one whose fd is closed */
	EXPECT_EQ(peer_do(B, JOB_CLOSE_EXPORTER), 0);
	mirror_close(&self->a);
	EXPECT_EQ(peer_load(B, 1, &v), -EFAULT);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, 0u);
	mirror_close(&B->dev);
	peer_kill(B);
}

TEST_EXPORT(mapped_misuse)
{
	struct mirror dev;
	void *p;

	EXPECT_EQ(peer_mmap(B, self->length, MAP_PRIVATE), -EINVAL);
	EXPECT_EQ(peer_mmap(B, self->length + page_size, MAP_SHARED), -EINVAL);
	mirror_open(&dev);
	p = mmap(NULL, page_size, PROT_READ, MAP_SHARED, dev.fd, 0);
	EXPECT_EQ(p == MAP_FAILED ? errno : 0, ENXIO);
	mirror_import(&dev, &self->a);
	p = mmap(NULL, page_size, PROT_READ, MAP_SHARED, dev.fd, 0);
	EXPECT_EQ(p == MAP_FAILED ? errno : 0, EPERM);
	p = mmap(NULL, page_size, PROT_READ, MAP_SHARED, self->a.fd, 0);
	EXPECT_EQ(p == MAP_FAILED ? errno : 0, EOPNOTSUPP);
	p = mmap(NULL, page_size, PROT_READ, MAP_SHARED, B->dev.fd, 0);
	EXPECT_EQ(p == MAP_FAILED ? errno : 0, EPERM);
	mirror_close(&dev);
}

/* ------------------------------------------------------------- who is late */

/* A node that takes its time is waited for. */
TEST_EXPORT(confirms_late)
{
	__u64 began;

	PRIME(B, self->window, NR);
	mirror_patience(&self->a, 10000 * MS);
	mirror_confirm(&B->dev, 300 * MS);
	began = now_us();
	ASSERT_EQ(munmap(self->window, self->length / 2), 0);
	/* a tick or so may be missing */
	EXPECT_GE(now_us() - began, 250 * MS);
	NOTHING(B, self->window, NR / 2);

	/* of what it does not hold, nobody asks it */
	began = mirror_counters(&B->dev).dropped;
	ASSERT_EQ(madvise(word(self->window, NR / 2), page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_counters(&B->dev).dropped, began + 1);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	ASSERT_EQ(madvise(word(self->window, NR / 2), page_size, MADV_DONTNEED), 0);

	mirror_confirm(&B->dev, 0);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 0u);
	AGREE(B, (char *)word(self->window, NR / 2), NR / 2);
}

/* munmap() cannot fail: without an answer the node is fenced. */
TEST_EXPORT(never_confirms_range)
{
	__u64 began, v;

	PRIME(B, self->window, NR);
	mirror_patience(&self->a, 200 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	began = now_us();
	ASSERT_EQ(munmap(self->window, page_size), 0);
	EXPECT_GE(now_us() - began, 150 * MS);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 1u);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, 0u);
	EXPECT_EQ(mirror_counters(&B->dev).exported, 0u);

	/* it has nothing, and gets nothing, whatever it says now */
	mirror_confirm(&B->dev, 0);
	EXPECT_EQ(peer_read(B, word(self->window, 1), &v, MMU_MIRROR_NOFAULT), -EHOSTDOWN);
	EXPECT_EQ(peer_read(B, word(self->window, 1), &v, 0), -EHOSTDOWN);
	EXPECT_EQ(peer_write(B, word(self->window, 1), 1, 0), -EHOSTDOWN);
	EXPECT_EQ(peer_do(B, JOB_CHECK), -EHOSTDOWN);
	/* nobody waits for it again */
	ASSERT_EQ(madvise(self->window + page_size, self->length - page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 1u);
	/* A's own device is another node */
	EXPECT_EQ(mirror_try_read(&self->a, word(self->window, 1), &v, 8, 0), 0);

	/* what it has to do is begin again */
	EXPECT_EQ(peer_do(B, JOB_IMPORT), -EBUSY);
	EXPECT_EQ(peer_do(B, JOB_DETACH), 0);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), 0);
	AGREE(B, (char *)word(self->window, 1), NR - 1);
}

/* One silent node is no other's fault. */
TEST_EXPORT(one_never_confirms)
{
	__u64 v;

	ASSERT_EQ(peer_start(&self->b[1], &self->a, true), 0);
	self->nr_peers = 2;
	ASSERT_EQ(peer_do(&self->b[1], JOB_IMPORT), 0);
	PRIME(&self->b[0], self->window, NR);
	PRIME(&self->b[1], self->window, NR);
	mirror_patience(&self->a, 200 * MS);
	mirror_confirm(&self->b[1].dev, MMU_MIRROR_NEVER);
	ASSERT_EQ(madvise(self->window, self->length, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 1u);
	EXPECT_EQ(peer_read(&self->b[1], self->window, &v, 0), -EHOSTDOWN);
	AGREE(&self->b[0], self->window, NR);
	PRIME(&self->b[0], self->window, NR);
}

/* For a folio there is another way: it stays where it is. */
TEST_EXPORT(never_confirms_folio)
{
	__u64 pfns[NR], v;
	int node;

	if (lacks(need_nodes()))
		SKIP(return, "no second node");
	PRIME(B, self->window, NR - 1);
	node = page_node(self->window);
	pages_pfns(self->window, NR, pfns);
	mirror_patience(&self->a, 50 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	pages_move(0, self->window, 1, !node);
	EXPECT_GE(mirror_counters(&self->a).overdue, 1u);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 0u);
	EXPECT_EQ(page_node(self->window), node);

	/* the page is A's, and B's accesses are to it */
	ASSERT_EQ(peer_read(B, self->window, &v, MMU_MIRROR_NOFAULT), 0);
	EXPECT_EQ(v, load(self->window, 0));
	ASSERT_EQ(peer_write(B, self->window, ++self->value, MMU_MIRROR_NOFAULT), 0);
	EXPECT_EQ(load(self->window, 0), self->value);
	/* but it gets no more */
	EXPECT_EQ(peer_read(B, word(self->window, NR - 1), &v, 0), -EBUSY);
	/* nor does anybody else get this one */
	EXPECT_EQ(mirror_try_read(&self->a, self->window, &v, 8, 0), -EBUSY);

	/* it comes back, and is asked for something: it makes up for everything */
	mirror_confirm(&B->dev, 0);
	mirror_patience(&self->a, 10000 * MS);
	ASSERT_EQ(madvise(word(self->window, 1), page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, 0u);
	EXPECT_EQ(load(self->window, 0), self->value);
	EXPECT_EQ(pages_move(0, self->window, 1, !node), 1);
	EXPECT_EQ(page_node(self->window), !node);
	EXPECT_EQ(load(self->window, 0), self->value);
	AGREE(B, self->window, NR);
	EXPECT_EQ(mirror_try_read(&self->a, self->window, &v, 8, 0), 0);
}

/* It comes too late, but it comes: nobody has to remind it. */
TEST_EXPORT(overdue_folio)
{
	int node;

	if (lacks(need_nodes()))
		SKIP(return, "no second node");
	PRIME(B, self->window, NR);
	node = page_node(self->window);
	mirror_patience(&self->a, 20 * MS);
	mirror_confirm(&B->dev, 1000 * MS);
	pages_move(0, self->window, 1, !node);
	EXPECT_GE(mirror_counters(&self->a).overdue, 1u);
	EXPECT_TRUE(within_ms(20000, !mirror_counters(&B->dev).mapped));
	mirror_confirm(&B->dev, 0);
	EXPECT_EQ(pages_move(0, self->window, NR, !node), NR);
	AGREE(B, self->window, NR);
}

/* The file loses the page. B may see what it held, and nothing that comes later. */
TEST_EXPORT(never_confirms_truncation)
{
	int fd = new_file(true);
	__u64 old, v;
	char *other;
	size_t i;

	WINDOW_OVER(fd);
	PRIME(B, self->window, NR);
	mirror_patience(&self->a, 50 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);

	/* by a mapping that is not the window's; A's goes with the range: fenced */
	old = load(self->window, NR - 1);
	ASSERT_EQ(ftruncate(fd, (NR - 1) * page_size), 0);
	ASSERT_EQ(ftruncate(fd, self->length), 0);
	EXPECT_EQ(mirror_counters(&self->a).fenced + !!mirror_counters(&self->a).overdue, 1u);
	other = map(self->length * 16, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(other, MAP_FAILED);
	memset(other, 0x5a, self->length * 16);
	for (i = 0; i < 20; i++) {
		if (peer_read(B, word(self->window, NR - 1), &v, MMU_MIRROR_NOFAULT))
			continue;
		EXPECT_EQ(v, old);
	}
	close(fd);
}

/* A swapped page that a node did not give back is found again in the swap cache. */
TEST_EXPORT(never_confirms_swap)
{
	__u64 began, v;
	size_t i;

	if (lacks(need_swap()))
		SKIP(return, "no swap");
	PRIME(B, self->window, NR);
	mirror_patience(&self->a, 1000 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	lru_drain();
	/* it is waited for once, not for each page */
	began = now_us();
	ASSERT_EQ(madvise(self->window, self->length, MADV_PAGEOUT), 0);
	EXPECT_LT(now_us() - began, NR / 2 * 1000 * MS);
	EXPECT_GE(mirror_counters(&self->a).overdue, NR);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 0u);
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(peer_write(B, word(self->window, i), ++self->value,
				     MMU_MIRROR_NOFAULT), 0);
		EXPECT_EQ(load(self->window, i), self->value);
		*word(self->window, i) = ++self->value;
		EXPECT_EQ(peer_read(B, word(self->window, i), &v, MMU_MIRROR_NOFAULT), 0);
		EXPECT_EQ(v, self->value);
	}
	mirror_confirm(&B->dev, 0);
	mirror_patience(&self->a, 10000 * MS);
	ASSERT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
	ASSERT_EQ(evict(word(self->window, 1), NR - 1), NR - 1);
	AGREE(B, self->window, NR);
}

/* The child of a test, which is A there, and about to be killed in a callback. */
struct dying {
	char *window;
	int go;
};

static void *drop_behind(void *arg)
{
	struct dying *d = arg;
	char byte;

	if (read(d->go, &byte, 1) == 1)
		madvise(d->window + NR * page_size, page_size, MADV_DONTNEED);
	return NULL;
}

static void dying_exporter(struct mirror *a, char *window, int ready, int go)
{
	struct dying d = { .window = window, .go = go };
	pthread_t thread;
	char byte = 0;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mirror_try_attach(a, MMU_MIRROR_EXPORT, window, NR * page_size))
		_exit(1);
	for (i = 0; i <= NR; i++)
		*word(window, i) = 0xa000 + i;
	/* before callbacks are slow: it takes mmap_lock for writing */
	if (pthread_create(&thread, NULL, drop_behind, &d) || write(ready, &byte, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/*
 * process_mrelease(), as the OOM reaper, does not wait for a node. A thread of A's
 * sleeps in a callback meanwhile, which keeps the memory of the dead process.
 */
TEST_EXPORT(must_not_sleep)
{
	int ready[2], go[2], fd, status, err = 0;
	struct mmu_mirror_counters c, before;
	struct mirror a, b;
	__u64 v, deadline;
	char *window, byte = 0;
	pid_t pid;
	size_t i;

	window = map(self->length + page_size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(window, MAP_FAILED);
	mirror_open(&a);
	mirror_open(&b);
	ASSERT_EQ(pipe(ready) | pipe(go), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		dying_exporter(&a, window, ready[1], go[0]);
	ASSERT_EQ(read(ready[0], &byte, 1), 1);
	mirror_import(&b, &a);
	for (i = 0; i < NR; i++)
		mirror_read(&b, word(window, i), &v, sizeof(v));
	before = mirror_counters(&a);
	mirror_delay(&a, 8000 * MS, 0);
	ASSERT_EQ(write(go[1], &byte, 1), 1);
	ASSERT_TRUE(within_ms(20000, mirror_counters(&a).start > before.start));
	fd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	deadline = now_us() + 5000 * MS;
	do {
		err = syscall(SYS_process_mrelease, fd, 0) ? -errno : 0;
		c = mirror_counters(&a);
	} while (err && !c.refused && now_us() < deadline);
	EXPECT_EQ(err, -EAGAIN);
	EXPECT_GT(c.nonblock, 0u);
	EXPECT_GT(c.refused, 0u);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(mirror_try_read(&b, word(window, i), &v, 8, MMU_MIRROR_NOFAULT), 0);
		EXPECT_EQ(v, 0xa000 + i);
	}

	/* nobody has to be asked: it goes ahead */
	EXPECT_EQ(mirror_try_detach(&b, NULL), 0);
	EXPECT_EQ(syscall(SYS_process_mrelease, fd, 0) ? -errno : 0, 0);
	EXPECT_EQ(mirror_counters(&a).release, 0u);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	c = mirror_counters(&a);
	EXPECT_EQ(c.start, c.end + c.refused);
	EXPECT_EQ(c.in_flight, 0u);
	mirror_close(&a);
	mirror_close(&b);
	close(fd);
}

/* ------------------------------------------------------------- who is gone */

/* The child of a test that is A there: it dies, B is the test. */
static void doomed_exporter(struct mirror *a, char *window, int ready)
{
	char byte = 0;
	size_t i;

	if (mirror_try_attach(a, MMU_MIRROR_EXPORT, window, NR * page_size))
		_exit(1);
	for (i = 0; i < NR; i++)
		*word(window, i) = 0xa000 + i;
	if (write(ready, &byte, 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

TEST_F_TIMEOUT(export, exporter_dies, SECONDS)
{
	const unsigned int all = MMU_MIRROR_ENGINE_READ | MMU_MIRROR_ENGINE_WRITE |
				 MMU_MIRROR_ENGINE_ADD;
	int ready[2], status, round;
	struct mirror a, b;
	__u64 v, *page;
	char *window;
	pid_t pid;
	char byte;
	size_t i;

	window = map(self->length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(window, MAP_FAILED);
	for (round = 0; round < 4; round++) {
		mirror_open(&a);
		mirror_open(&b);
		ASSERT_EQ(pipe(ready), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			doomed_exporter(&a, window, ready[1]);
		ASSERT_EQ(read(ready[0], &byte, 1), 1);
		ASSERT_EQ(mirror_try_import(&b, &a), 0);
		/* in two of the rounds nobody but it has its device */
		if (round % 2)
			mirror_close(&a);
		for (i = 0; i < NR; i++) {
			ASSERT_EQ(mirror_try_read(&b, word(window, i), &v, 8, 0), 0);
			ASSERT_EQ(v, 0xa000 + i);
		}
		/* and in the last two the node is silent */
		if (round == 2)
			mirror_patience(&a, 100 * MS);
		if (round > 1)
			mirror_confirm(&b, MMU_MIRROR_NEVER);
		mirror_engine_start(&b, all, window, self->length);
		sleep_ms(20);
		kill(pid, SIGKILL);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);

		EXPECT_TRUE(within_ms(20000, !mirror_counters(&b).mapped));
		EXPECT_EQ(mirror_counters(&b).exported, 0u);
		EXPECT_EQ(mirror_try_read(&b, window, &v, 8, 0),
			  round > 1 ? -EHOSTDOWN : -ESHUTDOWN);
		EXPECT_EQ(mirror_try_read(&b, window, &v, 8, MMU_MIRROR_NOFAULT),
			  round > 1 ? -EHOSTDOWN : -ESHUTDOWN);

		/* its pages are somebody else's now, and nobody writes to them */
		page = map(256 * page_size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		ASSERT_NE(page, MAP_FAILED);
		memset(page, 0x5a, 256 * page_size);
		sleep_ms(20);
		for (i = 0; i < 256 * page_size / 8; i++)
			if (page[i] != 0x5a5a5a5a5a5a5a5aULL)
				break;
		EXPECT_EQ(i, 256 * page_size / 8);
		munmap(page, 256 * page_size);

		mirror_engine_stop(&b);
		if (a.fd >= 0) {
			struct mirror c;

			mirror_open(&c);
			EXPECT_EQ(mirror_try_import(&c, &a), -ESHUTDOWN);
			mirror_close(&c);
		}
		/* in either order */
		if (round == 2)
			mirror_close(&b);
		mirror_close(&a);
		mirror_close(&b);
		close(ready[0]);
		close(ready[1]);
	}
}

TEST_EXPORT(importer_dies)
{
	const unsigned int all = MMU_MIRROR_ENGINE_READ | MMU_MIRROR_ENGINE_WRITE |
				 MMU_MIRROR_ENGINE_ADD;
	int round;

	for (round = 0; round < 3; round++) {
		PRIME(B, self->window, NR);
		ASSERT_EQ(peer_engine(B, all, self->window, self->length, NULL), 0);
		sleep_ms(10);
		/* its device goes with it */
		mirror_close(&B->dev);
		peer_kill(B);
		ASSERT_EQ(madvise(self->window, self->length, MADV_DONTNEED), 0);
		EXPECT_EQ(mirror_counters(&self->a).fenced, 0u);
		ASSERT_EQ(peer_start(B, &self->a, true), 0);
		ASSERT_EQ(peer_do(B, JOB_IMPORT), 0);
	}
	AGREE(B, self->window, NR);
}

static void *unmap_first(void *window)
{
	madvise(window, page_size, MADV_DONTNEED);
	return NULL;
}

/* Somebody waits for its confirmation when it dies: that will do for one. */
TEST_EXPORT(importer_dies_asked)
{
	pthread_t thread;
	__u64 began;

	PRIME(B, self->window, NR);
	mirror_patience(&self->a, 10000 * MS);
	mirror_confirm(&B->dev, MMU_MIRROR_NEVER);
	mirror_close(&B->dev);
	began = now_us();
	ASSERT_EQ(pthread_create(&thread, NULL, unmap_first, self->window), 0);
	sleep_ms(100);
	peer_kill(B);
	pthread_join(thread, NULL);
	EXPECT_LT(now_us() - began, 9000 * MS);
	EXPECT_EQ(mirror_counters(&self->a).fenced, 0u);
}

/* A's device is closed, or detached: the export ends, A's memory does not. */
TEST_EXPORT(exporter_leaves)
{
	__u64 v;

	PRIME(B, self->window, NR);
	EXPECT_EQ(mirror_try_detach(&self->a, NULL), 0);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, 0u);
	EXPECT_EQ(peer_read(B, self->window, &v, MMU_MIRROR_NOFAULT), -ESHUTDOWN);
	EXPECT_EQ(peer_read(B, self->window, &v, 0), -ESHUTDOWN);

	/* it exports again: that is another export */
	ASSERT_EQ(mirror_try_attach(&self->a, MMU_MIRROR_EXPORT, self->window, self->length), 0);
	EXPECT_EQ(peer_read(B, self->window, &v, 0), -ESHUTDOWN);
	EXPECT_EQ(peer_do(B, JOB_DETACH), 0);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), 0);
	AGREE(B, self->window, NR);

	/* closed by both: now */
	EXPECT_EQ(peer_do(B, JOB_CLOSE_EXPORTER), 0);
	AGREE(B, self->window, NR);
	mirror_close(&self->a);
	EXPECT_EQ(peer_read(B, self->window, &v, 0), -ESHUTDOWN);
	EXPECT_EQ(mirror_counters(&B->dev).mapped, 0u);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), -EBADF);
	*word(self->window, 0) = 1;
}

/* A file that was passed on is as good as an inherited one. */
TEST_EXPORT(passed_fd)
{
	struct peer *p = &self->b[1];

	ASSERT_EQ(peer_start(p, &self->a, false), 0);
	self->nr_peers = 2;
	EXPECT_EQ(peer_do(p, JOB_IMPORT), -EBADF);
	peer_send(p, &(struct request){ .job = JOB_GET_EXPORTER, .value = self->a.fd });
	ASSERT_EQ(peer_wait(p, NULL), 0);
	ASSERT_EQ(peer_do(p, JOB_IMPORT), 0);
	PRIME(p, self->window, NR);
	/* what it has imported it keeps */
	EXPECT_EQ(peer_do(p, JOB_CLOSE_EXPORTER), 0);
	AGREE(p, self->window, NR);
	PRIME(B, self->window, NR);
	AGREE(p, self->window, NR);
}

/*
 * B waits for a page that A's user space has to provide. A can close its device
 * meanwhile, and B can be killed.
 */
TEST_EXPORT(waits_for_user_space)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)self->window, .len = self->length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC), round;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		SKIP(return, "no userfaultfd");
	for (round = 0; round < 2; round++) {
		peer_send(B, &(struct request){ .job = JOB_READ, .addr = self->window });
		sleep_ms(100);
		if (round)
			peer_kill(B);
		else
			ASSERT_EQ(mirror_try_detach(&self->a, NULL), 0);
		if (!round) {
			peer_kill(B);
			mirror_close(&B->dev);
			ASSERT_EQ(mirror_try_attach(&self->a, MMU_MIRROR_EXPORT, self->window,
						    self->length), 0);
			ASSERT_EQ(peer_start(B, &self->a, true), 0);
			ASSERT_EQ(peer_do(B, JOB_IMPORT), 0);
		}
	}
	close(fd);
}

/* ----------------------------------------------------------------- misuse */

TEST_EXPORT(misuse)
{
	struct mmu_mirror_import arg = { .size = sizeof(arg), .fd = self->a.fd };
	struct mirror dev, other, file = { .fd = 0 }, none = { .fd = 1000 };
	unsigned char longer[sizeof(arg) + 8] = {};
	__u64 v;

	file.fd = open("/proc/self/maps", O_RDONLY);
	ASSERT_GE(file.fd, 0);
	mirror_open(&dev);
	mirror_open(&other);

	/* the argument */
	arg.size--;
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, &arg) ? -errno : 0, -EINVAL);
	arg.size++;
	arg.flags = 1;
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, &arg) ? -errno : 0, -EINVAL);
	arg.flags = 0;
	arg.reserved = 1;
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, &arg) ? -errno : 0, -EINVAL);
	arg.reserved = 0;
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, NULL) ? -errno : 0, -EFAULT);
	arg.size = sizeof(longer);
	memcpy(longer, &arg, sizeof(arg));
	longer[sizeof(arg)] = 1;
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, longer) ? -errno : 0, -E2BIG);
	arg.size = sizeof(arg);

	/* the file */
	EXPECT_EQ(mirror_try_import(&dev, &none), -EBADF);
	EXPECT_EQ(mirror_try_import(&dev, &file), -EINVAL);
	EXPECT_EQ(mirror_try_import(&dev, &dev), -EINVAL);
	EXPECT_EQ(mirror_try_import(&dev, &other), -ENXIO);
	mirror_attach(&other, MMU_MIRROR_SHADOW, self->window, self->length);
	EXPECT_EQ(mirror_try_import(&dev, &other), -EOPNOTSUPP);
	EXPECT_EQ(mirror_try_import(&dev, &B->dev), -EOPNOTSUPP);
	EXPECT_EQ(mirror_try_import(&other, &self->a), -EBUSY);
	EXPECT_EQ(mirror_try_read(&dev, self->window, &v, 8, 0), -ENXIO);

	/* as it should be: what is answered, who may use it, and how */
	EXPECT_EQ(ioctl(dev.fd, MMU_MIRROR_IMPORT, &arg), 0);
	EXPECT_EQ(arg.start, (uintptr_t)self->window);
	EXPECT_EQ(arg.length, self->length);
	EXPECT_EQ(mirror_try_read(&dev, self->window, &v, 8, 0), 0);
	EXPECT_EQ(mirror_try_attach(&dev, MMU_MIRROR_SVM, self->window, self->length), -EBUSY);
	EXPECT_EQ(mirror_try_window(&dev, self->window, page_size), -EOPNOTSUPP);
	EXPECT_EQ(mirror_try_read(&dev, self->window, &v, 8, MMU_MIRROR_NOFAULT), -EFAULT);
	EXPECT_EQ(mirror_try_read(&B->dev, self->window, &v, 8, 0), -EPERM);
	EXPECT_EQ(mirror_try_window(&self->a, self->window, page_size), -EBUSY);
	EXPECT_EQ(mirror_try_read(&self->a, self->window + page_size, &v, 8, 0), 0);
	mirror_close(&dev);
	EXPECT_EQ(peer_do(B, JOB_DETACH), 0);
	EXPECT_EQ(mirror_try_window(&self->a, self->window, page_size), 0);
	EXPECT_EQ(peer_do(B, JOB_IMPORT), 0);
	EXPECT_EQ(peer_read(B, self->window + page_size, &v, 0), -EFAULT);
	EXPECT_EQ(peer_read(B, self->window, &v, 0), 0);
	mirror_close(&other);
	close(file.fd);
}

TEST_EXPORT(bad_injection)
{
	struct mmu_mirror_inject bad = { .confirm_us = 11000 * MS };

	EXPECT_EQ(mirror_try_inject(&self->a, &bad), -EINVAL);
	bad = (struct mmu_mirror_inject){ .patience_us = MMU_MIRROR_NEVER };
	EXPECT_EQ(mirror_try_inject(&self->a, &bad), -EINVAL);
}

/* Importing can fail where memory is needed, and nothing is left behind then. */
TEST_EXPORT(fail_points)
{
	struct mmu_mirror_inject inject = { .fail_point = 1 };
	struct mirror dev;
	unsigned int n;
	__u64 v;
	int err;

	mirror_open(&dev);
	ASSERT_EQ(mirror_try_inject(&dev, &inject), 0);
	EXPECT_EQ(mirror_try_import(&dev, &self->a), -ENOMEM);
	EXPECT_EQ(mirror_try_detach(&dev, NULL), -ENXIO);
	ASSERT_EQ(mirror_try_import(&dev, &self->a), 0);
	for (n = 1; n < 100; n++) {
		inject.fail_point = n;
		ASSERT_EQ(mirror_try_inject(&dev, &inject), 0);
		err = mirror_try_read(&dev, self->window, &v, 8, 0);
		if (!err)
			break;
		EXPECT_EQ(err, -ENOMEM);
		EXPECT_EQ(mirror_counters(&dev).exported, 0u);
	}
	EXPECT_GT(n, 2u);
	mirror_close(&dev);
}

static __s64 slab_kb(void)
{
	char line[256];
	__s64 kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %lld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* What one round leaks, two hundred leak, and that shows. */
TEST_EXPORT(nothing_leaks)
{
	const size_t nr = 512;
	char *window = map(nr * page_size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	__s64 before = 0;
	struct mirror a, b;
	int round;

	ASSERT_NE(window, MAP_FAILED);
	for (round = -20; round < 200; round++) {
		static char buf[512 * 4096];

		if (!round)
			before = slab_kb();
		mirror_open(&a);
		mirror_open(&b);
		mirror_attach(&a, MMU_MIRROR_EXPORT, window, nr * page_size);
		mirror_import(&b, &a);
		mirror_write(&b, window, buf, sizeof(buf));
		if (round % 3 == 0)
			madvise(window, nr * page_size, MADV_DONTNEED);
		if (round % 2)
			mirror_close(&b);
		mirror_close(&a);
		mirror_close(&b);
	}
	ASSERT_GE(before, 0);
	TH_LOG("slab grew by %lld KiB", slab_kb() - before);
	/* KASAN keeps some for a while; the break leaves three times as much */
	EXPECT_LT(slab_kb() - before, 4096);
	munmap(window, nr * page_size);
}

TEST_HARNESS_MAIN
