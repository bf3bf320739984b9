/* SPDX-License-Identifier: GPL-2.0 */
/* The module of VFS_FILTER_KO, which tests take out and put in. */

#ifndef __MODULE_H
#define __MODULE_H

#include <libgen.h>

#include "common.h"
#include "usermode.h"

static char module_path[PATH_MAX];
static char module_name[64];

/* Both return 0 or -errno. */
static inline int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (sys_finit_module(fd, "", 0))
		ret = -errno;
	close(fd);
	return ret;
}

static inline int unload(void)
{
	return sys_delete_module(module_name, O_NONBLOCK) ? -errno : 0;
}

/* What is left of a group after it was closed does not take long to go. */
static inline int unload_soon(void)
{
	int ret;

	EVENTUALLY((ret = unload()) != -EAGAIN);
	return ret;
}

/* What keeps it from being taken out, -1 if that is not known. */
static inline int module_uses(void)
{
	char path[128], buf[16];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module_name);
	return read_file(path, buf, sizeof(buf)) > 0 ? atoi(buf) : -1;
}

/* False if there is no module to do this with. */
static inline bool module_find(struct __test_metadata *const _metadata)
{
	const char *path = getenv("VFS_FILTER_KO");
	char name[PATH_MAX];

	if (!path)
		return false;
	ASSERT_NE(NULL, realpath(path, module_path))
		TH_LOG("%s: %s", path, strerror(errno));
	strcpy(name, module_path);
	snprintf(module_name, sizeof(module_name), "%s", basename(name));
	*strchrnul(module_name, '.') = '\0';
	return true;
}

static char modprobe[PATH_MAX];	/* as it was, with its newline */

static inline void module_undo(void)
{
	write_file(MODPROBE, 0, modprobe);
	load(module_path);
}

/* False if there is no module to do this with. */
static inline bool module_ready(struct __test_metadata *const _metadata)
{
	int ret;

	if (!module_find(_metadata))
		return false;
	ASSERT_LT(0, read_file(MODPROBE, modprobe, sizeof(modprobe)));
	guard_start(_metadata, module_undo);

	ret = load(module_path);
	ASSERT_TRUE(!ret || ret == -EEXIST)
		TH_LOG("load %s: %s", module_path, strerror(-ret));
	return true;
}

#define REQUIRE_MODULE() do {						\
	if (!module_ready(_metadata))					\
		SKIP(return, "VFS_FILTER_KO is not set");		\
} while (0)

/* Is there such a class, or why not? */
static inline void expect_init(struct __test_metadata *const _metadata,
			       int error)
{
	int fd;

	errno = 0;
	fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
	EXPECT_EQ(error, errno);
	EXPECT_EQ(!error, fd >= 0);
	if (fd >= 0)
		close(fd);
}

#endif /* __MODULE_H */
