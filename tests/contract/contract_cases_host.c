/*
 * contract_cases_host.c: host_file.h.
 */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <linux/xattr.h>

#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

enum { WAIT_IN = 1 };                                       /* POLLIN */
enum { TYPE_DIRECTORY = 4, TYPE_FILE = 8, TYPE_LINK = 10 }; /* DT_* */
static const unsigned g_create = HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_CREATE;
static const unsigned g_look = HOST_OPEN_PATH;

static struct host_file *granted(struct contract *c, const char *name)
{
    int err = 0;
    struct host_file *dir = host_file_granted(c->p, name, &err);
    MUST(dir != NULL);
    return dir;
}

static struct host_file *opened(struct contract *c, struct host_file *dir, const char *name,
                                unsigned flags)
{
    int err = 0;
    struct host_file *file = host_file_open(c->p, dir, name, flags, 0640, &err);
    CHECK_EQUAL(err, 0);
    MUST(file != NULL);
    return file;
}

static int open_error(struct contract *c, struct host_file *dir, const char *name, unsigned flags)
{
    int err = 0;
    struct host_file *file = host_file_open(c->p, dir, name, flags, 0640, &err);
    if (file)
        host_file_close(c->p, file);
    CHECK((file == NULL) == (err != 0));
    return err;
}

static struct host_stat status(struct contract *c, struct host_file *file)
{
    struct host_stat st = {0};
    CHECK_EQUAL(host_file_stat(c->p, file, &st), 0);
    return st;
}

static struct mem_ref text(const char *words)
{
    return mem_shim((void *)(uintptr_t)words, __builtin_strlen(words));
}

void HostFileContract_UnknownGrantIsNotThere(struct contract *c)
{
    int err = 0;
    CHECK(host_file_granted(c->p, "nosuchgrant", &err) == NULL);
    CHECK_EQUAL(err, -ENOENT);
    err = 0;
    CHECK(host_file_granted(c->p, "", &err) == NULL);
    CHECK_EQUAL(err, -ENOENT);
}

void HostFileContract_FilesAreCreatedWrittenAndRead(struct contract *c)
{
    char buffer[32] = {0};
    struct host_file *dir = granted(c, "rw");
    CHECK_EQUAL(open_error(c, dir, "new", HOST_OPEN_READ), -ENOENT);
    struct host_file *file = opened(c, dir, "new", g_create);
    CHECK_EQUAL(host_file_pwrite(c->p, file, 4, text("hello")), 5);
    CHECK_EQUAL(host_file_pread(c->p, file, 0, mem_shim(buffer, sizeof(buffer))), 9);
    CHECK(__builtin_memcmp(buffer, "\0\0\0\0hello", 9) == 0);
    CHECK_EQUAL(host_file_pread(c->p, file, 9, mem_shim(buffer, sizeof(buffer))), 0);
    CHECK_EQUAL(host_file_pread(c->p, file, 6, mem_shim(buffer, 2)), 2);
    CHECK_EQUAL(status(c, file).size, 9);
    CHECK_EQUAL(status(c, file).mode, S_IFREG | 0640);
    CHECK_EQUAL(host_file_sync(c->p, file), 0);
    host_file_get(c->p, file);
    host_file_close(c->p, file);
    CHECK_EQUAL(status(c, file).size, 9);
    host_file_close(c->p, file);
    file = opened(c, dir, "new", HOST_OPEN_WRITE | HOST_OPEN_TRUNCATE);
    CHECK_EQUAL(status(c, file).size, 0);
    CHECK(host_file_pread(c->p, file, 0, mem_shim(buffer, 1)) < 0); /* write only */
    host_file_close(c->p, file);
    struct host_statfs fs = {0};
    CHECK_EQUAL(host_file_statfs(c->p, dir, &fs), 0);
    CHECK(fs.block_size > 0 && fs.blocks > 0);
    host_file_close(c->p, dir);
}

void HostFileContract_DataMovesStraightToAndFromGuestMemory(struct contract *c)
{
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "data", g_create);
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 4, MEMORY_READ | MEMORY_WRITE);
    for (uint64_t i = 0; i < 4; i++)
        contract_put(c, AREA + i * PAGE, 1 + i);
    CHECK_EQUAL(host_file_pwrite(c->p, file, 0, mem_guest(guest_addr(AREA), 4 * PAGE)), 4 * PAGE);
    CHECK_EQUAL(guest_zero(c->p, guest_addr(AREA), 4 * PAGE), 0);
    CHECK_EQUAL(host_file_pread(c->p, file, 0, mem_guest(guest_addr(AREA), 4 * PAGE)), 4 * PAGE);
    for (uint64_t i = 0; i < 4; i++)
        CHECK_EQUAL(contract_get(c, AREA + i * PAGE), 1 + i);
    struct mem_ref hole = mem_guest(guest_addr(AREA + 4 * PAGE), 16);
    CHECK_EQUAL(host_file_pread(c->p, file, 0, hole), -EFAULT);
    CHECK_EQUAL(host_file_pwrite(c->p, file, 0, hole), -EFAULT);
    struct mem_ref edge = mem_guest(guest_addr(AREA + 4 * PAGE - 8), 16);
    CHECK_EQUAL(host_file_pread(c->p, file, 0, edge), 8);
    contract_leave_and_destroy(c, as);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void HostFileContract_ExclusiveCreationHappensOnce(struct contract *c)
{
    struct host_file *dir = granted(c, "rw");
    const unsigned flags = g_create | HOST_OPEN_EXCLUSIVE;
    CHECK_EQUAL(open_error(c, dir, "once", flags), 0);
    CHECK_EQUAL(open_error(c, dir, "once", flags), -EEXIST);
    CHECK_EQUAL(open_error(c, dir, "once", g_create), 0);
    host_file_close(c->p, dir);
}

void HostFileContract_SymbolicLinksAreNotFollowed(struct contract *c)
{
    char target[64];
    struct host_file *dir = granted(c, "rw");
    CHECK_EQUAL(host_file_symlink(c->p, dir, "out", "/etc/passwd"), 0);
    CHECK_EQUAL(host_file_symlink(c->p, dir, "up", ".."), 0);
    CHECK_EQUAL(open_error(c, dir, "out", HOST_OPEN_READ), -ELOOP);
    CHECK_EQUAL(open_error(c, dir, "out", g_create), -ELOOP);
    int err = open_error(c, dir, "up", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    CHECK(err == -ELOOP || err == -ENOTDIR);
    struct host_file *link = opened(c, dir, "out", g_look);
    CHECK_EQUAL(status(c, link).mode & S_IFMT, S_IFLNK);
    CHECK_EQUAL(host_file_readlink(c->p, link, target, sizeof(target)), 11);
    CHECK(__builtin_memcmp(target, "/etc/passwd", 11) == 0);
    CHECK_EQUAL(host_file_readlink(c->p, link, target, 4), 4);
    host_file_close(c->p, link);
    host_file_close(c->p, dir);
}

void HostFileContract_StatByNameSeesWhatAHandleWould(struct contract *c)
{
    static const char *const names[] = {"file", "link", "folder"};
    struct host_file *dir = granted(c, "rw");
    struct host_stat st;
    CHECK_EQUAL(open_error(c, dir, "file", g_create), 0);
    CHECK_EQUAL(host_file_symlink(c->p, dir, "link", "file"), 0);
    CHECK_EQUAL(host_file_mkdir(c->p, dir, "folder", 0700), 0);
    for (int i = 0; i < 3; i++) {
        struct host_file *handle = opened(c, dir, names[i], g_look);
        struct host_stat by_handle = status(c, handle);
        CHECK_EQUAL(host_file_stat_at(c->p, dir, names[i], &st), 0);
        CHECK(st.dev == by_handle.dev && st.ino == by_handle.ino && st.mode == by_handle.mode);
        host_file_close(c->p, handle);
    }
    CHECK_EQUAL(host_file_stat_at(c->p, dir, "absent", &st), -ENOENT);
    host_file_close(c->p, dir);
}

void HostFileContract_StatOfAPathStaysBelowAndFollowsNoLink(struct contract *c)
{
    struct host_file *top = granted(c, "rw"), *one, *two;
    struct host_stat st, same;
    char path[HOST_PATH_MAX];
    CHECK_EQUAL(host_file_mkdir(c->p, top, "one", 0700), 0);
    one = opened(c, top, "one", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    CHECK_EQUAL(host_file_mkdir(c->p, one, "two", 0700), 0);
    two = opened(c, one, "two", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    host_file_close(c->p, opened(c, two, "three", g_create));
    CHECK_EQUAL(host_file_symlink(c->p, two, "up", "../../one"), 0);
    CHECK_EQUAL(host_file_symlink(c->p, one, "straight", "two"), 0);
    CHECK_EQUAL(host_file_symlink(c->p, one, "out", "/"), 0);
    int err = host_file_stat_path(c->p, top, "one/two/three", &st);
    if (err == -EOPNOTSUPP) /* nothing more is promised */
        goto done;
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(host_file_stat_at(c->p, two, "three", &same), 0);
    CHECK(st.dev == same.dev && st.ino == same.ino && st.mode == same.mode && st.uid == same.uid);
    CHECK_EQUAL(st.mode, S_IFREG | 0640);
    CHECK_EQUAL(host_file_stat_path(c->p, one, "two", &st), 0);
    CHECK_EQUAL(st.mode & S_IFMT, S_IFDIR);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/two/up", &st), 0);
    CHECK_EQUAL(st.mode & S_IFMT, S_IFLNK);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/straight/three", &st), -ELOOP);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/two/up/two", &st), -ELOOP);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/out/etc/passwd", &st), -ELOOP);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/two/absent", &st), -ENOENT);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/absent/three", &st), -ENOENT);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/two/three/four", &st), -ENOTDIR);
    int by_two = host_file_stat_path(c->p, two, "three/four", &st);
    CHECK(by_two == -ENOTDIR || by_two == -EOPNOTSUPP);
    __builtin_memset(path, 'x', sizeof(path));
    path[3] = path[6] = '/';
    path[sizeof(path) - 1] = '\0';
    CHECK_EQUAL(host_file_stat_path(c->p, top, path, &st), -ENOENT);
    path[3] = path[6] = 'x';
    CHECK_EQUAL(host_file_stat_path(c->p, top, path, &st), -ENAMETOOLONG);
    /* What it goes by is the names as they are now. */
    CHECK_EQUAL(host_file_rename(c->p, one, "two", one, "moved", 0), 0);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/two/three", &st), -ENOENT);
    CHECK_EQUAL(host_file_stat_path(c->p, top, "one/moved/three", &st), 0);
    CHECK_EQUAL(st.ino, same.ino);
done:
    host_file_close(c->p, two);
    host_file_close(c->p, one);
    host_file_close(c->p, top);
}

/* The answer to the last of many questions; 0: *ino is the file's. */
static int asked_often(struct contract *c, struct host_file *top, const char *path, uint64_t *ino)
{
    struct host_stat st = {0};
    int first = host_file_stat_path(c->p, top, path, &st), err = first;
    uint64_t first_ino = st.ino;
    for (int i = 0; i < 100; i++) {
        st.ino = 0;
        err = host_file_stat_path(c->p, top, path, &st);
        CHECK_EQUAL(err, first);
        CHECK(err != 0 || st.ino == first_ino);
    }
    *ino = st.ino;
    return err;
}

void HostFileContract_StatOfAPathAskedForOftenSeesEachChange(struct contract *c)
{
    static const char path[] = "often/two/three/file";
    struct host_file *top = granted(c, "rw"), *one, *two, *three;
    uint64_t made = 0, other = 0, seen = 0;
    CHECK_EQUAL(host_file_mkdir(c->p, top, "often", 0700), 0);
    one = opened(c, top, "often", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    CHECK_EQUAL(host_file_mkdir(c->p, one, "two", 0700), 0);
    two = opened(c, one, "two", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    CHECK_EQUAL(host_file_mkdir(c->p, two, "three", 0700), 0);
    three = opened(c, two, "three", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    host_file_close(c->p, opened(c, three, "file", g_create));
    if (asked_often(c, top, path, &made) == -EOPNOTSUPP) /* nothing more is promised */
        goto done;
    CHECK(made != 0);
    /* The last name. */
    CHECK_EQUAL(host_file_rename(c->p, three, "file", three, "moved", 0), 0);
    CHECK_EQUAL(asked_often(c, top, path, &seen), -ENOENT);
    CHECK_EQUAL(host_file_rename(c->p, three, "moved", three, "file", 0), 0);
    CHECK_EQUAL(asked_often(c, top, path, &seen), 0);
    CHECK_EQUAL(seen, made);
    /* Each directory above goes and comes back. */
    struct host_file *above[] = {top, one, two};
    static const char *const names[] = {"often", "two", "three"};
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(host_file_rename(c->p, above[i], names[i], top, "away", 0), 0);
        CHECK_EQUAL(asked_often(c, top, path, &seen), -ENOENT);
        CHECK_EQUAL(host_file_symlink(c->p, above[i], names[i], "../away"), 0);
        CHECK(asked_often(c, top, path, &seen) < 0);
        CHECK_EQUAL(host_file_unlink(c->p, above[i], names[i], false), 0);
        CHECK_EQUAL(host_file_rename(c->p, top, "away", above[i], names[i], 0), 0);
        CHECK_EQUAL(asked_often(c, top, path, &seen), 0);
        CHECK_EQUAL(seen, made);
    }
    /* Another of the same name. */
    CHECK_EQUAL(host_file_rename(c->p, two, "three", top, "away", 0), 0);
    CHECK_EQUAL(host_file_mkdir(c->p, two, "three", 0700), 0);
    host_file_close(c->p, three);
    three = opened(c, two, "three", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    CHECK_EQUAL(asked_often(c, top, path, &seen), -ENOENT);
    host_file_close(c->p, opened(c, three, "file", g_create));
    CHECK_EQUAL(asked_often(c, top, path, &other), 0);
    CHECK(other != made);
    /* Removed, and made again. */
    CHECK_EQUAL(host_file_unlink(c->p, three, "file", false), 0);
    CHECK_EQUAL(host_file_unlink(c->p, two, "three", true), 0);
    CHECK_EQUAL(asked_often(c, top, path, &seen), -ENOENT);
    CHECK_EQUAL(host_file_rename(c->p, top, "away", two, "three", 0), 0);
    CHECK_EQUAL(asked_often(c, top, path, &seen), 0);
    CHECK_EQUAL(seen, made);
done:
    host_file_close(c->p, three);
    host_file_close(c->p, two);
    host_file_close(c->p, one);
    host_file_close(c->p, top);
}

void HostFileContract_PathHandleCanBeReopened(struct contract *c)
{
    char buffer[64];
    int err = 0;
    struct host_file *dir = granted(c, "ro"), *path = opened(c, dir, "file", g_look);
    CHECK_EQUAL(status(c, path).mode & S_IFMT, S_IFREG);
    CHECK(host_file_pread(c->p, path, 0, mem_shim(buffer, 8)) < 0);
    struct host_file *file = host_file_reopen(c->p, path, HOST_OPEN_READ, &err);
    MUST(file != NULL);
    int64_t size = sizeof(CONTRACT_RO_TEXT) - 1;
    CHECK_EQUAL(host_file_pread(c->p, file, 0, mem_shim(buffer, sizeof(buffer))), size);
    CHECK(__builtin_memcmp(buffer, CONTRACT_RO_TEXT, (size_t)size) == 0);
    host_file_close(c->p, file);
    host_file_close(c->p, path);
    host_file_close(c->p, dir);
}

/* Reads with a buffer for few entries, so that the offsets count. */
static void list(struct contract *c, struct host_file *dir, unsigned seen[10], unsigned *others)
{
    uint64_t buffer[16], offset = 0;
    int64_t got;
    while ((got = host_file_readdir(c->p, dir, offset, buffer, sizeof(buffer))) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct host_dirent *d = (const void *)((const char *)buffer + at);
            CHECK(d->record_size % 8 == 0 && d->record_size >= sizeof(*d) &&
                  at + d->record_size <= got);
            if (d->name[0] == 'e' && d->name[1] >= '0' && d->name[1] <= '9' && d->name[2] == '\0') {
                seen[d->name[1] - '0']++;
                CHECK_EQUAL(d->type, TYPE_FILE);
            } else {
                ++*others;
            }
            CHECK(d->ino != 0);
            offset = d->next_offset;
            at += d->record_size;
        }
    }
    CHECK_EQUAL(got, 0);
}

void HostFileContract_DirectoriesListEachEntryOnce(struct contract *c)
{
    unsigned seen[10] = {0}, others = 0;
    struct host_file *top = granted(c, "rw");
    CHECK_EQUAL(host_file_mkdir(c->p, top, "list", 0755), 0);
    CHECK_EQUAL(host_file_mkdir(c->p, top, "list", 0755), -EEXIST);
    struct host_file *dir = opened(c, top, "list", HOST_OPEN_READ | HOST_OPEN_DIRECTORY);
    for (char i = '0'; i <= '9'; i++) {
        const char name[] = {'e', i, '\0'};
        host_file_close(c->p, opened(c, dir, name, g_create));
    }
    list(c, dir, seen, &others);
    list(c, dir, seen, &others); /* offset 0 starts again */
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(seen[i], 2);
    CHECK_EQUAL(others, 0); /* neither "." nor ".." */
    struct host_file *file = opened(c, dir, "e1", HOST_OPEN_READ);
    uint64_t buffer[16];
    CHECK_EQUAL(host_file_readdir(c->p, file, 0, buffer, sizeof(buffer)), -ENOTDIR);
    CHECK_EQUAL(open_error(c, dir, "e1", HOST_OPEN_READ | HOST_OPEN_DIRECTORY), -ENOTDIR);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
    host_file_close(c->p, top);
}

void HostFileContract_NamesCanBeMovedLinkedAndRemoved(struct contract *c)
{
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "a", g_create);
    CHECK_EQUAL(host_file_mkdir(c->p, dir, "sub", 0755), 0);
    struct host_file *sub = opened(c, dir, "sub", g_look);
    CHECK_EQUAL(host_file_rename(c->p, dir, "a", sub, "b", 0), 0);
    CHECK_EQUAL(open_error(c, dir, "a", HOST_OPEN_READ), -ENOENT);
    CHECK_EQUAL(open_error(c, sub, "b", HOST_OPEN_READ), 0);
    CHECK_EQUAL(host_file_link(c->p, file, dir, "again"), 0);
    CHECK_EQUAL(status(c, file).nlink, 2);
    CHECK_EQUAL(host_file_rename(c->p, dir, "again", sub, "b", 1 /* RENAME_NOREPLACE */), -EEXIST);
    CHECK_EQUAL(host_file_unlink(c->p, dir, "sub", true), -ENOTEMPTY);
    CHECK(host_file_unlink(c->p, dir, "sub", false) < 0);
    CHECK_EQUAL(host_file_unlink(c->p, sub, "b", false), 0);
    CHECK_EQUAL(host_file_unlink(c->p, sub, "b", false), -ENOENT);
    CHECK_EQUAL(status(c, file).nlink, 1);
    CHECK_EQUAL(host_file_unlink(c->p, dir, "sub", true), 0);
    CHECK_EQUAL(host_file_mknod(c->p, dir, "fifo", S_IFIFO | 0600, 0), 0);
    struct host_file *fifo = opened(c, dir, "fifo", g_look);
    CHECK_EQUAL(status(c, fifo).mode & S_IFMT, S_IFIFO);
    host_file_close(c->p, fifo);
    host_file_close(c->p, opened(c, dir, "fifo", HOST_OPEN_READ)); /* must not block */
    host_file_close(c->p, sub);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void HostFileContract_AttributesCanBeSet(struct contract *c)
{
    const int64_t when = INT64_C(1000000000123456000);
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "attr", g_create);
    struct host_stat attr = {.mode = 0400, .size = 12345, .atime_ns = INT64_MIN, .mtime_ns = when};
    CHECK_EQUAL(
        host_file_setattr(c->p, file, HOST_SET_MODE | HOST_SET_SIZE | HOST_SET_TIMES, &attr), 0);
    struct host_stat st = status(c, file);
    CHECK_EQUAL(st.mode & 07777, 0400);
    CHECK_EQUAL(st.size, 12345);
    CHECK_EQUAL(st.mtime_ns, when);
    CHECK(st.atime_ns != when);
    struct host_file *path =
        opened(c, dir, "attr", g_look); /* a handle to look is enough for the mode */
    attr.mode = 0600;
    CHECK_EQUAL(host_file_setattr(c->p, path, HOST_SET_MODE, &attr), 0);
    CHECK_EQUAL(status(c, file).mode & 07777, 0600);
    host_file_close(c->p, path);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void HostFileContract_SeekFindsDataAndHoles(struct contract *c)
{
    const int64_t at = 100 * PAGE, end = at + 4;
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "sparse", g_create);
    CHECK_EQUAL(host_file_pwrite(c->p, file, (uint64_t)at, text("data")), 4);
    int64_t data = host_file_seek(c->p, file, 0, SEEK_DATA);
    CHECK(data >= 0 && data <= at);
    CHECK_EQUAL(host_file_seek(c->p, file, at + 1, SEEK_DATA), at + 1);
    CHECK_EQUAL(host_file_seek(c->p, file, at, SEEK_HOLE), end);
    CHECK_EQUAL(host_file_seek(c->p, file, end, SEEK_DATA), -ENXIO);
    CHECK_EQUAL(host_file_seek(c->p, file, end + 1, SEEK_HOLE), -ENXIO);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);

    int err = 0;
    struct host_file *in = host_file_standard(c->p, HOST_STDIN, &err);
    MUST(in != NULL);
    CHECK_EQUAL(host_file_seek(c->p, in, 0, SEEK_CUR), -ESPIPE);
    host_file_close(c->p, in);
}

void HostFileContract_SpaceIsAllocatedAndGivenBack(struct contract *c)
{
    uint64_t value = UINT64_C(0x1111111111111111);
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "space", g_create);
    CHECK_EQUAL(host_file_pwrite(c->p, file, PAGE, mem_shim(&value, 8)), 8);
    int err = host_file_allocate(c->p, file, 0, 0, 3 * PAGE);
    CHECK(err == 0 || err == -EOPNOTSUPP);
    CHECK_EQUAL(status(c, file).size, err ? PAGE + 8 : 3 * PAGE);
    const uint64_t size = status(c, file).size;
    err = host_file_allocate(c->p, file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 2 * PAGE);
    CHECK(err == 0 || err == -EOPNOTSUPP);
    CHECK_EQUAL(status(c, file).size, size);
    CHECK_EQUAL(host_file_pread(c->p, file, PAGE, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(value, err ? UINT64_C(0x1111111111111111) : 0);
    CHECK(host_file_allocate(c->p, file, 0x40000000, 0, PAGE) < 0);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void HostFileContract_NamelessFilesCanBeLinked(struct contract *c)
{
    int err = 0;
    char word[8];
    struct host_file *dir = granted(c, "rw");
    const uint64_t links = status(c, dir).nlink;
    struct host_file *file = host_file_open(
        c->p, dir, "", HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_NAMELESS, 0640, &err);
    if (!file) {
        CHECK_EQUAL(err, -EOPNOTSUPP);
        host_file_close(c->p, dir);
        return;
    }
    CHECK_EQUAL(status(c, file).nlink, 0);
    CHECK_EQUAL(status(c, dir).nlink, links);
    CHECK_EQUAL(host_file_pwrite(c->p, file, 0, text("hidden")), 6);
    CHECK_EQUAL(host_file_link(c->p, file, dir, "shown"), 0);
    CHECK_EQUAL(status(c, file).nlink, 1);
    host_file_close(c->p, file);
    file = opened(c, dir, "shown", HOST_OPEN_READ);
    CHECK_EQUAL(host_file_pread(c->p, file, 0, mem_shim(word, 8)), 6);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void HostFileContract_ExtendedAttributesAreKept(struct contract *c)
{
    char value[16], names[256];
    struct host_file *dir = granted(c, "rw"), *made = opened(c, dir, "xattr", g_create);
    /* A handle to look is enough. */
    struct host_file *file = opened(c, dir, "xattr", g_look);
    CHECK(host_file_get_xattr(c->p, file, "user.color", value, 16) < 0);
    int err = host_file_set_xattr(c->p, file, "user.color", "blue", 4, 0);
    if (err == 0) {
        CHECK_EQUAL(host_file_get_xattr(c->p, file, "user.color", NULL, 0), 4);
        CHECK_EQUAL(host_file_get_xattr(c->p, file, "user.color", value, 2), -ERANGE);
        CHECK_EQUAL(host_file_get_xattr(c->p, file, "user.color", value, 16), 4);
        CHECK(__builtin_memcmp(value, "blue", 4) == 0);
        int64_t size = host_file_list_xattr(c->p, file, names, sizeof(names));
        bool listed = false;
        CHECK_EQUAL(host_file_list_xattr(c->p, file, NULL, 0), size);
        for (int64_t i = 0; i + 11 <= size; i++)
            listed |= __builtin_memcmp(names + i, "user.color", 11) == 0;
        CHECK(listed);
        CHECK_EQUAL(host_file_set_xattr(c->p, file, "user.color", "red", 3, XATTR_CREATE), -EEXIST);
        CHECK_EQUAL(host_file_set_xattr(c->p, file, "user.size", "9", 1, XATTR_REPLACE), -ENODATA);
        CHECK_EQUAL(host_file_set_xattr(c->p, file, "user.color", NULL, 0, 0), 0);
        CHECK_EQUAL(host_file_get_xattr(c->p, file, "user.color", value, 16), -ENODATA);
    } else {
        CHECK(err == -EOPNOTSUPP || err == -EPERM);
    }
    host_file_close(c->p, file);
    host_file_close(c->p, made);
    host_file_close(c->p, dir);
}

void HostFileContract_ReadOnlyGrantRefusesEveryChange(struct contract *c)
{
    int err = 0;
    struct host_stat attr = {.mode = 0777, .size = 0};
    struct host_file *dir = granted(c, "ro"), *writable = granted(c, "rw");
    struct host_file *file = opened(c, dir, "file", HOST_OPEN_READ);
    struct host_file *path = opened(c, dir, "file", g_look);
    CHECK_EQUAL(open_error(c, dir, "file", HOST_OPEN_WRITE), -EROFS);
    CHECK_EQUAL(open_error(c, dir, "file", HOST_OPEN_READ | HOST_OPEN_TRUNCATE), -EROFS);
    CHECK_EQUAL(open_error(c, dir, "new", g_create), -EROFS);
    CHECK(host_file_reopen(c->p, path, HOST_OPEN_WRITE, &err) == NULL);
    CHECK_EQUAL(err, -EROFS);
    CHECK(host_file_pwrite(c->p, file, 0, text("x")) < 0);
    CHECK_EQUAL(host_file_mkdir(c->p, dir, "new", 0755), -EROFS);
    CHECK_EQUAL(host_file_symlink(c->p, dir, "new", "x"), -EROFS);
    CHECK_EQUAL(host_file_unlink(c->p, dir, "file", false), -EROFS);
    CHECK_EQUAL(host_file_rename(c->p, dir, "file", dir, "new", 0), -EROFS);
    CHECK(host_file_rename(c->p, dir, "file", writable, "new", 0) < 0);
    CHECK(host_file_link(c->p, file, dir, "new") < 0);
    CHECK_EQUAL(host_file_mknod(c->p, dir, "new", S_IFIFO | 0600, 0), -EROFS);
    CHECK_EQUAL(host_file_setattr(c->p, file, HOST_SET_MODE, &attr), -EROFS);
    CHECK_EQUAL(host_file_setattr(c->p, path, HOST_SET_SIZE, &attr), -EROFS);
    CHECK_EQUAL(open_error(c, dir, "", HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_NAMELESS),
                -EROFS);
    CHECK_EQUAL(host_file_allocate(c->p, file, 0, 0, PAGE), -EROFS);
    CHECK_EQUAL(host_file_set_xattr(c->p, path, "user.color", "blue", 4, 0), -EROFS);
    CHECK_EQUAL(host_file_set_xattr(c->p, path, "user.color", NULL, 0, 0), -EROFS);
    CHECK_EQUAL(status(c, file).size, sizeof(CONTRACT_RO_TEXT) - 1);
    host_file_close(c->p, path);
    host_file_close(c->p, file);
    host_file_close(c->p, writable);
    host_file_close(c->p, dir);
}

void HostFileContract_MappedFileMeetsTheFile(struct contract *c)
{
    int err = 0;
    uint64_t value = 0;
    struct host_file *dir = granted(c, "rw"), *file = opened(c, dir, "mapped", g_create);
    struct host_stat attr = {.size = 2 * PAGE};
    CHECK_EQUAL(host_file_setattr(c->p, file, HOST_SET_SIZE, &attr), 0);
    struct memory_object *obj = memory_object_from_file(c->p, file, &err);
    MUST(obj != NULL);
    host_file_close(c->p, file); /* the object keeps it open */
    CHECK_EQUAL(memory_object_size(c->p, obj), 2 * PAGE);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 2, MEMORY_SHARED, obj, 0);
    contract_map_object(c, as, AREA + 8 * PAGE, 2, MEMORY_PRIVATE, obj, 0);
    contract_put(c, AREA + PAGE, 95);
    contract_put(c, AREA + 9 * PAGE + 8, 96);
    file = opened(c, dir, "mapped", HOST_OPEN_READ | HOST_OPEN_WRITE);
    CHECK_EQUAL(host_file_pread(c->p, file, PAGE, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(value, 95);
    CHECK_EQUAL(host_file_pread(c->p, file, PAGE + 8, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(value, 0);
    value = 97;
    CHECK_EQUAL(host_file_pwrite(c->p, file, 16, mem_shim(&value, 8)), 8);
    CHECK_EQUAL(contract_get(c, AREA + 16), 97);
    CHECK_EQUAL(contract_get(c, AREA + 8 * PAGE + 16), 97);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
    host_file_close(c->p, file);

    /* What the file's mode or grant forbids, the mapping forbids. */
    struct host_file *ro = granted(c, "ro");
    file = opened(c, ro, "file", HOST_OPEN_READ);
    obj = memory_object_from_file(c->p, file, &err);
    MUST(obj != NULL);
    as = contract_space(c);
    struct memory_map_request req = {.addr = guest_addr(AREA),
                                     .size = PAGE,
                                     .sharing = MEMORY_SHARED,
                                     .prot = MEMORY_READ | MEMORY_WRITE,
                                     .object = obj};
    CHECK_EQUAL(memory_map(c->p, as, &req), -EACCES);
    req.sharing = MEMORY_PRIVATE;
    CHECK_EQUAL(memory_map(c->p, as, &req), 0);
    contract_put(c, AREA, 1);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
    host_file_close(c->p, file);
    host_file_close(c->p, ro);
    host_file_close(c->p, dir);
}

static struct host_file *standard(struct contract *c, enum host_standard_stream which)
{
    int err = 0;
    struct host_file *file = host_file_standard(c->p, which, &err);
    MUST(file != NULL);
    return file;
}

/* Standard input is a pipe that holds nothing until asked. */
void HostFileContract_StreamsNeverBlock(struct contract *c)
{
    char byte;
    struct host_file *in = standard(c, HOST_STDIN), *err = standard(c, HOST_STDERR);
    CHECK_EQUAL(host_file_read(c->p, in, mem_shim(&byte, 1)), -EAGAIN);
    CHECK_EQUAL(host_file_poll(c->p, in, WAIT_IN), 0);
    contract_give_input(c);
    for (int i = 0; i < 60000 && !host_file_poll(c->p, in, WAIT_IN); i++)
        contract_sleep_ms(c, 1);
    CHECK_EQUAL(host_file_poll(c->p, in, WAIT_IN), WAIT_IN);
    CHECK_EQUAL(host_file_read(c->p, in, mem_shim(&byte, 1)), 1);
    CHECK_EQUAL(host_file_read(c->p, in, mem_shim(&byte, 1)), -EAGAIN);
    CHECK_EQUAL(host_file_write(c->p, err, text("a word\n")), 7);
    int size = 0;
    CHECK_EQUAL(host_file_tty(c->p, in, HOST_TTY_GET_WINSIZE, &size), -ENOTTY);
    host_file_close(c->p, in);
    host_file_close(c->p, err);
}

void HostFileContract_ParkWaitsForAStream(struct contract *c)
{
    char byte;
    struct thread_wait_file wait = {.file = standard(c, HOST_STDIN), .events = WAIT_IN};
    int ret;
    while ((ret = thread_park(c->p, 0, &wait, 1)) == 0)
        continue; /* for no reason, or for one of long ago */
    CHECK_EQUAL(ret, -ETIMEDOUT);
    contract_give_input(c);
    uint64_t end = clock_now(c->p, CLOCK_KIND_MONOTONIC) + UINT64_C(100000000000);
    while ((ret = thread_park(c->p, end, &wait, 1)) == 0)
        continue;
    CHECK_EQUAL(ret, 1);
    CHECK_EQUAL(wait.ready & WAIT_IN, WAIT_IN);
    CHECK_EQUAL(host_file_read(c->p, wait.file, mem_shim(&byte, 1)), 1);
    host_file_close(c->p, wait.file);
}

void HostFileContract_OpenFailingAtAnyHostCallLeaksNothing(struct contract *c)
{
    struct host_file *dir = granted(c, "ro");
    host_file_close(c->p, opened(c, dir, "file", HOST_OPEN_READ));
    uint64_t files = contract_measure(c).files;
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        int err = 0;
        c->front->fault_arm(nth);
        struct host_file *file = host_file_open(c->p, dir, "file", HOST_OPEN_READ, 0, &err);
        fired = c->front->fault_arm(0);
        CHECK(file != NULL || (fired && err < 0));
        if (file)
            host_file_close(c->p, file);
    }
    CHECK(nth < 500);
    CHECK_EQUAL(contract_measure(c).files, files);
    host_file_close(c->p, dir);
}

void HostFileContractDeath_NameWithASlashAborts(struct contract *c)
{
    open_error(c, granted(c, "ro"), "../file", HOST_OPEN_READ);
}

void HostFileContractDeath_NameDotDotAborts(struct contract *c)
{
    open_error(c, granted(c, "ro"), "..", g_look);
}
