// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_mirror from user space: one function per command, see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mirror_lib.h"

const char * const mirror_personalities[MIRROR_NR_PERSONALITIES] = {
	[MMU_MIRROR_SHADOW] = "shadow",
	[MMU_MIRROR_SVM] = "svm",
	[MMU_MIRROR_SVA] = "sva",
	[MMU_MIRROR_EXPORT] = "export",
	[MMU_MIRROR_REGCACHE] = "regcache",
};

void (*mirror_die_hook)(const char *text);

void mirror_die(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	if (mirror_die_hook)
		mirror_die_hook(text);
	fprintf(stderr, "Bail out! %s\n", text);
	exit(1);
}

static int command(struct mirror *m, unsigned long cmd, void *arg)
{
	return ioctl(m->fd, cmd, arg) < 0 ? -errno : 0;
}

static void demand(int err, const char *what)
{
	if (err)
		mirror_die("%s: %s", what, strerror(-err));
}

int mirror_try_open(struct mirror *m)
{
	m->fd = open(MMU_MIRROR_PATH, O_RDWR | O_CLOEXEC);
	return m->fd < 0 ? -errno : 0;
}

int mirror_try_attach(struct mirror *m, unsigned int personality,
		      const void *start, size_t length)
{
	struct mmu_mirror_attach arg = {
		.size = sizeof(arg),
		.personality = personality,
		.start = (uintptr_t)start,
		.length = length,
	};

	return command(m, MMU_MIRROR_ATTACH, &arg);
}

int mirror_try_window(struct mirror *m, const void *start, size_t length)
{
	struct mmu_mirror_window arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)start,
		.length = length,
	};

	return command(m, MMU_MIRROR_WINDOW, &arg);
}

/* The whole struct in and out, for who wants @done, @faults or @replays. */
int mirror_try_access(struct mirror *m, unsigned long cmd,
		      struct mmu_mirror_access *access)
{
	access->size = sizeof(*access);
	return command(m, cmd, access);
}

int mirror_try_read(struct mirror *m, const void *addr, void *buf, size_t length,
		    unsigned int flags)
{
	struct mmu_mirror_access access = {
		.flags = flags,
		.addr = (uintptr_t)addr,
		.length = length,
		.buffer = (uintptr_t)buf,
	};
	int err = mirror_try_access(m, MMU_MIRROR_READ, &access);

	if (!err && access.done != length)
		mirror_die("device read %llu bytes of %zu and called it success",
			   access.done, length);
	return err;
}

int mirror_try_write(struct mirror *m, const void *addr, const void *buf,
		     size_t length, unsigned int flags)
{
	struct mmu_mirror_access access = {
		.flags = flags,
		.addr = (uintptr_t)addr,
		.length = length,
		.buffer = (uintptr_t)buf,
	};
	int err = mirror_try_access(m, MMU_MIRROR_WRITE, &access);

	if (!err && access.done != length)
		mirror_die("device wrote %llu bytes of %zu and called it success",
			   access.done, length);
	return err;
}

int mirror_try_add(struct mirror *m, const void *addr, __u64 value,
		   __u64 *old, unsigned int flags)
{
	struct mmu_mirror_add arg = {
		.size = sizeof(arg),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.value = value,
	};
	int err = command(m, MMU_MIRROR_ADD, &arg);

	if (!err && old)
		*old = arg.old;
	return err;
}

int mirror_try_counters(struct mirror *m, struct mmu_mirror_counters *c,
			unsigned int flags)
{
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->flags = flags;
	return command(m, MMU_MIRROR_COUNTERS, c);
}

int mirror_try_check(struct mirror *m, const void *start, size_t length,
		     struct mmu_mirror_check *check)
{
	memset(check, 0, sizeof(*check));
	check->size = sizeof(*check);
	check->start = (uintptr_t)start;
	check->length = length;
	return command(m, MMU_MIRROR_CHECK, check);
}

int mirror_try_inject(struct mirror *m, struct mmu_mirror_inject *inject)
{
	inject->size = sizeof(*inject);
	return command(m, MMU_MIRROR_INJECT, inject);
}

int mirror_try_engine(struct mirror *m, unsigned int flags, const void *start,
		      size_t length, __u64 *done)
{
	struct mmu_mirror_engine arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (uintptr_t)start,
		.length = length,
	};
	int err = command(m, MMU_MIRROR_ENGINE, &arg);

	if (!err && done)
		*done = arg.done;
	return err;
}

int mirror_try_detach(struct mirror *m, __u64 *wait_us)
{
	struct mmu_mirror_detach arg = { .size = sizeof(arg) };
	int err = command(m, MMU_MIRROR_DETACH, &arg);

	if (!err && wait_us)
		*wait_us = arg.wait_us;
	return err;
}

int mirror_try_import(struct mirror *m, const struct mirror *exporter)
{
	struct mmu_mirror_import arg = {
		.size = sizeof(arg),
		.fd = exporter->fd,
	};

	return command(m, MMU_MIRROR_IMPORT, &arg);
}

int mirror_try_register(struct mirror *m, const void *start, size_t length,
			unsigned int flags, __u64 *key)
{
	struct mmu_mirror_register arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (uintptr_t)start,
		.length = length,
	};
	int err = command(m, MMU_MIRROR_REGISTER, &arg);

	if (key)
		*key = arg.key;
	if (!err != !!arg.key)
		mirror_die("device registers with %d and key %#llx", err, arg.key);
	return err;
}

int mirror_try_deregister(struct mirror *m, __u64 key)
{
	struct mmu_mirror_deregister arg = { .size = sizeof(arg), .key = key };

	return command(m, MMU_MIRROR_DEREGISTER, &arg);
}

static int key_access(struct mirror *m, unsigned long cmd, __u64 key,
		      const void *addr, const void *buf, size_t length,
		      unsigned int flags)
{
	struct mmu_mirror_key_access access = {
		.size = sizeof(access),
		.flags = flags,
		.key = key,
		.addr = (uintptr_t)addr,
		.length = length,
		.buffer = (uintptr_t)buf,
	};
	int err = command(m, cmd, &access);

	if (!err && access.done != length)
		mirror_die("device moved %llu bytes of %zu and called it success",
			   access.done, length);
	return err;
}

int mirror_try_key_read(struct mirror *m, __u64 key, const void *addr, void *buf,
			size_t length, unsigned int flags)
{
	return key_access(m, MMU_MIRROR_KEY_READ, key, addr, buf, length, flags);
}

int mirror_try_key_write(struct mirror *m, __u64 key, const void *addr,
			 const void *buf, size_t length, unsigned int flags)
{
	return key_access(m, MMU_MIRROR_KEY_WRITE, key, addr, buf, length, flags);
}

int mirror_try_keys(struct mirror *m, struct mmu_mirror_keys *keys)
{
	memset(keys, 0, sizeof(*keys));
	keys->size = sizeof(*keys);
	return command(m, MMU_MIRROR_KEYS, keys);
}

/* Let so many ends go as @held says, wait for more, and say how many. */
int mirror_try_hold(struct mirror *m, unsigned int timeout_us, __u64 *held)
{
	struct mmu_mirror_hold hold = {
		.size = sizeof(hold),
		.timeout_us = timeout_us,
		.held = *held,
	};
	int err = command(m, MMU_MIRROR_HOLD, &hold);

	*held = hold.held;
	return err;
}

/* @value and @timeout_us are the caller's. */
int mirror_try_order(struct mirror *m, const __u64 *first, const __u64 *second,
		     struct mmu_mirror_order *order)
{
	order->size = sizeof(*order);
	order->first = (uintptr_t)first;
	order->second = (uintptr_t)second;
	return command(m, MMU_MIRROR_ORDER, order);
}

void mirror_open(struct mirror *m)
{
	demand(mirror_try_open(m), "open " MMU_MIRROR_PATH);
}

void mirror_close(struct mirror *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

void mirror_attach(struct mirror *m, unsigned int personality,
		   const void *start, size_t length)
{
	demand(mirror_try_attach(m, personality, start, length), "attach the device");
}

void mirror_read(struct mirror *m, const void *addr, void *buf, size_t length)
{
	demand(mirror_try_read(m, addr, buf, length, 0), "device read");
}

void mirror_write(struct mirror *m, const void *addr, const void *buf, size_t length)
{
	demand(mirror_try_write(m, addr, buf, length, 0), "device write");
}

struct mmu_mirror_counters mirror_counters(struct mirror *m)
{
	struct mmu_mirror_counters c;

	demand(mirror_try_counters(m, &c, 0), "ask the device's counters");
	return c;
}

bool mirror_in_range(struct mirror *m)
{
	struct mmu_mirror_counters c = mirror_counters(m);

	return c.start > c.end + c.refused;
}

void mirror_check(struct mirror *m, const void *start, size_t length,
		  struct mmu_mirror_check *check)
{
	demand(mirror_try_check(m, start, length, check), "check the device's SPTEs");
}

void mirror_delay(struct mirror *m, unsigned int start_us, unsigned int end_us)
{
	struct mmu_mirror_inject inject = {
		.start_delay_us = start_us,
		.end_delay_us = end_us,
	};

	demand(mirror_try_inject(m, &inject), "delay the device's callbacks");
}

void mirror_flush(struct mirror *m, unsigned int us)
{
	struct mmu_mirror_inject inject = { .flush_us = us };

	demand(mirror_try_inject(m, &inject), "make the device's flushes slow");
}

void mirror_refuse(struct mirror *m, unsigned int times)
{
	struct mmu_mirror_inject inject = { .refuse = times };

	demand(mirror_try_inject(m, &inject), "make the device refuse");
}

void mirror_import(struct mirror *m, const struct mirror *exporter)
{
	demand(mirror_try_import(m, exporter), "import what the device exports");
}

void mirror_confirm(struct mirror *m, unsigned int us)
{
	struct mmu_mirror_inject inject = { .confirm_us = us };

	demand(mirror_try_inject(m, &inject), "make the device confirm late");
}

void mirror_patience(struct mirror *m, unsigned int us)
{
	struct mmu_mirror_inject inject = { .patience_us = us };

	demand(mirror_try_inject(m, &inject), "set how long the device waits");
}

void mirror_engine_start(struct mirror *m, unsigned int flags, const void *start,
			 size_t length)
{
	demand(mirror_try_engine(m, flags, start, length, NULL), "start the engine");
}

__u64 mirror_engine_stop(struct mirror *m)
{
	__u64 done = 0;

	demand(mirror_try_engine(m, 0, NULL, 0, &done), "stop the engine");
	return done;
}

__u64 mirror_detach(struct mirror *m)
{
	__u64 wait_us = 0;

	demand(mirror_try_detach(m, &wait_us), "detach the device");
	return wait_us;
}
