/* Every call that takes a name, with names that are odd in every way; in a tmpfs and on the root
 * file system. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stdbool.h>

#include "guest.h"

static const char *const g_names[] = {
    "",
    ".",
    "..",
    "/",
    "//",
    "file",
    "file/",
    "file/.",
    "file/x",
    "dir",
    "dir/",
    "dir//",
    "dir/.",
    "dir/..",
    "dir/../file",
    "none",
    "none/",
    "none/x",
    "none/..",
    "to-file",
    "to-file/",
    "to-dir",
    "to-dir/",
    "to-dir/in",
    "to-none",
    "to-none/",
    "loop",
    "loop/x",
    "to-to-file",
    "up/file",
    "dir/in",
    "full",
    "full/",
    "./././file",
    "dir/./in",
    "to-root/..",
    "../../../../../../..",
    "fifo",
    "fifo/",
    "to-dir/../file",
};
#define NAMES (sizeof(g_names) / sizeof(g_names[0]))

static void make_tree(void)
{
    int fd;
    CHECK((fd = open("file", O_CREAT | O_EXCL | O_WRONLY, 0644)) >= 0 &&
          write(fd, "text", 4) == 4 && close(fd) == 0);
    CHECK(mkdir("dir", 0755) == 0 && mkdir("full", 0755) == 0 && mkdir("full/x", 0755) == 0);
    CHECK((fd = open("dir/in", O_CREAT | O_EXCL | O_WRONLY, 0600)) >= 0 && close(fd) == 0);
    CHECK(symlink("file", "to-file") == 0 && symlink("dir", "to-dir") == 0 &&
          symlink("none", "to-none") == 0);
    CHECK(symlink("loop", "loop") == 0 && symlink("to-file", "to-to-file") == 0 &&
          symlink("..", "dir/up") == 0);
    CHECK(symlink("dir/up", "up") == 0 && symlink("/", "to-root") == 0 &&
          mkfifo("fifo", 0600) == 0);
}

static void remove_tree(const char *dir)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    CHECK(chdir("/") == 0 && system(command) == 0);
}

static int open_close(const char *name, int flags)
{
    int fd = open(name, flags | O_NONBLOCK, 0600);
    return fd < 0 ? fd : close(fd);
}

static int act(int what, const char *name)
{
    struct stat st;
    char text[256];
    switch (what) {
    case 0:
        return stat(name, &st);
    case 1:
        return lstat(name, &st);
    case 2:
        return open_close(name, O_RDONLY);
    case 3:
        return open_close(name, O_WRONLY);
    case 4:
        return open_close(name, O_RDWR | O_CREAT);
    case 5:
        return open_close(name, O_RDWR | O_CREAT | O_EXCL);
    case 6:
        return open_close(name, O_RDONLY | O_DIRECTORY);
    case 7:
        return open_close(name, O_RDONLY | O_NOFOLLOW);
    case 8:
        return open_close(name, O_PATH | O_NOFOLLOW);
    case 9:
        return open_close(name, O_WRONLY | O_TRUNC);
    case 10:
        return access(name, R_OK | W_OK | X_OK);
    case 11:
        return mkdir(name, 0700);
    case 12:
        return rmdir(name);
    case 13:
        return unlink(name);
    case 14:
        return readlink(name, text, sizeof(text)) < 0 ? -1 : 0;
    case 15:
        return symlink("target", name);
    case 16:
        return link("file", name);
    case 17:
        return link(name, "linked");
    case 18:
        return rename("file", name);
    case 19:
        return rename(name, "renamed");
    case 20:
        return rename("dir", name);
    case 21:
        return chmod(name, 0711);
    case 22:
        return truncate(name, 100);
    case 23:
        return mknod(name, S_IFREG | 0600, 0);
    case 24:
        return chdir(name);
    case 25:
        return syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, name, 1 /* RENAME_NOREPLACE */);
    case 26:
        return syscall(SYS_renameat2, AT_FDCWD, "full", AT_FDCWD, name, 2 /* RENAME_EXCHANGE */);
    case 27:
        return linkat(AT_FDCWD, name, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW);
    default:
        return utimensat(AT_FDCWD, name, NULL, AT_SYMLINK_NOFOLLOW);
    }
}
#define ACTIONS 29

/* Whether the tree is no longer as make_tree() left it. Making it anew each time would take a minute on a file system that is slow to
 * give out the numbers of files removed just before, as ext4 is. */
static bool changes(int what, int result)
{
    static const bool looks[ACTIONS] = {
        [0] = true, [1] = true, [2] = true,  [3] = true,  [6] = true,
        [7] = true, [8] = true, [10] = true, [14] = true, [24] = true};
    return result >= 0 && !looks[what];
}

/* What `name` is after the action, so that an action that hit the wrong thing shows. */
static void describe(const char *name)
{
    struct stat st;
    if (lstat(name, &st) < 0)
        printf(" %d", errno);
    else
        printf(" %o/%lu", st.st_mode, S_ISREG(st.st_mode) ? (unsigned long)st.st_size : 0);
}

static void run(const char *base)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "%s/guest-paths-XXXXXX", base);
    CHECK(mkdtemp(dir));
    umask(022);
    bool fresh = false;
    for (int what = 0; what < ACTIONS; what++) {
        for (size_t i = 0; i < NAMES; i++) {
            char work[80];
            snprintf(work, sizeof(work), "%s/w", dir);
            /* Nothing may happen to what is above. */
            bool outside = strstr(g_names[i], "../..") || g_names[i][0] == '/' ||
                           strstr(g_names[i], "to-root");
            if (outside && (what >= 9 && what != 10 && what != 14))
                continue;
            if (!fresh)
                CHECK(mkdir(work, 0755) == 0);
            CHECK(chdir(work) == 0);
            if (!fresh)
                make_tree();
            errno = 0;
            int result = act(what, g_names[i]);
            printf("%d '%s': %d %d", what, g_names[i], result, result < 0 ? errno : 0);
            CHECK(chdir(work) == 0 || errno == ENOENT);
            static const char *const after[] = {"file", "dir",     "none",  "to-file",
                                                "full", "renamed", "linked"};
            for (size_t k = 0; k < sizeof(after) / sizeof(after[0]); k++)
                describe(after[k]);
            printf("\n");
            fresh = !changes(what, result);
            if (fresh)
                continue;
            char moved[80];
            snprintf(moved, sizeof(moved), "%s/old%d-%zu", dir, what, i);
            CHECK(chdir(dir) == 0 && rename(work, moved) == 0);
        }
    }
    /* Lengths. */
    static char name[PATH_MAX + 10];
    CHECK(chdir(dir) == 0);
    memset(name, 'n', 256);
    CHECK(open(name, O_RDONLY) == -1);
    printf("256 letters: %d\n", errno);
    name[255] = 0;
    CHECK(open(name, O_RDONLY) == -1);
    printf("255 letters: %d\n", errno);
    for (int i = 0; i < PATH_MAX; i++)
        name[i] = i % 2 ? '.' : '/';
    for (int length = PATH_MAX - 2; length <= PATH_MAX + 1; length++) {
        memset(name, '/', sizeof(name));
        for (int i = 1; i < length; i += 2)
            name[i] = '.';
        name[length] = 0;
        int fd = open(name, O_RDONLY | O_DIRECTORY);
        printf("%d bytes of path: %d\n", length, fd < 0 ? errno : 0);
        if (fd >= 0)
            close(fd);
    }
    /* Forty links are followed, one more is not. */
    char from[16], to[16];
    CHECK(mkdir("end", 0755) == 0 && symlink("end", "l0") == 0);
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof(from), "l%d", i);
        snprintf(to, sizeof(to), "l%d", i - 1);
        CHECK(symlink(to, from) == 0);
    }
    struct stat st;
    CHECK(stat("l39", &st) == 0 && stat("l40", &st) == -1);
    printf("41 links: %d\n", errno);
    remove_tree(dir);
}

int main(void)
{
    run("/tmp");
    run("/var/tmp");
    return 0;
}
