/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file system that a test watches, in a mount namespace of its own, which
 * takes it away with the test: tmpfs, or ext4 on a loop device.
 */

#ifndef __FS_H
#define __FS_H

#include "common.h"

#define FS_IMAGE	WORK_DIR "/image"
#define FS_SIZE		(16 << 20)

/* Returns whether there is a mkfs.ext4 to run; that it fails is a failure. */
static inline bool run_mkfs(struct __test_metadata *const _metadata,
			    bool journal)
{
	char *const argv[] = { "mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0",
			       "-O", journal ? "has_journal" : "^has_journal",
			       FS_IMAGE, NULL };
	int status, null;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == 127)
		return false;
	ASSERT_EQ(0, WEXITSTATUS(status));
	return true;
}

/*
 * Puts the image on a free loop device, which goes when it is unmounted.
 * Returns a descriptor to be held until it is mounted, or -1.
 */
static inline int loop_attach(struct __test_metadata *const _metadata,
			      char *path, size_t size)
{
	struct loop_config config = {
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control, fd, nr, ret;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;

	config.fd = open(FS_IMAGE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, (int)config.fd);

	/* Someone else may take the free one first. */
	do {
		nr = ioctl(control, LOOP_CTL_GET_FREE);
		ASSERT_LE(0, nr);
		snprintf(path, size, "/dev/loop%d", nr);
		fd = open(path, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ret = ioctl(fd, LOOP_CONFIGURE, &config);
		if (ret) {
			ASSERT_EQ(EBUSY, errno);
			close(fd);
		}
	} while (ret);
	close(config.fd);
	close(control);
	return fd;
}

static inline bool ext4_mount(struct __test_metadata *const _metadata,
			      off_t size)
{
	char path[32];
	int image, loop;

	image = open(FS_IMAGE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, image);
	ASSERT_EQ(0, ftruncate(image, size));
	close(image);
	if (!run_mkfs(_metadata, size >= FS_SIZE))
		return false;

	loop = loop_attach(_metadata, path, sizeof(path));
	if (loop < 0)
		return false;
	ASSERT_EQ(0, mount(path, FS_DIR, "ext4", 0, NULL))
		TH_LOG("mount ext4: %s", strerror(errno));
	close(loop);
	return true;
}

static inline void tmpfs_mount(struct __test_metadata *const _metadata,
			       const char *dir, off_t size)
{
	char options[32];

	snprintf(options, sizeof(options), "size=%lld", (long long)size);
	ASSERT_EQ(0, mount("vfs-filter", dir, "tmpfs", 0, options))
		TH_LOG("mount tmpfs: %s", strerror(errno));
}

/* Mounts @type at FS_DIR and goes there. False if the machine cannot. */
static inline bool fs_setup(struct __test_metadata *const _metadata,
			    const char *type, off_t size)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	tmpfs_mount(_metadata, WORK_DIR, 2 * FS_SIZE);
	ASSERT_EQ(0, mkdir(FS_DIR, 0755));

	if (!strcmp(type, "tmpfs"))
		tmpfs_mount(_metadata, FS_DIR, size);
	else if (!ext4_mount(_metadata, size))
		return false;

	ASSERT_EQ(0, chdir(FS_DIR));
	umask(022);
	return true;
}

#endif /* __FS_H */
