/*
 * no_host_files.c: see no_host_files.h. All slots but two take a handle, and there is none: one
 * macro defines them.
 */
#include "platform/stock/no_host_files.h"

#include "platform/contract.h"
#include "platform/errno.h"

#define NEEDS_A_HANDLE(type, slot, ...)                                                            \
    static NO_RETURN type no_host_files_##slot(__VA_ARGS__)                                        \
    {                                                                                              \
        platform_panic("host_file_" #slot ": no handle exists on this platform");                  \
    }

static struct host_file *no_host_files_granted(struct platform *p UNUSED, const char *name UNUSED,
                                               int *err)
{
    *err = -ENOENT;
    return NULL;
}

static struct host_file *no_host_files_standard(struct platform *p UNUSED,
                                                enum host_standard_stream which UNUSED, int *err)
{
    *err = -EBADF;
    return NULL;
}

/* The parameters are named for the reader; none is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
NEEDS_A_HANDLE(struct host_file *, open, struct platform *p, struct host_file *dir,
               const char *name, unsigned flags, uint32_t mode, int *err)
NEEDS_A_HANDLE(struct host_file *, reopen, struct platform *p, struct host_file *file,
               unsigned flags, int *err)
NEEDS_A_HANDLE(void, get, struct platform *p, struct host_file *file)
NEEDS_A_HANDLE(void, close, struct platform *p, struct host_file *file)
NEEDS_A_HANDLE(int, stat, struct platform *p, struct host_file *file, struct host_stat *out)
NEEDS_A_HANDLE(int, stat_at, struct platform *p, struct host_file *dir, const char *name,
               struct host_stat *out)
NEEDS_A_HANDLE(int, stat_path, struct platform *p, struct host_file *dir, const char *path,
               struct host_stat *out)
NEEDS_A_HANDLE(int64_t, pread, struct platform *p, struct host_file *file, uint64_t offset,
               struct mem_ref into)
NEEDS_A_HANDLE(int64_t, pwrite, struct platform *p, struct host_file *file, uint64_t offset,
               struct mem_ref from)
NEEDS_A_HANDLE(int64_t, read, struct platform *p, struct host_file *file, struct mem_ref into)
NEEDS_A_HANDLE(int64_t, write, struct platform *p, struct host_file *file, struct mem_ref from)
NEEDS_A_HANDLE(uint32_t, poll, struct platform *p, struct host_file *file, uint32_t events)
NEEDS_A_HANDLE(int64_t, readdir, struct platform *p, struct host_file *dir, uint64_t offset,
               void *out, size_t size)
NEEDS_A_HANDLE(int64_t, readlink, struct platform *p, struct host_file *link, char *out,
               size_t size)
NEEDS_A_HANDLE(int, setattr, struct platform *p, struct host_file *file, unsigned mask,
               const struct host_stat *attr)
NEEDS_A_HANDLE(int, sync, struct platform *p, struct host_file *file)
NEEDS_A_HANDLE(int64_t, seek, struct platform *p, struct host_file *file, int64_t offset,
               int whence)
NEEDS_A_HANDLE(int, allocate, struct platform *p, struct host_file *file, unsigned mode,
               uint64_t offset, uint64_t size)
NEEDS_A_HANDLE(int64_t, get_xattr, struct platform *p, struct host_file *file, const char *name,
               void *value, size_t size)
NEEDS_A_HANDLE(int64_t, list_xattr, struct platform *p, struct host_file *file, char *names,
               size_t size)
NEEDS_A_HANDLE(int, set_xattr, struct platform *p, struct host_file *file, const char *name,
               const void *value, size_t size, unsigned flags)
NEEDS_A_HANDLE(int, statfs, struct platform *p, struct host_file *file, struct host_statfs *out)
NEEDS_A_HANDLE(int, mkdir, struct platform *p, struct host_file *dir, const char *name,
               uint32_t mode)
NEEDS_A_HANDLE(int, symlink, struct platform *p, struct host_file *dir, const char *name,
               const char *target)
NEEDS_A_HANDLE(int, link, struct platform *p, struct host_file *file, struct host_file *dir,
               const char *name)
NEEDS_A_HANDLE(int, unlink, struct platform *p, struct host_file *dir, const char *name,
               bool directory)
NEEDS_A_HANDLE(int, rename, struct platform *p, struct host_file *from_dir, const char *from,
               struct host_file *to_dir, const char *to, unsigned flags)
NEEDS_A_HANDLE(int, mknod, struct platform *p, struct host_file *dir, const char *name,
               uint32_t mode, uint64_t rdev)
NEEDS_A_HANDLE(int, tty, struct platform *p, struct host_file *file, enum host_tty_request request,
               void *arg)

const struct host_file_ops stock_no_host_files_ops = {
    .granted = no_host_files_granted,
    .standard = no_host_files_standard,
    .open = no_host_files_open,
    .reopen = no_host_files_reopen,
    .get = no_host_files_get,
    .close = no_host_files_close,
    .stat = no_host_files_stat,
    .stat_at = no_host_files_stat_at,
    .stat_path = no_host_files_stat_path,
    .pread = no_host_files_pread,
    .pwrite = no_host_files_pwrite,
    .read = no_host_files_read,
    .write = no_host_files_write,
    .poll = no_host_files_poll,
    .readdir = no_host_files_readdir,
    .readlink = no_host_files_readlink,
    .setattr = no_host_files_setattr,
    .sync = no_host_files_sync,
    .seek = no_host_files_seek,
    .allocate = no_host_files_allocate,
    .get_xattr = no_host_files_get_xattr,
    .list_xattr = no_host_files_list_xattr,
    .set_xattr = no_host_files_set_xattr,
    .statfs = no_host_files_statfs,
    .mkdir = no_host_files_mkdir,
    .symlink = no_host_files_symlink,
    .link = no_host_files_link,
    .unlink = no_host_files_unlink,
    .rename = no_host_files_rename,
    .mknod = no_host_files_mknod,
    .tty = no_host_files_tty,
};
