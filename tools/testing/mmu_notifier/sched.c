// SPDX-License-Identifier: GPL-2.0
/*
 * The engine of the systematic scheduler; sched.h has the model.
 *
 * State. The *world* is this program's data and bss, heap and stacks included.
 * The explorer's own memory is allocated elsewhere. A snapshot is the parts of
 * the world that are in use. Coroutines park in setjmp(), whose buffers are part
 * of the world.
 *
 * Store buffers. While a thread runs, its stores are in memory; they are noted
 * with what was there before. When it parks, they are taken back, the youngest
 * first, and when it goes on, they are made again. So a thread reads its own
 * stores without further ado, and the others do not.
 *
 * Shared memory. A location is shared once two threads have touched it in any
 * schedule. Only shared locations are switch points and are buffered. Finding a
 * new one starts the exploration over.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sched.h"

#define STACK_BYTES	(64 << 10)
#define HEAP_BYTES	(32 << 10)
#define BLOCK		64		/* the heap is given out in these */
#define BUFFER		32
#define MAX_STEPS	1500
#define ARENA_BYTES	(256UL << 20)	/* touched as far as needed */
#define RED_ZONE	128

enum thread_state { UNUSED, RUNNABLE, FINISHED };

struct store {
	uintptr_t addr;
	unsigned long value;
	unsigned long before;		/* while its thread runs */
	unsigned char size;
	bool release;			/* not before any older one */
	unsigned short epoch;		/* number of write barriers before */
};

/* Part of the world, as is all that is not reached through @ex. */
static struct thread {
	jmp_buf context;
	enum thread_state state;
	void *sp;			/* where it has parked */
	bool (*may_go_on)(void *arg);
	void *arg;
	unsigned int cpu;
	unsigned int preempt;
	unsigned int rcu;
	unsigned int epoch;
	unsigned int nr_stores;
	struct store stores[BUFFER];
	/* The store that is being made: noted when it has been. */
	uintptr_t pending;
	unsigned int pending_size;
	unsigned long pending_before;
	size_t heap_used;
} threads[SCHED_THREADS];

static char heap[SCHED_THREADS][HEAP_BYTES] __attribute__((__aligned__(64)));
static unsigned char freed[SCHED_THREADS][HEAP_BYTES / BLOCK];
static char stacks[SCHED_THREADS][STACK_BYTES] __attribute__((__aligned__(64)));

struct deferred {
	void *p;
	unsigned int readers;
};

static struct deferred deferred[16];
static unsigned int reorderings;

extern char __data_start[], _end[];

struct visited {
	XXH128_hash_t key;
	double schedules;
};

/* The explorer's own. Never part of a snapshot. */
struct explorer {
	const struct sched_program *program;
	struct sched_result *result;
	jmp_buf context;
	int running;			/* or -1 */
	bool found_shared;
	unsigned char *touched;		/* by which threads, for each 8 bytes */
	struct visited *table;
	size_t table_size;
	char *arena;			/* snapshots, one for each choice made */
	size_t arena_used;
	unsigned int depth;
	struct choice {
		unsigned char thread;
		unsigned char flush;	/* index + 1, or 0 for a step */
		void *where;
	} trace[MAX_STEPS];
	char failure[256];
	void *where;			/* of the latest switch point */
};

static struct explorer *ex;

/*
 * Memory
 */

static bool in_world(uintptr_t addr)
{
	return addr >= (uintptr_t)__data_start && addr < (uintptr_t)_end;
}

static bool on_own_stack(uintptr_t addr)
{
	uintptr_t stack = (uintptr_t)stacks[ex->running];

	return addr >= stack && addr < stack + STACK_BYTES;
}

static unsigned long peek(uintptr_t addr, unsigned int size)
{
	unsigned long value = 0;

	memcpy(&value, (void *)addr, size);
	return value;
}

static void poke(uintptr_t addr, unsigned long value, unsigned int size)
{
	memcpy((void *)addr, &value, size);
}

/* Is this location shared? Notes that this thread touches it. */
static bool touch(uintptr_t addr)
{
	unsigned char *touched, self = 1 << ex->running;

	if (!in_world(addr))
		return false;
	touched = &ex->touched[(addr - (uintptr_t)__data_start) / 8];
	if (!(*touched & self)) {
		if (*touched)
			ex->found_shared = true;
		*touched |= self;
	}
	return *touched & ~self;
}

static void check_freed(uintptr_t addr)
{
	size_t offset = addr - (uintptr_t)heap;

	if (addr >= (uintptr_t)heap && offset < sizeof(heap) &&
	    freed[offset / HEAP_BYTES][offset % HEAP_BYTES / BLOCK])
		sched_fail("memory is used that was freed");
}

void *sched_alloc(size_t size)
{
	unsigned int self = ex->running < 0 ? 0 : ex->running;
	struct thread *t = &threads[self];
	void *p = heap[self] + t->heap_used;
	size_t *length = p;

	/* The length stands in front. Nothing is used again. */
	t->heap_used += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	if (t->heap_used > HEAP_BYTES)
		sched_fail("the heap is too small");
	*length = size;
	memset(p + BLOCK, 0, size);
	return p + BLOCK;
}

void sched_free(const void *p)
{
	size_t offset = (uintptr_t)p - (uintptr_t)heap, size, i;

	if (!p)
		return;
	if (offset >= sizeof(heap))
		sched_fail("freed, but never allocated");
	if (freed[offset / HEAP_BYTES][offset % HEAP_BYTES / BLOCK])
		sched_fail("freed twice");
	size = *(size_t *)(p - BLOCK);
	for (i = 0; i < size; i += BLOCK)
		freed[offset / HEAP_BYTES][(offset + i) % HEAP_BYTES / BLOCK] = 1;
}

static unsigned int rcu_readers(void)
{
	unsigned int i, readers = 0;

	for (i = 0; i < SCHED_THREADS; i++)
		if (threads[i].rcu)
			readers |= 1 << i;
	return readers;
}

void sched_free_rcu(void *p)
{
	unsigned int i, readers = rcu_readers();

	if (!readers) {
		sched_free(p);
		return;
	}
	for (i = 0; deferred[i].p; i++)
		if (i == sizeof(deferred) / sizeof(*deferred) - 1)
			sched_fail("too many frees are pending");
	deferred[i].p = p;
	deferred[i].readers = readers;
}

void sched_rcu_lock(void)
{
	if (ex->running < 0)
		return;
	threads[ex->running].rcu++;
}

void sched_rcu_unlock(void)
{
	unsigned int i;

	if (ex->running < 0)
		return;
	sched_point();
	if (--threads[ex->running].rcu)
		return;
	for (i = 0; i < sizeof(deferred) / sizeof(*deferred); i++) {
		if (!deferred[i].p)
			continue;
		deferred[i].readers &= ~(1 << ex->running);
		if (!deferred[i].readers) {
			sched_free(deferred[i].p);
			deferred[i].p = NULL;
		}
	}
}

/*
 * Store buffers
 */

/* Stores @from to @from + @nr are visible. What is not in use is 0 in a state. */
static void forget(struct thread *t, unsigned int from, unsigned int nr)
{
	t->nr_stores -= nr;
	memmove(t->stores + from, t->stores + from + nr,
		(t->nr_stores - from) * sizeof(*t->stores));
	memset(t->stores + t->nr_stores, 0, nr * sizeof(*t->stores));
}

/* A store that was announced has been made by now: note it. */
static void settle(void)
{
	struct thread *t;
	struct store *store;

	if (ex->running < 0)
		return;
	t = &threads[ex->running];
	if (!t->pending)
		return;
	/* As if the oldest had become visible just now. */
	if (t->nr_stores == BUFFER)
		forget(t, 0, 1);
	store = &t->stores[t->nr_stores++];
	memset(store, 0, sizeof(*store));
	store->addr = t->pending;
	store->size = t->pending_size;
	store->before = t->pending_before;
	store->value = peek(t->pending, t->pending_size);
	store->epoch = t->epoch;
	t->pending = 0;
	t->pending_before = 0;
}

void sched_drain(void)
{
	settle();
	if (ex->running >= 0)
		forget(&threads[ex->running], 0, threads[ex->running].nr_stores);
}

static void take_back(struct thread *t)
{
	unsigned int i;

	for (i = t->nr_stores; i--; ) {
		poke(t->stores[i].addr, t->stores[i].before, t->stores[i].size);
		t->stores[i].before = 0;
	}
}

static void make_again(struct thread *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_stores; i++) {
		t->stores[i].before = peek(t->stores[i].addr, t->stores[i].size);
		poke(t->stores[i].addr, t->stores[i].value, t->stores[i].size);
	}
}

static bool overlap(const struct store *a, const struct store *b)
{
	return a->addr < b->addr + b->size && b->addr < a->addr + a->size;
}

/* May store @i become visible before those that are older? */
static bool may_overtake(const struct thread *t, unsigned int i)
{
	unsigned int j;

	if (t->stores[i].release)
		return false;
	for (j = 0; j < i; j++)
		if (t->stores[j].epoch != t->stores[i].epoch ||
		    overlap(&t->stores[j], &t->stores[i]))
			return false;
	return true;
}

static void flush(struct thread *t, unsigned int i)
{
	struct store *store = &t->stores[i];

	poke(store->addr, store->value, store->size);
	if (i)
		reorderings++;
	forget(t, i, 1);
}

/*
 * Switching
 */

/* Back to the explorer. What follows runs when it chooses this thread again. */
static void __attribute__((__noinline__)) park(void *where)
{
	struct thread *t = &threads[ex->running];

	settle();
	ex->where = where;
	t->sp = __builtin_frame_address(0) - 512 - RED_ZONE;
	if (!_setjmp(t->context))
		_longjmp(ex->context, 1);
}

void sched_point(void)
{
	settle();
	if (ex->running >= 0)
		park(__builtin_return_address(0));
}

void sched_wait(bool (*may_go_on)(void *arg), void *arg)
{
	struct thread *t = &threads[ex->running];

	if (ex->running < 0) {
		if (!may_go_on(arg))
			sched_fail("nobody else is there to be waited for");
		return;
	}
	/* Also if it may go on at once: others may come first. */
	settle();
	t->may_go_on = may_go_on;
	t->arg = arg;
	park(__builtin_return_address(0));
	t->may_go_on = NULL;
	t->arg = NULL;
}

unsigned int sched_self(void)
{
	return ex->running;
}

unsigned int sched_cpu(void)
{
	return ex->running < 0 ? 0 : threads[ex->running].cpu;
}

void sched_on_cpu(unsigned int cpu)
{
	sched_drain();
	threads[ex->running].cpu = cpu;
}

void sched_preempt(int disable)
{
	if (ex->running >= 0)
		threads[ex->running].preempt += disable;
}

void sched_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ex->failure, sizeof(ex->failure), fmt, args);
	va_end(args);
	_longjmp(ex->context, 2);
}

/*
 * What the core uses
 */

void sched_barrier(void)
{
	settle();
	/* Until now, the last store may have become visible before the others. */
	if (ex->running >= 0 && ex->program->reorderings && threads[ex->running].nr_stores > 1)
		park(__builtin_return_address(0));
	sched_drain();
}

void sched_write_barrier(void)
{
	settle();
	if (ex->running >= 0)
		threads[ex->running].epoch++;
}

/* Let an atomic act on what others see, without anything that may be younger. */
static void drain_location(uintptr_t addr, unsigned int size)
{
	struct thread *t = &threads[ex->running];
	struct store this = { .addr = addr, .size = size };
	unsigned int i;

	for (i = t->nr_stores; i--; ) {
		if (!overlap(&t->stores[i], &this))
			continue;
		forget(t, 0, i + 1);
		return;
	}
}

static bool is_free(void *lock)
{
	return !*(int *)lock;
}

static void atomic(void *p, void *where)
{
	settle();
	if (ex->running < 0)
		return;
	check_freed((uintptr_t)p);
	touch((uintptr_t)p);
	park(where);
	check_freed((uintptr_t)p);
}

static void release(void *to, unsigned long value, unsigned int size)
{
	struct thread *t = &threads[ex->running];

	check_freed((uintptr_t)to);
	t->pending = (uintptr_t)to;
	t->pending_size = size;
	t->pending_before = peek(t->pending, size);
	poke((uintptr_t)to, value, size);
	settle();
	t->stores[t->nr_stores - 1].release = true;
}

void sched_release(void *to, unsigned long value, unsigned int size)
{
	settle();
	if (ex->running >= 0) {
		check_freed((uintptr_t)to);
		if (touch((uintptr_t)to)) {
			park(__builtin_return_address(0));
			release(to, value, size);
			return;
		}
	}
	poke((uintptr_t)to, value, size);
}

void sched_lock(int *lock)
{
	struct thread *t;

	if (ex->running < 0)
		return;
	settle();
	t = &threads[ex->running];
	check_freed((uintptr_t)lock);
	drain_location((uintptr_t)lock, sizeof(*lock));
	t->may_go_on = is_free;
	t->arg = lock;
	park(__builtin_return_address(0));
	t->may_go_on = NULL;
	t->arg = NULL;
	check_freed((uintptr_t)lock);
	*lock = ex->running + 1;
}

/* Where stores may be reordered, giving a lock back is a store like others. */
void sched_unlock(int *lock)
{
	if (ex->running < 0)
		return;
	settle();
	sched_expect(*lock == ex->running + 1);
	if (ex->program->reorderings) {
		release(lock, 0, sizeof(*lock));
	} else {
		check_freed((uintptr_t)lock);
		sched_drain();
		*lock = 0;
	}
}

unsigned long sched_exchange(void *p, unsigned long value, unsigned int size)
{
	unsigned long old;

	atomic(p, __builtin_return_address(0));
	sched_drain();
	old = peek((uintptr_t)p, size);
	poke((uintptr_t)p, value, size);
	return old;
}

/* A full barrier only if it succeeds. */
unsigned long sched_compare_exchange(void *p, unsigned long old, unsigned long value,
				     unsigned int size)
{
	unsigned long now;

	atomic(p, __builtin_return_address(0));
	if (ex->running >= 0)
		drain_location((uintptr_t)p, size);
	now = peek((uintptr_t)p, size);
	if (now == old) {
		sched_drain();
		poke((uintptr_t)p, value, size);
	}
	return now;
}

/* No barrier. */
long sched_add(void *p, long value, unsigned int size)
{
	long now;

	atomic(p, __builtin_return_address(0));
	if (ex->running >= 0)
		drain_location((uintptr_t)p, size);
	now = (long)peek((uintptr_t)p, size) + value;
	poke((uintptr_t)p, now, size);
	return now;
}

/*
 * What the compiler calls
 */

static void accessed(void *p, unsigned int size, bool write, bool is_volatile, void *where)
{
	uintptr_t addr = (uintptr_t)p;
	struct thread *t;
	bool shared;

	if (ex->running < 0)
		return;
	settle();
	check_freed(addr);
	shared = touch(addr);
	if (!shared || (write && on_own_stack(addr)))
		return;
	if (is_volatile) {
		park(where);
		check_freed(addr);
	}
	if (write) {
		t = &threads[ex->running];
		t->pending = addr;
		t->pending_size = size;
		t->pending_before = peek(addr, size);
	}
}

#define HOOK(name, size, write, is_volatile)				\
void __tsan_##name##size(void *p);					\
void __tsan_##name##size(void *p)					\
{									\
	accessed(p, size, write, is_volatile, __builtin_return_address(0)); \
}

#define HOOKS(size)							\
HOOK(read, size, false, false)						\
HOOK(write, size, true, false)						\
HOOK(unaligned_read, size, false, false)				\
HOOK(unaligned_write, size, true, false)				\
HOOK(volatile_read, size, false, true)					\
HOOK(volatile_write, size, true, true)

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)

/* Two words at once, or a whole struct: always of one's own, or under a lock. */
static void accessed_range(void *p, size_t size, bool write, void *where)
{
	size_t i;

	for (i = 0; i + 8 <= size; i += 8) {
		accessed(p + i, 8, write, false, where);
		/* Announced together, made together: note only what is known. */
		if (ex->running >= 0)
			threads[ex->running].pending = 0;
	}
}

void __tsan_read16(void *p);
void __tsan_read16(void *p)
{
	accessed_range(p, 16, false, __builtin_return_address(0));
}

void __tsan_write16(void *p);
void __tsan_write16(void *p)
{
	accessed_range(p, 16, true, __builtin_return_address(0));
}

void __tsan_unaligned_write16(void *p);
void __tsan_unaligned_write16(void *p)
{
	accessed_range(p, 16, true, __builtin_return_address(0));
}

void __tsan_unaligned_read16(void *p);
void __tsan_unaligned_read16(void *p)
{
	accessed_range(p, 16, false, __builtin_return_address(0));
}

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
	accessed_range(p, size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
	accessed_range(p, size, true, __builtin_return_address(0));
}

void __tsan_init(void);
void __tsan_init(void)
{
}

/*
 * Snapshots
 */

struct part {
	char *p;
	size_t size;
};

/* How much of heap and stacks is in use: the head of a snapshot */
struct used {
	size_t heap[SCHED_THREADS];
	size_t stack[SCHED_THREADS];
};

static void measure(struct used *used)
{
	unsigned int i;

	for (i = 0; i < SCHED_THREADS; i++) {
		used->heap[i] = threads[i].heap_used;
		used->stack[i] = threads[i].state != RUNNABLE ? 0 :
			(size_t)(stacks[i] + STACK_BYTES - (char *)threads[i].sp);
	}
}

static int by_address(const void *a, const void *b)
{
	const struct part *p = a, *q = b;

	return p->p < q->p ? -1 : p->p > q->p;
}

/* Everything but what is not in use */
static unsigned int parts(const struct used *used, struct part *part)
{
	struct part skip[2 * SCHED_THREADS];
	char *from = __data_start;
	unsigned int nr = 0, i;

	for (i = 0; i < SCHED_THREADS; i++) {
		skip[nr++] = (struct part){ heap[i] + used->heap[i], HEAP_BYTES - used->heap[i] };
		skip[nr++] = (struct part){ stacks[i], STACK_BYTES - used->stack[i] };
	}
	qsort(skip, nr, sizeof(*skip), by_address);
	for (i = 0; i < nr; i++) {
		part[i] = (struct part){ from, skip[i].p - from };
		from = skip[i].p + skip[i].size;
	}
	part[i] = (struct part){ from, _end - from };
	return nr + 1;
}

static size_t save(char *to)
{
	struct part part[2 * SCHED_THREADS + 1];
	size_t size = sizeof(struct used);
	unsigned int nr, i;

	measure((struct used *)to);
	nr = parts((struct used *)to, part);
	for (i = 0; i < nr; i++) {
		memcpy(to + size, part[i].p, part[i].size);
		size += part[i].size;
	}
	return size;
}

static void restore(const char *from)
{
	struct part part[2 * SCHED_THREADS + 1];
	size_t size = sizeof(struct used);
	unsigned int nr, i;

	nr = parts((const struct used *)from, part);
	for (i = 0; i < nr; i++) {
		memcpy(part[i].p, from + size, part[i].size);
		size += part[i].size;
	}
}

/*
 * Exploring
 */

static struct visited *look_up(XXH128_hash_t key)
{
	size_t i = key.low64 & (ex->table_size - 1);

	while (ex->table[i].key.low64 | ex->table[i].key.high64) {
		if (XXH128_isEqual(ex->table[i].key, key))
			return &ex->table[i];
		i = (i + 1) & (ex->table_size - 1);
	}
	return &ex->table[i];
}

static void grow(void)
{
	struct visited *old = ex->table;
	size_t size = ex->table_size, i;

	ex->table_size *= 2;
	ex->table = calloc(ex->table_size, sizeof(*ex->table));
	if (!ex->table)
		abort();
	for (i = 0; i < size; i++)
		if (old[i].key.low64 | old[i].key.high64)
			*look_up(old[i].key) = old[i];
	free(old);
}

static bool enabled(unsigned int i)
{
	struct thread *t = &threads[i];
	unsigned int j;

	for (j = 0; j < SCHED_THREADS; j++)
		if (j != i && threads[j].preempt && threads[j].cpu == t->cpu)
			return false;
	return t->state == RUNNABLE && (!t->may_go_on || t->may_go_on(t->arg));
}

static void finish_thread(void)
{
	sched_drain();
	threads[ex->running].state = FINISHED;
	_longjmp(ex->context, 3);
}

extern void sched_worker(void);

static void entry(int i)
{
	if (!_setjmp(threads[i].context)) {
		threads[i].sp = __builtin_frame_address(0) - 512 - RED_ZONE;
		_longjmp(ex->context, 1);
	}
	if (i < SCHED_THREADS - 1 && ex->program->thread[i])
		ex->program->thread[i]();
	else
		sched_worker();
	finish_thread();
}

/* Threads are entered once, and park at once: from then on they are jumped to. */
static void make_thread(int i)
{
	static ucontext_t context, back;

	threads[i].state = RUNNABLE;
	threads[i].cpu = i;
	getcontext(&context);
	context.uc_stack.ss_sp = stacks[i];
	context.uc_stack.ss_size = STACK_BYTES;
	context.uc_link = &back;
	makecontext(&context, (void (*)(void))entry, 1, i);
	if (!_setjmp(ex->context))
		setcontext(&context);
	memset(&context, 0, sizeof(context));
}

/* One step of a thread, from where it has parked to where it parks next. */
static bool step(unsigned int i)
{
	struct thread *t = &threads[i];
	unsigned int j;
	int why;

	/* A CPU sees its own stores, and so does who runs on it next. */
	for (j = 0; j < SCHED_THREADS; j++)
		while (j != i && threads[j].cpu == t->cpu && threads[j].nr_stores)
			flush(&threads[j], 0);
	ex->running = i;
	make_again(t);
	why = _setjmp(ex->context);
	if (!why)
		_longjmp(t->context, 1);
	ex->result->steps++;
	if (why == 2)
		return false;
	take_back(t);
	ex->running = -1;
	return true;
}

static bool worker_is(unsigned int i)
{
	return ex->program->worker &&
	       (i == SCHED_THREADS - 1 || !ex->program->thread[i]);
}

/* Everybody has finished; the worker waits for work, which is no failure. */
static bool over(void)
{
	unsigned int i;

	for (i = 0; i < SCHED_THREADS; i++)
		if (threads[i].state == RUNNABLE && !worker_is(i))
			return false;
	return true;
}

static void describe(void)
{
	unsigned int i;

	fprintf(stderr, "# %s: %s\n", ex->program->name, ex->failure);
	for (i = 0; i < ex->depth; i++) {
		struct choice *c = &ex->trace[i];
		char command[512], line[256] = "\n";
		FILE *f;

		if (c->flush) {
			fprintf(stderr, "#   thread %d: a store becomes visible\n", c->thread);
			continue;
		}
		snprintf(command, sizeof(command),
			 "addr2line -s -f -p -i -e /proc/%d/exe %p | grep -v -m 1 -e compiler.h -e shim_",
			 getpid(), c->where);
		f = popen(command, "r");
		if (f) {
			if (!fgets(line, sizeof(line), f))
				strcpy(line, "\n");
			pclose(f);
		}
		fprintf(stderr, "#   thread %d: up to %s", c->thread, line);
	}
}

static bool explore(const char *state, size_t size, int last, unsigned int left,
		    double *schedules);

/* Go on from where the last choice has led. */
static bool go_on(unsigned int thread, unsigned int flush_nr, int last, unsigned int left,
		  double *schedules)
{
	size_t size;
	char *state;
	bool ok;

	ex->trace[ex->depth] = (struct choice){ thread, flush_nr, ex->where };
	if (++ex->depth == MAX_STEPS) {
		strcpy(ex->failure, "too long: does it end?");
		return false;
	}
	state = ex->arena + ex->arena_used;
	size = save(state);
	ex->arena_used += (size + 63) & ~(size_t)63;
	if (ex->arena_used > ARENA_BYTES - (_end - __data_start))
		abort();
	ok = explore(state, size, last, left, schedules);
	ex->arena_used = state - ex->arena;
	if (ok)
		ex->depth--;
	return ok;
}

static bool explore(const char *state, size_t size, int last, unsigned int left,
		    double *schedules)
{
	bool last_enabled, any = false, fresh = true;
	struct visited *visited;
	XXH128_hash_t key;
	double sum = 0;
	unsigned int i, s;
	int next;

	key = XXH3_128bits_withSeed(state, size, (last + 1) * 64 + left);
	visited = look_up(key);
	if (visited->key.low64 | visited->key.high64) {
		*schedules += visited->schedules;
		return true;
	}

	last_enabled = last >= 0 && enabled(last);
	for (i = 0; i < SCHED_THREADS; i++)
		any |= enabled(i);
	if (!any) {
		unsigned int stores = 0;

		for (i = 0; i < SCHED_THREADS; i++)
			stores += threads[i].nr_stores;
		if (!stores && !over()) {
			strcpy(ex->failure, "nobody can go on: a deadlock, or a wake-up was lost");
			return false;
		}
		if (!stores) {
			ex->running = -1;
			if (_setjmp(ex->context))
				return false;
			if (ex->program->done)
				ex->program->done();
			fresh = false;
			sum = 1;
		}
	}

	/* The one that runs first, which costs nothing. */
	for (next = -1; next < SCHED_THREADS; next++) {
		unsigned int t = next < 0 ? last : next;
		bool preempts = last_enabled && (int)t != last;

		if ((next < 0 && last < 0) || next == last || (preempts && !left))
			continue;
		if (!fresh)
			restore(state);
		fresh = true;
		if (!enabled(t))
			continue;
		fresh = false;
		if (!step(t)) {
			ex->trace[ex->depth++] = (struct choice){ t, 0, ex->where };
			return false;
		}
		if (!go_on(t, 0, t, left - preempts, &sum))
			return false;
		if (ex->found_shared)
			return true;
	}

	/* Stores that become visible */
	for (i = 0; i < SCHED_THREADS; i++) {
		if (!fresh)
			restore(state);
		fresh = true;
		for (s = 0; s < threads[i].nr_stores; s++) {
			if (s && (reorderings >= ex->program->reorderings ||
				  !may_overtake(&threads[i], s)))
				continue;
			flush(&threads[i], s);
			if (!go_on(i, s + 1, last, left, &sum))
				return false;
			if (ex->found_shared)
				return true;
			restore(state);
		}
	}

	if (++ex->result->states * 2 > ex->table_size)
		grow();
	visited = look_up(key);
	visited->key = key;
	visited->schedules = sum;
	*schedules += sum;
	return true;
}

/* A broken core may go wherever a stale pointer leads. */
static void wild(int signal)
{
	sched_fail("memory is used that never was any (signal %d)", signal);
}

static void catch_wild(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	struct sigaction action = { .sa_handler = wild, .sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_size = 64 << 10 };
	unsigned int i;

	/* Not in the world: the stack of a thread may be what is broken. */
	stack.ss_sp = malloc(stack.ss_size);
	if (!stack.ss_sp || sigaltstack(&stack, NULL))
		abort();
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], &action, NULL))
			abort();
}

void sched_explore(const struct sched_program *program, struct sched_result *result)
{
	static bool caught;
	size_t world = _end - __data_start;
	char *pristine, *state;
	bool ok;
	int i;

	if (!caught)
		catch_wild();
	caught = true;

	ex = calloc(1, sizeof(*ex));
	if (!ex)
		abort();
	pristine = malloc(world);
	state = malloc(world);
	ex->arena = malloc(ARENA_BYTES);
	ex->touched = calloc(world / 8 + 1, 1);
	if (!pristine || !state || !ex->arena || !ex->touched)
		abort();
	ex->program = program;
	ex->result = result;
	ex->running = -1;
	memcpy(pristine, __data_start, world);

	do {
		size_t size;

		memcpy(__data_start, pristine, world);
		memset(result, 0, sizeof(*result));
		free(ex->table);
		ex->table_size = 1 << 16;
		ex->table = calloc(ex->table_size, sizeof(*ex->table));
		if (!ex->table)
			abort();
		ex->found_shared = false;
		ex->depth = 0;
		ex->arena_used = 0;
		ex->running = -1;
		for (i = 0; i < SCHED_THREADS - 1 && program->thread[i]; i++)
			make_thread(i);
		if (program->worker)
			make_thread(i);
		ok = !_setjmp(ex->context);
		if (ok) {
			program->init();
			size = save(state);
			ok = explore(state, size, -1, program->preemptions, &result->schedules);
		}
	} while (ok && ex->found_shared);

	memcpy(__data_start, pristine, world);
	if (!ok) {
		describe();
		result->failure = strdup(ex->failure);
	}
	free(pristine);
	free(state);
	free(ex->table);
	free(ex->touched);
	free(ex->arena);
	free(ex);
}
