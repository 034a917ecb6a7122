/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Make the n-th thing that can fail in a call fail, for n = 1, 2, 3 .. until there is
 * none left: an allocation, or a copy from or to user space.
 *
 * A *point* is such a thing; points are numbered as the thread comes by
 * (/proc/thread-self/fail-nth). A point is tried in a process of its own, which says
 * by its exit status what became of it, enum fault_result. What the process found
 * wrong it has printed.
 *
 * Points of other threads, of workers and of what must not fail (GFP_NOFAIL) are not
 * counted.
 */
#ifndef _SELFTESTS_FAULT_LIB_H
#define _SELFTESTS_FAULT_LIB_H

#include <stdbool.h>

#define FAULT_MANY	1000000		/* more points than any call has */

enum fault_result {
	FAULT_ENOMEM = 10,	/* the call failed for want of memory, and nothing is wrong */
	FAULT_EFAULT,		/* the same; it could not copy */
	FAULT_SURVIVED,		/* something failed in it, and it succeeded */
	FAULT_NO_MORE,		/* nothing failed: there is no such point */
	FAULT_WRONG,
};

/**
 * struct fault_sweep - what a sweep found
 * @points: how many there are.
 * @hits: how many were made to fail, of all.
 * @enomem: after how many of them the call failed for want of memory.
 * @efault: after how many because it could not copy.
 * @survived: after how many it succeeded.
 * @wrong: where something was wrong.
 */
struct fault_sweep {
	unsigned int points;
	unsigned int hits;
	unsigned int enomem;
	unsigned int efault;
	unsigned int survived;
	unsigned int wrong;
};

/* NULL, or why nothing can be made to fail here */
const char *fault_need(void);

/* Of the calling thread, which alone may use the others then */
bool fault_open(void);
void fault_close(void);

void fault_arm(unsigned int nth);
/* Was there such a point? Nothing fails any more. */
bool fault_disarm(void);
/* How many points the thread came by since it was armed with FAULT_MANY */
unsigned int fault_passed(void);

/* Returns what the child returns. @name is for messages. */
int fault_in_child(int (*function)(const void *what, unsigned int nth), const void *what,
		   const char *name, unsigned int nth);

/* All points. False: it came to no end, or @try returned what is no fault_result. */
bool fault_sweep(int (*function)(const void *what, unsigned int nth), const void *what,
		 const char *name, struct fault_sweep *sweep);

/**
 * struct fault_cost - how many points a call comes by in two cases
 * @without: in the first one.
 * @with: in the other one.
 *
 * The median of some tries each, which take turns: caches of the kernel are filled now
 * and then, and now and then have what they hardly ever have. As long as @with is more
 * than @without it is measured again, a few times. FAULT_MANY: a try failed. Each is a
 * process of its own, as fork(), for one, has more to copy with every mapping that there
 * has ever been.
 */
struct fault_cost {
	unsigned int without;
	unsigned int with;
};

/* @count is one try, and returns its points, or FAULT_MANY. @name is for messages. */
void fault_compare(unsigned int (*count)(const void *what, bool with), const void *what,
		   const char *name, struct fault_cost *cost);

/* kB of the kernel's memory that cannot be had back; 0 if memory_is_recorded() */
long fault_kernel_kb(void);
/* How many more than @before when that is @limit at most, or after a while */
long fault_kernel_grown(long before, long limit);

#endif /* _SELFTESTS_FAULT_LIB_H */
