/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel's log says of the OOM killer, of the OOM reaper behind it, and of the
 * callback that refused the reaper. Meanwhile the console is quiet: what the OOM killer
 * has to say looks alarming there. Complaints that mean something are looked for here.
 */
#ifndef _SELFTESTS_OOM_LIB_H
#define _SELFTESTS_OOM_LIB_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct oom_log - the kernel's log
 * @fd: of it, or 0 if it is not open.
 * @level: what the console was told, to be told it again.
 */
struct oom_log {
	int fd;
	char level[64];
};

/**
 * struct oom_told - what it said since oom_log_open()
 * @killed: the victim was killed by the OOM killer.
 * @killed_us: when it was.
 * @reaped: the OOM reaper came for it.
 * @refused: and could not.
 * @messages: that somebody would have to sleep.
 * @named: one of them names the callback.
 * @unnamed: or an address instead.
 * @complained: a WARNING or BUG.
 */
struct oom_told {
	bool killed;
	unsigned long long killed_us;
	bool reaped;
	bool refused;
	unsigned int messages;
	bool named;
	bool unnamed;
	bool complained;
};

/* False: there is none. */
bool oom_log_open(struct oom_log *log);
void oom_log_close(struct oom_log *log);

/* @callback, as the log names it, or NULL. Adds to @told. */
void oom_log_read(struct oom_log *log, pid_t victim, const char *callback,
		  struct oom_told *told);

#endif /* _SELFTESTS_OOM_LIB_H */
