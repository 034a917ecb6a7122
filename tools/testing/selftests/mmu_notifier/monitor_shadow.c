// SPDX-License-Identifier: GPL-2.0
/*
 * Shadows all mappings of a program by watches of /dev/mmu_monitor, and sees that no
 * change is missed.
 *
 *	monitor_shadow [--least N] [-- PROGRAM [ARGUMENT..]]
 *
 * PROGRAM knows nothing of it. It is traced, with all its threads and children; what
 * is needed in its address space is done by system calls that are put into it. So
 * nothing that it does escapes, whether by libc's inner ways or by instructions of
 * its own. Each process gets a monitor, and a watch of each of its mappings, for
 * MMU_MONITOR_UNMAPPED and MMU_MONITOR_DROPPED. Then, for each system call that may
 * take mappings or their contents away:
 *
 *  - when it is entered, all words are read;
 *  - when it has returned, and before the program goes on, the word of each watch
 *    has another value, and an even one, of which a part is gone: by what the call
 *    says that it did, and, as a second opinion, by the difference of
 *    /proc/PID/maps before and after. If not, a change was *missed*.
 *  - the words of all others have the values that they had. If not, a change has
 *    *no cause*; truncation of files that others have open is one.
 *
 * One such call at a time in an address space: other threads are held at their
 * entries meanwhile, so the words say what this call did.
 *
 * Without PROGRAM it shadows a child of its own, which uses malloc() from several
 * threads. Fails if a change was missed, or fewer than N were seen.
 */
#include <err.h>
#include <getopt.h>
#include <linux/kcmp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../kselftest.h"
#include "monitor_raw.h"
#include "sysmm.h"

#ifndef __x86_64__
int main(void)
{
	ksft_print_header();
	ksft_exit_skip("puts system calls into programs as on x86-64 only\n");
}
#else

#define AREA_BYTES	(64 * 4096UL)
#define HIGH_FD		900
#define CLASSES		(MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED)
#define MAX_RANGES	8

struct mapping {
	unsigned long start;
	unsigned long end;
	unsigned long offset;
	unsigned long inode;	/* 0: anonymous */
	unsigned int device;
	bool shared;
	__u64 word;		/* 0: not watched */
	__u64 before;		/* generation when a call was entered */
	bool stale;		/* a part was gone by then: of no more interest */
};

struct maps {
	struct mapping *all;
	size_t nr;
	size_t room;
};

struct range {
	unsigned long start;
	unsigned long end;
};

/* An address space */
struct space {
	struct space *next;
	unsigned int tasks;
	bool ready;		/* has a monitor */
	bool hopeless;		/* cannot have one */
	long fd;
	unsigned long area;
	unsigned long scratch;	/* a page for arguments */
	int mem;
	struct maps maps;
	pid_t busy;		/* whose call is going on */
};

/* A thread */
struct task {
	struct task *next;
	pid_t tid;
	struct space *space;	/* NULL: the one who made it has not said so yet */
	bool stopped;		/* and waits to be told of */
	bool queued;		/* held at the entry of a call */
	bool gone;
	int signal;		/* that came while system calls were put into it */
	unsigned long nr;	/* of the call that is going on */
	unsigned long args[6];
	struct range brk;
};

static struct space *spaces;
static struct task *tasks;
static unsigned long least = 100;

static struct {
	unsigned long processes;
	unsigned long watches;
	unsigned long most;	/* at a time, in one process */
	unsigned long calls;
	unsigned long changes;	/* of words, that had to be */
	unsigned long by_maps;	/* of these, known by the second opinion */
	unsigned long untold;	/* parts of mappings gone, and no call seen */
	unsigned long missed;
	unsigned long left_odd;
	unsigned long no_cause;
	unsigned long by_files;
	unsigned long unshadowed;	/* processes that could not be */
} sum;

static void complain(const char *fmt, ...) __printf(1, 2);
static void complain(const char *fmt, ...)
{
	static unsigned int nr;
	va_list ap;

	if (nr++ > 30)
		return;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* ------------------------------------------------------- processes and threads */

static struct task *find_task(pid_t tid)
{
	struct task *t;

	for (t = tasks; t; t = t->next)
		if (t->tid == tid)
			return t;
	return NULL;
}

static struct task *new_task(pid_t tid)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		errx(1, "no memory");
	t->tid = tid;
	t->next = tasks;
	tasks = t;
	return t;
}

static struct space *new_space(void)
{
	struct space *s = calloc(1, sizeof(*s));

	if (!s)
		errx(1, "no memory");
	s->mem = -1;
	s->next = spaces;
	spaces = s;
	sum.processes++;
	return s;
}

static void enter_space(struct task *t, struct space *s)
{
	t->space = s;
	s->tasks++;
}

static void leave_space(struct task *t)
{
	struct space **p, *s = t->space;

	if (!s)
		return;
	t->space = NULL;
	if (s->busy == t->tid)
		s->busy = 0;
	if (--s->tasks)
		return;
	for (p = &spaces; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	if (s->mem >= 0)
		close(s->mem);
	free(s->maps.all);
	free(s);
}

static void free_task(struct task *t)
{
	struct task **p;

	for (p = &tasks; *p != t; p = &(*p)->next)
		;
	*p = t->next;
	free(t);
}

/* ---------------------------------------------------------- into the program */

static void go_on(struct task *t, int sig)
{
	if (t->signal) {
		sig = t->signal;
		t->signal = 0;
	}
	/* it may have been killed meanwhile, which will be told */
	ptrace(PTRACE_SYSCALL, t->tid, 0, (long)sig);
}

static bool is_syscall_stop(int status)
{
	return WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80);
}

/* Until the next entry or exit of a system call of @t; false: it is dead */
static bool to_next_stop(struct task *t)
{
	int status, sig;

	if (ptrace(PTRACE_SYSCALL, t->tid, 0, 0))
		return false;
	for (;;) {
		if (waitpid(t->tid, &status, __WALL) < 0)
			return false;
		if (!WIFSTOPPED(status)) {
			t->gone = true;
			return false;
		}
		if (is_syscall_stop(status))
			return true;
		sig = WSTOPSIG(status);
		if (status >> 16 == 0 && sig != SIGTRAP)
			t->signal = sig;
		if (ptrace(PTRACE_SYSCALL, t->tid, 0, 0))
			return false;
	}
}

/* @t has just returned from a system call: have it make another one. */
static long put_in(struct task *t, const struct user_regs_struct *saved, unsigned long nr,
		   unsigned long a, unsigned long b, unsigned long c, unsigned long d,
		   unsigned long e, unsigned long f)
{
	struct user_regs_struct regs = *saved;

	regs.rip -= 2;		/* the instruction that it came from */
	regs.rax = nr;
	regs.orig_rax = -1;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = f;
	if (ptrace(PTRACE_SETREGS, t->tid, 0, &regs) || !to_next_stop(t) || !to_next_stop(t) ||
	    ptrace(PTRACE_GETREGS, t->tid, 0, &regs))
		return -ESRCH;
	return regs.rax;
}

#define put_in3(t, r, nr, a, b, c) \
	put_in(t, r, nr, (unsigned long)(a), (unsigned long)(b), (unsigned long)(c), 0, 0, 0)

static bool poke(struct space *s, unsigned long at, const void *data, size_t size)
{
	return pwrite(s->mem, data, size, at) == (ssize_t)size;
}

static bool peek(struct space *s, unsigned long at, void *data, size_t size)
{
	return pread(s->mem, data, size, at) == (ssize_t)size;
}

static long watch_one(struct space *s, struct task *t, const struct user_regs_struct *regs,
		      struct mapping *m)
{
	struct mmu_monitor_watch w = {
		.size = sizeof(w),
		.flags = MMU_MONITOR_QUIET,
		.address = m->start,
		.length = m->end - m->start,
		.classes = CLASSES,
	};
	long ret;

	if (!poke(s, s->scratch, &w, sizeof(w)))
		return -EFAULT;
	ret = put_in3(t, regs, SYS_ioctl, s->fd, MMU_MONITOR_WATCH, s->scratch);
	if (ret)
		return ret;
	if (!peek(s, s->scratch, &w, sizeof(w)))
		return -EFAULT;
	if (w.word >= AREA_BYTES)
		return -ENOSPC;
	m->word = w.word;
	sum.watches++;
	return 0;
}

static long unwatch_one(struct space *s, struct task *t, const struct user_regs_struct *regs,
			__u64 word)
{
	struct mmu_monitor_word w = { .size = sizeof(w), .word = word };

	if (!poke(s, s->scratch, &w, sizeof(w)))
		return -EFAULT;
	return put_in3(t, regs, SYS_ioctl, s->fd, MMU_MONITOR_UNWATCH, s->scratch);
}

/* A monitor, out of the way of the program's descriptors, and a page for arguments */
static long set_up(struct space *s, struct task *t, const struct user_regs_struct *regs)
{
	char path[64];
	long fd, ret;

	if (s->mem < 0) {
		snprintf(path, sizeof(path), "/proc/%d/mem", t->tid);
		s->mem = open(path, O_RDWR | O_CLOEXEC);
		if (s->mem < 0)
			return -errno;
	}
	ret = put_in(t, regs, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ret < 0 && ret > -4096)
		return ret;
	s->scratch = ret;
	if (!poke(s, s->scratch, MONITOR_PATH, sizeof(MONITOR_PATH)))
		return -EFAULT;
	fd = put_in(t, regs, SYS_openat, AT_FDCWD, s->scratch, O_RDWR | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return fd;
	s->fd = put_in3(t, regs, SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD);
	put_in3(t, regs, SYS_close, fd, 0, 0);
	if (s->fd < 0)
		return s->fd;
	ret = put_in(t, regs, SYS_mmap, 0, AREA_BYTES, PROT_READ, MAP_SHARED, s->fd, 0);
	if (ret < 0 && ret > -4096)
		return ret;
	s->area = ret;
	s->ready = true;
	s->maps.nr = 0;
	return 0;
}

/* ------------------------------------------------------------------ mappings */

static void add_mapping(struct maps *maps, const struct mapping *m)
{
	if (maps->nr == maps->room) {
		maps->room = maps->room * 2 + 64;
		maps->all = realloc(maps->all, maps->room * sizeof(*maps->all));
		if (!maps->all)
			errx(1, "no memory");
	}
	maps->all[maps->nr++] = *m;
}

/* What /proc/PID/maps says, but for what is the kernel's or ours */
static bool read_maps(struct space *s, pid_t tid, struct maps *maps)
{
	unsigned int major, minor;
	char line[4400], path[64], perms[8];
	struct mapping m;
	FILE *f;
	int name;

	*maps = (struct maps){ };
	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		m = (struct mapping){ };
		name = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %n", &m.start, &m.end, perms, &m.offset,
			   &major, &minor, &m.inode, &name) < 7)
			continue;
		if (strstr(line + name, MONITOR_PATH) || !strncmp(line + name, "[v", 2))
			continue;
		if (m.start == s->scratch)
			m.start += 4096;
		if (m.end == s->scratch + 4096)
			m.end -= 4096;
		/* in the midst of another mapping: two of them */
		if (m.start < s->scratch && s->scratch < m.end) {
			struct mapping low = m;

			low.end = s->scratch;
			add_mapping(maps, &low);
			m.start = s->scratch + 4096;
		}
		if (m.start >= m.end)
			continue;
		m.device = major << 20 | minor;
		m.shared = perms[3] == 's';
		if (!m.inode)
			m.offset = 0;
		add_mapping(maps, &m);
	}
	fclose(f);
	return true;
}

/* Does the same lie at @at in @n as in @m? */
static bool same_there(const struct mapping *m, const struct mapping *n, unsigned long at)
{
	return m->inode == n->inode && m->device == n->device && m->shared == n->shared &&
	       (!m->inode || m->offset + (at - m->start) == n->offset + (at - n->start));
}

/* Is a part of @m no longer there? Mappings are in order of addresses. */
static bool partly_gone(const struct mapping *m, const struct maps *now)
{
	unsigned long at = m->start;
	size_t i;

	for (i = 0; i < now->nr && at < m->end; i++) {
		const struct mapping *n = &now->all[i];

		if (n->end <= at)
			continue;
		if (n->start > at || !same_there(m, n, at))
			return true;
		at = n->end;
	}
	return at < m->end;
}

/* All words; a new watch may wait for a moment, for the fork() of another thread. */
static __u64 *read_words(struct space *s)
{
	static __u64 words[AREA_BYTES / 8];
	unsigned int ms, odd;
	__u64 top = 0;
	size_t i;

	for (i = 0; i < s->maps.nr; i++)
		if (s->maps.all[i].word > top)
			top = s->maps.all[i].word;
	for (ms = 0; ms < 1000; ms++) {
		if (top && !peek(s, s->area, words, top + 8))
			return NULL;
		odd = 0;
		for (i = 0; i < s->maps.nr; i++)
			odd += s->maps.all[i].word && words[s->maps.all[i].word / 8] & 1;
		if (!odd)
			break;
		sleep_ms(1);
	}
	return words;
}

static void add_range(struct range *ranges, unsigned int *nr, unsigned long start,
		      unsigned long length)
{
	if (length && *nr < MAX_RANGES)
		ranges[(*nr)++] = (struct range){ start & ~0xfffUL,
						  (start + length + 0xfff) & ~0xfffUL };
}

static bool in_ranges(const struct mapping *m, const struct range *ranges, unsigned int nr)
{
	while (nr--)
		if (m->start < ranges[nr].end && ranges[nr].start < m->end)
			return true;
	return false;
}

/* What the call that has returned @ret says that it has changed, or may have */
static void told_by_call(struct task *t, long ret, struct range *must, unsigned int *nr_must,
			 struct range *may, unsigned int *nr_may)
{
	const unsigned long *a = t->args;
	bool failed = ret < 0 && ret > -4096;

	*nr_must = *nr_may = 0;
	switch (t->nr) {
	case SYS_munmap:
		if (failed)
			add_range(may, nr_may, a[0], a[1]);
		else
			add_range(must, nr_must, a[0], a[1]);
		break;
	case SYS_mmap:
		if (failed)
			add_range(may, nr_may, a[0], a[1]);
		else
			add_range(must, nr_must, ret, a[1]);
		break;
	case SYS_mremap:
		add_range(may, nr_may, a[0], a[1]);
		if (failed) {
			if (a[3] & MREMAP_FIXED)
				add_range(may, nr_may, a[4], a[2]);
			break;
		}
		if ((unsigned long)ret != a[0]) {
			add_range(must, nr_must, a[0], a[1]);
			add_range(must, nr_must, ret, a[2]);
		} else if (a[2] < a[1]) {
			add_range(must, nr_must, a[0] + a[2], a[1] - a[2]);
		}
		break;
	case SYS_madvise:
		if (!failed && (a[2] == MADV_DONTNEED || a[2] == MADV_FREE || a[2] == MADV_REMOVE))
			add_range(must, nr_must, a[0], a[1]);
		else
			add_range(may, nr_may, a[0], a[1]);
		break;
	case SYS_brk:
	case SYS_shmdt:
		/* the maps say */
		break;
	case SYS_shmat:
	case SYS_mprotect:
	case SYS_remap_file_pages:
		add_range(may, nr_may, a[0], a[1]);
		break;
	}
}

static bool is_of_interest(unsigned long nr)
{
	switch (nr) {
	case SYS_munmap:
	case SYS_mmap:
	case SYS_mremap:
	case SYS_madvise:
	case SYS_brk:
	case SYS_shmat:
	case SYS_shmdt:
	case SYS_mprotect:
	case SYS_remap_file_pages:
		return true;
	}
	return false;
}

/* Are words as they should be, with @now mapped? @t: NULL: nobody has done anything */
static void check_words(struct space *s, struct task *t, long ret, const struct maps *now)
{
	struct range must[MAX_RANGES], may[MAX_RANGES];
	unsigned int nr_must = 0, nr_may = 0;
	__u64 *words = read_words(s);
	size_t i;

	if (!words)
		return;
	if (t)
		told_by_call(t, ret, must, &nr_must, may, &nr_may);
	for (i = 0; i < s->maps.nr; i++) {
		struct mapping *m = &s->maps.all[i];
		__u64 value = words[m->word / 8];
		bool gone, told;

		if (!m->word)
			continue;
		gone = partly_gone(m, now);
		told = in_ranges(m, must, nr_must);
		if (m->stale) {
			m->before = value;
			continue;
		}
		m->stale = gone && !t;
		sum.untold += m->stale;
		if (gone || told) {
			sum.changes++;
			sum.by_maps += gone;
			if (value == m->before && t) {
				sum.missed++;
				complain("missed: %lx-%lx, %lu(%lx, %lx, %lx) = %lx, %llu: %llu",
					 m->start, m->end, t->nr, t->args[0], t->args[1],
					 t->args[2], ret, m->word, value);
			} else if (value == m->before) {
				sum.missed++;
				complain("missed: %lx-%lx, gone without a call, word %llu: %llu",
					 m->start, m->end, m->word, value);
			}
		} else if (value != m->before && !in_ranges(m, may, nr_may)) {
			if (m->inode) {
				sum.by_files++;
			} else {
				sum.no_cause++;
				complain("no cause: %lx-%lx, %ld(%lx, %lx), word %llu: %llu, %llu",
					 m->start, m->end, t ? (long)t->nr : -1,
					 t ? t->args[0] : 0, t ? t->args[1] : 0, m->word,
					 m->before, value);
			}
		}
		if (value & 1) {
			sum.left_odd++;
			complain("odd: %lx-%lx, word %llu is %llu, and nothing is going on",
				 m->start, m->end, m->word, value);
		}
		m->before = value;
	}
}

/* ------------------------------------------------------------------ one call */

static void before_call(struct space *s, struct task *t)
{
	struct maps now;

	s->busy = t->tid;
	if (!s->ready || !read_maps(s, t->tid, &now))
		return;
	/* Stacks grow by themselves; nothing else may have happened. */
	check_words(s, NULL, 0, &now);
	free(now.all);
}

/* Watches for what is mapped now, and for nothing else */
static long follow(struct space *s, struct task *t, const struct user_regs_struct *regs,
		   struct maps *now)
{
	size_t i, j = 0;
	__u64 *words;
	long ret;

	/* both are in order of addresses */
	for (i = 0; i < s->maps.nr; i++) {
		struct mapping *old = &s->maps.all[i];

		if (!old->word)
			continue;
		while (j < now->nr && now->all[j].start < old->start)
			j++;
		if (j < now->nr && now->all[j].start == old->start && now->all[j].end == old->end) {
			now->all[j].word = old->word;
			now->all[j].before = old->before;
			continue;
		}
		ret = unwatch_one(s, t, regs, old->word);
		if (ret)
			return ret;
	}
	for (j = 0; j < now->nr; j++) {
		if (now->all[j].word)
			continue;
		ret = watch_one(s, t, regs, &now->all[j]);
		if (ret)
			return ret;
		now->all[j].before = ~0ULL;
	}
	free(s->maps.all);
	s->maps = *now;
	now->all = NULL;
	if (sum.most < s->maps.nr)
		sum.most = s->maps.nr;
	words = read_words(s);
	if (!words)
		return -EFAULT;
	for (i = 0; i < s->maps.nr; i++)
		if (s->maps.all[i].before == ~0ULL)
			s->maps.all[i].before = words[s->maps.all[i].word / 8];
	return 0;
}

/* Killed, though its tracer has not been told yet */
static bool is_dying(struct task *t)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, t->tid, 0, &info) && errno == ESRCH;
}

static void after_call(struct space *s, struct task *t, long result)
{
	struct user_regs_struct regs;
	struct maps now = { };
	long ret = 0;

	sum.calls++;
	if (s->hopeless || (result <= -512 && result >= -516) ||
	    ptrace(PTRACE_GETREGS, t->tid, 0, &regs))
		return;
	if (s->ready && read_maps(s, t->tid, &now))
		check_words(s, t, result, &now);
	if (!s->ready) {
		ret = set_up(s, t, &regs);
		if (!ret && !read_maps(s, t->tid, &now))
			ret = -ESRCH;
	}
	if (!ret)
		ret = follow(s, t, &regs, &now);
	free(now.all);
	if (ret == -EBADF) {
		/* closed all its descriptors, and ours among them: begin anew */
		s->ready = false;
		s->maps.nr = 0;
	} else if (ret && !t->gone && !is_dying(t)) {
		s->hopeless = true;
		sum.unshadowed++;
		complain("process %d cannot be shadowed any more: %s", t->tid, strerror(-ret));
	}
	if (!t->gone)
		ptrace(PTRACE_SETREGS, t->tid, 0, &regs);
}

static void task_gone(struct task *t);

/* The next one who is held at an entry */
static void next_call(struct space *s)
{
	struct task *t;

	for (t = tasks; t && !s->busy; t = t->next) {
		if (t->space != s || !t->queued)
			continue;
		t->queued = false;
		before_call(s, t);
		go_on(t, 0);
	}
}

static void at_syscall(struct task *t)
{
	struct __ptrace_syscall_info info;
	struct space *s = t->space;

	memset(&info, 0, sizeof(info));
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		t->nr = info.entry.nr;
		memcpy(t->args, info.entry.args, sizeof(t->args));
		if (is_of_interest(t->nr)) {
			if (s->busy) {
				t->queued = true;
				return;
			}
			before_call(s, t);
		}
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && s->busy == t->tid) {
		after_call(s, t, info.exit.rval);
		s->busy = 0;
		if (t->gone) {
			task_gone(t);
			return;
		}
		go_on(t, 0);
		next_call(s);
		return;
	}
	go_on(t, 0);
}

static void task_gone(struct task *t)
{
	struct space *s = t->space;
	bool last = s && s->tasks == 1;

	leave_space(t);
	free_task(t);
	if (s && !last)
		next_call(s);
}

/* @t has made a thread or a process */
static void made(struct task *t)
{
	struct task *child;
	unsigned long tid;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &tid))
		return;
	child = find_task(tid) ?: new_task(tid);
	enter_space(child, syscall(SYS_kcmp, t->tid, (pid_t)tid, KCMP_VM, 0, 0) == 0 ?
		    t->space : new_space());
	if (child->stopped) {
		child->stopped = false;
		go_on(child, 0);
	}
}

/* @t has another program, and is alone */
static void executed(struct task *t)
{
	unsigned long former;
	struct task *other;

	if (!ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &former) && former != (unsigned long)t->tid) {
		other = find_task(former);
		if (other)
			task_gone(other);
	}
	leave_space(t);
	enter_space(t, new_space());
}

static void stopped(struct task *t, int status)
{
	int sig = WSTOPSIG(status);

	switch (status >> 16) {
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		made(t);
		go_on(t, 0);
		return;
	case PTRACE_EVENT_EXEC:
		executed(t);
		go_on(t, 0);
		return;
	case PTRACE_EVENT_STOP:
		if (!t->space)
			t->stopped = true;	/* new, until the other one says so */
		else if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			ptrace(PTRACE_LISTEN, t->tid, 0, 0);
		else
			go_on(t, 0);
		return;
	}
	if (is_syscall_stop(status))
		at_syscall(t);
	else
		go_on(t, sig == SIGTRAP ? 0 : sig);
}

/* ------------------------------------------------------------- a program, ours */

#define OWN_THREADS	3
#define OWN_ROUNDS	200
#define OWN_BLOCKS	64

/* What allocators do: small, large, grown, shrunk, in any order; arenas come and go */
static void *allocate(void *arg)
{
	unsigned long random = (unsigned long)arg * 7919 + 1;
	char *blocks[OWN_BLOCKS] = { };
	unsigned int i, nr;
	size_t size;

	for (i = 0; i < OWN_ROUNDS; i++) {
		random = random * 6364136223846793005UL + 1442695040888963407UL;
		nr = random >> 33 & (OWN_BLOCKS - 1);
		size = 1UL << (4 + (random >> 40) % 18);
		switch (random >> 60) {
		case 0 ... 6:
			blocks[nr] = realloc(blocks[nr], size);
			if (blocks[nr])
				memset(blocks[nr], nr, size);
			break;
		case 7:
			malloc_trim(0);
			break;
		default:
			free(blocks[nr]);
			blocks[nr] = NULL;
		}
	}
	for (i = 0; i < OWN_BLOCKS; i++)
		free(blocks[i]);
	return NULL;
}

static void own_program(void)
{
	pthread_t threads[OWN_THREADS];
	unsigned long i;
	pid_t pid;

	for (i = 0; i < OWN_THREADS; i++)
		if (pthread_create(&threads[i], NULL, allocate, (void *)i))
			_exit(1);
	for (i = 0; i < OWN_THREADS; i++)
		pthread_join(threads[i], NULL);
	pid = fork();
	if (!pid) {
		allocate((void *)99UL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	allocate((void *)100UL);
	_exit(0);
}

/* ------------------------------------------------------------------ the whole */

static pid_t launch(char **argv)
{
	int go[2];
	pid_t pid;
	char byte;

	if (pipe(go))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		close(go[0]);
		if (!*argv)
			own_program();
		execvp(*argv, argv);
		err(127, "%s", *argv);
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
		   PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
		   PTRACE_O_EXITKILL) || ptrace(PTRACE_INTERRUPT, pid, 0, 0))
		err(1, "ptrace");
	close(go[0]);
	if (write(go[1], "", 1) != 1)
		err(1, "pipe");
	close(go[1]);
	return pid;
}

static int shadow(pid_t first)
{
	struct task *t;
	int status, result = -1;
	pid_t tid;

	enter_space(new_task(first), new_space());
	while (tasks) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		t = find_task(tid);
		if (WIFSTOPPED(status)) {
			stopped(t ?: new_task(tid), status);
			continue;
		}
		if (tid == first)
			result = status;
		if (t)
			task_gone(t);
	}
	return result;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "least", required_argument, NULL, 'l' },
		{ }
	};
	int option, fd, status;
	bool ok;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			least = strtoul(optarg, NULL, 0);
			break;
		default:
			errx(1, "usage: %s [--least N] [-- PROGRAM [ARGUMENT..]]", argv[0]);
		}
	}
	ksft_print_header();
	ksft_set_plan(1);
	fd = raw_open();
	if (fd == -ENOENT)
		ksft_exit_skip("no " MONITOR_PATH "\n");
	if (fd < 0)
		ksft_exit_fail_msg(MONITOR_PATH ": %s\n", strerror(-fd));
	close(fd);
	fflush(stdout);

	status = shadow(launch(argv + optind));
	printf("# processes %lu, watches %lu, at most %lu at a time, calls %lu\n", sum.processes,
	       sum.watches, sum.most, sum.calls);
	printf("# changes %lu, of which %lu show in the maps, %lu without a call; of files %lu\n",
	       sum.changes, sum.by_maps, sum.untold, sum.by_files);
	printf("# missed %lu, left odd %lu, without cause %lu, processes not shadowed %lu\n",
	       sum.missed, sum.left_odd, sum.no_cause, sum.unshadowed);
	ok = !sum.missed && !sum.left_odd && !sum.no_cause && !sum.unshadowed;
	if (status) {
		printf("# the program ended with status %x\n", status);
		ok = false;
	}
	if (sum.changes < least) {
		printf("# that is fewer than %lu changes\n", least);
		ok = false;
	}
	ksft_test_result(ok, "no change is missed\n");
	ksft_finished();
}
#endif
