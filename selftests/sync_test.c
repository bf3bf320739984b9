// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_MARK_SYNC: when it returns, no hook is left that goes by the marks as
 * they were; and it does not wait for answers.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"

#define IGNORE FAN_MARK_IGNORE_SURV

FIXTURE(sync)
{
	struct group *g;
};

FIXTURE_SETUP(sync)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(sync)
{
	test_end(_metadata);
}

/* Taken with every command, of every class, for every type of mark. */
TEST_F(sync, accepted)
{
	static const unsigned int classes[] = {
		FAN_CLASS_NOTIF, FAN_CLASS_NOTIF | FAN_REPORT_FID,
		FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT, FAN_CLASS_VFS_FILTER,
	};
	static const unsigned int types[] = {
		FAN_MARK_INODE, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM,
	};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		struct group g = { .fd = sys_fanotify_init(classes[i], 0) };

		ASSERT_LE(0, g.fd);
		for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
			const unsigned int flags = types[t] | FAN_MARK_SYNC;

			mark(_metadata, &g, FAN_MARK_ADD | flags, FAN_MODIFY,
			     "file");
			mark(_metadata, &g, FAN_MARK_ADD | IGNORE | flags,
			     FAN_MODIFY, "file");
			mark(_metadata, &g, FAN_MARK_REMOVE | IGNORE | flags,
			     FAN_MODIFY, "file");
			mark(_metadata, &g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
			     flags, 0, "file");
			mark(_metadata, &g, FAN_MARK_REMOVE | flags,
			     FAN_MODIFY, "file");
			mark(_metadata, &g, FAN_MARK_ADD | flags, FAN_MODIFY,
			     "file");
			mark(_metadata, &g, FAN_MARK_FLUSH | flags, 0, "file");

			/* It makes no error less of one. */
			EXPECT_EQ(-1, sys_fanotify_mark(g.fd, FAN_MARK_REMOVE |
							flags, FAN_MODIFY,
							AT_FDCWD, "file"));
			EXPECT_EQ(ENOENT, errno);
			EXPECT_EQ(-1, sys_fanotify_mark(g.fd, flags,
							FAN_MODIFY, AT_FDCWD,
							"file"));
			EXPECT_EQ(EINVAL, errno);
		}
		close(g.fd);
	}
}

/* With questions open, read or not: the listener has but this one thread. */
TEST_F(sync, does_not_wait_for_answers)
{
	struct job *read, *unread;
	struct event pre, pre2;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	read = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, read->pid);
	unread = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 2);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_SYNC, FAN_ATTRIB,
	     "file");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE | FAN_MARK_SYNC,
	     FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_SYNC, FAN_MODIFY,
	     "file");
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_SYNC, 0, "file");

	expect_blocked(_metadata, read);
	expect_blocked(_metadata, unread);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, read));
	pre2 = expect_pre(_metadata, self->g, unread->pid);
	allow(_metadata, self->g, &pre2);
	EXPECT_EQ(2, job_join(_metadata, unread));
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, self->g, &pre2, 2);
}

/*
 * While a writer waits for the answer of one group, another removes the mark
 * by which it would be ignored. The writer comes to that group later than the
 * call has returned, so it must not be ignored.
 */
TEST_F(sync, in_effect_for_who_waits_for_another)
{
	struct group *older = self->g, *g = group_open(_metadata, 0);
	struct event first, second;
	struct job *job;

	mark(_metadata, older, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");

	job = write_start(_metadata, "file", "ab");
	first = expect_pre(_metadata, older, job->pid);
	mark(_metadata, g, FAN_MARK_REMOVE | IGNORE | FAN_MARK_SYNC, FAN_MODIFY,
	     "file");
	allow(_metadata, older, &first);

	second = expect_pre(_metadata, g, job->pid);
	EXPECT_EQ(first.cookie, second.cookie);
	expect_blocked(_metadata, job);
	allow(_metadata, g, &second);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, older, &first, 2);
	expect_post(_metadata, g, &second, 2);
}

/* The other way round: it is ignored by a mark that was made meanwhile. */
TEST_F(sync, ignored_by_who_was_not_asked_yet)
{
	struct group *older = self->g, *g = group_open(_metadata, 0);
	struct event first;
	struct job *job;

	mark(_metadata, older, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");

	job = write_start(_metadata, "file", "ab");
	first = expect_pre(_metadata, older, job->pid);
	mark(_metadata, g, FAN_MARK_ADD | IGNORE | FAN_MARK_SYNC, FAN_MODIFY,
	     "file");
	allow(_metadata, older, &first);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, older, &first, 2);
	expect_silence(_metadata, g);
}

/*
 * A writer is held in its PRE hook, which has read the marks and has not yet
 * used them; then one of them is changed, in a process of its own.
 */
FIXTURE(held)
{
	struct group *g;
	struct job *writer;
};

/* What a hook comes to that goes by marks as they were before the change. */
enum old_marks {
	ASKED,
	IGNORED,
	REMOVED,	/* asked, unless it looks once more */
};

FIXTURE_VARIANT(held)
{
	enum old_marks old;
	unsigned int flags;	/* of the change, besides FAN_MARK_SYNC */
	__u64 mask;
};

FIXTURE_VARIANT_ADD(held, remove_ignore)
{
	.old = IGNORED,
	.flags = FAN_MARK_REMOVE | IGNORE,
	.mask = FAN_MODIFY,
};

FIXTURE_VARIANT_ADD(held, flush_ignore)
{
	.old = IGNORED,
	.flags = FAN_MARK_FLUSH,
};

FIXTURE_VARIANT_ADD(held, flush_ignore_masks)
{
	.old = IGNORED,
	.flags = FAN_MARK_FLUSH | FAN_MARK_IGNORE,
};

FIXTURE_VARIANT_ADD(held, add_ignore)
{
	.old = ASKED,
	.flags = FAN_MARK_ADD | IGNORE,
	.mask = FAN_MODIFY,
};

FIXTURE_VARIANT_ADD(held, remove_all)
{
	.old = REMOVED,
	.flags = FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	.mask = FAN_MODIFY,
};

FIXTURE_VARIANT_ADD(held, flush_all)
{
	.old = REMOVED,
	.flags = FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM,
};

FIXTURE_SETUP(held)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	if (variant->old == IGNORED)
		mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY,
		     "file");

	self->writer = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "marks", self->writer->pid);
	job_go(_metadata, self->writer);
	wait_held(_metadata, "marks");
}

FIXTURE_TEARDOWN(held)
{
	test_end(_metadata);
}

static struct change {
	int fd;
	unsigned int flags;
	__u64 mask;
} change;

static long make_change(void *arg)
{
	(void)arg;
	return sys_fanotify_mark(change.fd, change.flags, change.mask,
				 AT_FDCWD, "file");
}

static struct job *change_start(struct __test_metadata *const _metadata,
				const struct group *g, unsigned int flags,
				__u64 mask)
{
	struct job *job;

	change = (struct change) { .fd = g->fd, .flags = flags, .mask = mask };
	job = __job_prepare(_metadata, make_change, NULL, true);
	job_go(_metadata, job);
	return job;
}

/* Let the writer go on by the marks that its hook has read. */
static void finish(struct __test_metadata *const _metadata, struct group *g,
		   struct job *writer, enum old_marks old, bool changed)
{
	const pid_t pid = writer->pid;
	struct event pre;

	release(_metadata, "marks");
	if (old == IGNORED) {
		/* It was ignored before, and what it did is reported after. */
		EXPECT_EQ(2, job_join(_metadata, writer));
		if (changed)
			expect_unpaired(_metadata, g, pid, 2);
		return;
	}
	if (old == REMOVED && changed) {
		ASSERT_TRUE(EVENTUALLY(job_ended(writer, 0) ||
				       group_readable(g, 0)));
		if (!group_readable(g, 0)) {
			EXPECT_EQ(2, job_join(_metadata, writer));
			return;
		}
	}
	pre = expect_pre(_metadata, g, pid);
	expect_blocked(_metadata, writer);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, writer));
	expect_post(_metadata, g, &pre, 2);
}

/* From now on it goes by the change. */
static void write_again(struct __test_metadata *const _metadata,
			struct group *g, bool seen)
{
	struct job *job = write_start(_metadata, "file", "ab");

	if (seen) {
		serve_write(_metadata, g, job, 2);
	} else {
		EXPECT_EQ(2, job_join(_metadata, job));
	}
	expect_silence(_metadata, g);
}

TEST_F(held, waits)
{
	struct job *changer = change_start(_metadata, self->g, variant->flags |
					   FAN_MARK_SYNC, variant->mask);

	expect_blocked(_metadata, changer);
	EXPECT_EQ(1, held(_metadata, "marks"));

	release(_metadata, "marks");
	EXPECT_EQ(0, job_join(_metadata, changer));
	if (variant->old == ASKED) {
		/* It went on to ask, and that was not waited for. */
		wait_pending(_metadata, self->g, 1);
		expect_blocked(_metadata, self->writer);
	}
	finish(_metadata, self->g, self->writer, variant->old, true);
	write_again(_metadata, self->g, variant->old == IGNORED);
}

/* What the flag is for: without it, a hook may still go by what was. */
TEST_F(held, does_not_wait_without_it)
{
	EXPECT_EQ(0, job_join(_metadata,
			      change_start(_metadata, self->g, variant->flags,
					   variant->mask)));
	EXPECT_EQ(1, held(_metadata, "marks"));
	expect_blocked(_metadata, self->writer);
	finish(_metadata, self->g, self->writer, variant->old, true);
	write_again(_metadata, self->g, variant->old == IGNORED);
}

TEST_F(held, can_be_killed)
{
	struct job *changer = change_start(_metadata, self->g, variant->flags |
					   FAN_MARK_SYNC, variant->mask);

	expect_blocked(_metadata, changer);
	job_kill(_metadata, changer, SIGKILL);
	EXPECT_EQ(1, held(_metadata, "marks"));

	/* The change was made. */
	finish(_metadata, self->g, self->writer, variant->old, true);
	write_again(_metadata, self->g, variant->old == IGNORED);
}

/* It is the same for those who only watch. */
TEST_F(held, waits_for_other_classes)
{
	struct group notif = {
		.fd = sys_fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, 0),
	};
	struct job *changer;

	ASSERT_LE(0, notif.fd);
	changer = change_start(_metadata, &notif, FAN_MARK_ADD | FAN_MARK_SYNC,
			       FAN_ATTRIB);
	expect_blocked(_metadata, changer);
	finish(_metadata, self->g, self->writer, variant->old, false);
	EXPECT_EQ(0, job_join(_metadata, changer));
	close(notif.fd);
}

TEST_HARNESS_MAIN
