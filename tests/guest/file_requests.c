/*
 * ioctl(2) on files: extents, clones, sizes. In a tmpfs; with "extents DIR": where the data of a file in DIR is, which a file system on a
 * disk tells.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "show.h"

/* <linux/fs.h> and <linux/fiemap.h>, which musl does not have. */
struct extent {
    uint64_t logical, physical, length, reserved64[2];
    uint32_t flags, reserved[3];
};
struct extent_map {
    uint64_t start, length;
    uint32_t flags, mapped, count, reserved;
    struct extent extents[8];
};
struct clone_range {
    int64_t fd;
    uint64_t offset, length, to;
};
#define GET_EXTENTS _IOWR('f', 11, char[32])
#define CLONE _IOW(0x94, 9, int)
#define CLONE_RANGE _IOW(0x94, 13, struct clone_range)
#define BLOCK_SIZE _IO(0x00, 2)
#define BYTES_USED 0x5460
#define LAST 1u
#define MIB (1024 * 1024)

static int made(char *name, int flags)
{
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    close(fd);
    CHECK((fd = open(name, flags)) >= 0);
    return fd;
}

static void refused(void)
{
    char name[] = "/dev/shm/guest-XXXXXX", other[] = "/dev/shm/guest-XXXXXX", data[8192] = {1};
    struct extent_map map = {.length = UINT64_MAX, .count = 8};
    struct clone_range range = {.length = 100};
    int fd = made(name, O_RDWR), from = made(other, O_RDWR), pipes[2], sockets[2], v = -1;
    int dir = open("/dev/shm", O_RDONLY), proc = open("/proc/self/status", O_RDONLY);
    int null = open("/dev/null", O_RDWR), named = open(name, O_PATH), reader = open(name, O_RDONLY);
    int64_t bytes = -1;

    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(write(from, data, 8192) == 8192);
    SHOW(ioctl(fd, GET_EXTENTS, &map));
    SHOW(ioctl(fd, GET_EXTENTS, NULL));
    SHOW(ioctl(dir, GET_EXTENTS, &map));
    SHOW(ioctl(proc, GET_EXTENTS, &map));
    SHOW(ioctl(null, GET_EXTENTS, &map));
    SHOW(ioctl(pipes[0], GET_EXTENTS, &map));
    SHOW(ioctl(sockets[0], GET_EXTENTS, &map));
    SHOW(ioctl(named, GET_EXTENTS, &map));
    SHOW(ioctl(fd, CLONE, from));
    SHOW(ioctl(fd, CLONE, 9999));
    SHOW(ioctl(fd, CLONE, named));
    SHOW(ioctl(fd, CLONE, proc));
    SHOW(ioctl(fd, CLONE, dir));
    SHOW(ioctl(reader, CLONE, from));
    SHOW(ioctl(pipes[1], CLONE, pipes[0]));
    SHOW(ioctl(pipes[1], CLONE, from));
    SHOW(fcntl(fd, F_SETFL, O_APPEND));
    SHOW(ioctl(fd, CLONE, from));
    range.fd = from;
    SHOW(ioctl(reader, CLONE_RANGE, &range));
    SHOW(ioctl(fd, CLONE_RANGE, NULL));
    SHOW(ioctl(from, BYTES_USED, &bytes));
    printf("%lld\n", (long long)bytes);
    SHOW(ioctl(from, BYTES_USED, NULL));
    SHOW(ioctl(pipes[0], BYTES_USED, &bytes));
    SHOW(ioctl(null, BYTES_USED, &bytes));
    SHOW(ioctl(from, BLOCK_SIZE, &v));
    printf("%d\n", v);
    SHOW(ioctl(pipes[0], BLOCK_SIZE, &v));
    printf("%d\n", v);
    SHOW(ioctl(dir, BLOCK_SIZE, NULL));
    CHECK(unlink(name) == 0 && unlink(other) == 0);
}

static int covered(const struct extent_map *m, uint64_t at)
{
    for (uint32_t i = 0; i < m->mapped && i < m->count; i++)
        if (at >= m->extents[i].logical && at < m->extents[i].logical + m->extents[i].length)
            return 1;
    return 0;
}

/* Data at 0, 4 MiB and 8 MiB, 8 KiB each, holes between. */
static void extents(const char *dir)
{
    struct extent_map map = {.length = UINT64_MAX, .count = 8};
    char name[256], data[8192] = {1};

    snprintf(name, sizeof(name), "%s/guest-XXXXXX", dir);
    int fd = made(name, O_RDWR);
    CHECK(unlink(name) == 0);
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0 && map.mapped == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pwrite(fd, data, 8192, i * 4 * MIB) == 8192);
    CHECK(lseek(fd, 77, SEEK_SET) == 77);
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0);
    CHECK(map.mapped == 3 && lseek(fd, 0, SEEK_CUR) == 77);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(covered(&map, i * 4 * MIB) && covered(&map, i * 4 * MIB + 8191));
        CHECK(!covered(&map, i * 4 * MIB + 2 * MIB));
        CHECK((map.extents[i].flags & LAST) == (i == 2 ? LAST : 0));
    }
    map.flags = 1; /* FIEMAP_FLAG_SYNC */
    map.count = 0;
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0 && map.mapped == 3);
    map.count = 2;
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0 && map.mapped == 2 && !(map.extents[1].flags & LAST));
    map.count = 8;
    map.start = 2 * MIB;
    map.length = 4 * MIB;
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0 && map.mapped == 1 && covered(&map, 4 * MIB));
    map.start = 9 * MIB;
    CHECK(ioctl(fd, GET_EXTENTS, &map) == 0 && map.mapped == 0);
    map.length = 0;
    SHOW(ioctl(fd, GET_EXTENTS, &map));
    map.start = UINT64_MAX;
    map.length = 1;
    SHOW(ioctl(fd, GET_EXTENTS, &map));
    map.start = 0;
    map.flags = 0x80000001;
    SHOW(ioctl(fd, GET_EXTENTS, &map));
    printf("%x\n", map.flags);
    map.flags = 0;
    map.count = UINT32_MAX;
    SHOW(ioctl(fd, GET_EXTENTS, &map));
    SHOW(ioctl(fd, GET_EXTENTS, NULL));
    printf("as written\n");
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "extents"))
        extents(argv[2]);
    else
        refused();
    return 0;
}
