// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that run out of memory: each allocation that a call of the table of
 * operations.h makes for the groups that are asked about it fails in turn, and of
 * some calls those of the call itself.
 *
 * Whatever fails, what was done had been asked about, of both groups that watch;
 * whoever was asked and has allowed it is told the end, once, and nothing else;
 * the call fails with ENOMEM, or with what the table here says; and the groups
 * go on as before.
 */

#include "faults_shot.h"
#include "fs.h"

#define CHANGES		(FAN_MODIFY | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | MOVED)
#define NR_STEPS	ARRAY_SIZE(operations[0].steps)
#define ALL_RECORDS	(FAN_RECORD_MNT | FAN_RECORD_CGROUP | FAN_RECORD_REPLACED)

/* How often it is looked if the groups still work. */
#define PROBE_EACH	8

/* What there is to be asked again, by a call that nothing can go wrong with. */
static const struct row probe = {
	.call = "write(fd, buf, count)",
};

FIXTURE(faults)
{
	struct group *g[NR_GROUPS];
};

FIXTURE_VARIANT(faults)
{
	const char *fs;
	bool fresh;		/* groups for each call: they keep memory */
	bool by_child;
	bool all;		/* memory of the call, not only for groups */
	size_t from, to;	/* of the rows, or ... */
	const char *only[4];
};

/* Two halves, as it takes long on a debug kernel. */
FIXTURE_VARIANT_ADD(faults, tmpfs_bytes)
{
	.fs = "tmpfs",
	.to = ARRAY_SIZE(rows) / 2,
};

FIXTURE_VARIANT_ADD(faults, tmpfs_names)
{
	.fs = "tmpfs",
	.from = ARRAY_SIZE(rows) / 2,
	.to = ARRAY_SIZE(rows),
};

FIXTURE_VARIANT_ADD(faults, call)
{
	.fs = "tmpfs",
	.all = true,
	.only = {
		"write(fd, buf, count)",
		"io_uring_enter(): IORING_OP_WRITE",
		"mkdir(path, mode)",
	},
};

FIXTURE_VARIANT_ADD(faults, fresh)
{
	.fs = "tmpfs",
	.fresh = true,
	.only = {
		"write(fd, buf, count)",
		"mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)",
		"rename(old, new) onto a victim",
	},
};

FIXTURE_VARIANT_ADD(faults, child)
{
	.fs = "tmpfs",
	.by_child = true,
	.only = {
		"write(fd, buf, count)",
	},
};

/* Its file handles are longer than what an event has room for. */
FIXTURE_VARIANT_ADD(faults, overlay)
{
	.fs = "overlay",
	.only = {
		"chmod(path, mode)",
		"mkdir(path, mode)",
		"rename(old, new) onto a victim",
	},
};

FIXTURE_SETUP(faults)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	REQUIRE_FAULTS(variant->all ? &all_code : &notify_code);
	known_records = RECORD_MNT | RECORD_CGROUP | RECORD_REPLACED;
}

FIXTURE_TEARDOWN(faults)
{
	faults_end();
	test_end(_metadata);
}

/* ------------------------------- groups -------------------------------- */

static void open_groups(struct __test_metadata *const _metadata,
			FIXTURE_DATA(faults) *self)
{
	self->g[0] = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET |
					   FAN_REPORT_PIDFD);
	self->g[1] = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET);
	for (int i = 0; i < NR_GROUPS; i++)
		ASSERT_EQ(0, ioctl(self->g[i]->fd, FAN_IOC_RECORDS, ALL_RECORDS));
}

static void close_groups(FIXTURE_DATA(faults) *self)
{
	for (int i = 0; i < NR_GROUPS; i++)
		group_close(self->g[i]);
}

static void watch(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(faults) *self, const struct shot *shot)
{
	__u64 mask = CHANGES | shot->op->mask | shot->row->mask;

	for (size_t i = 0; i < NR_STEPS; i++)
		mask |= shot->op->steps[i].event;
	for (int i = 0; i < NR_GROUPS; i++)
		mark(_metadata, self->g[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     mask, ".");
}

static void unwatch(struct __test_metadata *const _metadata,
		    FIXTURE_DATA(faults) *self)
{
	for (int i = 0; i < NR_GROUPS; i++)
		mark(_metadata, self->g[i], FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM,
		     0, ".");
}

static void shoot(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(faults) *self, struct shot *shot, bool *hit)
{
	struct job *job = prepare_shot(_metadata, shot);

	watch(_metadata, self, shot);
	job_go(_metadata, job);
	serve(_metadata, self->g, job, shot);
	*hit = end_shot(_metadata, job, shot);
	if (*hit)
		snprintf(row, sizeof(row), "%.40s, allocation %u: %.60s",
			 shot->op->call, shot->nth, fault_site());
	for (int i = 0; i < NR_GROUPS; i++) {
		const struct group_state st = group_state(_metadata, self->g[i]);

		expect_silence(_metadata, self->g[i]);
		EXPECT_EQ(0, st.pending);
		EXPECT_EQ(0, st.queued);
		EXPECT_EQ(0, st.inflight);
		EXPECT_EQ(0, st.overflows);
	}
	unwatch(_metadata, self);
}

static bool may_fail_with(const struct shot *shot, int error)
{
	if (error == ENOMEM || error == shot->op->fails)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(shot->row->errors); i++)
		if (shot->row->errors[i] && error == shot->row->errors[i])
			return true;
	return false;
}

/* With what it does if nothing fails in @whole. */
static void expect_honest(struct __test_metadata *const _metadata,
			  const struct shot *shot, const struct shot *whole,
			  bool changed)
{
	const bool done = whole->ret < 0 ? shot->ret == whole->ret :
					   shot->ret >= 0;

	if (shot->ret < 0) {
		EXPECT_TRUE(may_fail_with(shot, -shot->ret))
			TH_LOG("%s", strerror(-shot->ret));
	}
	for (int i = 0; i < NR_GROUPS; i++) {
		/* Nothing is done unasked, be it all or a part. */
		if (done) {
			EXPECT_LE(whole->told[i].asked, shot->told[i].asked);
		}
		if (changed) {
			EXPECT_LT(0, shot->told[i].asked);
		}
	}
}

/* ------------------------------- all calls ------------------------------ */

static const struct operation *find_operation(const char *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(operations[i].call, call))
			return &operations[i];
	return NULL;
}

static void enter_new_tree(struct __test_metadata *const _metadata,
			   const struct operation *op)
{
	ASSERT_EQ(0, chdir(FS_DIR));
	if (!access("tree", F_OK)) {
		ASSERT_EQ(0, tree_remove("tree"));
	}
	ASSERT_EQ(0, mkdir("tree", 0755));
	ASSERT_EQ(0, chdir("tree"));
	ASSERT_EQ(0, tree_make());
	if (op->prepare) {
		ASSERT_EQ(0, op->prepare());
	}
	ASSERT_EQ(0, tree_age());
}

/* One write by someone else, of which nothing fails. */
static void expect_groups_work(struct __test_metadata *const _metadata,
			       FIXTURE_DATA(faults) *self)
{
	struct shot shot = { .row = &probe, .op = find_operation(probe.call) };
	bool hit;

	/* What the call before has left need not have the file. */
	enter_new_tree(_metadata, shot.op);
	shoot(_metadata, self, &shot, &hit);
	EXPECT_FALSE(hit);
	EXPECT_EQ(COUNT, shot.ret);
	for (int i = 0; i < NR_GROUPS; i++) {
		EXPECT_EQ(1, shot.told[i].asked);
		EXPECT_EQ(1, shot.told[i].ended);
	}
}

static void try_row(struct __test_metadata *const _metadata,
		    FIXTURE_DATA(faults) *self, const struct row *r,
		    const FIXTURE_VARIANT(faults) *variant)
{
	const struct operation *op = find_operation(r->call);
	const bool fresh = variant->fresh;
	bool hit = true, changed = true;
	struct shot shot, whole = {};
	unsigned int nth = 0, faults = 0;

	ASSERT_NE(NULL, op)
		TH_LOG("no operation %s", r->call);
	for (; hit && !_metadata->exit_code; nth++) {
		struct snapshot was, is;

		ASSERT_GT(MAX_NTH, nth);
		snprintf(row, sizeof(row), "%.60s, %u", op->call, nth);
		if (changed)
			enter_new_tree(_metadata, op);
		if (fresh)
			open_groups(_metadata, self);
		shot = (struct shot) {
			.row = r, .op = op, .nth = nth,
			.by_child = variant->by_child,
		};
		snapshot(_metadata, &was);
		shoot(_metadata, self, &shot, &hit);
		snapshot(_metadata, &is);
		changed = !same_snapshot(&was, &is);
		faults += nth && hit;
		if (!nth) {
			/* What there is to be asked about. */
			EXPECT_TRUE(shot.ret >= 0 || shot.ret == -op->fails);
			EXPECT_LT(0, shot.told[0].asked);
			whole = shot;
			hit = true;
		}
		expect_honest(_metadata, &shot, &whole, changed);
		if (nth % PROBE_EACH == 0 || !hit || fresh) {
			expect_groups_work(_metadata, self);
			changed = true;
		}
		if (fresh)
			close_groups(self);
	}
	if (!r->by_worker || variant->all) {
		EXPECT_LT(0U, faults);
	}
	printf("# %s: %u allocations\n", op->call, faults);
}

static bool is_among(const FIXTURE_VARIANT(faults) *variant, size_t nr)
{
	for (int i = 0; i < 4 && variant->only[i]; i++)
		if (!strcmp(variant->only[i], rows[nr].call))
			return true;
	return variant->from <= nr && nr < variant->to;
}

TEST_F(faults, operations)
{
	if (!variant->fresh)
		open_groups(_metadata, self);
	FOR_EACH_ROW(i, rows)
		if (is_among(variant, i))
			try_row(_metadata, self, &rows[i], variant);
}

TEST_HARNESS_MAIN
