/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small tree of files for one operation to be done in, and a description of
 * it, in which everything shows that an operation can leave behind.
 */

#ifndef __TREE_H
#define __TREE_H

#include <dirent.h>
#include <sys/xattr.h>

#include <linux/fs.h>

#include "common.h"

#define BLOCK		4096
#define FILE_SIZE	(4 * BLOCK)

/* Long gone, so that any access or change shows in the times. */
#define TREE_TIME	1000000000

/* Each block is different from the others, and none is of zeros. */
static inline int make_data_file(const char *path)
{
	static char text[FILE_SIZE + 1];

	for (int i = 0; i < FILE_SIZE; i++)
		text[i] = 'a' + i / BLOCK;
	return write_file(path, O_CREAT | O_EXCL, text);
}

/* Fills the working directory. */
static inline int tree_make(void)
{
	return make_data_file("file") ?: make_data_file("source") ?:
	       mkdir("dir", 0755) ?: mkdir("empty", 0755) ?:
	       write_file("dir/child", O_CREAT, "child") ?:
	       symlink("file", "link");
}

/* ---------------------------- all that is there ------------------------ */

typedef int (*visit_fn)(void *arg, const char *path, int type);

static inline int child_path(char child[PATH_MAX], const char *path,
			     const char *name)
{
	return snprintf(child, PATH_MAX, "%s/%s", path, name) < PATH_MAX ?
	       0 : -1;
}

/*
 * Calls @visit for all that is below @path, the deepest first. It looks for
 * itself with O_NOATIME. Returns the first that is not 0, or -1.
 */
static inline int tree_visit(const char *path, visit_fn visit, void *arg)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOATIME |
			    O_CLOEXEC);
	char child[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int ret = 0;

	dir = fdopendir(fd);
	if (!dir)
		return -1;
	while (!ret && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		ret = child_path(child, path, entry->d_name);
		if (!ret && entry->d_type == DT_DIR)
			ret = tree_visit(child, visit, arg);
		ret = ret ?: visit(arg, child, entry->d_type);
	}
	closedir(dir);
	return ret;
}

static inline int visit_age(void *arg, const char *path, int type)
{
	const struct timespec times[] = {
		{ .tv_sec = TREE_TIME }, { .tv_sec = TREE_TIME },
	};

	(void)arg;
	(void)type;
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

/* Gives the working directory and all in it the same old times. */
static inline int tree_age(void)
{
	return tree_visit(".", visit_age, NULL) ?: visit_age(NULL, ".", DT_DIR);
}

static inline int visit_remove(void *arg, const char *path, int type)
{
	(void)arg;
	return unlinkat(AT_FDCWD, path, type == DT_DIR ? AT_REMOVEDIR : 0);
}

static inline int tree_remove(const char *path)
{
	return tree_visit(path, visit_remove, NULL) ?: rmdir(path);
}

/* ------------------------------ snapshots ------------------------------ */

/* One line for each object. */
struct snapshot {
	size_t len;
	char text[8192];
};

/* Is the number of blocks left alone by what is done in the background? */
static bool snapshot_blocks;

__attribute__((format(printf, 2, 3)))
static inline int snapshot_add(struct snapshot *s, const char *format, ...)
{
	const size_t room = sizeof(s->text) - s->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(s->text + s->len, room, format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= room)
		return -1;
	s->len += len;
	return 0;
}

static inline unsigned long long hash(unsigned long long h, const char *p,
				      size_t n)
{
	/* FNV-1a. */
	while (n--)
		h = (h ^ (unsigned char)*p++) * 0x100000001b3ULL;
	return h;
}

static inline int snapshot_content(struct snapshot *s, const char *path)
{
	const int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
	unsigned long long h = 0xcbf29ce484222325ULL;
	static char buf[2 * FILE_SIZE];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		h = hash(h, buf, n);
	close(fd);
	return n ?: snapshot_add(s, " content %llx", h);
}

static inline int snapshot_stat(struct snapshot *s, const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, &st))
		return -1;
	if (!snapshot_blocks)
		st.stx_blocks = 0;
	return snapshot_add(s, " ino %llu mode %o nlink %u uid %u gid %u "
			    "rdev %u:%u size %llu blocks %llu attributes %llx "
			    "atime %lld.%09u mtime %lld.%09u ctime %lld.%09u "
			    "btime %lld.%09u",
			    (unsigned long long)st.stx_ino, st.stx_mode,
			    st.stx_nlink, st.stx_uid, st.stx_gid,
			    st.stx_rdev_major, st.stx_rdev_minor,
			    (unsigned long long)st.stx_size,
			    (unsigned long long)st.stx_blocks,
			    (unsigned long long)st.stx_attributes,
			    (long long)st.stx_atime.tv_sec,
			    st.stx_atime.tv_nsec,
			    (long long)st.stx_mtime.tv_sec,
			    st.stx_mtime.tv_nsec,
			    (long long)st.stx_ctime.tv_sec,
			    st.stx_ctime.tv_nsec,
			    (long long)st.stx_btime.tv_sec,
			    st.stx_btime.tv_nsec);
}

/* Of a file system that has them, and of the types of files it has them for. */
static inline int snapshot_flags(struct snapshot *s, const char *path)
{
	struct file_attr attr;

	if (syscall(__NR_file_getattr, AT_FDCWD, path, &attr, sizeof(attr),
		    AT_SYMLINK_NOFOLLOW))
		return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
	return snapshot_add(s, " flags %llx project %u extents %u %u",
			    (unsigned long long)attr.fa_xflags, attr.fa_projid,
			    attr.fa_extsize, attr.fa_cowextsize);
}

static inline int snapshot_xattrs(struct snapshot *s, const char *path)
{
	char names[1024], value[1024];
	ssize_t len, n;

	len = llistxattr(path, names, sizeof(names));
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -1;
	for (const char *name = names; name < names + len;
	     name += strlen(name) + 1) {
		n = lgetxattr(path, name, value, sizeof(value));
		if (n < 0 || snapshot_add(s, " %s %zd bytes %llx", name, n,
					  hash(0, value, n)))
			return -1;
	}
	return 0;
}

/*
 * What a symbolic link says is not read, which would be an access. It cannot be
 * changed either.
 */
static inline int visit_describe(void *arg, const char *path, int type)
{
	struct snapshot *s = arg;

	return snapshot_add(s, "%s:", path) ?: snapshot_stat(s, path) ?:
	       snapshot_flags(s, path) ?: snapshot_xattrs(s, path) ?:
	       (type == DT_REG ? snapshot_content(s, path) : 0) ?:
	       snapshot_add(s, "\n");
}

/* Of the working directory, without leaving a trace there. */
static inline void snapshot(struct __test_metadata *const _metadata,
			    struct snapshot *s)
{
	s->len = 0;
	ASSERT_EQ(0, tree_visit(".", visit_describe, s) ?:
		     visit_describe(s, ".", DT_DIR))
		TH_LOG("snapshot: %s", strerror(errno));
}

static inline bool same_snapshot(const struct snapshot *a,
				 const struct snapshot *b)
{
	return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

/* Shows the first line that is not the same in both. */
static inline void expect_same_tree(struct __test_metadata *const _metadata,
				    const struct snapshot *was,
				    const struct snapshot *is)
{
	size_t line = 0;

	EXPECT_TRUE(same_snapshot(was, is)) {
		for (size_t i = 0; was->text[i] == is->text[i]; i++)
			if (was->text[i] == '\n')
				line = i + 1;
		TH_LOG("was: %.*s", (int)strcspn(was->text + line, "\n"),
		       was->text + line);
		TH_LOG("is:  %.*s", (int)strcspn(is->text + line, "\n"),
		       is->text + line);
	}
}

#endif /* __TREE_H */
