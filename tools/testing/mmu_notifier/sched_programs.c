// SPDX-License-Identifier: GPL-2.0
/*
 * Programs for the systematic scheduler, and what has to hold in each of their
 * schedules.
 *
 * The model. A page table has one entry, which holds the number of a page. A
 * range changes it, and its page is *dead* from then on. A device reads the
 * entry, keeps the page's number in an SPTE under its own lock, and uses it
 * there. To use a dead page is the failure that everything is about (R1-R3). The
 * entry is an ordinary variable, stored to without any barrier: whatever order
 * is needed comes from the core.
 *
 * Beside that: callbacks after the end of a subscription (R6), starts without
 * ends (R5), waits that do not end (R9), memory that is used after it was freed.
 */

#include "sched_model.h"
#include "sched_programs.h"

struct book {
	unsigned int running;	/* callbacks */
	bool ended;		/* no callback may come */
};

static omniscient void enter(struct book *book)
{
	sched_expect(!book->ended);
	book->running++;
}

static omniscient void leave(struct book *book)
{
	book->running--;
}

static omniscient void end(struct book *book)
{
	sched_expect(!book->ended);
	sched_expect(!book->running);
	book->ended = true;
}

static omniscient bool ended(const struct book *book)
{
	return book->ended;
}

struct mm_struct mm;
unsigned long pte;
static unsigned int pages;		/* numbers given */
static bool dead[16];

void model_init(void)
{
	mm.mm_users.counter = 1;
	mm.mm_count.counter = 1;
	pte = ++pages;
}

static omniscient void kill_page(unsigned long page)
{
	dead[page] = true;
}

omniscient bool is_dead(unsigned long page)
{
	return dead[page];
}

/* Change the entry. The old page may be given to somebody else at once. */
void change_pte(void)
{
	unsigned long old = pte, new = ++pages;

	sched_expect(new < ARRAY_SIZE(dead));
	WRITE_ONCE(pte, new);
	kill_page(old);
}

static void range_init(struct mmu_notifier_range *range, unsigned int first, unsigned int nr)
{
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, &mm, PAGE(first), PAGE(first + nr));
}

/*
 * A device with an interval subscription
 */

struct device {
	struct mmu_interval_notifier sub;
	struct mmu_interval_notifier_finish finish;
	spinlock_t lock;
	unsigned long spte;
	unsigned int calls;
	unsigned int unfinished;
	bool removed;		/* an asynchronous removal has called back */
	struct book book;
	bool refuse;
	bool remove_self;
};

static struct device *devs[4];

static void device_removed(struct mmu_interval_notifier *sub);

static bool device_invalidate(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	struct device *dev = container_of(sub, struct device, sub);

	sched_expect(range->start <= sub->interval_tree.last &&
		     range->end > sub->interval_tree.start);
	if (dev->refuse && !mmu_notifier_range_blockable(range))
		return false;
	enter(&dev->book);
	spin_lock(&dev->lock);
	mmu_interval_set_seq(sub, seq);
	dev->spte = 0;
	dev->calls++;
	spin_unlock(&dev->lock);
	if (dev->remove_self) {
		dev->remove_self = false;
		mmu_interval_notifier_remove_async(sub, device_removed);
	}
	leave(&dev->book);
	return true;
}

static bool device_start(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
			 unsigned long seq, struct mmu_interval_notifier_finish **finish)
{
	struct device *dev = container_of(sub, struct device, sub);

	*finish = &dev->finish;
	dev->unfinished++;
	enter(&dev->book);
	return device_invalidate(sub, range, seq);
}

static void device_finish(struct mmu_interval_notifier_finish *finish)
{
	struct device *dev = container_of(finish->notifier, struct device, sub);

	sched_point();
	sched_expect(dev->unfinished);
	dev->unfinished--;
	leave(&dev->book);
}

const struct mmu_interval_notifier_ops one_pass = {
	.invalidate = device_invalidate,
};

static const struct mmu_interval_notifier_ops two_pass = {
	.invalidate_start = device_start,
	.invalidate_finish = device_finish,
};

static struct device *device_new(void)
{
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	spin_lock_init(&dev->lock);
	return dev;
}

struct device *device_insert(unsigned int first, unsigned int nr,
			     const struct mmu_interval_notifier_ops *ops)
{
	struct device *dev = device_new();

	sched_expect(!mmu_interval_notifier_insert(&dev->sub, &mm, PAGE(first), nr * PAGE_SIZE,
						   ops));
	return dev;
}

void device_refuses(struct device *dev)
{
	dev->refuse = true;
}

/* One attempt to map the page and use it. False: to be repeated. */
bool device_fault(struct device *dev)
{
	unsigned long seq = mmu_interval_read_begin(&dev->sub), page;
	bool retry;

	page = READ_ONCE(pte);
	spin_lock(&dev->lock);
	retry = mmu_interval_read_retry(&dev->sub, seq);
	if (!retry) {
		dev->spte = page;
		sched_expect(!is_dead(page));
	}
	spin_unlock(&dev->lock);
	return !retry;
}

/* It has an SPTE, perhaps: use it. */
void device_use(struct device *dev)
{
	spin_lock(&dev->lock);
	sched_expect(!dev->spte || !is_dead(dev->spte));
	spin_unlock(&dev->lock);
}

void device_remove(struct device *dev)
{
	mmu_interval_notifier_remove(&dev->sub);
	end(&dev->book);
	kfree(dev);
}

static void device_removed(struct mmu_interval_notifier *sub)
{
	struct device *dev = container_of(sub, struct device, sub);

	end(&dev->book);
	dev->removed = true;
}

/*
 * Threads
 */

static void invalidate(unsigned int first, unsigned int nr)
{
	struct mmu_notifier_range range;

	range_init(&range, first, nr);
	mmu_notifier_invalidate_range_start(&range);
	change_pte();
	mmu_notifier_invalidate_range_end(&range);
}

static void invalidate_0(void)
{
	invalidate(0, 1);
}

static void invalidate_twice(void)
{
	invalidate(0, 1);
	invalidate(0, 1);
}

/* The core's parts are there, and nothing is subscribed where it happens. */
static void init_far(void)
{
	model_init();
	devs[3] = device_insert(1000, 1, &one_pass);
}

static void init_one(void)
{
	init_far();
	devs[0] = device_insert(0, 1, &one_pass);
}

/* The interval half is on, and its index empty. */
static void init_empty(void)
{
	model_init();
	device_remove(device_insert(1000, 1, &one_pass));
}

static void init_single(void)
{
	model_init();
	devs[0] = device_insert(0, 1, &one_pass);
}

static void insert_and_fault(void)
{
	devs[0] = device_insert(0, 1, &one_pass);
	device_fault(devs[0]);
	device_use(devs[0]);
}

static void insert_two_and_fault(void)
{
	devs[1] = device_insert(0, 1, &one_pass);
	insert_and_fault();
}

static void fault(void)
{
	device_fault(devs[0]);
	device_use(devs[0]);
}

static void fault_twice(void)
{
	fault();
	fault();
}

static void use_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devs); i++)
		if (devs[i])
			device_use(devs[i]);
	sched_expect(list_empty(&mm.notifier_subscriptions->intervals.active));
}

static void remove_0(void)
{
	device_remove(devs[0]);
	devs[0] = NULL;
}

/* Two readers of a subscription that was inserted while the range was in flight */
static bool is_inserted(void *unused)
{
	return devs[0];
}

static void fault_when_inserted(void)
{
	sched_wait(is_inserted, NULL);
	fault();
}

static void insert_publish_fault(void)
{
	struct device *dev = device_insert(0, 1, &one_pass);

	sched_drain();
	devs[0] = dev;
	fault();
}

/* R9: the younger range ends only when the reader, or remover, has returned. */
static bool returned;

static bool has_returned(void *unused)
{
	return returned;
}

static bool older_in_flight(void *unused)
{
	return READ_ONCE(pte) > 1;
}

/* Whoever waits has drawn its ticket. */
static bool somebody_waits(void *unused)
{
	return returned || !list_empty(&mm.notifier_subscriptions->intervals.wq.head);
}

static void hand_over(void)
{
	struct mmu_notifier_range older, younger;

	range_init(&older, 0, 1);
	range_init(&younger, 0, 1);
	mmu_notifier_invalidate_range_start(&older);
	change_pte();
	sched_drain();
	sched_wait(somebody_waits, NULL);
	mmu_notifier_invalidate_range_start(&younger);
	mmu_notifier_invalidate_range_end(&older);
	sched_wait(has_returned, NULL);
	mmu_notifier_invalidate_range_end(&younger);
}

static void fault_between(void)
{
	sched_wait(older_in_flight, NULL);
	device_fault(devs[0]);
	sched_drain();
	returned = true;
}

static void remove_between(void)
{
	sched_wait(older_in_flight, NULL);
	remove_0();
	sched_drain();
	returned = true;
}

/* Y does not wait for X (R9) */
static void hold_beside(void)
{
	struct mmu_notifier_range range;

	range_init(&range, 8, 1);
	mmu_notifier_invalidate_range_start(&range);
	sched_wait(has_returned, NULL);
	mmu_notifier_invalidate_range_end(&range);
}

static void insert_fault_remove(void)
{
	insert_and_fault();
	remove_0();
	sched_drain();
	returned = true;
}

/* A range that ends on another CPU, while the next one claims slots on the first */
static void invalidate_and_move(void)
{
	struct mmu_notifier_range range;

	range_init(&range, 0, 1);
	mmu_notifier_invalidate_range_start(&range);
	sched_on_cpu(2);
	change_pte();
	mmu_notifier_invalidate_range_end(&range);
}

static void invalidate_beside_on_cpu_0(void)
{
	struct mmu_notifier_range range;

	sched_on_cpu(0);
	range_init(&range, 8, 1);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
}

/* The slot of one that overlaps is used again by one that does not. */
static void invalidate_and_hold_beside(void)
{
	invalidate_0();
	hold_beside();
}

static void insert_fault_return(void)
{
	insert_and_fault();
	sched_drain();
	returned = true;
}

/* More ranges at once than there are slots */
static void invalidate_nested(void)
{
	struct mmu_notifier_range ranges[5];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		range_init(&ranges[i], i == 4 ? 0 : 20 + i, 1);
		mmu_notifier_invalidate_range_start(&ranges[i]);
	}
	change_pte();
	while (i--)
		mmu_notifier_invalidate_range_end(&ranges[i]);
}

/* Asynchronous removal */
static void init_worker(void)
{
	init_one();
}

static void remove_async(void)
{
	mmu_interval_notifier_remove_async(&devs[0]->sub, device_removed);
}

static void done_removed(void)
{
	sched_expect(devs[0]->removed);
	sched_expect(mm.mm_count.counter == 2);
}

static void init_remove_self(void)
{
	init_one();
	devs[0]->remove_self = true;
}

static void remove_async_and_synchronize(void)
{
	remove_async();
	mmu_notifier_synchronize();
	sched_expect(devs[0]->removed);
}

/* Two passes */
static void init_two_pass(void)
{
	init_far();
	devs[0] = device_insert(0, 1, &two_pass);
	devs[1] = device_insert(0, 1, &one_pass);
}

/* A range that is refused */
static void init_refusing(void)
{
	init_two_pass();
	devs[1]->refuse = true;
}

static void invalidate_nonblock(void)
{
	struct mmu_notifier_range range;

	range_init(&range, 0, 1);
	if (!mmu_notifier_invalidate_range_start_nonblock(&range)) {
		change_pte();
		mmu_notifier_invalidate_range_end(&range);
	}
	sched_expect(!devs[0] || !devs[0]->unfinished);
}

/* Many for one range: with batches of two there is a cursor. */
static void init_many(void)
{
	init_far();
	devs[0] = device_insert(0, 1, &one_pass);
	devs[1] = device_insert(1, 1, &one_pass);
	devs[2] = device_insert(2, 1, &one_pass);
}

static void invalidate_many(void)
{
	invalidate(0, 4);
}

static void remove_1(void)
{
	device_remove(devs[1]);
	devs[1] = NULL;
}

static void fault_2(void)
{
	device_fault(devs[2]);
	device_use(devs[2]);
}

static void done_many(void)
{
	sched_expect(devs[0]->calls == 1);
	sched_expect(devs[2]->calls == 1);
	use_all();
}

/* Insertions while a range looks at the index */
static void insert_beside(void)
{
	devs[1] = device_insert(4, 1, &one_pass);
}

/*
 * A device with a list subscription: counts ranges, as a hypervisor does
 */

struct hypervisor {
	struct mmu_notifier notifier;
	spinlock_t lock;
	unsigned long spte;
	unsigned int in_progress;
	unsigned long seq;
	struct book book;
	bool refuse;
	unsigned int releases;
};

static struct hypervisor *vm, *vm2;
static int releasing;

static omniscient int note_releasing(int more)
{
	return releasing += more;
}

static int vm_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct hypervisor *v = container_of(notifier, struct hypervisor, notifier);

	if (v->refuse && !mmu_notifier_range_blockable(range))
		return -EAGAIN;
	enter(&v->book);
	spin_lock(&v->lock);
	v->in_progress++;
	v->spte = 0;
	spin_unlock(&v->lock);
	leave(&v->book);
	return 0;
}

static void vm_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct hypervisor *v = container_of(notifier, struct hypervisor, notifier);

	enter(&v->book);
	spin_lock(&v->lock);
	sched_expect(v->in_progress);
	v->in_progress--;
	v->seq++;
	spin_unlock(&v->lock);
	leave(&v->book);
}

static void vm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct hypervisor *v = container_of(notifier, struct hypervisor, notifier);

	enter(&v->book);
	note_releasing(1);
	sched_point();
	spin_lock(&v->lock);
	v->releases++;
	v->spte = 0;
	spin_unlock(&v->lock);
	note_releasing(-1);
	leave(&v->book);
}

static struct mmu_notifier *vm_alloc(struct mm_struct *mm)
{
	return NULL;
}

static void vm_free(struct mmu_notifier *notifier)
{
	struct hypervisor *v = container_of(notifier, struct hypervisor, notifier);

	end(&v->book);
}

static const struct mmu_notifier_ops vm_ops = {
	.release = vm_release,
	.invalidate_range_start = vm_start,
	.invalidate_range_end = vm_end,
	.alloc_notifier = vm_alloc,
	.free_notifier = vm_free,
};

static struct hypervisor *vm_new(void)
{
	struct hypervisor *v = kzalloc(sizeof(*v), GFP_KERNEL);

	spin_lock_init(&v->lock);
	v->notifier.ops = &vm_ops;
	return v;
}

static void vm_fault(struct hypervisor *v)
{
	unsigned long seq, page;

	spin_lock(&v->lock);
	seq = v->seq;
	spin_unlock(&v->lock);
	page = READ_ONCE(pte);
	spin_lock(&v->lock);
	if (!v->in_progress && seq == v->seq) {
		v->spte = page;
		sched_expect(!is_dead(page));
	}
	spin_unlock(&v->lock);
}

static void vm_use(struct hypervisor *v)
{
	spin_lock(&v->lock);
	sched_expect(!v->spte || !is_dead(v->spte));
	spin_unlock(&v->lock);
}

static struct hypervisor *vm_register(void)
{
	struct hypervisor *v = vm_new();

	sched_expect(!mmu_notifier_register(&v->notifier, &mm));
	return v;
}

static void register_and_fault(void)
{
	vm = vm_register();
	vm_fault(vm);
	vm_use(vm);
}

static void done_vm(void)
{
	struct hypervisor *v[] = { vm, vm2 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(v); i++) {
		if (!v[i])
			continue;
		vm_use(v[i]);
		sched_expect(!v[i]->in_progress);
	}
}

static void init_vm(void)
{
	model_init();
	vm = vm_register();
}

static void register_second_and_fault(void)
{
	vm2 = vm_register();
	vm_fault(vm2);
	vm_use(vm2);
}

static void vm_end_of(struct hypervisor **v)
{
	mmu_notifier_unregister(&(*v)->notifier, &mm);
	end(&(*v)->book);
	sched_expect((*v)->releases == 1);
	kfree(*v);
	*v = NULL;
}

static void unregister(void)
{
	vm_end_of(&vm);
}

static void exit_mm(void)
{
	__mmu_notifier_release(&mm);
	/* Now pages are freed: nobody may hold one. */
	kill_page(pte);
	sched_expect(!note_releasing(0));
}

static void vm_fault_only(void)
{
	vm_fault(vm);
}

static void put(void)
{
	mmu_notifier_put(&vm->notifier);
}

static void put_and_synchronize(void)
{
	put();
	mmu_notifier_synchronize();
	sched_expect(ended(&vm->book));
}

static void done_put(void)
{
	sched_expect(ended(&vm->book));
	sched_expect(mm.mm_count.counter == 1);
}

static void init_vm_and_far(void)
{
	init_vm();
	devs[3] = device_insert(1000, 1, &one_pass);
}

static void init_two_vms(void)
{
	model_init();
	vm = vm_register();
	vm->refuse = true;
	vm2 = vm_register();
}

static void vm2_invalidate_nonblock(void)
{
	struct mmu_notifier_range range;

	range_init(&range, 0, 1);
	/* Unless the one that refuses has gone. */
	if (!mmu_notifier_invalidate_range_start_nonblock(&range))
		mmu_notifier_invalidate_range_end(&range);
}

static void insert_first_and_fault(void)
{
	insert_and_fault();
}

/*
 * The first subscription of all: a range that has found nobody is in flight under
 * one of the locks that registration has to pass through.
 */
static struct address_space mapping;
static struct anon_vma anon;
static struct anon_vma_chain anon_chain;
static struct vm_area_struct vma;

static void init_vma(void)
{
	static typeof(*vma.vm_file) file = { &mapping };

	model_init();
	anon.root = &anon;
	anon_chain.anon_vma = &anon;
	vma.vm_file = &file;
	INIT_LIST_HEAD(&vma.anon_vma_chain);
	list_add(&anon_chain.same_vma, &vma.anon_vma_chain);
	mm.vmas = &vma;
}

static void invalidate_under(shim_mutex_t *lock)
{
	shim_mutex_lock(lock);
	invalidate_0();
	shim_mutex_unlock(lock);
}

static void invalidate_under_mapping(void)
{
	invalidate_under(&mapping.lock);
}

static void invalidate_under_anon(void)
{
	invalidate_under(&anon.lock);
}

static void invalidate_under_vma(void)
{
	invalidate_under(&vma.lock);
}

/* The first registration is given up for a signal, and the next one made. */
static void register_again_and_fault(void)
{
	struct hypervisor *v = vm_new();

	shim_fatal_signal = true;
	sched_expect(mmu_notifier_register(&v->notifier, &mm) == -EINTR);
	shim_fatal_signal = false;
	kfree(v);
	register_and_fault();
}

/*
 * Who waits for a slot does not go on to wait for the next range in it. That it
 * waits is told by the mark in the slot's first word.
 */
static bool is_marked(void *slot)
{
	return *(unsigned long *)slot & 2;
}

static bool in_slot;

static bool is_in_slot(void *unused)
{
	return in_slot;
}

static void hand_over_slot(void)
{
	struct mmu_notifier_range older, younger;

	range_init(&older, 8, 1);
	range_init(&younger, 8, 1);
	mmu_notifier_invalidate_range_start(&older);
	sched_drain();
	in_slot = true;
	sched_wait(is_marked, older.slot);
	mmu_notifier_invalidate_range_end(&older);
	mmu_notifier_invalidate_range_start(&younger);
	sched_wait(has_returned, NULL);
	mmu_notifier_invalidate_range_end(&younger);
}

static void register_return(void)
{
	sched_wait(is_in_slot, NULL);
	vm = vm_register();
	sched_drain();
	returned = true;
}

/* Subscriptions to one byte: the first and the last one of the range */
static void insert_byte(unsigned long byte)
{
	devs[0] = device_new();
	sched_expect(!mmu_interval_notifier_insert(&devs[0]->sub, &mm, PAGE(0) + byte, 1,
						   &one_pass));
}

static void init_first_byte(void)
{
	init_far();
	insert_byte(0);
}

static void init_last_byte(void)
{
	init_far();
	insert_byte(PAGE_SIZE - 1);
}

static void insert_first_byte_and_fault(void)
{
	insert_byte(0);
	fault();
}

static void insert_last_byte_and_fault(void)
{
	insert_byte(PAGE_SIZE - 1);
	fault();
}

/* The order is from simple to large: the first one that fails says most. */
const struct sched_program sched_programs[] = {
	{
		"start-insert", "a range against an insertion and its first reader",
		init_far, { invalidate_0, insert_and_fault }, use_all, 4, 1,
	}, {
		"start-read", "two ranges against a reader",
		init_one, { invalidate_twice, fault }, use_all, 3, 1,
	}, {
		"start-read-read", "a range against a reader that has read before",
		init_one, { invalidate_0, fault_twice }, use_all, 3, 1,
	}, {
		"start-start-read", "two ranges at once against a reader",
		init_one, { invalidate_0, fault, invalidate_0 }, use_all, 3, 0,
	}, {
		"start-insert-two-readers", "a range against an insertion and two first readers",
		init_far, { invalidate_0, insert_publish_fault, fault_when_inserted },
		use_all, 3, 0,
	}, {
		"start-remove", "a range against a removal; the memory is freed at once",
		init_one, { invalidate_0, remove_0 }, use_all, 4, 1,
	}, {
		"start-start-remove", "two ranges at once against a removal",
		init_single, { invalidate_0, remove_0, invalidate_0 }, use_all, 3, 0,
	}, {
		"read-is-bounded", "a reader against a hand-over to a younger range",
		init_one, { hand_over, fault_between }, use_all, 3, 0,
	}, {
		"remove-is-bounded", "a removal against a hand-over to a younger range",
		init_one, { hand_over, remove_between }, use_all, 3, 0,
	}, {
		"beside", "insertion, reader and removal while a range beside is held",
		init_far, { hold_beside, insert_fault_remove }, use_all, 3, 1,
	}, {
		"slot-moves", "a range ends on another CPU; its slot is claimed again",
		init_empty, { invalidate_and_move, insert_and_fault, invalidate_beside_on_cpu_0 },
		use_all, 3, 0,
	}, {
		"slot-to-list", "a range moves from its slot to the list between two insertions",
		init_far, { invalidate_0, insert_two_and_fault }, use_all, 3, 0,
	}, {
		"slot-again", "a reader while the slot is used by a range beside",
		init_empty, { invalidate_and_hold_beside, insert_fault_return }, use_all, 4, 1,
	}, {
		"slots-run-out", "a fifth range at once against an insertion and its reader",
		init_far, { invalidate_nested, insert_and_fault }, use_all, 3, 0,
	}, {
		"two-passes", "a range in two passes against a removal",
		init_two_pass, { invalidate_0, remove_0 }, use_all, 3, 0,
	}, {
		"refused", "a refused range against a reader",
		init_refusing, { invalidate_nonblock, fault }, use_all, 3, 1,
	}, {
		"refused-remove", "a refused range against a removal",
		init_refusing, { invalidate_nonblock, remove_1 }, use_all, 3, 0,
	}, {
		"cursor-remove", "a range over three subscriptions, one of which goes",
		init_many, { invalidate_many, remove_1, fault_2 }, done_many, 3, 0,
	}, {
		"insert-insert", "a range and a reader while another insertion changes the index",
		init_far, { invalidate_0, insert_and_fault, insert_beside }, use_all, 3, 0,
	}, {
		"remove-async", "a range against a removal that does not wait",
		init_worker, { invalidate_0, remove_async }, done_removed, 3, 0, true,
	}, {
		"remove-async-self", "a removal from the subscription's own callback",
		init_remove_self, { invalidate_0, fault }, done_removed, 3, 0, true,
	}, {
		"remove-async-synchronize", "mmu_notifier_synchronize() against a range",
		init_worker, { invalidate_0, remove_async_and_synchronize },
		done_removed, 3, 0, true,
	}, {
		"register-intervals", "the first list registration, intervals being there",
		init_far, { invalidate_0, register_and_fault }, done_vm, 4, 1,
	}, {
		"register-active", "the same while the range is in the active list",
		init_one, { invalidate_0, register_and_fault }, done_vm, 3, 0,
	}, {
		"register-second", "a second list registration against a range",
		init_vm, { invalidate_0, register_second_and_fault }, done_vm, 4, 1,
	}, {
		"insert-first", "the first insertion, a list subscription being there",
		init_vm, { invalidate_0, insert_first_and_fault }, use_all, 3, 0,
	}, {
		"list-fault", "ranges against a hypervisor's fault",
		init_vm, { invalidate_twice, vm_fault_only }, done_vm, 3, 1,
	}, {
		"unregister", "a range against an unregistration; the memory is freed at once",
		init_vm, { invalidate_0, unregister }, NULL, 4, 1,
	}, {
		"unregister-register", "a range while one goes and another one comes",
		init_vm, { invalidate_0, unregister, register_second_and_fault }, done_vm, 3, 0,
	}, {
		"exit-unregister", "exit against an unregistration",
		init_vm, { exit_mm, unregister }, NULL, 4, 0,
	}, {
		"exit-remove", "exit against a removal",
		init_one, { exit_mm, remove_0 }, NULL, 4, 0,
	}, {
		"put", "a range against the last put",
		init_vm, { invalidate_0, put }, done_put, 3, 0, true,
	}, {
		"put-synchronize", "mmu_notifier_synchronize() against a range",
		init_vm, { invalidate_0, put_and_synchronize }, done_put, 3, 0, true,
	}, {
		"exit-put", "exit against the last put",
		init_vm, { exit_mm, put }, done_put, 3, 0, true,
	}, {
		"list-refuses",
		"a range that a list subscription refuses against an unregistration",
		init_two_vms, { vm2_invalidate_nonblock, unregister }, done_vm, 3, 0,
	}, {
		"both-halves", "a range with both halves on against an insertion and its reader",
		init_vm_and_far, { invalidate_0, insert_and_fault }, use_all, 3, 1,
	}, {
		"register-first-mapping", "the first registration, a range under i_mmap_rwsem",
		init_vma, { invalidate_under_mapping, register_and_fault }, done_vm, 4, 1,
	}, {
		"register-first-anon", "the first registration, a range under the anon_vma lock",
		init_vma, { invalidate_under_anon, register_and_fault }, done_vm, 4, 1,
	}, {
		"register-again", "the same after a registration that a signal has ended",
		init_vma, { invalidate_under_mapping, register_again_and_fault }, done_vm, 3, 0,
	}, {
		"insert-first-vma", "the first insertion of all, a range under the VMA's lock",
		init_vma, { invalidate_under_vma, insert_and_fault }, use_all, 3, 0,
	}, {
		"register-is-bounded", "a registration against a hand-over within a slot",
		init_far, { hand_over_slot, register_return }, done_vm, 3, 0,
	}, {
		"first-byte", "a range against a reader of its first byte",
		init_first_byte, { invalidate_0, fault }, use_all, 3, 1,
	}, {
		"last-byte", "a range against a reader of its last byte",
		init_last_byte, { invalidate_0, fault }, use_all, 3, 1,
	}, {
		"insert-first-byte", "a range against an insertion and reader of its first byte",
		init_far, { invalidate_0, insert_first_byte_and_fault }, use_all, 3, 0,
	}, {
		"insert-last-byte", "a range against an insertion and reader of its last byte",
		init_far, { invalidate_0, insert_last_byte_and_fault }, use_all, 3, 0,
	}, {
	}
};
