// SPDX-License-Identifier: GPL-2.0
/*
 * Walks the table of operations.h: on each file system, with each kind of mark,
 * each operation is done by a job and seen by a group, which denies each of its
 * steps in turn and then allows all. What is seen has to be what the table says
 * and nothing else, and what was denied has to leave no trace.
 */

#include "fs.h"
#include "operations_expect.h"

#define NR_ROWS ARRAY_SIZE(operations)

/* A tree for each kind of mark, and one to see what works without any. */
#define UNWATCHED NR_KINDS

static const char * const tree_names[] = {
	[INODE] = "inode", [PARENT] = "parent", [MOUNT] = "mount",
	[FILESYSTEM] = "filesystem", [UNWATCHED] = "unwatched",
};

/*
 * Not EAGAIN, which deny_test has: to io_uring it means to try again where it
 * can block.
 */
static const struct verdict verdicts[] = {
	{ FAN_DENY, EPERM },
	{ FAN_DENY_ERRNO(EIO), EIO },
	{ FAN_DENY_ERRNO(EBUSY), EBUSY },
	{ FAN_DENY_ERRNO(EROFS), EROFS },
	{ FAN_DENY_ERRNO(ETXTBSY), ETXTBSY },
	{ FAN_DENY_ERRNO(ENOSPC), ENOSPC },
	{ FAN_DENY_ERRNO(EDQUOT), EDQUOT },
};

/* What all tests of this program share, each of which is a process. */
static struct shared {
	struct fid unnamed;
	int walked;			/* file systems */
	bool worked[NR_ROWS];		/* on any of them */
} *shared;

__attribute__((constructor))
static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	unnamed_fid = &shared->unnamed;
	known_op_flags = FAN_OP_ASYNC | FAN_OP_MAPPED;
}

FIXTURE(operations)
{
	struct group *g;
	unsigned int denials;
};

FIXTURE_VARIANT(operations)
{
	const char *fs;
};

#define NR_FILE_SYSTEMS 5

FIXTURE_VARIANT_ADD(operations, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(operations, ext4)
{
	.fs = "ext4",
};

FIXTURE_VARIANT_ADD(operations, xfs)
{
	.fs = "xfs",
};

FIXTURE_VARIANT_ADD(operations, btrfs)
{
	.fs = "btrfs",
};

FIXTURE_VARIANT_ADD(operations, overlay)
{
	.fs = "overlay",
};

/* Every access shows in the access time. */
static void show_access(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mount(NULL, FS_DIR, NULL,
			   MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
}

FIXTURE_SETUP(operations)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	show_access(_metadata);
	/* Others allocate and free blocks when they write back. */
	snapshot_blocks = !strcmp(variant->fs, "tmpfs") ||
			  !strcmp(variant->fs, "overlay");
	self->g = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET);
}

FIXTURE_TEARDOWN(operations)
{
	test_end(_metadata);
}

/* ---------------------------- what is left ----------------------------- */

/* Was a step allowed, and done, before that which was denied? */
static bool was_begun(const struct try *try)
{
	return try->denied > 0 && !fails_with_part(try, 0);
}

/* Each new name is there, if it was allowed. */
static void expect_new_names(struct __test_metadata *const _metadata,
			 const struct try *try)
{
	for (int i = 0; i < count_steps(try->op); i++) {
		const struct step *step = &try->op->steps[i];

		if (step->event & FAN_CREATE) {
			EXPECT_EQ(i < try->denied, is_there(step->entry));
		}
	}
}

static void expect_left(struct __test_metadata *const _metadata,
			const struct try *try, const struct snapshot *was)
{
	const bool changes = all_events(try->op) & CHANGES &&
			     !try->op->unseen && !try->op->fails;
	struct snapshot is;

	snapshot(_metadata, &is);
	if (was_begun(try)) {
		expect_new_names(_metadata, try);
	} else if (is_denied(try) || try->op->fails) {
		expect_same_tree(_metadata, was, &is);
	} else if (changes) {
		/* Or the comparison would be worth nothing. */
		EXPECT_FALSE(same_snapshot(was, &is));
	}
}

/* ------------------------------- trees --------------------------------- */

static void make_tree(struct __test_metadata *const _metadata,
		      const struct operation *op, const char *name)
{
	ASSERT_EQ(0, mkdir(name, 0755));
	ASSERT_EQ(0, chdir(name));
	ASSERT_EQ(0, tree_make());
	if (op->prepare) {
		ASSERT_EQ(0, op->prepare())
			TH_LOG("prepare: %s", strerror(errno));
	}
	ASSERT_EQ(0, tree_age());
	ASSERT_EQ(0, chdir(".."));
}

static void make_trees(struct __test_metadata *const _metadata,
		       const struct operation *op)
{
	for (int i = 0; i < NR_KINDS; i++)
		if (is_seen(op, i))
			make_tree(_metadata, op, tree_names[i]);
	make_tree(_metadata, op, tree_names[UNWATCHED]);
}

/* What is in the lower layer must have been there before the mount. */
static void make_lower_trees(struct __test_metadata *const _metadata,
			     const struct operation *op)
{
	ASSERT_EQ(0, chdir(WORK_DIR));
	ASSERT_TRUE(EVENTUALLY(!umount(FS_DIR)));
	ASSERT_EQ(0, tree_remove(FS_LAYERS));
	make_layers(_metadata);
	ASSERT_EQ(0, chdir(FS_LOWER));
	make_trees(_metadata, op);
	ASSERT_TRUE(overlay_mount(_metadata));
	show_access(_metadata);
}

static void enter_tree(struct __test_metadata *const _metadata, int i)
{
	ASSERT_EQ(0, chdir(FS_DIR));
	ASSERT_EQ(0, chdir(tree_names[i]));
}

static void remove_trees(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, chdir(FS_DIR));
	for (size_t i = 0; i < ARRAY_SIZE(tree_names); i++)
		if (is_there(tree_names[i])) {
			ASSERT_EQ(0, tree_remove(tree_names[i]));
		}
}

static bool is_cached(const char *name)
{
	const struct open_how how = {
		.flags = O_PATH,
		.resolve = RESOLVE_CACHED,
	};
	const int fd = sys_openat2(AT_FDCWD, name, &how);

	return fd >= 0 && !close(fd);
}

/* Has the dcache drop a name. False on file systems that have no other place. */
static bool forget(struct __test_metadata *const _metadata, const char *name)
{
	/* More than once, as what was used lately is spared at first. */
	for (int i = 0; i < 3 && is_cached(name); i++)
		ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", 0, "2"));
	return !is_cached(name);
}

/* ------------------------------ the walk ------------------------------- */

static bool skip(const char *fs, const struct operation *op, const char *why)
{
	fprintf(TH_LOG_STREAM, "# skip: %s: %s: %s\n", fs, op->call, why);
	return false;
}

static bool is_unsupported(long ret)
{
	return ret == -EOPNOTSUPP || ret == -EINVAL || ret == -ENOTTY ||
	       ret == -ENOSYS;
}

/* Does it work where no one looks? */
static bool is_supported(struct __test_metadata *const _metadata,
			 const char *fs, const struct operation *op)
{
	struct job *job;
	long ret;

	snprintf(row, sizeof(row), "%s, unwatched", op->call);
	enter_tree(_metadata, UNWATCHED);
	if (op->cold && !forget(_metadata, op->cold))
		return skip(fs, op, "names are always in the dcache");

	job = prepare_job(_metadata, op);
	job_go(_metadata, job);
	ret = end_job(_metadata, job);
	if (is_unsupported(ret))
		return skip(fs, op, strerror(-ret));
	if (op->fails) {
		ASSERT_EQ(-op->fails, ret);
	} else {
		ASSERT_LE(0, ret)
			TH_LOG("%s", strerror(-ret));
	}
	return true;
}

static void expect_returned(struct __test_metadata *const _metadata,
			    const struct try *try)
{
	if (is_denied(try)) {
		EXPECT_EQ(-try->verdict.error, try->ret);
	} else if (try->op->fails) {
		EXPECT_EQ(-try->op->fails, try->ret);
	} else {
		EXPECT_LE(0, try->ret);
	}
}

static void try_call(struct __test_metadata *const _metadata, struct group *g,
		     struct try *try)
{
	struct fids fids[NR_STEPS] = {};
	struct snapshot was;
	struct job *job;

	memset(unnamed_fid, 0, sizeof(*unnamed_fid));
	/* To open a file for writing changes it where that copies it up. */
	job = prepare_job(_metadata, try->op);
	snapshot(_metadata, &was);
	find_fids(_metadata, try->op, fids);
	mark_all(_metadata, g, try->op, try->kind);
	if (try->op->cold) {
		ASSERT_TRUE(forget(_metadata, try->op->cold));
	}

	watch_call(_metadata, g, job, try);

	unmark_all(_metadata, g, try->kind);
	find_fids(_metadata, try->op, fids);
	expect_returned(_metadata, try);
	expect_seen(_metadata, try, fids);
	expect_left(_metadata, try, &was);
	/* The next one is to find what this one did. */
	if (was_begun(try))
		unlink(NEW);
}

/* Each step is denied, until all are allowed, which changes the tree. */
static void try_kind(struct __test_metadata *const _metadata,
		     FIXTURE_DATA(operations) *self,
		     const struct operation *op, enum kind kind)
{
	struct try try;

	snprintf(row, sizeof(row), "%s, mark of %s", op->call,
		 tree_names[kind]);
	enter_tree(_metadata, kind);
	for (int i = count_steps(op) - 1; i >= NOT_DENIED; i--) {
		try = (struct try) {
			.op = op,
			.kind = kind,
			.denied = i,
			.verdict = verdicts[self->denials++ %
					    ARRAY_SIZE(verdicts)],
		};
		try_call(_metadata, self->g, &try);
	}
}

static void walk_row(struct __test_metadata *const _metadata,
		     FIXTURE_DATA(operations) *self, const char *fs,
		     const struct operation *op)
{
	const bool layered = !strcmp(fs, "overlay");

	if (layered)
		make_lower_trees(_metadata, op);
	else
		make_trees(_metadata, op);

	if (is_supported(_metadata, fs, op)) {
		shared->worked[op - operations] = true;
		for (int kind = 0; kind < NR_KINDS; kind++)
			if (is_seen(op, kind))
				try_kind(_metadata, self, op, kind);
	}
	if (!layered)
		remove_trees(_metadata);
}

TEST_F(operations, table)
{
	FOR_EACH_ROW(i, operations)
		walk_row(_metadata, self, variant->fs, &operations[i]);
	shared->walked++;
}

/* What no file system can do was not tested, and no one would have noticed. */
FIXTURE(coverage)
{
};

FIXTURE_SETUP(coverage)
{
	REQUIRE_CLASS();
}

FIXTURE_TEARDOWN(coverage)
{
}

TEST_F(coverage, every_row)
{
	if (shared->walked < NR_FILE_SYSTEMS)
		SKIP(return, "only %d file systems were walked",
		     shared->walked);
	for (size_t i = 0; i < NR_ROWS; i++) {
		EXPECT_TRUE(shared->worked[i])
			TH_LOG("on no file system: %s", operations[i].call);
	}
}

TEST_HARNESS_MAIN
