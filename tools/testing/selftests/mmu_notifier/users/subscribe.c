// SPDX-License-Identifier: GPL-2.0
/*
 * Linked into the programs of other suites, so that what they do to their memory
 * drives subscribers: mm's programs have none of their own.
 *
 * MMU_SUBSCRIBE lists whom, separated by commas; without it nothing is done.
 *
 *	kvm	a virtual machine: a list subscription, with slots over what the
 *		program is likely to use
 *	dmirror	test_hmm's device: an interval over everything
 *	mirror	/dev/mmu_mirror as a hypervisor; at exit it says whether callbacks
 *		came as they should
 *
 * The program subscribes before main(), and each forked child before fork()
 * returns to it. A child may be in no position to, for want of /dev, memory or
 * descriptors; that is no concern of the test that runs in it, and so nothing is
 * said. Descriptors are high, and closed by exec: a test may count on the low ones.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../../../../../drivers/misc/mmu_mirror/mmu_mirror_uapi.h"

#define HIGH_FD		900
#define MAX_FDS		4

/* What the program may use: its image and heap, and where mmap() begins */
static const struct slot {
	uint64_t start;
	uint64_t end;
	uint64_t guest;		/* guest-physical address */
} slots[] = {
	{ 0x10000,		0x100000000,		0x10000 },
	{ 0x7fc000000000,	0x7fffffff0000,		0x100000000 },
	{ }
};

static int fds[MAX_FDS];
static unsigned int nr_fds;
static int mirror_fd = -1;

static int open_high(const char *path)
{
	int high, fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	close(fd);
	return high;
}

/* Keep it for the life of the process. */
static bool keep(int fd)
{
	if (fd < 0 || nr_fds == MAX_FDS)
		return false;
	fds[nr_fds++] = fd;
	return true;
}

static bool subscribe_kvm(void)
{
	int vm, fd = open_high("/dev/kvm");
	unsigned int i;

	if (fd < 0)
		return false;
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	close(fd);
	if (vm < 0)
		return false;
	fd = fcntl(vm, F_DUPFD_CLOEXEC, HIGH_FD);
	close(vm);
	if (!keep(fd))
		return false;

	for (i = 0; slots[i].end; i++) {
		struct kvm_userspace_memory_region region = {
			.slot = i,
			.guest_phys_addr = slots[i].guest,
			.memory_size = slots[i].end - slots[i].start,
			.userspace_addr = slots[i].start,
		};

		if (ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region))
			return false;
	}
	return true;
}

static bool subscribe_dmirror(void)
{
	return keep(open_high("/dev/hmm_dmirror0"));
}

static bool subscribe_mirror(void)
{
	struct mmu_mirror_attach attach = {
		.size = sizeof(attach),
		.personality = MMU_MIRROR_SHADOW,
		.start = slots[0].start,
		.length = slots[1].end - slots[0].start,
	};
	int fd = open_high("/dev/mmu_mirror");

	if (!keep(fd))
		return false;
	mirror_fd = fd;
	return !ioctl(fd, MMU_MIRROR_ATTACH, &attach);
}

static const struct subscriber {
	const char *name;
	bool (*subscribe)(void);
} subscribers[] = {
	{ "kvm", subscribe_kvm },
	{ "dmirror", subscribe_dmirror },
	{ "mirror", subscribe_mirror },
	{ }
};

static bool subscribe(const char *name, size_t len)
{
	const struct subscriber *s = subscribers;

	for (; s->name; s++)
		if (strlen(s->name) == len && !strncmp(s->name, name, len))
			return s->subscribe();
	return false;
}

/* Returns what could not be subscribed to, or NULL. */
static const char *subscribe_all(void)
{
	const char *name = getenv("MMU_SUBSCRIBE");
	size_t len;

	for (; name && *name; name += len + (name[len] == ',')) {
		len = strcspn(name, ",");
		if (!subscribe(name, len))
			return name;
	}
	return NULL;
}

static void in_child(void)
{
	while (nr_fds)
		close(fds[--nr_fds]);
	mirror_fd = -1;
	subscribe_all();
}

/* Ends without a start, and callbacks of who is not subscribed */
static void check_mirror(void)
{
	struct mmu_mirror_counters c = { .size = sizeof(c) };

	if (mirror_fd < 0 || ioctl(mirror_fd, MMU_MIRROR_COUNTERS, &c) || !c.unbalanced)
		return;
	fprintf(stderr, "not ok - mmu_mirror: %llu callbacks unbalanced\n",
		(unsigned long long)c.unbalanced);
	_exit(EXIT_FAILURE);
}

__attribute__((constructor)) static void begin(void)
{
	const char *failed = subscribe_all();

	if (failed)
		err(EXIT_FAILURE, "cannot subscribe to %s", failed);
	if (nr_fds) {
		pthread_atfork(NULL, NULL, in_child);
		atexit(check_mirror);
	}
}
