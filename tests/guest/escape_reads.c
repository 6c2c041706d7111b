/*
 * Tries to reach files outside its root, or to make files there. Arguments: the host's path of the directory outside, a process of the
 * host, a descriptor that the starter left open. Works in /rw, a writable mount; see tests/programs/escapes.py for the trees.
 */
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>

#include "escape.h"

#define UPS "../../../../../../../../../../../../../../../../"

static char g_secret[600], g_program[600], g_relative[700];
static const char *g_outside;

static int open_at(int dir, const char *format, const char *a)
{
    char path[1600];
    snprintf(path, sizeof(path), format, a);
    return openat(dir, path, O_RDONLY);
}

/* ---- names ---- */

static void by_names(void)
{
    struct stat st;
    struct statfs fs;
    try_read("absolute path", open(g_secret, O_RDONLY));
    must_fail("stat of an absolute path", stat(g_secret, &st));
    must_fail("access of an absolute path", access(g_secret, F_OK));
    must_fail("statfs of an absolute path", statfs(g_outside, &fs));
    try_read(".. from the root", open(g_relative, O_RDONLY));
    try_read("slashes and dots", open_at(AT_FDCWD, "//..//./%s", g_relative + 1));
    try_read(".. of a mount", open_at(AT_FDCWD, "/rw/" UPS "%s", g_secret + 1));
    try_read(".. of a mount, one step", open("/rw/../outside/secret", O_RDONLY));
    int root = open("/", O_PATH | O_DIRECTORY), rw = open("/rw", O_RDONLY | O_DIRECTORY),
        ro = open("/ro", O_RDONLY | O_DIRECTORY);
    try_read("openat .. of the root's descriptor", open_at(root, UPS "%s", g_secret + 1));
    try_read("openat .. of a mount's descriptor", openat(rw, "../outside/secret", O_RDONLY));
    try_read("openat .. of a read-only mount", openat(ro, "../outside/secret", O_RDONLY));
    try_read("openat with an absolute path", openat(rw, g_secret, O_RDONLY));
    if (chdir("/rw") == 0)
        for (int i = 0; i < 40; i++)
            if (chdir(".."))
                break;
    try_read("chdir .. forty times", open(g_secret + 1, O_RDONLY));
    must_fail("chdir outside", chdir(g_outside));
    close(root), close(rw), close(ro);
}

static void by_symlinks(void)
{
    /* Made by the starter: absolute ones of the host, and relative ones that lead outside on the host. */
    static const char *const names[] = {"/absolute",    "/relative",    "/directory/secret",
                                        "/rw/absolute", "/rw/relative", "/rw/directory/secret",
                                        "/ro/absolute", "/ro/relative", "/ro/directory/secret"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        try_read(names[i], open(names[i], O_RDONLY));
    try_read("own symlink, relative",
             symlink("../outside/secret", "/rw/mine") == 0 ? open("/rw/mine", O_RDONLY) : -1);
    try_read("own symlink, absolute",
             symlink(g_secret, "/rw/mine2") == 0 ? open("/rw/mine2", O_RDONLY) : -1);
    must_fail("create through a dangling symlink",
              symlink("../outside/made", "/rw/mine3") == 0 && access("/outside", F_OK)
                  ? open("/rw/mine3", O_CREAT | O_WRONLY, 0600)
                  : -1);
    must_fail("create in a symlinked directory",
              open("/rw/directory/made", O_CREAT | O_WRONLY, 0600));
    must_fail("truncate through a symlink", truncate("/rw/relative", 0));
    must_fail("mkdir in a symlinked directory", mkdir("/rw/directory/made-dir", 0700));
    must_fail("unlink in a symlinked directory", unlink("/rw/directory/secret"));
    must_fail("rename into a symlinked directory", rename("/rw/mine", "/rw/directory/mine"));
    must_fail("rename to ..", rename("/rw/mine", "/rw/../outside/mine"));
    must_fail("link of a symlink's target",
              linkat(AT_FDCWD, "/rw/relative", AT_FDCWD, "/rw/stolen", AT_SYMLINK_FOLLOW));
    int link = open("/rw/relative", O_PATH | O_NOFOLLOW);
    try_read("openat of an O_PATH symlink", openat(link, "", O_RDONLY));
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", link);
    try_read("O_PATH symlink through /proc", open(path, O_RDONLY));
    close(link);
}

static void by_openat2(void)
{
    struct open_how how = {.flags = O_RDONLY};
    static const struct {
        const char *name;
        unsigned long resolve;
    } scopes[] = {{"openat2", 0},
                  {"openat2, beneath", RESOLVE_BENEATH},
                  {"openat2, in root", RESOLVE_IN_ROOT},
                  {"openat2, no links", RESOLVE_NO_MAGICLINKS}};
    int rw = open("/rw", O_PATH);
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        how.resolve = scopes[i].resolve;
        try_read(scopes[i].name,
                 (int)syscall(SYS_openat2, rw, "../outside/secret", &how, sizeof(how)));
        try_read(scopes[i].name,
                 (int)syscall(SYS_openat2, rw, "directory/secret", &how, sizeof(how)));
        try_read(scopes[i].name, (int)syscall(SYS_openat2, rw, g_secret, &how, sizeof(how)));
    }
    close(rw);
}

/* ---- /proc ---- */

static void by_proc(const char *host_process)
{
    static const char *const doors[] = {"/proc/self/root",          "/proc/self/root/..",
                                        "/proc/self/cwd/" UPS,      "/proc/1/root",
                                        "/proc/1/cwd/" UPS,         "/proc/thread-self/root/" UPS,
                                        "/proc/self/task/../root",  "/proc/self/fd/0/" UPS,
                                        "/proc/self/exe/" UPS,      "/proc/self/fd/../root/..",
                                        "/proc/self/map_files/" UPS};
    char path[2000], text[600] = "";
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
        try_read(doors[i], open_at(AT_FDCWD, strcat(strcpy(path, doors[i]), "%s"), g_secret));
    static const char *const ways[] = {"root", "cwd", "fd/3/secret", "fd/9/secret"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        snprintf(path, sizeof(path), "/proc/%s/%s%s", host_process, ways[i],
                 strchr(ways[i], '/') ? "" : g_secret);
        try_read("a process of the host", open(path, O_RDONLY));
    }
    int dir = open("/rw", O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/../outside/secret", dir);
    try_read(".. of /proc/self/fd", open(path, O_RDONLY));
    close(dir);
    ssize_t n = readlink("/proc/self/exe", text, sizeof(text) - 1);
    told("path of /proc/self/exe", n > 0 && strncmp(text, "/bin/", 5) != 0, text);
    memset(text, 0, sizeof(text));
    told("getcwd", chdir("/rw") == 0 && getcwd(text, sizeof(text)) && strcmp(text, "/rw") != 0,
         text);
    FILE *maps = fopen("/proc/self/maps", "r");
    bool leaks = false;
    while (maps && fgets(path, sizeof(path), maps))
        leaks |= strstr(path, g_outside) != NULL;
    told("host paths in /proc/self/maps", leaks || !maps, "");
    if (maps)
        fclose(maps);
}

/* ---- descriptors ---- */

static void by_descriptors(const char *left_open)
{
    int fd = atoi(left_open);
    try_read("a descriptor of the starter", openat(fd, "secret", O_RDONLY));
    must_fail("its flags", fcntl(fd, F_GETFD));
    bool found = false;
    for (int i = 3; i < 4096; i++)
        found |= reads_outside(openat(i, "secret", O_RDONLY)) ||
                 reads_outside(openat(i, "../outside/secret", O_RDONLY)) ||
                 reads_outside(openat(i, "outside/secret", O_RDONLY));
    told("every descriptor number", found, "");
    /* A directory that is moved or removed while it is open must not lead anywhere else. */
    bool made =
        mkdir("/rw/a", 0700) == 0 && mkdir("/rw/a/b", 0700) == 0 && mkdir("/rw/a/b/c", 0700) == 0;
    int deep = made ? open("/rw/a/b/c", O_RDONLY | O_DIRECTORY) : -1;
    made = made && rename("/rw/a/b/c", "/rw/c") == 0;
    try_read(".. of a moved directory", openat(deep, "../../../outside/secret", O_RDONLY));
    try_read(".. of a moved directory, less", openat(deep, "../../outside/secret", O_RDONLY));
    try_read(".. of a moved directory, least", openat(deep, "../outside/secret", O_RDONLY));
    made = made && rmdir("/rw/c") == 0;
    try_read(".. of a removed directory", openat(deep, "../outside/secret", O_RDONLY));
    told("directories could be made", !made, "");
    close(deep);
}

static bool handle_escapes(void)
{
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } h = {.head = {.handle_bytes = 128}};
    int mount_id, mount = open("/rw", O_RDONLY);
    if (name_to_handle_at(AT_FDCWD, "/rw", &h.head, &mount_id, 0) == 0 &&
        open_by_handle_at(mount, &h.head, O_RDONLY) >= 0)
        return true;
    /* ext4's handle of its root: inode 2, as the classic escape from a container guesses it */
    h.head.handle_bytes = 8;
    h.head.handle_type = 1;
    memcpy(h.bytes, "\2\0\0\0\0\0\0\0", 8);
    return open_by_handle_at(mount, &h.head, O_RDONLY) >= 0;
}

/* ---- what changes the root ---- */

static bool out_of_here(void)
{
    for (int i = 0; i < 40; i++)
        if (chdir(".."))
            break;
    if (reads_outside(open(g_secret + 1, O_RDONLY)) ||
        reads_outside(open("outside/secret", O_RDONLY)))
        return true;
    return chroot(".") == 0 && (reads_outside(open(g_secret, O_RDONLY)) ||
                                reads_outside(open("/outside/secret", O_RDONLY)));
}

static bool chroot_escapes(void)
{
    /* Out of a root that was changed while a descriptor of the old one is open: allowed, up to the old one. */
    int root = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/rw/jail", 0700);
    if (chroot("/rw/jail") || fchdir(root))
        return false;
    return out_of_here();
}

static bool chroot_in_place_escapes(void)
{
    mkdir("/rw/jail2", 0700);
    if (chdir("/rw/jail2") || chroot("/rw/jail2/.."))
        return false;
    return out_of_here();
}

static bool chroot_outside_escapes(void)
{
    return chroot(g_outside) == 0 || chroot("/rw/directory") == 0;
}

/* The secret is at none of the ways out of a place. */
static bool place_leads_out(const char *place)
{
    static const char *const ways[] = {"%s%s", "%s/" UPS "%s", "%s/../..%s", "%s/..%s"};
    char name[1500];
    bool any = false;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        snprintf(name, sizeof(name), ways[i], place, g_secret);
        any |= reads_outside(open(name, O_RDONLY));
    }
    for (const char *const *name_of =
             (const char *const[]){"../outside/secret", "relative", "absolute", "directory/secret",
                                   "../relative", NULL};
         *name_of; name_of++) {
        snprintf(name, sizeof(name), "%s/%s", place, *name_of);
        any |= reads_outside(open(name, O_RDONLY));
    }
    int dir = open(place, O_PATH | O_DIRECTORY);
    any |= reads_outside(openat(dir, "../outside/secret", O_RDONLY));
    close(dir);
    return any;
}

/* Mounted once more, moved, or not mounted any more while somebody is in it, a tree has no other way out than before. */
static bool binds_escape(void)
{
    static const char *const trees[] = {
        "/rw",         "/rw/host-race",      "/ro",          "/ro/dir",           "/",
        "/etc/sub",    "/proc/self/root/..", "/proc/1/root", "/proc/self/cwd/..", "/rw/directory",
        "/rw/mount/.."};
    bool any = mkdir("/rw/mount", 0700) != 0 && errno != EEXIST;
    mkdir("/tmp/a", 0700), mkdir("/tmp/b", 0700);
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        if (mount(trees[i], "/rw/mount", NULL, MS_BIND | (i % 2 ? MS_REC : 0), NULL) != 0)
            continue;
        any |= place_leads_out("/rw/mount");
        any |= chdir("/rw/mount") != 0;
        any |= place_leads_out(".") || place_leads_out("..");
        if (mount("/rw/mount", "/tmp/a", NULL, MS_MOVE, NULL) == 0)
            any |= place_leads_out("/tmp/a") || place_leads_out(".") || place_leads_out("..");
        umount2("/tmp/a", MNT_DETACH);
        any |= place_leads_out(".") || place_leads_out("..");
        any |= chdir("/") != 0;
    }
    /* a file on a link's place, a directory on one that leads out, the root covered and left */
    any |= mount("/rw/relative", "/tmp/b", NULL, MS_BIND, NULL) == 0;
    any |= mount(g_secret, "/rw/interpreted", NULL, MS_BIND, NULL) == 0;
    mount("none", "/tmp/b", "tmpfs", 0, NULL);
    mkdir("/tmp/b/proc", 0700);
    mount("proc", "/tmp/b/proc", "proc", 0, NULL);
    any |= place_leads_out("/tmp/b/proc/self/root") || place_leads_out("/tmp/b/proc/1/root") ||
           place_leads_out("/tmp/b/proc/self/cwd");
    if (chroot("/tmp/b") == 0)
        any |= place_leads_out("/proc/self/root") || place_leads_out("..") || place_leads_out("/");
    return any || out_of_here();
}

static bool unmounting_escapes(void)
{
    bool any = umount2("/", MNT_DETACH) == 0;
    any |= chdir("/rw") != 0;
    umount2("/rw", MNT_DETACH), umount2("/ro", MNT_DETACH), umount2("/proc", MNT_DETACH);
    any |= place_leads_out(".") || place_leads_out("..") || place_leads_out("/rw") ||
           place_leads_out("/ro");
    return any || out_of_here();
}

static bool mounts_escape(void)
{
    mkdir("/rw/mount", 0700);
    bool any = mount("/dev/sda1", "/rw/mount", "ext4", 0, NULL) == 0;
    any |= mount("/dev/vda", "/rw/mount", "ext4", MS_RDONLY, NULL) == 0;
    any |= mount(g_outside, "/rw/mount", NULL, MS_BIND, NULL) == 0;
    any |= syscall(SYS_pivot_root, "/rw", "/rw/mount") == 0;
    any |= syscall(428 /* open_tree */, AT_FDCWD, "/", 1u) >= 0;
    any |= syscall(430 /* fsopen */, "ext4", 0u) >= 0;
    int self = open("/proc/self/ns/mnt", O_RDONLY), init = open("/proc/1/ns/mnt", O_RDONLY);
    any |= (self >= 0 && syscall(SYS_setns, self, 0) == 0) ||
           (init >= 0 && syscall(SYS_setns, init, 0) == 0);
    return any || out_of_here();
}

static bool namespaces_escape(void)
{
    (void)!syscall(SYS_unshare, 0x10020000 /* user, mount */);
    return mounts_escape();
}

/* ---- programs, sockets, devices ---- */

static bool exec_escapes(void)
{
    char *argv[] = {g_program, NULL}, *envp[] = {NULL};
    close(1), close(2); /* what it says would be taken for ours */
    execve(g_program, argv, envp);
    execve("/rw/../outside/program", argv, envp);
    execve("/rw/directory/program", argv, envp);
    execve("/rw/interpreted", argv, envp); /* #!, with the host's path of the program outside */
    int dir = open("/rw", O_PATH);
    syscall(SYS_execveat, dir, "../outside/program", argv, envp, 0);
    int path = open("/rw/directory", O_PATH | O_NOFOLLOW);
    syscall(SYS_execveat, path, "program", argv, envp, 0);
    return false;
}

static bool sockets_escape(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (chdir("/rw"))
        return true;
    snprintf(address.sun_path, sizeof(address.sun_path), "directory/socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    snprintf(address.sun_path, sizeof(address.sun_path), "../outside/socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    snprintf(address.sun_path, sizeof(address.sun_path), "directory/made-socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    /* The abstract names of the host are others. */
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "palimpsest-escape-%s", MARKER);
    address.sun_path[0] = 0;
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
    return connect(fd, (struct sockaddr *)&address, size) == 0;
}

static bool devices_escape(void)
{
    static const struct {
        mode_t type;
        unsigned major, minor;
    } nodes[] = {{S_IFCHR, 1, 1},   {S_IFCHR, 1, 2},   {S_IFBLK, 8, 0},
                 {S_IFBLK, 254, 0}, {S_IFBLK, 253, 0}, {S_IFBLK, 7, 0}};
    static const char *const places[] = {"/rw/node", "/tmp/node", "/node", "/dev/shm/node"};
    bool any = false;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        for (size_t j = 0; j < sizeof(places) / sizeof(places[0]); j++) {
            if (mknod(places[j], nodes[i].type | 0600, makedev(nodes[i].major, nodes[i].minor)) ==
                0) {
                any |= open(places[j], O_RDONLY | O_NONBLOCK) >= 0;
                unlink(places[j]);
            }
        }
    static const char *const known[] = {"/dev/mem", "/dev/kmem", "/dev/sda",
                                        "/dev/vda", "/dev/kvm",  "/dev/fuse"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        any |= open(known[i], O_RDONLY | O_NONBLOCK) >= 0;
    return any;
}

/* A call from code that was made just now: nobody could have prepared for it. */
static bool made_code_escapes(void)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89,
                                         0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    memcpy(page, code, sizeof(code));
    long (*call)(long, const char *, long, long) = (long (*)(long, const char *, long, long))page;
    long fd = -1;
    for (int i = 0; i < 20 && fd < 0; i++)
        fd = call(SYS_open, g_secret, O_RDONLY, 0);
    return reads_outside((int)fd);
}

static bool compat_call_escapes(void)
{
    char *low =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long fd;
    if (low == MAP_FAILED)
        return false;
    strcpy(low, g_secret);
    __asm__ volatile("int $0x80" : "=a"(fd) : "a"(5L), "b"((long)low), "c"(0L), "d"(0L) : "memory");
    return reads_outside((int)fd);
}

/* ---- races ---- */

static volatile int g_stop;

static void *exchange(void *unused)
{
    (void)unused;
    while (!g_stop)
        (void)!syscall(SYS_renameat2, AT_FDCWD, "/rw/race/dir", AT_FDCWD, "/rw/race/link",
                       2u /* EXCHANGE */);
    return NULL;
}

/* The starter exchanges names in /rw/host-race all the time as well: a directory and a symlink to the directory outside. */
static void by_races(double seconds)
{
    static const char *const reads[] = {"/rw/race/dir/secret", "/rw/host-race/dir/secret",
                                        "/rw/race/dir/../../outside/secret", "/rw/host-race/file",
                                        "/rw/host-race/dir/far/away/secret"};
    static const char *const writes[] = {"/rw/race/dir/made", "/rw/host-race/dir/made",
                                         "/rw/host-race/dir/far/away/made"};
    struct stat st;
    bool read_out = false;
    struct timespec start, now;
    pthread_t thread;
    long rounds = 0;
    mkdir("/rw/race", 0700);
    mkdir("/rw/race/dir", 0700);
    (void)!symlink("../../outside", "/rw/race/link");
    pthread_create(&thread, NULL, exchange, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
            read_out |= reads_outside(open(reads[i], O_RDONLY));
        for (int i = 0; i < 20; i++)
            read_out |=
                stat("/rw/host-race/dir/far/away/secret", &st) == 0 && (st.st_mode & 07777) == 0751;
        int dir = open("/rw/host-race/dir", O_RDONLY | O_DIRECTORY);
        read_out |= reads_outside(openat(dir, "secret", O_RDONLY));
        close(dir);
        /* The starter sees whether any of these met a file outside. */
        for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
            int fd = open(writes[i], O_CREAT | O_WRONLY | O_TRUNC, 0600);
            if (fd >= 0)
                (void)!write(fd, "x", 1), close(fd);
            (void)!mkdir("/rw/host-race/dir/made-dir", 0700);
            (void)!chmod("/rw/host-race/dir/secret", 0777);
            (void)!unlink("/rw/host-race/dir/secret");
            (void)!rename("/rw/host-race/dir/made", "/rw/host-race/dir/secret");
        }
        (void)!truncate("/rw/host-race/file", 3);
        int fd = open("/rw/host-race/file", O_WRONLY | O_TRUNC | O_APPEND);
        if (fd >= 0)
            (void)!write(fd, "x", 1), close(fd);
        rounds++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 <
                 seconds ||
             rounds < 50);
    g_stop = 1;
    pthread_join(thread, NULL);
    char detail[60];
    snprintf(detail, sizeof(detail), "%ld rounds", rounds);
    told("symlink races", read_out, detail);
}

/* The starter moves /rw/moving, in which this process is, out of the mount when it sees /rw/ready; then /rw/moved appears. */
static void by_move_from_outside(void)
{
    bool out = false;
    mkdir("/rw/moving", 0700);
    mkdir("/rw/moving/inner", 0700);
    int fd = open("/rw/moving/inner", O_RDONLY | O_DIRECTORY);
    if (chdir("/rw/moving/inner") == 0 && close(open("/rw/ready", O_CREAT | O_WRONLY, 0600)) == 0)
        for (int i = 0; i < 6000 && access("/rw/moved", F_OK); i++)
            usleep(10000);
    told("the starter moved the directory", access("/rw/moved", F_OK) != 0, "");
    static const char *const tries[] = {"../secret", "../../secret", "../../outside/secret",
                                        "../../../outside/secret"};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        out |= reads_outside(open(tries[i], O_RDONLY)) ||
               reads_outside(openat(fd, tries[i], O_RDONLY));
    (void)!chdir("..");
    out |= reads_outside(open("secret", O_RDONLY)) ||
           reads_outside(open("../outside/secret", O_RDONLY));
    told("a working directory that was moved out", out, "");
    close(fd);
    (void)!chdir("/");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    g_outside = argv[1];
    snprintf(g_secret, sizeof(g_secret), "%s/secret", g_outside);
    snprintf(g_program, sizeof(g_program), "%s/program", g_outside);
    snprintf(g_relative, sizeof(g_relative), "/" UPS "%s", g_secret + 1);
    signal(SIGPIPE, SIG_IGN);
    by_names();
    by_symlinks();
    by_openat2();
    by_proc(argv[2]);
    by_descriptors(argv[3]);
    in_child("file handles", handle_escapes);
    in_child("chroot and back", chroot_escapes);
    in_child("chroot above the working directory", chroot_in_place_escapes);
    in_child("chroot outside", chroot_outside_escapes);
    in_child("mounts", mounts_escape);
    in_child("mounts in a namespace", namespaces_escape);
    in_child("bind mounts", binds_escape);
    in_child("execve outside", exec_escapes);
    in_child("sockets of the host", sockets_escape);
    in_child("device nodes", devices_escape);
    in_child("a call from made code", made_code_escapes);
    in_child("a 32-bit call", compat_call_escapes);
    int watch = inotify_init1(IN_NONBLOCK);
    must_fail("inotify outside", inotify_add_watch(watch, g_outside, IN_ALL_EVENTS));
    close(watch);
    by_move_from_outside();
    by_races(2);
    in_child("without the mounts", unmounting_escapes);
    return finish();
}
