// SPDX-License-Identifier: GPL-2.0
/*
 * Is any way to change a file system missed? A group is told of everything that
 * was changed in a file system while a workload runs there, and each inode and
 * each name that differs afterwards has to be among what it was told.
 *
 * Workloads are those of mixed.h and the stressors of stress-ng, which clean up
 * behind them. So the file system is compared in between, too, with the
 * workload frozen by its cgroup, which stops no task in the middle of a call.
 *
 *	COVERAGE_SEED		of the random numbers, as a failed test shows it
 *	COVERAGE_WITHOUT	events that the group is not told of, as in
 *				"MODIFY,CREATE": the tests then have to fail
 */

#include "fs.h"
#include "group.h"
#include "mixed.h"
#include "reports.h"
#include "stressors.h"

#define COVERAGE_SIZE	(64 << 20)
#define CGROUP_DIR	WORK_DIR "/cgroup"

/*
 * A round is so many events, and more the longer a workload goes on, for some
 * make thousands.
 */
#define ROUND_EVENTS	64
#define ROUND_GROWTH	4

/* For what is reported after its process has ended: rings, some mappings. */
#define LATE_MS		5000

FIXTURE(coverage)
{
	struct group *g;
	struct reports reports;
	unsigned int seed;
};

FIXTURE_VARIANT(coverage)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(coverage, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(coverage, ext4)
{
	.fs = "ext4",
};

FIXTURE_VARIANT_ADD(coverage, xfs)
{
	.fs = "xfs",
};

/* ------------------------------- freezing ------------------------------ */

static char cgroup[64];

static int cgroup_write(const char *file, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	return write_file(path, 0, text);
}

static bool cgroup_is(const char *state)
{
	char path[96], buf[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
	return read_file(path, buf, sizeof(buf)) > 0 && strstr(buf, state);
}

/* Kills a workload that a failed test leaves, frozen or not. */
static void cgroup_end(void)
{
	cgroup_write("cgroup.kill", "1");
	EVENTUALLY(!rmdir(cgroup) || errno != EBUSY);
}

static void cgroup_begin(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(CGROUP_DIR, 0755));
	ASSERT_EQ(0, mount("vfs-filter", CGROUP_DIR, "cgroup2", 0, NULL))
		TH_LOG("mount cgroup2: %s", strerror(errno));
	snprintf(cgroup, sizeof(cgroup), CGROUP_DIR "/vfs-filter-%d", getpid());
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	guard_start(_metadata, cgroup_end);
}

static void cgroup_enter(struct __test_metadata *const _metadata, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	ASSERT_EQ(0, cgroup_write("cgroup.procs", text));
}

static void freeze(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, cgroup_write("cgroup.freeze", "1"));
	ASSERT_TRUE(EVENTUALLY(cgroup_is("frozen 1")));
}

static void thaw(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, cgroup_write("cgroup.freeze", "0"));
}

/* -------------------------------- events ------------------------------- */

/* Of names as they are in a list that ends or goes on with a comma. */
static __u64 changes_named(struct __test_metadata *const _metadata,
			   const char *list)
{
	__u64 events = 0;

	while (list && *list) {
		const size_t len = strcspn(list, ",");
		size_t i = 0;

		while (i < NR_CHANGES && (strlen(changes[i].name) != len ||
					  strncmp(changes[i].name, list, len)))
			i++;
		ASSERT_GT(NR_CHANGES, i)
			TH_LOG("no event %s", list);
		events |= changes[i].event;
		list += len + (list[len] == ',');
	}
	return events;
}

static void subscribe(struct __test_metadata *const _metadata, struct group *g,
		      __u64 without)
{
	without |= changes_named(_metadata, getenv("COVERAGE_WITHOUT"));
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_POST(ALL_CHANGES) | FAN_ONDIR, ".");
	if (without)
		mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
		     FAN_POST(without), ".");
}

static unsigned int any_seed(void)
{
	const char *text = getenv("COVERAGE_SEED");

	return text ? strtoul(text, NULL, 0) : (unsigned int)now_ms();
}

FIXTURE_SETUP(coverage)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, COVERAGE_SIZE))
		SKIP(return, "no %s", variant->fs);
	cgroup_begin(_metadata);
	mixed_make(_metadata);
	known_op_flags = FAN_OP_ASYNC | FAN_OP_MAPPED;
	/* Others can change a name as fast as it is asked about. */
	object_unknown = true;
	self->seed = any_seed();
	self->g = group_open(_metadata, FAN_UNLIMITED_QUEUE |
			     FAN_UNLIMITED_MARKS | FAN_REPORT_FID);
	subscribe(_metadata, self->g, 0);
	reports_begin(_metadata, &self->reports);
}

FIXTURE_TEARDOWN(coverage)
{
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("COVERAGE_SEED=%u", self->seed);
	test_end(_metadata);
	reports_free(&self->reports);
}

static void take_event(struct __test_metadata *const _metadata,
		       FIXTURE_DATA(coverage) *self)
{
	const struct event ev = event_next(_metadata, self->g);

	ASSERT_NE(FAN_Q_OVERFLOW, ev.mask);
	reports_add(_metadata, &self->reports, &ev);
	note_stressor(&ev);
}

/* Those that are there, once there are any. */
static void take_events(struct __test_metadata *const _metadata,
			FIXTURE_DATA(coverage) *self, int timeout_ms)
{
	while (self->g->pos < self->g->len ||
	       group_readable(self->g, timeout_ms)) {
		take_event(_metadata, self);
		timeout_ms = 0;
	}
}

/* -------------------------------- rounds ------------------------------- */

static void end_round(struct __test_metadata *const _metadata,
		      FIXTURE_DATA(coverage) *self)
{
	take_events(_metadata, self, 0);
	reports_end_round(_metadata, &self->reports);
}

/*
 * Reads until it is time to compare, for a workload can go on making events as
 * fast as they are read. Says whether it has ended; it began at @began events.
 */
static bool watch_round(struct __test_metadata *const _metadata,
			FIXTURE_DATA(coverage) *self, const struct job *job,
			long began)
{
	const long events = self->reports.events;
	const long more = (events - began) / ROUND_GROWTH;

	while (self->reports.events < events + ROUND_EVENTS + more) {
		if (self->g->pos < self->g->len || group_readable(self->g, 10))
			take_event(_metadata, self);
		else if (job_ended(job, 0))
			return true;
	}
	return false;
}

/* A workload from start to end, and what it did to the file system. */
static long watch(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(coverage) *self, job_fn fn, void *arg)
{
	struct job *job = job_prepare(_metadata, fn, arg);
	const long events = self->reports.events;
	long result;

	cgroup_enter(_metadata, job->pid);
	job_go(_metadata, job);
	while (!watch_round(_metadata, self, job, events)) {
		freeze(_metadata);
		end_round(_metadata, self);
		thaw(_metadata);
	}
	result = job_join(_metadata, job);
	end_round(_metadata, self);
	return result;
}

/* All that has changed was reported, but for changes by these events. */
static void expect_reported(struct __test_metadata *const _metadata,
			    FIXTURE_DATA(coverage) *self, __u64 without)
{
	const long end = now_ms() + LATE_MS;
	struct reports *r = &self->reports;

	while (reports_missing(r, without) && now_ms() < end) {
		take_events(_metadata, self, 10);
		reports_settle(r);
	}
	EXPECT_EQ(0, reports_missing(r, without)) {
		TH_LOG("of %ld changes", r->changes);
		reports_show(_metadata, r, without);
	}
}

/* ----------------------------- own workload ---------------------------- */

static struct mixed mixed_new(struct __test_metadata *const _metadata,
			      int operations)
{
	struct mixed mixed = {
		.operations = operations,
		.events = ALL_CHANGES,
		.worked = mmap(NULL, sizeof(*mixed.worked),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};

	ASSERT_NE(MAP_FAILED, mixed.worked);
	return mixed;
}

TEST_F(coverage, mixed)
{
	struct mixed mixed = mixed_new(_metadata, 600);

	mixed.seed = self->seed;
	TH_LOG("COVERAGE_SEED=%u", self->seed);
	EXPECT_EQ(0, watch(_metadata, self, do_mix, &mixed));
	expect_reported(_metadata, self, 0);
	/* Many fail by chance, but not too many. */
	EXPECT_LT(mixed.operations / 2, *mixed.worked);
}

/* The group is not told of an event, and that is all that is missed. */
static void expect_missed(struct __test_metadata *const _metadata,
			  FIXTURE_DATA(coverage) *self, __u64 event,
			  job_fn fn, void *arg)
{
	subscribe(_metadata, self->g, event);
	ASSERT_EQ(0, watch(_metadata, self, fn, arg));
	expect_reported(_metadata, self, event);
	EXPECT_LT(0, reports_missing(&self->reports, 0));
	reports_forget_missing(&self->reports);
	subscribe(_metadata, self->g, 0);
}

/*
 * Each operation is reported, and its event is the only one that reports what
 * it changes: if the hook is taken out, it is missed.
 */
TEST_F(coverage, alone)
{
	FOR_EACH_ROW(i, mixes) {
		struct single single = { &mixes[i], self->seed + i };

		snprintf(row, sizeof(row), "%s", mixes[i].name);
		ASSERT_EQ(0, watch(_metadata, self, do_single, &single));
		expect_reported(_metadata, self, 0);
		for (size_t j = 0; j < NR_CHANGES; j++) {
			/* Or it would do what it has done already. */
			single.seed += NR_MIXES;
			if (mixes[i].events & changes[j].event)
				expect_missed(_metadata, self, changes[j].event,
					      do_single, &single);
		}
	}
}

/* The same of all operations that have an event in common. */
TEST_F(coverage, without)
{
	struct mixed mixed = mixed_new(_metadata, 30);

	FOR_EACH_ROW(i, changes) {
		snprintf(row, sizeof(row), "%s", changes[i].name);
		mixed.seed = self->seed + i;
		mixed.events = changes[i].event;
		expect_missed(_metadata, self, changes[i].event, do_mix,
			      &mixed);
	}
}

/* ------------------------------ stress-ng ------------------------------ */

TEST_F(coverage, stress_ng)
{
	struct reports *r = &self->reports;

	if (!there_is_stress_ng(_metadata))
		SKIP(return, "no stress-ng");
	/* Rings end after their processes. */
	self->g->unread_ok = true;

	FOR_EACH_ROW(i, families) {
		const long start = now_ms(), changes = r->changes;
		struct command command = {};

		family = &families[i];
		memset(stressor_seen, 0, sizeof(stressor_seen));
		snprintf(row, sizeof(row), "%s", family->name);
		command_make(&command, self->seed);
		EXPECT_EQ(0, watch(_metadata, self, do_command, &command));
		expect_reported(_metadata, self, 0);
		expect_stressors(_metadata);
		TH_LOG("%s: %ld changes, %ld ms", family->name,
		       r->changes - changes, now_ms() - start);
	}
}

TEST_HARNESS_MAIN
