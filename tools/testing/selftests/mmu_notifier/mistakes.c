// SPDX-License-Identifier: GPL-2.0
/*
 * mistakes NAME: make one of the mistakes of samples/mmu_notifier/mistakes.c, and
 * do what makes it show. What the kernel says is on its console. The machine may
 * not survive it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define MODULE	"mmu_notifier_mistakes"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

static char *page;

static int make(const char *name)
{
	int fd = open("/dev/mmu_mistakes", O_WRONLY);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, name, strlen(name)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void *drop_page(void *arg)
{
	madvise(page, page_size, MADV_DONTNEED);
	return NULL;
}

/* The process is killed in a callback that sleeps, and reaped meanwhile. */
static int reap_a_sleeper(const char *name)
{
	int status, fd, i;
	pid_t pid = fork();

	if (!pid) {
		if (make(name))
			_exit(1);
		madvise(page, page_size, MADV_DONTNEED);
		_exit(0);
	}
	sleep_ms(300);
	fd = syscall(SYS_pidfd_open, pid, 0);
	kill(pid, SIGKILL);
	for (i = 0; i < 100; i++) {
		if (!syscall(SYS_process_mrelease, fd, 0))
			break;
		sleep_ms(10);
	}
	return waitpid(pid, &status, 0) == pid ? 0 : 1;
}

/* Unloads while another device keeps a range in flight. */
static int unload_early(const char *name)
{
	struct mirror mirror;
	pthread_t thread;
	int err;

	mirror_open(&mirror);
	mirror_attach(&mirror, MMU_MIRROR_SHADOW, page, page_size);
	mirror_delay(&mirror, 1000000, 0);
	err = make(name);
	if (err)
		return 1;
	if (pthread_create(&thread, NULL, drop_page, NULL))
		return 1;
	sleep_ms(300);
	err = make(name) ?: module_unload(MODULE);
	pthread_join(thread, NULL);
	sleep_ms(1000);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	pid_t pid;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: mistakes NAME\n");
		return 1;
	}
	sysmm_init();
	err = module_load(MODULE);
	if (err && err != -EEXIST) {
		fprintf(stderr, "%s: %s\n", MODULE, strerror(-err));
		return 1;
	}
	page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 1;

	if (!strcmp(argv[1], "sleep"))
		return reap_a_sleeper(argv[1]);
	if (!strcmp(argv[1], "unload-early"))
		return unload_early(argv[1]);

	pid = fork();
	if (!pid) {
		err = make(argv[1]);
		printf("%s: %s\n", argv[1], err ? strerror(-err) : "done");
		fflush(stdout);
		page[0] = 1;
		madvise(page, page_size, MADV_DONTNEED);
		_exit(0);
	}
	/* some of them never end */
	sleep_ms(3000);
	return 0;
}
