// SPDX-License-Identifier: GPL-2.0
/*
 * A network card for tests, see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stddef.h>		/* which io_uring.h depends on */
#include <linux/io_uring.h>
#include <linux/mmu_monitor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mock_nic.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

/* ---------------------------------------------------------- io_uring */

static void *map_ring(int fd, size_t size, off_t offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
}

static int map_rings(struct mock_nic *nic, const struct io_uring_params *p)
{
	char *sq, *cq;

	nic->sq.size = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	nic->cq.size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	sq = map_ring(nic->ring, nic->sq.size, IORING_OFF_SQ_RING);
	cq = map_ring(nic->ring, nic->cq.size, IORING_OFF_CQ_RING);
	nic->sqes = map_ring(nic->ring, sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || nic->sqes == MAP_FAILED)
		return -ENOMEM;
	nic->sq.mapped = sq;
	nic->cq.mapped = cq;
	nic->sq.tail = (unsigned int *)(sq + p->sq_off.tail);
	nic->sq.mask = (unsigned int *)(sq + p->sq_off.ring_mask);
	nic->sq.array = (unsigned int *)(sq + p->sq_off.array);
	nic->cq.head = (unsigned int *)(cq + p->cq_off.head);
	nic->cq.mask = (unsigned int *)(cq + p->cq_off.ring_mask);
	nic->cqes = cq + p->cq_off.cqes;
	return 0;
}

static int ring_open(struct mock_nic *nic)
{
	struct io_uring_rsrc_register buffers = {
		.nr = nic->room,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	struct io_uring_params p = { 0 };
	int err;

	nic->ring = syscall(SYS_io_uring_setup, 1, &p);
	if (nic->ring < 0)
		return -errno;
	err = map_rings(nic, &p);
	if (!err && syscall(SYS_io_uring_register, nic->ring, IORING_REGISTER_BUFFERS2, &buffers,
			    sizeof(buffers)))
		err = -errno;
	return err;
}

static void ring_close(struct mock_nic *nic)
{
	munmap(nic->sq.mapped, nic->sq.size);
	munmap(nic->cq.mapped, nic->cq.size);
	munmap(nic->sqes, sizeof(struct io_uring_sqe));
	close(nic->ring);
}

static int ring_set(struct mock_nic *nic, __u32 key, void *start, size_t length)
{
	struct iovec iov = { .iov_base = start, .iov_len = length };
	__u64 tag = 0;
	struct io_uring_rsrc_update2 update = {
		.offset = key,
		.data = (unsigned long)&iov,
		.tags = (unsigned long)&tag,
		.nr = 1,
	};
	int ret = syscall(SYS_io_uring_register, nic->ring, IORING_REGISTER_BUFFERS_UPDATE,
			  &update, sizeof(update));

	return ret == 1 ? 0 : ret < 0 ? -errno : -EIO;
}

/* The lock is held: one request at a time. */
static int ring_submit(struct mock_nic *nic, const struct io_uring_sqe *sqe)
{
	unsigned int tail = *nic->sq.tail, head = *nic->cq.head;
	struct io_uring_cqe *cqe;
	int ret;

	memcpy(nic->sqes, sqe, sizeof(*sqe));
	nic->sq.array[tail & *nic->sq.mask] = 0;
	__atomic_store_n(nic->sq.tail, tail + 1, __ATOMIC_RELEASE);
	do {
		ret = syscall(SYS_io_uring_enter, nic->ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	cqe = (struct io_uring_cqe *)nic->cqes + (head & *nic->cq.mask);
	ret = cqe->res;
	__atomic_store_n(nic->cq.head, head + 1, __ATOMIC_RELEASE);
	return ret;
}

static int ring_read(struct mock_nic *nic, __u64 key, const void *address, size_t length)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_WRITE_FIXED,
		.fd = nic->pipe[1],
		.off = -1,
		.addr = (unsigned long)address,
		.len = length,
		.buf_index = key,
	};
	int ret = ring_submit(nic, &sqe);

	return ret < 0 ? ret : ret == (int)length ? 0 : -EIO;
}

/* ------------------------------------------------------------- pipes */

static void pipe_unpin(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
	fds[0] = -1;
}

/* Where a buffer begins is noted in front of its pages. */
static int pipe_pin(int fds[2], char *start, size_t length)
{
	struct iovec iov = { .iov_base = start, .iov_len = length };
	int err;

	/* as who is going to write: not the page of zeros, nor one of a parent's */
	if (madvise(start, length, MADV_POPULATE_WRITE))
		return -EFAULT;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	if (fcntl(fds[1], F_SETPIPE_SZ, length + sizeof(start)) >= 0 &&
	    write(fds[1], &start, sizeof(start)) == sizeof(start) &&
	    vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) == (ssize_t)length)
		return 0;
	err = errno == EPERM || errno == EBUSY ? -ENOMEM : -EFAULT;
	pipe_unpin(fds);
	return err;
}

/* Copy the references to the pages, and pass over what comes before. */
static int pipe_read(struct mock_nic *nic, int from, const char *address, size_t length)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = 0;
	ssize_t nr;
	char *start;

	if (tee(from, nic->pipe[1], 1 << 30, SPLICE_F_NONBLOCK) < (ssize_t)sizeof(start) ||
	    read(nic->pipe[0], &start, sizeof(start)) != sizeof(start))
		err = -EIO;
	while (!err && start < address) {
		nr = splice(nic->pipe[0], NULL, null, NULL, address - start, 0);
		start += nr;
		err = nr <= 0 ? -EIO : 0;
	}
	close(null);
	return err;
}

/* What is left of the pages behind */
static void pipe_drain(struct mock_nic *nic)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	while (splice(nic->pipe[0], NULL, null, NULL, 1 << 30, SPLICE_F_NONBLOCK) > 0)
		;
	close(null);
}

/* ---------------------------------------------------------- the card */

int mock_nic_open(struct mock_nic *nic, unsigned int room, bool use_pipes)
{
	int err = 0;

	memset(nic, 0, sizeof(*nic));
	pthread_mutex_init(&nic->lock, NULL);
	nic->room = room;
	nic->ring = -1;
	nic->classes = MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED;
	if (!use_pipes)
		err = ring_open(nic);
	if (err && nic->ring >= 0)
		return err;
	nic->free = calloc(room, sizeof(*nic->free));
	nic->pipes = calloc(room, sizeof(*nic->pipes));
	if (!nic->free || !nic->pipes)
		return -ENOMEM;
	if (pipe2(nic->pipe, O_CLOEXEC))
		return -errno;
	if (nic->ring < 0) {
		nic->classes |= MMU_MONITOR_REPLACED | MMU_MONITOR_FORKED;
		if (fcntl(nic->pipe[1], F_SETPIPE_SZ, 1 << 20) < 0)
			return -errno;
	}
	for (; nic->nr_free < room; nic->nr_free++) {
		nic->free[nic->nr_free] = nic->nr_free;
		nic->pipes[nic->nr_free][0] = -1;
	}
	return 0;
}

void mock_nic_close(struct mock_nic *nic)
{
	unsigned int i;

	if (nic->ring >= 0)
		ring_close(nic);
	for (i = 0; i < nic->room; i++)
		if (nic->ring < 0 && nic->pipes[i][0] >= 0)
			pipe_unpin(nic->pipes[i]);
	close(nic->pipe[0]);
	close(nic->pipe[1]);
	free(nic->pipes);
	free(nic->free);
}

void mock_nic_forked(void *context)
{
	struct mock_nic *nic = context;
	bool use_pipes = nic->ring < 0;
	unsigned int room = nic->room;

	mock_nic_close(nic);
	if (mock_nic_open(nic, room, use_pipes))
		_exit(99);
}

static void put_free(struct mock_nic *nic, unsigned int buffer)
{
	pthread_mutex_lock(&nic->lock);
	nic->free[nic->nr_free++] = buffer;
	pthread_mutex_unlock(&nic->lock);
}

int mock_nic_pin(void *context, void *start, size_t length, __u64 *key)
{
	struct mock_nic *nic = context;
	unsigned int buffer;
	int err;

	pthread_mutex_lock(&nic->lock);
	nic->pins++;
	buffer = nic->nr_free ? nic->free[--nic->nr_free] : nic->room;
	pthread_mutex_unlock(&nic->lock);
	if (buffer == nic->room)
		return -ENOSPC;
	if (nic->ring >= 0)
		err = ring_set(nic, buffer, start, length);
	else
		err = pipe_pin(nic->pipes[buffer], start, length);
	if (err)
		put_free(nic, buffer);
	*key = buffer;
	return err;
}

void mock_nic_unpin(void *context, __u64 key)
{
	struct mock_nic *nic = context;

	if (nic->ring < 0)
		pipe_unpin(nic->pipes[key]);
	else if (ring_set(nic, key, NULL, 0))
		perror("mock_nic: unpin");
	put_free(nic, key);
}

int mock_nic_read(struct mock_nic *nic, __u64 key, const void *address, void *buf, size_t length)
{
	int err;

	pthread_mutex_lock(&nic->lock);
	if (nic->ring >= 0)
		err = ring_read(nic, key, address, length);
	else
		err = pipe_read(nic, nic->pipes[key][0], address, length);
	if (!err && read(nic->pipe[0], buf, length) != (ssize_t)length)
		err = -EIO;
	if (nic->ring < 0)
		pipe_drain(nic);
	pthread_mutex_unlock(&nic->lock);
	return err;
}
