// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded into QEMU by LD_PRELOAD: the guest's memory gets a second secondary MMU,
 * /dev/mmu_mirror, which reads all over it, and QEMU forks now and then.
 *
 * VMM_RAM	size of the guest's memory in bytes, by which its mapping is found
 * VMM_STATUS	file to which it is written, again and again, how things are: words
 *		of the form NAME=VALUE, of which "ram" is START-END, in hex
 * VMM_FORK_SECONDS
 *
 * Without /dev/mmu_mirror it only forks.
 *
 * A child is made by the bare system call. No handler of QEMU's or of libc's runs,
 * whose locks other threads may hold; and so it must not call much.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../../../drivers/misc/mmu_mirror/mmu_mirror_uapi.h"

#define PAGE		4096
#define TICK_US		250000	/* the engine runs in each fourth */
#define CHILD_PAGES	16	/* each so manieth page is written to */
#define CHILD_MS	1500

static char *ram;
static size_t ram_bytes;
static int mirror = -1;

/* What is reported */
static struct {
	unsigned int forks;
	unsigned int children_wrong;
	unsigned int checks;
	unsigned long long stale;
	int error;		/* of the device: errno */
} status;

/* Not there before QEMU has come so far. */
static bool find_ram(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end, inode;
	char line[512], mode[5];
	bool found = false;

	if (!maps)
		return false;
	while (!found && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, mode, &inode) != 4)
			continue;
		found = end - start == ram_bytes && !inode && !strcmp(mode, "rw-p");
		ram = (char *)start;
	}
	fclose(maps);
	return found;
}

/*
 * Write to some pages of the copy, and see whether that stays: then all that is
 * done to the parent's pages is not done to these. The other pages are the
 * parent's as long as it does not write to them.
 */
static void child_writes(void)
{
	struct timespec ms = { CHILD_MS / 1000, CHILD_MS % 1000 * 1000000 };
	volatile uint64_t *word;
	size_t at;

	for (at = 0; at < ram_bytes; at += CHILD_PAGES * PAGE) {
		word = (volatile uint64_t *)(ram + at);
		word[0] = at;
		word[1] = ~at;
	}
	nanosleep(&ms, NULL);
	for (at = 0; at < ram_bytes; at += CHILD_PAGES * PAGE) {
		word = (volatile uint64_t *)(ram + at);
		if (word[0] != at || word[1] != ~at)
			_exit(1);
	}
	_exit(0);
}

static void fork_once(unsigned int nr)
{
	static char *const args[] = { "/bin/true", NULL };
	int wstatus = 0;
	long pid;

	/* QEMU does not want its children to have it. */
	madvise(ram, ram_bytes, MADV_DOFORK);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		if (nr % 3 == 0)
			_exit(0);
		if (nr % 3 == 1)
			execve(args[0], args, NULL);
		child_writes();
	}
	if (pid < 0)
		return;
	status.forks++;
	while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus))
		status.children_wrong++;
}

static void mirror_begin(void)
{
	struct mmu_mirror_attach attach = {
		.size = sizeof(attach),
		.personality = getenv("VMM_SVM") ? MMU_MIRROR_SVM : MMU_MIRROR_SHADOW,
		.start = (uintptr_t)ram,
		.length = ram_bytes,
	};

	mirror = open(MMU_MIRROR_PATH, O_RDWR | O_CLOEXEC);
	if (mirror < 0)
		return;
	if (ioctl(mirror, MMU_MIRROR_ATTACH, &attach))
		status.error = errno;
}

/* The engine would take a processor for itself: a part of the time will do. */
static void mirror_engine(bool on)
{
	struct mmu_mirror_engine engine = {
		.size = sizeof(engine),
		.flags = on ? MMU_MIRROR_ENGINE_READ : 0,
	};

	if (mirror >= 0 && ioctl(mirror, MMU_MIRROR_ENGINE, &engine))
		status.error = errno;
}

static void mirror_check(struct mmu_mirror_counters *c)
{
	struct mmu_mirror_check check = { .size = sizeof(check) };

	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	if (mirror < 0)
		return;
	if (ioctl(mirror, MMU_MIRROR_CHECK, &check) ||
	    ioctl(mirror, MMU_MIRROR_COUNTERS, c)) {
		status.error = errno;
		return;
	}
	status.checks++;
	status.stale += check.stale;
	if (check.stale)
		fprintf(stderr, "vmm: %llu of %llu SPTEs are stale, the first at %#llx\n",
			check.stale, check.mapped, check.first_stale);
}

static void report(int fd, const struct mmu_mirror_counters *c)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
		"ram=%lx-%lx forks=%u children_wrong=%u checks=%u stale=%llu unbalanced=%llu accesses=%llu faults=%llu dropped=%llu mapped=%llu error=%d ",
		(unsigned long)ram, (unsigned long)(ram + ram_bytes), status.forks,
		status.children_wrong, status.checks, status.stale, c->unbalanced,
		c->accesses, c->faults, c->dropped, c->mapped, status.error);

	/* Always of the same length, and one write: nothing remains of the last one. */
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	memset(text + len, ' ', sizeof(text) - len);
	text[sizeof(text) - 1] = '\n';
	if (pwrite(fd, text, sizeof(text), 0) != sizeof(text))
		warn("write how things are");
}

static void *watch(void *path)
{
	const char *every = getenv("VMM_FORK_SECONDS");
	unsigned int tick, nr = 0, seconds = every ? atoi(every) : 5;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct mmu_mirror_counters counters;
	time_t next = 0;

	while (!find_ram())
		usleep(TICK_US / 5);
	mirror_begin();
	for (tick = 0;; tick++) {
		mirror_engine(tick % 4 == 0);
		usleep(TICK_US);
		if (tick % 2)
			continue;
		mirror_check(&counters);
		report(fd, &counters);
		if (time(NULL) < next)
			continue;
		fork_once(nr++);
		next = time(NULL) + seconds;
	}
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	const char *size = getenv("VMM_RAM"), *path = getenv("VMM_STATUS");
	pthread_t thread;
	sigset_t all, old;

	if (!size || !path)
		return;
	ram_bytes = strtoull(size, NULL, 0);
	path = strdup(path);
	/* what QEMU executes is none of ours */
	unsetenv("LD_PRELOAD");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errno = pthread_create(&thread, NULL, watch, (void *)path);
	if (errno)
		err(EXIT_FAILURE, "vmm: thread");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
