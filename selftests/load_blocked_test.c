// SPDX-License-Identifier: GPL-2.0
/*
 * Thousands of tasks that wait for an answer at the same time: what each takes of
 * the group's memory, that each is let go on and has its one POST, and that nothing
 * is left when all of them are killed.
 *
 *	VFS_FILTER_TASKS	how many, TASKS by default
 */

/* A debug kernel takes its time to make so many threads. */
#define TIMEOUT_MS	300000

#include <pthread.h>

#include "fs.h"
#include "load.h"

#define TASKS		10000

/* Of the group's memory, for a question and its end; see docs/uapi.md. */
#define BYTES_EACH	1024
/* What a group keeps to be used again, and what is counted in whole pages. */
#define BYTES_KEPT	(256 << 10)
#define ANSWERS		100

struct load {
	int n;
	int gate[2];
	int *begun;	/* threads that are about to write, for the test to see */
	int *written;	/* and that have */
	int fd;
};

FIXTURE(blocked)
{
	struct group *g;
	struct job *job;
	struct load load;
	__u64 *cookies;		/* of the write at this offset */
	char *posts;		/* and how often its end was told */
	long bytes;		/* of the group's, before anyone waits */
	long slab;		/* of all */
	char buf[65536];
};

static struct load *load;

static void *write_one(void *arg)
{
	const long nr = (long)arg;
	char c;

	__atomic_add_fetch(load->begun, 1, __ATOMIC_ACQ_REL);
	if (read(load->gate[0], &c, 1))
		return NULL;
	if (pwrite(load->fd, "x", 1, nr) == 1)
		__atomic_add_fetch(load->written, 1, __ATOMIC_ACQ_REL);
	return NULL;
}

/* Returns how many have written. */
static long write_all(void *arg)
{
	pthread_attr_t attr;
	pthread_t *threads;

	load = arg;
	close(load->gate[1]);
	load->fd = open("file", O_WRONLY | O_CLOEXEC);
	threads = calloc(load->n, sizeof(*threads));
	if (load->fd < 0 || !threads || pthread_attr_init(&attr) ||
	    pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN) ||
	    pthread_attr_setguardsize(&attr, 0))
		return -1;
	for (long i = 0; i < load->n; i++) {
		errno = pthread_create(&threads[i], &attr, write_one,
				       (void *)i);
		if (errno)
			return -1;
	}
	for (int i = 0; i < load->n; i++)
		pthread_join(threads[i], NULL);
	return *load->written;
}

FIXTURE_SETUP(blocked)
{
	int *shared;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	COUNTED_GROUP(self->g, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");

	self->load.n = number_of("VFS_FILTER_TASKS", TASKS);
	self->cookies = calloc(self->load.n, sizeof(*self->cookies));
	self->posts = calloc(self->load.n, 1);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	self->load.begun = &shared[0];
	self->load.written = &shared[1];
	ASSERT_EQ(0, pipe2(self->load.gate, O_CLOEXEC));

	/* All that they take by themselves is there before any of them waits. */
	self->job = job_start(_metadata, write_all, &self->load);
	close(self->load.gate[0]);
	ASSERT_TRUE(EVENTUALLY(job_ended(self->job, 0) ||
			       __atomic_load_n(self->load.begun,
					       __ATOMIC_ACQUIRE) ==
			       self->load.n));
	ASSERT_FALSE(job_ended(self->job, 0));
	self->bytes = counted_bytes(_metadata);
	self->slab = meminfo(_metadata, "Slab");
	close(self->load.gate[1]);
	wait_pending(_metadata, self->g, self->load.n);
}

FIXTURE_TEARDOWN(blocked)
{
	test_end(_metadata);
}

/* Reads @n events, of one kind, and takes them down. */
static void read_events(struct __test_metadata *const _metadata,
			struct group *g, char *buf, size_t size, int n,
			__u64 *cookies, char *posts, long result)
{
	__u64 last = 0;

	while (n) {
		ssize_t len, pos = 0;

		ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
		len = read(g->fd, buf, size);
		ASSERT_LT(0, len);
		for (; pos < len; n--) {
			const struct event ev = event_parse(_metadata, buf + pos,
							    len - pos);

			ASSERT_LT(0, n);
			pos += ev.len;
			if (posts) {
				ASSERT_EQ(FAN_POST(FAN_MODIFY), ev.mask);
				ASSERT_EQ(cookies[ev.offset], ev.cookie);
				ASSERT_EQ(result, ev.result);
				EXPECT_EQ(0U, ev.flags);
				ASSERT_EQ(1, ++posts[ev.offset]);
				continue;
			}
			ASSERT_EQ(FAN_PRE(FAN_MODIFY), ev.mask);
			ASSERT_LT(last, ev.cookie);
			EXPECT_EQ(0ULL, cookies[ev.offset]);
			last = cookies[ev.offset] = ev.cookie;
		}
	}
}

static void expect_bytes(struct __test_metadata *const _metadata, long before,
			 long slab, int n, const char *what)
{
	const long each = (counted_bytes(_metadata) - before) / n;

	TH_LOG("%d tasks, %s: %ld bytes of the group's memory for each, %ld of all slab",
	       n, what, each, (meminfo(_metadata, "Slab") - slab) / n);
	EXPECT_GE(BYTES_EACH, each);
}

/* As it was before, but for what is kept to be used again. */
static void expect_freed(struct __test_metadata *const _metadata, long before)
{
	long bytes;

	EXPECT_TRUE(EVENTUALLY((bytes = counted_bytes(_metadata)) <=
			       before + BYTES_KEPT))
		TH_LOG("%ld bytes more than before", bytes - before);
}

/* In the order of the cookies, and each of them once. */
TEST_F(blocked, released)
{
	const int n = self->load.n;
	struct answer answers[ANSWERS];

	expect_bytes(_metadata, self->bytes, self->slab, n, "that wait");
	read_events(_metadata, self->g, self->buf, sizeof(self->buf), n,
		    self->cookies, NULL, 0);
	expect_silence(_metadata, self->g);
	expect_bytes(_metadata, self->bytes, self->slab, n, "read");
	EXPECT_EQ(0, *self->load.written);

	for (int i = 0; i < n;) {
		int k = 0;

		while (k < ANSWERS && i < n)
			answers[k++] = make_answer(self->cookies[i++],
						   FAN_ALLOW);
		ASSERT_EQ(k * (int)sizeof(*answers),
			  try_answers(self->g, answers, k * sizeof(*answers)));
	}
	EXPECT_EQ(n, job_join(_metadata, self->job));
	expect_bytes(_metadata, self->bytes, self->slab, n, "whose end is not read");
	read_events(_metadata, self->g, self->buf, sizeof(self->buf), n,
		    self->cookies, self->posts, 1);
	expect_silence(_metadata, self->g);
	expect_freed(_metadata, self->bytes);
}

/* Half of them were read, and are told of; the others are as if they were never. */
TEST_F(blocked, killed)
{
	const int n = self->load.n;
	int told = 0;

	/* And what else was read with the last of them. */
	while (told < n / 2 || self->g->pos < self->g->len) {
		const struct event pre = event_next(_metadata, self->g);

		ASSERT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
		self->cookies[pre.offset] = pre.cookie;
		told++;
	}
	job_kill(_metadata, self->job, SIGKILL);
	EXPECT_EQ(0, *self->load.written);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);

	read_events(_metadata, self->g, self->buf, sizeof(self->buf), told,
		    self->cookies, self->posts, -EINTR);
	expect_silence(_metadata, self->g);
	expect_freed(_metadata, self->bytes);
}

TEST_HARNESS_MAIN
