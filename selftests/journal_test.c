// SPDX-License-Identifier: GPL-2.0
/*
 * A listener at home on the file system that it filters: whatever it does
 * there while others wait for it, it waits for none of them.
 */

#include <pthread.h>
#include <sys/xattr.h>

#include "fs.h"
#include "group.h"

#define WRITES 10

FIXTURE(journal)
{
	struct group *g;
};

FIXTURE_VARIANT(journal)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(journal, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(journal, ext4)
{
	.fs = "ext4",
};

FIXTURE_SETUP(journal)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "as it was");
	put_file(_metadata, "journal", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(journal)
{
	test_end(_metadata);
}

/* Returns 0 when the record is on disk. */
static int journal(const struct event *ev)
{
	char record[64];
	int fd, len, ret;

	len = snprintf(record, sizeof(record), "%llu %llu\n",
		       (unsigned long long)ev->cookie,
		       (unsigned long long)ev->offset);
	fd = open("journal", O_WRONLY | O_APPEND);
	if (fd < 0)
		return -1;
	ret = write(fd, record, len) != len || fsync(fd);
	close(fd);
	return ret;
}

static int journal_lines(struct __test_metadata *const _metadata)
{
	char buf[8192];
	int lines = 0;

	ASSERT_LE(0, read_file("journal", buf, sizeof(buf)));
	for (const char *p = buf; *p; p++)
		lines += *p == '\n';
	return lines;
}

static long write_often(void *arg)
{
	int fd = open("file", O_WRONLY);

	(void)arg;
	for (int i = 0; i < WRITES; i++)
		if (write(fd, "ab", 2) != 2)
			return -1;
	return WRITES;
}

TEST_F(journal, before_each_answer)
{
	struct job *job = job_start(_metadata, write_often, NULL);

	int pre = 0, post = 0;

	while (post < WRITES) {
		const struct event ev = event_next(_metadata, self->g);

		EXPECT_EQ(job->pid, ev.pid);
		if (ev.mask == FAN_PRE(FAN_MODIFY)) {
			ASSERT_EQ(0, journal(&ev));
			allow(_metadata, self->g, &ev);
			pre++;
		} else {
			EXPECT_EQ(2, ev.result);
			post++;
		}
	}
	EXPECT_EQ(WRITES, pre);
	EXPECT_EQ(WRITES, job_join(_metadata, job));
	EXPECT_EQ(WRITES, journal_lines(_metadata));
}

/* To the very file that is about to be written, too. */
TEST_F(journal, anything_while_one_waits)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	struct stat st;
	int fd;

	EXPECT_EQ(0, mkdir("dir", 0755));
	EXPECT_EQ(0, write_file("dir/new", O_CREAT, "new"));
	EXPECT_EQ(0, rename("dir/new", "dir/old"));
	EXPECT_EQ(0, link("file", "dir/link"));
	EXPECT_EQ(0, unlink("dir/link"));
	EXPECT_EQ(0, unlink("dir/old"));
	EXPECT_EQ(0, rmdir("dir"));

	fd = open("file", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(9, st.st_size);
	EXPECT_EQ(5, pwrite(fd, "is it", 5, 0));
	EXPECT_EQ(0, ftruncate(fd, 5));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, fchmod(fd, 0600));
	EXPECT_EQ(0, fsetxattr(fd, "trusted.test", "1", 1, 0));
	EXPECT_EQ(0, syncfs(fd));
	close(fd);
	sync();

	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_content(_metadata, "file", "AS it");
}

/* A listener of several threads, each of which takes what comes. */
#define LISTENERS 3
#define WRITERS 4

struct listener {
	struct __test_metadata *_metadata;
	pthread_t thread;
	int fd;
	int pre, post;	/* events seen */
	int error;
};

static volatile bool stop_listening;

static int listen_to(struct listener *l, const char *buf, ssize_t len)
{
	while (len > 0) {
		const struct event ev = event_parse(l->_metadata, buf, len);
		const struct group g = { .fd = l->fd };

		if (ev.mask == FAN_PRE(FAN_MODIFY)) {
			l->pre++;
			if (journal(&ev))
				return errno;
			if (try_answer(&g, ev.cookie, FAN_ALLOW) < 0)
				return errno;
		} else {
			l->post++;
		}
		buf += ev.len;
		len -= ev.len;
	}
	return 0;
}

static void *listener_thread(void *arg)
{
	struct pollfd pfd = { .events = POLLIN };
	struct listener *l = arg;
	char buf[512];
	ssize_t len;

	pfd.fd = l->fd;
	while (!l->error && !stop_listening) {
		poll(&pfd, 1, 10);
		len = read(l->fd, buf, sizeof(buf));
		if (len > 0)
			l->error = listen_to(l, buf, len);
		else if (errno != EAGAIN)
			l->error = errno;
	}
	return NULL;
}

TEST_F(journal, several_threads)
{
	struct listener listeners[LISTENERS] = {};
	struct job *jobs[WRITERS];
	int pre = 0, post = 0;

	for (int i = 0; i < LISTENERS; i++) {
		struct listener *l = &listeners[i];

		l->_metadata = _metadata;
		l->fd = self->g->fd;
		ASSERT_EQ(0, pthread_create(&l->thread, NULL, listener_thread,
					    l));
	}
	for (int i = 0; i < WRITERS; i++)
		jobs[i] = job_start(_metadata, write_often, NULL);
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EQ(WRITES, job_join(_metadata, jobs[i]));
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).queued));
	stop_listening = true;

	for (int i = 0; i < LISTENERS; i++) {
		ASSERT_EQ(0, pthread_join(listeners[i].thread, NULL));
		EXPECT_EQ(0, listeners[i].error);
		pre += listeners[i].pre;
		post += listeners[i].post;
	}
	EXPECT_EQ(WRITERS * WRITES, pre);
	EXPECT_EQ(WRITERS * WRITES, post);
	EXPECT_EQ(WRITERS * WRITES, journal_lines(_metadata));
}

TEST_HARNESS_MAIN
