// SPDX-License-Identifier: GPL-2.0
/*
 * A file that all groups ignore is passed in a quick way. It is not taken for
 * another file, event, mount or name, nor are those groups taken for all; and
 * who has waited for a mark to be in effect is not passed by.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"

#define BIND_DIR	"bind"
#define IGNORE		(FAN_MARK_ADD | FAN_MARK_IGNORE_SURV)

FIXTURE(passing)
{
	struct group *g;	/* watches the file system, ignores the file */
	struct group *other;	/* watches nothing yet */
};

/* Nobody knows of a write, the first or another. */
static void write_unseen(struct __test_metadata *const _metadata,
			 struct group *g, struct group *other, const char *path)
{
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(2, job_join(_metadata,
				      write_start(_metadata, path, "AS")));
		expect_silence(_metadata, g);
		expect_silence(_metadata, other);
	}
}

static void write_seen(struct __test_metadata *const _metadata,
		       struct group *g, const char *path)
{
	serve_write(_metadata, g, write_start(_metadata, path, "AS"), 2);
	expect_silence(_metadata, g);
}

FIXTURE_SETUP(passing)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	ASSERT_EQ(0, mkdir("dir", 0700));
	ASSERT_EQ(0, link("file", "dir/link"));
	ASSERT_EQ(0, mkdir(BIND_DIR, 0700));
	ASSERT_EQ(0, mount(FS_DIR, BIND_DIR, NULL, MS_BIND, NULL));

	self->g = group_open(_metadata, 0);
	self->other = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_ACCESS, ".");
	mark(_metadata, self->g, IGNORE, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(passing)
{
	test_end(_metadata);
}

/* What is ignored of another file is something else. */
TEST_F(passing, which_file)
{
	put_file(_metadata, "file2", "as it was");
	mark(_metadata, self->g, IGNORE, FAN_ACCESS, "file2");
	write_unseen(_metadata, self->g, self->other, "file");
	write_seen(_metadata, self->g, "file2");
}

static long do_pread(void *arg)
{
	const char *path = arg;
	int fd = open(path, O_RDONLY);
	char buf[4];

	return fd < 0 ? -1 : pread(fd, buf, sizeof(buf), 0);
}

static struct job *read_start(struct __test_metadata *const _metadata)
{
	return job_start(_metadata, do_pread, "file");
}

/* Reads are not writes. */
TEST_F(passing, which_event)
{
	struct event pre;
	struct job *job;

	write_unseen(_metadata, self->g, self->other, "file");
	job = read_start(_metadata);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(4, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 4);

	/* Both are ignored, and then one of them. */
	mark(_metadata, self->g, IGNORE, FAN_ACCESS, "file");
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(4, job_join(_metadata, read_start(_metadata)));
		write_unseen(_metadata, self->g, self->other, "file");
	}
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	EXPECT_EQ(4, job_join(_metadata, read_start(_metadata)));
	write_seen(_metadata, self->g, "file");
	EXPECT_EQ(4, job_join(_metadata, read_start(_metadata)));
	expect_silence(_metadata, self->g);
}

/* Those who watch a mount watch what is done through it, and nothing else. */
TEST_F(passing, which_mount)
{
	mark(_metadata, self->other, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
	     BIND_DIR);
	write_unseen(_metadata, self->g, self->other, "file");
	write_seen(_metadata, self->other, BIND_DIR "/file");
	write_unseen(_metadata, self->g, self->other, "file");

	/* Ignored there as well, as long as it is. */
	mark(_metadata, self->other, IGNORE, FAN_MODIFY, "file");
	write_unseen(_metadata, self->g, self->other, BIND_DIR "/file");
	mark(_metadata, self->other, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	write_seen(_metadata, self->other, BIND_DIR "/file");
}

/* The same for a directory, and the names that are in it. */
TEST_F(passing, which_name)
{
	mark(_metadata, self->other, FAN_MARK_ADD,
	     FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir");
	write_unseen(_metadata, self->g, self->other, "file");
	write_seen(_metadata, self->other, "dir/link");
	write_unseen(_metadata, self->g, self->other, "file");
}

/* A new group is none of those that ignore the file. */
TEST_F(passing, which_groups)
{
	struct group *newer;

	write_unseen(_metadata, self->g, self->other, "file");
	newer = group_open(_metadata, 0);
	mark(_metadata, newer, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	write_seen(_metadata, newer, "file");
	mark(_metadata, newer, IGNORE, FAN_MODIFY, "file");
	write_unseen(_metadata, self->g, newer, "file");
	group_close(newer);
	write_unseen(_metadata, self->g, self->other, "file");
}

struct change {
	unsigned int flags;
	__u64 mask;
	const char *path;
};

FIXTURE(looking)
{
	struct group *g;	/* watches the file system, ignores the file */
	struct group *other;
	struct job *writer;	/* is about to look at the marks of the file */
};

/* How @other comes to watch for the write of a file that all ignore. */
FIXTURE_VARIANT(looking)
{
	struct change before;	/* or flags 0: nothing */
	struct change change;
};

FIXTURE_VARIANT_ADD(looking, mount)
{
	.change = { FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, BIND_DIR },
};

FIXTURE_VARIANT_ADD(looking, directory)
{
	.change = { FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, "dir" },
};

FIXTURE_VARIANT_ADD(looking, file)
{
	.change = { FAN_MARK_ADD, FAN_MODIFY, "file" },
};

FIXTURE_VARIANT_ADD(looking, file_system)
{
	.change = { FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
};

FIXTURE_VARIANT_ADD(looking, ignore_mask)
{
	.before = { FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
	.change = { FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV, FAN_MODIFY, "file" },
};

FIXTURE_SETUP(looking)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	ASSERT_EQ(0, mkdir("dir", 0700));
	put_file(_metadata, "dir/link", "as it was");
	ASSERT_EQ(0, link("dir/link", "file"));
	ASSERT_EQ(0, mkdir(BIND_DIR, 0700));
	ASSERT_EQ(0, mount(FS_DIR, BIND_DIR, NULL, MS_BIND, NULL));

	self->g = group_open(_metadata, 0);
	self->other = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, IGNORE, FAN_MODIFY, "file");
	if (variant->before.flags) {
		mark(_metadata, self->other, variant->before.flags,
		     variant->before.mask, variant->before.path);
		mark(_metadata, self->other, IGNORE, FAN_MODIFY, "file");
	}

	self->writer = write_prepare(_metadata, BIND_DIR "/dir/link", "AS");
	hold(_metadata, "look", self->writer->pid);
	job_go(_metadata, self->writer);
	wait_held(_metadata, "look");
}

FIXTURE_TEARDOWN(looking)
{
	test_end(_metadata);
}

/* It is before it looks that the mark is in effect: it has to be seen. */
TEST_F(looking, asks_who_has_waited)
{
	mark(_metadata, self->other, variant->change.flags | FAN_MARK_SYNC,
	     variant->change.mask, variant->change.path);
	release(_metadata, "look");
	serve_write(_metadata, self->other, self->writer, 2);
	expect_silence(_metadata, self->other);
	expect_silence(_metadata, self->g);
}

/* Who is about to look is one in flight: it is before the barrier. */
TEST_F(looking, is_in_flight)
{
	struct event end;

	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	expect_nothing(_metadata, self->g);
	release(_metadata, "look");
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	end = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_Q_BARRIER, end.mask);
}

TEST_HARNESS_MAIN
