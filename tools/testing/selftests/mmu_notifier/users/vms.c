// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines made and destroyed by so many processes at a time, while a
 * process that has nothing to do with them sits in a callback that sleeps (R7).
 *
 *	vms PROCESSES SLEEP_MS
 *
 * Each process makes a machine whose guest writes to its memory, waits until all
 * have done so, and closes it; then makes another one, and exits with it. How long
 * did close() take, and how long was it from the last words of the process until
 * its parent had it back? Waves with and without the sleeper take turns, so that
 * both see the same load.
 *
 * Fails unless the medians agree, to a factor of 2 and MEDIAN_MS, and nothing took
 * half of SLEEP_MS beside the sleeper.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#define PAGE		4096
#define GUEST_BYTES	(1 << 20)
#define CODE		0x1010
#define WAVES		4	/* each other one with a sleeper */
#define MAX_PROCESSES	1000
#define MEDIAN_MS	50

/*
 * Real mode: write to each of the first 240 pages, beside the code
 *
 *	xor  %ax, %ax
 * 1:	mov  %ax, %ds
 *	mov  %al, 0
 *	add  $0x100, %ax
 *	cmp  $0xf000, %ax
 *	jb   1b
 *	hlt
 */
static const unsigned char code[] = {
	0x31, 0xc0, 0x8e, 0xd8, 0xa2, 0x00, 0x00, 0x05, 0x00, 0x01, 0x3d, 0x00,
	0xf0, 0x72, 0xf3, 0xf4,
};

static struct shared {
	atomic_uint ready;	/* processes that wait for the others */
	atomic_uint failed;
	bool sleeping;
	struct {
		uint64_t close_ns;
		uint64_t exit_ns;	/* when it was left, then how long it took */
	} at[MAX_PROCESSES];
} *shared;

static unsigned int processes, sleep_ms;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

struct vm {
	int vm;
	int vcpu;
	struct kvm_run *run;
};

static bool vm_run(struct vm *v, int kvm, char *mem)
{
	int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = GUEST_BYTES,
		.userspace_addr = (uintptr_t)mem,
	};
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	v->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0 || ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return false;
	v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	if (v->vcpu < 0 || ioctl(v->vcpu, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(v->vcpu, KVM_SET_SREGS, &sregs) || ioctl(v->vcpu, KVM_SET_REGS, &regs))
		return false;
	v->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	if (v->run == MAP_FAILED)
		return false;
	memcpy(mem + CODE, code, sizeof(code));
	if (ioctl(v->vcpu, KVM_RUN, 0) || v->run->exit_reason != KVM_EXIT_HLT)
		return false;
	munmap(v->run, run_bytes);
	return true;
}

static void wait_for_all(unsigned int nr)
{
	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < nr && !atomic_load(&shared->failed))
		usleep(1000);
}

static void process(unsigned int nr)
{
	char *mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int kvm = open("/dev/kvm", O_RDWR);
	uint64_t begin;
	struct vm v;

	if (mem == MAP_FAILED || kvm < 0 || !vm_run(&v, kvm, mem))
		goto failed;
	wait_for_all(processes);
	begin = now_ns();
	close(v.vcpu);
	close(v.vm);
	shared->at[nr].close_ns = now_ns() - begin;

	if (!vm_run(&v, kvm, mem))
		goto failed;
	wait_for_all(2 * processes);
	shared->at[nr].exit_ns = now_ns();
	_exit(0);
failed:
	warn("virtual machine %u", nr);
	atomic_fetch_add(&shared->failed, 1);
	_exit(1);
}

static void wave(void)
{
	unsigned int nr, left;
	pid_t *pids = calloc(processes, sizeof(*pids)), pid;
	uint64_t now;

	atomic_store(&shared->ready, 0);
	for (nr = 0; nr < processes; nr++) {
		pids[nr] = fork();
		if (!pids[nr])
			process(nr);
		if (pids[nr] < 0)
			err(EXIT_FAILURE, "fork");
	}
	for (left = processes; left; left--) {
		pid = wait(NULL);
		now = now_ns();
		for (nr = 0; nr < processes; nr++)
			if (pids[nr] == pid)
				shared->at[nr].exit_ns = now - shared->at[nr].exit_ns;
	}
	free(pids);
	if (atomic_load(&shared->failed))
		errx(EXIT_FAILURE, "the virtual machines did not run");
}

/* Sits in its callback but for moments. */
static pid_t sleeper_begin(void)
{
	pid_t pid = fork();
	char *page;
	int fd;

	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (pid) {
		while (!*(volatile bool *)&shared->sleeping)
			usleep(1000);
		usleep(100000);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open("/dev/mmu_sleeper", O_WRONLY);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || page == MAP_FAILED || dprintf(fd, "%u", sleep_ms) < 0) {
		warn("/dev/mmu_sleeper");
		kill(getppid(), SIGTERM);
		_exit(1);
	}
	for (;;) {
		*(volatile char *)page = 1;
		shared->sleeping = true;
		madvise(page, PAGE, MADV_DONTNEED);
	}
}

static void sleeper_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	shared->sleeping = false;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct times {
	double ms[WAVES / 2 * MAX_PROCESSES];
	unsigned int n;
};

static double median(struct times *t)
{
	qsort(t->ms, t->n, sizeof(t->ms[0]), compare);
	return t->ms[t->n / 2];
}

/* Sorted by median() */
static double longest(const struct times *t)
{
	return t->ms[t->n - 1];
}

static bool compared(const char *what, struct times *without, struct times *with)
{
	double a = median(without), b = median(with);
	bool ok = b <= 2 * a + MEDIAN_MS && longest(with) < sleep_ms / 2;

	printf("vms: %-6s %4u %10.1f %10.1f %10.1f %10.1f  %s\n", what, without->n, a,
	       longest(without), b, longest(with), ok ? "ok" : "WAITS");
	return ok;
}

int main(int argc, char **argv)
{
	static struct times closing[2], exiting[2];
	unsigned int i, nr, with;
	pid_t sleeper = 0;
	bool ok;

	processes = argc == 3 ? atoi(argv[1]) : 0;
	sleep_ms = argc == 3 ? atoi(argv[2]) : 0;
	if (!processes || processes > MAX_PROCESSES || !sleep_ms)
		errx(EXIT_FAILURE, "usage: vms PROCESSES SLEEP_MS");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	for (i = 0; i < WAVES; i++) {
		with = i % 2;
		if (with)
			sleeper = sleeper_begin();
		wave();
		for (nr = 0; nr < processes; nr++) {
			closing[with].ms[closing[with].n++] = shared->at[nr].close_ns / 1e6;
			exiting[with].ms[exiting[with].n++] = shared->at[nr].exit_ns / 1e6;
		}
		if (with)
			sleeper_end(sleeper);
	}
	ok = compared("close", &closing[0], &closing[1]);
	ok &= compared("exit", &exiting[0], &exiting[1]);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
