// SPDX-License-Identifier: GPL-2.0
/*
 * Which operations a mark is about, and what ignore masks take away: one table
 * of marks, a file to write to, and what the group is to see of it.
 */

#include "fs.h"
#include "group.h"

#define BIND_DIR WORK_DIR "/bind"

#define IGNORE (FAN_MARK_ADD | FAN_MARK_IGNORE_SURV)

/* What a group sees of a write. */
enum seen {
	NOTHING,
	PAIR,		/* PRE, to be answered, and POST */
	PRE_ONLY,
	UNPAIRED,	/* POST alone */
};

struct one_mark {
	unsigned int flags;	/* FAN_MARK_ADD if there is no command */
	__u64 mask;
	const char *path;
};

struct scope_case {
	const char *name;
	struct one_mark marks[5];	/* up to one without a path */
	const char *path;		/* "dir/child" if not given */
	enum seen seen;
};

static const struct scope_case cases[] = {
	{
		"inode", { { 0, FAN_MODIFY, "dir/child" } },
		.seen = PAIR,
	}, {
		"another inode", { { 0, FAN_MODIFY, "file" } },
		.seen = NOTHING,
	}, {
		"inode, by another name", { { 0, FAN_MODIFY, "link" } },
		.seen = PAIR,
	}, {
		"parent",
		{ { 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir" } },
		.seen = PAIR,
	}, {
		"parent, not for children", { { 0, FAN_MODIFY, "dir" } },
		.seen = NOTHING,
	}, {
		"parent, of another name",
		{ { 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir" } },
		.path = "link", .seen = NOTHING,
	}, {
		"grandparent",
		{ { 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "." } },
		.seen = NOTHING,
	}, {
		"mount", { { FAN_MARK_MOUNT, FAN_MODIFY, "." } },
		.seen = PAIR,
	}, {
		"mount, through another",
		{ { FAN_MARK_MOUNT, FAN_MODIFY, "." } },
		.path = BIND_DIR "/dir/child", .seen = NOTHING,
	}, {
		"another mount",
		{ { FAN_MARK_MOUNT, FAN_MODIFY, BIND_DIR } },
		.seen = NOTHING,
	}, {
		"another mount, through it",
		{ { FAN_MARK_MOUNT, FAN_MODIFY, BIND_DIR } },
		.path = BIND_DIR "/dir/child", .seen = PAIR,
	}, {
		"file system", { { FAN_MARK_FILESYSTEM, FAN_MODIFY, "file" } },
		.seen = PAIR,
	}, {
		"file system, through another mount",
		{ { FAN_MARK_FILESYSTEM, FAN_MODIFY, "." } },
		.path = BIND_DIR "/dir/child", .seen = PAIR,
	}, {
		"another file system",
		{ { FAN_MARK_FILESYSTEM, FAN_MODIFY, WORK_DIR } },
		.seen = NOTHING,
	}, {
		"all at once", {
			{ 0, FAN_MODIFY, "dir/child" },
			{ 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir" },
			{ FAN_MARK_MOUNT, FAN_MODIFY, "." },
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
		}, .seen = PAIR,
	}, {
		"PRE here and POST there", {
			{ 0, FAN_PRE(FAN_MODIFY), "dir/child" },
			{ FAN_MARK_FILESYSTEM, FAN_POST(FAN_MODIFY), "." },
		}, .seen = PAIR,
	}, {
		"another event", { { 0, FAN_ATTRIB | FAN_ACCESS, "dir/child" } },
		.seen = NOTHING,
	}, {
		"PRE alone", { { 0, FAN_PRE(FAN_MODIFY), "dir/child" } },
		.seen = PRE_ONLY,
	}, {
		"POST alone", { { 0, FAN_POST(FAN_MODIFY), "dir/child" } },
		.seen = UNPAIRED,
	}, {
		"PRE alone of a file system",
		{ { FAN_MARK_FILESYSTEM, FAN_PRE(FAN_MODIFY), "." } },
		.seen = PRE_ONLY,
	}, {
		"POST alone of a mount",
		{ { FAN_MARK_MOUNT, FAN_POST(FAN_MODIFY), "." } },
		.seen = UNPAIRED,
	}, {
		"inode ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_MODIFY, "dir/child" },
		}, .seen = NOTHING,
	}, {
		"inode ignored, evictable", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY,
			  "dir/child" },
		}, .seen = NOTHING,
	}, {
		"inode ignored, in one mark", {
			{ 0, FAN_MODIFY, "dir/child" },
			{ IGNORE, FAN_MODIFY, "dir/child" },
		}, .seen = NOTHING,
	}, {
		"another inode ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_MODIFY, "file" },
		}, .seen = PAIR,
	}, {
		"another event ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_ATTRIB | FAN_ACCESS, "dir/child" },
		}, .seen = PAIR,
	}, {
		"PRE alone ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_PRE(FAN_MODIFY), "dir/child" },
		}, .seen = UNPAIRED,
	}, {
		"parent ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir" },
		}, .seen = NOTHING,
	}, {
		"parent ignored, not for children", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE, FAN_MODIFY, "dir" },
		}, .seen = PAIR,
	}, {
		"mount ignored", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE | FAN_MARK_MOUNT, FAN_MODIFY, "." },
		}, .seen = NOTHING,
	}, {
		"mount ignored, through another", {
			{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
			{ IGNORE | FAN_MARK_MOUNT, FAN_MODIFY, "." },
		}, .path = BIND_DIR "/dir/child", .seen = PAIR,
	}, {
		"file system ignored", {
			{ 0, FAN_MODIFY, "dir/child" },
			{ IGNORE | FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
		}, .seen = NOTHING,
	}, {
		"only ignored", {
			{ IGNORE | FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
		}, .seen = NOTHING,
	},
};

FIXTURE(scope)
{
};

FIXTURE_SETUP(scope)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("dir", 0755));
	put_file(_metadata, "file", "");
	put_file(_metadata, "dir/child", "");
	ASSERT_EQ(0, link("dir/child", "link"));
	ASSERT_EQ(0, mkdir(BIND_DIR, 0755));
	ASSERT_EQ(0, mount(FS_DIR, BIND_DIR, NULL, MS_BIND, NULL));
}

FIXTURE_TEARDOWN(scope)
{
	test_end(_metadata);
}

static void add_marks(struct __test_metadata *const _metadata,
		      struct group *g, const struct one_mark *m)
{
	for (; m->path; m++)
		mark(_metadata, g, m->flags | FAN_MARK_ADD, m->mask, m->path);
}

static void expect_seen(struct __test_metadata *const _metadata,
			struct group *g, struct job *job, enum seen seen)
{
	const pid_t pid = job->pid;
	struct event pre;

	if (seen == PAIR || seen == PRE_ONLY) {
		pre = expect_pre(_metadata, g, pid);
		expect_blocked(_metadata, job);
		allow(_metadata, g, &pre);
	}
	EXPECT_EQ(2, job_join(_metadata, job));
	if (seen == PAIR)
		expect_post(_metadata, g, &pre, 2);
	else if (seen == UNPAIRED)
		expect_unpaired(_metadata, g, pid, 2);
	expect_silence(_metadata, g);
}

TEST_F(scope, table)
{
	FOR_EACH_ROW(i, cases) {
		const struct scope_case *c = &cases[i];
		const char *path = c->path ?: "dir/child";
		struct group *g = group_open(_metadata, 0);

		snprintf(row, sizeof(row), "%s", c->name);
		add_marks(_metadata, g, c->marks);
		expect_seen(_metadata, g, write_start(_metadata, path, "ab"),
			    c->seen);
		group_close(g);
	}
}

/* What is added, removed or flushed counts from the next operation on. */
TEST_F(scope, changes)
{
	static const struct {
		struct one_mark change;
		enum seen seen;
	} steps[] = {
		{ { FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
		  PAIR },
		{ { IGNORE, FAN_MODIFY, "file" }, NOTHING },
		{ { FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
		    FAN_POST(FAN_MODIFY), "file" }, UNPAIRED },
		{ { FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
		    FAN_PRE(FAN_MODIFY), "file" }, PAIR },
		{ { IGNORE, FAN_MODIFY, "file" }, NOTHING },
		{ { FAN_MARK_FLUSH, 0, "file" }, PAIR },
		{ { FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
		    FAN_POST(FAN_MODIFY), "." }, PRE_ONLY },
		{ { FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, "." }, NOTHING },
	};
	struct group *g = group_open(_metadata, 0);

	FOR_EACH_ROW(i, steps) {
		const struct one_mark *c = &steps[i].change;

		snprintf(row, sizeof(row), "step %zu", i);
		mark(_metadata, g, c->flags, c->mask, c->path);
		expect_seen(_metadata, g, write_start(_metadata, "file", "ab"),
			    steps[i].seen);
	}
}

FIXTURE(evict)
{
};

FIXTURE_SETUP(evict)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "");
}

FIXTURE_TEARDOWN(evict)
{
	test_end(_metadata);
}

/* Ask for the inode to be dropped, and say whether it is. */
static bool ino_mark_gone(struct __test_metadata *const _metadata,
			  struct group *g)
{
	unsigned long long mask, ignored;

	sync();
	/* More than once, as what was used lately is spared at first. */
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", 0, "3"));
	return !group_mark(_metadata, g, "ino", &mask, &ignored);
}

/* An evictable ignore mark goes with its inode, and then hides nothing. */
TEST_F(evict, ignored_until_evicted)
{
	struct group *g = group_open(_metadata, 0);
	struct job *job;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, g, IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "ab");
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, g);

	ASSERT_TRUE(EVENTUALLY(ino_mark_gone(_metadata, g)));
	serve_write(_metadata, g, write_start(_metadata, "file", "ab"), 2);
}

TEST_HARNESS_MAIN
