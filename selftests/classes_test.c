// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_CLASS_VFS_FILTER beside the older classes and inotify: they see what
 * they asked for, as ever, and nothing of what is for filters; and they come
 * after them.
 */

#include <sys/inotify.h>

#include "fs.h"
#include "group.h"

FIXTURE(classes)
{
	struct group *g;
	int notif;	/* a group of FAN_CLASS_NOTIF */
	int inotify;
};

FIXTURE_VARIANT(classes)
{
	const char *path;
	unsigned int type;	/* of the mark of the filter */
	__u64 flags;
};

FIXTURE_VARIANT_ADD(classes, inode)
{
	.path = "dir/file",
	.type = FAN_MARK_INODE,
};

FIXTURE_VARIANT_ADD(classes, parent)
{
	.path = "dir",
	.type = FAN_MARK_INODE,
	.flags = FAN_EVENT_ON_CHILD,
};

FIXTURE_VARIANT_ADD(classes, mount)
{
	.path = ".",
	.type = FAN_MARK_MOUNT,
};

FIXTURE_VARIANT_ADD(classes, filesystem)
{
	.path = ".",
	.type = FAN_MARK_FILESYSTEM,
};

FIXTURE_SETUP(classes)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("dir", 0755));
	put_file(_metadata, "dir/file", "");

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | variant->type,
	     FAN_MODIFY | variant->flags, variant->path);

	self->notif = sys_fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK |
					FAN_REPORT_FID, 0);
	ASSERT_LE(0, self->notif);
	self->inotify = inotify_init1(IN_NONBLOCK);
	ASSERT_LE(0, self->inotify);
}

FIXTURE_TEARDOWN(classes)
{
	test_end(_metadata);
	close(self->notif);
	close(self->inotify);
}

/* Masks of all events that wait in a group of FAN_CLASS_NOTIF, one by one. */
static int notif_events(int fd, __u64 *masks, int max)
{
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *meta = (void *)buf;
	ssize_t len = read(fd, buf, sizeof(buf));
	int n = 0;

	for (; len > 0 && FAN_EVENT_OK(meta, len) && n < max; n++) {
		masks[n] = meta->mask;
		meta = FAN_EVENT_NEXT(meta, len);
	}
	return n;
}

static int inotify_events(int fd, __u64 *masks, int max)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t len = read(fd, buf, sizeof(buf)), pos = 0;
	int n = 0;

	while (pos < len && n < max) {
		const struct inotify_event *ev = (void *)(buf + pos);

		masks[n++] = ev->mask;
		pos += sizeof(*ev) + ev->len;
	}
	return n;
}

/* A mark for writes brings no event to one who did not ask for writes. */
TEST_F(classes, not_asked_not_told)
{
	__u64 masks[8];

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_ADD,
				       FAN_CLOSE_WRITE, AT_FDCWD, "dir/file"));
	ASSERT_LE(0, inotify_add_watch(self->inotify, "dir/file",
				       IN_CLOSE_WRITE));

	serve_write(_metadata, self->g,
		    write_start(_metadata, "dir/file", "ab"), 2);
	expect_silence(_metadata, self->g);

	ASSERT_EQ(1, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(FAN_CLOSE_WRITE, masks[0]);
	ASSERT_EQ(1, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(IN_CLOSE_WRITE, masks[0]);
}

TEST_F(classes, told_of_what_happened)
{
	struct event pre;
	struct job *job;
	__u64 masks[8];

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_ADD, FAN_MODIFY,
				       AT_FDCWD, "dir/file"));
	ASSERT_LE(0, inotify_add_watch(self->inotify, "dir/file", IN_MODIFY));

	/* A write that waits has not happened. */
	job = write_start(_metadata, "dir/file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_blocked(_metadata, job);
	EXPECT_EQ(0, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(0, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	ASSERT_EQ(1, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(FAN_MODIFY, masks[0]);
	ASSERT_EQ(1, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(IN_MODIFY, masks[0]);

	/* A write that was denied has not happened, either. */
	job = write_start(_metadata, "dir/file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(0, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(0, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));
}

static void expect_told(struct __test_metadata *const _metadata, int notif,
			int inotify)
{
	__u64 masks[8];

	/* By the owner of the group, which is not asked. */
	ASSERT_EQ(0, write_file("dir/file", 0, "ab"));
	ASSERT_EQ(1, notif_events(notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(FAN_MODIFY, masks[0]);
	if (inotify < 0)
		return;
	ASSERT_EQ(1, inotify_events(inotify, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(IN_MODIFY, masks[0]);
}

/* In whatever order those come and go who watch beside them. */
TEST_F(classes, told_whoever_comes_and_goes)
{
	__u64 masks[8];
	int wd;

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_ADD, FAN_MODIFY,
				       AT_FDCWD, "dir/file"));
	wd = inotify_add_watch(self->inotify, "dir", IN_MODIFY);
	ASSERT_LE(0, wd);
	expect_told(_metadata, self->notif, self->inotify);

	group_close(self->g);
	expect_told(_metadata, self->notif, self->inotify);

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | variant->type,
	     FAN_MODIFY | variant->flags, variant->path);
	expect_told(_metadata, self->notif, self->inotify);

	ASSERT_EQ(0, inotify_rm_watch(self->inotify, wd));
	ASSERT_EQ(1, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(IN_IGNORED, masks[0]);
	expect_told(_metadata, self->notif, -1);

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_REMOVE, FAN_MODIFY,
				       AT_FDCWD, "dir/file"));
	ASSERT_EQ(0, write_file("dir/file", 0, "ab"));
	EXPECT_EQ(0, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(0, inotify_events(self->inotify, masks, ARRAY_SIZE(masks)));

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_ADD, FAN_MODIFY,
				       AT_FDCWD, "dir/file"));
	wd = inotify_add_watch(self->inotify, "dir", IN_MODIFY);
	ASSERT_LE(0, wd);
	expect_told(_metadata, self->notif, self->inotify);
	expect_silence(_metadata, self->g);
}

/* What the owner may do unseen by its group is seen by all others. */
TEST_F(classes, told_of_the_owner)
{
	__u64 masks[8];

	ASSERT_EQ(0, sys_fanotify_mark(self->notif, FAN_MARK_ADD, FAN_MODIFY,
				       AT_FDCWD, "dir/file"));
	ASSERT_EQ(0, write_file("dir/file", 0, "ab"));
	ASSERT_EQ(1, notif_events(self->notif, masks, ARRAY_SIZE(masks)));
	EXPECT_EQ(FAN_MODIFY, masks[0]);
	expect_silence(_metadata, self->g);
}

FIXTURE(pre_content)
{
	struct group *g;
	int old;	/* a group of FAN_CLASS_PRE_CONTENT */
};

FIXTURE_SETUP(pre_content)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "");

	/* Made first, it still comes second. */
	self->old = sys_fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_NONBLOCK |
				      FAN_CLOEXEC, O_RDWR);
	ASSERT_LE(0, self->old);
	if (sys_fanotify_mark(self->old, FAN_MARK_ADD, FAN_PRE_ACCESS,
			      AT_FDCWD, "file"))
		SKIP(return, "no FAN_PRE_ACCESS: %s", strerror(errno));

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(pre_content)
{
	/* It may be what a job waits for, if the test failed. */
	close(self->old);
	test_end(_metadata);
}

/* Reads the one event of the older group and answers it. */
static void answer_old(struct __test_metadata *const _metadata, int fd,
		       unsigned int response)
{
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *meta = (void *)buf;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct fanotify_response answer = { .response = response };
	ssize_t len;

	ASSERT_EQ(1, poll(&pfd, 1, TIMEOUT_MS));
	len = read(fd, buf, sizeof(buf));
	ASSERT_TRUE(FAN_EVENT_OK(meta, len));
	EXPECT_EQ(len, meta->event_len);
	EXPECT_EQ(FAN_PRE_ACCESS, meta->mask);
	ASSERT_LE(0, meta->fd);
	answer.fd = meta->fd;
	ASSERT_EQ(sizeof(answer), write(fd, &answer, sizeof(answer)));
	close(meta->fd);
}

TEST_F(pre_content, asked_after_filters)
{
	static const struct {
		unsigned int response;
		long result;
	} cases[] = {
		{ FAN_ALLOW, 2 },
		{ FAN_DENY, -EPERM },
	};
	struct event pre;
	struct job *job;
	__u64 mask;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		job = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, self->g, job->pid);
		expect_blocked(_metadata, job);
		EXPECT_EQ(0, notif_events(self->old, &mask, 1));

		allow(_metadata, self->g, &pre);
		answer_old(_metadata, self->old, cases[i].response);
		EXPECT_EQ(cases[i].result, job_join(_metadata, job));
		expect_post(_metadata, self->g, &pre, cases[i].result);
	}
}

TEST_F(pre_content, not_asked_about_what_filters_deny)
{
	struct event pre;
	struct job *job;
	__u64 mask;

	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(0, notif_events(self->old, &mask, 1));
}

TEST_HARNESS_MAIN
