// SPDX-License-Identifier: GPL-2.0
/*
 * Whose faults does an invalidation send back?
 *
 * vCPUs fault one memslot in while the host drops pages of other memslots, and
 * KVM's statistics say how many of these faults were begun again (RET_PF_RETRY)
 * though nothing that they were about was going on. Where the host drops the very
 * pages that a vCPU uses, it must never see what was there before.
 *
 * The same for a page that KVM itself writes to by way of a pfn cache, Xen's
 * shared info.
 *
 * In guest frames, what the vCPUs use lies between what is dropped and what is
 * in flight for long: one range around all that is in flight has them in it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <asm/barrier.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall.h"

#define STORM_GPA	SZ_1G
#define STORM_SIZE	SZ_2M
#define WORK_GPA	(STORM_GPA + STORM_SIZE)
#define WORK_SIZE	SZ_4M
#define HELD_GPA	(STORM_GPA + SZ_64M)
#define HELD_SIZE	SZ_512M

#define MAX_VCPUS	8
#define MAX_THREADS	8
#define HOT_PAGES	24
#define VCPU_CPU	0			/* of those that are pinned */
#define TRACING		"/sys/kernel/debug/tracing/"
/* Xen's shared info: where its event channels' bits are, and one of them */
#define EVTCHN_PENDING	0x800
#define EVTCHN_PORT	15
/* From the end of a run on: the host may be busy with other things. */
#define PATIENCE	60

enum {
	SLOT_STORM = 10,
	SLOT_WORK,
	SLOT_HELD,
};

/* What host and guest tell each other, in guest memory that nobody drops */
struct control {
	uint64_t stop;
	struct {
		uint64_t begun;		/* it is being dropped and ... */
		uint64_t done;		/* ... has been written to again */
	} hot[HOT_PAGES];
};

struct worker {
	pthread_t thread;
	void (*fn)(struct worker *w);
	struct kvm_vcpu *vcpu;
	unsigned int index;
	char *hva;
	size_t size;
	uint64_t nr_done;
	bool pinned;
};

struct scenario {
	const char *name;
	const char *what;
	void (*first)(struct worker *w);	/* what the first thread does ... */
	void (*others)(struct worker *w);	/* ... and the others */
	bool overlaps;				/* these are the vCPUs' own pages */
	bool in_no_slot;			/* the cached page has an hva only */
	bool by_name;				/* not run unless asked for */
	void (*run)(const struct scenario *s);
};

static struct {
	unsigned int seconds;
	unsigned int nr_vcpus;
	unsigned int nr_threads;
	int64_t limit;
} opt = {
	.seconds = 3,
	.nr_vcpus = 1,
	.nr_threads = 3,
	.limit = -1,
};

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpus[MAX_VCPUS];
static struct control *control;
static atomic_bool stop_storm;

static uint64_t stamp(uint64_t pass, uint64_t page)
{
	return pass << 32 | (page + 1);
}

/* Write to each page, and tell the host, which drops them all. */
static void guest_fill(struct control *c, uint64_t gva, uint64_t nr_pages)
{
	uint64_t pass, page;

	for (pass = 1; ; pass++) {
		for (page = 0; page < nr_pages && !READ_ONCE(c->stop); page++)
			*(uint64_t *)(gva + page * PAGE_SIZE) = stamp(pass, page);
		GUEST_SYNC2(pass, page);
	}
}

/*
 * Read what the host drops and writes again. Between the two a page is empty,
 * but what was in it before @done must never be seen again.
 */
static void guest_compare(struct control *c, uint64_t gva)
{
	uint64_t page, done, value, begun;

	while (!READ_ONCE(c->stop)) {
		for (page = 0; page < HOT_PAGES; page++) {
			/* In this order; drop_hot() writes in the other one. */
			done = smp_load_acquire(&c->hot[page].done);
			/* See above. */
			value = smp_load_acquire((uint64_t *)(gva + page * PAGE_SIZE));
			begun = READ_ONCE(c->hot[page].begun);

			if (!value && begun > done)
				continue;
			__GUEST_ASSERT(value >= done && value <= begun,
				       "stale: page %lu holds %lu, not %lu to %lu",
				       page, value, done, begun);
		}
	}
	GUEST_SYNC2(0, 0);
}

static void guest_code(struct control *c, uint64_t gva, uint64_t nr_pages)
{
	if (nr_pages)
		guest_fill(c, gva, nr_pages);
	else
		guest_compare(c, gva);
}

static void drop(void *hva, size_t size)
{
	TEST_ASSERT(!madvise(hva, size, MADV_DONTNEED), "MADV_DONTNEED: %s",
		    strerror(errno));
}

/* The whole of this thread's share, which has a page in it now and then */
static void drop_all(struct worker *w)
{
	if (!(w->nr_done % 16))
		*w->hva = 1;
	drop(w->hva, w->size);
}

/* A page anywhere in this thread's share: no two ranges in a row are alike. */
static void drop_pages(struct worker *w)
{
	size_t nr_pages = w->size / PAGE_SIZE;
	char *page = w->hva + w->nr_done * 7919 % nr_pages * PAGE_SIZE;

	if (!(w->nr_done % 16))
		*page = 1;
	drop(page, PAGE_SIZE);
}

/*
 * One range that takes long: MADV_FREE visits each entry, finds the zero page
 * and leaves it. mmap_lock is held for reading, so faults go on.
 */
static void hold(struct worker *w)
{
	char *hva = addr_gpa2hva(vm, HELD_GPA);

	TEST_ASSERT(!madvise(hva, HELD_SIZE, MADV_FREE), "MADV_FREE: %s",
		    strerror(errno));
}

/* The vCPUs' pages, some times each: who has faulted it in is hit again. */
static void drop_hot(struct worker *w)
{
	unsigned int share = HOT_PAGES / opt.nr_threads;
	unsigned int page = w->index * share + w->nr_done / 8 % share;
	char *hva = (char *)addr_gpa2hva(vm, WORK_GPA) + page * PAGE_SIZE;
	uint64_t value = w->nr_done + 1;

	WRITE_ONCE(control->hot[page].begun, value);
	drop(hva, PAGE_SIZE);
	WRITE_ONCE(*(uint64_t *)hva, value);
	/* Pairs with guest_compare(). */
	smp_store_release(&control->hot[page].done, value);
}

/* On the vCPU's CPU, and before its turn */
static void take_precedence(void)
{
	struct sched_param param = { .sched_priority = 1 };

	kvm_pin_this_task_to_pcpu(VCPU_CPU);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_FIFO, &param),
		    "SCHED_FIFO: %s; be root", strerror(errno));
}

/*
 * The same on the vCPU's CPU and before its turn: wherever a fault stands, range
 * and all are over when it goes on.
 */
static void drop_hot_between(struct worker *w)
{
	if (!w->nr_done)
		take_precedence();
	usleep(10 + w->nr_done * 7919 % 150);
	drop_hot(w);
}

static void run_refreshes(const struct scenario *s);
static void run_refreshes_dropped(const struct scenario *s);

static const struct scenario scenarios[] = {
	{
		.name = "quiet",
		.what = "nothing is dropped",
	}, {
		.name = "ranges",
		.what = "each thread drops one range elsewhere",
		.first = drop_all,
		.others = drop_all,
	}, {
		.name = "pages",
		.what = "each thread drops pages elsewhere, one by one",
		.first = drop_pages,
		.others = drop_pages,
	}, {
		.name = "held",
		.what = "one range elsewhere is in flight for long, others come and go",
		.first = hold,
		.others = drop_all,
	}, {
		.name = "overlap",
		.what = "the vCPUs' own pages are dropped",
		.first = drop_hot,
		.others = drop_hot,
		.overlaps = true,
	}, {
		.name = "between",
		.what = "the same in the midst of a fault",
		.first = drop_hot_between,
		.overlaps = true,
	}, {
		.name = "cache",
		.what = "a pfn cache is refreshed while ranges elsewhere are in flight",
		.first = hold,
		.others = hold,
		.run = run_refreshes,
	}, {
		.name = "cache-overlap",
		.what = "a pfn cache is refreshed while its page is dropped",
		.run = run_refreshes_dropped,
	}, {
		.name = "cache-hva",
		.what = "the same for a page in no memslot (stale on Linux 6.12)",
		.run = run_refreshes_dropped,
		.in_no_slot = true,
		.by_name = true,
	},
};

static void *storm_thread(void *arg)
{
	struct worker *w = arg;

	while (!stop_storm) {
		w->fn(w);
		w->nr_done++;
	}
	return NULL;
}

static void *vcpu_thread(void *arg)
{
	struct worker *w = arg;
	uint64_t pass, nr_pages, page;
	struct ucall uc;

	if (w->pinned)
		kvm_pin_this_task_to_pcpu(VCPU_CPU);
	for (;;) {
		vcpu_run(w->vcpu);
		switch (get_ucall(w->vcpu, &uc)) {
		case UCALL_SYNC:
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("unexpected exit, reason %d",
				  w->vcpu->run->exit_reason);
		}

		pass = uc.args[0];
		nr_pages = uc.args[1];
		for (page = 0; page < nr_pages; page++)
			TEST_ASSERT_EQ(*(uint64_t *)(w->hva + page * PAGE_SIZE),
				       stamp(pass, page));
		w->nr_done += nr_pages;
		if (READ_ONCE(control->stop))
			return NULL;
		drop(w->hva, w->size);
	}
}

static uint64_t vcpu_stat(struct kvm_vcpu *vcpu, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *all, *desc = NULL;
	uint64_t value = 0;
	unsigned int i;
	int fd;

	fd = vcpu_get_stats_fd(vcpu);
	read_stats_header(fd, &header);
	all = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(all, i, &header);
		if (!strcmp(desc->name, name))
			break;
	}
	TEST_ASSERT(i < header.num_desc, "KVM does not count %s", name);
	read_stat_data(fd, &header, desc, &value, 1);
	free(all);
	close(fd);
	return value;
}

/* A slot whose pages are of the smallest size: one fault for each of them */
static void add_slot(uint32_t slot, uint64_t gpa, size_t size)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot,
				    size / PAGE_SIZE, 0);
}

static void create_vm(const struct scenario *s)
{
	vm_vaddr_t control_gva;
	unsigned int i;

	vm = __vm_create_with_vcpus(VM_SHAPE_DEFAULT, opt.nr_vcpus,
				    WORK_SIZE / PAGE_SIZE, guest_code, vcpus);
	add_slot(SLOT_STORM, STORM_GPA, STORM_SIZE);
	add_slot(SLOT_WORK, WORK_GPA, WORK_SIZE);
	if (s->first == hold) {
		add_slot(SLOT_HELD, HELD_GPA, HELD_SIZE);
		TEST_ASSERT(!madvise(addr_gpa2hva(vm, HELD_GPA), HELD_SIZE,
				     MADV_POPULATE_READ),
			    "MADV_POPULATE_READ: %s", strerror(errno));
	}
	virt_map(vm, WORK_GPA, WORK_GPA, WORK_SIZE / PAGE_SIZE);

	control_gva = vm_vaddr_alloc_page(vm);
	control = addr_gva2hva(vm, control_gva);
	memset(control, 0, sizeof(*control));
	for (i = 0; i < opt.nr_vcpus; i++) {
		size_t size = WORK_SIZE / opt.nr_vcpus;

		if (s->overlaps)
			vcpu_args_set(vcpus[i], 3, control_gva, WORK_GPA, 0);
		else
			vcpu_args_set(vcpus[i], 3, control_gva,
				      WORK_GPA + i * size, size / PAGE_SIZE);
	}
}

static void join(struct worker *w, const char *who)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	TEST_ASSERT(!pthread_timedjoin_np(w->thread, NULL, &until),
		    "%s %u is stuck: still not back %d s after all else has ended",
		    who, w->index, PATIENCE);
}

/* Threads that drop and are joined with stop_dropping() */
static unsigned int start_dropping(const struct scenario *s,
				   struct worker *storm)
{
	unsigned int i, nr_threads;

	stop_storm = false;
	if (!s->first)
		nr_threads = 0;
	else
		nr_threads = s->others ? opt.nr_threads : 1;
	for (i = 0; i < nr_threads; i++) {
		struct worker *w = &storm[i];

		w->index = i;
		w->fn = i ? s->others : s->first;
		w->size = STORM_SIZE / nr_threads / PAGE_SIZE * PAGE_SIZE;
		w->hva = addr_gpa2hva(vm, STORM_GPA) + i * w->size;
		pthread_create(&w->thread, NULL, storm_thread, w);
	}
	return nr_threads;
}

static uint64_t stop_dropping(const struct scenario *s, struct worker *storm,
			      unsigned int nr_threads)
{
	uint64_t ranges = 0;
	unsigned int i;

	stop_storm = true;
	for (i = 0; i < nr_threads; i++) {
		join(&storm[i], "storm thread");
		ranges += storm[i].nr_done;
	}
	TEST_ASSERT(!nr_threads || ranges >= 10,
		    "%s: too little was dropped to tell", s->name);
	return ranges;
}

static void run_faults(const struct scenario *s)
{
	struct worker runners[MAX_VCPUS] = {}, storm[MAX_THREADS] = {};
	uint64_t faults = 0, retries = 0, ranges, rate;
	unsigned int i, nr_threads;

	nr_threads = start_dropping(s, storm);
	for (i = 0; i < opt.nr_vcpus; i++) {
		struct worker *w = &runners[i];

		w->index = i;
		w->vcpu = vcpus[i];
		w->pinned = s->first == drop_hot_between;
		w->size = WORK_SIZE / opt.nr_vcpus;
		w->hva = addr_gpa2hva(vm, WORK_GPA) + i * w->size;
		pthread_create(&w->thread, NULL, vcpu_thread, w);
	}

	sleep(opt.seconds);
	WRITE_ONCE(control->stop, 1);
	ranges = stop_dropping(s, storm, nr_threads);
	for (i = 0; i < opt.nr_vcpus; i++) {
		struct kvm_vcpu *vcpu = vcpus[i];
		uint64_t taken, fixed;

		join(&runners[i], "vCPU");
		taken = vcpu_stat(vcpu, "pf_taken");
		fixed = vcpu_stat(vcpu, "pf_fixed");
		faults += fixed;
		retries += taken - fixed - vcpu_stat(vcpu, "pf_emulate") -
			   vcpu_stat(vcpu, "pf_spurious");
		TEST_ASSERT(s->overlaps || fixed >= runners[i].nr_done,
			    "%lu pages written, %lu faults: not every page was one",
			    runners[i].nr_done, fixed);
	}

	rate = retries * 1000 / faults;
	pr_info("%-13s %8lu dropped %8lu faults %8lu retries %8lu per 1000: %s\n",
		s->name, ranges, faults, retries, rate, s->what);

	TEST_ASSERT(faults >= 20, "%s: too few faults to tell", s->name);
	if (s->overlaps)
		TEST_ASSERT(retries, "%s: no fault was begun again, not even one that had to be",
			    s->name);
	else
		TEST_ASSERT(opt.limit < 0 || rate <= opt.limit,
			    "%s: more than %ld retries per 1000 faults", s->name,
			    opt.limit);
}

/* Two pages, one of which is going to be Xen's shared info */
static char *create_shared_info(const struct scenario *s)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000000,
	};
	char *pages;

	vm_ioctl(vm, KVM_XEN_HVM_CONFIG, &config);
	if (!s->in_no_slot)
		return addr_gpa2hva(vm, WORK_GPA);
	pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(pages != MAP_FAILED, "mmap: %s", strerror(errno));
	return pages;
}

static bool has_shared_info(const struct scenario *s)
{
	int want = KVM_XEN_HVM_CONFIG_SHARED_INFO_HVA |
		   KVM_XEN_HVM_CONFIG_EVTCHN_SEND;

	if ((kvm_check_cap(KVM_CAP_XEN_HVM) & want) == want)
		return true;
	pr_info("%-13s skipped: it needs CONFIG_KVM_XEN\n", s->name);
	return false;
}

/* Another page than before, so that the cache has to look it up. NULL: none */
static void set_shared_info(const struct scenario *s, char *hva)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = KVM_XEN_INVALID_GFN,
	};

	if (s->in_no_slot) {
		attr.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA;
		attr.u.shared_info.hva = (unsigned long)hva;
	} else if (hva) {
		attr.u.shared_info.gfn = addr_hva2gpa(vm, hva) / PAGE_SIZE;
	}
	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

static void remove_shared_info(const struct scenario *s, char *pages)
{
	set_shared_info(s, NULL);
	if (s->in_no_slot)
		munmap(pages, 2 * PAGE_SIZE);
}

static bool time_is_up(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - since->tv_sec > opt.seconds;
}

static char first_char(const char *file)
{
	char path[64], c = 0;
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

static bool tell_tracing(const char *file, const char *what)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0)
		return false;
	ok = write(fd, what, strlen(what)) == strlen(what);
	close(fd);
	return ok;
}

static struct {
	uint64_t before;
	bool filtered;
	bool enabled;
} profile;

/* How often ftrace's function profile has seen the lookup of a pfn */
static uint64_t profiled_lookups(void)
{
	char path[64], line[128], name[64];
	uint64_t hits, sum = 0;
	unsigned int cpu;
	FILE *f;

	for (cpu = 0; ; cpu++) {
		snprintf(path, sizeof(path), TRACING "trace_stat/function%u", cpu);
		f = fopen(path, "r");
		if (!f)
			break;
		while (fgets(line, sizeof(line), f))
			if (sscanf(line, "%63s %lu", name, &hits) == 2 &&
			    !strcmp(name, "hva_to_pfn"))
				sum += hits;
		fclose(f);
	}
	return sum;
}

/*
 * KVM has no figure of its own. Who started us may be using the profile as well:
 * then it is left as it is, but for one more function.
 */
static bool start_counting_lookups(void)
{
	char state = first_char("function_profile_enabled");

	if (!state)
		return false;
	profile.enabled = state == '0';
	/* A comment: nothing is filtered out. */
	profile.filtered = profile.enabled || first_char("set_ftrace_filter") != '#';
	if (profile.filtered && !tell_tracing("set_ftrace_filter", "hva_to_pfn\n"))
		return false;
	if (profile.enabled && !tell_tracing("function_profile_enabled", "1"))
		return false;
	profile.before = profiled_lookups();
	return true;
}

static uint64_t stop_counting_lookups(void)
{
	uint64_t lookups = profiled_lookups() - profile.before;

	if (profile.enabled)
		tell_tracing("function_profile_enabled", "0");
	if (profile.filtered)
		tell_tracing("set_ftrace_filter", "!hva_to_pfn\n");
	return lookups;
}

static void run_refreshes(const struct scenario *s)
{
	struct worker storm[MAX_THREADS] = {};
	uint64_t refreshes = 0, ranges, lookups, rate;
	unsigned int nr_threads;
	struct timespec since;
	char *pages;

	if (!has_shared_info(s))
		return;
	if (!start_counting_lookups()) {
		pr_info("%-13s skipped: it needs CONFIG_FUNCTION_PROFILER and debugfs\n",
			s->name);
		return;
	}
	pages = create_shared_info(s);

	nr_threads = start_dropping(s, storm);
	clock_gettime(CLOCK_MONOTONIC, &since);
	while (!time_is_up(&since))
		set_shared_info(s, pages + refreshes++ % 2 * PAGE_SIZE);
	ranges = stop_dropping(s, storm, nr_threads);

	lookups = stop_counting_lookups();
	TEST_ASSERT(lookups >= refreshes, "%lu refreshes with %lu lookups",
		    refreshes, lookups);
	rate = (lookups - refreshes) * 1000 / refreshes;
	pr_info("%-13s %8lu dropped %8lu refreshes %5lu retries %8lu per 1000: %s\n",
		s->name, ranges, refreshes, lookups - refreshes, rate, s->what);
	TEST_ASSERT(opt.limit < 0 || rate <= opt.limit,
		    "%s: more than %ld retries per 1000 refreshes", s->name,
		    opt.limit);
	remove_shared_info(s, pages);
}

static struct {
	pthread_barrier_t begin, end;
	char *page;
} dropped;

/* What main() refreshes meanwhile is dropped some times, and written to again. */
static void *drop_refreshed(void *arg)
{
	unsigned int round, i;

	take_precedence();
	for (round = 0; ; round++) {
		pthread_barrier_wait(&dropped.begin);
		if (stop_storm)
			return NULL;
		for (i = 0; i <= round % 5; i++) {
			usleep(10 + (round + i) * 7919 % 150);
			drop(dropped.page, PAGE_SIZE);
			*dropped.page = 1;
		}
		pthread_barrier_wait(&dropped.end);
	}
}

/*
 * When all is quiet again KVM has to write to the page that is there now: the
 * cache holds that one or none.
 */
static void run_refreshes_dropped(const struct scenario *s)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = EVTCHN_PORT,
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};
	struct worker dropper = {};
	uint64_t refreshes = 0;
	struct timespec since;
	cpu_set_t cpus;
	char *pages;

	if (!has_shared_info(s))
		return;
	pages = create_shared_info(s);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	kvm_pin_this_task_to_pcpu(VCPU_CPU);
	event.vcpu = vcpus[0]->id;

	stop_storm = false;
	pthread_barrier_init(&dropped.begin, NULL, 2);
	pthread_barrier_init(&dropped.end, NULL, 2);
	pthread_create(&dropper.thread, NULL, drop_refreshed, NULL);

	clock_gettime(CLOCK_MONOTONIC, &since);
	while (!time_is_up(&since)) {
		dropped.page = pages + refreshes++ % 2 * PAGE_SIZE;
		pthread_barrier_wait(&dropped.begin);
		set_shared_info(s, dropped.page);
		pthread_barrier_wait(&dropped.end);

		*(uint32_t *)(dropped.page + EVTCHN_PENDING) = 0;
		vm_ioctl(vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
		TEST_ASSERT(*(uint32_t *)(dropped.page + EVTCHN_PENDING) ==
			    BIT(EVTCHN_PORT),
			    "stale: refresh %lu left a page in the cache that is no longer there",
			    refreshes);
	}
	stop_storm = true;
	pthread_barrier_wait(&dropped.begin);
	join(&dropper, "storm thread");
	sched_setaffinity(0, sizeof(cpus), &cpus);

	pr_info("%-13s %8lu refreshes: %s\n", s->name, refreshes, s->what);
	TEST_ASSERT(refreshes >= 100, "%s: too few refreshes to tell", s->name);
	remove_shared_info(s, pages);
}

static void run(const struct scenario *s)
{
	create_vm(s);
	if (s->run)
		s->run(s);
	else
		run_faults(s);
	kvm_vm_free(vm);
}

static void usage(const char *name)
{
	unsigned int i;

	printf("%s [-h] [-t seconds] [-v vcpus] [-n threads] [-m limit] [scenario..]\n"
	       " -t: how long each scenario runs (default %u)\n"
	       " -v: vCPUs, each with a share of the memory (default %u)\n"
	       " -n: threads that drop pages (default %u)\n"
	       " -m: fail if there are more retries per 1000 faults or refreshes than that\n",
	       name, opt.seconds, opt.nr_vcpus, opt.nr_threads);
	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		printf(" %s: %s\n", scenarios[i].name, scenarios[i].what);
}

static const struct scenario *find_scenario(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	TEST_FAIL("no such scenario: %s; -h lists them", name);
}

int main(int argc, char *argv[])
{
	int c, i;

	while ((c = getopt(argc, argv, "ht:v:n:m:")) != -1) {
		switch (c) {
		case 't':
			opt.seconds = atoi_positive("seconds", optarg);
			break;
		case 'v':
			opt.nr_vcpus = atoi_positive("vcpus", optarg);
			break;
		case 'n':
			opt.nr_threads = atoi_positive("threads", optarg);
			break;
		case 'm':
			opt.limit = atoi_non_negative("limit", optarg);
			break;
		default:
			usage(argv[0]);
			return c == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}
	TEST_ASSERT(opt.nr_vcpus <= MAX_VCPUS, "at most %d vCPUs", MAX_VCPUS);
	TEST_ASSERT(opt.nr_threads >= 1 && opt.nr_threads <= MAX_THREADS,
		    "1 to %d threads", MAX_THREADS);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_BINARY_STATS_FD));

	for (i = optind; i < argc; i++)
		run(find_scenario(argv[i]));
	for (i = 0; optind == argc && i < ARRAY_SIZE(scenarios); i++)
		if (!scenarios[i].by_name)
			run(&scenarios[i]);
	return 0;
}
