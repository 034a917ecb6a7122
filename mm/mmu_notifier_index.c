// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: the index of the interval subscriptions of an mm.
 *
 * A B+tree, ordered by first address. Each entry of a node stands for one
 * subscription (in a leaf) or one node below, and holds
 *
 *	first	its lowest first address, or an address below that but not
 *		below anything in the entry before,
 *	last	its greatest last address,
 *	reach	the greatest last address of this entry and those before it.
 *
 * So a search for anything that overlaps start..last goes down one path. In a
 * node, the entries that matter are those with first <= last. All
 * subscriptions of all of them but the final one begin at last or before, so
 * they overlap if their reach is start or more; only the final one has to be
 * looked into. A whole node is passed by if its reach is less than start.
 *
 * Changes are made under the lock of the interval half. mmu_index_may_overlap()
 * runs without it, inside an RCU section, and checks by a seqcount that it has
 * seen no change halfway. Until then it may read anything, but nothing that
 * hurts: pointers to nodes lead down only, and to memory that RCU keeps; what
 * a leaf points to is for holders of the lock.
 *
 * A node that runs empty is freed. None is merged: the index takes at most one
 * node per subscription, and one in twenty usually. What an insertion needs is
 * allocated before, so neither change can fail.
 */

#include <linux/prefetch.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "mmu_notifier.h"

/* A node fills nearly 1 KB, and is searched in two steps. */
#define MN_FANOUT	29

struct mn_node {
	unsigned int nr;
	unsigned char position;		/* in the parent */
	bool leaf;
	union {
		struct mn_node *parent;	/* or the next in reserve or unused */
		struct rcu_head rcu;
	};
	unsigned long first[MN_FANOUT];		/* ULONG_MAX behind the last */
	unsigned long reach[MN_FANOUT];		/* the same */
	unsigned long last[MN_FANOUT];
	union {
		struct mn_node *below[MN_FANOUT];
		struct mmu_interval_notifier *sub[MN_FANOUT];
	};
};

/*
 * Looking up
 */

/*
 * How many of a node's ascending @keys are @key or less? Two rounds of
 * comparisons that do not wait for each other, nor for each other's cache line.
 */
static __always_inline unsigned int mn_count(const unsigned long *keys,
					     unsigned long key)
{
	unsigned int nr;

	BUILD_BUG_ON(MN_FANOUT != 29);

	nr = (READ_ONCE(keys[5]) <= key) + (READ_ONCE(keys[11]) <= key) +
	     (READ_ONCE(keys[17]) <= key) + (READ_ONCE(keys[23]) <= key);
	nr *= 6;
	keys += nr;
	return nr + (READ_ONCE(keys[0]) <= key) + (READ_ONCE(keys[1]) <= key) +
	       (READ_ONCE(keys[2]) <= key) + (READ_ONCE(keys[3]) <= key) +
	       (READ_ONCE(keys[4]) <= key);
}

/* The same of what is used: the keys behind are ULONG_MAX, and so may @key be. */
static unsigned int mn_count_used(const struct mn_node *node,
				  unsigned long key)
{
	return min(mn_count(node->first, key), node->nr);
}

static __always_inline void mn_prefetch(const unsigned long *reach)
{
	const unsigned long *line;

	for (line = reach; line < reach + MN_FANOUT;
	     line += L1_CACHE_BYTES / sizeof(*line))
		prefetch(line);
}

/* False: the gap that start..last is in goes from @gap's first to its last. */
static bool mn_search(const struct mn_node *node, unsigned long start,
		      unsigned long last, struct mn_gap *gap)
{
	unsigned long reach;
	unsigned int nr;

	gap->first = 0;
	gap->last = ULONG_MAX;
	while (node) {
		mn_prefetch(node->reach);
		nr = mn_count(node->first, last);
		/*
		 * On the way down this gets less, and below it greater. A node
		 * is entered if it reaches start: if it then has nothing that
		 * begins behind last, something in it overlaps.
		 */
		if (nr < MN_FANOUT)
			gap->last = READ_ONCE(node->first[nr]) - 1;
		if (!nr)
			return false;
		reach = READ_ONCE(node->reach[nr - 1]);
		if (reach < start) {
			gap->first = max(gap->first, reach + 1);
			return false;
		}
		if (node->leaf)
			return true;
		if (nr > 1) {
			reach = READ_ONCE(node->reach[nr - 2]);
			if (reach >= start)
				return true;
			gap->first = max(gap->first, reach + 1);
		}
		node = READ_ONCE(node->below[nr - 1]);
	}
	return false;
}

/*
 * False: no subscription overlapped at a time when the index was in the state
 * @seq and gap->version, nor did any overlap @gap; mmu_index_changed() tells whether
 * that has changed. True: ask again under the lock. Does without it, in an RCU section.
 */
bool mmu_index_may_overlap(const struct mmu_index *index, unsigned long start,
			   unsigned long last, unsigned int *seq,
			   struct mn_gap *gap)
{
	unsigned int tries;
	bool ret;

	for (tries = 0; tries < 4; tries++) {
		mmu_index_sample(index, seq, &gap->version);
		/* The pointers lead to initialised nodes: see mn_put(). */
		ret = mn_search(READ_ONCE(index->root), start, last, gap);
		if (!(*seq & 1) && !mmu_index_changed(index, *seq, gap->version))
			return ret;
		cpu_relax();
	}
	return true;
}

static unsigned int mn_position(const struct mn_node *leaf,
				const struct mmu_interval_notifier *subscription)
{
	unsigned int i;

	/* The last of those with the same first address, or one before. */
	i = mn_count_used(leaf, subscription->interval_tree.start) - 1;
	while (leaf->sub[i] != subscription)
		i--;
	return i;
}

/* The first entry that reaches @start, or nr if none does. */
static unsigned int mn_first_reaching(const struct mn_node *node,
				      unsigned long start)
{
	return start ? min(mn_count(node->reach, start - 1), node->nr) : 0;
}

/*
 * Collect subscriptions that overlap start..last, in order, behind @after or
 * from the first one on: at most @max. Returns how many.
 */
unsigned int mmu_index_collect(const struct mmu_index *index,
			       const struct mmu_interval_notifier *after,
			       unsigned long start, unsigned long last,
			       struct mmu_interval_notifier **subs,
			       unsigned int max)
{
	const struct mn_node *node = after ? after->leaf : index->root;
	unsigned int nr = 0, i;

	if (!node)
		return 0;
	i = after ? mn_position(node, after) + 1 :
		    mn_first_reaching(node, start);
	for (;;) {
		for (; i < node->nr && node->first[i] <= last; i++) {
			if (node->last[i] < start)
				continue;
			if (!node->leaf)
				break;
			/* A cursor may be left that is removed. */
			if (node->sub[i]->state != MN_INTERVAL_INSERTED)
				continue;
			subs[nr++] = node->sub[i];
			if (nr == max)
				return nr;
		}
		if (i < node->nr && node->first[i] <= last) {
			node = node->below[i];
			i = mn_first_reaching(node, start);
		} else if (node->parent) {
			i = node->position + 1;
			node = node->parent;
		} else {
			break;
		}
	}
	return nr;
}

/*
 * Changing
 */

static unsigned long mn_last(const struct mn_node *node)
{
	return node->reach[node->nr - 1];
}

/* Entry @i has changed, or those behind it: put reach right from there on. */
static void mn_update_reach(struct mn_node *node, unsigned int i)
{
	unsigned long reach = i ? node->reach[i - 1] : 0;

	for (; i < node->nr; i++) {
		reach = max(reach, node->last[i]);
		if (node->reach[i] == reach)
			break;
		WRITE_ONCE(node->reach[i], reach);
	}
}

static void mn_put(struct mn_node *node, unsigned int i, unsigned long first,
		   unsigned long last, void *entry)
{
	WRITE_ONCE(node->first[i], first);
	node->last[i] = last;
	/* Release: who comes this way finds the node below initialised. */
	smp_store_release(&node->below[i], entry);
}

/* Let what entry @i stands for know where it is. */
static void mn_adopt(struct mn_node *node, unsigned int i)
{
	if (node->leaf) {
		node->sub[i]->leaf = node;
	} else {
		node->below[i]->parent = node;
		node->below[i]->position = i;
	}
}

/* Within a node, reach goes along; in another one it is computed. */
static void mn_shift(struct mn_node *node, unsigned int to, unsigned int from)
{
	mn_put(node, to, node->first[from], node->last[from],
	       node->below[from]);
	WRITE_ONCE(node->reach[to], node->reach[from]);
	if (!node->leaf)
		node->below[to]->position = to;
}

/* An entry that is no more must not lead to a node that gets freed. */
static void mn_blank(struct mn_node *node, unsigned int i)
{
	WRITE_ONCE(node->first[i], ULONG_MAX);
	WRITE_ONCE(node->reach[i], ULONG_MAX);
	WRITE_ONCE(node->below[i], NULL);
}

static void mn_insert_at(struct mn_node *node, unsigned int i,
			 unsigned long first, unsigned long last, void *entry)
{
	unsigned int j;

	for (j = node->nr++; j > i; j--)
		mn_shift(node, j, j - 1);
	mn_put(node, i, first, last, entry);
	mn_adopt(node, i);
	WRITE_ONCE(node->reach[i], max(last, i ? node->reach[i - 1] : 0));
	mn_update_reach(node, i + 1);
}

static void mn_delete_at(struct mn_node *node, unsigned int i)
{
	unsigned int j;

	node->nr--;
	for (j = i; j < node->nr; j++)
		mn_shift(node, j, j + 1);
	mn_blank(node, node->nr);
	mn_update_reach(node, i);
}

static struct mn_node *mn_take_node(struct mmu_index *index, bool leaf)
{
	struct mn_node *node = index->reserve;
	unsigned int i;

	index->reserve = node->parent;
	index->nr_reserve--;
	node->parent = NULL;
	node->leaf = leaf;
	node->nr = 0;
	for (i = 0; i < MN_FANOUT; i++)
		mn_blank(node, i);
	return node;
}

static void mn_set_root(struct mmu_index *index, struct mn_node *root,
			unsigned int height)
{
	/* Release: as in mn_put(). */
	smp_store_release(&index->root, root);
	root->parent = NULL;
	index->height = height;
}

/* Whatever is in the index all the time has been within the bounds all the time. */
static void mn_set_bounds(struct mmu_index *index)
{
	const struct mn_node *root = index->root;

	WRITE_ONCE(index->low, root->first[0]);
	WRITE_ONCE(index->high, root->nr ? mn_last(root) : 0);
}

/* Tell the nodes above that what @node holds has changed. */
static void mn_update_above(struct mn_node *node)
{
	struct mn_node *parent;
	unsigned int i;

	for (; (parent = node->parent); node = parent) {
		i = node->position;
		if (node->first[0] < parent->first[i])
			WRITE_ONCE(parent->first[i], node->first[0]);
		else if (parent->last[i] == mn_last(node))
			break;
		parent->last[i] = mn_last(node);
		mn_update_reach(parent, i);
	}
}

/* Make room in a full node for an entry at @i; returns the new one on the right. */
static struct mn_node *mn_split(struct mmu_index *index, struct mn_node *node,
				unsigned int i)
{
	struct mn_node *right = mn_take_node(index, node->leaf);
	/* Who inserts in ascending order gets full nodes. */
	unsigned int keep = i == MN_FANOUT ? i : MN_FANOUT / 2;
	unsigned int j;

	for (j = keep; j < MN_FANOUT; j++) {
		mn_put(right, j - keep, node->first[j], node->last[j],
		       node->below[j]);
		mn_adopt(right, j - keep);
		mn_blank(node, j);
	}
	right->nr = MN_FANOUT - keep;
	node->nr = keep;
	mn_update_reach(right, 0);
	return right;
}

static void mn_begin_change(struct mmu_index *index)
{
	raw_write_seqcount_begin(&index->seq);
	WRITE_ONCE(index->version, index->version + 1);
}

/* Insert; mmu_index_wants() has said no under the same lock. */
void mmu_index_insert(struct mmu_index *index,
		      struct mmu_interval_notifier *subscription)
{
	unsigned long first = subscription->interval_tree.start;
	unsigned long last = subscription->interval_tree.last;
	void *entry = subscription;
	struct mn_node *node, *right;
	unsigned int i;

	mn_begin_change(index);
	if (!index->root)
		mn_set_root(index, mn_take_node(index, true), 1);
	node = index->root;
	/* Behind those with the same first address. */
	while (i = mn_count_used(node, first), !node->leaf)
		node = node->below[i ? i - 1 : 0];

	while (node->nr == MN_FANOUT) {
		right = mn_split(index, node, i);
		if (i > node->nr || i == MN_FANOUT)
			mn_insert_at(right, i - node->nr, first, last, entry);
		else
			mn_insert_at(node, i, first, last, entry);

		if (!node->parent) {
			struct mn_node *root = mn_take_node(index, false);

			mn_insert_at(root, 0, node->first[0], mn_last(node), node);
			mn_set_root(index, root, index->height + 1);
		} else {
			mn_update_above(node);
		}
		/* What is on the right becomes an entry of the node above. */
		i = node->position + 1;
		node = node->parent;
		first = right->first[0];
		last = mn_last(right);
		entry = right;
	}
	mn_insert_at(node, i, first, last, entry);
	mn_update_above(node);
	mn_set_bounds(index);
	raw_write_seqcount_end(&index->seq);
}

/* Never fails, and frees what is not used any more. */
void mmu_index_erase(struct mmu_index *index,
		     struct mmu_interval_notifier *subscription)
{
	struct mn_node *node = subscription->leaf, *unused = NULL, *next;

	mn_begin_change(index);
	mn_delete_at(node, mn_position(node, subscription));
	subscription->leaf = NULL;
	while (!node->nr && node->parent) {
		next = node->parent;
		mn_delete_at(next, node->position);
		node->parent = unused;
		unused = node;
		node = next;
	}
	if (node->nr)
		mn_update_above(node);
	for (node = index->root; node->nr == 1 && !node->leaf; node = index->root) {
		mn_set_root(index, node->below[0], index->height - 1);
		node->parent = unused;
		unused = node;
	}
	mn_set_bounds(index);
	raw_write_seqcount_end(&index->seq);

	/* This may take a while, and who looks up waits for none of it. */
	for (; unused; unused = next) {
		next = unused->parent;
		kfree_rcu(unused, rcu);
	}
}

/*
 * Memory
 */

/* Has the index to be given a node before the next insertion? */
bool mmu_index_wants(const struct mmu_index *index)
{
	/* A split on each level and a new root, or the first leaf. */
	return index->nr_reserve < index->height + 1;
}

/*
 * Context: may sleep. When the caller's cgroup is full, the insertion fails, and
 * nobody is killed for it.
 */
struct mn_node *mmu_index_alloc(void)
{
	BUILD_BUG_ON(sizeof(struct mn_node) > 1024);
	return kzalloc(sizeof(struct mn_node),
		       GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL);
}

void mmu_index_give(struct mmu_index *index, struct mn_node *node)
{
	node->parent = index->reserve;
	index->reserve = node;
	index->nr_reserve++;
}

void mmu_index_init(struct mmu_index *index)
{
	seqcount_init(&index->seq);
	index->version = 0;
	index->root = NULL;
	index->height = 0;
	index->low = ULONG_MAX;
	index->high = 0;
	index->reserve = NULL;
	index->nr_reserve = 0;
}

/* All subscriptions are erased. */
void mmu_index_destroy(struct mmu_index *index)
{
	struct mn_node *node;

	while ((node = index->reserve)) {
		index->reserve = node->parent;
		kfree(node);
	}
	/* Nobody looks up any more, but frees may be pending; they stand alone. */
	kfree(index->root);
}
