/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file system that a test watches, in a mount namespace of its own, which
 * takes it away with the test: tmpfs, one on a loop device, or an overlay of
 * two directories of a tmpfs.
 */

#ifndef __FS_H
#define __FS_H

#include "common.h"

#define FS_IMAGE	WORK_DIR "/image"
#define FS_LAYERS	WORK_DIR "/layers"
#define FS_LOWER	FS_LAYERS "/lower"
#define FS_SIZE		(16 << 20)

/* Images are sparse: this is for what is written to them. */
#define WORK_SIZE	(8 * FS_SIZE)

/* What is made on an image, and how large that has to be at least. */
struct image_type {
	const char *fs;
	off_t min_size;
	char *mkfs[12];
};

static const struct image_type image_types[] = {
	{
		/* For what is too small to have a journal. */
		"ext4", 0,
		{ "mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0",
		  "-O", "^has_journal", FS_IMAGE },
	}, {
		"ext4", FS_SIZE,
		{ "mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0",
		  "-O", "has_journal", FS_IMAGE },
	}, {
		/* Below 300 MB, 64 MB of it log, it has to be insisted on. */
		"xfs", 4 * FS_SIZE,
		{ "mkfs.xfs", "-q", "-f", "--unsupported", FS_IMAGE },
	}, {
		"btrfs", 8 * FS_SIZE,
		{ "mkfs.btrfs", "-q", "-f", FS_IMAGE },
	},
};

/* Returns whether there is such a mkfs; that it fails is a failure. */
static inline bool run_mkfs(struct __test_metadata *const _metadata,
			    char *const argv[])
{
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
 * Puts an image on a free loop device, which goes when it is unmounted.
 * Returns a descriptor to be held until it is mounted, or -1.
 */
static inline int loop_attach(struct __test_metadata *const _metadata,
			      const char *image, char *path, size_t size)
{
	struct loop_config config = {
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control, fd, nr, ret;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;

	config.fd = open(image, O_RDWR | O_CLOEXEC);
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

static inline void image_make(struct __test_metadata *const _metadata,
			      const char *image, off_t size)
{
	const int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, size));
	close(fd);
}

/* The type for a size is the last that is not for larger ones only. */
static inline const struct image_type *image_type(const char *fs, off_t *size)
{
	const struct image_type *type = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(image_types); i++) {
		if (strcmp(image_types[i].fs, fs))
			continue;
		if (!type || image_types[i].min_size <= *size)
			type = &image_types[i];
	}
	if (type && *size < type->min_size)
		*size = type->min_size;
	return type;
}

static inline bool image_mount(struct __test_metadata *const _metadata,
			       const char *fs, off_t size)
{
	const struct image_type *type = image_type(fs, &size);
	char path[32];
	int loop;

	ASSERT_NE(NULL, type);
	image_make(_metadata, FS_IMAGE, size);
	if (!run_mkfs(_metadata, type->mkfs))
		return false;

	loop = loop_attach(_metadata, FS_IMAGE, path, sizeof(path));
	if (loop < 0)
		return false;
	if (mount(path, FS_DIR, fs, 0, NULL)) {
		ASSERT_EQ(ENODEV, errno)
			TH_LOG("mount %s: %s", fs, strerror(errno));
		close(loop);
		return false;
	}
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

static inline void make_layers(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(FS_LAYERS, 0755));
	ASSERT_EQ(0, mkdir(FS_LOWER, 0755));
	ASSERT_EQ(0, mkdir(FS_LAYERS "/upper", 0755));
	ASSERT_EQ(0, mkdir(FS_LAYERS "/work", 0755));
}

/* File handles, which marks of more than an inode need, are there if exported. */
static inline bool overlay_mount(struct __test_metadata *const _metadata)
{
	if (!mount("vfs-filter", FS_DIR, "overlay", 0,
		   "lowerdir=" FS_LOWER ",upperdir=" FS_LAYERS "/upper,"
		   "workdir=" FS_LAYERS "/work,"
		   "index=on,nfs_export=on,redirect_dir=on"))
		return true;

	ASSERT_EQ(ENODEV, errno)
		TH_LOG("mount overlay: %s", strerror(errno));
	return false;
}

/* As large as @size or as the type of file system has to be. */
static inline bool fs_mount(struct __test_metadata *const _metadata,
			    const char *type, off_t size)
{
	if (!strcmp(type, "overlay")) {
		make_layers(_metadata);
		return overlay_mount(_metadata);
	}
	if (strcmp(type, "tmpfs"))
		return image_mount(_metadata, type, size);

	tmpfs_mount(_metadata, FS_DIR, size);
	return true;
}

/* Mounts @type at FS_DIR and goes there. False if the machine cannot. */
static inline bool fs_setup(struct __test_metadata *const _metadata,
			    const char *type, off_t size)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	tmpfs_mount(_metadata, WORK_DIR, WORK_SIZE);
	ASSERT_EQ(0, mkdir(FS_DIR, 0755));
	if (!fs_mount(_metadata, type, size))
		return false;

	ASSERT_EQ(0, chdir(FS_DIR));
	umask(022);
	return true;
}

#endif /* __FS_H */
