/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A ledger of operations, in memory that outlives whoever writes it: what tasks
 * have done, and what workers have read and answered. Workers die at any moment.
 *
 * Each operation has a number, which events tell: it is where a byte is written, or
 * the name of a file that is made. Events are read into a log that is never written
 * twice, and whose pages are there before the read begins, so that neither a fault
 * nor a signal ends a copy half-way. So what read(2) has taken from the kernel is in
 * the log, whether its caller has lived to see that or not, and no POST is lost with
 * a worker: each operation that was done has exactly one, in some log.
 */

#ifndef __LEDGER_H
#define __LEDGER_H

#include "group.h"

#define LEDGER_TASKS	12
#define LEDGER_OPS	4096	/* at most, of each task */
#define LEDGER_LOGS	2
#define LEDGER_LOG	(16 << 20)
#define LEDGER_AHEAD	(256 << 10)	/* of a log, what is there before it is needed */
#define LEDGER_EVENTS	(FAN_MODIFY | FAN_CREATE)

struct ledger_op {
	int ended;	/* with success */
	int error;	/* or with this one */
	int denied;	/* attempts that ended with EIO before */
	int allowing;	/* a worker is about to allow it, or has */
	int allowed;	/* answers that were taken */
	int unasked;	/* it was done, and no one had allowed it */
};

struct ledger_log {
	size_t end;	/* of what is known to be whole */
	char bytes[LEDGER_LOG];
};

static struct ledger {
	int stop;	/* the tasks */
	int ready;	/* groups that are marked */
	pid_t worker;	/* the last that was begun */
	long served;	/* events */
	long denied;	/* attempts */
	struct ledger_op ops[LEDGER_TASKS * LEDGER_OPS];
	struct ledger_log logs[LEDGER_LOGS];
} *ledger;

static inline void ledger_open(struct __test_metadata *const _metadata)
{
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, ledger);
}

#define LEDGER_LOAD(field)	__atomic_load_n(&ledger->field, __ATOMIC_ACQUIRE)
#define LEDGER_ADD(field, n)	__atomic_add_fetch(&ledger->field, n, __ATOMIC_ACQ_REL)

/* -------------------------------- tasks -------------------------------- */

static inline int ledger_try(int fd, int n, bool creates)
{
	char name[16];

	if (!creates)
		return pwrite(fd, "x", 1, n) == 1 ? 0 : -errno;
	snprintf(name, sizeof(name), "%d", n);
	if (mknod(name, S_IFREG | 0600, 0))
		return -errno;
	/* No one asks about that. */
	unlink(name);
	return 0;
}

/* An operation that was done was allowed before, by someone. */
static inline void ledger_do(int fd, int n, bool creates)
{
	struct ledger_op *op = &ledger->ops[n];
	int ret;

	for (;;) {
		__atomic_store_n(&op->allowing, 0, __ATOMIC_RELEASE);
		ret = ledger_try(fd, n, creates);
		if (ret != -EIO)
			break;
		op->denied++;
		LEDGER_ADD(denied, 1);
		if (LEDGER_LOAD(stop))
			break;
		/* Leave the CPU to who is to take over. */
		usleep(1000);
	}
	op->error = -ret;
	op->ended = !ret;
	op->unasked = !ret && !__atomic_load_n(&op->allowing, __ATOMIC_ACQUIRE);
}

/* A job: half of them write, and half create. Returns how often. */
static inline long ledger_work(void *arg)
{
	const int task = *(int *)arg;
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	long i;

	if (fd < 0)
		return -1;
	for (i = 0; i < LEDGER_OPS && !LEDGER_LOAD(stop); i++)
		ledger_do(fd, task * LEDGER_OPS + i, task % 2);
	return i;
}

/* ------------------------------- workers ------------------------------- */

static inline int ledger_number(struct __test_metadata *const _metadata,
				const struct event *ev)
{
	const int n = plain_event(ev) == FAN_MODIFY ? (int)ev->offset :
						      atoi(ev->name);

	ASSERT_LE(0, n);
	ASSERT_GT((int)ARRAY_SIZE(ledger->ops), n);
	return n;
}

/* What is there of a log, also if its last reader did not live to say so. */
static inline void ledger_skip(struct ledger_log *log)
{
	__u32 len;

	while (memcpy(&len, log->bytes + log->end, sizeof(len)), len)
		log->end += len;
}

static inline void ledger_populate(struct __test_metadata *const _metadata,
				   struct ledger_log *log, size_t from)
{
	const unsigned long start = (unsigned long)(log->bytes + from) & ~4095UL;

	ASSERT_LT(from + LEDGER_AHEAD, sizeof(log->bytes));
	ASSERT_EQ(0, madvise((void *)start, LEDGER_AHEAD + 4096,
			     MADV_POPULATE_WRITE));
}

/* Returns 0, or -ENOENT if there is no such question, for no task is killed. */
static inline int ledger_event(struct __test_metadata *const _metadata,
			       struct group *g, const struct event *ev)
{
	const int n = ledger_number(_metadata, ev);
	int ret;

	if (!(ev->mask & ALL_PRE))
		return 0;
	LEDGER_ADD(ops[n].allowing, 1);
	ret = try_answer(g, ev->cookie, FAN_ALLOW);
	if (ret < 0)
		return ret;
	LEDGER_ADD(ops[n].allowed, 1);
	return 0;
}

/* Reads, takes down and allows, until it is killed or the group is gone. */
static inline void ledger_serve(struct __test_metadata *const _metadata,
				struct group *g, struct ledger_log *log)
{
	size_t there;
	ssize_t n;

	ledger_skip(log);
	there = log->end & ~4095UL;
	for (;; log->end += n) {
		if (log->end + FAN_EVENT_MAX_LEN > there) {
			ledger_populate(_metadata, log, there);
			there += LEDGER_AHEAD;
		}
		n = read(g->fd, log->bytes + log->end, FAN_EVENT_MAX_LEN);
		if (!n)
			return;
		ASSERT_LT(0, n)
			TH_LOG("read: %s", strerror(errno));
		for (ssize_t pos = 0; pos < n;) {
			const struct event ev =
				event_parse(_metadata,
					    log->bytes + log->end + pos, n - pos);
			const int ret = ledger_event(_metadata, g, &ev);

			if (ret == -ENOENT)
				return;
			ASSERT_LE(0, ret);
			pos += ev.len;
			LEDGER_ADD(served, 1);
		}
	}
}

/* Until so many events more were served, and a moment longer. */
static inline void ledger_wait(struct __test_metadata *const _metadata)
{
	const long until = LEDGER_LOAD(served) + rand() % 24;

	ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(served) >= until))
		TH_LOG("no event is served any more");
	usleep(rand() % 1000);
}

/* ------------------------------ accounts ------------------------------- */

struct ledger_sum {
	long ops;	/* that were done */
	long again;	/* questions that were read more than once */
	long unread;	/* ends that no one has read */
};

static struct {
	__u64 cookie;
	int pre, post;
} ledger_seen[LEDGER_TASKS * LEDGER_OPS];

static inline void ledger_look(struct __test_metadata *const _metadata,
			       struct ledger_log *log, bool pre,
			       bool group_went)
{
	/* What one group has allowed can end when another has taken over. */
	const __u32 flags = group_went ? FAN_OP_UNPAIRED : 0;

	ledger_skip(log);
	for (size_t pos = 0; pos < log->end;) {
		const struct event ev = event_parse(_metadata, log->bytes + pos,
						    log->end - pos);
		const int n = ledger_number(_metadata, &ev);

		pos += ev.len;
		if (pre != !!(ev.mask & ALL_PRE))
			continue;
		if (pre) {
			/* It is asked anew only if it was denied before. */
			if (ledger_seen[n].cookie != ev.cookie) {
				EXPECT_LE(!!ledger_seen[n].pre,
					  ledger->ops[n].denied);
				EXPECT_LT(ledger_seen[n].cookie, ev.cookie);
			}
			ledger_seen[n].cookie = ev.cookie;
			ledger_seen[n].pre++;
			continue;
		}
		EXPECT_EQ(ledger_seen[n].cookie, ev.cookie);
		EXPECT_EQ(0U, ev.flags & ~flags);
		EXPECT_EQ(plain_event(&ev) == FAN_MODIFY, ev.result);
		ledger_seen[n].post++;
	}
}

/*
 * Of each operation: it was not denied if the group was there all the time, was done
 * only if that was allowed, once, and has one POST. Where a group went, its events
 * that no one had read went with it, and nothing else.
 */
static inline struct ledger_sum
ledger_check(struct __test_metadata *const _metadata, bool group_went)
{
	struct ledger_sum sum = {};

	for (int i = 0; i < LEDGER_LOGS; i++)
		ledger_look(_metadata, &ledger->logs[i], true, group_went);
	for (int i = 0; i < LEDGER_LOGS; i++)
		ledger_look(_metadata, &ledger->logs[i], false, group_went);

	for (size_t i = 0; i < ARRAY_SIZE(ledger->ops); i++) {
		const struct ledger_op *op = &ledger->ops[i];

		snprintf(row, sizeof(row), "operation %zu, cookie %llu", i,
			 (unsigned long long)ledger_seen[i].cookie);
		EXPECT_EQ(0, op->unasked);
		if (!group_went) {
			EXPECT_EQ(0, op->error);
			EXPECT_EQ(0, op->denied);
		}
		EXPECT_GE(1 + op->denied, op->allowed);
		sum.ops += op->ended;
		sum.again += ledger_seen[i].pre > 1 + op->denied;
		if (group_went && op->ended && !ledger_seen[i].post) {
			sum.unread++;
			continue;
		}
		EXPECT_EQ(op->ended, ledger_seen[i].post);
		EXPECT_LE(op->ended, ledger_seen[i].pre);
		if (_metadata->exit_code)
			break;
	}
	return sum;
}

#endif /* __LEDGER_H */
