/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every operation that a group is told of: how it is asked for, and what is to
 * be seen of it. operations_test.c does what the table says and compares;
 * operations_doc.c prints docs/operations.md from it.
 *
 * To hook another call, or to give another one its row, is to add to this table
 * and, for how it is made, to calls.h. Paths are those of tree.h.
 */

#ifndef __OPERATIONS_H
#define __OPERATIONS_H

#include "calls.h"

struct range {
	bool known;
	__u64 offset;
	__u64 count;
};

#define RANGE(offset, count)	{ true, (offset), (count) }

/* As the result: what the system call returned. */
#define RETURNED		LONG_MIN

#define MOST_BYTES		0x7ffff000	/* that one call reads or writes */

/*
 * One operation of a call: the event, where it is told of, and what is said of
 * it. A call can be more than one, which begin in this order.
 */
struct step {
	__u64 event;		/* and FAN_ONDIR; two for a rename */
	const char *object;	/* whose FID is reported */
	const char *entry;	/* a name that is about to be, or asked for */
	const char *new_entry;	/* of a rename */
	__u32 flags;		/* FAN_OP_* */
	struct range pre, post;
	long result;
	unsigned int is;	/* IS_* */
	const char *says_range;	/* where it is not the bytes asked and done */
	const char *leaves;	/* what is there after it was denied */
};

/* The object is made by the call: it can have no mark. */
#define IS_OF_NEW		0x01
/* It is part of the one before, ends before that, and fails it. */
#define IS_PART			0x02
/* It ends after the one before, even if it begins and fails as a part of it. */
#define IS_LASTING		0x04
/* It ends before the one before, which does not care if it fails. */
#define IS_MEANWHILE		0x08
/* It takes an object's last name away, as FAN_OP_LAST_LINK says at its end. */
#define IS_OF_LAST		0x10

/* Kinds of marks. */
enum kind { INODE, PARENT, MOUNT, FILESYSTEM, NR_KINDS };

#define ONLY(kind)		(1U << (kind))

struct operation {
	const char *family;	/* title, of the first of some rows */
	const char *call;	/* as one writes it; also the name of the row */
	long (*make)(void);
	int (*prepare)(void);	/* of a tree that has what tree.h puts there */
	const char *open;	/* path of what is open before, as ->opened */
	int flags;		/* of that open(2) */
	int fails;		/* with this errno, if it is not denied */
	const char *cold;	/* name that the dcache must not hold */
	unsigned int kinds;	/* of marks; 0: all */
	__u64 mask;		/* subscribed to, more than ->steps say */
	bool unseen;		/* it changes nothing that can be seen */
	struct step steps[3];
	const char *note;
};

#define READS(path, offset, count, ...)					\
	{ FAN_ACCESS, path, .result = RETURNED,				\
	  .pre = RANGE(offset, count), .post = RANGE(offset, count),	\
	  ##__VA_ARGS__ }

#define WRITES(path, offset, count, ...)				\
	{ FAN_MODIFY, path, .result = RETURNED,				\
	  .pre = RANGE(offset, count), .post = RANGE(offset, count),	\
	  ##__VA_ARGS__ }

#define ALLOCATES(offset, ...)						\
	{ FAN_MODIFY, "file", .says_range = "as asked",			\
	  .pre = RANGE(offset, BLOCK), .post = RANGE(offset, BLOCK),	\
	  ##__VA_ARGS__ }

#define TRUNCATES(size, ...)						\
	{ FAN_MODIFY, "file", .says_range = "offset is the new size",	\
	  .pre = RANGE(size, 0), .post = RANGE(size, 0), ##__VA_ARGS__ }

/* Asked for and done: the same, as an error has what was asked for. */
#define ADVISES								\
	{ FAN_ACCESS, "file", .says_range = "as asked",			\
	  .pre = RANGE(OFFSET, COUNT), .post = RANGE(OFFSET, COUNT) }

#define MAPS								\
	{ FAN_ACCESS, "file", .says_range = "as asked",			\
	  .pre = RANGE(BLOCK, BLOCK), .post = RANGE(BLOCK, BLOCK) }

#define MAPPED(...)							\
	{ FAN_MODIFY, "file", .flags = FAN_OP_MAPPED, ##__VA_ARGS__ }

#define CREATES								\
	{ FAN_CREATE, NEW, .entry = NEW, .is = IS_OF_NEW }

#define ATTRIB_OF(path)							\
	{ FAN_ATTRIB, path }

#define OPENS(path)							\
	{ FAN_OPEN, path }

#define DELETES(event, path)						\
	{ event, path, .entry = path, .is = IS_OF_LAST }

#define RENAMES(event, object, from, to, ...)				\
	{ event, object, .entry = from, .new_entry = to, ##__VA_ARGS__ }

static const struct operation operations[] = {
	/* --------------------------- FAN_MODIFY ------------------------- */
	{
		.family = "Writing",
		.call = "write(fd, buf, count)",
		.make = call_write, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", 0, COUNT) },
	}, {
		.call = "write(fd, buf, count) with O_APPEND",
		.make = call_write, .open = "file",
		.flags = O_WRONLY | O_APPEND,
		.steps = { { FAN_MODIFY, "file", .result = RETURNED,
			     .post = RANGE(FILE_SIZE, COUNT) } },
		.note = "The offset is known under the lock of the inode only.",
	}, {
		.call = "write(fd, buf, count) that drops set-user-ID",
		.make = call_write_as_nobody, .prepare = prepare_suid,
		.open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", 0, COUNT) },
		.note = "The mode changes as a part of the write: there is no FAN_ATTRIB.",
	}, {
		.call = "pwrite(fd, buf, count, offset)",
		.make = call_pwrite, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", OFFSET, COUNT) },
	}, {
		.call = "writev(fd, iov, 2)",
		.make = call_writev, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", 0, COUNT) },
	}, {
		.call = "pwritev(fd, iov, 2, offset)",
		.make = call_pwritev, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", OFFSET, COUNT) },
	}, {
		.call = "pwritev2(fd, iov, 2, offset, RWF_DSYNC)",
		.make = call_pwritev2, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", OFFSET, COUNT) },
	}, {
		.call = "io_submit(): IOCB_CMD_PWRITE",
		.make = call_aio_write, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", BLOCK, BLOCK,
				   .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_submit(): IOCB_CMD_PWRITE with O_DIRECT",
		.make = call_aio_write, .open = "file",
		.flags = O_WRONLY | O_DIRECT,
		.steps = { WRITES("file", BLOCK, BLOCK,
				   .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_uring_enter(): IORING_OP_WRITE",
		.make = call_uring_write, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", BLOCK, BLOCK,
				   .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_uring_enter(): IORING_OP_WRITE with O_DIRECT",
		.make = call_uring_write, .open = "file",
		.flags = O_WRONLY | O_DIRECT,
		.steps = { WRITES("file", BLOCK, BLOCK,
				   .flags = FAN_OP_ASYNC) },
	}, {
		.call = "splice(pipe, NULL, fd, &offset, count, 0)",
		.make = call_splice_to, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", OFFSET, COUNT) },
	}, {
		.call = "vmsplice(pipe, iov, 1, 0), splice(pipe, NULL, fd, &offset, count, 0)",
		.make = call_vmsplice_to, .open = "file", .flags = O_WRONLY,
		.steps = { WRITES("file", OFFSET, COUNT) },
		.note = "It is the splice() that writes. What the pages hold by then is what is written.",
	}, {
		.call = "mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)",
		.make = call_map_write, .open = "file", .flags = O_RDWR,
		.steps = { MAPS, MAPPED(.is = IS_PART | IS_LASTING) },
		.note = "FAN_MODIFY ends when the open file does, with its last mapping and descriptor.",
	}, {
		.call = "mmap(), shared and writable, twice of one open file",
		.make = call_map_twice, .open = "file", .flags = O_RDWR,
		.steps = { MAPPED() },
	}, {
		.call = "mprotect(addr, len, PROT_READ | PROT_WRITE) of a shared mapping",
		.make = call_mprotect, .open = "file",
		.flags = O_RDWR | O_NOATIME,
		.steps = { MAPPED() },
	}, {
		.call = "mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)",
		.make = call_map_private, .open = "file", .flags = O_RDWR,
		.note = "It changes memory, not the file.",
	},

	{
		.family = "Copying",
		.call = "sendfile(fd, source, &offset, count)",
		.make = call_sendfile, .open = "file", .flags = O_WRONLY,
		.steps = {
			READS("source", OFFSET, COUNT),
			WRITES("file", 0, COUNT, .is = IS_PART),
		},
	}, {
		.call = "sendfile(fd, source, &offset, count) of more than there is",
		.make = call_sendfile_all, .open = "file", .flags = O_WRONLY,
		.steps = {
			{ FAN_ACCESS, "source", .result = RETURNED,
			  .pre = RANGE(OFFSET, MOST_BYTES),
			  .post = RANGE(OFFSET, FILE_SIZE - OFFSET) },
			{ FAN_MODIFY, "file", .result = RETURNED,
			  .pre = RANGE(0, MOST_BYTES),
			  .post = RANGE(0, FILE_SIZE - OFFSET), .is = IS_PART },
		},
	}, {
		.call = "copy_file_range(source, &from, fd, &to, len, 0)",
		.make = call_copy_file_range, .open = "file", .flags = O_WRONLY,
		.steps = {
			READS("source", BLOCK, BLOCK),
			WRITES("file", 2 * BLOCK, BLOCK, .is = IS_PART),
		},
	}, {
		.call = "ioctl(fd, FICLONE, source)",
		.make = call_clone, .open = "file", .flags = O_WRONLY,
		.steps = {
			{ FAN_ACCESS, "source", .post = RANGE(0, FILE_SIZE) },
			{ FAN_MODIFY, "file", .post = RANGE(0, FILE_SIZE),
			  .is = IS_PART },
		},
	}, {
		.call = "ioctl(fd, FICLONERANGE, &range)",
		.make = call_clone_range, .open = "file", .flags = O_WRONLY,
		.steps = {
			{ FAN_ACCESS, "source", .pre = RANGE(BLOCK, BLOCK),
			  .post = RANGE(BLOCK, BLOCK) },
			{ FAN_MODIFY, "file", .pre = RANGE(2 * BLOCK, BLOCK),
			  .post = RANGE(2 * BLOCK, BLOCK), .is = IS_PART },
		},
		.note = "The length 0 means all there is, and has no range before.",
	}, {
		.call = "ioctl(source, FIDEDUPERANGE, &range)",
		.make = call_dedupe, .open = "file", .flags = O_RDWR,
		.unseen = true,
		.steps = {
			{ FAN_ACCESS, "source", .says_range = "as asked",
			  .pre = RANGE(BLOCK, BLOCK),
			  .post = RANGE(BLOCK, BLOCK) },
			{ FAN_MODIFY, "file", .result = RETURNED,
			  .pre = RANGE(BLOCK, BLOCK),
			  .post = RANGE(BLOCK, BLOCK), .is = IS_MEANWHILE },
		},
		.note = "One FAN_MODIFY for each destination. What is denied is in the status of that one; the others go on.",
	}, {
		.call = "ioctl(source, FIDEDUPERANGE, &range) of what differs",
		.make = call_dedupe_differing, .open = "file", .flags = O_RDWR,
		.unseen = true,
		.steps = {
			{ FAN_ACCESS, "source", .says_range = "as asked",
			  .pre = RANGE(BLOCK, BLOCK),
			  .post = RANGE(BLOCK, BLOCK) },
			{ FAN_MODIFY, "file",
			  .pre = RANGE(2 * BLOCK, BLOCK),
			  .post = RANGE(2 * BLOCK, 0), .is = IS_MEANWHILE },
		},
		.note = "Nothing is done, and that is no error.",
	},

	{
		.family = "Size and allocation",
		.call = "truncate(path, length)",
		.make = call_truncate,
		.steps = { TRUNCATES(OFFSET) },
	}, {
		.call = "truncate(path, length), to make it longer",
		.make = call_truncate_longer,
		.steps = { TRUNCATES(2 * FILE_SIZE) },
	}, {
		.call = "ftruncate(fd, length)",
		.make = call_ftruncate, .open = "file", .flags = O_WRONLY,
		.steps = { TRUNCATES(OFFSET) },
	}, {
		.call = "io_uring_enter(): IORING_OP_FTRUNCATE",
		.make = call_uring_ftruncate, .open = "file", .flags = O_WRONLY,
		.steps = { TRUNCATES(OFFSET) },
	}, {
		.call = "open(path, O_WRONLY | O_TRUNC)",
		.make = call_open_truncate,
		.steps = { OPENS("file"), TRUNCATES(0, .is = IS_PART) },
	}, {
		.call = "fallocate(fd, 0, offset, len)",
		.make = call_allocate, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(FILE_SIZE) },
	}, {
		.call = "fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len)",
		.make = call_allocate_keep, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(FILE_SIZE) },
	}, {
		.call = "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len)",
		.make = call_allocate_punch, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
	}, {
		.call = "fallocate(fd, FALLOC_FL_ZERO_RANGE, offset, len)",
		.make = call_allocate_zero, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
	}, {
		.call = "fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, offset, len)",
		.make = call_allocate_collapse, .open = "file",
		.flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
		.note = "What is behind the range moves, and is not in it.",
	}, {
		.call = "fallocate(fd, FALLOC_FL_INSERT_RANGE, offset, len)",
		.make = call_allocate_insert, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
		.note = "What is behind the range moves, and is not in it.",
	}, {
		.call = "fallocate(fd, FALLOC_FL_UNSHARE_RANGE, offset, len)",
		.make = call_allocate_unshare, .open = "file",
		.flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
	}, {
		.call = "ioctl(fd, FS_IOC_UNRESVSP, &range)",
		.make = call_unreserve, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(BLOCK) },
		.note = "And FS_IOC_RESVSP, FS_IOC_ZERO_RANGE: other ways to say fallocate().",
	}, {
		.call = "madvise(addr, len, MADV_REMOVE) of a shared mapping",
		.make = call_map_remove, .open = "file", .flags = O_RDWR,
		.steps = { MAPPED(), ALLOCATES(BLOCK, .is = IS_MEANWHILE) },
		.note = "Punches a hole in the file, as long as it is mapped.",
	}, {
		.call = "io_uring_enter(): IORING_OP_FALLOCATE",
		.make = call_uring_fallocate, .open = "file", .flags = O_WRONLY,
		.steps = { ALLOCATES(FILE_SIZE) },
	},

	/* --------------------------- FAN_ACCESS ------------------------- */
	{
		.family = "Reading",
		.call = "read(fd, buf, count)",
		.make = call_read, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", 0, COUNT) },
	}, {
		.call = "pread(fd, buf, count, offset)",
		.make = call_pread, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", OFFSET, COUNT) },
	}, {
		.call = "pread(fd, buf, count, offset) at the end of the file",
		.make = call_pread_end, .open = "file", .flags = O_RDONLY,
		.steps = { { FAN_ACCESS, "file", .result = RETURNED,
			     .pre = RANGE(FILE_SIZE - 1, COUNT),
			     .post = RANGE(FILE_SIZE - 1, 1) } },
	}, {
		.call = "readv(fd, iov, 2)",
		.make = call_readv, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", 0, COUNT) },
	}, {
		.call = "preadv(fd, iov, 2, offset)",
		.make = call_preadv, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", OFFSET, COUNT) },
	}, {
		.call = "preadv2(fd, iov, 2, offset, RWF_HIPRI)",
		.make = call_preadv2, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", OFFSET, COUNT) },
	}, {
		.call = "io_submit(): IOCB_CMD_PREAD",
		.make = call_aio_read, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", BLOCK, BLOCK,
				  .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_submit(): IOCB_CMD_PREAD with O_DIRECT",
		.make = call_aio_read, .open = "file",
		.flags = O_RDONLY | O_DIRECT,
		.steps = { READS("file", BLOCK, BLOCK,
				  .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_uring_enter(): IORING_OP_READ",
		.make = call_uring_read, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", BLOCK, BLOCK,
				  .flags = FAN_OP_ASYNC) },
	}, {
		.call = "io_uring_enter(): IORING_OP_READ with O_DIRECT",
		.make = call_uring_read, .open = "file",
		.flags = O_RDONLY | O_DIRECT,
		.steps = { READS("file", BLOCK, BLOCK,
				  .flags = FAN_OP_ASYNC) },
	}, {
		.call = "splice(fd, &offset, pipe, NULL, count, 0)",
		.make = call_splice_from, .open = "file", .flags = O_RDONLY,
		.steps = { READS("file", OFFSET, COUNT) },
	}, {
		.call = "sendfile(pipe, fd, &offset, count)",
		.make = call_sendfile_to_pipe, .open = "file",
		.flags = O_RDONLY,
		.steps = { READS("file", OFFSET, COUNT) },
		.note = "To a socket it is the same.",
	}, {
		.call = "mmap(NULL, len, PROT_READ, MAP_SHARED, fd, offset)",
		.make = call_map_read, .open = "file", .flags = O_RDONLY,
		.steps = { MAPS },
		.note = "Once for the mapping, not for each page that is touched.",
	}, {
		.call = "mmap(NULL, len, PROT_NONE, MAP_SHARED, fd, offset)",
		.make = call_map_none, .open = "file", .flags = O_RDONLY,
		.steps = { MAPS },
		.note = "It can be made readable without anyone being asked.",
	}, {
		.call = "mremap(addr, len, 2 * len, MREMAP_MAYMOVE)",
		.make = call_mremap, .open = "file", .flags = O_RDONLY,
		.steps = { MAPS,
			   { FAN_ACCESS, "file", .says_range = "what it grows by",
			     .pre = RANGE(2 * BLOCK, BLOCK),
			     .post = RANGE(2 * BLOCK, BLOCK) } },
		.note = "Of the mapping, and of what it grows by.",
	}, {
		.call = "readahead(fd, offset, count)",
		.make = call_readahead, .open = "file", .flags = O_RDONLY,
		.steps = { ADVISES },
	}, {
		.call = "posix_fadvise(fd, offset, len, POSIX_FADV_WILLNEED)",
		.make = call_fadvise, .open = "file", .flags = O_RDONLY,
		.steps = { ADVISES },
	}, {
		.call = "execve(path, argv, envp) of a script",
		.make = call_execve, .prepare = prepare_script,
		.steps = { { FAN_ACCESS, "program" } },
		.note = "The kernel reads its first bytes. Of the interpreter there is what there is of a program.",
	}, {
		.call = "execve(path, argv, envp) of a program",
		.make = call_execve, .prepare = prepare_program,
		.steps = { { FAN_ACCESS, "program" } },
		.note = "Once for all that the kernel reads and maps. The interpreter is a file of its own.",
	}, {
		.call = "readlink(path, buf, size)",
		.make = call_readlink,
		.steps = { { FAN_ACCESS, "link", .result = RETURNED } },
	}, {
		.call = "readlinkat(fd, \"\", buf, size)",
		.make = call_readlinkat, .open = "link",
		.flags = O_PATH | O_NOFOLLOW,
		.steps = { { FAN_ACCESS, "link", .result = RETURNED } },
	}, {
		.call = "getdents64(fd, buf, count)",
		.make = call_getdents, .open = "dir",
		.flags = O_RDONLY | O_DIRECTORY,
		.steps = { { FAN_ACCESS | FAN_ONDIR, "dir",
			     .result = RETURNED } },
	}, {
		.call = "lookup of a name that the dcache does not hold",
		.make = call_lookup, .cold = "file",
		.steps = { { FAN_ACCESS | FAN_ONDIR, ".", .entry = "file" } },
		.note = "By any call that goes along a path. The name is the one that is looked up.",
	}, {
		.call = "lookup of a name that is not there",
		.make = call_lookup_missing, .fails = ENOENT,
		.steps = { { FAN_ACCESS | FAN_ONDIR, ".", .entry = "missing",
			     .result = -ENOENT } },
	},

	/* --------------------------- FAN_ATTRIB ------------------------- */
	{
		.family = "Attributes",
		.call = "chmod(path, mode)",
		.make = call_chmod,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "chmod(path, mode) of a directory",
		.make = call_chmod_directory,
		.steps = { { FAN_ATTRIB | FAN_ONDIR, "dir" } },
	}, {
		.call = "fchmod(fd, mode)",
		.make = call_fchmod, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fchmodat(dirfd, path, mode)",
		.make = call_fchmodat,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fchmodat2(dirfd, path, mode, AT_SYMLINK_NOFOLLOW)",
		.make = call_fchmodat2_nofollow,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fchmodat2(fd, \"\", mode, AT_EMPTY_PATH)",
		.make = call_fchmodat2_empty, .open = "file", .flags = O_PATH,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "chown(path, uid, gid)",
		.make = call_chown,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "lchown(path, uid, gid)",
		.make = call_lchown,
		.steps = { ATTRIB_OF("link") },
	}, {
		.call = "fchown(fd, uid, gid)",
		.make = call_fchown, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fchownat(dirfd, path, uid, gid, 0)",
		.make = call_fchownat,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fchownat(fd, \"\", uid, gid, AT_EMPTY_PATH)",
		.make = call_fchownat_empty, .open = "file", .flags = O_PATH,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "utimensat(dirfd, path, times, 0)",
		.make = call_utimensat,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "utimensat(dirfd, path, NULL, 0)",
		.make = call_utimensat_now,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW)",
		.make = call_utimensat_nofollow,
		.steps = { ATTRIB_OF("link") },
	}, {
		.call = "utimensat(fd, \"\", times, AT_EMPTY_PATH)",
		.make = call_utimensat_empty, .open = "file", .flags = O_PATH,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "futimens(fd, times)",
		.make = call_futimens, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "utimensat(dirfd, path, { UTIME_OMIT, UTIME_OMIT }, 0)",
		.make = call_utimensat_omit,
		.note = "It does nothing and does not look at the file.",
	}, {
		.call = "setxattr(path, name, value, size, 0)",
		.make = call_setxattr,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "lsetxattr(path, name, value, size, 0)",
		.make = call_lsetxattr,
		.steps = { ATTRIB_OF("link") },
	}, {
		.call = "fsetxattr(fd, name, value, size, 0)",
		.make = call_fsetxattr, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "setxattrat(dirfd, path, 0, name, &args, size)",
		.make = call_setxattrat,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "io_uring_enter(): IORING_OP_FSETXATTR",
		.make = call_uring_fsetxattr, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "removexattr(path, name)",
		.make = call_removexattr, .prepare = prepare_xattr,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "fremovexattr(fd, name)",
		.make = call_fremovexattr, .prepare = prepare_xattr,
		.open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "removexattrat(dirfd, path, 0, name)",
		.make = call_removexattrat, .prepare = prepare_xattr,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "setxattr(path, \"system.posix_acl_access\", acl, size, 0)",
		.make = call_setxattr_acl,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "removexattr(path, \"system.posix_acl_access\")",
		.make = call_removexattr_acl, .prepare = set_acl,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "ioctl(fd, FS_IOC_SETFLAGS, &flags)",
		.make = call_setflags, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "ioctl(fd, FS_IOC_FSSETXATTR, &attr)",
		.make = call_fssetxattr, .open = "file", .flags = O_RDONLY,
		.steps = { ATTRIB_OF("file") },
	}, {
		.call = "file_setattr(dirfd, path, &attr, size, 0)",
		.make = call_file_setattr,
		.steps = { ATTRIB_OF("file") },
	},

	/* --------------------------- FAN_CREATE ------------------------- */
	{
		.family = "Creating",
		.call = "open(path, O_WRONLY | O_CREAT, mode)",
		.make = call_create,
		.steps = { CREATES, { FAN_OPEN, NEW, .is = IS_OF_NEW,
				      .leaves = "the new file" } },
		.note = "Two operations, one after the other: the new file is there when its opening is asked about.",
	}, {
		.call = "open(path, O_WRONLY | O_CREAT | O_EXCL, mode)",
		.make = call_create_excl,
		.steps = { CREATES },
	}, {
		.call = "open(path, O_WRONLY | O_CREAT | O_EXCL, mode) of what exists",
		.make = call_create_exists, .fails = EEXIST,
		.mask = FAN_OPEN,
	}, {
		.call = "mknod(path, S_IFREG | mode, 0)",
		.make = call_mknod_regular,
		.steps = { CREATES },
	}, {
		.call = "mknod(path, S_IFIFO | mode, 0)",
		.make = call_mknod_fifo,
		.steps = { CREATES },
	}, {
		.call = "mknod(path, S_IFSOCK | mode, 0)",
		.make = call_mknod_socket,
		.steps = { CREATES },
	}, {
		.call = "mknod(path, S_IFCHR | mode, dev)",
		.make = call_mknod_char,
		.steps = { CREATES },
	}, {
		.call = "mknod(path, S_IFBLK | mode, dev)",
		.make = call_mknod_block,
		.steps = { CREATES },
	}, {
		.call = "bind(socket, address, len) of AF_UNIX",
		.make = call_bind,
		.steps = { CREATES },
	}, {
		.call = "mkdir(path, mode)",
		.make = call_mkdir,
		.steps = { { FAN_CREATE | FAN_ONDIR, NEW, .entry = NEW,
			     .is = IS_OF_NEW } },
	}, {
		.call = "mkdir(path, mode) of what exists",
		.make = call_mkdir_exists, .fails = EEXIST,
	}, {
		.call = "io_uring_enter(): IORING_OP_MKDIRAT",
		.make = call_uring_mkdirat,
		.steps = { { FAN_CREATE | FAN_ONDIR, NEW, .entry = NEW,
			     .is = IS_OF_NEW } },
	}, {
		.call = "symlink(target, path)",
		.make = call_symlink,
		.steps = { CREATES },
	}, {
		.call = "io_uring_enter(): IORING_OP_SYMLINKAT",
		.make = call_uring_symlinkat,
		.steps = { CREATES },
	}, {
		.call = "link(old, path)",
		.make = call_link,
		.steps = { { FAN_CREATE, "file", .entry = NEW } },
	}, {
		.call = "io_uring_enter(): IORING_OP_LINKAT",
		.make = call_uring_linkat,
		.steps = { { FAN_CREATE, "file", .entry = NEW } },
	}, {
		.call = "open(dir, O_RDWR | O_TMPFILE, mode)",
		.make = call_tmpfile, .unseen = true,
		.steps = { { FAN_CREATE, UNNAMED, .entry = "dir",
			     .is = IS_OF_NEW },
			   { FAN_OPEN, UNNAMED, .is = IS_OF_NEW,
			     .leaves = "nothing" } },
		.note = "There is no name, but the directory.",
	}, {
		.call = "open(dir, O_RDWR | O_TMPFILE, mode), linkat(fd, \"\", dirfd, path, AT_EMPTY_PATH)",
		.make = call_link_tmpfile,
		.steps = { { FAN_CREATE, UNNAMED, .entry = "dir",
			     .is = IS_OF_NEW },
			   { FAN_CREATE, UNNAMED, .entry = NEW } },
	},

	/* --------------------------- FAN_DELETE ------------------------- */
	{
		.family = "Deleting",
		.call = "unlink(path)",
		.make = call_unlink,
		.steps = { DELETES(FAN_DELETE, "file") },
	}, {
		.call = "unlink(path) of a symbolic link",
		.make = call_unlink_symlink,
		.steps = { DELETES(FAN_DELETE, "link") },
	}, {
		.call = "unlink(path) of what is not there",
		.make = call_unlink_missing, .fails = ENOENT,
	}, {
		.call = "io_uring_enter(): IORING_OP_UNLINKAT",
		.make = call_uring_unlinkat,
		.steps = { DELETES(FAN_DELETE, "file") },
	}, {
		.call = "rmdir(path)",
		.make = call_rmdir,
		.steps = { DELETES(FAN_DELETE | FAN_ONDIR, "empty") },
	}, {
		.call = "rmdir(path) of a directory that is not empty",
		.make = call_rmdir_full, .fails = ENOTEMPTY,
		.steps = { { FAN_DELETE | FAN_ONDIR, "dir", .entry = "dir",
			     .result = -ENOTEMPTY } },
	}, {
		.call = "unlinkat(dirfd, path, AT_REMOVEDIR)",
		.make = call_unlinkat_rmdir,
		.steps = { DELETES(FAN_DELETE | FAN_ONDIR, "empty") },
	},

	/* ------------------- FAN_MOVED_FROM, FAN_MOVED_TO --------------- */
	{
		.family = "Renaming",
		.call = "rename(old, new)",
		.make = call_rename,
		.steps = { RENAMES(MOVED, "file", "file", NEW) },
		.note = "One operation and one event, which has the bits that are subscribed to where each name is.",
	}, {
		.call = "rename(old, new) of what is not there",
		.make = call_rename_missing, .fails = ENOENT,
	}, {
		.call = "io_uring_enter(): IORING_OP_RENAMEAT",
		.make = call_uring_renameat,
		.steps = { RENAMES(MOVED, "file", "file", NEW) },
	}, {
		.call = "rename(old, new) to another directory",
		.make = call_rename_across,
		.steps = { RENAMES(MOVED, "dir/child", "dir/child",
				   "empty/" NEW) },
	}, {
		.call = "rename(old, new) out of a directory that is marked",
		.make = call_rename_across, .kinds = ONLY(INODE),
		.steps = { RENAMES(FAN_MOVED_FROM, "dir/child", "dir/child",
				   "empty/" NEW) },
	}, {
		.call = "rename(old, new) into a directory that is marked",
		.make = call_rename_across, .kinds = ONLY(INODE),
		.steps = { RENAMES(FAN_MOVED_TO, "dir/child", "dir/child",
				   "empty/" NEW) },
	}, {
		.call = "rename(old, new) onto a victim",
		.make = call_rename_victim,
		.steps = { RENAMES(MOVED, "file", "file", "source",
				   .is = IS_OF_LAST) },
		.note = "There is no FAN_DELETE of the victim.",
	}, {
		.call = "rename(old, new) of a directory",
		.make = call_rename_directory,
		.steps = { RENAMES(MOVED | FAN_ONDIR, "dir", "dir",
				   "empty/" NEW) },
	}, {
		.call = "renameat2(dirfd, old, dirfd, new, RENAME_NOREPLACE)",
		.make = call_rename_noreplace,
		.steps = { RENAMES(MOVED, "file", "file", NEW) },
	}, {
		.call = "renameat2(dirfd, old, dirfd, new, RENAME_EXCHANGE)",
		.make = call_rename_exchange,
		.steps = { RENAMES(MOVED, "dir/child", "dir/child", "file") },
		.note = "One event, of the object that had the old name.",
	}, {
		.call = "renameat2(dirfd, old, dirfd, new, RENAME_WHITEOUT)",
		.make = call_rename_whiteout,
		.steps = { RENAMES(MOVED, "file", "file", NEW) },
	},

	/* ---------------------------- FAN_OPEN -------------------------- */
	{
		.family = "Opening",
		.call = "open(path, O_RDONLY)",
		.make = call_open_read,
		.steps = { OPENS("file") },
	}, {
		.call = "open(path, O_WRONLY)",
		.make = call_open_write,
		.steps = { OPENS("file") },
	}, {
		.call = "open(path, O_RDWR)",
		.make = call_open_both,
		.steps = { OPENS("file") },
	}, {
		.call = "open(path, O_WRONLY | O_CREAT, mode) of what exists",
		.make = call_open_exists,
		.steps = { OPENS("file") },
	}, {
		.call = "open(path, O_RDWR) of a FIFO",
		.make = call_open_fifo, .prepare = prepare_fifo,
		.steps = { OPENS("fifo") },
	}, {
		.call = "open(path, O_RDONLY | O_DIRECTORY)",
		.make = call_open_directory,
		.steps = { { FAN_OPEN | FAN_ONDIR, "dir" } },
	}, {
		.call = "io_uring_enter(): IORING_OP_OPENAT",
		.make = call_uring_openat,
		.steps = { OPENS("file") },
	}, {
		.call = "open_by_handle_at(dirfd, handle, O_RDONLY)",
		.make = call_open_handle,
		.steps = { OPENS("file") },
	}, {
		.call = "execve(path, argv, envp)",
		.make = call_execve, .prepare = prepare_script,
		.steps = { OPENS("program") },
	}, {
		.call = "open(path, O_PATH)",
		.make = call_open_path, .mask = FAN_OPEN,
		.note = "It opens no file, only a way to it.",
	},
};

#endif /* __OPERATIONS_H */
