// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `regcache`: the secondary MMU of an RDMA card.
 *
 * User space *registers* buffers and gets *keys*; whoever has a key may have the
 * device access the buffer. What is cached under a key is right for as long as
 * the key is valid, and the key is *revoked* by the first change of the mapping.
 * No page is pinned. So user space can keep registrations and need not know who
 * unmaps what: it is refused, and registers again.
 *
 * A registration is an interval subscription, a range of pages and a key. There
 * are thousands. The device lock is the mutex. Under it:
 *
 *	link		in the tables: its SPTEs may be made
 *	valid		its key is good; since then, no change has come
 *	kill		unlinked, SPTEs dropped, key revoked; never linked again
 *
 *	link -> valid	MMU_MIRROR_REGISTER, when every page has been faulted and
 *			none has changed since
 *	valid -> kill	invalidate, and whatever ends registrations
 *	link -> kill	the same, but invalidate: if anything changes while the
 *			pages are faulted, all are faulted again
 *
 * SPTEs are kept by address, as for the other personalities, and shared by the
 * registrations that overlap. Each is covered by a linked one: a registration
 * takes the SPTEs of all its pages with it when it is killed. Others that need
 * them fault again, each under its own subscription. So a valid key may lack an
 * SPTE, but every SPTE has a subscription that sees to it (R1). And the CPU's
 * entry is there: it was when the key became valid, and has not changed since.
 *
 * A killed registration is removed without waiting, for the killer may be a
 * callback: mmu_interval_notifier_remove_async(). It goes when the last fault
 * that uses its subscription has put it and no range in flight overlaps. Until
 * then it counts, so that the number is bounded whatever callbacks do. A detach
 * waits for it with mirror.use held for writing, so whoever uses a registration
 * holds mirror.use, and what lasts longer than that has the key only.
 *
 * An access by address alone, such as the engine's, uses any registration that
 * covers the page, or else registers the page: *keyless*, valid at once, nobody
 * is told a key.
 *
 * A key is a number that is counted up for each registration (the generation),
 * and the place in the table. It is never used again for this file.
 *
 * There may be no registration when the process ends, so a list subscription
 * with nothing but release says so (R6). It costs nothing else (R8).
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/overflow.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>

#include "mmu_mirror.h"

/* Of all kinds, for one device */
#define REG_MAX		16384

/* The part of a key that says where in the table it is */
#define REG_SLOT_BITS	16
#define REG_SLOT_MASK	(BIT(REG_SLOT_BITS) - 1)

/**
 * struct mirror_reg - a registration
 * @sub: its subscription.
 * @m: the mirror.
 * @pages: its page indexes, in mirror_regcache.regs.
 * @users: being linked, and the faults that use @sub. Removed by the last.
 * @key: its key; constant once linked.
 * @writable: does the key allow writing? Constant.
 * @keyless: was it made by the device? Constant.
 * @linked: is it in the tables? Guarded by the device lock.
 * @valid: is the key good? Likewise.
 * @changed: has a change come while it was not? Likewise.
 */
struct mirror_reg {
	struct mmu_interval_notifier sub;
	struct mirror *m;
	struct interval_tree_node pages;
	refcount_t users;
	u64 key;
	bool writable;
	bool keyless;
	bool linked;
	bool valid;
	bool changed;
};

/* One less. The mirror may go with the last: its address is no use of it. */
static void reg_uncount(struct mirror *m)
{
	int left = atomic_dec_return(&m->regcache.nr);

	if (!left || left == REG_MAX - 1)
		wake_up_var(&m->regcache.nr);
}

static void reg_free(struct mirror_reg *reg)
{
	struct mirror *m = reg->m;

	kfree(reg);
	reg_uncount(m);
}

static void reg_removed(struct mmu_interval_notifier *sub)
{
	reg_free(container_of(sub, struct mirror_reg, sub));
}

/* Put a user. Called with the device lock held, or without. */
static void reg_put(struct mirror_reg *reg)
{
	if (refcount_dec_and_test(&reg->users))
		mmu_interval_notifier_remove_async(&reg->sub, reg_removed);
}

/* Under the device lock: nothing of this registration is of use from now on. */
static void reg_kill(struct mirror *m, struct mirror_reg *reg)
{
	struct mirror_regcache *rc = &m->regcache;

	xa_erase(&rc->keys, reg->key & REG_SLOT_MASK);
	interval_tree_remove(&reg->pages, &rc->regs);
	reg->linked = false;
	WRITE_ONCE(rc->linked, rc->linked - 1);
	rc->keyless -= reg->keyless;
	rc->valid -= reg->valid && !reg->keyless;
	reg->valid = false;

	mirror_table_zap(m, &mirror_regcache_ops, reg->pages.start,
			 reg->pages.last, false);
	reg_put(reg);
}

/* Under the device lock, which may be held for long; may sleep. */
static void reg_kill_all(struct mirror *m)
{
	struct interval_tree_node *pages;

	while ((pages = interval_tree_iter_first(&m->regcache.regs, 0,
						 ULONG_MAX))) {
		reg_kill(m, container_of(pages, struct mirror_reg, pages));
		cond_resched();
	}
}

/* Under the device lock: a change comes to pages that the range shares with it. */
static void reg_change(struct mirror *m, struct mirror_reg *reg,
		       const struct mmu_notifier_range *range)
{
	if (!reg->linked)
		return;
	if (reg->valid) {
		m->regcache.revoked += !reg->keyless;
		reg_kill(m, reg);
		return;
	}

	reg->changed = true;
	mirror_table_zap(m, &mirror_regcache_ops,
			 max(reg->pages.start, range->start >> PAGE_SHIFT),
			 min(reg->pages.last, (range->end - 1) >> PAGE_SHIFT),
			 false);
}

static bool regcache_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	struct mirror_reg *reg = container_of(sub, struct mirror_reg, sub);
	struct mirror *m = reg->m;

	mirror_count_invalidation(m, range);
	if (mmu_notifier_range_blockable(range)) {
		mirror_delay(m, &m->inject.start_delay_us, range);
		mirror_mutex_lock(m);
	} else if (mirror_should_refuse(m) || !mirror_mutex_lock_nosleep(m)) {
		mirror_count(m, MIRROR_STAT_REFUSED);
		return false;
	}
	mmu_interval_set_seq(sub, cur_seq);
	mirror_check_subscribed(m);
	reg_change(m, reg, range);
	mirror_mutex_unlock(m);
	return true;
}

static const struct mmu_interval_notifier_ops regcache_interval_ops = {
	.invalidate = regcache_invalidate,
};

/* One more, if there may be one more. */
static int reg_count(struct mirror *m, bool may_wait)
{
	struct mirror_regcache *rc = &m->regcache;

	while (!atomic_add_unless(&rc->nr, 1, REG_MAX)) {
		/* Are there any that end by themselves? */
		if (!may_wait || READ_ONCE(rc->linked) >= REG_MAX)
			return -ENOSPC;
		if (wait_var_event_killable(&rc->nr,
					    atomic_read(&rc->nr) < REG_MAX ||
					    READ_ONCE(rc->linked) >= REG_MAX))
			return -EINTR;
	}
	return 0;
}

/* A registration with its subscription, not linked. */
static struct mirror_reg *reg_new(struct mirror *m, unsigned long first,
				  unsigned long last, bool may_wait)
{
	struct mirror_reg *reg;
	int ret;

	if (mirror_should_fail(m))
		return ERR_PTR(-ENOMEM);
	ret = reg_count(m, may_wait);
	if (ret)
		return ERR_PTR(ret);

	reg = kzalloc(sizeof(*reg), GFP_KERNEL_ACCOUNT);
	if (!reg) {
		reg_uncount(m);
		return ERR_PTR(-ENOMEM);
	}
	reg->m = m;
	reg->pages.start = first;
	reg->pages.last = last;
	refcount_set(&reg->users, 1);

	ret = mmu_interval_notifier_insert(&reg->sub, m->mm,
					   first << PAGE_SHIFT,
					   (last - first + 1) << PAGE_SHIFT,
					   &regcache_interval_ops);
	if (ret) {
		reg_free(reg);
		return ERR_PTR(ret);
	}
	return reg;
}

/*
 * Make a registration and link it. Upon return there are two users: being linked,
 * and the caller. mirror.use is held for reading.
 */
static struct mirror_reg *reg_make(struct mirror *m, unsigned long first,
				   unsigned long last, bool keyless,
				   bool writable, bool may_wait)
{
	struct mirror_regcache *rc = &m->regcache;
	struct mirror_reg *reg;
	u32 slot;
	int ret;

	reg = reg_new(m, first, last, may_wait);
	if (IS_ERR(reg))
		return reg;
	reg->keyless = keyless;
	reg->writable = writable;

	/* Storing to what is reserved allocates nothing. */
	ret = mirror_should_fail(m) ? -ENOMEM :
	      xa_alloc(&rc->keys, &slot, NULL, XA_LIMIT(0, REG_MAX - 1),
		       GFP_KERNEL);
	if (ret) {
		reg_put(reg);
		return ERR_PTR(ret);
	}

	mirror_mutex_lock(m);
	reg->key = ++rc->generation << REG_SLOT_BITS | slot;
	xa_store(&rc->keys, slot, reg, 0);
	interval_tree_insert(&reg->pages, &rc->regs);
	reg->linked = true;
	reg->valid = keyless;
	WRITE_ONCE(rc->linked, rc->linked + 1);
	rc->keyless += keyless;
	refcount_inc(&reg->users);
	mirror_mutex_unlock(m);
	return reg;
}

/* Under the device lock: the registration of that key, valid or not; or NULL. */
static struct mirror_reg *reg_find(struct mirror *m, u64 key)
{
	struct mirror_reg *reg;

	reg = xa_load(&m->regcache.keys, key & REG_SLOT_MASK);
	return reg && reg->key == key ? reg : NULL;
}

/* Under the device lock: why is there no registration of that key? */
static int reg_missing(struct mirror *m, u64 key)
{
	u64 generation = key >> REG_SLOT_BITS;

	if (!generation || generation > m->regcache.generation)
		return -ENOKEY;
	return -EKEYREVOKED;
}

/* Under the device lock: the registration of a key that user space has. */
static struct mirror_reg *reg_find_valid(struct mirror *m, u64 key)
{
	struct mirror_reg *reg = reg_find(m, key);

	if (!reg)
		return ERR_PTR(reg_missing(m, key));
	/* It can be guessed, but was not given to anybody. */
	if (!reg->valid || reg->keyless)
		return ERR_PTR(-ENOKEY);
	return reg;
}

/* The end of the mm, or of the subscription. */
static void regcache_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct mirror *m = container_of(sub, struct mirror, regcache.sub);

	mirror_mutex_lock(m);
	mirror_check_subscribed(m);
	WRITE_ONCE(m->live, false);
	reg_kill_all(m);
	mirror_mutex_unlock(m);

	mirror_count(m, MIRROR_STAT_RELEASE);
}

static const struct mmu_notifier_ops regcache_list_ops = {
	.release = regcache_release,
};

static int regcache_subscribe(struct mirror *m, unsigned long start,
			      unsigned long length)
{
	if (mirror_should_fail(m))
		return -ENOMEM;
	memset(&m->regcache.sub, 0, sizeof(m->regcache.sub));
	m->regcache.sub.ops = &regcache_list_ops;
	return mmu_notifier_register(&m->regcache.sub, m->mm);
}

static int regcache_move(struct mirror *m, unsigned long start,
			 unsigned long length)
{
	mirror_mutex_lock(m);
	reg_kill_all(m);
	mirror_mutex_unlock(m);
	return 0;
}

static void regcache_unsubscribe(struct mirror *m)
{
	mirror_mutex_lock(m);
	reg_kill_all(m);
	mirror_mutex_unlock(m);

	/* All at once: the longest range in flight, not the sum of them. */
	wait_var_event(&m->regcache.nr, !atomic_read(&m->regcache.nr));
	mmu_notifier_unregister(&m->regcache.sub, m->mm);
}

/* The registration to fault a page under, with a user, or NULL. */
static struct mirror_reg *reg_get(struct mirror *m,
				  const struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	struct interval_tree_node *pages;
	struct mirror_reg *reg = NULL;

	mirror_mutex_lock(m);
	if (fault->key) {
		reg = reg_find(m, fault->key);
		if (!reg)
			reg = ERR_PTR(reg_missing(m, fault->key));
	} else {
		pages = interval_tree_iter_first(&m->regcache.regs, index,
						 index);
		if (pages)
			reg = container_of(pages, struct mirror_reg, pages);
	}
	if (!IS_ERR_OR_NULL(reg))
		refcount_inc(&reg->users);
	mirror_mutex_unlock(m);
	return reg;
}

static int regcache_translate(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	struct mirror_reg *reg;
	bool made;
	int ret;

	reg = reg_get(m, fault);
	made = !reg;
	if (made)
		reg = reg_make(m, index, index, true, true, !fault->engine);
	if (IS_ERR(reg))
		return PTR_ERR(reg);

	fault->reg = reg->key;
	ret = mirror_hmm_translate(m, &reg->sub, fault);
	if (ret && made) {
		mirror_mutex_lock(m);
		if (reg->linked)
			reg_kill(m, reg);
		mirror_mutex_unlock(m);
	}
	reg_put(reg);
	return ret;
}

static bool regcache_collided(struct mirror *m,
			      const struct mirror_fault *fault)
{
	struct mirror_reg *reg = reg_find(m, fault->reg);

	return !reg || mmu_interval_read_retry(&reg->sub, fault->seq);
}

const struct mirror_personality mirror_regcache_ops = {
	.lock = mirror_mutex_lock,
	.lock_nosleep = mirror_mutex_lock_nosleep,
	.unlock = mirror_mutex_unlock,
	.relax = mirror_mutex_relax,
	.subscribe = regcache_subscribe,
	.move = regcache_move,
	.unsubscribe = regcache_unsubscribe,
	.translate = regcache_translate,
	.collided = regcache_collided,
};

/**
 * mirror_regcache_init() - make the tables, empty
 * @m: the mirror.
 */
void mirror_regcache_init(struct mirror *m)
{
	xa_init_flags(&m->regcache.keys, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
	m->regcache.regs = RB_ROOT_CACHED;
}

/**
 * mirror_regcache_destroy() - undo mirror_regcache_init()
 * @m: the mirror, not attached.
 */
void mirror_regcache_destroy(struct mirror *m)
{
	WARN_ON_ONCE(atomic_read(&m->regcache.nr));
	xa_destroy(&m->regcache.keys);
}

/**
 * mirror_regcache_allows() - does the key of an access allow it?
 * @m: the mirror.
 * @op: the access.
 *
 * Context: device lock held. The answer is good for as long as it is.
 *
 * Return: 0, -EKEYREVOKED, -ENOKEY or -EACCES.
 */
int mirror_regcache_allows(struct mirror *m, const struct mirror_op *op)
{
	struct mirror_reg *reg = reg_find_valid(m, op->key);
	unsigned long last;

	if (IS_ERR(reg))
		return PTR_ERR(reg);
	if (check_add_overflow(op->addr, op->len ? op->len - 1 : 0, &last) ||
	    op->addr >> PAGE_SHIFT < reg->pages.start ||
	    last >> PAGE_SHIFT > reg->pages.last)
		return -EACCES;
	if (op->kind != MIRROR_OP_READ && !reg->writable)
		return -EACCES;
	return 0;
}

/* Does the caller have a device of this kind? mirror.use is not held. */
static int regcache_may_use(struct mirror *m)
{
	int ret = mirror_get_use(m);

	if (ret)
		return ret;
	if (m->ops != &mirror_regcache_ops)
		ret = -EOPNOTSUPP;
	mirror_put_use(m);
	return ret;
}

/* Make the registration. mirror.use is held for reading. */
static int regcache_begin(struct mirror *m, struct mmu_mirror_register *args)
{
	unsigned long first, last;
	struct mirror_reg *reg;
	int ret;

	if (m->ops != &mirror_regcache_ops)
		return -EOPNOTSUPP;
	if (!args->length)
		return -EINVAL;
	ret = mirror_parse_range(m, args->start, args->length, &first, &last);
	if (ret)
		return ret;
	if (first < m->first || last > m->last)
		return -EFAULT;

	reg = reg_make(m, first, last, false,
		       args->flags & MMU_MIRROR_REG_WRITE, true);
	if (IS_ERR(reg))
		return PTR_ERR(reg);
	args->key = reg->key;
	reg_put(reg);
	return 0;
}

/*
 * Fault every page. mirror.use is released in between, and no user held then: a
 * detach, which waits for users, may come between any two pages.
 */
static int regcache_fill(struct mirror *m,
			 const struct mmu_mirror_register *args)
{
	u64 done;
	int ret = 0;

	for (done = 0; !ret && done < args->length; done += PAGE_SIZE) {
		struct mirror_fault fault = {
			.addr = args->start + done,
			.write = args->flags & MMU_MIRROR_REG_WRITE,
			.key = args->key,
		};

		if (fatal_signal_pending(current))
			return -EINTR;
		ret = mirror_get_use(m);
		if (ret)
			return ret;
		ret = mirror_fault(m, &fault);
		mirror_put_use(m);
		cond_resched();
	}
	return ret;
}

/* The key is good from now on, or there is none; -EAGAIN: fill it again. */
static int regcache_finish(struct mirror *m, u64 key, int ret)
{
	struct mirror_reg *reg;

	mirror_mutex_lock(m);
	reg = reg_find(m, key);
	if (!reg && !ret) {
		ret = -EKEYREVOKED;
	} else if (reg && ret) {
		reg_kill(m, reg);
	} else if (reg && reg->changed) {
		reg->changed = false;
		mirror_count(m, MIRROR_STAT_REPLAYS);
		ret = -EAGAIN;
	} else if (reg) {
		reg->valid = true;
		m->regcache.valid++;
	}
	mirror_mutex_unlock(m);
	return ret;
}

/**
 * mirror_cmd_register() - MMU_MIRROR_REGISTER
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_register.
 *
 * Return: 0 or an error; then there is no registration.
 */
int mirror_cmd_register(struct mirror *m, void *argp)
{
	struct mmu_mirror_register *args = argp;
	int ret;

	args->key = 0;
	if (args->flags & ~MMU_MIRROR_REG_WRITE)
		return -EINVAL;

	ret = mirror_get_use(m);
	if (ret)
		return ret;
	ret = regcache_begin(m, args);
	mirror_put_use(m);
	if (ret)
		return ret;

	do {
		ret = regcache_fill(m, args);
		ret = regcache_finish(m, args->key, ret);
	} while (ret == -EAGAIN);
	if (ret)
		args->key = 0;
	return ret;
}

/**
 * mirror_cmd_deregister() - MMU_MIRROR_DEREGISTER
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_deregister.
 *
 * Context: mirror.use held for reading; the caller's mm is the mirror's.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_deregister(struct mirror *m, void *argp)
{
	struct mmu_mirror_deregister *args = argp;
	struct mirror_reg *reg;
	int ret = 0;

	if (args->flags)
		return -EINVAL;
	if (m->ops != &mirror_regcache_ops)
		return -EOPNOTSUPP;

	mirror_mutex_lock(m);
	reg = reg_find_valid(m, args->key);
	if (IS_ERR(reg))
		ret = PTR_ERR(reg);
	else
		reg_kill(m, reg);
	mirror_mutex_unlock(m);
	return ret;
}

/**
 * mirror_undo_register() - MMU_MIRROR_REGISTER was done, and its key told to nobody
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_register.
 *
 * If it is attached to nothing any more, or to somebody else, the key is no more. If
 * the process dies, the key dies with it.
 */
void mirror_undo_register(struct mirror *m, void *argp)
{
	const struct mmu_mirror_register *args = argp;
	struct mmu_mirror_deregister dereg = { .key = args->key };

	if (mirror_get_use(m))
		return;
	mirror_cmd_deregister(m, &dereg);
	mirror_put_use(m);
}

static int regcache_access(struct mirror *m, struct mmu_mirror_key_access *args,
			   bool write)
{
	struct mirror_op op = {
		.kind = write ? MIRROR_OP_WRITE : MIRROR_OP_READ,
		.key = args->key,
		.addr = args->addr,
		.len = args->length,
	};
	struct mmu_mirror_access access = {
		.flags = args->flags,
		.addr = args->addr,
		.length = args->length,
		.buffer = args->buffer,
	};
	int ret;

	args->done = 0;
	args->faults = 0;
	args->replays = 0;
	if (args->flags & ~MMU_MIRROR_NOFAULT)
		return -EINVAL;
	ret = regcache_may_use(m);
	if (ret)
		return ret;

	/* All of it, before anything is moved; then again page by page. */
	mirror_mutex_lock(m);
	ret = mirror_regcache_allows(m, &op);
	mirror_mutex_unlock(m);
	if (ret)
		return ret;

	ret = mirror_cmd_access(m, &access, args->key, write);
	args->done = access.done;
	args->faults = access.faults;
	args->replays = access.replays;
	return ret;
}

/**
 * mirror_cmd_key_read() - MMU_MIRROR_KEY_READ
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_key_access.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_key_read(struct mirror *m, void *argp)
{
	return regcache_access(m, argp, false);
}

/**
 * mirror_cmd_key_write() - MMU_MIRROR_KEY_WRITE
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_key_access.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_key_write(struct mirror *m, void *argp)
{
	return regcache_access(m, argp, true);
}

/**
 * mirror_cmd_keys() - MMU_MIRROR_KEYS
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_keys.
 *
 * Return: 0 or -EINVAL.
 */
int mirror_cmd_keys(struct mirror *m, void *argp)
{
	struct mirror_regcache *rc = &m->regcache;
	struct mmu_mirror_keys *args = argp;
	int nr;

	if (args->flags)
		return -EINVAL;

	args->limit = REG_MAX;
	mirror_mutex_lock(m);
	nr = atomic_read(&rc->nr);
	args->valid = rc->valid;
	args->keyless = rc->keyless;
	args->ending = nr > rc->linked ? nr - rc->linked : 0;
	args->revoked = rc->revoked;
	mirror_mutex_unlock(m);
	return 0;
}
