/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A census of a file system: every inode below a directory with all that is
 * stored of it, and every name. Inodes are known by their file handles, so
 * one that has moved is the same, and one that was made anew is not.
 *
 * Link counts are not here, as they are what the names say. Neither are times
 * of access and of change, which nobody sets.
 */

#ifndef __CENSUS_H
#define __CENSUS_H

#include <dirent.h>
#include <search.h>
#include <sys/xattr.h>

#include "event.h"

/*
 * Fingerprints of what is reported and of what is found: of an object, of a
 * directory that has entries, and of one entry of it.
 */
enum role {
	OF_OBJECT,
	OF_DIRECTORY,
	OF_ENTRY,
};

#define HASH_START	0xcbf29ce484222325ULL

/* FNV-1a, but of eight bytes at a time if it is much. */
static inline __u64 hash(__u64 h, const void *data, size_t n)
{
	const unsigned char *p = data;
	__u64 word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * 0x100000001b3ULL;
		h ^= h >> 29;
	}
	while (n--)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return h;
}

static inline __u64 key_of(enum role role, const struct fid *fid,
			   const char *name)
{
	__u64 h = HASH_START + role;

	h = hash(h, fid, offsetof(struct fid, handle) + fid->bytes);
	return hash(h, name, strlen(name));
}

/* Sorts whatever begins with a key. */
static inline int by_key(const void *a, const void *b)
{
	const __u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return (x > y) - (x < y);
}

struct census_entry {
	__u64 key;		/* OF_ENTRY */
	__u64 child;		/* OF_OBJECT: the inode with this name */
	char *path;
};

struct census_inode {
	__u64 key;		/* OF_OBJECT */
	__u64 directory;	/* OF_DIRECTORY, the same */
	struct fid fid;
	struct census_entry *entry;	/* the first that was found */
	struct census_inode *next_dir;
	__u32 mode, uid, gid;
	__u64 size;		/* 0 for what is not a regular file */
	__u64 attributes;	/* of chattr(1), as statx(2) has them */
	__u64 content;		/* hashes */
	__u64 xattrs;
	struct statx_timestamp mtime;
};

struct census {
	int fs_fd;
	void *inodes, *entries;			/* of tsearch(3) */
	struct census_inode *first, **last;	/* directories */
	struct census_entry root;
};

/* ---------------------------- what is stored --------------------------- */

/* More would take long, and its size and time tell of it as well. */
#define CENSUS_BYTES	(4 << 20)

#define CENSUS_ATTRIBUTES						\
	(STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |	\
	 STATX_ATTR_COMPRESSED)

/* Of a descriptor for the path of it alone, which can do nothing else. */
static inline const char *fd_path(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static inline int census_content(struct census_inode *inode, int fd)
{
	static char buf[1 << 16];
	size_t left = CENSUS_BYTES;
	ssize_t n;

	inode->content = HASH_START;
	fd = open(fd_path(fd), O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while (left && (n = read(fd, buf, sizeof(buf))) > 0) {
		inode->content = hash(inode->content, buf, n);
		left -= n;
	}
	close(fd);
	return left ? n : 0;
}

/* In whatever order they are listed. */
static inline int census_xattrs(struct census_inode *inode, int fd)
{
	static char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
	ssize_t len, n;

	inode->xattrs = 0;
	len = listxattr(fd_path(fd), names, sizeof(names));
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -1;
	for (const char *name = names; name < names + len;
	     name += strlen(name) + 1) {
		n = getxattr(fd_path(fd), name, value, sizeof(value));
		if (n < 0)
			return -1;
		inode->xattrs += hash(hash(HASH_START, name, strlen(name) + 1),
				      value, n);
	}
	return 0;
}

static inline int census_describe(struct census_inode *inode, int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st))
		return -1;
	inode->mode = st.stx_mode;
	inode->uid = st.stx_uid;
	inode->gid = st.stx_gid;
	inode->mtime = st.stx_mtime;
	inode->attributes = st.stx_attributes & CENSUS_ATTRIBUTES;
	if (S_ISREG(st.stx_mode)) {
		inode->size = st.stx_size;
		if (census_content(inode, fd))
			return -1;
	}
	return census_xattrs(inode, fd);
}

/* ------------------------------ the census ----------------------------- */

/* Adds an inode, unless another name has led to it. */
static inline int census_add(struct census *c, struct census_entry *entry,
			     const struct fid *fid, int fd)
{
	struct census_inode *inode;

	entry->child = key_of(OF_OBJECT, fid, "");
	if (tfind(&entry->child, &c->inodes, by_key))
		return 0;

	inode = calloc(1, sizeof(*inode));
	if (!inode)
		return -1;
	inode->key = entry->child;
	inode->directory = key_of(OF_DIRECTORY, fid, "");
	inode->fid = *fid;
	inode->entry = entry;
	if (!tsearch(inode, &c->inodes, by_key) || census_describe(inode, fd))
		return -1;
	if (S_ISDIR(inode->mode)) {
		*c->last = inode;
		c->last = &inode->next_dir;
	}
	return 0;
}

static inline int census_name(struct census *c, const struct census_inode *dir,
			      int dir_fd, const char *name)
{
	struct census_entry *entry = calloc(1, sizeof(*entry));
	struct fid fid;
	int fd, ret;

	if (!entry ||
	    asprintf(&entry->path, "%s/%s", dir->entry->path, name) < 0)
		return -1;
	entry->key = key_of(OF_ENTRY, &dir->fid, name);
	if (!tsearch(entry, &c->entries, by_key))
		return -1;

	fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = get_fid(fd, &fid) ?: census_add(c, entry, &fid, fd);
	close(fd);
	return ret;
}

/* By its handle, for a path can be longer than one that can be opened. */
static inline int census_open(const struct census *c, const struct fid *fid)
{
	struct {
		struct file_handle fh;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = {
		.fh.handle_bytes = fid->bytes,
		.fh.handle_type = fid->type,
	};

	memcpy(handle.fh.f_handle, fid->handle, fid->bytes);
	return open_by_handle_at(c->fs_fd, &handle.fh, O_RDONLY | O_DIRECTORY |
				 O_NOATIME | O_CLOEXEC);
}

static inline int census_directory(struct census *c,
				   const struct census_inode *inode)
{
	const int fd = census_open(c, &inode->fid);
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -1;
	while (!ret && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			ret = census_name(c, inode, fd, entry->d_name);
	closedir(dir);
	return ret;
}

static inline int __census_take(struct census *c)
{
	const struct census_inode *dir;
	struct fid fid;

	c->fs_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c->last = &c->first;
	c->root.path = ".";
	if (c->fs_fd < 0 || get_fid(c->fs_fd, &fid) ||
	    census_add(c, &c->root, &fid, c->fs_fd))
		return -1;
	for (dir = c->first; dir; dir = dir->next_dir)
		if (census_directory(c, dir))
			return -1;
	return 0;
}

/* Of the working directory, in which nothing may change meanwhile. */
static inline struct census *
census_take(struct __test_metadata *const _metadata)
{
	struct census *c = calloc(1, sizeof(*c));

	ASSERT_NE(NULL, c);
	ASSERT_EQ(0, __census_take(c))
		TH_LOG("census: %s", strerror(errno));
	return c;
}

static inline void census_free_entry(void *entry)
{
	free(((struct census_entry *)entry)->path);
	free(entry);
}

static inline void census_free(struct census *c)
{
	if (!c)
		return;
	tdestroy(c->inodes, free);
	tdestroy(c->entries, census_free_entry);
	close(c->fs_fd);
	free(c);
}

static inline void *census_find(void *const *tree, __u64 key)
{
	void *const *node = tfind(&key, tree, by_key);

	return node ? *node : NULL;
}

#endif /* __CENSUS_H */
