// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_OP_LAST_LINK: with the end of a removal, or of a rename that replaces, it
 * is told that the object has no name any more.
 */

#include <linux/fs.h>

#include "fs.h"
#include "group.h"
#include "hold.h"

FIXTURE(last_link)
{
	struct group *g;
};

FIXTURE_VARIANT(last_link)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(last_link, tmpfs) { .fs = "tmpfs" };
FIXTURE_VARIANT_ADD(last_link, ext4) { .fs = "ext4" };
FIXTURE_VARIANT_ADD(last_link, btrfs) { .fs = "btrfs" };
FIXTURE_VARIANT_ADD(last_link, overlay) { .fs = "overlay" };

FIXTURE_SETUP(last_link)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	put_file(_metadata, "single", "");
	put_file(_metadata, "new", "");
	put_file(_metadata, "one", "");
	ASSERT_EQ(0, link("one", "two"));
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("dir2", 0755));
	ASSERT_EQ(0, mkdir("full", 0755));
	put_file(_metadata, "full/file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_DELETE | FAN_MOVE | FAN_ONDIR, ".");
}

FIXTURE_TEARDOWN(last_link)
{
	test_end(_metadata);
}

static long do_unlink(void *arg)
{
	return unlink(arg);
}

static long do_rmdir(void *arg)
{
	return rmdir(arg);
}

static long rename_new_to(void *arg)
{
	return rename("new", arg);
}

static long rename_dir_to(void *arg)
{
	return rename("dir", arg);
}

static long rename_one_to(void *arg)
{
	return rename("one", arg);
}

static long exchange_new_with(void *arg)
{
	return renameat2(AT_FDCWD, "new", AT_FDCWD, arg, RENAME_EXCHANGE);
}

static const struct row {
	const char *what;
	job_fn fn;
	const char *path;
	long result;
	__u32 flags;
} rows[] = {
	{ "unlink of one of two names", do_unlink, "one", 0, 0 },
	{ "unlink of the other", do_unlink, "two", 0, FAN_OP_LAST_LINK },
	{ "unlink of a name", do_unlink, "single", 0, FAN_OP_LAST_LINK },
	{ "rmdir that fails", do_rmdir, "full", -ENOTEMPTY, 0 },
	{ "rmdir", do_rmdir, "dir", 0, FAN_OP_LAST_LINK },
}, replacing[] = {
	{ "rename that exchanges", exchange_new_with, "single", 0, 0 },
	{ "rename that replaces nothing", rename_new_to, "newer", 0, 0 },
	{ "rename to another name of it", rename_one_to, "two", 0, 0 },
	{ "rename to a directory", rename_dir_to, "full", -ENOTEMPTY, 0 },
	{ "rename that replaces a directory", rename_dir_to, "dir2", 0,
	  FAN_OP_LAST_LINK },
}, replacing_files[] = {
	{ "rename that replaces one of two names", rename_new_to, "one", 0, 0 },
	{ "rename that replaces the other", rename_one_to, "two", 0,
	  FAN_OP_LAST_LINK },
};

static void expect_row(struct __test_metadata *const _metadata,
		       struct group *g, const struct row *r)
{
	struct event pre, post;
	struct job *job;

	snprintf(row, sizeof(row), "%s", r->what);
	job = job_start(_metadata, r->fn, (void *)r->path);
	pre = event_next(_metadata, g);
	EXPECT_NE(0ULL, pre.mask & ALL_PRE);
	EXPECT_EQ(0U, pre.flags);
	allow(_metadata, g, &pre);
	EXPECT_EQ(r->result, job_join(_metadata, job));
	post = event_next(_metadata, g);
	EXPECT_NE(0ULL, post.mask & ALL_POST);
	EXPECT_EQ(pre.cookie, post.cookie);
	EXPECT_EQ(r->result, post.result);
	EXPECT_EQ(r->flags, post.flags);
}

TEST_F(last_link, removed)
{
	FOR_EACH_ROW(i, rows)
		expect_row(_metadata, self->g, &rows[i]);
}

TEST_F(last_link, replaced)
{
	FOR_EACH_ROW(i, replacing)
		expect_row(_metadata, self->g, &replacing[i]);
}

TEST_F(last_link, replaced_files)
{
	FOR_EACH_ROW(i, replacing_files)
		expect_row(_metadata, self->g, &replacing_files[i]);
}

/*
 * What counts is how many names there are when it is removed, and not when it
 * is asked about: another was made, or has gone, by the time of the answer.
 */
TEST_F(last_link, another_is_made)
{
	struct job *job = job_start(_metadata, do_unlink, "single");
	const struct event pre = event_next(_metadata, self->g);
	struct event post;

	ASSERT_EQ(0, link("single", "other"));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(0U, post.flags);
	EXPECT_EQ(0, post.result);
}

TEST_F(last_link, other_has_gone)
{
	struct job *job = job_start(_metadata, do_unlink, "one");
	const struct event pre = event_next(_metadata, self->g);
	struct event post;

	ASSERT_EQ(0, unlink("two"));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	EXPECT_EQ((__u32)FAN_OP_LAST_LINK, post.flags);
	EXPECT_EQ(0, post.result);
}

TEST_HARNESS_MAIN
