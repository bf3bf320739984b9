// SPDX-License-Identifier: GPL-2.0
/*
 * Writes at the position of a file that is shared: no one else who uses it has
 * to wait for the answer, and what was asked about is what is written, though the
 * file may append by then.
 */

#include <pthread.h>
#include <sys/sendfile.h>

#include "fs.h"
#include "group.h"

FIXTURE(position)
{
	struct group *g;
};

/* Of the test and, from the same open(2), of its jobs. */
static int shared_fd;

FIXTURE_SETUP(position)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	shared_fd = open("file", O_RDWR);
	ASSERT_LE(0, shared_fd);
}

FIXTURE_TEARDOWN(position)
{
	test_end(_metadata);
	close(shared_fd);
}

static long write_shared(void *arg)
{
	return write(shared_fd, arg, strlen(arg));
}

static off_t position(void)
{
	return lseek(shared_fd, 0, SEEK_CUR);
}

static void expect_range(struct __test_metadata *const _metadata,
			 const struct event *ev, __u64 offset, __u64 count)
{
	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, ev->records);
	EXPECT_EQ(offset, ev->offset);
	EXPECT_EQ(count, ev->count);
}

/*
 * Asked about a range that another write has moved away from in the meantime:
 * that comes to nothing, and it is asked anew, about whatever range it will be.
 */
static struct event expect_asked_anew(struct __test_metadata *const _metadata,
				      struct group *g, const struct event *pre)
{
	struct event anew;

	/* It was there first, but a PRE is read before. */
	wait_pending(_metadata, g, 1);
	anew = expect_pre(_metadata, g, pre->pid);
	EXPECT_LT(pre->cookie, anew.cookie);
	EXPECT_EQ(RECORD_OP | RECORD_FID, anew.records);
	expect_post(_metadata, g, pre, -EAGAIN);
	return anew;
}

TEST_F(position, others_may_seek)
{
	struct job *job = job_start(_metadata, write_shared, "abc");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	struct event post;

	expect_range(_metadata, &pre, 0, 3);
	EXPECT_EQ(0, position());
	EXPECT_EQ(7, lseek(shared_fd, 7, SEEK_SET));
	EXPECT_EQ(0, lseek(shared_fd, 0, SEEK_SET));
	expect_blocked(_metadata, job);

	/* It is where it was. */
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 0, 3);
	EXPECT_EQ(3, position());
	expect_content(_metadata, "file", "abc");
}

TEST_F(position, others_may_read)
{
	struct job *job;
	struct event pre;
	char c = '\0';

	put_file(_metadata, "file", "0123456789");
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(1, read(shared_fd, &c, 1));
	EXPECT_EQ('0', c);
	EXPECT_EQ(0, lseek(shared_fd, 0, SEEK_SET));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 3);
	expect_content(_metadata, "file", "abc3456789");
}

/* The listener is one of them, and writes what no one has to answer for. */
TEST_F(position, others_may_write)
{
	struct job *job = job_start(_metadata, write_shared, "abc");
	struct event pre = expect_pre(_metadata, self->g, job->pid), post;

	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	expect_blocked(_metadata, job);

	/* From here on it holds wherever the position is. */
	EXPECT_EQ(2, write(shared_fd, "Z!", 2));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 4, 3);
	EXPECT_EQ(7, position());
	expect_content(_metadata, "file", "XYZ!abc");
}

TEST_F(position, moved_by_seek)
{
	struct job *job;
	struct event pre, post;

	put_file(_metadata, "file", "0123456789");
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(5, lseek(shared_fd, 5, SEEK_SET));
	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 5, 3);
	expect_content(_metadata, "file", "01234abc89");
}

TEST_F(position, denied_anew)
{
	struct job *job = job_start(_metadata, write_shared, "abc");
	struct event pre = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	answer(_metadata, self->g, &pre, FAN_DENY_ERRNO(EROFS));
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
	EXPECT_EQ(2, position());
	expect_content(_metadata, "file", "XY");
}

TEST_F(position, denied_at_once)
{
	struct job *job = job_start(_metadata, write_shared, "abc");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(2, position());
	expect_content(_metadata, "file", "XY");
}

TEST_F(position, killed_anew)
{
	struct job *job = job_start(_metadata, write_shared, "abc");
	struct event pre = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	job_kill(_metadata, job, SIGKILL);
	expect_post(_metadata, self->g, &pre, -EINTR);
	EXPECT_EQ(2, position());
	expect_content(_metadata, "file", "XY");
}

/* Neither is written over the other, nor do they wait for each other. */
TEST_F(position, two_writers)
{
	struct job *job = job_start(_metadata, write_shared, "abc"), *job2;
	struct event pre = expect_pre(_metadata, self->g, job->pid), pre2;
	struct event post;

	job2 = job_start(_metadata, write_shared, "defg");
	pre2 = expect_pre(_metadata, self->g, job2->pid);
	expect_range(_metadata, &pre, 0, 3);
	expect_range(_metadata, &pre2, 0, 4);

	allow(_metadata, self->g, &pre2);
	EXPECT_EQ(4, job_join(_metadata, job2));
	post = expect_post(_metadata, self->g, &pre2, 4);
	expect_range(_metadata, &post, 0, 4);

	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 4, 3);
	EXPECT_EQ(7, position());
	expect_content(_metadata, "file", "defgabc");
}

/* Groups that were asked before are all told, and all asked anew. */
TEST_F(position, two_groups)
{
	struct group *other = group_open(_metadata, 0);
	struct job *job;
	struct event pre, pre2;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_pre(_metadata, other, job->pid);
	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	allow(_metadata, other, &pre2);

	pre = expect_asked_anew(_metadata, self->g, &pre);
	expect_post(_metadata, other, &pre2, -EAGAIN);
	allow(_metadata, self->g, &pre);
	pre2 = expect_pre(_metadata, other, job->pid);
	EXPECT_EQ(RECORD_OP | RECORD_FID, pre2.records);
	allow(_metadata, other, &pre2);
	EXPECT_EQ(3, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 3);
	expect_post(_metadata, other, &pre2, 3);
	expect_content(_metadata, "file", "XYabc");
}

static long pwrite_shared(void *arg)
{
	return pwrite(shared_fd, arg, strlen(arg), 1);
}

/* Where the position is of no account, nothing is asked twice. */
TEST_F(position, not_of_pwrite)
{
	struct job *job = job_start(_metadata, pwrite_shared, "abc");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 3);
	EXPECT_EQ(2, position());
	expect_content(_metadata, "file", "Xabc");
}

TEST_F(position, not_of_append)
{
	struct event pre, post;
	struct job *job;

	ASSERT_EQ(0, fcntl(shared_fd, F_SETFL, O_APPEND));
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(RECORD_OP | RECORD_FID, pre.records);
	EXPECT_EQ(2, write(shared_fd, "XY", 2));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 2, 3);
	expect_content(_metadata, "file", "XYabc");
}

static void set_append(struct __test_metadata *const _metadata, bool append)
{
	ASSERT_EQ(0, fcntl(shared_fd, F_SETFL, append ? O_APPEND : 0));
}

static void expect_appended(struct __test_metadata *const _metadata,
			    struct group *g, struct job *job,
			    const struct event *pre)
{
	struct event anew, post;

	set_append(_metadata, true);
	allow(_metadata, g, pre);
	anew = expect_asked_anew(_metadata, g, pre);
	allow(_metadata, g, &anew);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, g, &anew, 3);
	expect_range(_metadata, &post, 10, 3);
	expect_content(_metadata, "file", "0123456789abc");
	expect_silence(_metadata, g);
}

TEST_F(position, appends_meanwhile)
{
	struct event pre;
	struct job *job;

	put_file(_metadata, "file", "0123456789");
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_range(_metadata, &pre, 0, 3);
	expect_appended(_metadata, self->g, job, &pre);
	EXPECT_EQ(13, position());
}

TEST_F(position, pwrite_appends_meanwhile)
{
	struct event pre;
	struct job *job;

	put_file(_metadata, "file", "0123456789");
	job = job_start(_metadata, pwrite_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_range(_metadata, &pre, 1, 3);
	expect_appended(_metadata, self->g, job, &pre);
}

/* What is asked about without a range holds for any, and is not asked again. */
TEST_F(position, appends_no_more)
{
	struct event pre, post;
	struct job *job;

	put_file(_metadata, "file", "0123456789");
	set_append(_metadata, true);
	job = job_start(_metadata, write_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(RECORD_OP | RECORD_FID, pre.records);
	set_append(_metadata, false);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 0, 3);
	expect_content(_metadata, "file", "abc3456789");
	expect_silence(_metadata, self->g);
}

/* Asked anew about what appends, which it does not do any more in the end. */
TEST_F(position, appends_for_a_while)
{
	struct event pre, post;
	struct job *job;

	put_file(_metadata, "file", "0123456789");
	job = job_start(_metadata, pwrite_shared, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	set_append(_metadata, true);
	allow(_metadata, self->g, &pre);
	pre = expect_asked_anew(_metadata, self->g, &pre);
	set_append(_metadata, false);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(3, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, 3);
	expect_range(_metadata, &post, 1, 3);
	expect_content(_metadata, "file", "0abc456789");
	expect_silence(_metadata, self->g);
}

static int pipe_ends[2];

static long splice_shared(void *arg)
{
	loff_t offset = 1;

	(void)arg;
	return splice(pipe_ends[0], NULL, shared_fd, &offset, 3, 0);
}

static long sendfile_shared(void *arg)
{
	return sendfile(shared_fd, open(arg, O_RDONLY), NULL, 3);
}

/* No one can splice to what appends, whenever it has begun to. */
static void expect_no_append(struct __test_metadata *const _metadata,
			     struct group *g, struct job *job, off_t offset)
{
	const struct event pre = expect_pre(_metadata, g, job->pid);

	expect_range(_metadata, &pre, offset, 3);
	set_append(_metadata, true);
	allow(_metadata, g, &pre);
	EXPECT_EQ(-EINVAL, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, -EINVAL);
	expect_content(_metadata, "file", "0123456789");
	expect_silence(_metadata, g);
}

TEST_F(position, splice_appends_meanwhile)
{
	char buf[3];

	put_file(_metadata, "file", "0123456789");
	ASSERT_EQ(0, pipe(pipe_ends));
	ASSERT_EQ(3, write(pipe_ends[1], "abc", 3));
	expect_no_append(_metadata, self->g,
			 job_start(_metadata, splice_shared, NULL), 1);
	/* It is still there, for another one. */
	EXPECT_EQ(3, read(pipe_ends[0], buf, 3));
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

TEST_F(position, splice_appends_before_there_is_data)
{
	struct job *job;

	put_file(_metadata, "file", "0123456789");
	ASSERT_EQ(0, pipe(pipe_ends));
	job = job_start(_metadata, splice_shared, NULL);
	expect_blocked(_metadata, job);
	set_append(_metadata, true);
	ASSERT_EQ(3, write(pipe_ends[1], "abc", 3));
	EXPECT_EQ(-EINVAL, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_content(_metadata, "file", "0123456789");
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

TEST_F(position, sendfile_appends_meanwhile)
{
	put_file(_metadata, "file", "0123456789");
	put_file(_metadata, "source", "abc");
	expect_no_append(_metadata, self->g,
			 job_start(_metadata, sendfile_shared, "source"), 0);
}

static void *write_in_thread(void *arg)
{
	return (void *)write_shared(arg);
}

/* One thread writes, another one seeks away from there and then ends it all. */
static long seek_from_thread(void *arg)
{
	pthread_t thread;

	shared_fd = open("file", O_RDWR);
	/* As soon as there is a thread, the file can be gone. */
	if (shared_fd < 0 || access("ready", F_OK) ||
	    pthread_create(&thread, NULL, write_in_thread, arg))
		return -1;
	while (!access("ready", F_OK))
		usleep(1000);
	return lseek(shared_fd, 0, SEEK_CUR);
}

TEST_F(position, threads_may_seek)
{
	struct event pre;
	struct job *job;

	put_file(_metadata, "ready", "");
	job = job_start(_metadata, seek_from_thread, "abc");
	pre = expect_pre(_metadata, self->g, job->pid);
	ASSERT_EQ(0, unlink("ready"));
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, -EINTR);
}

TEST_HARNESS_MAIN
