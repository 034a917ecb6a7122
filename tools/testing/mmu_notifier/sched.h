/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scheduler that tries every schedule.
 *
 * A *program* is two to four threads that run the core in one process. They are
 * coroutines: one runs until a *switch point*, which is every lock, barrier,
 * atomic, wait, and every volatile access to memory that two threads touch. What
 * runs next is a *choice*. The explorer keeps the state of the whole program
 * (data, heap, stacks) before each choice and so takes every one of them, depth
 * first. A state that was met before is not gone into again: that prunes
 * schedules that are equivalent, and the number of schedules that were covered is
 * counted through it.
 *
 * A *preemption* takes a thread off that could go on. Schedules with up to
 * sched_program.preemptions of them are covered; those forced by waiting are
 * free.
 *
 * Store buffers. A store becomes visible to others by a choice of its own,
 * unless a barrier, a full atomic or a wait drains the buffer before. Stores
 * leave the buffer in order, except for as many as sched_program.reorderings
 * says: these overtake older ones to other addresses, never past smp_wmb() or a
 * release. Giving back a lock is a release; with reorderings of 0 it drains the
 * buffer, which saves states. Taking one drains nothing. Loads are not reordered.
 *
 * What ends a program with a failure: an expectation, memory used after it was
 * freed, and that nobody can go on while somebody has not finished (deadlock,
 * lost wake-up).
 *
 * The compiler (-fsanitize=thread) calls us for each access; no sanitizer is
 * linked. Everything here but the engine itself is compiled so.
 */
#ifndef _MMU_NOTIFIER_SCHED_H
#define _MMU_NOTIFIER_SCHED_H

#include <stdbool.h>
#include <stddef.h>

#define SCHED_THREADS	4

typedef void (*sched_thread)(void);

/**
 * struct sched_program - what is run
 * @name: in one word.
 * @what: in one line.
 * @init: runs first, alone; may not wait.
 * @thread: the threads; NULL behind the last.
 * @done: runs last, alone.
 * @preemptions: how many.
 * @reorderings: how many stores may overtake others.
 * @worker: there are work items or SRCU callbacks; one more thread runs them.
 */
struct sched_program {
	const char *name;
	const char *what;
	void (*init)(void);
	sched_thread thread[SCHED_THREADS - 1];
	void (*done)(void);
	unsigned int preemptions;
	unsigned int reorderings;
	bool worker;
};

/**
 * struct sched_result - what became of it
 * @schedules: how many complete schedules the states stand for.
 * @states: how many different states there were.
 * @steps: how many steps were made from them.
 * @failure: NULL, or what went wrong first.
 */
struct sched_result {
	double schedules;
	unsigned long states;
	unsigned long steps;
	const char *failure;
};

void sched_explore(const struct sched_program *program, struct sched_result *result);

/* From within a program */
unsigned int sched_self(void);
void sched_fail(const char *fmt, ...) __attribute__((__noreturn__, __format__(__printf__, 1, 2)));
void sched_point(void);
void sched_wait(bool (*may_go_on)(void *arg), void *arg);
void sched_on_cpu(unsigned int cpu);

#define sched_expect(cond) do {						\
	if (!(cond))							\
		sched_fail("%s:%d: expected %s", __func__, __LINE__, #cond); \
} while (0)

/* What shim_sched.h is made of */
void sched_lock(int *lock);
void sched_unlock(int *lock);
void sched_barrier(void);
void sched_write_barrier(void);
void sched_release(void *to, unsigned long value, unsigned int size);
unsigned long sched_exchange(void *p, unsigned long value, unsigned int size);
unsigned long sched_compare_exchange(void *p, unsigned long old, unsigned long value,
				     unsigned int size);
long sched_add(void *p, long value, unsigned int size);
void *sched_alloc(size_t size);
void sched_free(const void *p);
void sched_free_rcu(void *p);
void sched_rcu_lock(void);
void sched_rcu_unlock(void);
unsigned int sched_cpu(void);
void sched_preempt(int disable);
void sched_drain(void);

#endif /* _MMU_NOTIFIER_SCHED_H */
