// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A library for /dev/mmu_monitor, see the header. It keeps no state but what
 * the caller sees, and takes no lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mmon.h"

#define DEVICE	"/dev/mmu_monitor"

/* What is read at once, if the kernel's events are longer than ours */
#define BATCH	4096

static int command(const struct mmon *monitor, unsigned long cmd, void *argument)
{
	return ioctl(monitor->fd, cmd, argument) < 0 ? -errno : 0;
}

/* As much as there can be words, or as much of it as has an address here */
static size_t size_to_map(const struct mmu_monitor_info *info)
{
	size_t most = (size_t)-1 / 4;

	return info->area_size < most ? info->area_size : most;
}

/**
 * mmon_open() - open a monitor of the calling process
 * @monitor: set up.
 * @flags: 0 or MMON_NONBLOCK.
 *
 * The descriptor is closed by exec.
 *
 * Context: no other call for @monitor at the same time.
 * Return: 0; -EINVAL: a flag is unknown; -EPROTO: the kernel's interface is not
 * the one that this library knows; or what open() says (-ENOENT, -ENXIO, -ENODEV:
 * there is no such device; -EACCES, -EMFILE, -ENFILE, -ENOMEM), or mmap() (-ENOMEM).
 */
int mmon_open(struct mmon *monitor, unsigned int flags)
{
	struct mmon m = { .fd = -1 };
	void *area;
	int err;

	if (flags & ~MMON_NONBLOCK)
		return -EINVAL;
	m.fd = open(DEVICE, O_RDWR | O_CLOEXEC | (flags & MMON_NONBLOCK ? O_NONBLOCK : 0));
	if (m.fd < 0)
		return -errno;

	m.info.size = sizeof(m.info);
	err = command(&m, MMU_MONITOR_INFO, &m.info);
	if (err == -ENOTTY || err == -E2BIG || err == -EINVAL)
		err = -EPROTO;
	if (!err && (m.info.event_size < sizeof(struct mmu_monitor_event) ||
		     m.info.event_size > BATCH || m.info.area_size < sizeof(*m.area)))
		err = -EPROTO;
	if (err)
		goto close;

	m.area_size = size_to_map(&m.info);
	area = mmap(NULL, m.area_size, PROT_READ, MAP_SHARED, m.fd, 0);
	if (area == MAP_FAILED) {
		err = -errno;
		goto close;
	}
	m.area = area;
	*monitor = m;
	return 0;

close:
	close(m.fd);
	return err;
}

/**
 * mmon_close() - close a monitor; its watches end
 * @monitor: the monitor.
 *
 * In a child made by fork() this gives up the child's part of it, and the
 * parent's goes on.
 *
 * Context: no other call for @monitor or a watch of its, mmon_valid() included, at
 * the same time or later.
 */
void mmon_close(struct mmon *monitor)
{
	munmap((void *)monitor->area, monitor->area_size);
	close(monitor->fd);
	monitor->area = NULL;
	monitor->fd = -1;
}

/**
 * mmon_watch() - watch some memory, whether or not anything is mapped there
 * @monitor: the monitor.
 * @address: first address; widened to whole pages.
 * @length: in bytes.
 * @cookie: comes back with each event.
 * @classes: what is to be told of, MMU_MONITOR_UNMAPPED and so on.
 * @flags: 0, or MMU_MONITOR_ONESHOT, MMU_MONITOR_QUIET.
 * @watch: set up.
 *
 * The generation is noted, as by mmon_begin(): what is learned about the memory
 * from now on is covered. A change that is going on right now makes mmon_valid()
 * false and leaves it so, until mmon_begin() or mmon_rearm().
 *
 * Return: 0; -EINVAL: @length is 0, @classes is 0 or has a bit that this kernel
 * does not know, or a flag is unknown; -EOVERFLOW: not all of it is the process's
 * to have; -ENOSPC: the monitor has as many watches as it can (info.max_watches);
 * -EUSERS: the user has; -ENOMEM; -EINTR: the process is being killed; -ESTALE:
 * this is another process than the one that opened the monitor.
 */
int mmon_watch(const struct mmon *monitor, const void *address, size_t length, __u64 cookie,
	       unsigned int classes, unsigned int flags, struct mmon_watch *watch)
{
	struct mmu_monitor_watch arg = {
		.size = sizeof(arg),
		.flags = flags,
		.address = (unsigned long)address,
		.length = length,
		.cookie = cookie,
		.classes = classes,
	};
	int err = command(monitor, MMU_MONITOR_WATCH, &arg);

	if (err)
		return err;
	watch->offset = arg.word;
	watch->word = (const __u64 *)((const char *)monitor->area + arg.word);
	watch->generation = arg.generation & 1 ? MMON_NEVER : arg.generation;
	if (arg.word <= monitor->area_size - sizeof(__u64))
		return 0;
	mmon_unwatch(monitor, watch);
	return -ENOSPC;
}

/* UNWATCH and REARM: what they answer is the generation. */
static int of_word(const struct mmon *monitor, unsigned long cmd, const struct mmon_watch *watch,
		   __u64 *generation)
{
	struct mmu_monitor_word arg = {
		.size = sizeof(arg),
		.word = watch->offset,
	};
	int err = command(monitor, cmd, &arg);

	*generation = arg.generation & 1 ? MMON_NEVER : arg.generation;
	return err;
}

/**
 * mmon_unwatch() - end a watch
 * @monitor: the monitor.
 * @watch: the watch; mmon_valid() is false of it from now on.
 *
 * Waits for changes of it that are going on. No mmon_next() that is called
 * afterwards returns an event of it. Its word may become another watch's, with other
 * values.
 *
 * Return: 0; -ENOENT: there is no such watch; -EINTR, -ESTALE: as for mmon_watch().
 */
int mmon_unwatch(const struct mmon *monitor, struct mmon_watch *watch)
{
	__u64 unused;

	watch->generation = MMON_NEVER;
	return of_word(monitor, MMU_MONITOR_UNWATCH, watch, &unused);
}

/**
 * mmon_rearm() - let a watch begin anew
 * @monitor: the monitor.
 * @watch: the watch.
 *
 * An event of it that was not read is forgotten, one with MMU_MONITOR_ONESHOT makes
 * one again, and the generation is noted as by mmon_begin().
 *
 * Return: 0; -ENOENT: there is no such watch; -EINTR, -ESTALE: as for mmon_watch().
 */
int mmon_rearm(const struct mmon *monitor, struct mmon_watch *watch)
{
	__u64 generation;
	int err = of_word(monitor, MMU_MONITOR_REARM, watch, &generation);

	watch->generation = err ? MMON_NEVER : generation;
	return err;
}

/**
 * mmon_flush() - end all watches and forget all events
 * @monitor: the monitor.
 *
 * mmon_valid() is false of every one of them from now on.
 *
 * Return: 0; -EINTR, -ESTALE: as for mmon_watch().
 */
int mmon_flush(const struct mmon *monitor)
{
	return command(monitor, MMU_MONITOR_FLUSH, NULL);
}

/**
 * mmon_set_eventfd() - have an eventfd signalled with each event
 * @monitor: the monitor.
 * @eventfd: its descriptor, or -1 to end that.
 *
 * Return: 0; -EBADF, -EINVAL: it is no eventfd; -ESTALE: as for mmon_watch().
 */
int mmon_set_eventfd(const struct mmon *monitor, int eventfd)
{
	struct mmu_monitor_config arg = {
		.size = sizeof(arg),
		.flags = MMU_MONITOR_EVENTFD,
		.eventfd = eventfd,
	};

	return command(monitor, MMU_MONITOR_CONFIG, &arg);
}

/**
 * mmon_set_max_events() - how many events may wait to be read?
 * @monitor: the monitor.
 * @max_events: so many; what comes on top of them becomes one event of type
 *	MMU_MONITOR_OVERFLOW, upon which the caller asks mmon_valid() of every watch.
 *	0: one for each watch.
 *
 * Return: 0; -ESTALE: as for mmon_watch().
 */
int mmon_set_max_events(const struct mmon *monitor, __u64 max_events)
{
	struct mmu_monitor_config arg = {
		.size = sizeof(arg),
		.flags = MMU_MONITOR_MAX_EVENTS,
		.max_events = max_events,
	};

	return command(monitor, MMU_MONITOR_CONFIG, &arg);
}

/* Events of a later kernel, of which we know the beginning. */
static ssize_t read_longer(const struct mmon *monitor, struct mmu_monitor_event *events,
			   unsigned int nr)
{
	char buf[BATCH] __attribute__((aligned(8)));
	size_t size = monitor->info.event_size, at, n = 0;
	size_t most = sizeof(buf) / size;
	ssize_t len;

	len = read(monitor->fd, buf, size * (nr < most ? nr : most));
	if (len < 0)
		return len;
	for (at = 0; at + size <= (size_t)len; at += size)
		memcpy(&events[n++], buf + at, sizeof(*events));
	return n * sizeof(*events);
}

/**
 * mmon_next() - read the next events
 * @monitor: the monitor.
 * @events: where they go.
 * @nr: how many at most.
 *
 * Waits for the first one, unless the monitor was opened with MMON_NONBLOCK. One
 * of a type that is not known is to be skipped.
 *
 * Return: how many, at least 1; -EAGAIN: none, and MMON_NONBLOCK; -EINTR: a signal
 * was handled; -EINVAL: @nr is 0; -EFAULT: @events is not writable; -ESTALE: as for
 * mmon_watch().
 */
int mmon_next(const struct mmon *monitor, struct mmu_monitor_event *events, unsigned int nr)
{
	unsigned int most = (1U << 30) / sizeof(*events);
	ssize_t len;

	if (!nr)
		return -EINVAL;
	if (nr > most)
		nr = most;
	if (monitor->info.event_size == sizeof(*events))
		len = read(monitor->fd, events, nr * sizeof(*events));
	else
		len = read_longer(monitor, events, nr);
	if (len < 0)
		return -errno;
	if (len >= (ssize_t)sizeof(*events) && events[0].type == MMU_MONITOR_FOREIGN)
		return -ESTALE;
	return len / sizeof(*events);
}

/**
 * mmon_counters() - what the kernel counts
 * @monitor: the monitor.
 * @counters: set to what it counts, each by itself: they need not be of the same
 *	moment. All ones in a child made by fork().
 */
void mmon_counters(const struct mmon *monitor, struct mmu_monitor_area *counters)
{
	const struct mmu_monitor_area *area = monitor->area;

	memset(counters, 0, sizeof(*counters));
	counters->pending = mmon_load(&area->pending);
	counters->watches = mmon_load(&area->watches);
	counters->events = mmon_load(&area->events);
	counters->overflows = mmon_load(&area->overflows);
}
