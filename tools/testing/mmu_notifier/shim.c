// SPDX-License-Identifier: GPL-2.0
/*
 * SRCU in user space, after the algorithm of kernel/rcu/srcutree.c: two ranks of
 * per-CPU counters; a grace period waits until each rank has drained once.
 */

__thread unsigned long shim_cpu_offset;
__thread unsigned int shim_cpu_id;

void shim_cpu(unsigned int cpu)
{
	shim_cpu_id = cpu;
	shim_cpu_offset = cpu * sizeof(struct srcu_data);
}

int init_srcu_struct(struct srcu_struct *ssp)
{
	ssp->srcu_idx = 0;
	ssp->sda = aligned_alloc(64, SHIM_CPUS * sizeof(*ssp->sda));
	ssp->gp = malloc(sizeof(*ssp->gp));
	if (!ssp->sda || !ssp->gp)
		return -ENOMEM;
	memset(ssp->sda, 0, SHIM_CPUS * sizeof(*ssp->sda));
	return pthread_mutex_init(ssp->gp, NULL);
}

void cleanup_srcu_struct(struct srcu_struct *ssp)
{
	pthread_mutex_destroy(ssp->gp);
	free(ssp->gp);
	free(ssp->sda);
}

static struct srcu_data *shim_this_cpu(struct srcu_struct *ssp)
{
	return (void *)((char *)ssp->sda + shim_cpu_offset);
}

/* Out of line, as in the kernel. One instruction counts, like this_cpu_inc(). */
noinline int __srcu_read_lock(struct srcu_struct *ssp)
{
	int idx = READ_ONCE(ssp->srcu_idx) & 1;

	asm volatile("incq %0" : "+m" (shim_this_cpu(ssp)->lock_count[idx]));
	smp_mb();
	return idx;
}

noinline void __srcu_read_unlock(struct srcu_struct *ssp, int idx)
{
	smp_mb();
	asm volatile("incq %0" : "+m" (shim_this_cpu(ssp)->unlock_count[idx]));
}

static bool shim_drained(struct srcu_struct *ssp, int idx)
{
	unsigned long locks = 0, unlocks = 0;
	int cpu;

	for (cpu = 0; cpu < SHIM_CPUS; cpu++)
		unlocks += READ_ONCE(ssp->sda[cpu].unlock_count[idx]);
	smp_mb();
	for (cpu = 0; cpu < SHIM_CPUS; cpu++)
		locks += READ_ONCE(ssp->sda[cpu].lock_count[idx]);
	return locks == unlocks;
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	int round, idx;

	smp_mb();
	pthread_mutex_lock(ssp->gp);
	for (round = 0; round < 2; round++) {
		idx = ssp->srcu_idx & 1;
		while (!shim_drained(ssp, !idx))
			sched_yield();
		smp_mb();
		WRITE_ONCE(ssp->srcu_idx, ssp->srcu_idx + 1);
		smp_mb();
		while (!shim_drained(ssp, idx))
			sched_yield();
	}
	pthread_mutex_unlock(ssp->gp);
	smp_mb();
}

void call_srcu(struct srcu_struct *ssp, struct rcu_head *rcu,
	       void (*func)(struct rcu_head *rcu))
{
	synchronize_srcu(ssp);
	func(rcu);
}
