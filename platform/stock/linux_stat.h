/*
 * linux_stat.h: what the attributes of platform/host_file.h are to a Linux host. Code with a C library includes
 * <sys/stat.h> and <sys/statfs.h> before it. Threads: any.
 */
#ifndef PLATFORM_STOCK_LINUX_STAT_H
#define PLATFORM_STOCK_LINUX_STAT_H

#include <stdint.h>

#ifndef _SYS_STAT_H
#include <asm/stat.h>
#endif
#ifndef _SYS_STATFS_H
#include <asm/statfs.h>
#endif

#include "platform/host_file.h"

#define LINUX_TIME_OMIT ((INT64_C(1) << 30) - 2) /* UTIME_OMIT */

/* As utimensat(2) takes it. */
struct linux_time {
    int64_t sec, nsec;
};

static inline int64_t linux_nanoseconds(uint64_t sec, uint64_t nsec)
{
    return (int64_t)sec * 1000000000 + (int64_t)nsec;
}

static inline struct host_stat linux_host_stat(const struct stat *st)
{
#ifdef st_atime /* a C library's, a macro for the whole seconds */
#define LINUX_STAT_TIME(which)                                                                     \
    linux_nanoseconds((uint64_t)st->st_##which##im.tv_sec, (uint64_t)st->st_##which##im.tv_nsec)
#else
#define LINUX_STAT_TIME(which) linux_nanoseconds(st->st_##which##ime, st->st_##which##ime_nsec)
#endif
    return (struct host_stat){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .rdev = st->st_rdev,
        .block_size = (uint32_t)st->st_blksize,
        .atime_ns = LINUX_STAT_TIME(at),
        .mtime_ns = LINUX_STAT_TIME(mt),
        .ctime_ns = LINUX_STAT_TIME(ct),
    };
#undef LINUX_STAT_TIME
}

static inline struct host_statfs linux_host_statfs(const struct statfs *sf)
{
    return (struct host_statfs){
        .type = (uint64_t)sf->f_type,
        .block_size = (uint64_t)sf->f_bsize,
        .blocks = (uint64_t)sf->f_blocks,
        .blocks_free = (uint64_t)sf->f_bfree,
        .blocks_available = (uint64_t)sf->f_bavail,
        .files = (uint64_t)sf->f_files,
        .files_free = (uint64_t)sf->f_ffree,
        .name_max = (uint64_t)sf->f_namelen,
    };
}

/* A time before 1970 has a negative second and a positive rest; INT64_MIN leaves the file's as it is. */
static inline struct linux_time linux_time_of(int64_t ns)
{
    struct linux_time t = {ns / 1000000000, ns % 1000000000};
    if (ns == INT64_MIN)
        return (struct linux_time){0, LINUX_TIME_OMIT};
    if (t.nsec < 0) {
        t.nsec += 1000000000;
        t.sec--;
    }
    return t;
}

#endif
