// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: who must not wait for whom.
 *
 * The *holder* has a range in flight over the held pages of one space: it sits in a
 * callback, or between start and end, or never lets go but passes on from one range
 * to the next (it *relays*). Meanwhile the *prober* does what must not be delayed by
 * that, in the same space (R3, R9) or in another (R7), and says what. The holder
 * goes on when the prober is through; if one thing takes the prober longer than
 * bound_ms, a rule is broken. Whoever waits for the holder waits for longer than that.
 */

#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "mmu_notifier_torture_subs.h"

enum mmt_state {
	MMT_IDLE,
	MMT_WANT_CALLBACK,	/* the prober wants the holder to do so */
	MMT_WANT_FLIGHT,
	MMT_WANT_RELAY,
	MMT_HELD,		/* the holder does */
	MMT_DONE,		/* the prober is through */
};

static struct {
	struct mmt_space *space;	/* where the holder holds */
	struct mmt_space *other;
	struct mmu_notifier gate;
	bool gated;
	bool shut;
	enum mmt_state state;
	enum mmt_rule rule;		/* what the prober does meanwhile */
	const char *now;
	unsigned int step;		/* how many things it has begun */
} mmt_probe;

static bool mmt_state_is(enum mmt_state state)
{
	/* Acquire: what the other one did before it said so is done. */
	return smp_load_acquire(&mmt_probe.state) == state;
}

static void mmt_state_set(enum mmt_state state)
{
	/* Release: pairs with mmt_state_is(). */
	smp_store_release(&mmt_probe.state, state);
}

/* The holder holds; false: the prober does not want it any more. */
static bool mmt_held(void)
{
	enum mmt_state state = READ_ONCE(mmt_probe.state);

	return state != MMT_DONE &&
	       cmpxchg(&mmt_probe.state, state, MMT_HELD) == state;
}

static void mmt_overdue(void)
{
	enum mmt_rule rule = READ_ONCE(mmt_probe.rule);

	mmt_note(READ_ONCE(mmt_probe.now), mmt_probe.space->id, 0, 0);
	mmt_fail(rule, mmt_probe.space->id, mmt_bound_ms, 0);
}

/* Has the prober begun something else? */
static bool mmt_stepped(unsigned int *step)
{
	unsigned int now = READ_ONCE(mmt_probe.step);
	bool ret = now != *step;

	*step = now;
	return ret;
}

/* Until the prober is through. */
static void mmt_hold(void)
{
	unsigned int slices = mmt_bound_ms / 20, step = READ_ONCE(mmt_probe.step);

	if (!mmt_held())
		return;
	/* Many short ones: where the guest stands still, one is long. */
	while (!mmt_state_is(MMT_DONE)) {
		if (mmt_stepped(&step))
			slices = mmt_bound_ms / 20;
		if (!slices--) {
			mmt_overdue();
			return;
		}
		msleep(20);
	}
}

static int mmt_gate_start(struct mmu_notifier *notifier,
			  const struct mmu_notifier_range *range)
{
	if (!READ_ONCE(mmt_probe.shut) || !mmu_notifier_range_blockable(range))
		return 0;
	WRITE_ONCE(mmt_probe.shut, false);
	if (mmt_breaks(MMT_ONE_LOCK))
		mutex_lock(&mmt_one_lock);
	mmt_hold();
	if (mmt_breaks(MMT_ONE_LOCK))
		mutex_unlock(&mmt_one_lock);
	return 0;
}

static const struct mmu_notifier_ops mmt_gate_ops = {
	.invalidate_range_start = mmt_gate_start,
};

/* Whatever is longer was spent by the machine that this one is a guest of. */
#define MMT_ROUND_NS	(20 * NSEC_PER_MSEC)

static void mmt_relay(struct mmt_space *space)
{
	u64 bound = (u64)mmt_bound_ms * NSEC_PER_MSEC, left = bound;
	unsigned int step = READ_ONCE(mmt_probe.step), i = 0;
	u64 last = ktime_get_ns(), now;
	struct mmt_range ranges[2];

	if (mmt_range_start(space, &ranges[0], MMT_RELAY, MMT_RELAY + 1,
			    MMU_NOTIFY_CLEAR, true))
		return;
	if (!mmt_held())
		left = 0;
	while (left && !mmt_state_is(MMT_DONE)) {
		mmt_range_start(space, &ranges[!i], MMT_RELAY, MMT_RELAY + 1,
				MMU_NOTIFY_CLEAR, true);
		mmt_range_end(&ranges[i]);
		i = !i;
		usleep_range(800, 1200);
		if (mmt_stepped(&step))
			left = bound;
		now = ktime_get_ns();
		left -= min3(now - last, left, MMT_ROUND_NS);
		last = now;
		if (!left)
			mmt_overdue();
	}
	mmt_range_end(&ranges[i]);
}

/**
 * mmt_holder() - hold a range for as long as the prober likes
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_holder(void *worker)
{
	struct mmt_space *space = mmt_probe.space;
	struct mmt_range range;

	/* The prober waits for us: no stutter. */
	while (!torture_must_stop()) {
		struct mmt_worker *this = worker;
		enum mmt_state state = READ_ONCE(mmt_probe.state);

		WRITE_ONCE(this->rounds, this->rounds + 1);
		switch (state) {
		case MMT_WANT_CALLBACK:
			WRITE_ONCE(mmt_probe.shut, true);
			fallthrough;
		case MMT_WANT_FLIGHT:
			mmt_range_start(space, &range, MMT_HOLD, MMT_HOLD + 1,
					MMU_NOTIFY_CLEAR, true);
			if (state == MMT_WANT_FLIGHT)
				mmt_hold();
			mmt_range_end(&range);
			break;
		case MMT_WANT_RELAY:
			mmt_relay(space);
			break;
		default:
			msleep(20);
			continue;
		}
		/* It may be late, and is waited for. */
		while (!mmt_state_is(MMT_DONE))
			msleep(20);
		mmt_state_set(MMT_IDLE);
		mmt_worked(worker);
	}
	return mmt_stop(worker);
}

static void mmt_now(enum mmt_rule rule, const char *what)
{
	WRITE_ONCE(mmt_probe.now, what);
	WRITE_ONCE(mmt_probe.rule, rule);
	WRITE_ONCE(mmt_probe.step, mmt_probe.step + 1);
	mmt_did(MMT_PROBES);
}

static void mmt_probe_range(struct mmt_space *space, bool blockable)
{
	struct mmt_range range;

	if (!mmt_range_start(space, &range, 0, 3, MMU_NOTIFY_CLEAR, blockable)) {
		mmt_range_zap(&range);
		mmt_range_end(&range);
	}
}

/* None of this waits for what another mm does (R7). */
static void mmt_probe_other(void)
{
	struct mmt_space *space = mmt_probe.other, *third;
	unsigned int nr = MMT_PROBE_INTERVAL;

	mmt_now(MMT_R7_DELAYED, "a range in another mm");
	mmt_probe_range(space, true);
	mmt_probe_range(space, false);
	mmt_now(MMT_R7_DELAYED, "registration in another mm");
	if (!mmt_list_register(space, MMT_PROBE_LIST, false)) {
		mmt_now(MMT_R7_DELAYED, "unregistration in another mm");
		mmt_list_unregister(space, MMT_PROBE_LIST);
	}
	mmt_now(MMT_R7_DELAYED, "insertion in another mm");
	if (!mmt_insert(space, nr, MMT_HOLD, MMT_HOLD + 1, 0)) {
		mmt_now(MMT_R7_DELAYED, "a reader in another mm");
		mmu_interval_read_begin(&space->intervals[nr].notifier);
		mmt_now(MMT_R7_DELAYED, "removal in another mm");
		mmt_remove(space, nr);
	}
	mmt_now(MMT_R7_DELAYED, "a new mm");
	third = mmt_space_new(false);
	mmt_now(MMT_R7_DELAYED, "exit of another mm");
	mmt_space_end(third, true);
}

/* What is elsewhere in the same mm, and insertion anywhere. */
static void mmt_probe_same(void)
{
	struct mmt_space *space = mmt_probe.space;
	struct mmt_interval *quiet = &space->intervals[MMT_PROBE_INTERVAL + 1];
	unsigned long seq;

	mmt_now(MMT_R9_WAIT, "insertion elsewhere");
	if (!mmt_insert(space, MMT_PROBE_INTERVAL + 1, MMT_QUIET, MMT_QUIET + 3, 0)) {
		mmt_now(MMT_R9_WAIT, "a reader elsewhere");
		seq = mmt_read_begin(quiet);
		spin_lock(&quiet->sub.mmu.lock);
		if (mmt_breaks(MMT_QUIET_COLLIDES))
			mmu_interval_set_seq(&quiet->notifier, seq + 2);
		if (mmu_interval_read_retry(&quiet->notifier, seq))
			mmt_fail(MMT_R3_QUIET, space->id, MMT_QUIET, seq);
		spin_unlock(&quiet->sub.mmu.lock);
		mmt_now(MMT_R9_WAIT, "removal elsewhere");
		mmt_remove(space, MMT_PROBE_INTERVAL + 1);
	}
	mmt_now(MMT_R9_INSERT, "insertion under a range in flight");
	if (!mmt_insert(space, MMT_PROBE_INTERVAL, MMT_HOLD, MMT_HOLD + 1, 0)) {
		mmt_now(MMT_R9_WAIT, "asynchronous removal under a range in flight");
		mmt_remove_async(space, MMT_PROBE_INTERVAL);
	} else {
		complete_all(&space->intervals[MMT_PROBE_INTERVAL].removed);
	}
}

/* Older ranges end, and there are always younger ones. */
static void mmt_probe_relay(void)
{
	struct mmt_space *space = mmt_probe.space;
	struct mmt_interval *interval = &space->intervals[MMT_PROBE_INTERVAL];
	int i;

	mmt_now(MMT_R9_INSERT, "insertion under ranges in flight");
	if (mmt_insert(space, MMT_PROBE_INTERVAL, MMT_RELAY, MMT_RELAY + 1, 0))
		return;
	for (i = 0; i < 4; i++) {
		mmt_now(MMT_R9_WAIT, "a reader under ranges in flight");
		mmt_read_begin(interval);
	}
	mmt_now(MMT_R9_WAIT, "removal under ranges in flight");
	mmt_remove(space, MMT_PROBE_INTERVAL);
}

static bool mmt_await(enum mmt_state state)
{
	while (!mmt_state_is(state)) {
		if (torture_must_stop())
			return false;
		usleep_range(500, 2000);
	}
	return true;
}

/**
 * mmt_prober() - do what must not wait
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_prober(void *worker)
{
	static const enum mmt_state wants[] = {
		MMT_WANT_CALLBACK, MMT_WANT_FLIGHT, MMT_WANT_RELAY,
	};
	unsigned int i = 0;

	while (mmt_round(worker)) {
		enum mmt_state want = wants[i++ % ARRAY_SIZE(wants)];

		mmt_state_set(want);
		if (!mmt_await(MMT_HELD)) {
			mmt_state_set(MMT_DONE);
			break;
		}
		if (want == MMT_WANT_RELAY) {
			mmt_probe_relay();
		} else {
			mmt_probe_other();
			mmt_probe_same();
		}
		mmt_state_set(MMT_DONE);
		mmt_worked(worker);
		if (want != MMT_WANT_RELAY)
			mmt_removed(mmt_probe.space, MMT_PROBE_INTERVAL);
		if (!mmt_await(MMT_IDLE))
			break;
		usleep_range(2000, 10000);
	}
	return mmt_stop(worker);
}

/**
 * mmt_probe_init() - make the spaces of holder and prober
 *
 * Return: 0 or -ENOMEM; mmt_probe_exit() in any case.
 */
int mmt_probe_init(void)
{
	int ret;

	mmt_probe.space = mmt_space_new(false);
	mmt_probe.other = mmt_space_new(false);
	if (!mmt_probe.space || !mmt_probe.other)
		return -ENOMEM;
	mmt_probe.gate.ops = &mmt_gate_ops;
	ret = mmu_notifier_register(&mmt_probe.gate, mmt_probe.space->mm);
	mmt_probe.gated = !ret;
	return ret;
}

/**
 * mmt_probe_exit() - end them, when there are no holder and prober any more
 */
void mmt_probe_exit(void)
{
	struct mmt_space *spaces[] = { mmt_probe.space, mmt_probe.other };
	int i;

	if (mmt_probe.gated)
		mmu_notifier_unregister(&mmt_probe.gate, mmt_probe.space->mm);
	mmt_probe.gated = false;
	for (i = 0; i < ARRAY_SIZE(spaces); i++)
		mmt_space_end(spaces[i], false);
	mmt_probe.space = NULL;
	mmt_probe.other = NULL;
}
