/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/mmu_monitor: being told of changes to one's own mappings.
 *
 * Each descriptor is a *monitor* of the address space that opened it. A *watch*
 * is a range of addresses in it, with a cookie and a set of *classes* of change.
 * Each watch has a *generation word* in an *area* that is mapped by mmap(): odd
 * while a change that concerns the watch is going on, and another even number
 * afterwards. What was learned about the memory while the word had a certain even
 * value is true for as long as it still has it. *Events* tell what has changed,
 * and are read by read().
 *
 * How to use it right, and what every call returns, is in
 * Documentation/misc-devices/mmu_monitor.rst. tools/lib/mmu_monitor does it.
 *
 * Every structure begins with its size, which the caller sets to sizeof. A kernel
 * that knows a longer one takes the rest as zero; one that knows a shorter one
 * refuses with E2BIG what it does not know, unless that is zero.
 *
 * Addresses and lengths are in bytes.
 */
#ifndef _UAPI_LINUX_MMU_MONITOR_H
#define _UAPI_LINUX_MMU_MONITOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Classes of change. A cache of registrations that pin their pages wants the
 * first two, whoever keeps addresses of pages the first three.
 */

/* The mapping is gone, replaced, or moved elsewhere: munmap, mmap over, mremap. */
#define MMU_MONITOR_UNMAPPED	(1U << 0)
/* What was in memory is given up: MADV_DONTNEED, truncation, punched holes. */
#define MMU_MONITOR_DROPPED	(1U << 1)
/* The same content is in another page: migration, copy on write, KSM, reclaim. */
#define MMU_MONITOR_REPLACED	(1U << 2)
/* What may be done with the memory has changed: mprotect, UFFDIO_WRITEPROTECT. */
#define MMU_MONITOR_PROTECTED	(1U << 3)
/* The process forked: from now on the pages are shared, and copied on write. */
#define MMU_MONITOR_FORKED	(1U << 4)

#define MMU_MONITOR_CLASSES	((1U << 5) - 1)

/*
 * The area: generation words, one for each watch, behind this head. Mapped from
 * offset 0, shared and for reading only. A child made by fork() reads nothing but
 * ones there: every word is odd.
 */
struct mmu_monitor_area {
	__u64 pending;		/* events that read() has not returned yet */
	__u64 watches;		/* watches that there are */
	__u64 events;		/* events since the monitor was opened */
	__u64 overflows;	/* of which of type MMU_MONITOR_OVERFLOW */
	__u64 reserved[12];
};

/* MMU_MONITOR_INFO: what this kernel offers. All but size is written by it. */
struct mmu_monitor_info {
	__u32 size;		/* in: of this; out: what the kernel knows of it */
	__u32 classes;		/* MMU_MONITOR_* that it tells apart */
	__u32 watch_flags;	/* MMU_MONITOR_* that MMU_MONITOR_WATCH takes */
	__u32 event_size;	/* of struct mmu_monitor_event, as read() returns it */
	__u64 area_size;	/* bytes; mapping less of the area will do for less */
	__u64 max_watches;	/* of one monitor */
};

/* Flags of a watch: it makes no event but the first one, until it is re-armed. */
#define MMU_MONITOR_ONESHOT	(1U << 0)
/* Flags of a watch: it makes no events, there is just the word. */
#define MMU_MONITOR_QUIET	(1U << 1)

/* MMU_MONITOR_WATCH: watch some addresses, whether or not anything is mapped. */
struct mmu_monitor_watch {
	__u32 size;
	__u32 flags;		/* MMU_MONITOR_ONESHOT or MMU_MONITOR_QUIET */
	__u64 address;		/* widened to whole pages */
	__u64 length;		/* not 0 */
	__u64 cookie;		/* comes back with each event */
	__u32 classes;		/* what is to be told of; not 0 */
	__u32 reserved;		/* 0 */
	__u64 word;		/* out: where the word is, in bytes from the area's start */
	__u64 generation;	/* out: its value; odd if a change is going on */
};

/* MMU_MONITOR_UNWATCH, MMU_MONITOR_REARM: of the watch with this word */
struct mmu_monitor_word {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 word;
	__u64 generation;	/* out, of MMU_MONITOR_REARM: its value now */
};

/* What of struct mmu_monitor_config is to be set */
#define MMU_MONITOR_EVENTFD	(1U << 0)
#define MMU_MONITOR_MAX_EVENTS	(1U << 1)

/* MMU_MONITOR_CONFIG */
struct mmu_monitor_config {
	__u32 size;
	__u32 flags;		/* MMU_MONITOR_EVENTFD, MMU_MONITOR_MAX_EVENTS */
	__s32 eventfd;		/* signalled with each event, or -1 */
	__u32 reserved;		/* 0 */
	__u64 max_events;	/* more than these become one OVERFLOW; 0: no limit */
};

/* Types of event. Others may come, and can be skipped. */

/* A watch: classes, cookie, address, length and word are set. */
#define MMU_MONITOR_CHANGED	1
/* More has changed than there are events for: look at every word. */
#define MMU_MONITOR_OVERFLOW	2
/* This is not the process that opened the monitor: open another one. */
#define MMU_MONITOR_FOREIGN	3

/* What read() returns, one or more of them, whole ones only. */
struct mmu_monitor_event {
	__u16 size;		/* the next one begins so many bytes further on */
	__u16 type;
	__u32 classes;		/* all that has happened since the last event */
	__u64 cookie;
	__u64 address;		/* what changed lies between these, within the watch */
	__u64 length;
	__u64 word;
};

#define MMU_MONITOR_IOC		0xb9
#define MMU_MONITOR_INFO	_IO(MMU_MONITOR_IOC, 0)
#define MMU_MONITOR_WATCH	_IO(MMU_MONITOR_IOC, 1)
#define MMU_MONITOR_UNWATCH	_IO(MMU_MONITOR_IOC, 2)
#define MMU_MONITOR_REARM	_IO(MMU_MONITOR_IOC, 3)
#define MMU_MONITOR_CONFIG	_IO(MMU_MONITOR_IOC, 4)
/* Ends all watches, and forgets all events; takes no argument. */
#define MMU_MONITOR_FLUSH	_IO(MMU_MONITOR_IOC, 5)

#endif /* _UAPI_LINUX_MMU_MONITOR_H */
