// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor for a 32-bit program on a 64-bit kernel: the same structures,
 * the same numbers, 64-bit words that are read in one go or in halves.
 *
 * Linked with tools/include/nolibc only, as a 32-bit libc is not everywhere.
 */
#include <linux/mman.h>
#include <stdbool.h>

#include "../kselftest.h"

#include "../../../../include/uapi/linux/mmu_monitor.h"

#define PATH	"/dev/mmu_monitor"
#define PAGE	4096U
#define NR	16U

_Static_assert(sizeof(void *) == 4, "this is to be a 32-bit program");

#define LAYOUT(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)
#define AT(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), #type "." #member)

LAYOUT(mmu_monitor_area, 128);
LAYOUT(mmu_monitor_info, 32);
AT(mmu_monitor_info, area_size, 16);
AT(mmu_monitor_info, max_watches, 24);
LAYOUT(mmu_monitor_watch, 56);
AT(mmu_monitor_watch, address, 8);
AT(mmu_monitor_watch, length, 16);
AT(mmu_monitor_watch, cookie, 24);
AT(mmu_monitor_watch, classes, 32);
AT(mmu_monitor_watch, word, 40);
AT(mmu_monitor_watch, generation, 48);
LAYOUT(mmu_monitor_word, 24);
AT(mmu_monitor_word, word, 8);
AT(mmu_monitor_word, generation, 16);
LAYOUT(mmu_monitor_config, 24);
AT(mmu_monitor_config, eventfd, 8);
AT(mmu_monitor_config, max_events, 16);
LAYOUT(mmu_monitor_event, 40);
AT(mmu_monitor_event, cookie, 8);
AT(mmu_monitor_event, address, 16);
AT(mmu_monitor_event, length, 24);
AT(mmu_monitor_event, word, 32);

static int fd;
static const char *area;
static char *memory;

static long issue(unsigned long cmd, void *arg)
{
	return my_syscall3(__NR_ioctl, fd, cmd, arg);
}

static __u64 word_at(__u64 word)
{
	return *(const volatile __u64 *)(area + (__u32)word);
}

static long watch(const void *addr, __u64 length, struct mmu_monitor_watch *arg)
{
	*arg = (struct mmu_monitor_watch) {
		.size = sizeof(*arg),
		.address = (unsigned long)addr,
		.length = length,
		.cookie = 0x0123456789abcdefULL,
		.classes = MMU_MONITOR_CLASSES,
	};
	return issue(MMU_MONITOR_WATCH, arg);
}

static bool info_and_area(void)
{
	struct mmu_monitor_info info = { .size = sizeof(info) };
	void *map;

	if (issue(MMU_MONITOR_INFO, &info) || info.size != sizeof(info) ||
	    info.event_size != sizeof(struct mmu_monitor_event) || !info.max_watches)
		return false;
	map = mmap(NULL, info.area_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	area = map;
	return true;
}

static bool told(void)
{
	struct mmu_monitor_event e[2];
	struct mmu_monitor_watch w;

	if (watch(memory, NR * PAGE, &w) || word_at(w.word) != w.generation || w.generation & 1)
		return false;
	if (munmap(memory + 3 * PAGE, 2 * PAGE))
		return false;
	if (word_at(w.word) == w.generation || word_at(w.word) & 1)
		return false;
	if (read(fd, e, sizeof(e)) != sizeof(e[0]))
		return false;
	return e[0].type == MMU_MONITOR_CHANGED && e[0].classes == MMU_MONITOR_UNMAPPED &&
	       e[0].cookie == w.cookie && e[0].address == (unsigned long)memory + 3 * PAGE &&
	       e[0].length == 2 * PAGE && e[0].word == w.word;
}

static bool words(void)
{
	struct mmu_monitor_watch w;
	struct mmu_monitor_word arg = { .size = sizeof(arg) };

	if (watch(memory, PAGE, &w))
		return false;
	arg.word = w.word;
	if (issue(MMU_MONITOR_REARM, &arg) || arg.generation != w.generation)
		return false;
	/* all 64 bits count */
	arg.word = w.word | 1ULL << 32;
	if (issue(MMU_MONITOR_UNWATCH, &arg) != -ENOENT)
		return false;
	arg.word = w.word;
	return !issue(MMU_MONITOR_UNWATCH, &arg) && word_at(w.word) & 1 &&
	       issue(MMU_MONITOR_UNWATCH, &arg) == -ENOENT;
}

static bool config(void)
{
	struct mmu_monitor_config arg = {
		.size = sizeof(arg),
		.flags = MMU_MONITOR_EVENTFD | MMU_MONITOR_MAX_EVENTS,
		.eventfd = -1,
		.max_events = 1ULL << 40,
	};

	if (issue(MMU_MONITOR_CONFIG, &arg))
		return false;
	arg.eventfd = fd;
	if (issue(MMU_MONITOR_CONFIG, &arg) != -EINVAL)
		return false;
	arg.eventfd = 1000;
	return issue(MMU_MONITOR_CONFIG, &arg) == -EBADF;
}

/* There is nothing above 4 GB, whatever the kernel has for others. */
static bool errors(void)
{
	struct mmu_monitor_watch w;

	return watch(memory, 1ULL << 32, &w) == -EOVERFLOW &&
	       watch((void *)0xfffff000, 2 * PAGE, &w) == -EOVERFLOW &&
	       watch(memory, 0, &w) == -EINVAL &&
	       issue(MMU_MONITOR_WATCH, NULL) == -EFAULT &&
	       issue(0xb9ff, &w) == -ENOTTY;
}

static bool flush(void)
{
	struct mmu_monitor_watch w;

	if (watch(memory, PAGE, &w) || issue(MMU_MONITOR_FLUSH, NULL))
		return false;
	return word_at(w.word) & 1 && !((const volatile struct mmu_monitor_area *)area)->watches;
}

static bool foreign(void)
{
	struct mmu_monitor_event e;
	struct mmu_monitor_watch w;
	int status = 0;
	pid_t child;

	child = fork();
	if (child < 0)
		return false;
	if (!child) {
		if (watch(memory, PAGE, &w) != -ESTALE || ~word_at(sizeof(struct mmu_monitor_area)))
			exit(1);
		exit(read(fd, &e, sizeof(e)) != sizeof(e) || e.type != MMU_MONITOR_FOREIGN);
	}
	return waitpid(child, &status, 0) == child && !status;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(7);
	fd = open(PATH, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		ksft_exit_skip("no " PATH "\n");
	memory = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	memset(memory, 1, NR * PAGE);
	ksft_test_result(info_and_area(), "info_and_area\n");
	if (!area)
		ksft_exit_fail_msg("no area\n");
	ksft_test_result(words(), "words\n");
	ksft_test_result(config(), "config\n");
	ksft_test_result(errors(), "errors\n");
	ksft_test_result(foreign(), "foreign\n");
	ksft_test_result(told(), "told\n");
	ksft_test_result(flush(), "flush\n");
	ksft_finished();
}
