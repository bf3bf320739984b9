// SPDX-License-Identifier: GPL-2.0
/*
 * Answers: what they do, and what is not taken for one. That they deny is the
 * subject of deny_test.c.
 */

#include "fs.h"
#include "group.h"

FIXTURE(answer)
{
	struct group *g;
};

FIXTURE_SETUP(answer)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(answer)
{
	test_end(_metadata);
}

TEST_F(answer, blocks_until_allowed)
{
	struct job *job = write_start(_metadata, "file", "AS");
	struct event pre;

	/* Whether it has been read or not. */
	wait_pending(_metadata, self->g, 1);
	expect_blocked(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_blocked(_metadata, job);
	expect_content(_metadata, "file", "as it was");

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_content(_metadata, "file", "AS it was");
	expect_post(_metadata, self->g, &pre, 2);
}

#define ANSWER(_fd, _response, _type, _pad, _len, _pad2)		\
	{								\
		.response = { .fd = _fd, .response = _response },	\
		.op.hdr = { .type = _type, .pad = _pad, .len = _len },	\
		.op.pad = _pad2,					\
	}
#define VERDICT(_response)						\
	ANSWER(FAN_NOFD, _response, FAN_RESPONSE_INFO_OP, 0, 16, 0)
#define INFO(_type, _pad, _len, _pad2)					\
	ANSWER(FAN_NOFD, FAN_ALLOW | FAN_INFO, _type, _pad, _len, _pad2)

/* Each is wrong in one place only. */
static const struct answer malformed[] = {
	ANSWER(0, FAN_ALLOW | FAN_INFO, FAN_RESPONSE_INFO_OP, 0, 16, 0),
	ANSWER(-2, FAN_ALLOW | FAN_INFO, FAN_RESPONSE_INFO_OP, 0, 16, 0),
	ANSWER(INT_MAX, FAN_ALLOW | FAN_INFO, FAN_RESPONSE_INFO_OP, 0, 16, 0),
	VERDICT(0),
	VERDICT(FAN_INFO),
	VERDICT(FAN_ALLOW),
	VERDICT(FAN_DENY),
	VERDICT(FAN_ALLOW | FAN_DENY | FAN_INFO),
	VERDICT(FAN_ALLOW | FAN_INFO | 0x04),
	VERDICT(FAN_ALLOW | FAN_INFO | 0x08),
	VERDICT(FAN_ALLOW | FAN_INFO | FAN_AUDIT),
	VERDICT(FAN_INFO | FAN_RESPONSE_IGNORE),
	VERDICT(FAN_ALLOW | FAN_RESPONSE_IGNORE),
	VERDICT(FAN_DENY | FAN_INFO | FAN_RESPONSE_IGNORE),
	VERDICT(FAN_ALLOW | FAN_INFO | 0x80),
	VERDICT(FAN_ALLOW | FAN_INFO | 0x100),
	VERDICT(FAN_ALLOW | FAN_INFO | 0x800000),
	VERDICT(FAN_ALLOW | FAN_INFO | EPERM << FAN_ERRNO_SHIFT),
	VERDICT(FAN_DENY_ERRNO(ENOENT) | FAN_INFO),
	VERDICT(FAN_DENY_ERRNO(EINTR) | FAN_INFO),
	VERDICT(FAN_DENY_ERRNO(EACCES) | FAN_INFO),
	VERDICT(FAN_DENY_ERRNO(EINVAL) | FAN_INFO),
	VERDICT(FAN_DENY_ERRNO(ENOMEM) | FAN_INFO),
	VERDICT(FAN_DENY_ERRNO(0xff) | FAN_INFO),
	INFO(FAN_RESPONSE_INFO_NONE, 0, 16, 0),
	INFO(FAN_RESPONSE_INFO_AUDIT_RULE, 0, 16, 0),
	INFO(FAN_RESPONSE_INFO_OP + 1, 0, 16, 0),
	INFO(FAN_RESPONSE_INFO_OP, 1, 16, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 0, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 15, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 17, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 24, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 0xffff, 0),
	INFO(FAN_RESPONSE_INFO_OP, 0, 16, 1),
};

TEST_F(answer, malformed)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	struct answer answer;
	void *none;

	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		answer = malformed[i];
		answer.op.cookie = pre.cookie;
		EXPECT_EQ(-EINVAL,
			  try_answers(self->g, &answer, sizeof(answer)))
			TH_LOG("malformed[%zu]", i);
	}

	answer = make_answer(pre.cookie, FAN_ALLOW);
	for (size_t size = 1; size < sizeof(answer); size++) {
		EXPECT_EQ(-EINVAL, try_answers(self->g, &answer, size))
			TH_LOG("%zu bytes", size);
	}

	/* Not there, and not in user space. */
	none = mmap(NULL, sizeof(answer), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, none);
	EXPECT_EQ(-EFAULT, try_answers(self->g, none, sizeof(answer)));
	EXPECT_EQ(-EFAULT, try_answers(self->g, (void *)-32UL,
				       sizeof(answer)));

	/* None of them was an answer. */
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(answer, unknown)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	const __u64 unknown[] = {
		0, pre.cookie - 1, pre.cookie + 1, pre.cookie << 32,
		pre.cookie + (1ULL << 32), ~0ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_EQ(-ENOENT, try_answer(self->g, unknown[i], FAN_ALLOW));
		EXPECT_EQ(-ENOENT, try_answer(self->g, unknown[i], FAN_DENY));
	}
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* A malformed answer is so whether someone waits for it or not. */
TEST_F(answer, malformed_and_unknown)
{
	struct answer answer = make_answer(1, FAN_ALLOW | FAN_DENY);

	EXPECT_EQ(-EINVAL, try_answers(self->g, &answer, sizeof(answer)));
}

TEST_F(answer, twice_and_late)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
}

/* Twice in one go: the second one comes to nothing. */
TEST_F(answer, twice_at_once)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	const struct answer twice[] = {
		make_answer(pre.cookie, FAN_DENY),
		make_answer(pre.cookie, FAN_ALLOW),
	};

	EXPECT_EQ((int)sizeof(twice[0]),
		  try_answers(self->g, twice, sizeof(twice)));
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* An operation has one number, but an answer to it is to one group. */
TEST_F(answer, of_another_group)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(-ENOENT, try_answer(other, pre.cookie, FAN_ALLOW));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);

	/* Now the other one is asked; what was not read cannot be answered. */
	wait_pending(_metadata, other, 1);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(-ENOENT, try_answer(other, pre.cookie, FAN_ALLOW));
	expect_blocked(_metadata, job);

	pre2 = expect_pre(_metadata, other, job->pid);
	EXPECT_EQ(pre.cookie, pre2.cookie);
	allow(_metadata, other, &pre2);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, other, &pre2, 2);
}

#define SEVERAL 3

FIXTURE(several)
{
	struct group *g;
	struct job *jobs[SEVERAL];
	struct event pre[SEVERAL];
	struct answer answers[SEVERAL + 1];
};

FIXTURE_SETUP(several)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");

	for (int i = 0; i < SEVERAL; i++) {
		self->jobs[i] = write_start(_metadata, "file", "AS");
		self->pre[i] = expect_pre(_metadata, self->g,
					  self->jobs[i]->pid);
		self->answers[i] = make_answer(self->pre[i].cookie, FAN_ALLOW);
	}
}

FIXTURE_TEARDOWN(several)
{
	test_end(_metadata);
}

/* Jobs from the @first on have not been answered: do that, and end all. */
static void finish(struct __test_metadata *const _metadata,
		   FIXTURE_DATA(several) *self, int first)
{
	for (int i = first; i < SEVERAL; i++)
		expect_blocked(_metadata, self->jobs[i]);
	for (int i = first; i < SEVERAL; i++)
		allow(_metadata, self->g, &self->pre[i]);
	for (int i = 0; i < SEVERAL; i++)
		EXPECT_EQ(2, job_join(_metadata, self->jobs[i]));

	/* In whatever order they came to an end. */
	for (int i = 0; i < SEVERAL; i++) {
		const struct event post = event_next(_metadata, self->g);
		int k = 0;

		while (k < SEVERAL && self->pre[k].cookie != post.cookie)
			k++;
		ASSERT_LT(k, SEVERAL);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(self->pre[k].pid, post.pid);
		EXPECT_EQ(0U, post.flags);
		EXPECT_EQ(2, post.result);
		self->pre[k].cookie = 0;
	}
}

TEST_F(several, all_good)
{
	EXPECT_EQ(SEVERAL * 24, try_answers(self->g, self->answers,
					    SEVERAL * 24));
	finish(_metadata, self, SEVERAL);
}

TEST_F(several, malformed_in_the_middle)
{
	self->answers[1].op.pad = 1;
	EXPECT_EQ(24, try_answers(self->g, self->answers, SEVERAL * 24));
	finish(_metadata, self, 1);
}

TEST_F(several, unknown_in_the_middle)
{
	self->answers[1].op.cookie = ~0ULL;
	EXPECT_EQ(24, try_answers(self->g, self->answers, SEVERAL * 24));
	finish(_metadata, self, 1);
}

TEST_F(several, unknown_at_the_start)
{
	self->answers[0].op.cookie = ~0ULL;
	EXPECT_EQ(-ENOENT, try_answers(self->g, self->answers, SEVERAL * 24));
	finish(_metadata, self, 0);
}

TEST_F(several, incomplete_at_the_end)
{
	EXPECT_EQ(2 * 24, try_answers(self->g, self->answers, SEVERAL * 24 - 1));
	finish(_metadata, self, 2);
}

TEST_F(several, unreadable_at_the_end)
{
	const long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mprotect(map + page, page, PROT_NONE));
	memcpy(map + page - 2 * 24, self->answers, 2 * 24);
	EXPECT_EQ(2 * 24, try_answers(self->g, map + page - 2 * 24,
				      SEVERAL * 24));
	finish(_metadata, self, 2);
	munmap(map, 2 * page);
}

TEST_F(several, half_unreadable)
{
	const long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mprotect(map + page, page, PROT_NONE));
	memcpy(map + page - 12, self->answers, 12);
	EXPECT_EQ(-EFAULT, try_answers(self->g, map + page - 12, 24));
	finish(_metadata, self, 0);
	munmap(map, 2 * page);
}

TEST_HARNESS_MAIN
