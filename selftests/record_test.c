// SPDX-License-Identifier: GPL-2.0
/*
 * What an event says of the object and its name: the same as the system calls
 * that tell it.
 */

#include "fs.h"
#include "group.h"

FIXTURE(record)
{
	struct group *g;
};

FIXTURE_VARIANT(record)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(record, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(record, ext4)
{
	.fs = "ext4",
};

FIXTURE_SETUP(record)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	ASSERT_EQ(0, mkdir("dir", 0755));
	put_file(_metadata, "dir/file", "");
	put_file(_metadata, "top", "");
	ASSERT_EQ(0, link("dir/file", "link"));
}

FIXTURE_TEARDOWN(record)
{
	test_end(_metadata);
}

static struct group *open_group(struct __test_metadata *const _metadata,
				unsigned int flags)
{
	struct group *g = group_open(_metadata, flags);

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	return g;
}

/* Lets a job write, and returns both of its events. */
static void watch_write(struct __test_metadata *const _metadata,
			struct group *g, struct job *job, struct event ev[2])
{
	ev[0] = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &ev[0]);
	EXPECT_EQ(2, job_join(_metadata, job));
	ev[1] = expect_post(_metadata, g, &ev[0], 2);
}

static void expect_object(struct __test_metadata *const _metadata,
			  const struct event ev[2], const char *path)
{
	const struct fid fid = fid_of(_metadata, path);

	for (int i = 0; i < 2; i++)
		EXPECT_TRUE(same_fid(&fid, &ev[i].fid));
}

static void expect_name(struct __test_metadata *const _metadata,
			const struct event ev[2], const char *dir,
			const char *name)
{
	const struct fid fid = fid_of(_metadata, dir);

	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(RECORD_OP | RECORD_NAME | RECORD_FID | RECORD_RANGE,
			  ev[i].records);
		EXPECT_TRUE(same_fid(&fid, &ev[i].dir));
		EXPECT_STREQ(name, ev[i].name);
	}
}

static void expect_no_name(struct __test_metadata *const _metadata,
			   const struct event ev[2])
{
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, ev[i].records);
}

/* Handles are reported whatever is asked for, and names only if they are. */
TEST_F(record, object)
{
	static const unsigned int flags[] = {
		0, FAN_REPORT_FID, FAN_REPORT_DIR_FID,
		FAN_REPORT_FID | FAN_REPORT_DIR_FID,
	};
	struct event ev[2];

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct group *g = open_group(_metadata, flags[i]);

		watch_write(_metadata, g,
			    write_start(_metadata, "dir/file", "ab"), ev);
		expect_no_name(_metadata, ev);
		expect_object(_metadata, ev, "dir/file");
		watch_write(_metadata, g, write_start(_metadata, "top", "ab"),
			    ev);
		expect_no_name(_metadata, ev);
		expect_object(_metadata, ev, "top");
		expect_silence(_metadata, g);
		group_close(g);
	}
}

TEST_F(record, name)
{
	static const unsigned int flags[] = {
		FAN_REPORT_DFID_NAME, FAN_REPORT_DFID_NAME | FAN_REPORT_FID,
		FAN_REPORT_DFID_NAME_TARGET,
	};
	static const struct {
		const char *path, *dir, *name;
	} cases[] = {
		{ "dir/file", "dir", "file" },
		{ "top", ".", "top" },
		{ "link", ".", "link" },
		{ "dir/../link", ".", "link" },
	};
	struct event ev[2];

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct group *g = open_group(_metadata, flags[i]);

		for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
			watch_write(_metadata, g,
				    write_start(_metadata, cases[k].path,
						"ab"), ev);
			expect_name(_metadata, ev, cases[k].dir,
				    cases[k].name);
			expect_object(_metadata, ev, cases[k].path);
		}
		expect_silence(_metadata, g);
		group_close(g);
	}
}

/* Of every length as to how it is padded, and the longest. */
TEST_F(record, name_lengths)
{
	static const int lengths[] = { 1, 2, 3, 4, 5, 31, 32, 33, NAME_MAX };
	struct group *g = open_group(_metadata, FAN_REPORT_DFID_NAME);
	char name[NAME_MAX + 1], path[NAME_MAX + 8];
	struct event ev[2];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(name, 'a' + i, lengths[i]);
		name[lengths[i]] = '\0';
		snprintf(path, sizeof(path), "dir/%s", name);
		put_file(_metadata, path, "");
		watch_write(_metadata, g, write_start(_metadata, path, "ab"),
			    ev);
		expect_name(_metadata, ev, "dir", name);
		expect_object(_metadata, ev, path);
	}
}

/* Jobs that hold the file, and write when its name is no longer the same. */
static int file_fd;

static long write_fd(void *arg)
{
	return write(file_fd, arg, 2);
}

TEST_F(record, renamed)
{
	struct group *g = open_group(_metadata, FAN_REPORT_DFID_NAME);
	struct event ev[2];

	file_fd = open("top", O_WRONLY);
	ASSERT_LE(0, file_fd);
	ASSERT_EQ(0, rename("top", "dir/renamed"));
	watch_write(_metadata, g, job_start(_metadata, write_fd, "ab"), ev);
	expect_name(_metadata, ev, "dir", "renamed");
	expect_object(_metadata, ev, "dir/renamed");
	close(file_fd);
}

TEST_F(record, unlinked)
{
	struct group *g = open_group(_metadata, FAN_REPORT_DFID_NAME);
	const struct fid fid = fid_of(_metadata, "top");
	struct event ev[2];

	file_fd = open("top", O_WRONLY);
	ASSERT_LE(0, file_fd);
	ASSERT_EQ(0, unlink("top"));
	watch_write(_metadata, g, job_start(_metadata, write_fd, "ab"), ev);
	expect_no_name(_metadata, ev);
	EXPECT_TRUE(same_fid(&fid, &ev[0].fid));
	close(file_fd);
}

TEST_F(record, never_linked)
{
	struct group *g = open_group(_metadata, FAN_REPORT_DFID_NAME);
	struct event ev[2];
	char path[32];

	file_fd = open("dir", O_TMPFILE | O_WRONLY, 0600);
	ASSERT_LE(0, file_fd);
	watch_write(_metadata, g, job_start(_metadata, write_fd, "ab"), ev);
	expect_no_name(_metadata, ev);

	/* It is known by its handle once it has a name. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	ASSERT_EQ(0, linkat(AT_FDCWD, path, AT_FDCWD, "dir/new",
			    AT_SYMLINK_FOLLOW));
	expect_object(_metadata, ev, "dir/new");
	close(file_fd);
}

#define WRITES	300

static int *stop_renaming;	/* shared with the jobs */

static long write_fd_often(void *arg)
{
	for (int i = 0; i < WRITES; i++)
		if (write_fd(arg) != 2)
			return -1;
	return 0;
}

static long rename_all_the_time(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(stop_renaming, __ATOMIC_RELAXED))
		if (rename("top", "dir/renamed") || rename("dir/renamed", "top"))
			return -1;
	return 0;
}

/*
 * The directory and the name are of the same moment, whoever renames meanwhile,
 * and there always is one: how often it is looked for has a bound.
 */
TEST_F(record, renamed_all_the_time)
{
	struct group *g = open_group(_metadata, FAN_REPORT_DFID_NAME);
	const struct fid top = fid_of(_metadata, ".");
	const struct fid dir = fid_of(_metadata, "dir");
	struct job *writer, *renamer;

	stop_renaming = mmap(NULL, sizeof(*stop_renaming),
			     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	ASSERT_NE(MAP_FAILED, stop_renaming);
	file_fd = open("top", O_WRONLY);
	ASSERT_LE(0, file_fd);
	renamer = job_start(_metadata, rename_all_the_time, NULL);
	writer = job_start(_metadata, write_fd_often, "ab");
	for (int i = 0; i < 2 * WRITES; i++) {
		const struct event ev = event_next(_metadata, g);
		const bool at_top = !strcmp(ev.name, "top");

		EXPECT_EQ(RECORD_OP | RECORD_NAME | RECORD_FID | RECORD_RANGE,
			  ev.records);
		EXPECT_STREQ(at_top ? "top" : "renamed", ev.name);
		EXPECT_TRUE(same_fid(at_top ? &top : &dir, &ev.dir));
		if (ev.mask & ALL_PRE)
			allow(_metadata, g, &ev);
	}
	EXPECT_EQ(0, job_join(_metadata, writer));
	__atomic_store_n(stop_renaming, 1, __ATOMIC_RELAXED);
	EXPECT_EQ(0, job_join(_metadata, renamer));
	close(file_fd);
}

TEST_HARNESS_MAIN
