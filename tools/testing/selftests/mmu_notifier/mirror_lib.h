/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/mmu_mirror from user space.
 *
 * A struct mirror is one open device. Each command has two forms:
 * mirror_try_xxx() returns 0 or a negative errno and is for tests of errors;
 * mirror_xxx() is for everybody else and does not return when it fails: it
 * hands one line of text to mirror_die_hook(), or, without one, prints it and
 * exits.
 *
 * A struct mirror is never written after it was opened, so that threads may
 * share one.
 */
#ifndef _SELFTESTS_MIRROR_LIB_H
#define _SELFTESTS_MIRROR_LIB_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../../../drivers/misc/mmu_mirror/mmu_mirror_uapi.h"

/* enum mmu_notifier_event, the index of mmu_mirror_counters.events[] */
enum mirror_event {
	EV_UNMAP,
	EV_CLEAR,
	EV_PROTECTION_VMA,
	EV_PROTECTION_PAGE,
	EV_SOFT_DIRTY,
	EV_RELEASE,
	EV_MIGRATE,
	EV_EXCLUSIVE,
};

struct mirror {
	int fd;
};

/* NULL: no such one */
extern const char * const mirror_personalities[];
#define MIRROR_NR_PERSONALITIES	5

/* Is it subscribed to the whole mm? Then it is told of ends and of release. */
static inline bool mirror_has_ends(unsigned int personality)
{
	return personality == MMU_MIRROR_SHADOW || personality == MMU_MIRROR_SVA ||
	       personality == MMU_MIRROR_EXPORT;
}

extern void (*mirror_die_hook)(const char *text);
__noreturn void mirror_die(const char *fmt, ...)
	__printf(1, 2);

int mirror_try_open(struct mirror *m);
int mirror_try_attach(struct mirror *m, unsigned int personality,
		      const void *start, size_t length);
int mirror_try_window(struct mirror *m, const void *start, size_t length);
int mirror_try_read(struct mirror *m, const void *addr, void *buf, size_t length,
		    unsigned int flags);
int mirror_try_write(struct mirror *m, const void *addr, const void *buf,
		     size_t length, unsigned int flags);
int mirror_try_access(struct mirror *m, unsigned long cmd,
		      struct mmu_mirror_access *access);
int mirror_try_add(struct mirror *m, const void *addr, __u64 value,
		   __u64 *old, unsigned int flags);
int mirror_try_counters(struct mirror *m, struct mmu_mirror_counters *c,
			unsigned int flags);
int mirror_try_check(struct mirror *m, const void *start, size_t length,
		     struct mmu_mirror_check *check);
int mirror_try_inject(struct mirror *m, struct mmu_mirror_inject *inject);
int mirror_try_engine(struct mirror *m, unsigned int flags, const void *start,
		      size_t length, __u64 *done);
int mirror_try_detach(struct mirror *m, __u64 *wait_us);
int mirror_try_import(struct mirror *m, const struct mirror *exporter);
int mirror_try_register(struct mirror *m, const void *start, size_t length,
			unsigned int flags, __u64 *key);
int mirror_try_deregister(struct mirror *m, __u64 key);
int mirror_try_key_read(struct mirror *m, __u64 key, const void *addr, void *buf,
			size_t length, unsigned int flags);
int mirror_try_key_write(struct mirror *m, __u64 key, const void *addr,
			 const void *buf, size_t length, unsigned int flags);
int mirror_try_keys(struct mirror *m, struct mmu_mirror_keys *keys);
int mirror_try_hold(struct mirror *m, unsigned int timeout_us, __u64 *held);
int mirror_try_order(struct mirror *m, const __u64 *first, const __u64 *second,
		     struct mmu_mirror_order *order);

void mirror_open(struct mirror *m);
void mirror_close(struct mirror *m);
void mirror_attach(struct mirror *m, unsigned int personality,
		   const void *start, size_t length);
void mirror_read(struct mirror *m, const void *addr, void *buf, size_t length);
void mirror_write(struct mirror *m, const void *addr, const void *buf, size_t length);
struct mmu_mirror_counters mirror_counters(struct mirror *m);
/* Has a range started, of a personality with ends, that has not ended? */
bool mirror_in_range(struct mirror *m);
void mirror_check(struct mirror *m, const void *start, size_t length,
		  struct mmu_mirror_check *check);
void mirror_delay(struct mirror *m, unsigned int start_us, unsigned int end_us);
void mirror_flush(struct mirror *m, unsigned int us);
void mirror_refuse(struct mirror *m, unsigned int times);
void mirror_import(struct mirror *m, const struct mirror *exporter);
void mirror_confirm(struct mirror *m, unsigned int us);
void mirror_patience(struct mirror *m, unsigned int us);
void mirror_engine_start(struct mirror *m, unsigned int flags, const void *start,
			 size_t length);
__u64 mirror_engine_stop(struct mirror *m);
__u64 mirror_detach(struct mirror *m);

#endif /* _SELFTESTS_MIRROR_LIB_H */
