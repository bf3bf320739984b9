/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A call of the table, made by a job and seen by a group through marks of some
 * kind.
 */

#ifndef __OPERATIONS_SEEN_H
#define __OPERATIONS_SEEN_H

#include "group.h"
#include "operations.h"

/*
 * What every mark of a mount or file system asks for besides: that a row does
 * not say so means that there is none. Opening and reading are not among them,
 * as jobs do it on their way.
 */
#define CHANGES (FAN_MODIFY | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | MOVED)

#define ENTRY_EVENTS (FAN_CREATE | FAN_DELETE | MOVED)

#define NR_STEPS ARRAY_SIZE(operations[0].steps)
#define NOT_DENIED -1

/* ------------------------------- the table ----------------------------- */

static int count_steps(const struct operation *op)
{
	size_t n = 0;

	while (n < NR_STEPS && op->steps[n].event)
		n++;
	return n;
}

/* That of the nth question, or NULL if there are not that many. */
static const struct step *step_at(const struct operation *op, int n)
{
	return n < count_steps(op) ? &op->steps[n] : NULL;
}

static bool is_entry_event(const struct step *step)
{
	return step->event & ENTRY_EVENTS;
}

static bool has_mark(const struct step *step, enum kind kind)
{
	switch (kind) {
	case INODE:
		return is_entry_event(step) || !(step->is & IS_OF_NEW);
	case PARENT:
		return !is_entry_event(step) && !(step->is & IS_OF_NEW);
	default:
		return true;
	}
}

/* Are all steps of a row seen by marks of this kind? */
static bool is_seen(const struct operation *op, enum kind kind)
{
	const int count = count_steps(op);

	if (op->kinds && !(op->kinds & ONLY(kind)))
		return false;
	if (!count)
		return kind == MOUNT || kind == FILESYSTEM;
	for (int i = 0; i < count; i++)
		if (!has_mark(&op->steps[i], kind))
			return false;
	return true;
}

static __u64 all_events(const struct operation *op)
{
	__u64 mask = op->mask;

	for (int i = 0; i < count_steps(op); i++)
		mask |= op->steps[i].event;
	return mask;
}

/* ------------------------------- names --------------------------------- */

struct place {
	char dir[PATH_MAX];
	const char *name;	/* NULL if it has none */
};

static struct place place_of(const char *path)
{
	struct place place = { .dir = ".", .name = path };
	const char *slash = strrchr(path, '/');

	if (!strcmp(path, "."))
		return (struct place) { .dir = ".." };
	if (slash) {
		memcpy(place.dir, path, slash - path);
		place.dir[slash - path] = '\0';
		place.name = slash + 1;
	}
	return place;
}

static bool is_unnamed(const struct step *step)
{
	return !strcmp(step->object, UNNAMED);
}

/* Makes the object, which is not there before. */
static bool creates(const struct step *step)
{
	return step->event & FAN_CREATE && step->is & IS_OF_NEW;
}

/* What DFID_NAME says, or DFID of a file that is made without a name. */
static struct place name_of(const struct step *step)
{
	struct place place = place_of(step->entry ?: step->object);

	if (creates(step) && is_unnamed(step)) {
		strcpy(place.dir, step->entry);
		place.name = NULL;
	}
	return place;
}

/* The group asks for names, so what has one is told by it. */
static __u64 name_records(const struct step *step)
{
	if (step->new_entry)
		return RECORD_OLD_NAME | RECORD_NEW_NAME;
	if (!step->entry && is_unnamed(step))
		return 0;
	return name_of(step).name ? RECORD_NAME : RECORD_DIR;
}

static bool is_there(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/* ------------------------------- marks --------------------------------- */

static void mark_one(struct __test_metadata *const _metadata, struct group *g,
		     __u64 mask, const char *path)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, mask, path);
}

/* Both directories of a rename, each for its own part. */
static void mark_inodes(struct __test_metadata *const _metadata,
			struct group *g, const struct step *step)
{
	const __u64 here = step->event & ~(FAN_MOVED_TO | FAN_ONDIR);
	const __u64 there = step->event & FAN_MOVED_TO;
	const __u64 ondir = step->event & FAN_ONDIR;

	if (here)
		mark_one(_metadata, g, here | ondir, is_entry_event(step) ?
			 name_of(step).dir : step->object);
	if (there)
		mark_one(_metadata, g, there | ondir,
			 place_of(step->new_entry).dir);
}

static void mark_all(struct __test_metadata *const _metadata, struct group *g,
		     const struct operation *op, enum kind kind)
{
	const __u64 mask = CHANGES | all_events(op);

	if (kind == MOUNT)
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, mask, ".");
	if (kind == FILESYSTEM)
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask,
		     ".");
	for (int i = 0; i < count_steps(op); i++) {
		const struct step *step = &op->steps[i];

		if (kind == INODE)
			mark_inodes(_metadata, g, step);
		if (kind == PARENT)
			mark_one(_metadata, g,
				 step->event | FAN_EVENT_ON_CHILD,
				 place_of(step->object).dir);
	}
}

static void unmark_all(struct __test_metadata *const _metadata,
		       struct group *g, enum kind kind)
{
	static const unsigned int flags[] = {
		[MOUNT] = FAN_MARK_MOUNT, [FILESYSTEM] = FAN_MARK_FILESYSTEM,
	};

	mark(_metadata, g, FAN_MARK_FLUSH | flags[kind], 0, ".");
}

/* ---------------------------- what is seen ----------------------------- */

/* An operation that the group was asked about. */
struct seen {
	struct event pre;
	struct event post;
	int ended;		/* the nth to end; 0: it has not */
};

struct verdict {
	__u32 response;
	int error;		/* that it comes to */
};

/* One try: with marks of a kind, denying one step or none. */
struct try {
	const struct operation *op;
	enum kind kind;
	int denied;
	struct verdict verdict;
	pid_t pid;
	long ret;		/* of the call */
	int asked, ended;
	struct seen seen[16];
};

static void take_pre(struct __test_metadata *const _metadata, struct group *g,
		     struct try *try, const struct event *ev)
{
	const __u32 response = try->asked == try->denied ?
			       try->verdict.response : FAN_ALLOW;

	ASSERT_LT((size_t)try->asked, ARRAY_SIZE(try->seen));
	try->seen[try->asked++].pre = *ev;
	answer(_metadata, g, ev, response);
}

static void take_post(struct __test_metadata *const _metadata, struct try *try,
		      const struct event *ev)
{
	struct seen *seen = try->seen;

	while (seen < try->seen + try->asked && seen->pre.cookie != ev->cookie)
		seen++;
	ASSERT_LT(seen, try->seen + try->asked)
		TH_LOG("end of what was not asked, mask %#llx",
		       (unsigned long long)ev->mask);
	ASSERT_EQ(0, seen->ended);
	seen->post = *ev;
	seen->ended = ++try->ended;
}

static bool is_denied(const struct try *try)
{
	return try->denied != NOT_DENIED;
}

/* How many operations have yet to end, with the last reference to a file. */
static int running(const struct try *try)
{
	const bool denied = is_denied(try) && try->denied < try->asked;

	return try->asked - try->ended - denied;
}

/* Waits for an event, or the job's end, and at last for what still runs. */
static bool next_event(struct __test_metadata *const _metadata,
		       struct group *g, struct job *job,
		       const struct try *try)
{
	struct pollfd fds[] = {
		{ .fd = g->fd, .events = POLLIN },
		{ .fd = job->pidfd, .events = POLLIN },
	};

	if (g->pos < g->len)
		return true;
	ASSERT_LT(0, poll(fds, ARRAY_SIZE(fds), TIMEOUT_MS))
		TH_LOG("neither an event nor an end of the call");
	if (fds[0].revents)
		return true;
	/* All that it did is queued by now. */
	return group_readable(g, running(try) > 0 ? TIMEOUT_MS : 0);
}

/* What the call returned; an execve() that was a success did not. */
static long end_job(struct __test_metadata *const _metadata, struct job *job)
{
	const int status = job_reap(_metadata, job);
	const long ret = *job->result;

	EXPECT_EQ(0, status);
	munmap(job->result, sizeof(*job->result));
	return ret == JOB_NO_RESULT ? 0 : ret;
}

static long make_call(void *arg)
{
	const struct operation *op = arg;

	return op->make();
}

/* A job that is about to make the call, with what it wants to be open. */
static struct job *prepare_job(struct __test_metadata *const _metadata,
			       const struct operation *op)
{
	struct job *job;

	if (op->open) {
		opened = open(op->open, op->flags | O_CLOEXEC);
		ASSERT_LE(0, opened);
	}
	job = job_prepare(_metadata, make_call, (void *)op);
	/* The job has the last descriptor of the open file. */
	if (op->open)
		close(opened);
	return job;
}

static void watch_call(struct __test_metadata *const _metadata,
		       struct group *g, struct job *job, struct try *try)
{
	try->pid = job->pid;
	job_go(_metadata, job);
	while (next_event(_metadata, g, job, try)) {
		const struct event ev = event_next(_metadata, g);

		if (ev.mask & ALL_PRE)
			take_pre(_metadata, g, try, &ev);
		else
			take_post(_metadata, try, &ev);
	}
	try->ret = end_job(_metadata, job);
	expect_silence(_metadata, g);
}

#endif /* __OPERATIONS_SEEN_H */
