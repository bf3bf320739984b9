/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A workload of random operations on few names, by several processes. What it
 * leaves behind is there to be compared with what was reported of it.
 *
 * Each operation here is one way to change a file system. It makes its system
 * calls with arguments by chance, and most of them can fail by chance: the name
 * is not there, or is a directory, or another process was faster.
 */

#ifndef __MIXED_H
#define __MIXED_H

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "event.h"

#define MIXED_DIR	"mixed"
#define MIXED_NAMES	8
#define MIXED_BYTES	(64 << 10)	/* of a file at most, or a bit more */
#define MIXED_PATH	64
#define MIXED_XATTR	"user.mixed"

static const char * const mixed_dirs[] = {
	MIXED_DIR "/one", MIXED_DIR "/two", MIXED_DIR "/two/three",
};

struct mixer {
	unsigned int seed;
	char path[MIXED_PATH];
	char data[4096];
};

/* ------------------------------- by chance ----------------------------- */

static inline unsigned int chance(struct mixer *m, unsigned int n)
{
	return rand_r(&m->seed) % n;
}

/* A name that may be there; sometimes below another that may be a directory. */
static inline const char *any_path(struct mixer *m)
{
	const char *dir = mixed_dirs[chance(m, ARRAY_SIZE(mixed_dirs))];

	if (chance(m, 4))
		snprintf(m->path, sizeof(m->path), "%s/n%u", dir,
			 chance(m, MIXED_NAMES));
	else
		snprintf(m->path, sizeof(m->path), "%s/n%u/n%u", dir,
			 chance(m, MIXED_NAMES), chance(m, MIXED_NAMES));
	return m->path;
}

/* Two of them, as any_path() has room for one. */
static inline const char *any_paths(struct mixer *m, char first[MIXED_PATH])
{
	snprintf(first, MIXED_PATH, "%s", any_path(m));
	return any_path(m);
}

static inline off_t any_offset(struct mixer *m)
{
	return chance(m, MIXED_BYTES);
}

/* Fills the buffer with what was not there before, and says how much. */
static inline size_t any_data(struct mixer *m)
{
	for (size_t i = 0; i < sizeof(m->data); i += sizeof(int))
		*(int *)&m->data[i] = rand_r(&m->seed);
	return 1 + chance(m, sizeof(m->data));
}

static inline int open_file(const char *path, int flags)
{
	struct stat st;
	int fd;

	/* Not what is behind a symbolic link, nor waiting for a pipe's end. */
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -1;
}

/* A file that is there already, so that there is nothing but the operation. */
static inline int any_file(struct mixer *m, int flags)
{
	return open_file(any_path(m), flags);
}

/* Closes and returns 0 if the call did something. */
static inline int done(int fd, ssize_t ret)
{
	close(fd);
	return ret > 0 ? 0 : -1;
}

static inline int done_ok(int fd, int ret)
{
	return done(fd, !ret);
}

/* ------------------------------- contents ------------------------------ */

static int mix_write(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);

	return fd < 0 ? -1 : done(fd, write(fd, m->data, any_data(m)));
}

static int mix_append(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY | O_APPEND);

	/* Not without end. */
	if (fd < 0 || lseek(fd, 0, SEEK_END) > MIXED_BYTES)
		return fd < 0 ? -1 : done(fd, -1);
	return done(fd, write(fd, m->data, any_data(m)));
}

static int mix_pwrite(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);

	return fd < 0 ? -1 : done(fd, pwrite(fd, m->data, any_data(m),
					     any_offset(m)));
}

static int mix_open_trunc(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY | O_TRUNC);

	return fd < 0 ? -1 : done_ok(fd, 0);
}

/* Follows symbolic links, of which none here leads anywhere. */
static int mix_truncate(struct mixer *m)
{
	return truncate(any_path(m), any_offset(m));
}

static int mix_ftruncate(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);

	return fd < 0 ? -1 : done_ok(fd, ftruncate(fd, any_offset(m)));
}

static int mix_fallocate(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);

	return fd < 0 ? -1 : done_ok(fd, fallocate(fd, 0, any_offset(m),
						   sizeof(m->data)));
}

static int mix_punch(struct mixer *m)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int fd = any_file(m, O_WRONLY);

	return fd < 0 ? -1 : done_ok(fd, fallocate(fd, mode, any_offset(m),
						   sizeof(m->data)));
}

/*
 * It is the mapping that is written to, when the file is closed already.
 * Another process can make the file shorter meanwhile: where a store of this
 * one would be fatal, one that the kernel does for it fails. So the kernel has
 * to be asked, and not its vDSO.
 */
static int mix_store(struct mixer *m, int prot)
{
	const int fd = any_file(m, O_RDWR);
	int ret = -1;
	char *map;

	if (fd < 0)
		return -1;
	map = mmap(NULL, sizeof(m->data), prot, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -1;
	if (!mprotect(map, sizeof(m->data), PROT_READ | PROT_WRITE) &&
	    syscall(__NR_getrandom, map, 256, 0) == 256)
		ret = msync(map, sizeof(m->data), MS_SYNC);
	munmap(map, sizeof(m->data));
	return ret;
}

static int mix_mmap(struct mixer *m)
{
	return mix_store(m, PROT_READ | PROT_WRITE);
}

static int mix_mprotect(struct mixer *m)
{
	return mix_store(m, PROT_READ);
}

/* Two files that are there and are not the same. */
static inline int any_two(struct mixer *m, int fds[2])
{
	struct stat in, out;

	fds[0] = any_file(m, O_RDONLY);
	fds[1] = any_file(m, O_WRONLY);
	if (fds[0] >= 0 && fds[1] >= 0 && !fstat(fds[0], &in) &&
	    !fstat(fds[1], &out) && in.st_ino != out.st_ino)
		return 0;
	close(fds[0]);
	close(fds[1]);
	return -1;
}

static int mix_copy_file_range(struct mixer *m)
{
	off_t to = any_offset(m);
	ssize_t n;
	int fds[2];

	if (any_two(m, fds))
		return -1;
	n = copy_file_range(fds[0], NULL, fds[1], &to, sizeof(m->data), 0);
	close(fds[0]);
	return done(fds[1], n);
}

static int mix_sendfile(struct mixer *m)
{
	ssize_t n;
	int fds[2];

	if (any_two(m, fds))
		return -1;
	n = sendfile(fds[1], fds[0], NULL, sizeof(m->data));
	close(fds[0]);
	return done(fds[1], n);
}

static int mix_splice(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);
	off_t to = any_offset(m);
	ssize_t n = -1;
	int ends[2];

	if (fd < 0)
		return -1;
	if (!pipe2(ends, O_CLOEXEC)) {
		n = write(ends[1], m->data, any_data(m));
		if (n > 0)
			n = splice(ends[0], NULL, fd, &to, n, 0);
		close(ends[0]);
		close(ends[1]);
	}
	return done(fd, n);
}

static int mix_aio(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY);
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (__u64)(uintptr_t)m->data,
		.aio_nbytes = any_data(m),
		.aio_offset = any_offset(m),
	}, *cbs[] = { &cb };
	aio_context_t context = 0;
	struct io_event event = { .res = -1 };

	if (fd < 0 || syscall(__NR_io_setup, 1, &context))
		return fd < 0 ? -1 : done(fd, -1);
	if (syscall(__NR_io_submit, context, 1, cbs) == 1)
		syscall(__NR_io_getevents, context, 1, 1, &event, NULL);
	syscall(__NR_io_destroy, context);
	return done(fd, event.res);
}

/* -------------------------------- names -------------------------------- */

static int mix_create(struct mixer *m)
{
	const int fd = any_file(m, O_WRONLY | O_CREAT | O_EXCL);

	return fd < 0 ? -1 : done(fd, write(fd, m->data, any_data(m)));
}

/* Written to before it has a name. */
static int mix_tmpfile(struct mixer *m)
{
	const char *path = any_path(m);
	int fd = open(mixed_dirs[0], O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
	char from[32];

	if (fd < 0)
		return -1;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	if (write(fd, m->data, any_data(m)) <= 0)
		return done(fd, -1);
	return done_ok(fd, linkat(AT_FDCWD, from, AT_FDCWD, path,
				  AT_SYMLINK_FOLLOW));
}

static int mix_mkdir(struct mixer *m)
{
	return mkdir(any_path(m), 0755);
}

static int mix_mknod(struct mixer *m)
{
	return mknod(any_path(m), S_IFIFO | 0644, 0);
}

static int mix_symlink(struct mixer *m)
{
	return symlink("nowhere", any_path(m));
}

static int mix_bind(struct mixer *m)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", any_path(m));
	return done_ok(fd, bind(fd, (struct sockaddr *)&address,
				sizeof(address)));
}

static int mix_link(struct mixer *m)
{
	char from[MIXED_PATH];
	const char *to = any_paths(m, from);

	return link(from, to);
}

static int mix_unlink(struct mixer *m)
{
	return unlink(any_path(m));
}

static int mix_rmdir(struct mixer *m)
{
	return rmdir(any_path(m));
}

static inline int mix_renameat2(struct mixer *m, unsigned int flags)
{
	char from[MIXED_PATH];
	const char *to = any_paths(m, from);
	struct stat a, b;

	/* Two names of one file are left as they are. */
	if (!lstat(from, &a) && !lstat(to, &b) && a.st_ino == b.st_ino)
		return -1;
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int mix_rename(struct mixer *m)
{
	return mix_renameat2(m, 0);
}

static int mix_noreplace(struct mixer *m)
{
	return mix_renameat2(m, RENAME_NOREPLACE);
}

static int mix_exchange(struct mixer *m)
{
	return mix_renameat2(m, RENAME_EXCHANGE);
}

/* ------------------------------ attributes ----------------------------- */

static int mix_chmod(struct mixer *m)
{
	const char *path = any_path(m);
	struct stat st;

	/* Of a symbolic link it cannot be changed. */
	if (lstat(path, &st) || S_ISLNK(st.st_mode))
		return -1;
	return chmod(path, (st.st_mode ^ 0055) & 07777);
}

static int mix_fchmod(struct mixer *m)
{
	const int fd = any_file(m, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return -1;
	return done_ok(fd, fstat(fd, &st) ?: fchmod(fd, st.st_mode ^ 0022));
}

static int mix_chown(struct mixer *m)
{
	return lchown(any_path(m), chance(m, 1 << 16), chance(m, 1 << 16));
}

static int mix_fchown(struct mixer *m)
{
	const int fd = any_file(m, O_RDONLY);

	return fd < 0 ? -1 : done_ok(fd, fchown(fd, chance(m, 1 << 16), -1));
}

static int mix_utimens(struct mixer *m)
{
	const struct timespec times[] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = chance(m, 1 << 30), .tv_nsec = chance(m, 1 << 30) },
	};

	return utimensat(AT_FDCWD, any_path(m), times, AT_SYMLINK_NOFOLLOW);
}

static int mix_setxattr(struct mixer *m)
{
	return setxattr(any_path(m), MIXED_XATTR, m->data,
			1 + any_data(m) % 64, 0);
}

static int mix_removexattr(struct mixer *m)
{
	return removexattr(any_path(m), MIXED_XATTR);
}

static int mix_setflags(struct mixer *m)
{
	const int fd = any_file(m, O_RDONLY);
	int flags;

	if (fd < 0)
		return -1;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return done(fd, -1);
	flags ^= FS_NODUMP_FL;
	return done_ok(fd, ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/* ------------------------------ processes ------------------------------ */

struct mix {
	const char *name;
	int (*run)(struct mixer *m);
	__u64 events;		/* that it is reported by */
	unsigned int weight;	/* how often, compared to the others */
};

#define MIX(name, events, weight)	{ #name, mix_##name, events, weight }

/* Weighted so that there is always something to work on. */
static const struct mix mixes[] = {
	MIX(rmdir, FAN_DELETE, 4),
	MIX(create, FAN_CREATE | FAN_MODIFY, 8),
	MIX(tmpfile, FAN_CREATE | FAN_MODIFY, 4),
	MIX(mkdir, FAN_CREATE, 4),
	MIX(mknod, FAN_CREATE, 1),
	MIX(symlink, FAN_CREATE, 1),
	MIX(bind, FAN_CREATE, 1),
	MIX(link, FAN_CREATE, 3),
	MIX(unlink, FAN_DELETE, 6),
	MIX(rename, MOVED, 3),
	MIX(noreplace, MOVED, 2),
	MIX(exchange, MOVED, 3),
	MIX(write, FAN_MODIFY, 2),
	MIX(append, FAN_MODIFY, 2),
	MIX(pwrite, FAN_MODIFY, 2),
	MIX(open_trunc, FAN_MODIFY, 1),
	MIX(truncate, FAN_MODIFY, 1),
	MIX(ftruncate, FAN_MODIFY, 1),
	MIX(fallocate, FAN_MODIFY, 1),
	MIX(punch, FAN_MODIFY, 1),
	MIX(mmap, FAN_MODIFY, 3),
	MIX(mprotect, FAN_MODIFY, 3),
	MIX(copy_file_range, FAN_MODIFY, 3),
	MIX(sendfile, FAN_MODIFY, 3),
	MIX(splice, FAN_MODIFY, 2),
	MIX(aio, FAN_MODIFY, 2),
	MIX(chmod, FAN_ATTRIB, 1),
	MIX(fchmod, FAN_ATTRIB, 2),
	MIX(chown, FAN_ATTRIB, 1),
	MIX(fchown, FAN_ATTRIB, 2),
	MIX(utimens, FAN_ATTRIB, 1),
	MIX(setxattr, FAN_ATTRIB, 2),
	MIX(removexattr, FAN_ATTRIB, 3),
	MIX(setflags, FAN_ATTRIB, 2),
};

#define NR_MIXES	ARRAY_SIZE(mixes)

#define MIXERS		4

struct mixed {
	unsigned int seed;
	int operations;		/* of each process */
	__u64 events;		/* only operations reported by any of these */
	int *worked;		/* how many did something; shared by all */
};

static inline unsigned int mix_weight(const struct mixed *mixed, size_t mix)
{
	return mixes[mix].events & mixed->events ? mixes[mix].weight : 0;
}

static inline const struct mix *any_mix(struct mixer *m,
					const struct mixed *mixed)
{
	unsigned int sum = 0, n;
	size_t i;

	for (i = 0; i < NR_MIXES; i++)
		sum += mix_weight(mixed, i);
	n = chance(m, sum);
	for (i = 0; n >= mix_weight(mixed, i); i++)
		n -= mix_weight(mixed, i);
	return &mixes[i];
}

static inline void mixer_run(const struct mixed *mixed, int nr)
{
	struct mixer m = { .seed = mixed->seed + nr };

	for (int i = 0; i < mixed->operations; i++)
		if (!any_mix(&m, mixed)->run(&m))
			__atomic_add_fetch(mixed->worked, 1, __ATOMIC_RELAXED);
}

/* A job: returns 0 when all processes have come to their ends. */
static long do_mix(void *arg)
{
	int status, failed = 0;

	for (int i = 0; i < MIXERS; i++) {
		const pid_t pid = fork();

		if (pid < 0)
			return -1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			mixer_run(arg, i);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	errno = EIO;
	return failed ? -1 : 0;
}

/* One operation alone, as often as it takes until it does something. */
struct single {
	const struct mix *mix;
	unsigned int seed;
};

#define SINGLE_TRIES	2000

static long do_single(void *arg)
{
	const struct single *single = arg;
	struct mixer m = { .seed = single->seed };

	for (int i = 0; i < SINGLE_TRIES; i++)
		if (!single->mix->run(&m))
			return 0;
	return -1;
}

/* Four names are files, two are directories, two are free. */
static inline void mixed_make(struct __test_metadata *const _metadata)
{
	char path[MIXED_PATH];

	ASSERT_EQ(0, mkdir(MIXED_DIR, 0755));
	for (size_t i = 0; i < ARRAY_SIZE(mixed_dirs); i++) {
		ASSERT_EQ(0, mkdir(mixed_dirs[i], 0755));
		for (int n = 0; n < MIXED_NAMES; n += 2) {
			snprintf(path, sizeof(path), "%s/n%d", mixed_dirs[i],
				 n);
			put_file(_metadata, path, "as it was");
			ASSERT_EQ(0, setxattr(path, MIXED_XATTR, "1", 1, 0));
		}
		for (int n = 1; n < MIXED_NAMES / 2; n += 2) {
			snprintf(path, sizeof(path), "%s/n%d", mixed_dirs[i],
				 n);
			ASSERT_EQ(0, mkdir(path, 0755));
		}
	}
}

#endif /* __MIXED_H */
