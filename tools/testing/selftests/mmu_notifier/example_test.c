// SPDX-License-Identifier: GPL-2.0
/*
 * The examples of samples/mmu_notifier, and modules that are in use.
 *
 * An example's file is a device that reads and writes eight bytes of the memory
 * of the process that opened it, at the file position. Each has to see what the
 * process does to its memory, and the process what the device wrote.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define EXAMPLE	"mmu_notifier_example"

static int open_example(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/mmu_example/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int device_read(int fd, const void *addr, __u64 *word)
{
	ssize_t n = pread(fd, word, sizeof(*word), (uintptr_t)addr);

	return n == sizeof(*word) ? 0 : n < 0 ? -errno : -EIO;
}

static int device_write(int fd, const void *addr, __u64 word)
{
	ssize_t n = pwrite(fd, &word, sizeof(word), (uintptr_t)addr);

	return n == sizeof(word) ? 0 : n < 0 ? -errno : -EIO;
}

FIXTURE(example) {
	int fd;
	__u64 *words;
};

FIXTURE_VARIANT(example) {
	const char *name;
};

FIXTURE_VARIANT_ADD(example, interval) {
	.name = "interval",
};

FIXTURE_VARIANT_ADD(example, flush) {
	.name = "flush",
};

FIXTURE_VARIANT_ADD(example, list) {
	.name = "list",
};

FIXTURE_VARIANT_ADD(example, walker) {
	.name = "walker",
};

FIXTURE_VARIANT_ADD(example, export) {
	.name = "export",
};

FIXTURE_SETUP(example)
{
	int err = module_load(EXAMPLE);

	self->fd = -1;
	if (err == -ENOENT)
		SKIP(return, "no " EXAMPLE ".ko");
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->fd = open_example(variant->name);
	if (self->fd == -EOPNOTSUPP) {
		module_unload(EXAMPLE);
		SKIP(return, "no external reverse maps");
	}
	ASSERT_GE(self->fd, 0);
	self->words = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->words, MAP_FAILED);
}

FIXTURE_TEARDOWN(example)
{
	if (self->fd < 0)
		return;
	close(self->fd);
	EXPECT_EQ(module_unload(EXAMPLE), 0);
}

TEST_F(example, sees_what_the_process_does)
{
	__u64 *words = self->words, word = 99;

	/* a page that was not there, and one that is */
	EXPECT_EQ(device_read(self->fd, words, &word), 0);
	EXPECT_EQ(word, 0u);
	words[0] = 1;
	EXPECT_EQ(device_read(self->fd, words, &word), 0);
	EXPECT_EQ(word, 1u);
	EXPECT_EQ(device_write(self->fd, &words[1], 2), 0);
	EXPECT_EQ(words[1], 2u);

	/* another page in its place */
	EXPECT_EQ(madvise(words, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(device_read(self->fd, words, &word), 0);
	EXPECT_EQ(word, 0u);
	words[0] = 3;
	EXPECT_EQ(device_read(self->fd, words, &word), 0);
	EXPECT_EQ(word, 3u);

	/* not to be written to, gone */
	EXPECT_EQ(device_write(self->fd, words, 4), 0);
	EXPECT_EQ(mprotect(words, page_size, PROT_READ), 0);
	EXPECT_EQ(device_write(self->fd, words, 5), -EFAULT);
	EXPECT_EQ(device_read(self->fd, words, &word), 0);
	EXPECT_EQ(word, 4u);
	EXPECT_EQ(munmap(words, page_size), 0);
	EXPECT_EQ(device_read(self->fd, words, &word), -EFAULT);
}

/* The device must not write to the page that the child keeps. */
TEST_F(example, fork)
{
	__u64 *words = self->words;
	int go[2], status;
	char c;
	pid_t pid;

	ASSERT_EQ(pipe(go), 0);
	EXPECT_EQ(device_write(self->fd, words, 1), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		__u64 word;

		close(go[1]);
		if (read(go[0], &c, 1) != 0)
			_exit(1);
		/* the descriptor is good, the memory is not the device's */
		if (device_read(self->fd, words, &word) != -EPERM)
			_exit(2);
		_exit(words[0] == 1 ? 0 : 3);
	}
	EXPECT_EQ(device_write(self->fd, words, 2), 0);
	close(go[0]);
	close(go[1]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(words[0], 2u);
}

/* R2: what the device wrote must be found after the page was reclaimed. */
TEST_F(example, what_it_wrote_is_not_lost)
{
	char path[] = "/tmp/example.XXXXXX";
	__u64 *words, word;
	unsigned int i;
	int fd;

	words = self->words;
	for (i = 0; i < 8; i++) {
		/* swapped out, and in again for reading: clean */
		words[0] = i;
		madvise(words, page_size, MADV_PAGEOUT);
		word = *(volatile __u64 *)words;
		EXPECT_EQ(word, i);
		EXPECT_EQ(device_write(self->fd, words, 100 + i), 0);
		madvise(words, page_size, MADV_PAGEOUT);
		EXPECT_EQ(words[0], 100 + i);
	}

	/*
	 * Clean and writable, for the CPU and for the device, which does not fault
	 * when it writes: nobody but the device knows that it did.
	 */
	for (i = 0; i < 8; i++) {
		words[0] = i;
		ASSERT_EQ(madvise(words, page_size, MADV_FREE), 0);
		EXPECT_EQ(device_read(self->fd, words, &word), 0);
		EXPECT_EQ(word, i);
		EXPECT_EQ(device_write(self->fd, words, 200 + i), 0);
		madvise(words, page_size, MADV_PAGEOUT);
		EXPECT_EQ(words[0], 200 + i);
	}

	fd = mkstemp(path);
	ASSERT_GE(fd, 0);
	unlink(path);
	ASSERT_EQ(ftruncate(fd, page_size), 0);
	words = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(words, MAP_FAILED);
	EXPECT_EQ(device_write(self->fd, words, 7), 0);
	madvise(words, page_size, MADV_PAGEOUT);
	EXPECT_EQ(words[0], 7u);
	close(fd);
}

TEST_F(example, arguments)
{
	char *addr = (char *)self->words;
	__u64 word = 0;

	EXPECT_EQ(device_read(self->fd, addr + 4, &word), -EINVAL);
	EXPECT_EQ(device_write(self->fd, addr + 1, 1), -EINVAL);
	EXPECT_EQ(pread(self->fd, &word, 4, (uintptr_t)addr), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(pread(self->fd, addr, 4096, (uintptr_t)addr), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(device_read(self->fd, (void *)(1UL << 62), &word), -EFAULT);
	EXPECT_EQ(device_read(self->fd, (void *)(LONG_MAX - 15), &word), -EFAULT);
	EXPECT_NE(device_read(self->fd, (void *)-8UL, &word), 0);
	EXPECT_EQ(device_read(self->fd, NULL, &word), -EFAULT);
	EXPECT_EQ(pread(self->fd, (void *)8, 8, (uintptr_t)addr), -1);
	EXPECT_EQ(errno, EFAULT);
}

TEST_F(example, module_in_use)
{
	__u64 word;

	EXPECT_EQ(module_unload(EXAMPLE), -EAGAIN);
	EXPECT_EQ(device_read(self->fd, self->words, &word), 0);
	close(self->fd);
	EXPECT_EQ(device_read(self->fd, self->words, &word), -EBADF);
	EXPECT_EQ(module_unload(EXAMPLE), 0);
	EXPECT_EQ(open_example(variant->name), -ENOENT);
	EXPECT_EQ(module_unload(EXAMPLE), -ENOENT);
	ASSERT_EQ(module_load(EXAMPLE), 0);
	self->fd = open_example(variant->name);
	EXPECT_EQ(device_read(self->fd, self->words, &word), 0);
}

FIXTURE(other) {
	bool loaded;
};

FIXTURE_SETUP(other)
{
	int err = module_load(EXAMPLE);

	self->loaded = !err;
	if (err == -ENOENT)
		SKIP(return, "no " EXAMPLE ".ko");
	ASSERT_EQ(err, 0);
	sysmm_init();
}

FIXTURE_TEARDOWN(other)
{
	if (self->loaded)
		EXPECT_EQ(module_unload(EXAMPLE), 0);
}

static __u64 number_of(int fd)
{
	__u64 number;

	return read(fd, &number, sizeof(number)) == sizeof(number) ? number : -1ULL;
}

/* The same for each open of a process, another for another one, none when it is gone. */
TEST_F(other, context)
{
	int fd = open_example("context"), again = open_example("context");
	__u64 number = number_of(fd), word;
	int status, end[2];
	pid_t pid;

	ASSERT_GE(fd, 0);
	ASSERT_GE(again, 0);
	EXPECT_NE(number, 0u);
	EXPECT_NE(number, -1ULL);
	EXPECT_EQ(number_of(again), number);
	EXPECT_EQ(read(fd, &word, 4), -1);
	EXPECT_EQ(errno, EINVAL);
	close(again);
	EXPECT_EQ(number_of(fd), number);

	ASSERT_EQ(pipe(end), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int child = open_example("context");

		if (child < 0 || number_of(fd) != number || number_of(child) == number)
			_exit(1);
		if (fork())
			_exit(0);
		/* the grandchild has the file of a process that is no more */
		close(end[0]);
		within_ms(5000, !number_of(child));
		word = number_of(child);
		_exit(write(end[1], &word, sizeof(word)) < 0);
	}
	close(end[1]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	word = 1;
	EXPECT_EQ(read(end[0], &word, sizeof(word)), sizeof(word));
	EXPECT_EQ(word, 0u);
	/* its end closes the file; only then the module is free */
	EXPECT_EQ(read(end[0], &status, 1), 0);
	close(end[0]);
	close(fd);
}

static int add_region(int fd, const void *addr, size_t length)
{
	__u64 range[2] = { (uintptr_t)addr, length };

	return write(fd, range, sizeof(range)) == sizeof(range) ? 0 : -errno;
}

/* Any change makes a region invalid, when the system call returns. */
TEST_F(other, regions)
{
	char *area = mmap(NULL, 128 * page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_example("regions"), status;
	unsigned int i;
	pid_t pid;

	ASSERT_NE(area, MAP_FAILED);
	ASSERT_GE(fd, 0);
	memset(area, 1, 128 * page_size);

	EXPECT_EQ(add_region(fd, area, 0), -EINVAL);
	EXPECT_EQ(add_region(fd, (void *)-8UL, 16), -EOVERFLOW);
	EXPECT_EQ(add_region(fd, (void *)(1UL << 62), 16), -EOVERFLOW);
	EXPECT_EQ(write(fd, area, 8), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(number_of(fd), 0u);

	for (i = 0; i < 64; i++)
		EXPECT_EQ(add_region(fd, area + 2 * i * page_size, page_size), 0);
	EXPECT_EQ(add_region(fd, area, page_size), -ENOSPC);
	EXPECT_EQ(number_of(fd), 64u);

	/* what lies between them is none of their business */
	EXPECT_EQ(madvise(area + page_size, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(number_of(fd), 64u);
	EXPECT_EQ(madvise(area, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(number_of(fd), 63u);
	EXPECT_EQ(madvise(area, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(number_of(fd), 63u);
	EXPECT_EQ(mprotect(area + 2 * page_size, 5 * page_size, PROT_READ), 0);
	EXPECT_EQ(number_of(fd), 60u);
	EXPECT_EQ(add_region(fd, area, page_size), 0);
	EXPECT_EQ(number_of(fd), 61u);

	/* fork takes the right to write away from all of them */
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(add_region(fd, area, page_size) == -EPERM ? 0 : 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(number_of(fd), 0u);

	/* some are left for close */
	for (i = 0; i < 64; i++)
		EXPECT_EQ(add_region(fd, area + 2 * i * page_size, page_size), 0);
	close(fd);
}

struct dropper {
	char *page;
	bool go;
};

static void *drop_page(void *arg)
{
	struct dropper *d = arg;

	while (!__atomic_load_n(&d->go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	madvise(d->page, page_size, MADV_DONTNEED);
	return NULL;
}

/*
 * A region that removed itself hangs on a range that another device keeps in
 * flight. Unloading has to wait for it, or its callback is gone when it is
 * called.
 */
TEST_F(other, unload_waits)
{
	struct mmu_mirror_counters c = { }, before;
	struct dropper d = { };
	struct mirror mirror;
	int fd, err = mirror_try_open(&mirror);
	pthread_t thread;

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	d.page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(d.page, MAP_FAILED);
	d.page[0] = 1;
	mirror_attach(&mirror, MMU_MIRROR_SHADOW, d.page, page_size);
	fd = open_example("regions");
	ASSERT_GE(fd, 0);
	ASSERT_EQ(add_region(fd, d.page, page_size), 0);

	ASSERT_EQ(pthread_create(&thread, NULL, drop_page, &d), 0);
	mirror_delay(&mirror, 0, 1000000);
	before = mirror_counters(&mirror);
	__atomic_store_n(&d.go, true, __ATOMIC_RELEASE);
	EXPECT_TRUE(within_ms(5000, !number_of(fd)));
	close(fd);
	c = mirror_counters(&mirror);
	EXPECT_EQ(c.end, before.end) {
		TH_LOG("the range was not held");
	}
	EXPECT_EQ(module_unload(EXAMPLE), 0);
	self->loaded = false;
	c = mirror_counters(&mirror);
	EXPECT_GT(c.end, before.end) {
		TH_LOG("the module went while the range was in flight");
	}
	pthread_join(thread, NULL);
	mirror_close(&mirror);
}

TEST_HARNESS_MAIN
