// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: who invalidates takes no memory (R10).
 *
 * A thread is *frugal* from before it calls one of the hooks until that returns. Whatever
 * it takes then, from slabs or in pages, is seen by tracepoints of the allocators, be it
 * the core that takes it or a callback. Whoever interrupts it does not count.
 *
 * DEBUG_OBJECTS and KASAN take memory of their own, for objects and stacks that they
 * remember, so nothing is looked at with them.
 */

#include <linux/hash.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <trace/events/kmem.h>

#include "mmu_notifier_torture.h"

#define MMT_FRUGAL_BITS	8

/* Each at the place that its address says; who finds it taken is not looked at. */
static struct task_struct *mmt_frugal[1 << MMT_FRUGAL_BITS];
static unsigned int mmt_frugal_probes;

static struct task_struct **mmt_frugal_place(void)
{
	return &mmt_frugal[hash_ptr(current, MMT_FRUGAL_BITS)];
}

/**
 * mmt_frugal_begin() - the thread is about to call a hook
 *
 * Context: any task.
 */
void mmt_frugal_begin(void)
{
	cmpxchg_relaxed(mmt_frugal_place(), NULL, current);
}

/**
 * mmt_frugal_end() - the hook has returned
 *
 * Context: the same task.
 */
void mmt_frugal_end(void)
{
	struct task_struct **place = mmt_frugal_place();

	if (READ_ONCE(*place) == current)
		WRITE_ONCE(*place, NULL);
}

static void mmt_frugal_took(unsigned long where, unsigned long bytes)
{
	if (in_task() && READ_ONCE(*mmt_frugal_place()) == current)
		mmt_fail(MMT_R10_ALLOCS, 0, where, bytes);
}

static void mmt_frugal_kmalloc(void *data, unsigned long call_site, const void *ptr,
			       size_t bytes_req, size_t bytes_alloc, gfp_t gfp_flags,
			       int node)
{
	mmt_frugal_took(call_site, bytes_req);
}

static void mmt_frugal_cache(void *data, unsigned long call_site, const void *ptr,
			     struct kmem_cache *s, gfp_t gfp_flags, int node)
{
	mmt_frugal_took(call_site, 0);
}

static void mmt_frugal_pages(void *data, struct page *page, unsigned int order,
			     gfp_t gfp_flags, int migratetype)
{
	mmt_frugal_took(0, PAGE_SIZE << order);	/* nobody says where */
}

/**
 * mmt_frugal_init() - look at who takes memory from now on
 *
 * Return: 0, also where this kernel cannot tell, which is printed; or what a tracepoint
 * says to its registration, -ENOMEM. mmt_frugal_exit() in any case.
 */
int mmt_frugal_init(void)
{
	int ret;

	if (!IS_ENABLED(CONFIG_TRACEPOINTS) || IS_ENABLED(CONFIG_DEBUG_OBJECTS) ||
	    IS_ENABLED(CONFIG_KASAN)) {
		pr_torture("R10-allocs is not looked at (DEBUG_OBJECTS, KASAN, no TRACEPOINTS)\n");
		return 0;
	}
	ret = register_trace_kmalloc(mmt_frugal_kmalloc, NULL);
	if (ret)
		return ret;
	mmt_frugal_probes++;
	ret = register_trace_kmem_cache_alloc(mmt_frugal_cache, NULL);
	if (ret)
		return ret;
	mmt_frugal_probes++;
	ret = register_trace_mm_page_alloc(mmt_frugal_pages, NULL);
	if (ret)
		return ret;
	mmt_frugal_probes++;
	return 0;
}

/**
 * mmt_frugal_exit() - undo mmt_frugal_init()
 */
void mmt_frugal_exit(void)
{
	switch (mmt_frugal_probes) {
	case 3:
		unregister_trace_mm_page_alloc(mmt_frugal_pages, NULL);
		fallthrough;
	case 2:
		unregister_trace_kmem_cache_alloc(mmt_frugal_cache, NULL);
		fallthrough;
	case 1:
		unregister_trace_kmalloc(mmt_frugal_kmalloc, NULL);
		/* Nobody is in a probe of ours when the module goes. */
		tracepoint_synchronize_unregister();
	}
	mmt_frugal_probes = 0;
}
