// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: real memory, real page tables, real system
 * calls.
 *
 * A *window* is some addresses of an mm, with an interval subscription over them, a
 * list subscription beside it, and SPTEs which are pointers to pages, without
 * references. The first word of each page in it is 0, or a word that depends on its
 * address and is never changed; the second one counts what the device wrote. Entries
 * are made of pages with that first word only. So a page that is gone shows, provided
 * that pages are cleared when they are freed: boot with init_on_free=1.
 *
 * The windows of *churners* are in mms without a process; they map, unmap, truncate,
 * page out, and compare what the device wrote. Processes *attach* windows of theirs
 * by writing "START LENGTH", in bytes, to mmu_notifier_torture/attach in debugfs, and
 * fork, exit or are killed as they like; see mmu_torture_churn.c of the selftests.
 *
 * Checked are R2 (an SPTE reaches a page that is another one; a write is lost), R5
 * (an end without start), R6 (anything after the end; release once).
 */

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmap_lock.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mmu_notifier_torture.h"

#define MMT_WINDOW	32	/* pages */
#define MMT_WORD	0x6d6d755f746f7274UL
#define MMT_MAX_ATTACHED	256

/**
 * struct mmt_window - addresses that a device uses
 * @node: in mmt_windows.
 * @mm: the mm; held by the subscriptions.
 * @interval: the subscription to the addresses.
 * @list: the subscription to the mm.
 * @start: first address, in bytes.
 * @pages: how many.
 * @attached: by a process; whoever sees it dead ends it.
 * @releases: calls of release.
 * @lock: guards what follows, and is the driver's lock of @interval.
 * @in_progress: starts without end of @list.
 * @dead: no entry may be made any more.
 * @ended: no callback may come any more.
 * @frozen: nothing may be written for now.
 * @sptes: the entries.
 * @writes: what the device wrote to each.
 * @absent: of a churner's: what the words are is not known, for want of memory. Only
 *	the churner looks at it.
 */
struct mmt_window {
	struct list_head node;
	struct mm_struct *mm;
	struct mmu_interval_notifier interval;
	struct mmu_notifier list;
	unsigned long start;
	unsigned int pages;
	bool attached;
	atomic_t releases;
	spinlock_t lock;	/* see above */
	int in_progress;
	bool dead;
	bool ended;
	bool frozen;
	struct page *sptes[MMT_WINDOW];
	unsigned long writes[MMT_WINDOW];
	bool absent[MMT_WINDOW];
};

static DECLARE_RWSEM(mmt_windows_lock);	/* guards mmt_windows, and their life */
static LIST_HEAD(mmt_windows);
static unsigned int mmt_nr_attached;
static struct dentry *mmt_debugfs;

static unsigned long mmt_word(unsigned long address)
{
	return address ^ MMT_WORD;
}

static void mmt_window_drop(struct mmt_window *window, unsigned int i)
{
	lockdep_assert_held(&window->lock);
	if (!window->sptes[i])
		return;
	if (window->writes[i])
		folio_mark_dirty(page_folio(window->sptes[i]));
	window->sptes[i] = NULL;
}

static void mmt_window_kill(struct mmt_window *window)
{
	unsigned int i;

	spin_lock(&window->lock);
	window->dead = true;
	for (i = 0; i < window->pages; i++)
		mmt_window_drop(window, i);
	spin_unlock(&window->lock);
}

static bool mmt_window_invalidate(struct mmu_interval_notifier *notifier,
				  const struct mmu_notifier_range *range,
				  unsigned long cur_seq)
{
	struct mmt_window *window = container_of(notifier, struct mmt_window, interval);
	bool blockable = mmu_notifier_range_blockable(range), refuse;
	unsigned int i;

	refuse = !blockable && !get_random_u32_below(8);
	spin_lock(&window->lock);
	if (window->ended)
		mmt_fail(MMT_R6_LATE, 0, window->start, range->start);
	mmu_interval_set_seq(notifier, cur_seq);
	for (i = 0; i < window->pages && !refuse; i++) {
		unsigned long address = window->start + i * PAGE_SIZE;

		if (address < range->end && address + PAGE_SIZE > range->start &&
		    !mmt_breaks(MMT_REAL_NO_ZAP))
			mmt_window_drop(window, i);
	}
	spin_unlock(&window->lock);
	if (blockable && !get_random_u32_below(64))
		usleep_range(mmt_slow_us, 2 * mmt_slow_us + 1);
	return !refuse;
}

static const struct mmu_interval_notifier_ops mmt_window_interval_ops = {
	.invalidate = mmt_window_invalidate,
};

static int mmt_window_start(struct mmu_notifier *notifier,
			    const struct mmu_notifier_range *range)
{
	struct mmt_window *window = container_of(notifier, struct mmt_window, list);

	if (!mmu_notifier_range_blockable(range) && !get_random_u32_below(8))
		return -EAGAIN;
	spin_lock(&window->lock);
	if (window->ended)
		mmt_fail(MMT_R6_LATE, 0, window->start, range->start);
	window->in_progress++;
	spin_unlock(&window->lock);
	return 0;
}

static void mmt_window_end(struct mmu_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	struct mmt_window *window = container_of(notifier, struct mmt_window, list);

	spin_lock(&window->lock);
	if (window->ended)
		mmt_fail(MMT_R6_LATE, 0, window->start, range->start);
	if (--window->in_progress < 0)
		mmt_fail(MMT_R5_END, 0, window->start, range->start);
	spin_unlock(&window->lock);
}

static void mmt_window_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct mmt_window *window = container_of(notifier, struct mmt_window, list);

	atomic_inc(&window->releases);
	mmt_window_kill(window);
	if (READ_ONCE(window->ended))
		mmt_fail(MMT_R6_LATE, 0, window->start, 0);
}

static const struct mmu_notifier_ops mmt_window_list_ops = {
	.release = mmt_window_release,
	.invalidate_range_start = mmt_window_start,
	.invalidate_range_end = mmt_window_end,
};

/* The caller uses the mm. */
static struct mmt_window *mmt_window_new(struct mm_struct *mm, unsigned long start,
					 unsigned int pages, bool attached)
{
	struct mmt_window *window = kzalloc(sizeof(*window), GFP_KERNEL);
	int ret;

	if (!window)
		return ERR_PTR(-ENOMEM);
	window->mm = mm;
	window->start = start;
	window->pages = pages;
	window->attached = attached;
	spin_lock_init(&window->lock);
	window->list.ops = &mmt_window_list_ops;
	ret = mmu_notifier_register(&window->list, mm);
	if (ret)
		goto free;
	ret = mmu_interval_notifier_insert(&window->interval, mm, start,
					   pages * PAGE_SIZE,
					   &mmt_window_interval_ops);
	if (ret)
		goto unregister;
	down_write(&mmt_windows_lock);
	list_add(&window->node, &mmt_windows);
	mmt_nr_attached += attached;
	up_write(&mmt_windows_lock);
	return window;

unregister:
	mmu_notifier_unregister(&window->list, mm);
free:
	kfree(window);
	/* The one who attaches may have been killed. */
	if (ret == -ENOMEM)
		mmt_did(MMT_NOMEM);
	else if (ret != -EINTR || !fatal_signal_pending(current))
		mmt_fail(MMT_R11_ERRNO, 0, start, -ret);
	return ERR_PTR(ret);
}

/* Not in the list any more, so no device uses it. */
static void mmt_window_free(struct mmt_window *window)
{
	mmt_window_kill(window);
	mmu_interval_notifier_remove(&window->interval);
	if (mmt_breaks(MMT_REAL_EARLY_UNREGISTERED))
		WRITE_ONCE(window->ended, true);
	mmu_notifier_unregister(&window->list, window->mm);
	spin_lock(&window->lock);
	WRITE_ONCE(window->ended, true);
	spin_unlock(&window->lock);
	if (atomic_read(&window->releases) != 1)
		mmt_fail(MMT_R6_RELEASE, 0, window->start,
			 atomic_read(&window->releases));
	mmt_keep(window);
}

static void mmt_window_end_one(struct mmt_window *window)
{
	down_write(&mmt_windows_lock);
	list_del(&window->node);
	mmt_nr_attached -= window->attached;
	up_write(&mmt_windows_lock);
	mmt_window_free(window);
}

/*
 * The device
 */

static struct page *mmt_get_page(struct mmt_window *window, unsigned long address)
{
	struct page *page = NULL;
	int locked = 1;

	if (!mmap_read_trylock(window->mm))
		return NULL;
	if (get_user_pages_remote(window->mm, address, 1, FOLL_WRITE, &page,
				  &locked) != 1)
		page = NULL;
	if (locked)
		mmap_read_unlock(window->mm);
	return page;
}

static void mmt_window_fill(struct mmt_window *window, unsigned int i)
{
	unsigned long address = window->start + i * PAGE_SIZE, *words;
	unsigned long seq = mmu_interval_read_begin(&window->interval);
	struct page *page = mmt_get_page(window, address);

	if (!page)
		return;
	spin_lock(&window->lock);
	if (mmu_interval_read_retry(&window->interval, seq)) {
		mmt_did(MMT_RETRIED);
	} else if (!window->dead) {
		words = kmap_local_page(page);
		if (READ_ONCE(words[0]) == mmt_word(address)) {
			window->sptes[i] = page;
			mmt_did(MMT_FILLED);
		}
		kunmap_local(words);
	}
	spin_unlock(&window->lock);
	put_page(page);
}

static bool mmt_window_use(struct mmt_window *window, unsigned int i)
{
	unsigned long *words;
	bool there;

	spin_lock(&window->lock);
	there = window->sptes[i];
	if (there) {
		words = kmap_local_page(window->sptes[i]);
		if (READ_ONCE(words[0]) != mmt_word(window->start + i * PAGE_SIZE)) {
			mmt_fail(MMT_R2_STALE, 0, window->start + i * PAGE_SIZE,
				 words[0]);
		} else if (!window->frozen && !mmt_breaks(MMT_REAL_NO_ZAP)) {
			words[1]++;
			window->writes[i]++;
		}
		kunmap_local(words);
		mmt_did(MMT_USED);
	}
	spin_unlock(&window->lock);
	return there;
}

static void mmt_window_work(struct mmt_worker *worker, struct mmt_window *window)
{
	unsigned int k, i;

	if (!mmget_not_zero(window->mm))
		return;
	for (k = 0; k < 2 * MMT_WINDOW; k++) {
		i = get_random_u32_below(window->pages);
		if (mmt_window_use(window, i))
			mmt_worked(worker);
		else
			mmt_window_fill(window, i);
	}
	mmput(window->mm);
}

/* One that died with its process, out of the list. */
static struct mmt_window *mmt_window_dead(void)
{
	struct mmt_window *window;

	down_write(&mmt_windows_lock);
	list_for_each_entry(window, &mmt_windows, node) {
		if (!window->attached || !READ_ONCE(window->dead))
			continue;
		list_del(&window->node);
		mmt_nr_attached--;
		up_write(&mmt_windows_lock);
		return window;
	}
	up_write(&mmt_windows_lock);
	return NULL;
}

static void mmt_free_dead(void)
{
	struct mmt_window *window;

	while ((window = mmt_window_dead()))
		mmt_window_free(window);
}

/**
 * mmt_device() - fill and use SPTEs of all windows
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_device(void *worker)
{
	struct mmt_window *window;

	while (mmt_round(worker)) {
		down_read(&mmt_windows_lock);
		list_for_each_entry(window, &mmt_windows, node)
			mmt_window_work(worker, window);
		up_read(&mmt_windows_lock);
		mmt_free_dead();
		usleep_range(200, 1000);
	}
	return mmt_stop(worker);
}

/*
 * Churners
 */

/* Has the memory what the device wrote, and the word? */
static void mmt_compare(struct mmt_window *window, unsigned int i)
{
	unsigned long address = window->start + i * PAGE_SIZE, words[2], writes;

	if (window->absent[i])
		return;
	spin_lock(&window->lock);
	window->frozen = true;
	writes = window->writes[i];
	spin_unlock(&window->lock);
	if (!copy_from_user(words, (void __user *)address, sizeof(words)) &&
	    (words[0] != mmt_word(address) || words[1] != writes))
		mmt_fail(MMT_R2_LOST, 0, writes, words[1]);
	spin_lock(&window->lock);
	window->frozen = false;
	spin_unlock(&window->lock);
}

static void mmt_absent(struct mmt_window *window, unsigned int i, bool absent)
{
	window->absent[i] = absent;
	if (absent)
		mmt_did(MMT_NOMEM);
}

static void mmt_all_absent(struct mmt_window *window, unsigned int first,
			   unsigned int last)
{
	unsigned int i;

	for (i = first; i <= last; i++)
		mmt_absent(window, i, true);
}

/* Begin anew with pages that are empty, or not there: so no entry reaches them. */
static void mmt_write_words(struct mmt_window *window, unsigned int first,
			    unsigned int last)
{
	unsigned long address, __user *at;
	unsigned int i;
	bool absent;

	for (i = first; i <= last; i++) {
		address = window->start + i * PAGE_SIZE;
		at = (unsigned long __user *)address;
		spin_lock(&window->lock);
		window->writes[i] = 0;
		spin_unlock(&window->lock);
		absent = put_user(0UL, at + 1);
		/* Who finds the first word may count in the second one. */
		smp_wmb();
		mmt_absent(window, i, absent || put_user(mmt_word(address), at));
	}
}

static void mmt_churn_once(struct mmt_window *window, struct file *file)
{
	unsigned int first = get_random_u32_below(MMT_WINDOW);
	unsigned int last = min(first + get_random_u32_below(8), MMT_WINDOW - 1U);
	unsigned long start = window->start + first * PAGE_SIZE;
	unsigned long length = (last - first + 1) * PAGE_SIZE;
	unsigned long flags = MAP_FIXED | (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
	unsigned int i;

	switch (get_random_u32_below(5)) {
	case 0:
		/* What is in a file stays there. */
		if (!mmu_torture_madvise(start, length,
					 file ? MADV_REMOVE : MADV_DONTNEED))
			mmt_write_words(window, first, last);
		else
			/* Not done everywhere, perhaps: some of it may be unmapped. */
			mmt_all_absent(window, first, last);
		break;
	case 1:
		mmu_torture_madvise(start, length, MADV_PAGEOUT);
		break;
	case 2:
		mmu_torture_madvise(start, length, file ? MADV_DONTNEED : MADV_COLD);
		break;
	case 3:
		if (vm_munmap(start, length))
			break;
		if (IS_ERR_VALUE(vm_mmap(file, start, length, PROT_READ | PROT_WRITE, flags,
					 file ? first * PAGE_SIZE : 0)))
			mmt_all_absent(window, first, last);
		else if (!file)
			mmt_write_words(window, first, last);
		break;
	case 4:
		for (i = first; i <= last; i++)
			mmt_compare(window, i);
		break;
	}
	mmt_did(MMT_REAL);
}

static void mmt_churn(struct mmt_worker *worker, struct file *file)
{
	unsigned long flags = file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, start;
	struct mmt_window *window;
	unsigned int rounds = 64;

	start = vm_mmap(file, 0, MMT_WINDOW * PAGE_SIZE, PROT_READ | PROT_WRITE, flags, 0);
	if (IS_ERR_VALUE(start)) {
		mmt_did(MMT_NOMEM);
		return;
	}
	window = mmt_window_new(current->mm, start, MMT_WINDOW, false);
	if (!IS_ERR(window)) {
		mmt_write_words(window, 0, MMT_WINDOW - 1);
		while (rounds-- && mmt_round(worker)) {
			mmt_churn_once(window, file);
			mmt_worked(worker);
		}
		mmt_window_end_one(window);
	}
	vm_munmap(start, MMT_WINDOW * PAGE_SIZE);
}

/**
 * mmt_churner() - mms whose memory is mapped, used and taken away
 * @worker: the worker; every other one has its memory from a file.
 *
 * Return: 0.
 */
int mmt_churner(void *worker)
{
	struct mmt_worker *this = worker;
	struct mm_struct *mm;
	struct file *file;

	while (mmt_round(this)) {
		file = NULL;
		if (this->index & 1) {
			file = shmem_file_setup("mmt", MMT_WINDOW * PAGE_SIZE, 0);
			if (IS_ERR(file))
				file = NULL;
		}
		mm = mmu_torture_mm_alloc();
		if (mm) {
			kthread_use_mm(mm);
			mmt_churn(this, file);
			kthread_unuse_mm(mm);
			mmput(mm);
		} else {
			mmt_did(MMT_NOMEM);
		}
		if (file)
			fput(file);
	}
	return mmt_stop(worker);
}

/*
 * Processes that attach
 */

static ssize_t mmt_attach_write(struct file *file, const char __user *buffer,
				size_t count, loff_t *ppos)
{
	unsigned long start, length;
	struct mmt_window *window;
	char text[64];
	bool full;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "%lu %lu", &start, &length) != 2 || !start || !length ||
	    !PAGE_ALIGNED(start | length) || length > MMT_WINDOW * PAGE_SIZE ||
	    start >= TASK_SIZE - length)
		return -EINVAL;
	if (!current->mm)
		return -EINVAL;
	/* There may be no device that does. */
	mmt_free_dead();
	down_read(&mmt_windows_lock);
	full = mmt_nr_attached >= MMT_MAX_ATTACHED;
	up_read(&mmt_windows_lock);
	if (full)
		return -EBUSY;
	window = mmt_window_new(current->mm, start, length >> PAGE_SHIFT, true);
	if (IS_ERR(window))
		return PTR_ERR(window);
	mmt_did(MMT_ATTACHED);
	return count;
}

static const struct file_operations mmt_attach_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = mmt_attach_write,
};

/**
 * mmt_real_init() - let processes attach
 *
 * Without debugfs they cannot, and the rest goes on.
 */
void mmt_real_init(void)
{
	mmt_debugfs = debugfs_create_dir("mmu_notifier_torture", NULL);
	debugfs_create_file("attach", 0200, mmt_debugfs, NULL, &mmt_attach_fops);
}

/**
 * mmt_real_exit() - end what processes have attached, when there is no device any more
 */
void mmt_real_exit(void)
{
	struct mmt_window *window, *next;

	debugfs_remove_recursive(mmt_debugfs);
	mmt_debugfs = NULL;
	list_for_each_entry_safe(window, next, &mmt_windows, node)
		mmt_window_end_one(window);
}
