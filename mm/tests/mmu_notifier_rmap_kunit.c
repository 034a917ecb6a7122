// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of external reverse maps. They map real memory into an address
 * space of the case's thread and let mm/ do to it what exporters have to be told
 * of: reclaim, migration, truncation, writeback, a split.
 *
 * An exporter here has one folio at most. It lets go of it when told, unless it
 * is to refuse.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/ksm.h>
#include <linux/kthread.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/page_ext.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "../internal.h"
#include "../mmu_notifier_rmap.h"
#include "mmu_notifier_kunit.h"

#define PATTERN		0x5a5a5a5a5a5a5a5aUL
#define NR_EVENTS	(MMU_RMAP_CLEAN + 1)

/* An exporter that notes what it is told. */
struct exporter {
	struct mmu_rmap_notifier notifier;
	struct folio *folio;
	atomic_t exports;

	bool refuse;		/* does not let go */
	bool late;		/* does so at once, after it refused */
	bool dirty;		/* has written to it from outside */
	bool young;		/* has read it */
	bool live;		/* registered */
	struct mnk_gate *gate;	/* where callbacks stop, or NULL */

	atomic_t told[NR_EVENTS];
	atomic_t protects;
	atomic_t youngs;
	atomic_t unlocked;	/* calls without the folio lock */
	atomic_t mapped;	/* calls while page tables mapped it */
	int turn;		/* of its last call, among all exporters */
};

static atomic_t turns;

static struct exporter *to_exporter(struct mmu_rmap_notifier *notifier)
{
	return container_of(notifier, struct exporter, notifier);
}

static void note_call(struct exporter *exporter, struct folio *folio)
{
	might_sleep();
	exporter->turn = atomic_inc_return(&turns);
	if (!folio_test_locked(folio))
		atomic_inc(&exporter->unlocked);
	if (folio_mapped(folio))
		atomic_inc(&exporter->mapped);
	mnk_pass(exporter->gate);
	if (exporter->dirty && folio == exporter->folio)
		folio_mark_dirty(folio);
}

static void let_go(struct exporter *exporter)
{
	while (atomic_add_unless(&exporter->exports, -1, 0))
		mmu_rmap_unexport_folio(&exporter->notifier, exporter->folio);
}

static int note_invalidate(struct mmu_rmap_notifier *notifier,
			   struct folio *folio, enum mmu_rmap_event event)
{
	struct exporter *exporter = to_exporter(notifier);

	note_call(exporter, folio);
	atomic_inc(&exporter->told[event]);
	if (folio != exporter->folio)
		return 0;
	if (READ_ONCE(exporter->refuse))
		return -EBUSY;
	let_go(exporter);
	return exporter->late ? -EBUSY : 0;
}

static int note_protect(struct mmu_rmap_notifier *notifier,
			struct folio *folio)
{
	struct exporter *exporter = to_exporter(notifier);

	note_call(exporter, folio);
	atomic_inc(&exporter->protects);
	return READ_ONCE(exporter->refuse) ? -EBUSY : 0;
}

static bool note_young(struct mmu_rmap_notifier *notifier, struct folio *folio)
{
	struct exporter *exporter = to_exporter(notifier);

	note_call(exporter, folio);
	atomic_inc(&exporter->youngs);
	return exporter->young;
}

static const struct mmu_rmap_notifier_ops all_ops = {
	.invalidate_folio = note_invalidate,
	.write_protect_folio = note_protect,
	.clear_young_folio = note_young,
};

static const struct mmu_rmap_notifier_ops one_op = {
	.invalidate_folio = note_invalidate,
};

static void end_exporter(void *data)
{
	struct exporter *exporter = data;

	let_go(exporter);
	if (exporter->live)
		mmu_rmap_notifier_unregister(&exporter->notifier);
	exporter->live = false;
}

static struct exporter *new_exporter(struct kunit *test,
				     const struct mmu_rmap_notifier_ops *ops)
{
	struct exporter *exporter = kunit_kzalloc(test, sizeof(*exporter),
						  GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, exporter);
	exporter->notifier.ops = ops;
	ret = mmu_rmap_notifier_register(&exporter->notifier);
	if (ret == -EOPNOTSUPP)
		kunit_skip(test, "needs mmu_rmap_notifier=on");
	KUNIT_ASSERT_EQ(test, ret, 0);
	exporter->live = true;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, end_exporter,
							   exporter));
	return exporter;
}

static int try_export(struct exporter *exporter, struct folio *folio)
{
	int ret;

	folio_lock(folio);
	ret = mmu_rmap_export_folio(&exporter->notifier, folio);
	if (!ret) {
		exporter->folio = folio;
		atomic_inc(&exporter->exports);
	}
	folio_unlock(folio);
	return ret;
}

static unsigned int total_told(struct exporter *exporter)
{
	unsigned int i, total = 0;

	for (i = 0; i < NR_EVENTS; i++)
		total += atomic_read(&exporter->told[i]);
	return total;
}

/* What page_ext has of a folio; 0 is: not exported, not held. */
static u64 word_of(struct folio *folio)
{
	struct page_ext *page_ext = page_ext_get(&folio->page);
	u64 word;

	if (!page_ext)
		return U64_MAX;
	word = atomic64_read(page_ext_data(page_ext, &mmu_rmap_page_ext_ops));
	page_ext_put(page_ext);
	return word;
}

/*
 * Memory
 */

/* A mapping in the thread's own mm, and the folio that its first page has. */
struct place {
	struct kunit *test;
	unsigned long addr;
	size_t size;
	struct folio *folio;
};

static struct folio *folio_at(struct kunit *test, unsigned long addr)
{
	struct folio *folio;
	struct page *page;

	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr, 1, 0, &page));
	folio = page_folio(page);
	folio_put(folio);
	return folio;
}

static void write_pattern(struct place *place)
{
	unsigned long value = PATTERN;

	KUNIT_ASSERT_EQ(place->test, 0UL,
			copy_to_user((void __user *)place->addr, &value,
				     sizeof(value)));
}

static unsigned long read_pattern(struct place *place)
{
	unsigned long value = 0;

	KUNIT_ASSERT_EQ(place->test, 0UL,
			copy_from_user(&value, (void __user *)place->addr,
				       sizeof(value)));
	return value;
}

/* CPUs remember folios that are to go to the LRU, with a reference each. */
static void drain(void)
{
	lru_add_drain_all();
}

#define PRIVATE		0
#define SHARED		BIT(0)	/* tmpfs */
#define UNWRITTEN	BIT(1)	/* read only, so that a folio of a file is clean */
#define HUGE		BIT(2)
#define GIVEN_UP	BIT(3)	/* MADV_FREE */

static void make_place(struct kunit *test, struct place *place, unsigned int how)
{
	unsigned long size = PAGE_SIZE;

	if (how & HUGE)
		size = 2 * HPAGE_PMD_SIZE;
	place->test = test;
	place->addr = kunit_vm_mmap(test, NULL, 0, size, PROT_READ | PROT_WRITE,
				    MAP_ANONYMOUS |
				    (how & SHARED ? MAP_SHARED : MAP_PRIVATE),
				    0);
	KUNIT_ASSERT_NE(test, place->addr, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(place->addr));
	place->size = PAGE_SIZE;
	if (how & HUGE) {
		place->addr = ALIGN(place->addr, HPAGE_PMD_SIZE);
		place->size = HPAGE_PMD_SIZE;
		KUNIT_ASSERT_EQ(test, 0,
				do_madvise(current->mm, place->addr,
					   place->size, MADV_HUGEPAGE));
	}
	if (how & UNWRITTEN)
		read_pattern(place);
	else
		write_pattern(place);
	drain();
	if (how & GIVEN_UP) {
		KUNIT_ASSERT_EQ(test, 0,
				do_madvise(current->mm, place->addr,
					   place->size, MADV_FREE));
		drain();
	}
	place->folio = folio_at(test, place->addr);
	if ((how & HUGE) && !folio_test_large(place->folio))
		kunit_skip(test, "no huge page");
}

/*
 * What mm/ does to a folio. 0: it got its way.
 */

static long walk_unmap(struct place *place)
{
	folio_get(place->folio);
	folio_lock(place->folio);
	try_to_unmap(place->folio, 0);
	folio_unlock(place->folio);
	folio_put(place->folio);
	return 0;
}

static long walk_poison(struct place *place)
{
	folio_get(place->folio);
	folio_lock(place->folio);
	try_to_unmap(place->folio, TTU_HWPOISON);
	folio_unlock(place->folio);
	folio_put(place->folio);
	return 0;
}

/* For pages that MADV_FREE gave up, which need no swap. */
static long walk_reclaim(struct place *place)
{
	long ret = do_madvise(current->mm, place->addr, place->size,
			      MADV_PAGEOUT);

	return ret ? ret : read_pattern(place) == PATTERN;
}

static long walk_migrate(struct place *place)
{
	struct migration_target_control mtc = {
		.nid = folio_nid(place->folio),
		.gfp_mask = GFP_HIGHUSER_MOVABLE,
		.reason = MR_SYSCALL,
	};
	struct folio *folio = place->folio;
	LIST_HEAD(list);
	long ret;

	if (!folio_isolate_lru(folio))
		return -EBUSY;
	list_add(&folio->lru, &list);
	node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
			    folio_nr_pages(folio));
	ret = migrate_pages(&list, alloc_migration_target, NULL,
			    (unsigned long)&mtc, MIGRATE_SYNC, MR_SYSCALL,
			    NULL);
	if (!list_empty(&list))
		putback_movable_pages(&list);
	drain();
	KUNIT_EXPECT_EQ(place->test, read_pattern(place), PATTERN);
	KUNIT_EXPECT_EQ(place->test, ret != 0,
			folio_at(place->test, place->addr) == folio);
	return ret;
}

static long walk_truncate(struct place *place)
{
	shmem_truncate_range(place->folio->mapping->host, 0, (loff_t)-1);
	return 0;
}

static long walk_invalidate(struct place *place)
{
	return invalidate_inode_pages2(place->folio->mapping);
}

static long walk_split(struct place *place)
{
	struct folio *folio = place->folio;
	long ret;

	folio_get(folio);
	folio_lock(folio);
	ret = split_folio(folio);
	folio_unlock(folio);
	folio_put(folio);
	KUNIT_EXPECT_EQ(place->test, ret != 0, folio_test_large(folio));
	KUNIT_EXPECT_EQ(place->test, read_pattern(place), PATTERN);
	return ret;
}

static long walk_clean(struct place *place)
{
	long ret;

	folio_get(place->folio);
	folio_lock(place->folio);
	ret = folio_mkclean(place->folio);
	folio_unlock(place->folio);
	folio_put(place->folio);
	return ret;
}

struct walk {
	const char *name;
	unsigned int how;	/* the mapping is made */
	long (*run)(struct place *place);
	enum mmu_rmap_event event;
	long refused;		/* what it returns when an exporter refuses */
	bool told_mapped;	/* exporters are told before page tables change */
};

static const struct walk walks[] = {
	{ "unmap", SHARED, walk_unmap, MMU_RMAP_RECLAIM, 0, false },
	{ "reclaim", GIVEN_UP, walk_reclaim, MMU_RMAP_RECLAIM, 1, true },
	{ "migrate", PRIVATE, walk_migrate, MMU_RMAP_MIGRATE, 1, false },
	{ "migrate file", SHARED, walk_migrate, MMU_RMAP_MIGRATE, 1, false },
	{ "truncate", SHARED, walk_truncate, MMU_RMAP_TRUNCATE, 0, false },
	{ "invalidate", SHARED | UNWRITTEN, walk_invalidate, MMU_RMAP_TRUNCATE,
	  -EBUSY, false },
	{ "split", HUGE, walk_split, MMU_RMAP_SPLIT, -EAGAIN, true },
	{ "poison", SHARED, walk_poison, MMU_RMAP_POISON, 0, false },
	{ "clean", SHARED, walk_clean, MMU_RMAP_CLEAN, 2, true },
};

KUNIT_ARRAY_PARAM_DESC(walk, walks, name);

static void exporter_is_told(struct kunit *test)
{
	const struct walk *walk = test->param_value;
	struct exporter *exporter = new_exporter(test, &one_op);
	struct exporter *other = new_exporter(test, &one_op);
	struct place place;
	long undisturbed;

	make_place(test, &place, walk->how);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	undisturbed = walk->event == MMU_RMAP_CLEAN ? 1 : 0;
	KUNIT_EXPECT_EQ(test, walk->run(&place), undisturbed);

	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->told[walk->event]), 1);
	KUNIT_EXPECT_EQ(test, total_told(exporter), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->unlocked), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->mapped),
			walk->told_mapped);
	/* Nobody is told of what is not theirs. */
	KUNIT_EXPECT_EQ(test, total_told(other), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->exports), 0);
}

/* The folio is held, what is wanted of it fails, and the last unexport frees. */
static void refusal_holds(struct kunit *test)
{
	const struct walk *walk = test->param_value;
	struct exporter *exporter = new_exporter(test, &one_op);
	struct exporter *other = new_exporter(test, &one_op);
	struct folio *folio;
	struct place place;
	int before;

	make_place(test, &place, walk->how);
	folio = place.folio;
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(other, folio));
	exporter->refuse = true;
	KUNIT_EXPECT_EQ(test, walk->run(&place), walk->refused);
	/* Migration tries several times. */
	KUNIT_EXPECT_GE(test, atomic_read(&exporter->told[walk->event]), 1);
	KUNIT_EXPECT_GE(test, atomic_read(&other->told[walk->event]), 1);
	if (walk->event != MMU_RMAP_MIGRATE) {
		KUNIT_EXPECT_EQ(test, total_told(exporter), 1);
		KUNIT_EXPECT_EQ(test, total_told(other), 1);
	}

	/* The held one is there even where nothing else is. */
	KUNIT_ASSERT_GE(test, folio_ref_count(folio), 1);
	drain();
	/* Enough for what a broken kernel drops. */
	folio_ref_add(folio, 4);
	before = folio_ref_count(folio);
	if (folio_mapped(folio)) {
		KUNIT_EXPECT_EQ(test, try_export(other, folio), -EBUSY);
		/* Told again, it is held as before. */
		folio_lock(folio);
		KUNIT_EXPECT_EQ(test, -EBUSY, mmu_rmap_invalidate_folio(folio,
									MMU_RMAP_MERGE));
		folio_unlock(folio);
		KUNIT_EXPECT_EQ(test, folio_ref_count(folio), before);
	} else {
		KUNIT_EXPECT_EQ(test, try_export(other, folio), -EAGAIN);
	}

	/* Not the first, but the last lets it go. */
	atomic_dec(&exporter->exports);
	mmu_rmap_unexport_folio(&exporter->notifier, folio);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), before);
	let_go(exporter);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), before - 1);
	KUNIT_EXPECT_EQ(test, word_of(folio), 0);
	folio_ref_add(folio, before - 1 - folio_ref_count(folio));
	folio_put_refs(folio, 4);
}

/* Nothing is held for an exporter that let go right after it refused. */
static void late_is_not_too_late(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct place place;

	make_place(test, &place, PRIVATE);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	exporter->late = true;
	KUNIT_EXPECT_EQ(test, walk_migrate(&place), 0);
	KUNIT_EXPECT_EQ(test, total_told(exporter), 1);
}

/* Without a refusal an export costs no reference, however many there are. */
static void exports_are_counted(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct exporter *other = new_exporter(test, &one_op);
	struct place place;
	int before, i;

	make_place(test, &place, SHARED);
	before = folio_ref_count(place.folio);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
		KUNIT_ASSERT_EQ(test, 0, try_export(other, place.folio));
	}
	KUNIT_EXPECT_EQ(test, folio_ref_count(place.folio), before);
	let_go(exporter);
	KUNIT_EXPECT_NE(test, word_of(place.folio), 0);
	/* Too many are asked, and have nothing to say. */
	exporter->refuse = true;
	exporter->folio = NULL;
	walk_unmap(&place);
	KUNIT_EXPECT_EQ(test, total_told(other), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&other->exports), 0);
	KUNIT_EXPECT_EQ(test, word_of(place.folio), 0);

	read_pattern(&place);
	walk_unmap(&place);
	KUNIT_EXPECT_EQ(test, total_told(other), 1);
	/* The mapping's reference is gone; nobody left another. */
	KUNIT_EXPECT_EQ(test, folio_ref_count(place.folio), before - 1);
}

/* An attribute of /sys/kernel/mm/ksm, or NULL. */
static struct kobj_attribute *ksm_attribute(const char *name)
{
	struct kernfs_node *dir, *node = NULL;
	struct kobj_attribute *attribute = NULL;

	dir = kernfs_find_and_get(mm_kobj->sd, "ksm");
	if (dir)
		node = kernfs_find_and_get(dir, name);
	if (node)
		attribute = container_of((struct attribute *)node->priv,
					 struct kobj_attribute, attr);
	kernfs_put(node);
	kernfs_put(dir);
	return attribute;
}

static void stop_ksm(void *run)
{
	struct kobj_attribute *attribute = run;

	attribute->store(mm_kobj, attribute, "0\n", 2);
}

/* KSM asks before it compares; who refuses keeps the page out. */
static void merge_is_told(struct kunit *test)
{
	bool refuse = *(const bool *)test->param_value;
	struct exporter *exporter = new_exporter(test, &one_op);
	struct kobj_attribute *run = ksm_attribute("run");
	struct place place, same;
	int looks = 0;

	if (!run)
		kunit_skip(test, "needs CONFIG_KSM");
	make_place(test, &place, PRIVATE);
	make_place(test, &same, PRIVATE);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, place.addr, place.size,
					    MADV_MERGEABLE));
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, same.addr, same.size,
					    MADV_MERGEABLE));
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	exporter->refuse = refuse;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop_ksm, run));
	run->store(mm_kobj, run, "1\n", 2);
	while (!atomic_read(&exporter->told[MMU_RMAP_MERGE]) &&
	       !folio_test_ksm(folio_at(test, place.addr)) && looks++ < 10000)
		usleep_range(1000, 2000);
	kunit_release_action(test, stop_ksm, run);

	KUNIT_EXPECT_GE(test, atomic_read(&exporter->told[MMU_RMAP_MERGE]), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->unlocked), 0);
	if (refuse) {
		KUNIT_EXPECT_PTR_EQ(test, folio_at(test, place.addr),
				    place.folio);
		KUNIT_EXPECT_FALSE(test, folio_test_ksm(place.folio));
	}
	exporter->refuse = false;
	let_go(exporter);
}

static const bool refusals[] = { false, true };

static void refusal_name(const bool *refuse, char *name)
{
	strscpy(name, *refuse ? "refused" : "let go", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refusal, refusals, refusal_name);

/* In the order of registration; whoever shares a bit is asked as well. */
static void exporters_take_turns(struct kunit *test)
{
	struct exporter *exporter[34];
	struct place place;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(exporter); i++)
		exporter[i] = new_exporter(test, &one_op);
	make_place(test, &place, SHARED);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter[33], place.folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter[5], place.folio));
	walk_unmap(&place);
	for (i = 0; i < ARRAY_SIZE(exporter); i++)
		KUNIT_EXPECT_EQ(test, total_told(exporter[i]),
				i == 1 || i == 5 || i == 33);
	KUNIT_EXPECT_LT(test, exporter[1]->turn, exporter[5]->turn);
	KUNIT_EXPECT_LT(test, exporter[5]->turn, exporter[33]->turn);
	KUNIT_EXPECT_EQ(test, word_of(place.folio), 0);
}

static void writing_is_taken_away(struct kunit *test)
{
	struct exporter *protector = new_exporter(test, &all_ops);
	struct exporter *dropper = new_exporter(test, &one_op);
	struct place place;

	make_place(test, &place, SHARED);
	KUNIT_ASSERT_EQ(test, 0, try_export(protector, place.folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(dropper, place.folio));
	KUNIT_EXPECT_EQ(test, walk_clean(&place), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&protector->protects), 1);
	KUNIT_EXPECT_EQ(test, total_told(protector), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&protector->exports), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&dropper->told[MMU_RMAP_CLEAN]), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&dropper->exports), 0);

	/* What was written outside counts as written. */
	folio_clear_dirty(place.folio);
	KUNIT_EXPECT_EQ(test, walk_clean(&place), 0);
	protector->dirty = true;
	KUNIT_EXPECT_EQ(test, walk_clean(&place), 1);
	KUNIT_EXPECT_TRUE(test, folio_test_dirty(place.folio));
	let_go(protector);
	KUNIT_EXPECT_EQ(test, walk_clean(&place), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&protector->protects), 3);
}

/* A page that was given up is kept if somebody outside wrote to it. */
static void writing_undoes_madv_free(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct place place;

	make_place(test, &place, GIVEN_UP);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	exporter->dirty = true;
	KUNIT_EXPECT_EQ(test, walk_reclaim(&place), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->exports), 0);
}

static int referenced(struct place *place, bool locked)
{
	unsigned long vm_flags;
	bool isolated;
	int ret;

	folio_get(place->folio);
	/* MGLRU wants it so. */
	lru_add_drain_all();
	isolated = folio_isolate_lru(place->folio);
	if (locked)
		folio_lock(place->folio);
	ret = folio_referenced(place->folio, locked, NULL, &vm_flags);
	if (locked)
		folio_unlock(place->folio);
	if (isolated)
		folio_putback_lru(place->folio);
	folio_put(place->folio);
	return ret;
}

static void use_outside_is_use(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &all_ops);
	struct exporter *blind = new_exporter(test, &one_op);
	struct place place;

	make_place(test, &place, PRIVATE);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(blind, place.folio));
	referenced(&place, true);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->youngs), 1);
	KUNIT_EXPECT_EQ(test, referenced(&place, true), 0);
	exporter->young = true;
	KUNIT_EXPECT_EQ(test, referenced(&place, true), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->youngs), 3);
	/* Without the lock nobody is asked. */
	KUNIT_EXPECT_EQ(test, referenced(&place, false), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->youngs), 3);
	KUNIT_EXPECT_EQ(test, total_told(exporter) + total_told(blind), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->unlocked), 0);
	let_go(exporter);
	let_go(blind);
}

static void what_cannot_be_exported(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct mmu_rmap_notifier_ops no_ops = {};
	struct mmu_rmap_notifier wrong = {};
	struct folio *folio;
	struct place place;

	KUNIT_EXPECT_EQ(test, mmu_rmap_notifier_register(&wrong), -EINVAL);
	wrong.ops = &no_ops;
	KUNIT_EXPECT_EQ(test, mmu_rmap_notifier_register(&wrong), -EINVAL);

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			try_export(exporter, page_folio(ZERO_PAGE(0))));
	/* Not mapped: it never was, or is not any more. */
	folio = folio_alloc(GFP_KERNEL, 0);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_EQ(test, try_export(exporter, folio), -EAGAIN);
	folio_put(folio);
	make_place(test, &place, SHARED);
	walk_unmap(&place);
	KUNIT_EXPECT_EQ(test, try_export(exporter, place.folio), -EAGAIN);
	folio_get(place.folio);
	walk_truncate(&place);
	KUNIT_EXPECT_EQ(test, try_export(exporter, place.folio), -EAGAIN);
	folio_put(place.folio);
	KUNIT_EXPECT_EQ(test, atomic_read(&exporter->exports), 0);
}

static long unregister(void *data)
{
	struct exporter *exporter = data;

	exporter->live = false;
	mmu_rmap_notifier_unregister(&exporter->notifier);
	return 0;
}

static long tell(void *data)
{
	struct folio *folio = data;
	long ret;

	folio_lock(folio);
	ret = mmu_rmap_invalidate_folio(folio, MMU_RMAP_RECLAIM);
	folio_unlock(folio);
	return ret;
}

/* Unregister waits for callbacks of its own exporter, and for no other's. */
static void unregister_waits(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct exporter *other = new_exporter(test, &one_op);
	struct exporter *third = new_exporter(test, &one_op);
	struct mnk_task *walk, *task;
	struct place place;

	make_place(test, &place, SHARED);
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(third, place.folio));
	exporter->gate = mnk_gate(test);
	walk = mnk_start(test, tell, place.folio);
	KUNIT_ASSERT_TRUE(test, mnk_reached(exporter->gate));
	MNK_ASSERT_RUNS(test, unregister, other);
	let_go(exporter);
	task = mnk_start(test, unregister, exporter);
	MNK_ASSERT_WAITS(test, task);
	KUNIT_EXPECT_EQ(test, total_told(third), 0);
	mnk_open(exporter->gate);
	MNK_ASSERT_ENDS(test, task, 0);
	/* The walk went on from an exporter that is gone to the next. */
	MNK_ASSERT_ENDS(test, walk, 0);
	KUNIT_EXPECT_EQ(test, total_told(third), 1);

	KUNIT_ASSERT_EQ(test, 0, try_export(third, place.folio));
	MNK_ASSERT_RUNS(test, tell, place.folio);
	KUNIT_EXPECT_EQ(test, total_told(exporter), 1);
	KUNIT_EXPECT_EQ(test, total_told(other), 0);
}

/* The hooks are on while there is an exporter. */
static void hooks_are_switched(struct kunit *test)
{
	int before = static_key_count(&mmu_rmap_exporters.key);
	struct exporter *exporter = new_exporter(test, &one_op);
	struct exporter *other = new_exporter(test, &one_op);

	KUNIT_EXPECT_EQ(test, static_key_count(&mmu_rmap_exporters.key),
			before + 2);
	end_exporter(other);
	KUNIT_EXPECT_TRUE(test, static_branch_unlikely(&mmu_rmap_exporters));
	end_exporter(exporter);
	KUNIT_EXPECT_EQ(test, static_key_count(&mmu_rmap_exporters.key),
			before);
}

static struct page *freed_page;

static bool note_freed(struct page *page, u64 word)
{
	freed_page = page;
	return true;
}

/* A driver that forgets to let go: the page is reported, and not used again. */
static void freed_while_exported(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct place place;
	struct page *page;

	kunit_activate_static_stub(test, mmu_rmap_report_freed, note_freed);
	make_place(test, &place, PRIVATE);
	page = &place.folio->page;
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	freed_page = NULL;
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(place.addr, place.size));
	KUNIT_EXPECT_PTR_EQ(test, freed_page, page);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 0);
	KUNIT_EXPECT_FALSE(test, PageBuddy(page));

	/* Its counting is none the worse for it. */
	let_go(exporter);
	KUNIT_EXPECT_EQ(test, word_of(place.folio), 0);
	if (!freed_page)
		return;
	set_page_refcounted(page);
	freed_page = NULL;
	__free_page(page);
	KUNIT_EXPECT_NULL(test, freed_page);
}

/* What is held outlives its mapping, once for all exports. */
static void held_is_not_freed(struct kunit *test)
{
	struct exporter *exporter = new_exporter(test, &one_op);
	struct place place;

	kunit_activate_static_stub(test, mmu_rmap_report_freed, note_freed);
	make_place(test, &place, PRIVATE);
	KUNIT_EXPECT_FALSE(test, mmu_rmap_hold_folio(place.folio));
	KUNIT_ASSERT_EQ(test, 0, try_export(exporter, place.folio));
	KUNIT_EXPECT_TRUE(test, mmu_rmap_hold_folio(place.folio));
	KUNIT_EXPECT_TRUE(test, mmu_rmap_hold_folio(place.folio));
	freed_page = NULL;
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(place.addr, place.size));
	KUNIT_EXPECT_EQ(test, folio_ref_count(place.folio), 1);
	folio_get(place.folio);
	let_go(exporter);
	KUNIT_EXPECT_EQ(test, folio_ref_count(place.folio), 1);
	folio_put(place.folio);
	KUNIT_EXPECT_NULL(test, freed_page);
}

/* Ranges of walks over a folio are marked, others are not. */
struct range_flags {
	struct mmu_notifier notifier;
	unsigned int flags;
	unsigned int starts;
};

static int note_flags(struct mmu_notifier *notifier,
		      const struct mmu_notifier_range *range)
{
	struct range_flags *noted = container_of(notifier, struct range_flags,
						 notifier);

	noted->flags = range->flags;
	noted->starts++;
	return 0;
}

static const struct mmu_notifier_ops flags_ops = {
	.invalidate_range_start = note_flags,
};

static void walks_mark_their_ranges(struct kunit *test)
{
	static long (*const marked[])(struct place *place) = {
		walk_clean, walk_migrate, walk_unmap,
	};
	struct range_flags noted = { .notifier.ops = &flags_ops };
	struct place place;
	unsigned int i;

	make_place(test, &place, SHARED);
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&noted.notifier,
						       current->mm));
	for (i = 0; i < ARRAY_SIZE(marked); i++) {
		noted.starts = 0;
		marked[i](&place);
		KUNIT_EXPECT_EQ(test, noted.starts, 1);
		KUNIT_EXPECT_TRUE(test, noted.flags & MMU_NOTIFIER_RANGE_RMAP);
		place.folio = folio_at(test, place.addr);
	}
	noted.starts = 0;
	do_madvise(current->mm, place.addr, place.size, MADV_DONTNEED);
	KUNIT_EXPECT_EQ(test, noted.starts, 1);
	KUNIT_EXPECT_FALSE(test, noted.flags & MMU_NOTIFIER_RANGE_RMAP);
	mmu_notifier_unregister(&noted.notifier, current->mm);
}

/* Refusals against unexports: one put for each reference, in any order. */
#define NR_RACES	4000
#define NR_REFUSED	100	/* enough, and no less */

struct racer {
	struct exporter *exporter;
	struct folio *folio;
	unsigned int exported;
	bool stop;
};

static long race(void *data)
{
	struct racer *racer = data;
	struct exporter *exporter = racer->exporter;

	while (!READ_ONCE(racer->stop)) {
		folio_lock(racer->folio);
		if (!mmu_rmap_export_folio(&exporter->notifier, racer->folio)) {
			folio_unlock(racer->folio);
			/* For the walk to be anywhere. */
			udelay(racer->exported++ % 16);
			mmu_rmap_unexport_folio(&exporter->notifier,
						racer->folio);
		} else {
			folio_unlock(racer->folio);
		}
		cond_resched();
	}
	return 0;
}

static void refusals_race_with_unexports(struct kunit *test)
{
	struct racer racer = { .exporter = new_exporter(test, &one_op) };
	struct mnk_task *task;
	struct place place;
	int before, i, held = 0;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	make_place(test, &place, SHARED);
	before = folio_ref_count(place.folio);
	racer.folio = place.folio;
	racer.exporter->folio = place.folio;
	racer.exporter->refuse = true;
	task = mnk_start(test, race, &racer);
	for (i = 0; i < NR_RACES || (held < NR_REFUSED && i < 1000000); i++) {
		if (tell(place.folio))
			held++;
		cond_resched();
	}
	WRITE_ONCE(racer.stop, true);
	MNK_ASSERT_ENDS(test, task, 0);
	KUNIT_EXPECT_GE(test, held, NR_REFUSED);
	KUNIT_EXPECT_EQ(test, word_of(place.folio), 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(place.folio), before);
	kunit_info(test, "%u exports, %d of %d walks refused", racer.exported,
		   held, i);
}

static struct kunit_case rmap_cases[] = {
	KUNIT_CASE_PARAM(exporter_is_told, walk_gen_params),
	KUNIT_CASE_PARAM(refusal_holds, walk_gen_params),
	KUNIT_CASE(late_is_not_too_late),
	KUNIT_CASE(exports_are_counted),
	KUNIT_CASE_PARAM(merge_is_told, refusal_gen_params),
	KUNIT_CASE(exporters_take_turns),
	KUNIT_CASE(writing_is_taken_away),
	KUNIT_CASE(writing_undoes_madv_free),
	KUNIT_CASE(use_outside_is_use),
	KUNIT_CASE(what_cannot_be_exported),
	KUNIT_CASE(unregister_waits),
	KUNIT_CASE(hooks_are_switched),
	KUNIT_CASE(freed_while_exported),
	KUNIT_CASE(held_is_not_freed),
	KUNIT_CASE(walks_mark_their_ranges),
	KUNIT_CASE(refusals_race_with_unexports),
	{}
};

static struct kunit_suite rmap_suite = {
	.name = "mmu_notifier_rmap",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = rmap_cases,
};

kunit_test_suite(rmap_suite);

MODULE_DESCRIPTION("KUnit tests of external reverse maps");
MODULE_LICENSE("GPL");
