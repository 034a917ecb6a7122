// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: parameters, threads, verdict.
 *
 * Loading the module begins the test, unloading it ends it and prints one line with
 * SUCCESS or FAILURE and all parameters. For a type that does something wrong it is
 * to be FAILURE, and "found" is Y as soon as the rule in question has noticed; with
 * the correct type, any.
 *
 * SUCCESS means: no failure; no CPU that could not be taken offline or back; and
 * that each kind of worker has done what it is there for, or it has not been tested.
 *
 * Documentation/mm/mmu_notifier/torture.rst says what is printed, field by field.
 */

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "mmu_notifier_torture.h"

MODULE_DESCRIPTION("Torture test of MMU notifiers");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(MMU_NOTIFIER_TORTURE);
MODULE_INFO(test, "Y");

torture_param(uint, nr_spaces, 4, "mms that the workers share");
torture_param(uint, nchangers, 3, "threads that start ranges");
torture_param(uint, nlisters, 2, "threads that register and unregister, 3 at most");
torture_param(uint, nwalkers, 1, "threads that do so as walkers, 2 at most");
torture_param(uint, nsharers, 1, "threads that get and put");
torture_param(uint, ninserters, 2, "threads that insert and remove, 4 at most");
torture_param(uint, nreaders, 2, "threads that read");
torture_param(uint, nsettlers, 1, "threads that look when they are settled, 4 at most");
torture_param(uint, nexiters, 1, "threads that let mms exit");
torture_param(uint, nprobers, 1, "who must not wait for whom: 0 or 1");
torture_param(uint, nchurners, 2, "threads that work on real memory");
torture_param(uint, ndevices, 1, "threads that use it");
torture_param(uint, bound_ms, 8000, "what must not wait is through by then (ms)");
torture_param(uint, slow_us, 200, "how long slow callbacks take (us)");
torture_param(uint, hang, 60, "a thread that does not come round for so long hangs (s)");
torture_param(uint, stall_ms, 0, "CPU stalls, once a second (ms), 0 for none");
torture_param(uint, pressure_mb, 0, "memory to take and give back (MB), 0 for none");
torture_param(uint, stutter, 1, "all pause for as long after so long (s), 0 for never");
torture_param(uint, stat_interval, 5, "statistics every so many seconds");
torture_param(uint, onoff_interval, 0, "CPU hotplug every so many jiffies, 0 for none");
torture_param(uint, onoff_holdoff, 0, "CPU hotplug begins after so many seconds");
torture_param(uint, shuffle_interval, 0, "move the threads every so many seconds");
torture_param(uint, shutdown_secs, 0, "switch the machine off after so many seconds");
torture_param(int, verbose, 0, "say more");

static char *torture_type = "correct";
module_param(torture_type, charp, 0444);
MODULE_PARM_DESC(torture_type, "correct, or what to do wrong; \"list\" prints all");

static int found_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n", mmt_found() ? 'Y' : 'N');
}

static const struct kernel_param_ops found_ops = {
	.get = found_get,
};
module_param_cb(found, &found_ops, NULL, 0444);
MODULE_PARM_DESC(found, "has the rule that the type breaks noticed? Any, if it is correct?");

/* The parameters that the parts look at. */
unsigned int mmt_bound_ms, mmt_slow_us, mmt_stall_ms, mmt_pressure_mb;

/**
 * struct mmt_kind - a kind of worker
 * @fn: what it does.
 * @thread: the name of its threads, but for their number.
 * @name: the parameter that says how many.
 * @nr: how many.
 * @max: how many there can be.
 */
struct mmt_kind {
	int (*fn)(void *worker);
	const char *thread;
	const char *name;
	unsigned int *nr;
	unsigned int max;
};

static const struct mmt_kind mmt_kinds[] = {
	{ mmt_reader, "reader", "nreaders", &nreaders, 64 },
	{ mmt_changer, "changer", "nchangers", &nchangers, 64 },
	{ mmt_lister, "lister", "nlisters", &nlisters, MMT_MAX_LISTERS },
	{ mmt_walker, "walker", "nwalkers", &nwalkers, MMT_MAX_WALKERS },
	{ mmt_sharer, "sharer", "nsharers", &nsharers, 64 },
	{ mmt_inserter, "inserter", "ninserters", &ninserters, MMT_MAX_INSERTERS },
	{ mmt_settler, "settler", "nsettlers", &nsettlers, MMT_MAX_SETTLERS },
	{ mmt_exiter, "exiter", "nexiters", &nexiters, 64 },
	/* The holder after the prober: it is stopped after that. */
	{ mmt_prober, "prober", "nprobers", &nprobers, 1 },
	{ mmt_holder, "holder", "nprobers", &nprobers, 1 },
	{ mmt_churner, "churner", "nchurners", &nchurners, 64 },
	{ mmt_device, "device", "ndevices", &ndevices, 64 },
};

static struct mmt_worker *mmt_workers;
static unsigned int mmt_nr_workers;
static struct task_struct *mmt_stats_task;
static bool mmt_unable;		/* something could not be begun */

/*
 * Has a thread hung up? Counts slices of time and not jiffies, which jump where the
 * guest stands still.
 */
static void mmt_watch(unsigned long now)
{
	struct mmt_worker *worker;

	for (worker = mmt_workers; worker < mmt_workers + mmt_nr_workers; worker++) {
		unsigned long rounds = READ_ONCE(worker->rounds);

		if (READ_ONCE(worker->gone) || rounds != worker->seen) {
			worker->seen = rounds;
			worker->since = now;
		} else if (now - worker->since >= hang * 10) {
			mmt_note(worker->name, 0, worker->index, rounds);
			mmt_fail(MMT_R9_HANG, 0, worker->index, rounds);
			worker->since = now;
		}
	}
}

/* To the last: while the workers are awaited one of them may hang. */
static int mmt_stats(void *unused)
{
	unsigned long slices = 0;

	while (!kthread_should_stop()) {
		msleep(100);
		slices++;
		mmt_watch(slices);
		mmt_print_first();
		if (!torture_must_stop() && !(slices % (stat_interval * 10))) {
			mmt_print_stats();
			torture_onoff_stats();
		}
	}
	return 0;
}

static void mmt_print_parameters(const char *tag)
{
	char line[512];
	int n;

	n = scnprintf(line, sizeof(line), "torture_type=%s nr_spaces=%u", torture_type,
		      nr_spaces);
	n += scnprintf(line + n, sizeof(line) - n,
		       " nchangers=%u nlisters=%u nwalkers=%u nsharers=%u ninserters=%u",
		       nchangers, nlisters, nwalkers, nsharers, ninserters);
	n += scnprintf(line + n, sizeof(line) - n,
		       " nreaders=%u nsettlers=%u nexiters=%u nprobers=%u nchurners=%u",
		       nreaders, nsettlers, nexiters, nprobers, nchurners);
	n += scnprintf(line + n, sizeof(line) - n,
		       " ndevices=%u bound_ms=%u slow_us=%u hang=%u stall_ms=%u",
		       ndevices, bound_ms, slow_us, hang, stall_ms);
	n += scnprintf(line + n, sizeof(line) - n,
		       " pressure_mb=%u stutter=%u stat_interval=%u onoff_interval=%u",
		       pressure_mb, stutter, stat_interval, onoff_interval);
	scnprintf(line + n, sizeof(line) - n,
		  " onoff_holdoff=%u shuffle_interval=%u shutdown_secs=%u verbose=%d",
		  onoff_holdoff, shuffle_interval, shutdown_secs, verbose);
	pr_torture("--- %s: %s\n", tag, line);
}

/* What nobody has done has not been tested. */
static bool mmt_all_done(void)
{
	const struct mmt_kind *kind;
	unsigned long did;
	bool ret = true;
	unsigned int i;

	for (kind = mmt_kinds; kind < mmt_kinds + ARRAY_SIZE(mmt_kinds); kind++) {
		did = 0;
		for (i = 0; i < mmt_nr_workers; i++)
			if (mmt_workers[i].fn == kind->fn)
				did += mmt_workers[i].did;
		if (!*kind->nr || did)
			continue;
		pr_torture("!!! %s=%u have done nothing: %s\n", kind->name, *kind->nr,
			   kind->thread);
		ret = false;
	}
	return ret;
}

/* Who has gone and still holds something is a mistake of the test's, too. */
static bool mmt_all_back(void)
{
	int left = mmt_spaces_left();

	if (left)
		pr_torture("!!! %d spaces were not given back\n", left);
	return !left;
}

static void mmt_cleanup(void)
{
	const char *verdict;
	unsigned int i;

	if (torture_cleanup_begin())
		return;
	for (i = 0; i < mmt_nr_workers; i++)
		_torture_stop_kthread("Stopping a worker", &mmt_workers[i].task);
	torture_stop_kthread(mmt_stats, mmt_stats_task);
	mmt_real_exit();
	mmt_probe_exit();
	mmt_spaces_exit();
	mmt_kept_exit();
	mmt_frugal_exit();

	if (!mmt_unable) {
		mmt_print_stats();
		verdict = !mmt_all_failures() && mmt_all_done() && mmt_all_back() ?
			"End of test: SUCCESS" : "End of test: FAILURE";
		if (torture_onoff_failures())
			verdict = "End of test: FAILURE (CPU hotplug)";
		if (mmt_type->trips != MMT_NR_RULES)
			pr_torture("type %s: %s %s %lu times\n", mmt_type->name,
				   mmt_rule_name(mmt_type->trips),
				   mmt_found() ? "was tripped" : "was NOT tripped:",
				   mmt_failures(mmt_type->trips));
		mmt_print_parameters(verdict);
	}
	kfree(mmt_workers);
	mmt_workers = NULL;
	mmt_nr_workers = 0;
	torture_cleanup_end();
}

static bool mmt_within(const char *name, unsigned int value, unsigned int least,
		       unsigned int most)
{
	if (value >= least && value <= most)
		return true;
	pr_torture("%s=%u does not do: %u to %u do\n", name, value, least, most);
	return false;
}

static int mmt_check_parameters(void)
{
	const struct mmt_kind *kind;
	bool good = true;

	if (!strcmp(torture_type, "list")) {
		mmt_type_list();
		return -EINVAL;
	}
	mmt_type = mmt_type_find(torture_type);
	if (!mmt_type) {
		pr_torture("there is no torture_type=%s; torture_type=list prints all\n",
			   torture_type);
		return -EINVAL;
	}
	for (kind = mmt_kinds; kind < mmt_kinds + ARRAY_SIZE(mmt_kinds); kind++)
		good &= mmt_within(kind->name, *kind->nr, 0, kind->max);
	good &= mmt_within("nr_spaces", nr_spaces, 1, 256);
	good &= mmt_within("bound_ms", bound_ms, 500, 600000);
	/* What is slow, stalls or pauses on purpose does not hang. */
	good &= mmt_within("slow_us", slow_us, 1, min(1000000U, bound_ms * 50));
	good &= mmt_within("stall_ms", stall_ms, 0, bound_ms / 4);
	good &= mmt_within("hang", hang, 2, 3600);
	good &= mmt_within("stutter", stutter, 0, hang - 1);
	good &= mmt_within("pressure_mb", pressure_mb, 0, 1 << 20);
	good &= mmt_within("stat_interval", stat_interval, 1, 3600);
	good &= mmt_within("onoff_interval", onoff_interval, 0, INT_MAX);
	good &= mmt_within("onoff_holdoff", onoff_holdoff, 0, 3600);
	good &= mmt_within("shuffle_interval", shuffle_interval, 0, 3600);
	good &= mmt_within("shutdown_secs", shutdown_secs, 0, INT_MAX);
	return good ? 0 : -EINVAL;
}

static int mmt_add_worker(int (*fn)(void *worker), const char *name, unsigned int index)
{
	struct mmt_worker *worker = &mmt_workers[mmt_nr_workers++];
	char task[TASK_COMM_LEN];

	worker->fn = fn;
	worker->name = name;
	worker->index = index;
	snprintf(task, sizeof(task), "mmt_%s%u", name, index);
	return _torture_create_kthread(fn, worker, task, "Creating a worker",
				       "Failed to create a worker", &worker->task, NULL);
}

static int mmt_add_workers(void)
{
	const struct mmt_kind *kind;
	unsigned int i, nr = 2;
	int ret;

	for (kind = mmt_kinds; kind < mmt_kinds + ARRAY_SIZE(mmt_kinds); kind++)
		nr += *kind->nr;
	mmt_workers = kcalloc(nr, sizeof(*mmt_workers), GFP_KERNEL);
	if (!mmt_workers)
		return -ENOMEM;
	for (kind = mmt_kinds; kind < mmt_kinds + ARRAY_SIZE(mmt_kinds); kind++) {
		for (i = 0; i < *kind->nr; i++) {
			ret = mmt_add_worker(kind->fn, kind->thread, i);
			if (ret)
				return ret;
		}
	}
	ret = stall_ms ? mmt_add_worker(mmt_staller, "staller", 0) : 0;
	if (!ret && pressure_mb)
		ret = mmt_add_worker(mmt_presser, "presser", 0);
	return ret;
}

static int mmt_begin_all(void)
{
	int ret = mmt_spaces_init(nr_spaces);

	if (!ret)
		ret = mmt_probe_init();
	if (!ret)
		ret = mmt_frugal_init();
	if (ret)
		return ret;
	mmt_real_init();
	if (stutter)
		ret = torture_stutter_init(stutter * HZ, stutter * HZ);
	if (!ret)
		ret = mmt_add_workers();
	if (!ret)
		ret = torture_create_kthread(mmt_stats, NULL, mmt_stats_task);
	if (!ret && onoff_interval)
		ret = torture_onoff_init(onoff_holdoff * HZ, onoff_interval, NULL);
	if (!ret && shuffle_interval)
		ret = torture_shuffle_init(shuffle_interval * HZ);
	if (!ret && shutdown_secs)
		ret = torture_shutdown_init(shutdown_secs, mmt_cleanup);
	return ret;
}

static int __init mmt_init(void)
{
	int ret = mmt_check_parameters();

	if (ret)
		return ret;
	if (!torture_init_begin("mmu_notifier", verbose))
		return -EBUSY;
	mmt_bound_ms = bound_ms;
	mmt_slow_us = slow_us;
	mmt_stall_ms = stall_ms;
	mmt_pressure_mb = pressure_mb;
	mmt_print_parameters("Start of test");
	ret = mmt_begin_all();
	torture_init_end();
	if (ret) {
		pr_torture("cannot begin: error %d\n", ret);
		mmt_unable = true;
		mmt_cleanup();
	}
	return ret;
}

module_init(mmt_init);
module_exit(mmt_cleanup);
