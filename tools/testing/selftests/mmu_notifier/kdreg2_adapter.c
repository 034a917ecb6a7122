// SPDX-License-Identifier: GPL-2.0
/*
 * What kdreg2 offers, on /dev/mmu_monitor, see the header.
 *
 * A region is a one-shot watch for all that kdreg2 takes for a change. It stays
 * known until its event has been read, since that is when it is looked up; whether
 * it has changed before that is said by its word.
 *
 * The descriptor never blocks, and who wants to wait polls: an event that another
 * thread discards is then nothing to be stuck in.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "kdreg2_adapter.h"

#define BUCKETS		4096
#define BATCH		64
#define WAIT_SECONDS	1

/* Whatever changes what an address means */
#define CLASSES		(MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED)

struct region {
	const void *addr;
	size_t len;
	uint64_t cookie;
	struct mmon_watch watch;
	struct region *next;		/* of the same bucket */
};

/**
 * struct kd - one descriptor of kdreg2's
 * @status: what the user sees.
 * @nonblocking: does kd_read() wait?
 * @lock: guards what follows.
 * @by_location: regions by where their word is, room for @locations.
 * @locations: that many.
 * @buckets: regions by cookie.
 */
struct kd {
	struct kd_status status;
	bool nonblocking;
	pthread_mutex_t lock;
	struct region **by_location;
	size_t locations;
	struct region *buckets[BUCKETS];
};

static struct region **bucket_of(struct kd *kd, uint64_t cookie)
{
	return &kd->buckets[cookie * 0x9e3779b97f4a7c15ULL >> 32 & (BUCKETS - 1)];
}

static size_t location_of(const struct region *r)
{
	return r->watch.offset / sizeof(uint64_t);
}

static struct kd_ticket ticket_of(const struct region *r)
{
	return (struct kd_ticket){ location_of(r), r->watch.generation };
}

/* The one with this cookie that has not changed; others may have had it before. */
static struct region *active_region(struct kd *kd, uint64_t cookie)
{
	struct region *r;

	for (r = *bucket_of(kd, cookie); r; r = r->next)
		if (r->cookie == cookie && mmon_valid(&r->watch))
			return r;
	return NULL;
}

static int know(struct kd *kd, struct region *r)
{
	struct region **bucket = bucket_of(kd, r->cookie);
	size_t nr = kd->locations;

	while (nr <= location_of(r))
		nr = nr ? 2 * nr : 256;
	if (nr > kd->locations) {
		struct region **more = realloc(kd->by_location, nr * sizeof(*more));

		if (!more)
			return -ENOMEM;
		kd->by_location = more;
		while (kd->locations < nr)
			more[kd->locations++] = NULL;
	}
	kd->by_location[location_of(r)] = r;
	r->next = *bucket;
	*bucket = r;
	return 0;
}

static void forget(struct kd *kd, struct region *r)
{
	struct region **at = bucket_of(kd, r->cookie);

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	kd->by_location[location_of(r)] = NULL;
	mmon_unwatch(&kd->status.monitor, &r->watch);
	free(r);
}

/* In a child, every call says so. */
static int enter(struct kd *kd)
{
	if (mmon_foreign(&kd->status.monitor))
		return -EIO;
	pthread_mutex_lock(&kd->lock);
	return 0;
}

static int leave(struct kd *kd, int err)
{
	pthread_mutex_unlock(&kd->lock);
	return err;
}

/* 0, -ENOMEM, or what mmon_open() says */
int kd_open(struct kd **result, bool nonblocking)
{
	struct kd *kd = calloc(1, sizeof(*kd));
	int err;

	if (!kd)
		return -ENOMEM;
	err = mmon_open(&kd->status.monitor, MMON_NONBLOCK);
	if (err) {
		free(kd);
		return err;
	}
	kd->status.version = 1;
	kd->nonblocking = nonblocking;
	pthread_mutex_init(&kd->lock, NULL);
	*result = kd;
	return 0;
}

/* Nobody else uses it any more. */
void kd_close(struct kd *kd)
{
	size_t i;

	mmon_close(&kd->status.monitor);
	for (i = 0; i < kd->locations; i++)
		free(kd->by_location[i]);
	free(kd->by_location);
	free(kd);
}

/* 0; -EBUSY: there are regions or events; -ENOSPC: so many are not possible; -EIO */
int kd_config(struct kd *kd, size_t max_regions, const struct kd_status **status)
{
	int err = enter(kd);

	if (err)
		return err;
	if (mmon_load(&kd->status.monitor.area->watches))
		err = -EBUSY;
	else if (max_regions > kd->status.monitor.info.max_watches)
		err = -ENOSPC;
	else
		kd->status.max_regions = max_regions;
	*status = &kd->status;
	return leave(kd, err);
}

/* Wait until nothing is going on there, so that what is unchanged has settled. */
static int settle(struct kd *kd, struct mmon_watch *watch)
{
	struct timespec now, until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_SECONDS;
	while (!err && watch->generation == MMON_NEVER) {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > until.tv_sec)
			return -EAGAIN;
		err = mmon_rearm(&kd->status.monitor, watch);
	}
	return err;
}

static int monitor_new(struct kd *kd, const void *addr, size_t len, uint64_t cookie,
		       struct kd_ticket *ticket)
{
	struct region *r;
	int err;

	if (kd_active(&kd->status) >= kd->status.max_regions)
		return -ENOSPC;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->addr = addr;
	r->len = len;
	r->cookie = cookie;
	err = mmon_watch(&kd->status.monitor, addr, len, cookie, CLASSES, MMU_MONITOR_ONESHOT,
			 &r->watch);
	if (err) {
		free(r);
		return err;
	}
	err = settle(kd, &r->watch);
	if (!err)
		err = know(kd, r);
	if (err) {
		mmon_unwatch(&kd->status.monitor, &r->watch);
		free(r);
		return err;
	}
	*ticket = ticket_of(r);
	return 0;
}

/*
 * 0, also for the same region once more; -EINVAL: length or cookie; -EBUSY: another
 * region has the cookie; -ENOSPC: as many as configured; -ENOMEM; -EIO; and what
 * kdreg2 does not say: -EOVERFLOW: no such addresses; -EUSERS: the user's limit;
 * -EAGAIN: the mapping changes all the time.
 */
int kd_monitor(struct kd *kd, const void *addr, size_t len, uint64_t cookie,
	       struct kd_ticket *ticket)
{
	struct region *r;
	int err = enter(kd);

	if (err)
		return err;
	r = active_region(kd, cookie);
	if (!len || cookie == KD_BAD_COOKIE)
		err = -EINVAL;
	else if (!r)
		err = monitor_new(kd, addr, len, cookie, ticket);
	else if (r->addr == addr && r->len == len)
		*ticket = ticket_of(r);
	else
		err = -EBUSY;
	return leave(kd, err);
}

/*
 * 0; -EINVAL: there cannot be such a ticket; -ESRCH: no active region has the
 * cookie; -EBADSLT: one has, but not this ticket; -EIO
 */
int kd_unmonitor(struct kd *kd, uint64_t cookie, const struct kd_ticket *ticket)
{
	struct region *r;
	int err = enter(kd);

	if (err)
		return err;
	r = active_region(kd, cookie);
	if (ticket->location >= kd->status.monitor.area_size / sizeof(uint64_t))
		err = -EINVAL;
	else if (!r)
		err = -ESRCH;
	else if (ticket->location != location_of(r) || ticket->generation != r->watch.generation)
		err = -EBADSLT;
	else
		forget(kd, r);
	return leave(kd, err);
}

/* Events that wait to be read stay. 0, -EIO */
int kd_unmonitor_all(struct kd *kd)
{
	int err = enter(kd);
	size_t i;

	if (err)
		return err;
	for (i = 0; i < kd->locations; i++)
		if (kd->by_location[i] && mmon_valid(&kd->by_location[i]->watch))
			forget(kd, kd->by_location[i]);
	return leave(kd, 0);
}

static bool report(struct kd *kd, struct region *r, struct kd_event *event)
{
	if (!r || mmon_valid(&r->watch))
		return false;
	event->type = KD_MAPPING_CHANGE;
	event->addr = r->addr;
	event->len = r->len;
	event->cookie = r->cookie;
	forget(kd, r);
	return true;
}

/*
 * How many events of ours were read, or an error; @nr of them become the user's, one
 * each, or none, for a region that was given up since.
 */
static int translate(struct kd *kd, struct kd_event *events, size_t most, size_t *nr)
{
	struct mmu_monitor_event ours[BATCH];
	struct region *r;
	uint64_t location;
	int i, got;

	*nr = 0;
	got = mmon_next(&kd->status.monitor, ours, most < BATCH ? most : BATCH);
	for (i = 0; i < got; i++) {
		location = ours[i].word / sizeof(location);
		if (ours[i].type != MMU_MONITOR_CHANGED || location >= kd->locations)
			continue;
		r = kd->by_location[location];
		*nr += report(kd, r && r->cookie == ours[i].cookie ? r : NULL, &events[*nr]);
	}
	return got;
}

/* Regions stay as they are. 0, -EIO */
int kd_flush(struct kd *kd)
{
	struct kd_event events[BATCH];
	int err = enter(kd);
	size_t nr;

	if (err)
		return err;
	do {
		err = translate(kd, events, BATCH, &nr);
	} while (err > 0 || err == -EINTR);
	return leave(kd, err == -EAGAIN ? 0 : err);
}

/*
 * Bytes, of whole events; -EINVAL: there is no room for one; -EAGAIN: there is none;
 * -EINTR; -EIO
 */
ssize_t kd_read(struct kd *kd, struct kd_event *events, size_t bytes)
{
	struct pollfd pfd = { .fd = kd->status.monitor.fd, .events = POLLIN };
	size_t nr;
	int err;

	if (mmon_foreign(&kd->status.monitor))
		return -EIO;
	if (bytes < sizeof(*events))
		return bytes ? -EINVAL : 0;
	for (;;) {
		err = enter(kd);
		if (err)
			return err;
		err = leave(kd, translate(kd, events, bytes / sizeof(*events), &nr));
		if (err < 0 && (err != -EAGAIN || kd->nonblocking))
			return err;
		if (nr)
			return nr * sizeof(*events);
		if (err == -EAGAIN && poll(&pfd, 1, -1) < 0)
			return -errno;
	}
}

/* For poll(): ready if there is an event; in a child, with POLLERR. */
int kd_fd(const struct kd *kd)
{
	return kd->status.monitor.fd;
}
