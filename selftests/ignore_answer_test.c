// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_RESPONSE_IGNORE: an answer that allows, and ignores from then on. What
 * is ignored, for whom, and until when; and when there is a POST for it.
 */

#include <dirent.h>

#include "fs.h"
#include "group.h"
#include "marks.h"
#include "underway.h"

#define IGNORE		FAN_MARK_IGNORE_SURV
#define FLUSH_IGNORE	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)
#define ALLOW_IGNORE	(FAN_ALLOW | FAN_RESPONSE_IGNORE)

/* Allow it, and hear no more of it. */
static void ignore(struct __test_metadata *const _metadata, struct group *g,
		   const struct event *pre)
{
	answer(_metadata, g, pre, ALLOW_IGNORE);
}

/* Nothing is to be read, nor will there be. */
static void expect_done(struct __test_metadata *const _metadata,
			struct group *g)
{
	const struct group_state st = group_state(_metadata, g);

	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	expect_silence(_metadata, g);
}

/* A write from start to end, answered so that nothing is told of its end. */
static void ignore_write(struct __test_metadata *const _metadata,
			 struct group *g, const char *path)
{
	struct job *job = write_start(_metadata, path, "AS");
	const struct event pre = expect_pre(_metadata, g, job->pid);

	ignore(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, g);
}

static void expect_ignored(struct __test_metadata *const _metadata,
			   struct group *g, const char *path)
{
	EXPECT_EQ(2, job_join(_metadata, write_start(_metadata, path, "AS")));
	expect_done(_metadata, g);
}

static void expect_asked(struct __test_metadata *const _metadata,
			 struct group *g, const char *path)
{
	serve_write(_metadata, g, write_start(_metadata, path, "AS"), 2);
	expect_done(_metadata, g);
}

FIXTURE(ignore)
{
	struct group *g;
};

FIXTURE_SETUP(ignore)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	put_file(_metadata, "other", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_ATTRIB, ".");
}

FIXTURE_TEARDOWN(ignore)
{
	test_end(_metadata);
}

TEST_F(ignore, from_then_on)
{
	ignore_write(_metadata, self->g, "file");
	expect_content(_metadata, "file", "AS it was");
	for (int i = 0; i < 3; i++)
		expect_ignored(_metadata, self->g, "file");
}

static long do_chmod(void *arg)
{
	return chmod(arg, 0600);
}

TEST_F(ignore, not_another_event)
{
	struct event pre;
	struct job *job;

	ignore_write(_metadata, self->g, "file");
	job = job_start(_metadata, do_chmod, "file");
	pre = expect_pre_of(_metadata, self->g, FAN_ATTRIB, 0, job->pid);
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_done(_metadata, self->g);

	/* Both, by now. */
	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, do_chmod, "file")));
	expect_ignored(_metadata, self->g, "file");
	expect_mark(_metadata, self->g, "ino", 0,
		    FAN_BOTH(FAN_MODIFY | FAN_ATTRIB));
}

TEST_F(ignore, not_another_inode)
{
	ignore_write(_metadata, self->g, "file");
	expect_asked(_metadata, self->g, "other");
	expect_ignored(_metadata, self->g, "file");
	ASSERT_EQ(0, rename("file", "renamed"));
	expect_ignored(_metadata, self->g, "renamed");
	ASSERT_EQ(0, link("renamed", "linked"));
	expect_ignored(_metadata, self->g, "linked");

	/* It is not the name. */
	put_file(_metadata, "file", "another");
	expect_asked(_metadata, self->g, "file");
}

/* Whichever of two is asked first. */
TEST_F(ignore, not_for_another_group)
{
	struct group *g[2] = { self->g, group_open(_metadata, 0) };
	static const char *const files[] = { "file", "other" };

	mark(_metadata, g[1], FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	for (int i = 0; i < 2; i++) {
		struct job *job = write_start(_metadata, files[i], "AS");
		struct event pre[2];

		for (int k = 0; k < 2; k++) {
			pre[k] = expect_pre(_metadata, g[k], job->pid);
			answer(_metadata, g[k], &pre[k], k == i ? ALLOW_IGNORE :
								  FAN_ALLOW);
		}
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_post(_metadata, g[!i], &pre[!i], 2);
		expect_done(_metadata, g[!i]);
		expect_done(_metadata, g[i]);

		expect_asked(_metadata, g[!i], files[i]);
		expect_done(_metadata, g[i]);
	}
}

/* An ignore mark like others: it can be looked at, */
TEST_F(ignore, listed)
{
	struct group *like = group_open(_metadata, 0);
	unsigned int flags;

	ignore_write(_metadata, self->g, "file");
	expect_mark(_metadata, self->g, "ino", 0, FAN_BOTH(FAN_MODIFY));
	EXPECT_EQ(1, count_marks(_metadata, self->g, "ino"));
	EXPECT_EQ(1, count_marks(_metadata, self->g, "sdev"));

	mark(_metadata, like, FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE,
	     FAN_MODIFY, "file");
	flags = mark_flags(_metadata, like, "ino");
	EXPECT_EQ(flags, mark_flags(_metadata, self->g, "ino"));
	EXPECT_NE(0U, flags & FAN_MARK_EVICTABLE);
}

/* changed, as a whole or in part, */
TEST_F(ignore, changed)
{
	const unsigned int remove = FAN_MARK_REMOVE | IGNORE;
	struct group *g = self->g;
	struct event pre;
	struct job *job;

	ignore_write(_metadata, g, "file");
	mark(_metadata, g, remove, FAN_MODIFY, "file");
	expect_mark(_metadata, g, "ino", 0, 0);
	expect_refused(_metadata, g, remove, FAN_MODIFY, "file", ENOENT);
	expect_asked(_metadata, g, "file");

	/* Asked, but not told. */
	ignore_write(_metadata, g, "file");
	mark(_metadata, g, remove, FAN_PRE(FAN_MODIFY), "file");
	expect_mark(_metadata, g, "ino", 0, FAN_POST(FAN_MODIFY));
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, g, job->pid);
	ignore(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, g);
	expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_MODIFY));

	mark(_metadata, g, FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE,
	     FAN_ATTRIB, "file");
	expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_MODIFY | FAN_ATTRIB));
	expect_ignored(_metadata, g, "file");
}

/* and flushed, with the others or alone. */
TEST_F(ignore, flushed)
{
	struct group *g = self->g;

	for (int i = 0; i < 3; i++) {
		ignore_write(_metadata, g, "file");
		ignore_write(_metadata, g, "other");
		mark(_metadata, g, i ? FLUSH_IGNORE : FAN_MARK_FLUSH, 0, ".");
		expect_mark(_metadata, g, "ino", 0, 0);
		expect_asked(_metadata, g, "file");
		expect_asked(_metadata, g, "other");
	}
}

TEST_F(ignore, flushed_elsewhere)
{
	ignore_write(_metadata, self->g, "file");
	mark(_metadata, self->g, FLUSH_IGNORE | FAN_MARK_FILESYSTEM, 0, ".");
	mark(_metadata, self->g, FLUSH_IGNORE | FAN_MARK_MOUNT, 0, ".");
	expect_ignored(_metadata, self->g, "file");
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	expect_asked(_metadata, self->g, "file");
}

/* Beside what a mark asks for, which stays as it is. */
TEST_F(ignore, mark_is_there)
{
	const __u64 both = FAN_BOTH(FAN_MODIFY);
	struct group *g = group_open(_metadata, 0);

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY | FAN_ACCESS, "file");
	ignore_write(_metadata, g, "file");
	expect_mark(_metadata, g, "ino", both | FAN_BOTH(FAN_ACCESS), both);
	EXPECT_EQ(0U, mark_flags(_metadata, g, "ino") & FAN_MARK_EVICTABLE);
	expect_ignored(_metadata, g, "file");
	mark(_metadata, g, FLUSH_IGNORE, 0, ".");
	expect_mark(_metadata, g, "ino", both | FAN_BOTH(FAN_ACCESS), 0);
	expect_asked(_metadata, g, "file");
}

/* What is ignored already, in the same way or for good. */
TEST_F(ignore, ignored_meanwhile)
{
	struct group *g = self->g;

	for (int evictable = 0; evictable < 2; evictable++) {
		struct job *job = write_start(_metadata, "file", "AS");
		const struct event pre = expect_pre(_metadata, g, job->pid);

		mark(_metadata, g, FAN_MARK_ADD | IGNORE |
		     (evictable ? FAN_MARK_EVICTABLE : 0), FAN_MODIFY, "file");
		ignore(_metadata, g, &pre);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_done(_metadata, g);
		expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_MODIFY));
		EXPECT_EQ(evictable ? FAN_MARK_EVICTABLE : 0,
			  mark_flags(_metadata, g, "ino") & FAN_MARK_EVICTABLE);
		mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
	}
}

/* Two at the same time: either answer is good, and so is the other. */
TEST_F(ignore, asked_twice)
{
	struct job *jobs[2];
	struct event pre[2];

	for (int i = 0; i < 2; i++) {
		jobs[i] = write_start(_metadata, "file", "AS");
		pre[i] = expect_pre(_metadata, self->g, jobs[i]->pid);
	}
	ignore(_metadata, self->g, &pre[0]);
	EXPECT_EQ(2, job_join(_metadata, jobs[0]));
	expect_blocked(_metadata, jobs[1]);

	/* It was asked about, so it is reported. */
	allow(_metadata, self->g, &pre[1]);
	EXPECT_EQ(2, job_join(_metadata, jobs[1]));
	expect_post(_metadata, self->g, &pre[1], 2);
	expect_done(_metadata, self->g);
	expect_ignored(_metadata, self->g, "file");
}

/* A file that is about to be no more: the mark goes with it. */
TEST_F(ignore, unlinked)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	ASSERT_EQ(0, unlink("file"));
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, self->g);
	EXPECT_TRUE(EVENTUALLY(!count_marks(_metadata, self->g, "ino")));
}

/* Whoever asked for PRE alone gets just that. */
TEST_F(ignore, pre_alone)
{
	struct group *g = group_open(_metadata, 0);
	struct event pre;
	struct job *job;

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_PRE(FAN_MODIFY), ".");
	ignore_write(_metadata, g, "file");
	expect_ignored(_metadata, g, "file");
	mark(_metadata, g, FLUSH_IGNORE, 0, ".");
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, g, job->pid);
	ignore(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, g);
}

/* -------------------------------- answers ------------------------------- */

static const __u32 bad_verdicts[] = {
	FAN_RESPONSE_IGNORE,
	FAN_DENY | FAN_RESPONSE_IGNORE,
	FAN_DENY_ERRNO(EIO) | FAN_RESPONSE_IGNORE,
	FAN_ALLOW | FAN_DENY | FAN_RESPONSE_IGNORE,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | FAN_AUDIT,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | 0x04,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | 0x08,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | 0x80,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | 0x100,
	FAN_ALLOW | FAN_RESPONSE_IGNORE | EIO << FAN_ERRNO_SHIFT,
};

TEST_F(ignore, malformed)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	for (size_t i = 0; i < ARRAY_SIZE(bad_verdicts); i++) {
		EXPECT_EQ(-EINVAL, try_answer(self->g, pre.cookie,
					      bad_verdicts[i]))
			TH_LOG("verdict %#x", bad_verdicts[i]);
	}

	/* None of them did half of it. */
	expect_mark(_metadata, self->g, "ino", 0, 0);
	expect_blocked(_metadata, job);
	expect_content(_metadata, "file", "as it was");
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_asked(_metadata, self->g, "file");
}

TEST_F(ignore, unknown)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie + 1, ALLOW_IGNORE));
	EXPECT_EQ(-ENOENT, try_answer(self->g, 0, ALLOW_IGNORE));
	expect_mark(_metadata, self->g, "ino", 0, 0);
	expect_blocked(_metadata, job);

	/* Nor can one that was given be changed. */
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	expect_mark(_metadata, self->g, "ino", 0, 0);
}

TEST_F(ignore, twice)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	const struct answer twice[] = {
		make_answer(pre.cookie, ALLOW_IGNORE),
		make_answer(pre.cookie, ALLOW_IGNORE),
	};

	EXPECT_EQ((int)sizeof(twice[0]),
		  try_answers(self->g, twice, sizeof(twice)));
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, self->g);
}

TEST_F(ignore, of_another_group)
{
	struct group *younger = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, younger, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(-ENOENT, try_answer(younger, pre.cookie, ALLOW_IGNORE));
	expect_mark(_metadata, younger, "ino", FAN_BOTH(FAN_MODIFY), 0);
	allow(_metadata, self->g, &pre);
	wait_pending(_metadata, younger, 1);

	/* What was not read cannot be answered. */
	EXPECT_EQ(-ENOENT, try_answer(younger, pre.cookie, ALLOW_IGNORE));
	expect_mark(_metadata, younger, "ino", FAN_BOTH(FAN_MODIFY), 0);
	pre2 = expect_pre(_metadata, younger, job->pid);
	allow(_metadata, younger, &pre2);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, younger, &pre2, 2);
}

/* It did not come to pass, and that is not told either. */
TEST_F(ignore, denied_by_another)
{
	struct group *younger = group_open(_metadata, 0);
	struct event pre;
	struct job *job;

	mark(_metadata, younger, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	ignore(_metadata, self->g, &pre);
	pre = expect_pre(_metadata, younger, job->pid);
	answer(_metadata, younger, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_done(_metadata, self->g);
	expect_done(_metadata, younger);
}

TEST_F(ignore, killed)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	job_kill(_metadata, job, SIGKILL);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	expect_post(_metadata, self->g, &pre, -EINTR);
	expect_mark(_metadata, self->g, "ino", 0, 0);
	expect_asked(_metadata, self->g, "file");
}

static const char *const names[] = { "1", "2", "3", "4" };

#define SEVERAL ARRAY_SIZE(names)

struct several {
	struct job *jobs[SEVERAL];
	struct event pre[SEVERAL];
	struct answer answers[SEVERAL];
};

/* Writers that wait, and answers for them: every second one ignores. */
static void ask_several(struct __test_metadata *const _metadata,
			struct group *g, struct several *s)
{
	for (size_t i = 0; i < SEVERAL; i++) {
		put_file(_metadata, names[i], "as it was");
		s->jobs[i] = write_start(_metadata, names[i], "AS");
		s->pre[i] = expect_pre(_metadata, g, s->jobs[i]->pid);
		s->answers[i] = make_answer(s->pre[i].cookie,
					    i % 2 ? ALLOW_IGNORE : FAN_ALLOW);
	}
}

TEST_F(ignore, several)
{
	struct several s;

	ask_several(_metadata, self->g, &s);
	EXPECT_EQ((int)sizeof(s.answers),
		  try_answers(self->g, s.answers, sizeof(s.answers)));
	for (size_t i = 0; i < SEVERAL; i++)
		EXPECT_EQ(2, job_join(_metadata, s.jobs[i]));

	/* In whatever order they came to an end. */
	for (size_t n = 0; n < SEVERAL / 2; n++) {
		const struct event post = event_next(_metadata, self->g);
		size_t i = 0;

		while (i < SEVERAL && s.pre[i].cookie != post.cookie)
			i += 2;
		ASSERT_LT(i, SEVERAL);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		s.pre[i].cookie = 0;
	}
	expect_done(_metadata, self->g);
	for (size_t i = 0; i < SEVERAL; i++) {
		if (i % 2)
			expect_ignored(_metadata, self->g, names[i]);
		else
			expect_asked(_metadata, self->g, names[i]);
	}
}

/*
 * What is ignored has a number, and these begin anew when they are used up, which
 * is soon on a kernel that tests are run on. Nothing is ignored less, or more.
 */
TEST_F(ignore, many_times)
{
	const unsigned int flags = IGNORE | FAN_MARK_EVICTABLE;

	ignore_write(_metadata, self->g, "file");
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	ignore_write(_metadata, self->g, "other");
	for (int i = 0; i < 3000; i++) {
		mark(_metadata, self->g, FAN_MARK_ADD | flags, FAN_ATTRIB, ".");
		mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_ATTRIB,
		     ".");
	}
	expect_ignored(_metadata, self->g, "other");
	expect_asked(_metadata, self->g, "file");
	EXPECT_EQ(1, count_marks(_metadata, self->g, "ino"));
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	expect_asked(_metadata, self->g, "other");
	ignore_write(_metadata, self->g, "file");
	expect_ignored(_metadata, self->g, "file");
	expect_asked(_metadata, self->g, "other");
}

/* An answer never pins an inode, unless user space has done so before. */
TEST_F(ignore, evictable)
{
	ignore_write(_metadata, self->g, "file");
	EXPECT_EQ(IGNORE | FAN_MARK_EVICTABLE,
		  mark_flags(_metadata, self->g, "ino"));

	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_OPEN, "file");
	ignore_write(_metadata, self->g, "file");
	EXPECT_EQ(IGNORE, mark_flags(_metadata, self->g, "ino"));
	expect_mark(_metadata, self->g, "ino", 0,
		    FAN_BOTH(FAN_MODIFY | FAN_OPEN));

	/* What was there before, and is not any more, does not count. */
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE,
	     FAN_MODIFY | FAN_OPEN, "file");
	ignore_write(_metadata, self->g, "file");
	EXPECT_EQ(IGNORE | FAN_MARK_EVICTABLE,
		  mark_flags(_metadata, self->g, "ino"));
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_OPEN, "file");
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	ignore_write(_metadata, self->g, "file");
	EXPECT_EQ(IGNORE | FAN_MARK_EVICTABLE,
		  mark_flags(_metadata, self->g, "ino"));
}

/* No room for a mark: nothing has happened, and there is another way. */
TEST_F(ignore, limit)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	limit_marks_start(_metadata);
	limit_marks(_metadata, 0);
	EXPECT_EQ(-ENOSPC, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	EXPECT_EQ(-ENOSPC, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	expect_mark(_metadata, self->g, "ino", 0, 0);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_asked(_metadata, self->g, "file");
}

/* An eighth of what its user may have is not for answers, but for calls. */
TEST_F(ignore, limit_of_answers)
{
	struct group *other = group_open(_metadata, 0);
	char name[16];
	int ret;

	/* Nothing else has marks; this is one. */
	limit_marks_start(_metadata);
	limit_marks(_metadata, 16);
	for (int i = 0; i < 14; i++) {
		struct event pre;
		struct job *job;

		snprintf(name, sizeof(name), "%d", i);
		put_file(_metadata, name, "");
		job = write_start(_metadata, name, "AS");
		pre = expect_pre(_metadata, self->g, job->pid);
		ret = try_answer(self->g, pre.cookie, ALLOW_IGNORE);
		EXPECT_EQ(i < 13 ? (int)sizeof(struct answer) : -ENOSPC, ret);
		if (ret == -ENOSPC)
			allow(_metadata, self->g, &pre);
		EXPECT_EQ(2, job_join(_metadata, job));
		if (ret == -ENOSPC)
			expect_post(_metadata, self->g, &pre, 2);
	}
	mark(_metadata, other, FAN_MARK_ADD, FAN_ATTRIB, "0");
	mark(_metadata, other, FAN_MARK_ADD, FAN_ATTRIB, "1");
	expect_refused(_metadata, other, FAN_MARK_ADD, FAN_ATTRIB, "2", ENOSPC);
}

/* More than the rest, which is as much as is freed at once and one more. */
#define FLUSHED		264

/* What was flushed is replaced, be it more than an answer could make. */
TEST_F(ignore, limit_of_answers_flushed)
{
	char name[16];

	limit_marks_start(_metadata);
	limit_marks(_metadata, FLUSHED);
	/* There is one that it asks by. */
	for (int i = 0; i < FLUSHED - 1; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put_file(_metadata, name, "");
		mark(_metadata, self->g,
		     FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY,
		     name);
	}
	expect_refused(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file",
		       ENOSPC);
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	ignore_write(_metadata, self->g, "file");
}

TEST_F(ignore, limit_in_the_middle)
{
	struct several s;

	ask_several(_metadata, self->g, &s);
	limit_marks_start(_metadata);
	limit_marks(_metadata, 0);
	EXPECT_EQ((int)sizeof(s.answers[0]),
		  try_answers(self->g, s.answers, sizeof(s.answers)));
	EXPECT_EQ(2, job_join(_metadata, s.jobs[0]));
	expect_post(_metadata, self->g, &s.pre[0], 2);
	for (size_t i = 1; i < SEVERAL; i++)
		expect_blocked(_metadata, s.jobs[i]);

	/* There is room again, and the rest is given as it was. */
	restore_marks_limit();
	EXPECT_EQ((int)(sizeof(s.answers) - sizeof(s.answers[0])),
		  try_answers(self->g, s.answers + 1,
			      sizeof(s.answers) - sizeof(s.answers[0])));
	for (size_t i = 1; i < SEVERAL; i++)
		EXPECT_EQ(2, job_join(_metadata, s.jobs[i]));
	expect_post(_metadata, self->g, &s.pre[2], 2);
	expect_done(_metadata, self->g);
}

/* A mark that is there is no new one, and some have no limit. */
TEST_F(ignore, no_limit)
{
	struct group *unlimited = group_open(_metadata, FAN_UNLIMITED_MARKS);
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file");
	mark(_metadata, unlimited, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	limit_marks_start(_metadata);
	limit_marks(_metadata, 0);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	ignore(_metadata, self->g, &pre);
	pre = expect_pre(_metadata, unlimited, job->pid);
	ignore(_metadata, unlimited, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_done(_metadata, self->g);
	expect_done(_metadata, unlimited);
}

/* ------------------------------ directories ----------------------------- */

FIXTURE(directory)
{
	struct group *g;
};

FIXTURE_SETUP(directory)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("dir2", 0755));
	put_file(_metadata, "dir/file", "content");
	put_file(_metadata, "dir2/file", "content");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(directory)
{
	test_end(_metadata);
}

static long create(void *arg)
{
	return write_file(arg, O_CREAT | O_EXCL, "");
}

static long do_unlink(void *arg)
{
	return unlink(arg);
}

/* What is done to an entry is ignored for the directory that it is in. */
static void ignore_entry(struct __test_metadata *const _metadata,
			 struct group *g, job_fn fn, __u64 what,
			 const char *const paths[3])
{
	struct job *job = job_start(_metadata, fn, (void *)paths[0]);
	struct event pre = expect_pre_of(_metadata, g, what, 0, job->pid);
	unsigned long long mask, ignored;
	char buf[8192], start[64];
	struct stat st;

	ignore(_metadata, g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_done(_metadata, g);
	ASSERT_TRUE(group_mark(_metadata, g, "ino", &mask, &ignored));
	EXPECT_EQ(0ULL, mask);
	EXPECT_EQ(FAN_BOTH(what), ignored & ~(__u64)FAN_ONDIR);
	EXPECT_EQ(1, count_marks(_metadata, g, "ino"));
	ASSERT_EQ(0, stat("dir", &st));
	snprintf(start, sizeof(start), "\nfanotify ino:%llx ",
		 (unsigned long long)st.st_ino);
	read_fdinfo(_metadata, g, buf, sizeof(buf));
	EXPECT_NE(NULL, strstr(buf, start));

	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, fn, (void *)paths[1])));
	expect_done(_metadata, g);

	/* In another directory it is another matter. */
	job = job_start(_metadata, fn, (void *)paths[2]);
	pre = expect_pre_of(_metadata, g, what, 0, job->pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(FAN_POST(what), event_next(_metadata, g).mask);
	expect_done(_metadata, g);
}

TEST_F(directory, create)
{
	static const char *const paths[] = { "dir/1", "dir/2", "dir2/1" };

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CREATE,
	     ".");
	ignore_entry(_metadata, self->g, create, FAN_CREATE, paths);
}

TEST_F(directory, delete)
{
	static const char *const paths[] = {
		"dir/file", "dir/file2", "dir2/file",
	};

	put_file(_metadata, "dir/file2", "");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_DELETE,
	     ".");
	ignore_entry(_metadata, self->g, do_unlink, FAN_DELETE, paths);
}

/* A mark on the directory itself, with what it asks for of others. */
TEST_F(directory, mark_is_there)
{
	static const char *const paths[] = { "dir/1", "dir/2" };
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE, "dir");
	job = job_start(_metadata, create, (void *)paths[0]);
	pre = expect_pre_of(_metadata, self->g, FAN_CREATE, 0, job->pid);
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(0, job_join(_metadata, job_start(_metadata, create,
						   (void *)paths[1])));
	expect_done(_metadata, self->g);

	job = job_start(_metadata, do_unlink, (void *)paths[0]);
	pre = expect_pre_of(_metadata, self->g, FAN_DELETE, 0, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_with(_metadata, self->g, &pre, 0, FAN_OP_LAST_LINK);
}

static long rename_there(void *arg)
{
	const char *to = arg;

	return rename("dir/file", to);
}

/* Moved within a directory, or from one to another, the same comes again. */
TEST_F(directory, rename)
{
	static const char *const to[] = { "dir/renamed", "dir2/renamed" };

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, MOVED,
	     ".");
	FOR_EACH_ROW(i, to) {
		struct event pre;
		struct job *job;

		snprintf(row, sizeof(row), "to %s", to[i]);
		job = job_start(_metadata, rename_there, (void *)to[i]);
		pre = expect_pre_of(_metadata, self->g, MOVED, 0, job->pid);
		ignore(_metadata, self->g, &pre);
		EXPECT_EQ(0, job_join(_metadata, job));
		expect_done(_metadata, self->g);

		ASSERT_EQ(0, rename(to[i], "dir/file"));
		EXPECT_EQ(0, job_join(_metadata,
				      job_start(_metadata, rename_there,
						(void *)to[i])));
		expect_done(_metadata, self->g);
		ASSERT_EQ(0, rename(to[i], "dir/file"));
		mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	}
}

static long list(void *arg)
{
	DIR *dir = opendir(arg);
	long n = 0;

	if (!dir)
		return -1;
	errno = 0;
	while (readdir(dir))
		n++;
	return errno ? -1 : n;
}

static long read_it(void *arg)
{
	char buf[16];

	return read_file(arg, buf, sizeof(buf));
}

/* It takes more than one call to read a directory. The second is ignored. */
TEST_F(directory, list)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ACCESS | FAN_ONDIR, ".");
	job = job_start(_metadata, list, "dir");
	pre = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_PRE(FAN_ACCESS) | FAN_ONDIR, pre.mask);
	EXPECT_EQ(job->pid, pre.pid);
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	expect_done(_metadata, self->g);
	EXPECT_EQ(3, job_join(_metadata, job_start(_metadata, list, "dir")));
	expect_done(_metadata, self->g);

	/* What is in it is not it. */
	job = job_start(_metadata, read_it, "dir/file");
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(7, job_join(_metadata, job));
	expect_done(_metadata, self->g);
}

static long do_mkdir(void *arg)
{
	return mkdir(arg, 0755);
}

TEST_F(directory, mkdir)
{
	static const char *const paths[] = { "dir/1", "dir/2" };
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_CREATE | FAN_ONDIR, ".");
	job = job_start(_metadata, do_mkdir, (void *)paths[0]);
	pre = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_PRE(FAN_CREATE) | FAN_ONDIR, pre.mask);
	ignore(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_done(_metadata, self->g);
	EXPECT_EQ(0, job_join(_metadata, job_start(_metadata, do_mkdir,
						   (void *)paths[1])));
	expect_done(_metadata, self->g);
}

/* ------------------------------- evicted -------------------------------- */

FIXTURE(evicted)
{
	struct group *g;
};

FIXTURE_SETUP(evicted)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(evicted)
{
	test_end(_metadata);
}

/* The inode is not kept for it, and when it is read again, all is as before. */
TEST_F(evicted, asked_again)
{
	for (int i = 0; i < 2; i++) {
		ignore_write(_metadata, self->g, "file");
		expect_ignored(_metadata, self->g, "file");
		ASSERT_TRUE(EVENTUALLY(({
			evict_inodes(_metadata);
			!count_marks(_metadata, self->g, "ino");
		})));
	}
	expect_asked(_metadata, self->g, "file");
}

/* -------------------------- while it is under way ------------------------ */

/* Something is done to the ignore mark before the operation has ended. */
FIXTURE(between)
{
	struct group *g;
	struct job *job;
};

FIXTURE_VARIANT(between)
{
	const char *point;
};

FIXTURE_VARIANT_ADD(between, begin)
{
	.point = "begin",
};

FIXTURE_VARIANT_ADD(between, end)
{
	.point = "end",
};

FIXTURE_SETUP(between)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	self->job = write_prepare(_metadata, "file", "AS");
	hold(_metadata, variant->point, self->job->pid);
}

FIXTURE_TEARDOWN(between)
{
	test_end(_metadata);
}

/* Answered, and on its way. */
static struct event go_and_ignore(struct __test_metadata *const _metadata,
				  struct group *g, struct job *job,
				  const char *point)
{
	struct event pre;

	job_go(_metadata, job);
	pre = expect_pre(_metadata, g, job->pid);
	ignore(_metadata, g, &pre);
	wait_held(_metadata, point);
	expect_silence(_metadata, g);
	return pre;
}

TEST_F(between, nothing)
{
	go_and_ignore(_metadata, self->g, self->job, variant->point);
	release_and_join(_metadata, self->job, variant->point);
	expect_done(_metadata, self->g);
	expect_ignored(_metadata, self->g, "file");
}

/* Whoever ends what is ignored is told of what has not ended by then. */
TEST_F(between, flushed)
{
	static const unsigned int flushes[] = {
		FLUSH_IGNORE, FLUSH_IGNORE | FAN_MARK_SYNC, FAN_MARK_FLUSH,
	};

	for (size_t i = 0; i < ARRAY_SIZE(flushes); i++) {
		struct job *job = self->job;
		struct event pre;

		if (i) {
			job = write_prepare(_metadata, "file", "AS");
			hold(_metadata, variant->point, job->pid);
		}
		pre = go_and_ignore(_metadata, self->g, job, variant->point);
		mark(_metadata, self->g, flushes[i], 0, ".");
		release_and_join(_metadata, job, variant->point);
		expect_post(_metadata, self->g, &pre, 2);
		expect_done(_metadata, self->g);
		expect_asked(_metadata, self->g, "file");
	}
}

TEST_F(between, removed)
{
	struct event pre;

	pre = go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_done(_metadata, self->g);
}

/* Half of it: that which would be about the end. */
TEST_F(between, post_removed)
{
	struct event pre;

	pre = go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_POST(FAN_MODIFY),
	     "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_done(_metadata, self->g);
}

/* How what is ignored ends, and how it begins again before the operation ends. */
static const unsigned int ends[] = {
	FLUSH_IGNORE,
	FLUSH_IGNORE | FAN_MARK_SYNC,
	FAN_MARK_FLUSH,
	FAN_MARK_FLUSH | FAN_MARK_SYNC,
	FAN_MARK_REMOVE | IGNORE,
	FAN_MARK_REMOVE | IGNORE | FAN_MARK_SYNC,
};

static const struct again {
	unsigned int flags;
	bool answer;	/* and not a call */
} again[] = {
	{ IGNORE | FAN_MARK_EVICTABLE, false },
	{ IGNORE, false },
	{ IGNORE | FAN_MARK_FILESYSTEM, false },
	{ 0, true },
};

static void end_ignored(struct __test_metadata *const _metadata,
			struct group *g, unsigned int flags)
{
	mark(_metadata, g, flags, flags & FAN_MARK_REMOVE ? FAN_MODIFY : 0,
	     "file");
}

static void begin_again(struct __test_metadata *const _metadata,
			struct group *g, const struct again *again)
{
	struct event pre;
	struct job *job;

	if (!again->answer) {
		mark(_metadata, g, FAN_MARK_ADD | again->flags, FAN_MODIFY,
		     "file");
		return;
	}
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, g, job->pid);
	ignore(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

/* What is ignored by then is not what the answer meant. */
static void interrupted(struct __test_metadata *const _metadata,
			struct group *g, const char *point, unsigned int end,
			const struct again *again)
{
	struct job *job = write_prepare(_metadata, "file", "AS");
	struct event pre;

	hold(_metadata, point, job->pid);
	pre = go_and_ignore(_metadata, g, job, point);
	end_ignored(_metadata, g, end);
	begin_again(_metadata, g, again);
	release_and_join(_metadata, job, point);
	expect_post(_metadata, g, &pre, 2);
	expect_done(_metadata, g);
	expect_ignored(_metadata, g, "file");

	/* As it was. */
	mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, g, FLUSH_IGNORE | FAN_MARK_FILESYSTEM, 0, ".");
}

TEST_F(between, interrupted)
{
	FOR_EACH_ROW(i, ends) {
		FOR_EACH_ROW(k, again) {
			snprintf(row, sizeof(row), "end %zu, again %zu", i, k);
			interrupted(_metadata, self->g, variant->point,
				    ends[i], &again[k]);
		}
	}
}

/* The mark is there all the time, for events; or for what else is ignored. */
TEST_F(between, interrupted_in_a_mark)
{
	static const unsigned int ends[] = {
		FLUSH_IGNORE, FAN_MARK_REMOVE | IGNORE,
	};

	FOR_EACH_ROW(i, ends) {
		FOR_EACH_ROW(k, again) {
			snprintf(row, sizeof(row), "end %zu, again %zu", i, k);
			/* A mark of events is not evictable. */
			if (again[k].flags & FAN_MARK_EVICTABLE)
				continue;
			mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB,
			     "file");
			/* Not what the job does besides, which would be held. */
			mark(_metadata, self->g, FAN_MARK_ADD | IGNORE,
			     FAN_ACCESS, "file");
			interrupted(_metadata, self->g, variant->point,
				    ends[i], &again[k]);
		}
	}
}

/* Half of it, which comes back. */
TEST_F(between, half_interrupted)
{
	struct event pre;

	pre = go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_POST(FAN_MODIFY),
	     "file");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_done(_metadata, self->g);
}

/* More of it is no interruption, nor is less of what is not ignored. */
TEST_F(between, more_ignored)
{
	go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY | FAN_ATTRIB,
	     "file");
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_OPEN, "file");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_OPEN, "file");
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_OPEN, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_done(_metadata, self->g);
	expect_ignored(_metadata, self->g, "file");
}

/* That others are no longer ignored, or by others, is of no concern. */
TEST_F(between, others_changed)
{
	struct group *other = group_open(_metadata, 0);

	put_file(_metadata, "other", "");
	mark(_metadata, other, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "other");
	go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, other, FLUSH_IGNORE, 0, ".");
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_MODIFY, "other");
	mark(_metadata, self->g, FLUSH_IGNORE | FAN_MARK_FILESYSTEM, 0, ".");
	release_and_join(_metadata, self->job, variant->point);
	expect_done(_metadata, self->g);
	expect_ignored(_metadata, self->g, "file");
}

/* Who asked for PRE alone is not told of the end, for whatever reason. */
TEST_F(between, pre_alone)
{
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	     FAN_POST(FAN_MODIFY), ".");
	go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FLUSH_IGNORE | FAN_MARK_SYNC, 0, ".");
	release_and_join(_metadata, self->job, variant->point);
	expect_done(_metadata, self->g);
}

TEST_F(between, killed)
{
	struct event pre, post;

	pre = go_and_ignore(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	job_kill(_metadata, self->job, SIGKILL);
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pre.cookie, post.cookie);
	EXPECT_EQ(0U, post.flags);
	EXPECT_TRUE(post.result == 2 || post.result == -EINTR)
		TH_LOG("result %lld", (long long)post.result);
	expect_done(_metadata, self->g);
}

TEST_F(between, group_closed)
{
	go_and_ignore(_metadata, self->g, self->job, variant->point);
	group_close(self->g);
	release_and_join(_metadata, self->job, variant->point);
	expect_content(_metadata, "file", "AS it was");
}

TEST_HARNESS_MAIN
