/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that operations.h is a table of, and what has to be there for them.
 *
 * A call is made in a tree of its own (tree.h), which is the working directory,
 * by a job that has nothing else to do: what it opens or maps goes with it. It
 * returns what the system call returned, and 0 for a descriptor.
 */

#ifndef __CALLS_H
#define __CALLS_H

#include "event.h"

#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/io_uring.h>

#include "aio.h"
#include "tree.h"

/* Of XFS once, and for every file system since. */
struct space_resv {
	__s16 l_type;
	__s16 l_whence;
	__s64 l_start;
	__s64 l_len;
	__s32 l_sysid;
	__u32 l_pid;
	__s32 l_pad[4];
};

#define FS_IOC_UNRESVSP		_IOW('X', 43, struct space_resv)

/* struct xattr_args, which the C library's <sys/xattr.h> hides. */
struct setxattrat_args {
	__u64 value __attribute__((aligned(8)));
	__u32 size;
	__u32 flags;
};

/* What is read and written, if it need not be whole blocks. */
#define COUNT		100
#define OFFSET		5000

/* A file that was not there before, and the one that never has a name. */
#define NEW		"new"
#define UNNAMED		"(unnamed)"

/* What the row of the table wants to be open, or -1. */
static int opened = -1;

static char data[BLOCK] __attribute__((aligned(BLOCK)));

static long closed(int fd)
{
	return fd < 0 ? -1 : close(fd);
}

/* ------------------------- read and write ------------------------------ */

static struct iovec *two_pieces(void)
{
	static struct iovec iov[] = {
		{ .iov_base = data, .iov_len = COUNT / 4 },
		{ .iov_base = data, .iov_len = COUNT - COUNT / 4 },
	};

	return iov;
}

static long call_write(void)
{
	return write(opened, data, COUNT);
}

static long call_pwrite(void)
{
	return pwrite(opened, data, COUNT, OFFSET);
}

static long call_writev(void)
{
	return writev(opened, two_pieces(), 2);
}

static long call_pwritev(void)
{
	return pwritev(opened, two_pieces(), 2, OFFSET);
}

static long call_pwritev2(void)
{
	return pwritev2(opened, two_pieces(), 2, OFFSET, RWF_DSYNC);
}

/* By someone whose writes drop the set-user-ID bit. */
static long call_write_as_nobody(void)
{
	return setresuid(65534, 65534, 65534) ? -1 : write(opened, data, COUNT);
}

static long call_read(void)
{
	return read(opened, data, COUNT);
}

static long call_pread(void)
{
	return pread(opened, data, COUNT, OFFSET);
}

static long call_pread_end(void)
{
	return pread(opened, data, COUNT, FILE_SIZE - 1);
}

static long call_readv(void)
{
	return readv(opened, two_pieces(), 2);
}

static long call_preadv(void)
{
	return preadv(opened, two_pieces(), 2, OFFSET);
}

static long call_preadv2(void)
{
	return preadv2(opened, two_pieces(), 2, OFFSET, RWF_HIPRI);
}

static long call_readahead(void)
{
	return readahead(opened, OFFSET, COUNT);
}

static long call_fadvise(void)
{
	return result_of(-posix_fadvise(opened, OFFSET, COUNT,
					POSIX_FADV_WILLNEED));
}

/* ----------------------- aio and io_uring ------------------------------ */

static long aio_block(int fd, int opcode)
{
	return aio_submit(&(struct iocb) {
		.aio_lio_opcode = opcode,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)data,
		.aio_nbytes = BLOCK,
		.aio_offset = BLOCK,
	});
}

static long call_aio_write(void)
{
	return aio_block(opened, IOCB_CMD_PWRITE);
}

static long call_aio_read(void)
{
	return aio_block(opened, IOCB_CMD_PREAD);
}

/* Does one thing, in a ring of its own. */
static long uring(const struct io_uring_sqe *sqe)
{
	struct io_uring_params params = {};
	const struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqes;
	size_t size;
	char *rings;
	int fd;

	fd = syscall(__NR_io_uring_setup, 1, &params);
	if (fd < 0)
		return -1;
	/* Both rings are in one mapping, and the second comes first. */
	size = params.sq_off.array + params.sq_entries * sizeof(__u32);
	rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     IORING_OFF_SQ_RING);
	sqes = mmap(NULL, sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqes == MAP_FAILED)
		return -1;

	*sqes = *sqe;
	__atomic_store_n((__u32 *)(rings + params.sq_off.tail), 1,
			 __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -1;
	cqe = (const struct io_uring_cqe *)(rings + params.cq_off.cqes);
	return result_of(cqe->res);
}

static long uring_block(int fd, int opcode)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = opcode,
		.fd = fd,
		.addr = (uintptr_t)data,
		.len = BLOCK,
		.off = BLOCK,
	});
}

static long call_uring_write(void)
{
	return uring_block(opened, IORING_OP_WRITE);
}

static long call_uring_read(void)
{
	return uring_block(opened, IORING_OP_READ);
}

static long call_uring_fallocate(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_FALLOCATE,
		.fd = opened,
		.off = FILE_SIZE,
		.addr = BLOCK,
	});
}

static long call_uring_ftruncate(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_FTRUNCATE,
		.fd = opened,
		.off = OFFSET,
	});
}

static long call_uring_fsetxattr(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_FSETXATTR,
		.fd = opened,
		.addr = (uintptr_t)"user.new",
		.addr2 = (uintptr_t)data,
		.len = COUNT,
	});
}

static long call_uring_openat(void)
{
	return closed(uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_OPENAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)"file",
		.open_flags = O_RDONLY,
	}));
}

static long call_uring_mkdirat(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_MKDIRAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)NEW,
		.len = 0755,
	});
}

static long call_uring_symlinkat(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_SYMLINKAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)"file",
		.addr2 = (uintptr_t)NEW,
	});
}

static long call_uring_linkat(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_LINKAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)"file",
		.len = AT_FDCWD,
		.addr2 = (uintptr_t)NEW,
	});
}

static long call_uring_unlinkat(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_UNLINKAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)"file",
	});
}

static long call_uring_renameat(void)
{
	return uring(&(struct io_uring_sqe) {
		.opcode = IORING_OP_RENAMEAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)"file",
		.len = AT_FDCWD,
		.addr2 = (uintptr_t)NEW,
	});
}

/* ------------------------ from file to file ---------------------------- */

static long call_splice_to(void)
{
	loff_t offset = OFFSET;
	int p[2];

	if (pipe(p) || write(p[1], data, COUNT) != COUNT)
		return -1;
	return splice(p[0], NULL, opened, &offset, COUNT, 0);
}

static long call_vmsplice_to(void)
{
	const struct iovec iov = { .iov_base = data, .iov_len = COUNT };
	loff_t offset = OFFSET;
	int p[2];

	if (pipe(p) || vmsplice(p[1], &iov, 1, 0) != COUNT)
		return -1;
	return splice(p[0], NULL, opened, &offset, COUNT, 0);
}

static long call_splice_from(void)
{
	loff_t offset = OFFSET;
	int p[2];

	return pipe(p) ? -1 : splice(opened, &offset, p[1], NULL, COUNT, 0);
}

static long call_sendfile_to_pipe(void)
{
	off_t offset = OFFSET;
	int p[2];

	return pipe(p) ? -1 : sendfile(p[1], opened, &offset, COUNT);
}

static long call_sendfile(void)
{
	const int source = open("source", O_RDONLY);
	off_t offset = OFFSET;

	return sendfile(opened, source, &offset, COUNT);
}

/* More than one call can do, and than there is. */
static long call_sendfile_all(void)
{
	const int source = open("source", O_RDONLY);
	off_t offset = OFFSET;

	return sendfile(opened, source, &offset, 0x7fffffff);
}

static long call_copy_file_range(void)
{
	const int source = open("source", O_RDONLY);
	loff_t from = BLOCK, to = 2 * BLOCK;

	return copy_file_range(source, &from, opened, &to, BLOCK, 0);
}

static long call_clone(void)
{
	return ioctl(opened, FICLONE, open("source", O_RDONLY));
}

static long call_clone_range(void)
{
	return ioctl(opened, FICLONERANGE, &(struct file_clone_range) {
		.src_fd = open("source", O_RDONLY),
		.src_offset = BLOCK,
		.src_length = BLOCK,
		.dest_offset = 2 * BLOCK,
	});
}

/*
 * Of one destination: what became of it is said in its own place. For writing,
 * or an overlay would refuse it for the layer that the source is in.
 */
static long dedupe(off_t from, int fd, off_t to)
{
	const int source = open("source", O_RDWR);
	struct file_dedupe_range_info *info;
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} arg = {
		.range.src_offset = from,
		.range.src_length = BLOCK,
		.range.dest_count = 1,
		.info.dest_fd = fd,
		.info.dest_offset = to,
	};

	if (ioctl(source, FIDEDUPERANGE, &arg))
		return -1;
	info = arg.range.info;
	if (info->status == FILE_DEDUPE_RANGE_DIFFERS)
		return 0;
	return info->status < 0 ? result_of(info->status) :
				  (long)info->bytes_deduped;
}

static long call_dedupe(void)
{
	return dedupe(BLOCK, opened, BLOCK);
}

static long call_dedupe_differing(void)
{
	return dedupe(BLOCK, opened, 2 * BLOCK);
}

/* ------------------------ size and allocation -------------------------- */

static long allocate(int fd, int mode, off_t offset)
{
	return fallocate(fd, mode, offset, BLOCK);
}

static long call_allocate(void)
{
	return allocate(opened, 0, FILE_SIZE);
}

static long call_allocate_keep(void)
{
	return allocate(opened, FALLOC_FL_KEEP_SIZE, FILE_SIZE);
}

static long call_allocate_punch(void)
{
	return allocate(opened, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK);
}

static long call_allocate_zero(void)
{
	return allocate(opened, FALLOC_FL_ZERO_RANGE, BLOCK);
}

static long call_allocate_collapse(void)
{
	return allocate(opened, FALLOC_FL_COLLAPSE_RANGE, BLOCK);
}

static long call_allocate_insert(void)
{
	return allocate(opened, FALLOC_FL_INSERT_RANGE, BLOCK);
}

static long call_allocate_unshare(void)
{
	return allocate(opened, FALLOC_FL_UNSHARE_RANGE, BLOCK);
}

static long call_unreserve(void)
{
	return ioctl(opened, FS_IOC_UNRESVSP, &(struct space_resv) {
		.l_whence = SEEK_SET,
		.l_start = BLOCK,
		.l_len = BLOCK,
	});
}

static long call_truncate(void)
{
	return truncate("file", OFFSET);
}

static long call_truncate_longer(void)
{
	return truncate("file", 2 * FILE_SIZE);
}

static long call_ftruncate(void)
{
	return ftruncate(opened, OFFSET);
}

/* ------------------------------ mappings ------------------------------- */

/* Writes to it, where that can be done, and ends all that is open. */
static long unmap(char *p, int fd, int prot)
{
	if (prot & PROT_WRITE)
		p[COUNT] = 0;
	return munmap(p, BLOCK) || close(fd) ? -1 : 0;
}

static long map(int fd, int prot)
{
	char *p = mmap(NULL, BLOCK, prot, MAP_SHARED, fd, BLOCK);

	return p == MAP_FAILED ? -1 : unmap(p, fd, prot);
}

static long call_map_read(void)
{
	return map(opened, PROT_READ);
}

static long call_map_write(void)
{
	return map(opened, PROT_READ | PROT_WRITE);
}

static long call_map_twice(void)
{
	char *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);

	if (p == MAP_FAILED || munmap(p, BLOCK))
		return -1;
	return map(opened, PROT_READ | PROT_WRITE);
}

static long call_map_remove(void)
{
	char *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, opened,
		       BLOCK);

	return p == MAP_FAILED ? -1 : madvise(p, BLOCK, MADV_REMOVE);
}

static long call_map_private(void)
{
	char *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, opened, 0);

	return p == MAP_FAILED ? -1 : unmap(p, opened, PROT_WRITE);
}

static long call_mremap(void)
{
	char *p = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, opened, BLOCK);

	if (p == MAP_FAILED)
		return -1;
	p = mremap(p, BLOCK, 2 * BLOCK, MREMAP_MAYMOVE);
	return p == MAP_FAILED ? -1 : munmap(p, 2 * BLOCK);
}

static long call_map_none(void)
{
	return map(opened, PROT_NONE);
}

static long call_mprotect(void)
{
	char *p = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, opened, BLOCK);

	if (p == MAP_FAILED || mprotect(p, BLOCK, PROT_READ | PROT_WRITE))
		return -1;
	return unmap(p, opened, PROT_WRITE);
}

/* ---------------------------- directories ------------------------------ */

static long call_getdents(void)
{
	return syscall(__NR_getdents64, opened, data, sizeof(data));
}

static long call_lookup(void)
{
	struct stat st;

	return stat("file", &st);
}

static long call_lookup_missing(void)
{
	struct stat st;

	return stat("missing", &st);
}

static long call_readlink(void)
{
	return readlink("link", data, sizeof(data));
}

static long call_readlinkat(void)
{
	return readlinkat(opened, "", data, sizeof(data));
}

/* ------------------------------- open ---------------------------------- */

static long call_open_read(void)
{
	return closed(open("file", O_RDONLY));
}

static long call_open_write(void)
{
	return closed(open("file", O_WRONLY));
}

static long call_open_both(void)
{
	return closed(open("file", O_RDWR));
}

static long call_open_exists(void)
{
	return closed(open("file", O_WRONLY | O_CREAT, 0600));
}

static long call_open_directory(void)
{
	return closed(open("dir", O_RDONLY | O_DIRECTORY));
}

static long call_open_fifo(void)
{
	return closed(open("fifo", O_RDWR));
}

static long call_open_path(void)
{
	return closed(open("file", O_PATH));
}

static long call_open_truncate(void)
{
	return closed(open("file", O_WRONLY | O_TRUNC));
}

static long call_open_handle(void)
{
	struct {
		struct file_handle fh;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .fh.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, "file", &handle.fh, &mount_id, 0))
		return -1;
	return closed(open_by_handle_at(AT_FDCWD, &handle.fh, O_RDONLY));
}

static int prepare_fifo(void)
{
	return mkfifo("fifo", 0600);
}

/* A program that needs no other of the tree. */
static int prepare_script(void)
{
	int ret = write_file("program", O_CREAT, "#!/bin/true\n");

	return result_of(ret) ?: chmod("program", 0755);
}

static int prepare_program(void)
{
	const int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
	const int to = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;
	int ret = -1;

	if (from >= 0 && to >= 0 && !fstat(from, &st) &&
	    sendfile(to, from, NULL, st.st_size) == st.st_size)
		ret = 0;
	close(from);
	close(to);
	return ret;
}

static long call_execve(void)
{
	return execl("program", "program", NULL);
}

/* ----------------------------- attributes ------------------------------ */

static long call_chmod(void)
{
	return chmod("file", 0600);
}

static long call_chmod_directory(void)
{
	return chmod("dir", 0700);
}

static long call_fchmod(void)
{
	return fchmod(opened, 0600);
}

static long call_fchmodat(void)
{
	return fchmodat(AT_FDCWD, "file", 0600, 0);
}

static long call_fchmodat2_nofollow(void)
{
	return syscall(__NR_fchmodat2, AT_FDCWD, "file", 0600,
		       AT_SYMLINK_NOFOLLOW);
}

static long call_fchmodat2_empty(void)
{
	return syscall(__NR_fchmodat2, opened, "", 0600, AT_EMPTY_PATH);
}

static long call_chown(void)
{
	return chown("file", 1, 1);
}

static long call_lchown(void)
{
	return lchown("link", 1, 1);
}

static long call_fchown(void)
{
	return fchown(opened, 1, 1);
}

static long call_fchownat(void)
{
	return fchownat(AT_FDCWD, "file", 1, 1, 0);
}

static long call_fchownat_empty(void)
{
	return fchownat(opened, "", 1, 1, AT_EMPTY_PATH);
}

static const struct timespec *some_times(void)
{
	static const struct timespec times[] = {
		{ .tv_sec = 12345 }, { .tv_sec = 67890 },
	};

	return times;
}

static long call_utimensat(void)
{
	return utimensat(AT_FDCWD, "file", some_times(), 0);
}

static long call_utimensat_now(void)
{
	return utimensat(AT_FDCWD, "file", NULL, 0);
}

static long call_utimensat_nofollow(void)
{
	return utimensat(AT_FDCWD, "link", some_times(), AT_SYMLINK_NOFOLLOW);
}

static long call_utimensat_empty(void)
{
	return utimensat(opened, "", some_times(), AT_EMPTY_PATH);
}

static long call_utimensat_omit(void)
{
	static const struct timespec times[] = {
		{ .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT },
	};

	return utimensat(AT_FDCWD, "file", times, 0);
}

static long call_futimens(void)
{
	return futimens(opened, some_times());
}

static int prepare_xattr(void)
{
	return setxattr("file", "user.old", data, COUNT, 0);
}

static long call_setxattr(void)
{
	return setxattr("file", "user.new", data, COUNT, 0);
}

/* A symbolic link has none of user. */
static long call_lsetxattr(void)
{
	return lsetxattr("link", "trusted.new", data, COUNT, 0);
}

static long call_fsetxattr(void)
{
	return fsetxattr(opened, "user.new", data, COUNT, 0);
}

static long call_setxattrat(void)
{
	const struct setxattrat_args args = {
		.value = (uintptr_t)data,
		.size = COUNT,
	};

	return syscall(__NR_setxattrat, AT_FDCWD, "file", 0, "user.new", &args,
		       sizeof(args));
}

static long call_removexattr(void)
{
	return removexattr("file", "user.old");
}

static long call_fremovexattr(void)
{
	return fremovexattr(opened, "user.old");
}

static long call_removexattrat(void)
{
	return syscall(__NR_removexattrat, AT_FDCWD, "file", 0, "user.old");
}

#define ACL		"system.posix_acl_access"

/* That user 1 may read it, as a mode cannot say. */
static int set_acl(void)
{
	const struct {
		__u32 version;
		struct {
			__u16 tag;
			__u16 perm;
			__u32 id;
		} entries[5];
	} acl = {
		.version = 2,
		.entries = {
			{ .tag = 0x01, .perm = 6, .id = -1 },
			{ .tag = 0x02, .perm = 4, .id = 1 },
			{ .tag = 0x04, .perm = 0, .id = -1 },
			{ .tag = 0x10, .perm = 4, .id = -1 },
			{ .tag = 0x20, .perm = 0, .id = -1 },
		},
	};

	return setxattr("file", ACL, &acl, sizeof(acl), 0);
}

static long call_setxattr_acl(void)
{
	return set_acl();
}

static long call_removexattr_acl(void)
{
	return removexattr("file", ACL);
}

static long call_setflags(void)
{
	int flags;

	if (ioctl(opened, FS_IOC_GETFLAGS, &flags))
		return -1;
	flags |= FS_NODUMP_FL;
	return ioctl(opened, FS_IOC_SETFLAGS, &flags);
}

static long call_fssetxattr(void)
{
	struct fsxattr attr;

	if (ioctl(opened, FS_IOC_FSGETXATTR, &attr))
		return -1;
	attr.fsx_xflags |= FS_XFLAG_NODUMP;
	return ioctl(opened, FS_IOC_FSSETXATTR, &attr);
}

static long call_file_setattr(void)
{
	struct file_attr attr;

	if (syscall(__NR_file_getattr, AT_FDCWD, "file", &attr, sizeof(attr),
		    0))
		return -1;
	attr.fa_xflags |= FS_XFLAG_NODUMP;
	return syscall(__NR_file_setattr, AT_FDCWD, "file", &attr,
		       sizeof(attr), 0);
}

static int prepare_suid(void)
{
	return chmod("file", 06755);
}

/* ------------------------------- names --------------------------------- */

static long call_create(void)
{
	return closed(open(NEW, O_WRONLY | O_CREAT, 0600));
}

static long call_create_excl(void)
{
	return closed(open(NEW, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static long call_create_exists(void)
{
	return closed(open("file", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static long call_mknod_regular(void)
{
	return mknod(NEW, S_IFREG | 0600, 0);
}

static long call_mknod_fifo(void)
{
	return mknod(NEW, S_IFIFO | 0600, 0);
}

static long call_mknod_socket(void)
{
	return mknod(NEW, S_IFSOCK | 0600, 0);
}

static long call_mknod_char(void)
{
	return mknod(NEW, S_IFCHR | 0600, makedev(1, 3));
}

static long call_mknod_block(void)
{
	return mknod(NEW, S_IFBLK | 0600, makedev(7, 0));
}

static long call_mkdir(void)
{
	return mkdir(NEW, 0755);
}

static long call_mkdir_exists(void)
{
	return mkdir("dir", 0755);
}

static long call_symlink(void)
{
	return symlink("file", NEW);
}

static long call_link(void)
{
	return link("file", NEW);
}

/* Shared by a test with its job, who alone can tell what it made. */
static struct fid *unnamed_fid;

static long call_tmpfile(void)
{
	const int new = open("dir", O_TMPFILE | O_RDWR, 0600);

	return new < 0 ? -1 : get_fid(new, unnamed_fid);
}

static long call_link_tmpfile(void)
{
	const int new = open("dir", O_TMPFILE | O_RDWR, 0600);

	if (new < 0 || get_fid(new, unnamed_fid))
		return -1;
	return linkat(new, "", AT_FDCWD, NEW, AT_EMPTY_PATH);
}

static long call_bind(void)
{
	const struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = NEW,
	};

	return bind(socket(AF_UNIX, SOCK_STREAM, 0),
		    (const struct sockaddr *)&address, sizeof(address));
}

static long call_unlink(void)
{
	return unlink("file");
}

static long call_unlink_missing(void)
{
	return unlink("missing");
}

static long call_unlink_symlink(void)
{
	return unlink("link");
}

static long call_rmdir(void)
{
	return rmdir("empty");
}

static long call_rmdir_full(void)
{
	return rmdir("dir");
}

static long call_unlinkat_rmdir(void)
{
	return unlinkat(AT_FDCWD, "empty", AT_REMOVEDIR);
}

static long call_rename(void)
{
	return rename("file", NEW);
}

static long call_rename_missing(void)
{
	return rename("missing", NEW);
}

static long call_rename_across(void)
{
	return rename("dir/child", "empty/" NEW);
}

static long call_rename_victim(void)
{
	return rename("file", "source");
}

static long call_rename_directory(void)
{
	return rename("dir", "empty/" NEW);
}

static long call_rename_noreplace(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, NEW, RENAME_NOREPLACE);
}

static long call_rename_exchange(void)
{
	return renameat2(AT_FDCWD, "dir/child", AT_FDCWD, "file",
			 RENAME_EXCHANGE);
}

static long call_rename_whiteout(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, NEW, RENAME_WHITEOUT);
}

#endif /* __CALLS_H */
