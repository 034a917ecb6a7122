// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios about the ends of things: the process exits, is killed or calls
 * exec while its device works; the device is closed or detached while a
 * callback of its own runs.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenarios.h"

#define NR		32
#define DELAY_US	100000
#define EXEC_FD		"MMU_MIRROR_EXEC_FD"

/*
 * What becomes of a child after exec: it has the device still, but that one
 * is attached to an address space which no longer exists.
 */
static void __attribute__((constructor)) after_exec(void)
{
	const char *fd = getenv(EXEC_FD);
	struct mirror dev;
	__u64 word;

	if (!fd)
		return;
	dev.fd = atoi(fd);
	_exit(mirror_try_read(&dev, &word, &word, sizeof(word), 0) == 0);
}

static void *reader(void *arg)
{
	static char page[1 << 16];
	struct helper *h = arg;
	struct area *a = h->arg;
	size_t i;

	for (i = 0; !helper_stopped(h); i = (i + 1) % a->nr)
		mirror_try_read(&h->r->dev, page_of(a, i), page, page_size, 0);
	return NULL;
}

/* The child's part: make the device busy in every way, then end as told. */
static void busy_child(struct run *r, struct twin *t)
{
	struct helper h;
	struct area *a;
	char fd[16];

	mirror_attach(&r->dev, r->personality, r->arena, ARENA_BYTES);
	a = area_new(r, NR);
	prime(r, a);
	mirror_engine_start(&r->dev, MMU_MIRROR_ENGINE_READ | MMU_MIRROR_ENGINE_WRITE |
			    MMU_MIRROR_ENGINE_ADD, a->base, bytes_of(a->nr));
	helper_start(r, &h, reader, a);
	engine_works(r);

	twin_tell(r, t, 'b');
	if (twin_hear(r, t) == 'e') {
		fcntl(r->dev.fd, F_SETFD, 0);
		snprintf(fd, sizeof(fd), "%d", r->dev.fd);
		setenv(EXEC_FD, fd, 1);
		execl("/proc/self/exe", "after_exec", NULL);
		_exit(2);
	}
	_exit(0);
}

/* Freed pages, used again: a device that still writes to them shows. */
static void no_scribble(struct run *r)
{
	const size_t nr = 512;
	__u64 *page;
	size_t i, n = 0;

	page = mmap(NULL, bytes_of(nr), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(r, page != MAP_FAILED);
	memset(page, 0x5a, bytes_of(nr));
	sleep_ms(20);
	for (i = 0; i < bytes_of(nr) / sizeof(*page); i++)
		n += page[i] != 0x5a5a5a5a5a5a5a5aULL;
	if (n) {
		fail(r, "%zu words of foreign memory changed", n);
		r->v->stale += n;
	}
	munmap(page, bytes_of(nr));
}

static void released(struct run *r)
{
	struct mmu_mirror_counters c;
	__u64 accesses;

	within_ms(5000, (c = mirror_counters(&r->dev)).release);
	if (c.release != 1)
		fail(r, "release was called %llu times", c.release);
	if (c.mapped)
		fail(r, "%llu SPTEs after release", c.mapped);
	if (!c.engine)
		fail(r, "the engine never worked");
	if (c.dropped < NR)
		fail(r, "%llu SPTEs dropped, not %d", c.dropped, NR);
	r->v->claims += c.release == 1;

	accesses = c.accesses;
	no_scribble(r);
	c = mirror_counters(&r->dev);
	if (c.accesses != accesses) {
		fail(r, "%llu accesses after release",
		     (c.accesses - accesses));
		r->v->stale += c.accesses - accesses;
	}
	settle(r, &r->dev);
}

/* The device is none the worse for it. */
static void usable_again(struct run *r)
{
	struct area *a;

	account(r, &r->dev);
	mirror_detach(&r->dev);
	mirror_attach(&r->dev, r->personality, r->arena, ARENA_BYTES);
	a = area_new(r, NR);
	prime(r, a);
	verify(r, a);
	mirror_detach(&r->dev);
}

static void end_busy(struct run *r, char how)
{
	struct twin t;
	int status;

	twin_fork(r, &t);
	if (!t.pid)
		busy_child(r, &t);
	twin_hear(r, &t);
	if (how == 'k')
		kill(t.pid, SIGKILL);
	else
		twin_tell(r, &t, how);
	must(r, waitpid(t.pid, &status, 0) == t.pid);
	if (how == 'k' ? !WIFSIGNALED(status) : status)
		fail(r, "the child ended with status %#x", status);
	released(r);
	usable_again(r);
}

static void scn_exit_busy(struct run *r)
{
	end_busy(r, 'x');
}

static void scn_kill_busy(struct run *r)
{
	end_busy(r, 'k');
}

static void scn_exec_busy(struct run *r)
{
	end_busy(r, 'e');
}

/*
 * R6: whoever ends a subscription waits for its callbacks. A sleep may be cut
 * short a little by a late tick, and a thread be held up, but hardly both.
 */
static void has_waited(struct run *r, struct action *action, __u64 returned,
		       const char *what)
{
	if (returned + DELAY_US / 4 < action->began_us + DELAY_US &&
	    returned + DELAY_US / 2 < action->ended_us)
		fail(r, "%s returned %llu us before its callback did", what,
		     (action->ended_us - returned));
}

static void scn_close_busy(struct run *r)
{
	struct area *a = area_new(r, NR);
	struct action action = { .act = act_dontneed, .a = a };
	__u64 returned;

	prime(r, a);
	action_begin(r, &action, &r->dev, DELAY_US, 0);
	account(r, &r->dev);
	mirror_close(&r->dev);
	returned = now_us();
	action_end(r, &action);
	has_waited(r, &action, returned, "close");

	mirror_open(&r->dev);
	mirror_attach(&r->dev, r->personality, r->arena, ARENA_BYTES);
	model_zero(a, 0, NR);
	verify(r, a);
	op_begin(r);
	act_dontneed(r, a);
	op_end(r, EV_CLEAR, 1, NR);
	model_zero(a, 0, NR);
	verify(r, a);
}

static void scn_detach_busy(struct run *r)
{
	struct area *a = area_new(r, NR);
	struct action action = { .act = act_dontneed, .a = a };
	struct mmu_mirror_counters c;
	__u64 returned;

	prime(r, a);
	action_begin(r, &action, &r->dev, DELAY_US, 0);
	mirror_detach(&r->dev);
	returned = now_us();
	action_end(r, &action);
	has_waited(r, &action, returned, "detach");

	/* what was in flight then is not heard of again */
	c = mirror_counters(&r->dev);
	if (c.unbalanced)
		fail(r, "%llu callbacks after detach", c.unbalanced);
	account(r, &r->dev);
	mirror_close(&r->dev);
	mirror_open(&r->dev);
	mirror_attach(&r->dev, r->personality, r->arena, ARENA_BYTES);
	model_zero(a, 0, NR);
	verify(r, a);
	op_begin(r);
	act_dontneed(r, a);
	op_end(r, EV_CLEAR, 1, NR);
	model_zero(a, 0, NR);
	verify(r, a);
}

const struct scenario scn_life[] = {
	{ "exit_busy", "exit, device busy", scn_exit_busy, SCN_UNATTACHED },
	{ "kill_busy", "SIGKILL, device busy", scn_kill_busy, SCN_UNATTACHED },
	{ "exec_busy", "exec, device busy", scn_exec_busy, SCN_UNATTACHED },
	{ "close_busy", "close while an invalidation runs", scn_close_busy },
	{ "detach_busy", "detach while an invalidation runs", scn_detach_busy },
	{ }
};
