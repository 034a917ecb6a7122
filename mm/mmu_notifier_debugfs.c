// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: /sys/kernel/debug/mmu_notifier/; see
 * Documentation/ABI/testing/debugfs-mmu_notifier.
 *
 * One line for each subscribed mm, made of words "key=value". It is put together
 * from copies, so nothing waits while it is printed.
 */

#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kallsyms.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"

/* So many ranges in flight are described, the oldest ones; all are counted. */
#define MN_SHOWN	4

/* What is copied of a record. */
struct mn_range {
	unsigned long start;
	unsigned long end;
	enum mmu_notifier_event event;
	u64 began;
	const void *callback;
	u64 called;
	char comm[TASK_COMM_LEN];
	pid_t pid;
};

struct mn_in_flight {
	struct mm_struct *mm;
	unsigned int nr;
	struct mn_range oldest[MN_SHOWN];
};

/* Of one file that is open. */
struct mn_reader {
	struct mmu_notifier_stats cursor;
	struct mn_in_flight in_flight;
	loff_t pos;
};

/* Under the lock of a bucket of records: keep the oldest, sorted. */
static void mn_note(struct mmu_record *record, void *data)
{
	struct mn_in_flight *in_flight = data;
	struct mn_range *oldest = in_flight->oldest;
	unsigned int i;

	if (record->mm != in_flight->mm || !record->range)
		return;
	i = min(in_flight->nr++, MN_SHOWN);
	while (i && oldest[i - 1].began > record->began) {
		if (i < MN_SHOWN)
			oldest[i] = oldest[i - 1];
		i--;
	}
	if (i == MN_SHOWN)
		return;
	oldest[i] = (struct mn_range){
		.start = record->start,
		.end = record->end,
		.event = record->event,
		.began = record->began,
		.callback = record->callback,
		.called = record->called,
		.pid = record->task->pid,
	};
	strscpy(oldest[i].comm, record->task->comm);
}

static void mn_show_comm(struct seq_file *m, const char *comm)
{
	seq_escape_str(m, comm, ESCAPE_OCTAL | ESCAPE_NP | ESCAPE_APPEND, " =\\");
}

/* The name of a function without what would end the word. */
static void mn_show_function(struct seq_file *m, const char *key,
			     const void *function)
{
	char name[KSYM_SYMBOL_LEN] = "others", *module;

	if (function)
		snprintf(name, sizeof(name), "%ps", function);
	module = strchr(name, ' ');
	if (module)
		*module++ = '\0';
	seq_printf(m, " %s=%s%s", key, name, module ?: "");
}

static u64 mn_us(u64 ns)
{
	return div_u64(ns, NSEC_PER_USEC);
}

/* What happened some time ago, perhaps on another CPU: not before it did. */
static u64 mn_age_us(u64 now, u64 then)
{
	return now > then ? mn_us(now - then) : 0;
}

static void mn_show_subscribers(struct seq_file *m,
				const struct mmu_notifier_stats *stats)
{
	const struct mmu_subscriber *subscriber = stats->subscribers;

	for (; subscriber < stats->subscribers + MMU_SUBSCRIBERS; subscriber++) {
		unsigned int nr = READ_ONCE(subscriber->lists) +
				  READ_ONCE(subscriber->intervals);
		s64 calls = atomic64_read(&subscriber->calls);

		if (!nr && !calls)
			continue;
		mn_show_function(m, "subscriber", READ_ONCE(subscriber->callback));
		seq_printf(m, " subscriptions=%u calls=%lld time_us=%llu", nr, calls,
			   mn_us(atomic64_read(&subscriber->ns)));
	}
}

static void mn_show_in_flight(struct seq_file *m,
			      const struct mn_in_flight *in_flight, u64 now)
{
	unsigned int i;

	seq_printf(m, " in_flight=%u", in_flight->nr);
	for (i = 0; i < min(in_flight->nr, MN_SHOWN); i++) {
		const struct mn_range *range = &in_flight->oldest[i];

		seq_printf(m, " range=0x%lx-0x%lx event=%s age_us=%llu task=%d/",
			   range->start, range->end, mmu_event_name(range->event),
			   mn_age_us(now, range->began), range->pid);
		mn_show_comm(m, range->comm);
		if (range->callback) {
			mn_show_function(m, "callback", range->callback);
			seq_printf(m, " since_us=%llu",
				   mn_age_us(now, range->called));
		}
	}
}

static unsigned int mn_subscriptions(const struct mmu_notifier_stats *stats)
{
	unsigned int nr = 0, i;

	for (i = 0; i < MMU_SUBSCRIBERS; i++)
		nr += READ_ONCE(stats->subscribers[i].lists) +
		      READ_ONCE(stats->subscribers[i].intervals);
	return nr;
}

static int mn_show(struct seq_file *m, void *v)
{
	const struct mmu_notifier_subscriptions *subscriptions;
	const struct mmu_notifier_stats *stats = v;
	struct mn_reader *reader = m->private;
	const void *slowest, *releasing;
	struct mmu_process process;
	unsigned int nr;
	u64 now;

	subscriptions = container_of(stats, struct mmu_notifier_subscriptions, stats);
	reader->in_flight.mm = stats->mm;
	reader->in_flight.nr = 0;
	if (mmu_recording())
		mmu_record_each(mn_note, &reader->in_flight);
	now = ktime_get_ns();

	/*
	 * Whose process is gone is not shown, though a driver has not removed its
	 * subscriptions; unless it is them that keep it from going.
	 */
	nr = mn_subscriptions(stats);
	if (!reader->in_flight.nr &&
	    (!nr || (!atomic_read(&stats->mm->mm_users) &&
		     hlist_empty(&subscriptions->list) &&
		     hlist_empty(&subscriptions->quiet))))
		return SEQ_SKIP;

	mmu_process_of(stats->mm, &process);
	seq_printf(m, "pid=%d comm=", process.pid);
	mn_show_comm(m, process.comm);
	seq_printf(m, " subscriptions=%u ranges=%lld calls=%lld refused=%lld retries=%lld",
		   nr, atomic64_read(&stats->ranges), atomic64_read(&stats->calls),
		   atomic64_read(&stats->refused), atomic64_read(&stats->retries));

	slowest = READ_ONCE(stats->slowest);
	if (slowest) {
		mn_show_function(m, "slowest", slowest);
		seq_printf(m, " slowest_us=%llu", mn_us(READ_ONCE(stats->slowest_ns)));
	}
	releasing = READ_ONCE(stats->releasing);
	if (releasing) {
		mn_show_function(m, "releasing", releasing);
		seq_printf(m, " since_us=%llu",
			   mn_age_us(now, READ_ONCE(stats->since)));
	}
	mn_show_in_flight(m, &reader->in_flight, now);
	mn_show_subscribers(m, stats);
	seq_putc(m, '\n');
	return 0;
}

static void *mn_start(struct seq_file *m, loff_t *pos)
{
	struct mn_reader *reader = m->private;
	struct mmu_notifier_stats *stats = NULL;
	loff_t skip = 0;

	/* Usually it goes on where it was; else from the beginning. */
	if (!*pos || *pos != reader->pos) {
		mmu_stats_rewind(&reader->cursor);
		skip = *pos;
	}
	do {
		stats = mmu_stats_next(&reader->cursor, stats);
	} while (stats && skip--);
	reader->pos = *pos;
	return stats;
}

static void *mn_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct mn_reader *reader = m->private;

	reader->pos = ++*pos;
	return mmu_stats_next(&reader->cursor, v);
}

static void mn_stop(struct seq_file *m, void *v)
{
	struct mmu_notifier_stats *stats = v;

	if (stats)
		mmdrop(stats->mm);
}

static const struct seq_operations mn_processes_ops = {
	.start	= mn_start,
	.next	= mn_next,
	.stop	= mn_stop,
	.show	= mn_show,
};

static int mn_processes_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &mn_processes_ops, sizeof(struct mn_reader));
}

static int mn_processes_release(struct inode *inode, struct file *file)
{
	struct mn_reader *reader = ((struct seq_file *)file->private_data)->private;

	mmu_stats_close(&reader->cursor);
	return seq_release_private(inode, file);
}

static const struct file_operations mn_processes_fops = {
	.owner		= THIS_MODULE,
	.open		= mn_processes_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= mn_processes_release,
};

/*
 * Recording
 */

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "mmu_notifier."

static bool mn_on;			/* by this file, or from boot */
module_param_named(recording, mn_on, bool, 0444);
MODULE_PARM_DESC(on, "Record ranges in flight from boot on");

static DEFINE_MUTEX(mn_on_lock);

static int mn_recording_get(void *data, u64 *value)
{
	*value = mmu_recording();
	return 0;
}

static int mn_recording_set(void *data, u64 value)
{
	int ret = 0;

	if (value > 1)
		return -EINVAL;
	mutex_lock(&mn_on_lock);
	if (value && !mn_on)
		ret = mmu_record_get();
	else if (!value && mn_on)
		mmu_record_put();
	if (!ret)
		mn_on = value;
	mutex_unlock(&mn_on_lock);
	return ret;
}

DEFINE_DEBUGFS_ATTRIBUTE(mn_recording_fops, mn_recording_get, mn_recording_set,
			 "%llu\n");

static int __init mn_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("mmu_notifier", NULL);

	if (mn_on && mmu_record_get())
		mn_on = false;
	debugfs_create_file("processes", 0400, dir, NULL, &mn_processes_fops);
	debugfs_create_file_unsafe("recording", 0600, dir, NULL,
				   &mn_recording_fops);
	return 0;
}
late_initcall(mn_debugfs_init);
