// SPDX-License-Identifier: GPL-2.0
/*
 * A peer: what storage managers use today, a file system in user space whose
 * files are those of another directory. Mounts SOURCE at MOUNTPOINT, runs
 * COMMAND, and unmounts.
 *
 *	peer_fuse [--passthrough] SOURCE MOUNTPOINT -- COMMAND...
 *
 * Each operation comes here as a request; with --passthrough those that read,
 * write and map an open file do not: the kernel does them on SOURCE's file,
 * which open hands to it.
 *
 * Requests are served by several threads, as fuse_session_loop_mt() makes
 * them and storage managers have them. Names and attributes are good for a
 * second, which is libfuse's default. The kernel caches data but not writes,
 * libfuse's default too. There are no extended attributes; the kernel asks
 * once and remembers. New files are root's.
 *
 * Exits with COMMAND's status.
 */

#define FUSE_USE_VERSION 317

#include <dirent.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "peer.h"

#define TIMEOUT 1.0	/* seconds, of names and of attributes */
#define MANY_FILES 500000

static const char usage[] =
	"usage: peer_fuse [--passthrough] SOURCE MOUNTPOINT -- COMMAND...\n";

static bool passthrough;

/* --------------------------------- nodes --------------------------------- */

/*
 * What the kernel knows by a number, which is the address of this. It stays
 * as long as the kernel has looked it up more often than it has forgotten it.
 */
struct node {
	dev_t dev;		/* these two are the key in nodes */
	ino_t ino;
	int fd;			/* of O_PATH */
	uint64_t lookups;
	unsigned int opens;	/* with --passthrough: those that are not yet ... */
	int backing_id;		/* ... released, and what all of them share */
};

static struct node root;
static void *nodes;		/* of tsearch() */
static pthread_mutex_t nodes_lock = PTHREAD_MUTEX_INITIALIZER;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)ino;
}

static int fd_of(fuse_ino_t ino)
{
	return node_of(ino)->fd;
}

/* A name for what is known by a descriptor of O_PATH, with which less can be done. */
struct proc_name {
	char text[32];
};

static struct proc_name name_of(fuse_ino_t ino)
{
	struct proc_name name;

	snprintf(name.text, sizeof(name.text), "/proc/self/fd/%d", fd_of(ino));
	return name;
}

static int compare(const void *l, const void *r)
{
	const struct node *a = l, *b = r;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return a->dev < b->dev ? -1 : a->dev > b->dev;
}

/* Counts one more lookup of @new, or of the node that is there for the same file. */
static struct node *node_insert(struct node *new)
{
	struct node **slot, *node = NULL;

	pthread_mutex_lock(&nodes_lock);
	slot = tsearch(new, &nodes, compare);
	if (slot) {
		node = *slot;
		node->lookups++;
	}
	pthread_mutex_unlock(&nodes_lock);
	return node;
}

static void node_free(struct node *node)
{
	close(node->fd);
	free(node);
}

static void node_forget(fuse_ino_t ino, uint64_t lookups)
{
	struct node *node = node_of(ino);
	bool gone;

	if (node == &root)
		return;
	pthread_mutex_lock(&nodes_lock);
	node->lookups -= lookups;
	gone = !node->lookups;
	if (gone)
		tdelete(node, &nodes, compare);
	pthread_mutex_unlock(&nodes_lock);
	if (gone)
		node_free(node);
}

/* Looks up @name and fills in @entry. Returns 0 or an error number. */
static int node_lookup(fuse_ino_t parent, const char *name,
		       struct fuse_entry_param *entry)
{
	struct node *new, *node;
	struct stat *st = &entry->attr;
	int error;

	*entry = (struct fuse_entry_param){
		.attr_timeout = TIMEOUT,
		.entry_timeout = TIMEOUT,
	};
	new = calloc(1, sizeof(*new));
	if (!new)
		return ENOMEM;
	new->fd = openat(fd_of(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (new->fd < 0) {
		error = errno;
		free(new);
		return error;
	}
	if (fstatat(new->fd, "", st, AT_EMPTY_PATH)) {
		error = errno;
		node_free(new);
		return error;
	}
	new->dev = st->st_dev;
	new->ino = st->st_ino;
	node = node_insert(new);
	if (node != new)
		node_free(new);
	if (!node)
		return ENOMEM;
	entry->ino = (fuse_ino_t)node;
	return 0;
}

/* --------------------------------- names --------------------------------- */

/*
 * To a call that has returned @result. Here and below: a reply fails only when
 * the session has ended, and then there is nobody to be told.
 */
static void reply(fuse_req_t req, int result)
{
	fuse_reply_err(req, result < 0 ? errno : 0);
}

/* To a call that has returned @result and should have made @name. */
static void reply_entry(fuse_req_t req, int result, fuse_ino_t parent,
			const char *name)
{
	struct fuse_entry_param entry;
	const int error = result < 0 ? errno :
				       node_lookup(parent, name, &entry);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_entry(req, &entry);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_entry(req, 0, parent, name);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	node_forget(ino, lookups);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t dev)
{
	reply_entry(req, mknodat(fd_of(parent), name, mode, dev), parent, name);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	reply_entry(req, mkdirat(fd_of(parent), name, mode), parent, name);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	reply_entry(req, symlinkat(target, fd_of(parent), name), parent, name);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	const struct proc_name from = name_of(ino);

	reply_entry(req, linkat(AT_FDCWD, from.text, fd_of(parent), name,
				AT_SYMLINK_FOLLOW), parent, name);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply(req, unlinkat(fd_of(parent), name, 0));
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply(req, unlinkat(fd_of(parent), name, AT_REMOVEDIR));
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned int flags)
{
	reply(req, renameat2(fd_of(parent), name, fd_of(new_parent), new_name,
			     flags));
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	const ssize_t n = readlinkat(fd_of(ino), "", target, sizeof(target));

	if (n < 0)
		return reply(req, -1);
	if (n == sizeof(target)) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/* ------------------------------- attributes ------------------------------ */

static void on_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	if (fstatat(fd_of(ino), "", &st, AT_EMPTY_PATH))
		return reply(req, -1);
	fuse_reply_attr(req, &st, TIMEOUT);
}

static int set_owner(int fd, const struct stat *to, int which)
{
	const uid_t uid = which & FUSE_SET_ATTR_UID ? to->st_uid : (uid_t)-1;
	const gid_t gid = which & FUSE_SET_ATTR_GID ? to->st_gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

static int set_times(const char *name, const struct stat *to, int which)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_nsec = UTIME_OMIT },
	};

	if (which & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (which & FUSE_SET_ATTR_ATIME)
		times[0] = to->st_atim;
	if (which & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (which & FUSE_SET_ATTR_MTIME)
		times[1] = to->st_mtim;
	return utimensat(AT_FDCWD, name, times, 0);
}

static int set_attributes(fuse_ino_t ino, const struct stat *to, int which,
			  const struct fuse_file_info *file)
{
	const struct proc_name name = name_of(ino);

	if (which & FUSE_SET_ATTR_MODE && chmod(name.text, to->st_mode))
		return -1;
	if (which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
	    set_owner(fd_of(ino), to, which))
		return -1;
	if (which & FUSE_SET_ATTR_SIZE &&
	    (file ? ftruncate(file->fh, to->st_size) :
		    truncate(name.text, to->st_size)))
		return -1;
	if (which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME) &&
	    set_times(name.text, to, which))
		return -1;
	return 0;
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to,
		       int which, struct fuse_file_info *file)
{
	if (set_attributes(ino, to, which, file))
		return reply(req, -1);
	on_getattr(req, ino, file);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	if (fstatvfs(fd_of(ino), &st))
		return reply(req, -1);
	fuse_reply_statfs(req, &st);
}

/* --------------------------------- files --------------------------------- */

/*
 * Hands the file to the kernel. All descriptors of a file that are open at a
 * time have to name the same backing file, so the first one makes it known.
 */
static int backing_get(fuse_req_t req, struct node *node,
		       struct fuse_file_info *file)
{
	if (!passthrough)
		return 0;
	pthread_mutex_lock(&nodes_lock);
	if (!node->opens)
		node->backing_id = fuse_passthrough_open(req, file->fh);
	if (node->backing_id > 0)
		node->opens++;
	file->backing_id = node->backing_id;
	pthread_mutex_unlock(&nodes_lock);
	if (file->backing_id > 0)
		return 0;
	warnx("the kernel does not take a file to be passed through");
	return EIO;
}

static void backing_put(fuse_req_t req, struct node *node)
{
	if (!passthrough)
		return;
	pthread_mutex_lock(&nodes_lock);
	if (!--node->opens)
		fuse_passthrough_close(req, node->backing_id);
	pthread_mutex_unlock(&nodes_lock);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	const struct proc_name name = name_of(ino);
	const int fd = open(name.text, (file->flags & ~O_NOFOLLOW) | O_CLOEXEC);
	int error;

	if (fd < 0)
		return reply(req, -1);
	file->fh = fd;
	error = backing_get(req, node_of(ino), file);
	if (!error) {
		fuse_reply_open(req, file);
		return;
	}
	close(fd);
	fuse_reply_err(req, error);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *file)
{
	const int fd = openat(fd_of(parent), name,
			      (file->flags | O_CREAT | O_CLOEXEC) & ~O_NOFOLLOW,
			      mode);
	struct fuse_entry_param entry;
	int error;

	if (fd < 0)
		return reply(req, -1);
	file->fh = fd;
	error = node_lookup(parent, name, &entry);
	if (error)
		goto close;
	error = backing_get(req, node_of(entry.ino), file);
	if (!error) {
		fuse_reply_create(req, &entry, file);
		return;
	}
	node_forget(entry.ino, 1);
close:
	close(fd);
	fuse_reply_err(req, error);
}

static void on_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *file)
{
	backing_put(req, node_of(ino));
	close(file->fh);
	fuse_reply_err(req, 0);
}

/* What SOURCE's file system has to say when a descriptor is closed. */
static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	reply(req, close(dup(file->fh)));
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		     struct fuse_file_info *file)
{
	(void)ino;
	reply(req, data_only ? fdatasync(file->fh) : fsync(file->fh));
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *file)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = file->fh;
	data.buf[0].pos = offset;
	fuse_reply_data(req, &data, 0);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		     size_t size, off_t offset, struct fuse_file_info *file)
{
	const ssize_t n = pwrite(file->fh, data, size, offset);

	(void)ino;
	if (n < 0)
		return reply(req, -1);
	fuse_reply_write(req, n);
}

/* ------------------------------ directories ------------------------------ */

static DIR *directory_of(const struct fuse_file_info *file)
{
	return (DIR *)(uintptr_t)file->fh;
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *file)
{
	const int fd = openat(fd_of(ino), ".", O_RDONLY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		reply(req, -1);
		if (fd >= 0)
			close(fd);
		return;
	}
	file->fh = (uintptr_t)dir;
	fuse_reply_open(req, file);
}

/* Fills @data, of @size bytes. Returns how many they are, or -1 with errno. */
static ssize_t directory_read(fuse_req_t req, DIR *dir, off_t from, char *data,
			      size_t size)
{
	size_t used = 0;

	seekdir(dir, from);
	for (;;) {
		const struct dirent *entry;
		struct stat st = { };
		size_t n;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return errno && !used ? -1 : (ssize_t)used;
		st.st_ino = entry->d_ino;
		st.st_mode = DTTOIF(entry->d_type);
		n = fuse_add_direntry(req, data + used, size - used,
				      entry->d_name, &st, entry->d_off);
		if (n > size - used)
			return used;
		used += n;
	}
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		       struct fuse_file_info *file)
{
	char *data = malloc(size);
	ssize_t n = -1;

	(void)ino;
	if (data)
		n = directory_read(req, directory_of(file), from, data, size);
	if (n < 0)
		reply(req, -1);
	else
		fuse_reply_buf(req, data, n);
	free(data);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *file)
{
	(void)ino;
	reply(req, closedir(directory_of(file)));
}

/* --------------------------------- session ------------------------------- */

/* Nothing that is measured without it may be taken for what was asked for. */
static void on_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	if (passthrough && !fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		warnx("this kernel has no FUSE_PASSTHROUGH");
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.mknod = on_mknod,
	.mkdir = on_mkdir,
	.symlink = on_symlink,
	.link = on_link,
	.unlink = on_unlink,
	.rmdir = on_rmdir,
	.rename = on_rename,
	.readlink = on_readlink,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.statfs = on_statfs,
	.open = on_open,
	.create = on_create,
	.release = on_release,
	.flush = on_flush,
	.fsync = on_fsync,
	.read = on_read,
	.write = on_write,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.releasedir = on_releasedir,
};

/*
 * A task that writes to a shared mapping of a FUSE file is made to wait when
 * one hundredth of what may be dirty is. Waiting is not what is measured.
 */
static int allow_dirty_pages(const char *mountpoint)
{
	char name[64];
	struct stat st;
	FILE *limit;

	if (stat(mountpoint, &st)) {
		warn("%s", mountpoint);
		return -1;
	}
	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/strict_limit",
		 major(st.st_dev), minor(st.st_dev));
	limit = fopen(name, "w");
	if (!limit || fputs("0", limit) < 0 || fclose(limit)) {
		warn("%s", name);
		return -1;
	}
	return 0;
}

/* Returns the exit status of the command, 1 if it did not run. */
static int run_mounted(const char *mountpoint, char **argv)
{
	int status = -1;
	pid_t pid;

	if (allow_dirty_pages(mountpoint))
		return 1;
	pid = command_start(argv);
	if (pid >= 0)
		status = command_wait(pid);
	if (status < 0)
		warn("%s", argv[0]);
	return status < 0 ? 1 : status;
}

/*
 * Runs the command when something is mounted, and unmounts it whatever has
 * happened, with which the session ends. In a process of its own, which is
 * made before this one has other limits and signals than it was given.
 */
static int run_command(int mounted, const char *mountpoint, char **argv)
{
	int status;
	char c;

	if (read(mounted, &c, 1) != 1)
		return 1;
	status = run_mounted(mountpoint, argv);
	if (!umount2(mountpoint, 0))
		return status;
	warn("umount %s", mountpoint);
	umount2(mountpoint, MNT_DETACH);
	return 1;
}

/* Starts that process. Returns the descriptor to tell it by. */
static int command_prepare(const char *mountpoint, char **argv, pid_t *pid)
{
	int mounted[2];

	if (pipe2(mounted, O_CLOEXEC))
		err(1, "pipe");
	*pid = fork();
	if (*pid < 0)
		err(1, "fork");
	if (!*pid) {
		close(mounted[1]);
		exit(run_command(mounted[0], mountpoint, argv));
	}
	close(mounted[0]);
	return mounted[1];
}

/*
 * Each file that the kernel knows of is a descriptor here. Where it is not
 * allowed to have so many, as in a container, it has what is.
 */
static void allow_many_files(void)
{
	struct rlimit limit = { MANY_FILES, MANY_FILES };

	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (errno != EPERM)
		err(1, "setrlimit");
	if (getrlimit(RLIMIT_NOFILE, &limit))
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
}

static void open_root(const char *source)
{
	root.fd = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.fd < 0)
		err(1, "%s", source);
}

/* Serves requests until nothing is mounted at @mountpoint any more. */
static void serve(const char *mountpoint, int mounted)
{
	char *argv[] = { "peer_fuse", "-o",
			 "fsname=peer_fuse,allow_other,default_permissions" };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session;
	int result;

	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || !config)
		errx(1, "libfuse: no session");
	if (fuse_set_signal_handlers(session))
		errx(1, "libfuse: signal handlers");
	if (fuse_session_mount(session, mountpoint))
		errx(1, "libfuse: %s is not mounted", mountpoint);

	if (write(mounted, "", 1) == 1)
		result = fuse_session_loop_mt(session, config);
	else
		result = -errno;
	fuse_session_unmount(session);
	if (result < 0)
		errx(1, "the session failed: %s", strerror(-result));
	if (result > 0)
		errx(1, "the session ended with signal %d", result);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	fuse_loop_cfg_destroy(config);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "passthrough", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			passthrough = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(1);
		}
	}
	if (argc - optind < 4 || strcmp(argv[optind + 2], "--")) {
		fputs(usage, stderr);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *source, *mountpoint;
	int mounted, status;
	pid_t pid;

	parse(argc, argv);
	source = argv[optind];
	mountpoint = argv[optind + 1];
	mounted = command_prepare(mountpoint, argv + optind + 3, &pid);
	umask(0);
	allow_many_files();
	open_root(source);
	serve(mountpoint, mounted);
	status = command_wait(pid);
	if (status < 0)
		err(1, "waitpid");
	return status;
}
