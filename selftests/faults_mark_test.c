// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of groups that run out of memory: each allocation of fanotify_mark(2)
 * fails in turn, on a file system that no one has marked before. It is as it was
 * then, and so is the number of marks that a user has.
 */

#include "faults.h"
#include "fs.h"
#include "marks.h"

#define OTHER		WORK_DIR "/other"
#define FLUSH_IGNORE	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)
#define ADD_IGNORE	(FAN_MARK_ADD | FAN_MARK_IGNORE_SURV)

FIXTURE(mark_faults)
{
	struct group *g;
};

FIXTURE_SETUP(mark_faults)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir(OTHER, 0755));
	REQUIRE_FAULTS(&all_code);
	ASSERT_EQ(0, fault_open());
	self->g = group_open(_metadata, FAN_REPORT_DFID_NAME);
}

FIXTURE_TEARDOWN(mark_faults)
{
	faults_end();
	test_end(_metadata);
}

static const struct command {
	const char *name;
	unsigned int flags;
	__u64 mask;
	__u64 before;		/* what is marked before that, and ignored */
	__u64 ignored_before;
	__u64 after;
	__u64 ignored_after;
} commands[] = {
	{
		.name = "add",
		.flags = FAN_MARK_ADD, .mask = FAN_MODIFY,
		.after = FAN_BOTH(FAN_MODIFY),
	}, {
		.name = "add to what there is",
		.flags = FAN_MARK_ADD, .mask = FAN_MODIFY,
		.before = FAN_BOTH(FAN_ATTRIB),
		.after = FAN_BOTH(FAN_MODIFY | FAN_ATTRIB),
	}, {
		.name = "ignore",
		.flags = ADD_IGNORE, .mask = FAN_MODIFY,
		.ignored_after = FAN_BOTH(FAN_MODIFY),
	}, {
		.name = "remove",
		.flags = FAN_MARK_REMOVE, .mask = FAN_MODIFY,
		.before = FAN_BOTH(FAN_MODIFY | FAN_ATTRIB),
		.after = FAN_BOTH(FAN_ATTRIB),
	}, {
		.name = "remove all",
		.flags = FAN_MARK_REMOVE, .mask = FAN_MODIFY,
		.before = FAN_BOTH(FAN_MODIFY),
	}, {
		.name = "flush",
		.flags = FAN_MARK_FLUSH,
		.before = FAN_BOTH(FAN_MODIFY),
		.ignored_before = FAN_BOTH(FAN_ATTRIB),
	}, {
		.name = "flush what is ignored",
		.flags = FLUSH_IGNORE,
		.before = FAN_BOTH(FAN_MODIFY),
		.ignored_before = FAN_BOTH(FAN_ATTRIB),
		.after = FAN_BOTH(FAN_MODIFY),
	},
};

/* One of a file system that no one has marked before, or of what is on it. */
static void try_command(struct __test_metadata *const _metadata,
			struct group *g, const struct command *c, int type,
			unsigned int sync)
{
	const unsigned int flag = types[type].flag;
	const char *path = flag == FAN_MARK_INODE ? OTHER "/file" : OTHER;
	int ret;

	FOR_EACH_FAULT(f) {
		tmpfs_mount(_metadata, OTHER, FS_SIZE);
		put_file(_metadata, OTHER "/file", "");
		if (c->before)
			mark(_metadata, g, FAN_MARK_ADD | flag, c->before, path);
		if (c->ignored_before)
			mark(_metadata, g, ADD_IGNORE | flag, c->ignored_before,
			     path);
		FAULT(&f, ret = sys_fanotify_mark(g->fd, c->flags | flag | sync,
						  c->mask, AT_FDCWD, path));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		if (ret)
			expect_mark(_metadata, g, types[type].kind, c->before,
				    c->ignored_before);
		else
			expect_mark(_metadata, g, types[type].kind, c->after,
				    c->ignored_after);
		mark(_metadata, g, FAN_MARK_FLUSH | flag, 0, OTHER);
		ASSERT_EQ(0, umount(OTHER));
		if (_metadata->exit_code)
			TH_LOG("%s, %s%s", c->name, types[type].kind,
			       sync ? ", FAN_MARK_SYNC" : "");
	}
}

/* A mark that was not made counts for nothing. */
TEST_F(mark_faults, commands)
{
	static const unsigned int sync[] = { 0, FAN_MARK_SYNC };

	limit_marks_start(_metadata);
	limit_marks(_metadata, 4);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		for (size_t type = 0; type < TYPES; type++)
			for (size_t j = 0; j < ARRAY_SIZE(sync); j++)
				try_command(_metadata, self->g, &commands[i],
					    type, sync[j]);
}

TEST_HARNESS_MAIN
