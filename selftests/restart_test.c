// SPDX-License-Identifier: GPL-2.0
/*
 * A listener that is restarted while operations that it has allowed go on: for a
 * mapping, that is as long as someone without privileges likes.
 */

#include "fs.h"
#include "group.h"

#define PAGE		4096
#define MAX_USER_GROUPS	"/proc/sys/fs/fanotify/max_user_groups"

/* So many groups a user may have, and so often the listener is restarted. */
#define LIMIT		6
#define RESTARTS	(LIMIT + 4)

static char groups_limit[32];

static void restore_groups_limit(void)
{
	write_file(MAX_USER_GROUPS, 0, groups_limit);
}

FIXTURE(restart)
{
	struct job *mappers[RESTARTS];
};

FIXTURE_SETUP(restart)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "tmpfs", FS_SIZE))
		SKIP(return, "no tmpfs");
	known_op_flags = FAN_OP_MAPPED;
	ASSERT_LT(0, read_file(MAX_USER_GROUPS, groups_limit,
			       sizeof(groups_limit)));
	guard_start(_metadata, restore_groups_limit);
	put_file(_metadata, "file", "text");
}

FIXTURE_TEARDOWN(restart)
{
	test_end(_metadata);
}

/* Maps the file, and keeps it mapped for good. */
static long map_file(void *arg)
{
	const int fd = open("file", O_RDWR | O_CLOEXEC);
	char *map;

	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	close(fd);
	*(volatile char **)arg = map;
	pause();
	return 0;
}

/* What is left of it is no group of its user. */
TEST_F(restart, mapped)
{
	char **mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char limit[16];

	ASSERT_NE(MAP_FAILED, mapped);
	snprintf(limit, sizeof(limit), "%d", LIMIT);
	ASSERT_EQ(0, write_file(MAX_USER_GROUPS, 0, limit));
	for (int i = 0; i < RESTARTS; i++) {
		struct group *g = group_open(_metadata, 0);
		struct event ev;
		struct job *job;

		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
		job = job_start(_metadata, map_file, &mapped[i]);
		ev = expect_pre_of(_metadata, g, FAN_MODIFY, FAN_OP_MAPPED,
				   job->pid);
		allow(_metadata, g, &ev);
		ASSERT_TRUE(EVENTUALLY(*(char *volatile *)&mapped[i]));
		group_close(g);
		self->mappers[i] = job;
	}
	/* Each of them is still what the first listener has allowed. */
	for (int i = 0; i < RESTARTS; i++)
		job_kill(_metadata, self->mappers[i], SIGKILL);
}

/* The limit is there nevertheless. */
TEST_F(restart, limit)
{
	int fds[LIMIT + 1], n = 0;
	char limit[16];

	snprintf(limit, sizeof(limit), "%d", LIMIT);
	ASSERT_EQ(0, write_file(MAX_USER_GROUPS, 0, limit));
	while (n <= LIMIT) {
		fds[n] = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_CLOEXEC,
					   0);
		if (fds[n] < 0)
			break;
		n++;
	}
	EXPECT_EQ(EMFILE, errno);
	EXPECT_LE(n, LIMIT);
	EXPECT_LT(0, n);
	while (n)
		close(fds[--n]);
}

TEST_HARNESS_MAIN
