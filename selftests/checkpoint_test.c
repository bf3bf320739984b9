// SPDX-License-Identifier: GPL-2.0
/*
 * Is any change lost at a checkpoint? A journal keeps lists of files that were
 * changed, one for each period. A checkpoint ends a period and copies what is
 * in its list. A change is lost if no list that is still to be copied has the
 * file, and the copy is not what the file is.
 *
 * These are the races of the discussion of change journals in 2022. A writer
 * is held where it does harm, and released only when the checkpoint does not
 * go on without it. With all the calls that it takes, nothing is lost; with
 * one of them left out, it is, and the test has to show that, too.
 *
 * In the scheme with a single group, a checkpoint flushes what the group
 * ignores; with alternating groups, a new group takes over from the old one.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"

#define FLUSH_IGNORE	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)
#define PERIODS		2

/* One that is written to in a race, one that is all the time, and another. */
enum { VICTIM, BUSY, QUIET, FILES };

static const char *const files[FILES] = { "victim", "busy", "quiet" };

struct journal {
	struct group *g;
	struct group *next;	/* to alternate with */
	struct fid fids[FILES];
	bool listed[PERIODS][FILES];
	int period;		/* the one that changes are recorded in */
	char copies[FILES][32];
	__u64 barriers;		/* that have come, of the group */
};

/* Races that a writer can lose for the journal. */
enum race {
	MARKS,		/* its hook has read that it is ignored */
	IGNORED_BEGIN,	/* it was ignored, and is about to write */
	IGNORED_END,	/* and has written, but not come to its end */
	ASKED_BEGIN,	/* it was allowed, and is about to write */
	ASKED_END,
};

#define LOST_IN(race)	(1U << (race))
#define LOST_WITHOUT	(LOST_IN(MARKS) | LOST_IN(IGNORED_BEGIN) |	\
			 LOST_IN(ASKED_BEGIN))

FIXTURE(checkpoint)
{
	struct journal j;
};

/* Which calls a checkpoint makes, and when that is not enough. */
FIXTURE_VARIANT(checkpoint)
{
	bool alternating;
	bool sync;
	bool barrier;
	bool post;		/* what has ended is recorded as well */
	unsigned int lost;	/* LOST_IN() races */
};

/* All is recorded before it happens, and what was not is waited for. */
FIXTURE_VARIANT_ADD(checkpoint, single_barrier)
{
	.sync = true,
	.barrier = true,
};

/* What was not recorded in time is recorded when it has ended. */
FIXTURE_VARIANT_ADD(checkpoint, single_post)
{
	.sync = true,
	.post = true,
};

FIXTURE_VARIANT_ADD(checkpoint, single_barrier_and_post)
{
	.sync = true,
	.barrier = true,
	.post = true,
};

/* It waits for hooks as well, whatever they go by. */
FIXTURE_VARIANT_ADD(checkpoint, single_barrier_no_sync)
{
	.barrier = true,
};

FIXTURE_VARIANT_ADD(checkpoint, single_no_barrier_no_post)
{
	.sync = true,
	.lost = LOST_WITHOUT,
};

FIXTURE_VARIANT_ADD(checkpoint, single_no_sync)
{
	.lost = LOST_WITHOUT,
};

/* It is enough, but for what is under way if the machine goes down. */
FIXTURE_VARIANT_ADD(checkpoint, single_post_no_sync)
{
	.post = true,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_barrier)
{
	.alternating = true,
	.sync = true,
	.barrier = true,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_post)
{
	.alternating = true,
	.sync = true,
	.post = true,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_barrier_and_post)
{
	.alternating = true,
	.sync = true,
	.barrier = true,
	.post = true,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_barrier_no_sync)
{
	.alternating = true,
	.barrier = true,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_no_barrier_no_post)
{
	.alternating = true,
	.sync = true,
	.lost = LOST_WITHOUT,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_no_sync)
{
	.alternating = true,
	.lost = LOST_WITHOUT,
};

FIXTURE_VARIANT_ADD(checkpoint, alternating_post_no_sync)
{
	.alternating = true,
	.post = true,
};

/* ------------------------------ the journal ----------------------------- */

static __u64 subscription(bool post)
{
	return post ? FAN_MODIFY : FAN_PRE(FAN_MODIFY);
}

static void copy_file(struct __test_metadata *const _metadata,
		      struct journal *j, int file)
{
	ASSERT_LE(0, read_file(files[file], j->copies[file],
			       sizeof(j->copies[file])));
}

/*
 * The group that is to take over is the older one of the two. So it is asked
 * first, and a hook that has come to the other one will not come to it.
 */
static void journal_open(struct __test_metadata *const _metadata,
			 struct journal *j, bool alternating, bool post)
{
	for (int i = 0; i < FILES; i++) {
		put_file(_metadata, files[i], "0 period");
		j->fids[i] = fid_of(_metadata, files[i]);
		copy_file(_metadata, j, i);
	}
	if (alternating)
		j->next = group_open(_metadata, 0);
	j->g = group_open(_metadata, 0);
	mark(_metadata, j->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     subscription(post), ".");
}

/* Record what is about to happen, once in a period, or has happened. */
static void journal_event(struct __test_metadata *const _metadata,
			  struct journal *j)
{
	const struct event ev = event_next(_metadata, j->g);
	int file = 0;

	if (ev.mask == FAN_Q_BARRIER) {
		EXPECT_EQ(++j->barriers, ev.cookie);
		return;
	}
	while (file < FILES && !same_fid(&j->fids[file], &ev.fid))
		file++;
	ASSERT_LT(file, FILES);
	j->listed[j->period][file] = true;
	if (ev.mask & ALL_PRE)
		answer(_metadata, j->g, &ev, FAN_ALLOW | FAN_RESPONSE_IGNORE);
}

static bool journal_has_event(const struct journal *j)
{
	return j->g->pos < j->g->len || group_readable(j->g, 0);
}

/* All that there is; what a job that has ended did is there by then. */
static void journal_events(struct __test_metadata *const _metadata,
			   struct journal *j)
{
	while (journal_has_event(j))
		journal_event(_metadata, j);
}

static void journal_copy(struct __test_metadata *const _metadata,
			 struct journal *j, int period)
{
	for (int i = 0; i < FILES; i++)
		if (j->listed[period][i])
			copy_file(_metadata, j, i);
}

/* Something else that is done to a file, as often as not ignored. */
static void write_and_record(struct __test_metadata *const _metadata,
			     struct journal *j, int file, const char *text)
{
	struct job *job = write_start(_metadata, files[file], text);

	while (!job_ended(job, 1) || journal_has_event(j))
		if (journal_has_event(j))
			journal_event(_metadata, j);
	EXPECT_EQ((long)strlen(text), job_join(_metadata, job));
}

/* ----------------------------- the checkpoint --------------------------- */

static struct change {
	int fd;
	unsigned int flags;
	__u64 mask;
} change;

static long make_change(void *arg)
{
	(void)arg;
	return sys_fanotify_mark(change.fd, change.flags, change.mask, AT_FDCWD,
				 ".");
}

/*
 * From here on changes belong to a new period, and after this no one goes by
 * what was ignored in the old one. Made by a job, which may have to wait.
 */
static struct job *begin_period(struct __test_metadata *const _metadata,
				struct journal *j, bool alternating, bool sync,
				bool post)
{
	struct job *job;

	change.flags = FLUSH_IGNORE;
	change.mask = 0;
	if (alternating) {
		j->g = j->next;
		change.flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
		change.mask = subscription(post);
	}
	change.flags |= sync ? FAN_MARK_SYNC : 0;
	change.fd = j->g->fd;
	j->period++;
	job = __job_prepare(_metadata, make_change, NULL, true);
	job_go(_metadata, job);
	return job;
}

static long do_close(void *arg)
{
	return close(*(int *)arg);
}

/* In the background: it waits for hooks to be done with the group's marks. */
static struct job *close_behind(struct __test_metadata *const _metadata,
				struct group *g)
{
	struct job *job = __job_prepare(_metadata, do_close, &g->fd, true);

	group_close(g);
	job_go(_metadata, job);
	return job;
}

FIXTURE_SETUP(checkpoint)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	journal_open(_metadata, &self->j, variant->alternating, variant->post);
}

FIXTURE_TEARDOWN(checkpoint)
{
	test_end(_metadata);
}

static const char *point_of(enum race race)
{
	switch (race) {
	case MARKS:
		return "marks";
	case IGNORED_BEGIN:
	case ASKED_BEGIN:
		return "begin";
	default:
		return "end";
	}
}

/* A writer that has come to where it is held. It has more than one to go. */
static struct job *start_race(struct __test_metadata *const _metadata,
			      struct journal *j, enum race race)
{
	struct job *job = write_prepare(_metadata, files[VICTIM], "2");

	hold(_metadata, point_of(race), job->pid);
	if (race == MARKS)
		hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	if (race == ASKED_BEGIN || race == ASKED_END)
		journal_event(_metadata, j);
	wait_held(_metadata, point_of(race));
	return job;
}

/* What is not in the copies, and in no list any more. */
static bool find_lost(struct __test_metadata *const _metadata,
		      const struct journal *j)
{
	char now[32];

	for (int i = 0; i < FILES; i++) {
		ASSERT_LE(0, read_file(files[i], now, sizeof(now)));
		if (strcmp(now, j->copies[i])) {
			/* No other was ever at risk. */
			EXPECT_EQ(VICTIM, i);
			TH_LOG("%s: '%s' is '%s' in the copy", files[i], now,
			       j->copies[i]);
			return true;
		}
	}
	return false;
}

/* Wait for the barrier, and see that it does wait for who has to be. */
static void pass_barrier(struct __test_metadata *const _metadata,
			 struct journal *j, bool waits)
{
	mark(_metadata, j->g, FAN_MARK_BARRIER, 0, ".");
	if (waits) {
		if (group_readable(j->g, SETTLE_MS)) {
			const struct event ev = event_next(_metadata, j->g);

			ASSERT_EQ(0ULL, ev.mask)
				TH_LOG("cookie %llu of %d", ev.cookie, ev.pid);
		}
		release_all();
	}
	while (!j->barriers && !_metadata->exit_code)
		journal_event(_metadata, j);
}

/* Two periods, with a writer on the way from one to the other. */
static bool lost(struct __test_metadata *const _metadata,
		 FIXTURE_DATA(checkpoint) * self,
		 const FIXTURE_VARIANT(checkpoint) * variant, enum race race)
{
	const bool asked = race == ASKED_BEGIN || race == ASKED_END;
	struct journal *const j = &self->j;
	struct group *const old = j->g;
	struct job *writer, *changer, *closer = NULL;

	/* The first: who is asked now is ignored for the rest of it. */
	write_and_record(_metadata, j, BUSY, "1");
	write_and_record(_metadata, j, BUSY, "1 ");
	if (!asked)
		write_and_record(_metadata, j, VICTIM, "1");
	writer = start_race(_metadata, j, race);
	EXPECT_TRUE(j->listed[0][VICTIM]);

	/* The second begins. A hook is waited for, and its writer is not. */
	changer = begin_period(_metadata, j, variant->alternating,
			       variant->sync, variant->post);
	if (variant->sync && race == MARKS) {
		expect_blocked(_metadata, changer);
		release(_metadata, "marks");
		wait_held(_metadata, "begin");
	}
	EXPECT_EQ(0, job_join(_metadata, changer));
	if (variant->alternating) {
		EXPECT_FALSE(group_readable(old, 0));
		closer = close_behind(_metadata, old);
	}
	write_and_record(_metadata, j, BUSY, "2");

	/* The first ends, as far as one can tell. */
	if (variant->barrier)
		pass_barrier(_metadata, j, true);
	journal_events(_metadata, j);
	journal_copy(_metadata, j, 0);

	release_all();
	while (!job_ended(writer, 1) || journal_has_event(j))
		if (journal_has_event(j))
			journal_event(_metadata, j);
	EXPECT_EQ(1, job_join(_metadata, writer));
	if (closer)
		EXPECT_EQ(0, job_join(_metadata, closer));

	/* With no one under way, there is nothing to the next one. */
	EXPECT_TRUE(j->listed[1][BUSY]);
	journal_copy(_metadata, j, 1);
	return find_lost(_metadata, j);
}

TEST_F(checkpoint, marks)
{
	EXPECT_EQ(!!(variant->lost & LOST_IN(MARKS)),
		  lost(_metadata, self, variant, MARKS));
}

TEST_F(checkpoint, ignored_begin)
{
	EXPECT_EQ(!!(variant->lost & LOST_IN(IGNORED_BEGIN)),
		  lost(_metadata, self, variant, IGNORED_BEGIN));
}

TEST_F(checkpoint, ignored_end)
{
	EXPECT_EQ(!!(variant->lost & LOST_IN(IGNORED_END)),
		  lost(_metadata, self, variant, IGNORED_END));
}

TEST_F(checkpoint, asked_begin)
{
	EXPECT_EQ(!!(variant->lost & LOST_IN(ASKED_BEGIN)),
		  lost(_metadata, self, variant, ASKED_BEGIN));
}

TEST_F(checkpoint, asked_end)
{
	EXPECT_EQ(!!(variant->lost & LOST_IN(ASKED_END)),
		  lost(_metadata, self, variant, ASKED_END));
}

/* ------------------------------- the order ------------------------------ */

/*
 * The new group has to be there before the old one goes. Between the two, a
 * writer comes and goes that neither of them sees.
 */
FIXTURE(takeover)
{
	struct journal j;
};

FIXTURE_VARIANT(takeover)
{
	bool gap;
};

FIXTURE_VARIANT_ADD(takeover, overlap)
{
	.gap = false,
};

FIXTURE_VARIANT_ADD(takeover, gap)
{
	.gap = true,
};

FIXTURE_SETUP(takeover)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	journal_open(_metadata, &self->j, true, true);
}

FIXTURE_TEARDOWN(takeover)
{
	test_end(_metadata);
}

TEST_F(takeover, order)
{
	struct journal *const j = &self->j;
	struct group *const old = j->g;
	struct job *changer;

	write_and_record(_metadata, j, BUSY, "1");
	if (variant->gap) {
		group_close(old);
		EXPECT_EQ(1, job_join(_metadata,
				      write_start(_metadata, files[VICTIM],
						  "2")));
	}
	changer = begin_period(_metadata, j, true, true, true);
	EXPECT_EQ(0, job_join(_metadata, changer));
	if (!variant->gap) {
		group_close(old);
		write_and_record(_metadata, j, VICTIM, "2");
	}
	pass_barrier(_metadata, j, false);
	journal_copy(_metadata, j, 0);
	journal_copy(_metadata, j, 1);
	EXPECT_EQ(variant->gap, find_lost(_metadata, j));
}

TEST_HARNESS_MAIN
