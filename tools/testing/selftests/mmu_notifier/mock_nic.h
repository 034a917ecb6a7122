/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network card for tests: it pins what is registered, and reads what it pinned,
 * whatever is mapped at the address by then. So a registration that a cache should
 * have given up shows by what is read.
 *
 * It is made of io_uring's fixed buffers, which are pinned for long and for writing
 * as those of RDMA are (FOLL_LONGTERM | FOLL_WRITE): such a page stays the process's
 * when it forks, and is not reclaimed. A kernel without io_uring has pages in pipes
 * (vmsplice), which are merely kept from being freed. Then a registration is also
 * wrong when the page was replaced, or the process has forked; @classes says so.
 */
#ifndef _SELFTESTS_MOCK_NIC_H
#define _SELFTESTS_MOCK_NIC_H

#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct mock_nic - a card
 * @classes: of changes that make a registration wrong.
 * @ring: the descriptor of io_uring, or -1.
 * @pipe: what has been read comes out there.
 * @lock: guards what follows.
 * @sq: ring of requests, one at a time.
 * @cq: ring of answers.
 * @sqes: the request.
 * @cqes: the answers.
 * @pipes: the pages of each buffer, without io_uring.
 * @free: buffers that are not in use.
 * @nr_free: how many those are.
 * @room: how many buffers there are.
 * @pins: how often something was registered.
 */
struct mock_nic {
	unsigned int classes;
	int ring;
	int pipe[2];
	pthread_mutex_t lock;
	struct {
		unsigned int *head, *tail, *mask, *array;
		void *mapped;
		size_t size;
	} sq, cq;
	void *sqes, *cqes;
	int (*pipes)[2];
	unsigned int *free;
	unsigned int nr_free, room;
	__u64 pins;
};

/* With @use_pipes even if there is io_uring; 0 or -errno */
int mock_nic_open(struct mock_nic *nic, unsigned int room, bool use_pipes);
void mock_nic_close(struct mock_nic *nic);

/* 0 or -errno: -EFAULT: not all of it can be pinned; -ENOSPC: no buffer left */
int mock_nic_pin(void *nic, void *start, size_t length, __u64 *key);
void mock_nic_unpin(void *nic, __u64 key);
/* In a child: the rings are the parent's. */
void mock_nic_forked(void *nic);
/* Read what was registered at @address, up to a page. */
int mock_nic_read(struct mock_nic *nic, __u64 key, const void *address, void *buf, size_t length);

#endif /* _SELFTESTS_MOCK_NIC_H */
