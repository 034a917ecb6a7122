// SPDX-License-Identifier: GPL-2.0
/*
 * Does a device see what the CPU sees, and is a watch told of what changes? See the
 * header.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "coherent.h"
#include "monitor_raw.h"
#include "sysmm.h"

#define SETTLE_MS	5000

/* The kernel is asked to, which answers EFAULT where the CPU would get a signal. */
static int bounce(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("bounce", MFD_CLOEXEC);
	if (fd < 0)
		mirror_die("no memfd");
	return fd;
}

bool cpu_read(const void *addr, __u64 *word)
{
	if (pwrite(bounce(), addr, sizeof(*word), 0) != sizeof(*word))
		return false;
	*word = __atomic_load_n((const __u64 *)addr, __ATOMIC_SEQ_CST);
	return true;
}

bool cpu_write(void *addr, __u64 word)
{
	if (pwrite(bounce(), &word, sizeof(word), 0) != sizeof(word))
		mirror_die("no memory for a memfd");
	return pread(bounce(), addr, sizeof(word), 0) == sizeof(word);
}

static const char *page_coherent(struct mirror *m, char *addr)
{
	__u64 cpu = 0, dev = 0, old = 0;
	bool readable = cpu_read(addr, &cpu);
	int err;

	if (!mirror_try_read(m, addr, &dev, sizeof(dev), MMU_MIRROR_NOFAULT) &&
	    (!readable || dev != cpu))
		return "an SPTE is stale";
	err = mirror_try_read(m, addr, &dev, sizeof(dev), 0);
	if (!readable)
		return err == -EFAULT ? NULL : "the device reads what the CPU cannot";
	if (err)
		return "the device cannot read what the CPU can";
	if (dev != cpu)
		return "the device reads something else than the CPU";
	if (!cpu_write(addr, cpu + 1))
		return NULL;
	if (mirror_try_read(m, addr, &dev, sizeof(dev), 0) || dev != cpu + 1)
		return "the device does not see what the CPU writes";
	if (mirror_try_add(m, addr, 1, &old, 0) || old != cpu + 1)
		return "the device cannot add to what the CPU writes";
	if (!cpu_read(addr, &cpu) || cpu != old + 1)
		return "the CPU does not see what the device writes";
	return NULL;
}

const char *mirror_coherent(struct mirror *m, char *memory, size_t nr)
{
	struct mmu_mirror_counters c;
	struct mmu_mirror_check check;
	const char *why = NULL;
	size_t i;

	for (i = 0; i < nr && !why; i++)
		why = page_coherent(m, memory + i * page_size);
	if (why)
		return why;
	if (mirror_try_check(m, NULL, 0, &check))
		return "CHECK fails";
	if (check.stale)
		return "CHECK finds a stale SPTE";
	if (mirror_try_counters(m, &c, 0))
		return "COUNTERS fails";
	if (c.unbalanced)
		return "a callback came that was not to come, or one did not come";
	if (c.in_flight)
		return "a range is in flight for ever";
	if (c.end && c.start != c.end + c.refused)
		return "starts and ends do not agree";
	return NULL;
}

const char *subs_open(struct subs *s)
{
	unsigned int p;

	*s = (struct subs){ .monitor = -1 };
	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
		s->dev[p].fd = -1;
	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
		if (mirror_try_open(&s->dev[p]))
			return "cannot open " MMU_MIRROR_PATH;
	s->monitor = raw_open();
	if (s->monitor < 0)
		return "cannot open " MONITOR_PATH;
	s->area = raw_area(s->monitor, page_size);
	return s->area == MAP_FAILED ? "the area cannot be mapped" : NULL;
}

static const char *subs_settle(struct subs *s)
{
	return within_ms(SETTLE_MS, !((s->generation = raw_load(s->area, s->word)) & 1)) ?
	       NULL : "a watch is told of a range that does not end";
}

/* A key that was revoked is another one then. */
const char *subs_know(struct subs *s)
{
	struct mirror *m = &s->dev[MMU_MIRROR_REGCACHE];
	static char buf[1 << 16];
	unsigned int p;

	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
		if (s->dev[p].fd >= 0 &&
		    mirror_try_read(&s->dev[p], s->memory, buf, s->nr * page_size, 0))
			return "READ fails";
	mirror_try_deregister(m, s->key);
	if (mirror_try_register(m, s->memory, s->nr * page_size, 0, &s->key))
		return "REGISTER fails";
	return subs_settle(s);
}

const char *subs_attach(struct subs *s, char *memory, size_t nr)
{
	unsigned int p;
	int err;

	s->memory = memory;
	s->nr = nr;
	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++) {
		err = mirror_try_attach(&s->dev[p], p, memory, nr * page_size);
		/* sva is not everywhere */
		if (err == -EOPNOTSUPP && p == MMU_MIRROR_SVA) {
			mirror_close(&s->dev[p]);
			continue;
		}
		if (err)
			return "a device cannot be attached";
	}
	if (raw_watch(s->monitor, memory, nr * page_size, MMU_MONITOR_CLASSES, 0, 1, &s->word))
		return "WATCH fails";
	return subs_know(s);
}

const char *subs_coherent(struct subs *s, bool changed)
{
	__u64 before = s->generation, word, cpu;
	const char *why;
	unsigned int p;
	int err;

	why = subs_settle(s);
	if (why)
		return why;
	if (changed && s->generation == before)
		return "the watch was not told";
	err = mirror_try_key_read(&s->dev[MMU_MIRROR_REGCACHE], s->key, s->memory, &word,
				  sizeof(word), 0);
	if (changed && err != -EKEYREVOKED)
		return "the key was not revoked";
	if (!err && (!cpu_read(s->memory, &cpu) || cpu != word))
		return "a key reads something else than the CPU";
	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++) {
		if (s->dev[p].fd < 0)
			continue;
		why = mirror_coherent(&s->dev[p], s->memory, s->nr);
		if (why) {
			printf("# %s: ", mirror_personalities[p]);
			return why;
		}
	}
	return NULL;
}

void subs_close(struct subs *s)
{
	unsigned int p;

	for (p = 0; p < MIRROR_NR_PERSONALITIES; p++)
		mirror_close(&s->dev[p]);
	if (s->monitor >= 0)
		close(s->monitor);
}
