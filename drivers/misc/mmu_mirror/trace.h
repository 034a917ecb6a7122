/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/mmu_mirror at work: its page faults, to be seen beside the ranges that
 * collide with them (include/trace/events/mmu_notifier.h).
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmu_mirror

#if !defined(_MMU_MIRROR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MMU_MIRROR_TRACE_H

#include <linux/tracepoint.h>

struct mirror_fault;

/* Result 0: there is an SPTE; -EAGAIN: collided, the fault begins again. */
TRACE_EVENT(mmu_mirror_fault,

	TP_PROTO(const struct mirror_fault *fault, int result),

	TP_ARGS(fault, result),

	TP_STRUCT__entry(
		__field(unsigned long,	addr)
		__field(int,		result)
		__field(bool,		write)
		__field(bool,		engine)
	),

	TP_fast_assign(
		__entry->addr = fault->addr;
		__entry->result = result;
		__entry->write = fault->write;
		__entry->engine = fault->engine;
	),

	TP_printk("addr=0x%lx write=%d engine=%d result=%d", __entry->addr,
		  __entry->write, __entry->engine, __entry->result)
);

#endif /* _MMU_MIRROR_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
