// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor from user space, see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor_lib.h"

static int issue(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

int monitor_try_info(int fd, struct mmu_monitor_info *info)
{
	info->size = sizeof(*info);
	return issue(fd, MMU_MONITOR_INFO, info);
}

int monitor_try_map(struct monitor *m)
{
	struct mmu_monitor_info info;
	int err = monitor_try_info(m->fd, &info);
	void *area;

	if (err)
		return err;
	area = mmap(NULL, info.area_size, PROT_READ, MAP_SHARED, m->fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	m->area = area;
	m->area_size = info.area_size;
	return 0;
}

int monitor_try_open(struct monitor *m)
{
	int err;

	m->area = NULL;
	m->fd = open(MONITOR_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (m->fd < 0)
		return -errno;
	err = monitor_try_map(m);
	if (err)
		monitor_close(m);
	return err;
}

void monitor_close(struct monitor *m)
{
	if (m->fd < 0)
		return;
	if (m->area)
		munmap((void *)m->area, m->area_size);
	close(m->fd);
	m->area = NULL;
	m->fd = -1;
}

int monitor_try_watch(int fd, const void *addr, size_t length, __u32 classes, __u32 flags,
		      __u64 cookie, __u64 *word)
{
	struct mmu_monitor_watch arg = {
		.size = sizeof(arg),
		.flags = flags,
		.address = (uintptr_t)addr,
		.length = length,
		.cookie = cookie,
		.classes = classes,
	};
	int err = issue(fd, MMU_MONITOR_WATCH, &arg);

	if (!err && word)
		*word = arg.word;
	return err;
}

int monitor_try_unwatch(int fd, __u64 word)
{
	struct mmu_monitor_word arg = { .size = sizeof(arg), .word = word };

	return issue(fd, MMU_MONITOR_UNWATCH, &arg);
}

int monitor_try_rearm(int fd, __u64 word, __u64 *generation)
{
	struct mmu_monitor_word arg = { .size = sizeof(arg), .word = word };
	int err = issue(fd, MMU_MONITOR_REARM, &arg);

	if (!err && generation)
		*generation = arg.generation;
	return err;
}

int monitor_try_eventfd(int fd, int eventfd)
{
	struct mmu_monitor_config arg = {
		.size = sizeof(arg),
		.flags = MMU_MONITOR_EVENTFD,
		.eventfd = eventfd,
	};

	return issue(fd, MMU_MONITOR_CONFIG, &arg);
}

int monitor_try_max_events(int fd, __u64 max)
{
	struct mmu_monitor_config arg = {
		.size = sizeof(arg),
		.flags = MMU_MONITOR_MAX_EVENTS,
		.max_events = max,
	};

	return issue(fd, MMU_MONITOR_CONFIG, &arg);
}

int monitor_try_flush(int fd)
{
	return issue(fd, MMU_MONITOR_FLUSH, NULL);
}

int monitor_read(int fd, struct mmu_monitor_event *events, size_t max)
{
	ssize_t len = read(fd, events, max * sizeof(*events));

	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	return len % sizeof(*events) ? -EPROTO : len / sizeof(*events);
}

size_t monitor_drain(int fd)
{
	struct mmu_monitor_event events[64];
	size_t all = 0;
	int n;

	while ((n = monitor_read(fd, events, 64)) > 0)
		all += n;
	return all;
}

int monitor_poll(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) < 0 ? -errno : p.revents;
}

bool page_pin(int pipe, const void *addr)
{
	struct iovec iov = { .iov_base = (void *)addr, .iov_len = sizeof(__u64) };

	return vmsplice(pipe, &iov, 1, SPLICE_F_NONBLOCK) == sizeof(__u64);
}

bool page_unpin(int pipe, __u64 *value)
{
	return read(pipe, value, sizeof(*value)) == sizeof(*value);
}

/* ------------------------------------------------------- another process */

bool other_start(struct other *o, int (*act)(void *arg), void *arg)
{
	int ask[2], answer[2], ret;
	char c;

	if (pipe2(ask, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
		return false;
	o->pid = fork();
	if (o->pid < 0)
		return false;
	if (!o->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ask[1]);
		while (read(ask[0], &c, 1) == 1) {
			ret = act(arg);
			if (write(answer[1], &ret, sizeof(ret)) != sizeof(ret))
				break;
		}
		_exit(0);
	}
	close(ask[0]);
	close(answer[1]);
	o->ask = ask[1];
	o->answer = answer[0];
	return true;
}

/* What @act returned; -EPIPE if it did not come to that */
int other_act(struct other *o)
{
	int ret;

	if (write(o->ask, "a", 1) != 1 ||
	    read(o->answer, &ret, sizeof(ret)) != sizeof(ret))
		return -EPIPE;
	return ret;
}

void other_end(struct other *o)
{
	close(o->ask);
	close(o->answer);
	waitpid(o->pid, NULL, 0);
}
