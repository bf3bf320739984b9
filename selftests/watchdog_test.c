// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel complains of a listener that reads a question and does not answer:
 * fs.fanotify.watchdog_timeout, as for the permission events of fanotify.
 */

#include <sys/klog.h>

#include "fs.h"
#include "group.h"

#define TIMEOUT		"/proc/sys/fs/fanotify/watchdog_timeout"
#define READ_ALL	3	/* of klogctl() */

static char old_timeout[32];

static void restore_timeout(void)
{
	write_file(TIMEOUT, 0, old_timeout);
}

FIXTURE(watchdog)
{
	struct group *g;
};

FIXTURE_SETUP(watchdog)
{
	REQUIRE_CLASS();
	if (access(TIMEOUT, F_OK))
		SKIP(return, "no watchdog of fanotify");
	if (!fs_setup(_metadata, "tmpfs", FS_SIZE))
		SKIP(return, "no tmpfs");
	ASSERT_LT(0, read_file(TIMEOUT, old_timeout, sizeof(old_timeout)));
	guard_start(_metadata, restore_timeout);
	ASSERT_EQ(0, write_file(TIMEOUT, 0, "1"));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
}

FIXTURE_TEARDOWN(watchdog)
{
	test_end(_metadata);
}

/* How often there was a complaint of this process. */
static int complaints(struct __test_metadata *const _metadata)
{
	static char log[1 << 18];
	char text[64];
	const char *at = log;
	int n = 0, len;

	len = klogctl(READ_ALL, log, sizeof(log) - 1);
	ASSERT_LE(0, len);
	log[len] = '\0';
	snprintf(text, sizeof(text), "PID %d failed to respond", getpid());
	while ((at = strstr(at, text))) {
		at++;
		n++;
	}
	return n;
}

/* One complaint, whatever the time. */
TEST_F(watchdog, not_answered)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	ASSERT_TRUE(EVENTUALLY(complaints(_metadata) == 1));
	sleep(3);
	EXPECT_EQ(1, complaints(_metadata));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* What was not read says nothing of the listener; nor does what was answered. */
TEST_F(watchdog, answered)
{
	struct job *job = write_start(_metadata, "file", "ab");
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	sleep(3);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	sleep(3);
	EXPECT_EQ(0, complaints(_metadata));
}

TEST_HARNESS_MAIN
