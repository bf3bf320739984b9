// SPDX-License-Identifier: GPL-2.0
/*
 * What lets operations pass in the other classes of fanotify, where no one has
 * allowed them: a group that is closed, a mark that is removed at the same time,
 * and a full queue. None of that does so here, whatever is marked and whoever
 * asks: what is done at once, elsewhere, for as long as a file is mapped, with a
 * program, and with two paths.
 */

#include "all_kinds.h"
#include "hold.h"
#include "queue.h"
#include "sentinels.h"

#define MAX_QUEUED_EVENTS "/proc/sys/fs/fanotify/max_queued_events"

FIXTURE(fail_open)
{
};

FIXTURE_VARIANT(fail_open)
{
	unsigned int type;	/* of mark */
	const char *fdinfo;	/* what it is called there */
};

FIXTURE_VARIANT_ADD(fail_open, inode)
{
	.type = FAN_MARK_INODE,
	.fdinfo = "ino",
};

FIXTURE_VARIANT_ADD(fail_open, mount)
{
	.type = FAN_MARK_MOUNT,
	.fdinfo = "mnt_id",
};

FIXTURE_VARIANT_ADD(fail_open, filesystem)
{
	.type = FAN_MARK_FILESYSTEM,
	.fdinfo = "sdev",
};

FIXTURE_SETUP(fail_open)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	known_op_flags = FAN_OP_ASYNC | FAN_OP_MAPPED;
	put_all_kinds(_metadata);
	put_file(_metadata, "full", "");
	guard_start(_metadata, lift_all);
}

FIXTURE_TEARDOWN(fail_open)
{
	lift_all();
	test_end(_metadata);
}

static void mark_op(struct __test_metadata *const _metadata,
		    const FIXTURE_VARIANT(fail_open) *variant, struct group *g,
		    const struct op *op, unsigned int flags)
{
	mark(_metadata, g, flags | variant->type, op->event,
	     variant->type == FAN_MARK_INODE ? op->inode : ".");
}

static struct group *open_for(struct __test_metadata *const _metadata,
			      const FIXTURE_VARIANT(fail_open) *variant,
			      const struct op *op, unsigned int flags)
{
	struct group *g = group_open(_metadata, flags);

	snprintf(row, sizeof(row), "%s", op->name);
	mark_op(_metadata, variant, g, op, FAN_MARK_ADD);
	return g;
}

static struct event read_pre(struct __test_metadata *const _metadata,
			     struct group *g, const struct op *op,
			     const struct job *job)
{
	return expect_pre_of(_metadata, g, op->event, op->flags, job->pid);
}

/* Nothing was done, as far as it can be seen. */
static void expect_untouched(struct __test_metadata *const _metadata)
{
	struct stat st;

	expect_content(_metadata, "file", "as it was");
	EXPECT_EQ(-1, access("dir/new", F_OK));
	ASSERT_EQ(0, stat("file", &st));
	EXPECT_EQ(0644U, st.st_mode & 07777);
}

static void deny(struct __test_metadata *const _metadata, struct group *g,
		 const struct op *op, struct job *job)
{
	const struct event pre = read_pre(_metadata, g, op, job);

	expect_blocked(_metadata, job);
	answer(_metadata, g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_untouched(_metadata);
}

/* ------------------------- a group that is closed ------------------------- */

/* What was read and what was not is denied, and what comes after it. */
TEST_F(fail_open, closed)
{
	FOR_EACH_ROW(i, ops) {
		struct group *g = open_for(_metadata, variant, &ops[i],
					   FAN_FAIL_CLOSED);
		struct job *jobs[2];

		jobs[0] = job_start(_metadata, ops[i].fn, NULL);
		read_pre(_metadata, g, &ops[i], jobs[0]);
		jobs[1] = job_start(_metadata, ops[i].fn, NULL);
		wait_pending(_metadata, g, 2);
		group_close(g);
		EXPECT_EQ(-EIO, job_join(_metadata, jobs[0]));
		EXPECT_EQ(-EIO, job_join(_metadata, jobs[1]));
		if (variant->type != FAN_MARK_INODE) {
			jobs[0] = job_start(_metadata, ops[i].fn, NULL);
			EXPECT_EQ(-EIO, job_join(_metadata, jobs[0]));
			/* Or the test is denied to look. */
			lift_all();
		}
		expect_untouched(_metadata);
	}
}

/* Who has looked at the marks before is denied, as is who comes after that. */
TEST_F(fail_open, closed_meanwhile)
{
	if (variant->type == FAN_MARK_INODE)
		SKIP(return, "marks of inodes end with their group");
	REQUIRE_HOLDS();
	FOR_EACH_ROW(i, ops) {
		struct group *g = open_for(_metadata, variant, &ops[i],
					   FAN_FAIL_CLOSED);
		struct job *job = job_prepare(_metadata, ops[i].fn, NULL);

		hold(_metadata, "marks", job->pid);
		job_go(_metadata, job);
		wait_held(_metadata, "marks");
		group_close(g);
		release(_metadata, "marks");
		EXPECT_EQ(-EIO, job_join(_metadata, job));
		lift_all();
		expect_untouched(_metadata);
	}
}

/* A queue that is closed decides nothing. */
TEST_F(fail_open, queue_closed)
{
	FOR_EACH_ROW(i, ops) {
		struct group *g = open_for(_metadata, variant, &ops[i], 0);
		struct group *q = queue_open(_metadata, g);
		struct job *job = job_start(_metadata, ops[i].fn, NULL);

		read_pre(_metadata, q, &ops[i], job);
		group_close(q);
		deny(_metadata, g, &ops[i], job);
		group_close(g);
	}
}

/* -------------------------- a mark that is removed ------------------------ */

static long close_group(void *arg)
{
	const struct group *g = arg;

	return close(g->fd);
}

static void expect_no_mark(struct __test_metadata *const _metadata,
			   const FIXTURE_VARIANT(fail_open) *variant,
			   const struct group *g)
{
	unsigned long long mask, ignored;

	EXPECT_FALSE(group_mark(_metadata, g, variant->fdinfo, &mask, &ignored));
}

/* By which the group is to be asked all the same. */
static void mark_besides(struct __test_metadata *const _metadata,
			 const FIXTURE_VARIANT(fail_open) *variant,
			 struct group *g, const struct op *op)
{
	const unsigned int type = variant->type == FAN_MARK_FILESYSTEM ?
				  FAN_MARK_MOUNT : FAN_MARK_FILESYSTEM;

	mark(_metadata, g, FAN_MARK_ADD | type, op->event, ".");
}

/*
 * It is one of two marks, which both have been looked at. (If it was the only one,
 * the operation can be as one that comes after that.)
 */
TEST_F(fail_open, mark_removed_meanwhile)
{
	REQUIRE_HOLDS();
	FOR_EACH_ROW(i, ops) {
		for (int flush = 0; flush < 2; flush++) {
			struct group *g = open_for(_metadata, variant, &ops[i],
						   0);
			struct job *job = job_prepare(_metadata, ops[i].fn,
						      NULL);

			mark_besides(_metadata, variant, g, &ops[i]);
			hold(_metadata, "marks", job->pid);
			job_go(_metadata, job);
			wait_held(_metadata, "marks");
			if (flush)
				mark(_metadata, g,
				     FAN_MARK_FLUSH | variant->type, 0, ".");
			else
				mark_op(_metadata, variant, g, &ops[i],
					FAN_MARK_REMOVE);
			expect_no_mark(_metadata, variant, g);
			release(_metadata, "marks");
			deny(_metadata, g, &ops[i], job);
			expect_silence(_metadata, g);
			group_close(g);
		}
	}
}

/* So it is if the other one is that of a group that is closed. */
TEST_F(fail_open, other_group_closed_meanwhile)
{
	REQUIRE_HOLDS();
	FOR_EACH_ROW(i, ops) {
		struct group *first = open_for(_metadata, variant, &ops[i], 0);
		struct group *g = open_for(_metadata, variant, &ops[i], 0);
		struct job *closer, *job;

		job = job_prepare(_metadata, ops[i].fn, NULL);
		closer = __job_prepare(_metadata, close_group, first, true);
		hold(_metadata, "marks", job->pid);
		job_go(_metadata, job);
		wait_held(_metadata, "marks");
		/* Who is the last to close it waits for those who look at marks. */
		group_close(first);
		job_go(_metadata, closer);
		expect_blocked(_metadata, job);
		release(_metadata, "marks");
		EXPECT_EQ(0, job_join(_metadata, closer));
		deny(_metadata, g, &ops[i], job);
		group_close(g);
	}
}

/* So it is when it waits for the answer, which no change to marks waits for. */
TEST_F(fail_open, mark_removed_while_it_waits)
{
	FOR_EACH_ROW(i, ops) {
		struct group *g = open_for(_metadata, variant, &ops[i], 0);
		struct job *job = job_start(_metadata, ops[i].fn, NULL);

		wait_pending(_metadata, g, 1);
		mark_op(_metadata, variant, g, &ops[i],
			FAN_MARK_REMOVE | FAN_MARK_SYNC);
		expect_no_mark(_metadata, variant, g);
		deny(_metadata, g, &ops[i], job);
		expect_silence(_metadata, g);
		group_close(g);
	}
}

/* What one group has allowed is for the next to deny, with marks or without. */
TEST_F(fail_open, mark_of_first_removed)
{
	FOR_EACH_ROW(i, ops) {
		struct group *first = open_for(_metadata, variant, &ops[i], 0);
		struct group *g = open_for(_metadata, variant, &ops[i], 0);
		struct job *job = job_start(_metadata, ops[i].fn, NULL);
		const struct event pre = read_pre(_metadata, first, &ops[i],
						  job);

		mark_op(_metadata, variant, first, &ops[i], FAN_MARK_REMOVE);
		allow(_metadata, first, &pre);
		deny(_metadata, g, &ops[i], job);
		expect_post_of(_metadata, first, &pre, -EPERM);
		group_close(first);
		group_close(g);
	}
}

/* ------------------------------- a full queue ----------------------------- */

static char limit[32];

static void restore_limit(void)
{
	write_file(MAX_QUEUED_EVENTS, 0, limit);
}

static long fill(void *arg __maybe_unused)
{
	for (int i = 0; i < 3; i++)
		if (chmod("full", 0600))
			return -1;
	return 0;
}

/* Who has to be asked waits, and takes no room of what may be lost. */
TEST_F(fail_open, queue_full)
{
	ASSERT_LT(0, read_file(MAX_QUEUED_EVENTS, limit, sizeof(limit)));
	guard_start(_metadata, restore_limit);
	FOR_EACH_ROW(i, ops) {
		struct group *g;
		struct job *job;

		ASSERT_EQ(0, write_file(MAX_QUEUED_EVENTS, 0, "1"));
		g = group_open(_metadata, 0);
		restore_limit();
		mark(_metadata, g, FAN_MARK_ADD, FAN_POST(FAN_ATTRIB), "full");
		EXPECT_EQ(0, job_join(_metadata,
				      job_start(_metadata, fill, NULL)));
		EXPECT_EQ(1, group_state(_metadata, g).overflows);

		snprintf(row, sizeof(row), "%s", ops[i].name);
		mark_op(_metadata, variant, g, &ops[i], FAN_MARK_ADD);
		job = job_start(_metadata, ops[i].fn, NULL);
		wait_pending(_metadata, g, 1);
		deny(_metadata, g, &ops[i], job);
		EXPECT_EQ(FAN_POST(FAN_ATTRIB), event_next(_metadata, g).mask);
		EXPECT_EQ(FAN_Q_OVERFLOW, event_next(_metadata, g).mask);
		expect_silence(_metadata, g);
		group_close(g);
	}
}

TEST_HARNESS_MAIN
