// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's log says of the OOM killer, see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "oom_lib.h"
#include "sysmm.h"

#define PRINTK	"/proc/sys/kernel/printk"

bool oom_log_open(struct oom_log *log)
{
	log->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log->fd < 0)
		return false;
	lseek(log->fd, 0, SEEK_END);
	if (file_read(PRINTK, log->level, sizeof(log->level)) <= 0)
		log->level[0] = '\0';
	file_write(PRINTK, "1");
	return true;
}

void oom_log_close(struct oom_log *log)
{
	if (log->level[0])
		file_write(PRINTK, "%s", log->level);
	log->level[0] = '\0';
	if (log->fd > 0)
		close(log->fd);
	log->fd = 0;
}

static void read_line(const char *line, pid_t victim, const char *callback,
		      struct oom_told *told)
{
	char killed[64], reaped[64], refused[64];
	const char *text = strchr(line, ';'), *at;

	text = text ? text + 1 : line;
	snprintf(killed, sizeof(killed), "Killed process %d ", victim);
	snprintf(reaped, sizeof(reaped), "oom_reaper: reaped process %d ", victim);
	snprintf(refused, sizeof(refused), "oom_reaper: unable to reap pid:%d ", victim);
	if (strstr(text, killed))
		told->killed = sscanf(line, "%*u,%*u,%llu", &told->killed_us) == 1;
	told->reaped |= !!strstr(text, reaped);
	told->refused |= !!strstr(text, refused);
	/* KCSAN finds races all over the kernel, see scripts/debug.sh. */
	told->complained |= strstr(text, "WARNING: ") ||
			    (strstr(text, "BUG: ") && !strstr(text, "BUG: KCSAN"));
	at = strstr(text, " would have to sleep");
	if (!at)
		return;
	told->messages++;
	if (callback && (size_t)(at - text) >= strlen(callback))
		told->named |= !strncmp(at - strlen(callback), callback, strlen(callback));
	told->unnamed |= !strncmp(text, "0x", 2);
}

void oom_log_read(struct oom_log *log, pid_t victim, const char *callback,
		  struct oom_told *told)
{
	char line[8192];
	ssize_t len;

	for (;;) {
		len = read(log->fd, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE)
			continue;	/* records were overwritten */
		if (len <= 0)
			return;
		line[len] = '\0';
		read_line(line, victim, callback, told);
	}
}
