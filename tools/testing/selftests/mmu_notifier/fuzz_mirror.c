// SPDX-License-Identifier: GPL-2.0
/*
 * uapi_fuzz: /dev/mmu_mirror. Each thread has a device, which is now of this personality
 * and now of that, and knows what it is attached to and which keys it gave. All threads
 * of a process share some others, in whatever state; they are attached to the scrap, and
 * import what the other processes export.
 *
 * What is random is a budget, too: nobody sleeps long in a callback, and confirmation takes
 * no seconds.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "sysmm.h"

#define SLOW_US		200	/* at most, in a callback */
#define ALL_US		20000000	/* more than is allowed */

/* ------------------------------------------------------ the thread's device */

static bool in_window(struct thread *t, unsigned int page)
{
	return t->attached && page >= t->window_first && page < t->window_end;
}

static void detached(struct thread *t)
{
	t->attached = false;
	t->nr_keys = 0;
}

void mirror_see_change(struct thread *t, unsigned int first, unsigned int end, const bool *must)
{
	struct registered *k;
	unsigned int page;

	for (k = t->keys; k < t->keys + t->nr_keys; k++)
		for (page = first; page < end; page++)
			if (must[page] && page >= k->first && page < k->end && !k->revoked) {
				k->revoked = true;
				count(&shared->revoked);
			}
}

static void do_attach(struct thread *t)
{
	unsigned int first, end, personality = rnd(t, MIRROR_NR_PERSONALITIES);
	int ret;

	range(t, &first, &end);
	if (rnd(t, 4)) {
		first = 0;
		end = PAGES;
	}
	/* keys need more calls until something is tried than SPTEs do */
	if (rnd(t, 3) == 0)
		personality = MMU_MIRROR_REGCACHE;
	ret = mirror_try_attach(&t->mirror, personality, at(t, first), (end - first) * page_size);
	counted(M_ATTACH, ret);
	if (ret == -EOPNOTSUPP && personality == MMU_MIRROR_SVA)
		return;
	if (ret != (t->attached ? -EBUSY : 0))
		fail("thread %u: ATTACH as %s: %d", t->nr, mirror_personalities[personality], ret);
	if (ret)
		return;
	t->attached = true;
	t->personality = personality;
	t->window_first = first;
	t->window_end = end;
}

/* It is, most of the time. */
static void be_attached(struct thread *t)
{
	if (!t->attached && rnd(t, 8))
		do_attach(t);
}

static void do_detach(struct thread *t)
{
	int ret = mirror_try_detach(&t->mirror, NULL);

	counted(M_DETACH, ret);
	if (ret != (t->attached ? 0 : -ENXIO))
		fail("thread %u: DETACH: %d", t->nr, ret);
	detached(t);
}

/*
 * An exporter whose own node did not confirm in time, on a machine that has other things
 * to do, is busy or fenced. It begins anew.
 */
static bool too_late(struct thread *t, int ret)
{
	if (!t->attached || t->personality != MMU_MIRROR_EXPORT ||
	    (ret != -EBUSY && ret != -EHOSTDOWN))
		return false;
	do_detach(t);
	return true;
}

static void do_window(struct thread *t)
{
	unsigned int first, end;
	int ret;

	range(t, &first, &end);
	ret = mirror_try_window(&t->mirror, at(t, first), (end - first) * page_size);
	counted(M_WINDOW, ret);
	if (too_late(t, ret))
		return;
	if (ret != (t->attached ? 0 : -ENXIO))
		fail("thread %u: WINDOW: %d", t->nr, ret);
	if (ret)
		return;
	t->window_first = first;
	t->window_end = end;
	t->nr_keys = 0;
}

/* What an access has to answer */
static int allowed(struct thread *t, unsigned int page, bool write)
{
	if (!t->attached)
		return -ENXIO;
	if (!in_window(t, page) || !t->pages[page].mapped || (write && !t->pages[page].writable))
		return -EFAULT;
	return 0;
}

/* One that is mapped, most of the time */
static unsigned int some_page(struct thread *t)
{
	unsigned int page, tries;

	for (tries = 0; tries < 6; tries++) {
		page = rnd(t, PAGES);
		if (t->pages[page].mapped)
			break;
	}
	return page;
}

static void do_access(struct thread *t, bool write)
{
	unsigned int page = some_page(t), offset = rnd(t, page_size / 8) * 8;
	char *addr = at(t, page) + offset;
	const bool nothing[PAGES] = { };
	__u64 word = rnd64(t);
	int ret, right;

	be_attached(t);
	right = allowed(t, page, write);
	ret = write ? mirror_try_write(&t->mirror, addr, &word, sizeof(word), 0) :
		      mirror_try_read(&t->mirror, addr, &word, sizeof(word), 0);
	counted(write ? M_WRITE : M_READ, ret);
	if (too_late(t, ret))
		return;
	if (ret != right)
		fail("thread %u: %s of page %u by %s: %d instead of %d", t->nr,
		     write ? "WRITE" : "READ", page,
		     t->attached ? mirror_personalities[t->personality] : "nobody", ret, right);
	if (ret)
		return;
	count(&shared->compared);
	if (word != *(volatile __u64 *)addr)
		fail("thread %u: page %u: the device %s %llx, the CPU reads %llx", t->nr, page,
		     write ? "wrote" : "read", word, *(volatile __u64 *)addr);
	if (!write)
		return;
	/* a page of zeroes, or one shared with a child, has been copied */
	t->pages[page].touched = true;
	monitor_see_change(t, page, page + 1, MMU_MONITOR_REPLACED, nothing);
}

static void do_device_read(struct thread *t)
{
	do_access(t, false);
}

static void do_device_write(struct thread *t)
{
	do_access(t, true);
}

/* By an SPTE that there is, or not at all */
static void do_nofault(struct thread *t)
{
	unsigned int page = some_page(t);
	__u64 word;
	int ret = mirror_try_read(&t->mirror, at(t, page), &word, sizeof(word), MMU_MIRROR_NOFAULT);

	counted(M_READ, ret);
	if (ret)
		return;
	count(&shared->compared);
	if (!t->pages[page].mapped)
		fail("thread %u: page %u is not mapped, and there is an SPTE", t->nr, page);
	else if (word != *(volatile __u64 *)at(t, page))
		fail("thread %u: page %u: an SPTE reads %llx, the CPU %llx", t->nr, page, word,
		     *(volatile __u64 *)at(t, page));
}

static void do_add(struct thread *t)
{
	unsigned int page = some_page(t);
	const bool nothing[PAGES] = { };
	__u64 old, seen = 0;
	int ret, right;

	be_attached(t);
	right = allowed(t, page, true);
	if (!right)
		seen = *(volatile __u64 *)at(t, page);
	ret = mirror_try_add(&t->mirror, at(t, page), 3, &old, 0);
	counted(M_ADD, ret);
	if (too_late(t, ret))
		return;
	if (ret != right)
		fail("thread %u: ADD to page %u: %d instead of %d", t->nr, page, ret, right);
	if (ret)
		return;
	count(&shared->compared);
	if (old != seen || *(volatile __u64 *)at(t, page) != seen + 3)
		fail("thread %u: ADD to page %u: %llx became %llx", t->nr, page, seen,
		     *(volatile __u64 *)at(t, page));
	t->pages[page].touched = true;
	monitor_see_change(t, page, page + 1, MMU_MONITOR_REPLACED, nothing);
}

static void do_check(struct thread *t)
{
	struct mmu_mirror_check check;
	int ret = mirror_try_check(&t->mirror, NULL, 0, &check);

	counted(M_CHECK, ret);
	if (too_late(t, ret))
		return;
	if (ret != (t->attached ? 0 : -ENXIO))
		fail("thread %u: CHECK: %d", t->nr, ret);
	if (!ret && check.stale)
		fail("thread %u: %llu SPTEs are stale, the first at %llx", t->nr, check.stale,
		     check.first_stale);
}

static void do_counters(struct thread *t)
{
	struct mmu_mirror_counters c;
	int ret = mirror_try_counters(&t->mirror, &c, rnd(t, 4) ? 0 : MMU_MIRROR_RESET);

	counted(M_COUNTERS, ret);
	if (ret || c.unbalanced)
		fail("thread %u: COUNTERS: %d, %llu unbalanced", t->nr, ret, c.unbalanced);
}

static void do_engine(struct thread *t)
{
	int ret;

	/* Adding 1 would have to be known to the model. */
	ret = mirror_try_engine(&t->mirror, rnd(t, 2) ? MMU_MIRROR_ENGINE_READ : 0, NULL, 0, NULL);
	counted(M_ENGINE, ret);
	if (ret != -EBUSY && too_late(t, ret))
		return;
	if (ret && !(ret == -ENXIO && !t->attached) && ret != -EBUSY)
		fail("thread %u: ENGINE: %d", t->nr, ret);
}

static void do_register(struct thread *t)
{
	struct registered *k = &t->keys[t->nr_keys];
	unsigned int first, end, page;
	int ret, right = 0;

	if (t->nr_keys == KEYS)
		return;
	be_attached(t);
	range(t, &first, &end);
	if (rnd(t, 4)) {
		first = some_page(t);
		end = first + 1;
	}
	for (page = first; page < end && !right; page++)
		right = allowed(t, page, false);
	if (t->attached && t->personality != MMU_MIRROR_REGCACHE)
		right = -EOPNOTSUPP;
	ret = mirror_try_register(&t->mirror, at(t, first), (end - first) * page_size, 0, &k->key);
	counted(M_REGISTER, ret);
	if (too_late(t, ret))
		return;
	if (ret != right)
		fail("thread %u: REGISTER pages %u-%u: %d instead of %d", t->nr, first, end, ret,
		     right);
	if (ret)
		return;
	k->first = first;
	k->end = end;
	k->revoked = false;
	t->nr_keys++;
}

/* A key that was not revoked by us may have been by another thread's fork(), say. */
static void do_key(struct thread *t)
{
	bool right, end = rnd(t, 4) == 0;
	struct registered *k;
	__u64 word = 0, key;
	unsigned int page;
	int ret;

	if (!t->nr_keys && rnd(t, 8)) {
		do_register(t);
		return;
	}
	right = t->nr_keys;
	k = &t->keys[right ? rnd(t, t->nr_keys) : 0];
	key = right ? k->key : rnd64(t);
	page = right ? k->first + rnd(t, k->end - k->first) : 0;
	if (end) {
		ret = mirror_try_deregister(&t->mirror, key);
		counted(M_DEREGISTER, ret);
	}
	if (!end && rnd(t, 4) == 0) {
		ret = mirror_try_key_write(&t->mirror, key, at(t, page), &word, sizeof(word), 0);
		counted(M_KEY_WRITE, ret);
		if (!ret)
			fail("thread %u: a key for reading can write", t->nr);
		return;
	}
	if (!end) {
		ret = mirror_try_key_read(&t->mirror, key, at(t, page), &word, sizeof(word), 0);
		counted(M_KEY_READ, ret);
	}
	if (!right) {
		if (!ret)
			fail("thread %u: a key that nobody was given is good", t->nr);
		return;
	}
	if (k->revoked && ret != -EKEYREVOKED)
		fail("thread %u: key of pages %u-%u was to be revoked: %d", t->nr, k->first, k->end,
		     ret);
	else if (ret && ret != -EKEYREVOKED)
		fail("thread %u: key of pages %u-%u: %d", t->nr, k->first, k->end, ret);
	if (!ret && !end) {
		count(&shared->compared);
		if (word != *(volatile __u64 *)at(t, page))
			fail("thread %u: page %u: by a key %llx, the CPU reads %llx", t->nr, page,
			     word, *(volatile __u64 *)at(t, page));
	}
	if (ret || end)
		*k = t->keys[--t->nr_keys];
}

static void do_keys(struct thread *t)
{
	struct mmu_mirror_keys keys;
	int ret = mirror_try_keys(&t->mirror, &keys);

	counted(M_KEYS, ret);
	if (ret || keys.valid > t->nr_keys)
		fail("thread %u: KEYS: %d, %llu of %u are valid", t->nr, ret, keys.valid,
		     t->nr_keys);
}

/* Everything a little slow, so that others meet it */
static void do_inject(struct thread *t)
{
	struct mmu_mirror_inject inject = { .patience_us = 5000000 };
	bool wrong = rnd(t, 8) == 0;
	int ret;

	if (rnd(t, 2)) {
		inject.start_delay_us = rnd(t, SLOW_US);
		inject.end_delay_us = rnd(t, SLOW_US);
		inject.flush_us = rnd(t, SLOW_US);
		inject.confirm_us = rnd(t, SLOW_US);
		inject.refuse = rnd(t, 3);
	}
	if (wrong)
		inject.start_delay_us = ALL_US;
	ret = mirror_try_inject(&t->mirror, &inject);
	counted(M_INJECT, ret);
	if (ret != (wrong ? -EINVAL : 0))
		fail("thread %u: INJECT: %d", t->nr, ret);
}

/* ----------------------------------------------------------- without sense */

static struct mirror wild(struct thread *t)
{
	struct mirror m = { .fd = WILD_MIRROR_FD + rnd(t, WILD) };

	if (rnd(t, 8) == 0)
		m.fd = EXPORT_FD + rnd(t, processes);
	return m;
}

static char *scrap(struct thread *t)
{
	return (char *)SCRAP + rnd(t, PAGES) * page_size;
}

/* A process exports its scrap, which it may map and unmap, die and fork with. */
static void do_export(struct thread *t)
{
	struct mirror exporter = { .fd = EXPORT_FD + rnd(t, processes) };
	struct mirror m = wild(t);
	void *map;

	if (rnd(t, 4) == 0)
		counted(M_ATTACH, mirror_try_attach(&exporter, MMU_MIRROR_EXPORT, (void *)SCRAP,
						    PAGES * page_size));
	if (counted(M_IMPORT, mirror_try_import(&m, &exporter)))
		return;
	map = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (counted(M_MMAP, map == MAP_FAILED ? -errno : 0))
		return;
	/* what is not there is a signal: the kernel is asked to read it */
	if (write(t->eventfd, (char *)map + rnd(t, PAGES) * page_size, 8) < 0 && errno != EFAULT &&
	    errno != EINVAL && errno != EAGAIN)
		fail("an importer's mapping cannot be read: %s", strerror(errno));
	if (read(t->eventfd, (char *)map + rnd(t, PAGES) * page_size, 8) < 0 && errno != EFAULT &&
	    errno != EINVAL && errno != EAGAIN)
		fail("an importer's mapping cannot be written: %s", strerror(errno));
	munmap(map, PAGES * page_size);
}

static void do_wild_use(struct thread *t)
{
	struct mmu_mirror_order order = { .value = rnd(t, 3), .timeout_us = rnd(t, SLOW_US) };
	struct mirror m = wild(t);
	__u64 word, held = 0, key;
	size_t bytes = (1 + rnd(t, 2 * page_size));
	char buf[2 * 65536];

	switch (rnd(t, 12)) {
	case 0:
	case 1:
		counted(M_ATTACH, mirror_try_attach(&m, rnd(t, MIRROR_NR_PERSONALITIES + 1),
						    (void *)SCRAP, PAGES * page_size));
		break;
	case 2:
		counted(M_DETACH, mirror_try_detach(&m, NULL));
		break;
	case 3:
		if (bytes <= sizeof(buf))
			counted(M_READ, mirror_try_read(&m, scrap(t) + rnd(t, 100), buf, bytes,
							rnd(t, 3)));
		break;
	case 4:
		memset(buf, 0, sizeof(buf));
		if (bytes <= sizeof(buf))
			counted(M_WRITE, mirror_try_write(&m, scrap(t) + rnd(t, 100), buf, bytes,
							  rnd(t, 3)));
		break;
	case 5:
		counted(M_ADD, mirror_try_add(&m, scrap(t) + rnd(t, 32), 1, &word, rnd(t, 2)));
		break;
	case 6:
		counted(M_ENGINE, mirror_try_engine(&m, rnd(t, 8), NULL, 0, NULL));
		break;
	case 7:
		counted(M_ORDER, mirror_try_order(&m, (__u64 *)scrap(t), (__u64 *)scrap(t),
						  &order));
		break;
	case 8:
		counted(M_HOLD, mirror_try_hold(&m, rnd(t, SLOW_US), &held));
		break;
	case 9:
		counted(M_REGISTER, mirror_try_register(&m, scrap(t), page_size * rnd(t, 3),
							rnd(t, 2), &key));
		break;
	case 10:
		counted(M_WINDOW, mirror_try_window(&m, (void *)SCRAP, PAGES * page_size));
		break;
	case 11:
		counted(M_MMAP, mmap(NULL, page_size, PROT_READ, rnd(t, 2) + 1, m.fd, 0) ==
				MAP_FAILED ? -errno : 0);
		break;
	}
}

static void do_wild_garbage(struct thread *t)
{
	static const struct {
		unsigned int cmd;
		unsigned int size;
	} cmds[] = {
		{ MMU_MIRROR_ATTACH, sizeof(struct mmu_mirror_attach) },
		{ MMU_MIRROR_WINDOW, sizeof(struct mmu_mirror_window) },
		{ MMU_MIRROR_READ, sizeof(struct mmu_mirror_access) },
		{ MMU_MIRROR_WRITE, sizeof(struct mmu_mirror_access) },
		{ MMU_MIRROR_ADD, sizeof(struct mmu_mirror_add) },
		{ MMU_MIRROR_COUNTERS, sizeof(struct mmu_mirror_counters) },
		{ MMU_MIRROR_CHECK, sizeof(struct mmu_mirror_check) },
		{ MMU_MIRROR_INJECT, sizeof(struct mmu_mirror_inject) },
		{ MMU_MIRROR_ENGINE, sizeof(struct mmu_mirror_engine) },
		{ MMU_MIRROR_DETACH, sizeof(struct mmu_mirror_detach) },
		{ MMU_MIRROR_IMPORT, sizeof(struct mmu_mirror_import) },
		{ MMU_MIRROR_REGISTER, sizeof(struct mmu_mirror_register) },
		{ MMU_MIRROR_DEREGISTER, sizeof(struct mmu_mirror_deregister) },
		{ MMU_MIRROR_KEY_READ, sizeof(struct mmu_mirror_key_access) },
		{ MMU_MIRROR_KEY_WRITE, sizeof(struct mmu_mirror_key_access) },
		{ MMU_MIRROR_KEYS, sizeof(struct mmu_mirror_keys) },
		{ MMU_MIRROR_ORDER, sizeof(struct mmu_mirror_order) },
		{ MMU_MIRROR_HOLD, sizeof(struct mmu_mirror_hold) },
	};
	unsigned int i, which = rnd(t, sizeof(cmds) / sizeof(*cmds)), cmd = cmds[which].cmd;
	struct mmu_mirror_inject *inject;
	__u64 args[40], us;
	void *arg = args;

	for (i = 0; i < 40; i++) {
		switch (rnd(t, 6)) {
		case 0:
			/* nobody's memory but the scrap's is to be written to */
			args[i] = rnd64(t) | 1ULL << 63;
			break;
		case 1:
			args[i] = (uintptr_t)scrap(t) + (rnd(t, 2) ? rnd(t, 5000) : 0);
			break;
		case 2:
			args[i] = page_size * rnd(t, PAGES);
			break;
		case 3:
			args[i] = 1ULL << rnd(t, 36);
			break;
		default:
			args[i] = rnd(t, 64);
		}
	}
	if (rnd(t, 8))
		args[0] = (rnd(t, 3) ? 0 : rnd(t, 8)) * (1ULL << 32) |
			  (rnd(t, 8) ? cmds[which].size : rnd(t, 60) * 8);
	/* what it is to wait for is short, or too long to be accepted */
	if (cmd == MMU_MIRROR_INJECT) {
		inject = (struct mmu_mirror_inject *)args;
		inject->start_delay_us = rnd(t, 8) ? rnd(t, SLOW_US) : ALL_US;
		inject->end_delay_us = rnd(t, SLOW_US);
		inject->flush_us = rnd(t, SLOW_US);
		inject->confirm_us = rnd(t, 8) ? rnd(t, SLOW_US) : MMU_MIRROR_NEVER;
		inject->patience_us = 1000 + rnd(t, SLOW_US);
		inject->hold_us = rnd(t, SLOW_US);
		inject->delay_at = rnd(t, 2) ? 0 : (uintptr_t)scrap(t);
		if (rnd(t, 4)) {
			inject->reserved = 0;
			inject->reserved2 = 0;
		}
	}
	us = rnd(t, 4) ? rnd(t, SLOW_US) : ALL_US;
	if (cmd == MMU_MIRROR_HOLD)
		((struct mmu_mirror_hold *)args)->timeout_us = us;
	if (cmd == MMU_MIRROR_ORDER)
		((struct mmu_mirror_order *)args)->timeout_us = us;
	if (cmd == MMU_MIRROR_IMPORT && rnd(t, 2))
		((struct mmu_mirror_import *)args)->fd = rnd(t, 2) ? (unsigned int)t->fd :
							EXPORT_FD + rnd(t, processes);
	if (rnd(t, 16) == 0)
		arg = (void *)(rnd64(t) | 1ULL << 63);
	if (rnd(t, 32) == 0)
		arg = scrap(t) + page_size - rnd(t, 64);
	counted(M_GARBAGE, ioctl(wild(t).fd, cmd, arg) < 0 ? -errno : 0);
}

static void do_unknown(struct thread *t)
{
	unsigned int cmd = rnd(t, 2) ? _IO(MMU_MIRROR_IOC, rnd(t, 0xd0)) : rnd64(t);

	/* what every file knows */
	if (((cmd & 0xffff) >= 0x5400 && (cmd & 0xffff) < 0x5500) ||
	    (cmd >= MMU_MIRROR_ATTACH && cmd <= MMU_MIRROR_HOLD))
		return;
	counted(M_UNKNOWN, ioctl(wild(t).fd, cmd, scrap(t)) < 0 ? -errno : 0);
}

/* ----------------------------------------------------------------- running */

const action mirror_actions[] = {
	do_attach, do_window, do_device_read, do_device_read, do_device_write, do_nofault,
	do_nofault, do_add, do_check, do_counters, do_register, do_key, do_key, do_keys, do_engine,
	do_inject, do_export, do_wild_use, do_wild_use, do_wild_garbage, do_wild_garbage,
	do_unknown,
};

const unsigned int nr_mirror_actions = sizeof(mirror_actions) / sizeof(*mirror_actions);

/* Another one, be the old one attached or not */
static void do_reopen(struct thread *t)
{
	struct mirror m = { .fd = rnd(t, 2) ? -1 : (int)(WILD_MIRROR_FD + rnd(t, WILD)) };
	int fd = m.fd, ret;

	if (fd >= 0) {
		ret = mirror_try_open(&m);
		if (!counted(M_OPEN, ret))
			dup3(m.fd, fd, O_CLOEXEC);
		mirror_close(&m);
		return;
	}
	mirror_close(&t->mirror);
	detached(t);
	if (counted(M_OPEN, mirror_try_open(&t->mirror)))
		_exit(1);
}

void mirror_rare(struct thread *t)
{
	if (rnd(t, 3))
		do_detach(t);
	else
		do_reopen(t);
}

/* A child has the files, and another address space. */
void mirror_in_child(struct thread *t)
{
	int right = t->attached ? -EPERM : -ENXIO, ret;
	struct mmu_mirror_check check;
	__u64 word;

	if (t->attached && t->personality == MMU_MIRROR_EXPORT)
		return;		/* it may be fenced, see too_late() */
	ret = mirror_try_read(&t->mirror, at(t, 0), &word, sizeof(word), 0);
	if (counted(M_CHILD, ret) != right)
		fail("READ in a child: %d", ret);
	ret = mirror_try_add(&t->mirror, at(t, 0), 1, &word, MMU_MIRROR_NOFAULT);
	if (counted(M_CHILD, ret) != right)
		fail("ADD in a child: %d", ret);
	ret = mirror_try_check(&t->mirror, NULL, 0, &check);
	if (counted(M_CHILD, ret) != right)
		fail("CHECK in a child: %d", ret);
}

void mirror_begin(struct thread *t)
{
	if (counted(M_OPEN, mirror_try_open(&t->mirror)))
		err(1, "open");
}

void mirror_begin_wild(unsigned int process)
{
	struct mirror exporter = { .fd = EXPORT_FD + process };
	unsigned int i;

	for (i = 0; i < WILD; i++) {
		struct mirror m;

		if (mirror_try_open(&m) || dup3(m.fd, WILD_MIRROR_FD + i, O_CLOEXEC) < 0)
			err(1, "open");
		mirror_close(&m);
	}
	if (mmap((void *)SCRAP, PAGES * page_size, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
		err(1, "mmap");
	counted(M_ATTACH, mirror_try_attach(&exporter, MMU_MIRROR_EXPORT, (void *)SCRAP,
					    PAGES * page_size));
}

void mirror_end(struct thread *t)
{
	do_check(t);
	do_counters(t);
	mirror_close(&t->mirror);
}
