/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/mmu_mirror: a software device with an MMU of its own.
 *
 * One open file is one device. It is attached to the address space of the
 * process that calls MMU_MIRROR_ATTACH and reads and writes that process's
 * memory through its own page table only, without holding a page reference.
 * It exists to try the MMU-notifier core and as an example for driver writers;
 * this interface is for tests and not a stable one, which is why it does not
 * live in include/uapi.
 *
 * Every command takes a struct whose first member, @size, is the size of the
 * struct as the caller knows it. A shorter (older) struct is filled up with
 * zeros; a longer (newer) one is accepted if all that is not known here is
 * zero, else -E2BIG. @flags, if there is one, holds only bits named here, else
 * -EINVAL, as for any reserved member that is not 0.
 *
 * Errors common to all commands:
 * -ENOTTY: unknown command. -EINVAL: @size below the first version's, unknown
 * flag, misaligned address or length. -E2BIG: see above. -EFAULT: argument not
 * readable or writable. -ENXIO: not attached (all but ATTACH, COUNTERS, INJECT
 * and KEYS). -ESHUTDOWN: the attached address space is gone, by exit or exec.
 * -EPERM: called from another address space than the attached one (after fork,
 * say). DETACH, COUNTERS, INJECT, KEYS and ENGINE stop are exempt from the last
 * two, and of the two -ESHUTDOWN goes first. -EHOSTDOWN: instead of -ESHUTDOWN,
 * the device was fenced, see below. -EINTR: a fatal signal. -ENOMEM.
 *
 * Results are copied back also if the command failed, those of READ and WRITE
 * being of use then. ATTACH, WINDOW and INJECT have none.
 * If they cannot be written, it is -EFAULT, but the command has been done; except
 * for REGISTER, which takes back the key that nobody got.
 */
#ifndef _MMU_MIRROR_UAPI_H
#define _MMU_MIRROR_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MMU_MIRROR_PATH		"/dev/mmu_mirror"

/**
 * enum mmu_mirror_personality - which kind of secondary MMU to be
 * @MMU_MIRROR_SHADOW: like a hypervisor: list subscription, sequence and
 *	ranges in flight, faults replayed.
 * @MMU_MIRROR_SVM: like a GPU with shared virtual memory: interval
 *	subscription, hmm_range_fault(), collision and retry.
 * @MMU_MIRROR_SVA: like a device that shares the CPU's page table through an
 *	IOMMU: a TLB of MMU_MIRROR_SVA_ENTRIES SPTEs, filled by walking that page
 *	table, flushed under the page-table lock. x86-64 and arm64 only.
 * @MMU_MIRROR_EXPORT: like XPMEM: other devices may import the window, and use it
 *	from other processes. Each has a table of its own, and so has the exporter
 *	for its own accesses. List subscription and external reverse maps.
 * @MMU_MIRROR_REGCACHE: like an RDMA card: an interval subscription for each
 *	buffer that user space registers, whose key is revoked by the first
 *	change of its mapping.
 */
enum mmu_mirror_personality {
	MMU_MIRROR_SHADOW = 0,
	MMU_MIRROR_SVM = 1,
	MMU_MIRROR_SVA = 2,
	MMU_MIRROR_EXPORT = 3,
	MMU_MIRROR_REGCACHE = 4,
};

#define MMU_MIRROR_SVA_ENTRIES	2048

/**
 * struct mmu_mirror_attach - MMU_MIRROR_ATTACH
 * @size: size of this struct.
 * @flags: 0.
 * @personality: enum mmu_mirror_personality.
 * @reserved: 0.
 * @start: first address of the window that the device may access, in bytes,
 *	page aligned. Need not be mapped.
 * @length: length of the window in bytes, page aligned, not 0.
 *
 * -EBUSY: already attached, possibly to an address space that is gone: DETACH
 * first. -EOVERFLOW: the window wraps around or leaves the
 * address space. -EOPNOTSUPP: no such personality.
 */
struct mmu_mirror_attach {
	__u32 size;
	__u32 flags;
	__u32 personality;
	__u32 reserved;
	__u64 start;
	__u64 length;
};

/**
 * struct mmu_mirror_window - MMU_MIRROR_WINDOW: move the window
 * @size: size of this struct.
 * @flags: 0.
 * @start: first address, in bytes, page aligned.
 * @length: length in bytes, page aligned, not 0.
 *
 * All SPTEs are dropped. Errors as for ATTACH. -EBUSY: the window is imported by
 * somebody. -EOPNOTSUPP: it is an importer that asks. After an error the window
 * is the old one.
 */
struct mmu_mirror_window {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 length;
};

/* struct mmu_mirror_access.flags: fail with -EFAULT instead of faulting */
#define MMU_MIRROR_NOFAULT	0x1

/**
 * struct mmu_mirror_access - MMU_MIRROR_READ, MMU_MIRROR_WRITE
 * @size: size of this struct.
 * @flags: MMU_MIRROR_NOFAULT: use SPTEs that exist, make none.
 * @addr: device address of the access, in bytes. Any alignment.
 * @length: bytes to move.
 * @buffer: user address of the data to write, or of where to put what is read.
 *	It should lie outside of the window.
 * @done: out: bytes moved, also on error.
 * @faults: out: SPTEs made for this access.
 * @replays: out: faults begun again because of a collision.
 *
 * The device moves data page by page; what it does to one aligned 8-byte word
 * is atomic, nothing else is. -EFAULT: no mapping, no permission, outside the
 * window, or NOFAULT and no SPTE. With NOFAULT the device acts like hardware
 * that goes on using its TLB: the process and its mappings may have changed,
 * its SPTEs must not be wrong. A mapping without PROT_READ cannot be accessed,
 * for writing either; but `sva`, once the entry is there, can do what the CPU
 * can.
 */
struct mmu_mirror_access {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 length;
	__u64 buffer;
	__u64 done;
	__u64 faults;
	__u64 replays;
};

/**
 * struct mmu_mirror_add - MMU_MIRROR_ADD: atomic fetch and add
 * @size: size of this struct.
 * @flags: MMU_MIRROR_NOFAULT.
 * @addr: address of the 64-bit word, in bytes, 8-byte aligned.
 * @value: what to add.
 * @old: out: the word before.
 *
 * Atomic with respect to the CPUs' atomic operations. -EFAULT as for READ.
 */
struct mmu_mirror_add {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 value;
	__u64 old;
};

/* struct mmu_mirror_counters.flags: set all counters to 0 after reading */
#define MMU_MIRROR_RESET	0x1

#define MMU_MIRROR_NR_EVENTS	8

/**
 * struct mmu_mirror_counters - MMU_MIRROR_COUNTERS
 * @size: size of this struct.
 * @flags: MMU_MIRROR_RESET.
 * @start: invalidate_range_start or invalidate calls.
 * @end: invalidate_range_end calls.
 * @refused: calls answered with -EAGAIN or false.
 * @release: release calls (list), or MMU_NOTIFY_RELEASE events (interval).
 * @young: clear_flush_young, clear_young and test_young calls.
 * @nonblock: start calls that were not allowed to sleep.
 * @events: start calls by enum mmu_notifier_event.
 * @in_flight: ranges between start and end now (shadow, sva and export only).
 * @dropped: SPTEs dropped by callbacks.
 * @dirtied: those among them that had been written through, so that the folio
 *	was marked dirty.
 * @mapped: SPTEs that exist now.
 * @faults: SPTEs made.
 * @replays: faults begun again because of a collision.
 * @accesses: page-wise accesses made through SPTEs.
 * @engine: accesses among them made by the engine.
 * @engine_faults: engine accesses that failed for want of a mapping.
 * @flushes: flushes waited for (svm only).
 * @unbalanced: breaches of the rules seen, always 0 on a correct core: an end
 *	without a start (R5), a callback after the subscription had ended (R6), an
 *	SPTE whose page had changed without anybody being told (R1).
 * @folios: callbacks for folios (exporters only).
 * @overdue: those that were refused, as a node had not confirmed in time.
 * @fenced: nodes declared dead (exporters only).
 * @exported: SPTEs that exist now and keep their folio exported.
 * @ranges: invalidate_range calls (sva only).
 * @whole: those among them for the whole address space.
 *
 * They count since the file was opened or they were reset, over all
 * attachments. @in_flight, @mapped and @exported say what is now, and are not
 * reset.
 */
struct mmu_mirror_counters {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 refused;
	__u64 release;
	__u64 young;
	__u64 nonblock;
	__u64 events[MMU_MIRROR_NR_EVENTS];
	__u64 in_flight;
	__u64 dropped;
	__u64 dirtied;
	__u64 mapped;
	__u64 faults;
	__u64 replays;
	__u64 accesses;
	__u64 engine;
	__u64 engine_faults;
	__u64 flushes;
	__u64 unbalanced;
	__u64 folios;
	__u64 overdue;
	__u64 fenced;
	__u64 exported;
	__u64 ranges;
	__u64 whole;
};

/**
 * struct mmu_mirror_check - MMU_MIRROR_CHECK: is any SPTE stale?
 * @size: size of this struct.
 * @flags: 0.
 * @start: first address, in bytes, page aligned; 0 with @length 0: the window.
 * @length: length in bytes, page aligned.
 * @mapped: out: SPTEs looked at.
 * @stale: out: those that the CPU page table contradicts: entry not present,
 *	another page, or SPTE writable and entry not.
 * @first_stale: out: address of the first, or 0.
 *
 * Compared under the device's lock with no invalidation in flight over the
 * range, so the answer is exact. Adds an interval subscription over the range
 * while it runs, whatever the personality.
 */
struct mmu_mirror_check {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 length;
	__u64 mapped;
	__u64 stale;
	__u64 first_stale;
};

/* struct mmu_mirror_inject.confirm_us */
#define MMU_MIRROR_NEVER	0xffffffff

/**
 * struct mmu_mirror_inject - MMU_MIRROR_INJECT: be a difficult subscriber
 * @size: size of this struct.
 * @flags: 0.
 * @start_delay_us: sleep that long in each blockable start or invalidate.
 * @end_delay_us: sleep that long in each blockable end (shadow, sva and export
 *	only).
 * @refuse: answer that many non-blockable calls with -EAGAIN or false. (With a
 *	core that cannot undo a start, as the old one, this warns and leaks.)
 * @fail_point: 1-based number of the point, from now on, that fails with
 *	-ENOMEM in the fault and attach paths; 0: none.
 * @flush_us: flushing the device's own TLB takes that long (svm only). It is
 *	waited for when all subscribers have begun theirs. A call that may not
 *	sleep is refused.
 * @reserved: 0.
 * @confirm_us: as a node, confirm revocations so late; MMU_MIRROR_NEVER: not at
 *	all (exporters and importers only).
 * @patience_us: as an exporter, wait so long for a confirmation; 0: as the
 *	module's parameter confirm_ms says.
 * @hold_us: each blockable end over a part of the window waits to be let go by
 *	MMU_MIRROR_HOLD, but no longer than that (sva only).
 * @reserved2: 0.
 * @delay_at: an address; only starts and ends of ranges that it is in are delayed
 *	by @start_delay_us and @end_delay_us. 0: all of them are.
 *
 * Replaces what was injected before. The delays are 10 seconds at most, else
 * -EINVAL. Works attached or not, and without waiting for other commands.
 */
struct mmu_mirror_inject {
	__u32 size;
	__u32 flags;
	__u32 start_delay_us;
	__u32 end_delay_us;
	__u32 refuse;
	__u32 fail_point;
	__u32 flush_us;
	__u32 reserved;
	__u32 confirm_us;
	__u32 patience_us;
	__u32 hold_us;
	__u32 reserved2;
	__u64 delay_at;
};

/* struct mmu_mirror_engine.flags */
#define MMU_MIRROR_ENGINE_READ	0x1
#define MMU_MIRROR_ENGINE_WRITE	0x2	/* adds 0 to a word: dirties, changes nothing */
#define MMU_MIRROR_ENGINE_ADD	0x4	/* adds 1 to the first word of a page */

/**
 * struct mmu_mirror_engine - MMU_MIRROR_ENGINE: start or stop the engine
 * @size: size of this struct.
 * @flags: what it does to pages of the range picked at random; 0: stop it.
 * @start: first address, in bytes, page aligned; 0 with @length 0: the window.
 * @length: length in bytes, page aligned.
 * @done: out, when stopped: accesses made since it was started.
 *
 * A kernel thread of the device's, not of the process: it goes on while the
 * process exits, as a real device would, and stops by itself at release,
 * detach or close. -EBUSY: was started and not stopped. Stopping what does not
 * run is fine. A fault of the engine's waits neither for user space nor for a
 * disk: it is counted as failed, and tried again some time.
 */
struct mmu_mirror_engine {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 length;
	__u64 done;
};

/**
 * struct mmu_mirror_detach - MMU_MIRROR_DETACH
 * @size: size of this struct.
 * @flags: 0.
 * @wait_us: out: how long unregistering took, in microseconds.
 *
 * Afterwards the device can be attached again, to any process.
 */
struct mmu_mirror_detach {
	__u32 size;
	__u32 flags;
	__u64 wait_us;
};

/**
 * struct mmu_mirror_import - MMU_MIRROR_IMPORT: use what another device exports
 * @size: size of this struct.
 * @flags: 0.
 * @fd: the file of the other device, attached as MMU_MIRROR_EXPORT. Having it is
 *	the permission. It may be closed afterwards.
 * @reserved: 0.
 * @start: out: first address of the window, in the exporter's address space.
 * @length: out: length of the window in bytes.
 *
 * Attaches the device to the exporter's window, for the caller's process to
 * use. READ, WRITE, ADD, CHECK and ENGINE take the exporter's addresses. DETACH
 * ends it.
 *
 * The file can be mapped then, MAP_SHARED, by the importing process if it is not
 * the exporter itself; @start is at offset 0. An access that fails is a SIGBUS. A
 * mapping outlives the import, and shows the next one. Errors of mmap(): -EINVAL:
 * not shared, or beyond the window. -ENXIO: not attached. -EOPNOTSUPP: not an
 * importer. -EPERM: the wrong process. -EAGAIN: a command is changing it.
 *
 * Each importer is a node, which has to confirm that it has dropped what the
 * exporter's process loses. If it does not do so in time, the folio stays where
 * that is possible (the next access answers -EBUSY, where it needs an SPTE, until
 * the node has made up for it). Where it is not, for munmap(), say, the node is
 * fenced: all it gets is -EHOSTDOWN, until it is detached.
 *
 * -EBADF: @fd is not open. -EINVAL: it is no such device, or the one that asks.
 * -ENXIO: it is not attached. -EOPNOTSUPP: it is no exporter. -ESHUTDOWN: the
 * exporter's process is gone, or has detached. -EBUSY: attached already.
 */
struct mmu_mirror_import {
	__u32 size;
	__u32 flags;
	__u32 fd;
	__u32 reserved;
	__u64 start;
	__u64 length;
};

/* struct mmu_mirror_register.flags: the key shall allow writing */
#define MMU_MIRROR_REG_WRITE	0x1

/**
 * struct mmu_mirror_register - MMU_MIRROR_REGISTER: get a key to a buffer
 * @size: size of this struct.
 * @flags: MMU_MIRROR_REG_WRITE.
 * @start: first address, in bytes, page aligned.
 * @length: length in bytes, page aligned, not 0.
 * @key: out: the key, never 0; 0 after an error.
 *
 * The key lets the device access these pages as they are mapped now, without
 * pinning them. It is revoked by the first change of any of the mappings
 * (unmapping, moving, protecting, discarding, fork of what may be written,
 * migration, swap), before the system call that changes it returns; by
 * MMU_MIRROR_DEREGISTER; by moving the window; and by the end of the attachment
 * or of the address space. A revoked key stays so, and no other registration of
 * this file gets the same one. Registrations may overlap.
 *
 * -EOPNOTSUPP: not that personality. -EOVERFLOW: the range wraps around or
 * leaves the address space. -EFAULT: a page is outside of the window, not
 * mapped, or not with the permission. -ENOSPC: as many registrations as are
 * possible, see MMU_MIRROR_KEYS. -EKEYREVOKED: the window was moved meanwhile.
 */
struct mmu_mirror_register {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 length;
	__u64 key;
};

/**
 * struct mmu_mirror_deregister - MMU_MIRROR_DEREGISTER: give a key back
 * @size: size of this struct.
 * @flags: 0.
 * @key: the key.
 *
 * Upon return no access by that key is under way. -EKEYREVOKED: it had been
 * revoked already, and there is nothing left to do. -ENOKEY: there never was
 * such a key. -EOPNOTSUPP: not that personality.
 */
struct mmu_mirror_deregister {
	__u32 size;
	__u32 flags;
	__u64 key;
};

/**
 * struct mmu_mirror_key_access - MMU_MIRROR_KEY_READ, MMU_MIRROR_KEY_WRITE
 * @size: size of this struct.
 * @flags: MMU_MIRROR_NOFAULT.
 * @key: the key of a registration.
 * @addr: address of the access, in bytes, within the registration. Any
 *	alignment.
 * @length: bytes to move.
 * @buffer: as for MMU_MIRROR_READ.
 * @done: out: bytes moved, also on error.
 * @faults: out: SPTEs made for this access: for a valid key those that went
 *	when another registration of the same page did.
 * @replays: out: faults begun again because of a collision.
 *
 * As MMU_MIRROR_READ and MMU_MIRROR_WRITE, but the device refuses, before it
 * touches the page: -EKEYREVOKED: the key is not valid any more. -ENOKEY: there
 * never was such a key. -EACCES: outside of the registration, or it is for
 * reading only. -EOPNOTSUPP: not that personality.
 */
struct mmu_mirror_key_access {
	__u32 size;
	__u32 flags;
	__u64 key;
	__u64 addr;
	__u64 length;
	__u64 buffer;
	__u64 done;
	__u64 faults;
	__u64 replays;
};

/**
 * struct mmu_mirror_keys - MMU_MIRROR_KEYS: how many registrations are there?
 * @size: size of this struct.
 * @flags: 0.
 * @limit: out: so many at most, of all kinds.
 * @valid: out: keys that are valid.
 * @keyless: out: registrations that the device made by itself, of single pages,
 *	for commands that name no key.
 * @ending: out: registrations that nobody can use any more, but whose
 *	subscription waits for a range in flight.
 * @revoked: out: keys revoked by changes of a mapping since the file was opened.
 *
 * Works attached or not.
 */
struct mmu_mirror_keys {
	__u32 size;
	__u32 flags;
	__u64 limit;
	__u64 valid;
	__u64 keyless;
	__u64 ending;
	__u64 revoked;
};

/**
 * struct mmu_mirror_order - MMU_MIRROR_ORDER: are two words seen in order?
 * @size: size of this struct.
 * @flags: 0.
 * @first: address of the word that is written first, 8-byte aligned.
 * @second: address of the word that the same number is written to after that,
 *	8-byte aligned.
 * @value: look until @second holds this number or a larger one.
 * @timeout_us: give up with -ETIMEDOUT after that time, 10 seconds at most, else
 *	-EINVAL; 0: look once.
 * @looks: out: how often the device read @second and then @first.
 * @violations: out: how often @first was smaller than @second, which cannot be
 *	if numbers only grow.
 * @seen_first: out: @first, at last.
 * @seen_second: out: @second, at last.
 *
 * -EFAULT: no mapping, no permission, outside the window.
 */
struct mmu_mirror_order {
	__u32 size;
	__u32 flags;
	__u64 first;
	__u64 second;
	__u64 value;
	__u64 timeout_us;
	__u64 looks;
	__u64 violations;
	__u64 seen_first;
	__u64 seen_second;
};

/**
 * struct mmu_mirror_hold - MMU_MIRROR_HOLD: wait in an end callback
 * @size: size of this struct.
 * @flags: 0.
 * @timeout_us: how long to wait, 10 seconds at most, else -EINVAL.
 * @held: in: so many ends are let go, of all that were held since the file was
 *	opened; not more than there were, else -EINVAL. Out: how many there were.
 *
 * Lets ends go that are held, see mmu_mirror_inject, and waits until there are
 * more of them than @held. Then a range is in flight of which nothing remains to
 * be done but this end. -ETIMEDOUT: none came.
 */
struct mmu_mirror_hold {
	__u32 size;
	__u32 flags;
	__u64 timeout_us;
	__u64 held;
};

#define MMU_MIRROR_IOC		'M'
#define MMU_MIRROR_ATTACH	_IO(MMU_MIRROR_IOC, 0xd0)
#define MMU_MIRROR_WINDOW	_IO(MMU_MIRROR_IOC, 0xd1)
#define MMU_MIRROR_READ		_IO(MMU_MIRROR_IOC, 0xd2)
#define MMU_MIRROR_WRITE	_IO(MMU_MIRROR_IOC, 0xd3)
#define MMU_MIRROR_ADD		_IO(MMU_MIRROR_IOC, 0xd4)
#define MMU_MIRROR_COUNTERS	_IO(MMU_MIRROR_IOC, 0xd5)
#define MMU_MIRROR_CHECK	_IO(MMU_MIRROR_IOC, 0xd6)
#define MMU_MIRROR_INJECT	_IO(MMU_MIRROR_IOC, 0xd7)
#define MMU_MIRROR_ENGINE	_IO(MMU_MIRROR_IOC, 0xd8)
#define MMU_MIRROR_DETACH	_IO(MMU_MIRROR_IOC, 0xd9)
#define MMU_MIRROR_IMPORT	_IO(MMU_MIRROR_IOC, 0xda)
#define MMU_MIRROR_REGISTER	_IO(MMU_MIRROR_IOC, 0xe0)
#define MMU_MIRROR_DEREGISTER	_IO(MMU_MIRROR_IOC, 0xe1)
#define MMU_MIRROR_KEY_READ	_IO(MMU_MIRROR_IOC, 0xe2)
#define MMU_MIRROR_KEY_WRITE	_IO(MMU_MIRROR_IOC, 0xe3)
#define MMU_MIRROR_KEYS		_IO(MMU_MIRROR_IOC, 0xe4)
#define MMU_MIRROR_ORDER	_IO(MMU_MIRROR_IOC, 0xe8)
#define MMU_MIRROR_HOLD		_IO(MMU_MIRROR_IOC, 0xe9)

#endif /* _MMU_MIRROR_UAPI_H */
