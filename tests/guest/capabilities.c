/*
 * capabilities(7): what ids, prctl, capset and execve make of them. Looks at those alone that root has in most containers as well.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* musl's compiler sees no headers of the kernel's. */
struct cap_header {
    uint32_t version;
    int pid;
};
struct cap_data {
    uint32_t effective, permitted, inheritable;
};
#define VERSION_1 0x19980330u
#define VERSION_3 0x20080522u
enum { CHOWN = 0, DAC_OVERRIDE = 1, FOWNER = 3, KILL = 5, SETGID = 6, SETUID = 7, SETPCAP = 8 };
#define BIT(cap) (1u << CAP_##cap)
#define CAP_CHOWN CHOWN
#define CAP_DAC_OVERRIDE DAC_OVERRIDE
#define CAP_FOWNER FOWNER
#define CAP_KILL KILL
#define CAP_SETGID SETGID
#define CAP_SETUID SETUID
#define CAP_SETPCAP SETPCAP
static const uint32_t seen = 0x1eb; /* the ones above */
#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#endif
enum { AMBIENT_IS_SET = 1, AMBIENT_RAISE, AMBIENT_LOWER, AMBIENT_CLEAR_ALL };
enum { BIT_NOROOT = 1, BIT_NOROOT_LOCKED = 2, BIT_NO_FIXUP = 4, BIT_KEEP = 16 };

static char self[256];

static long result(long r)
{
    return r < 0 ? -errno : r;
}

static struct cap_data get(void)
{
    struct cap_header h = {VERSION_3, 0};
    struct cap_data d[2];
    CHECK(syscall(SYS_capget, &h, d) == 0);
    return d[0];
}

static long set(uint32_t effective, uint32_t permitted, uint32_t inheritable)
{
    struct cap_header h = {VERSION_3, 0};
    struct cap_data d[2] = {{effective, permitted, inheritable}};
    return result(syscall(SYS_capset, &h, d));
}

static long ambient(int how, int cap)
{
    return result(prctl(PR_CAP_AMBIENT, how, cap, 0, 0));
}

static void show(const char *what)
{
    struct cap_data d = get();
    uint32_t bounding = 0, raised = 0;
    for (int cap = 0; cap < 9; cap++) {
        bounding |= (uint32_t)(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) << cap;
        raised |= (uint32_t)(ambient(AMBIENT_IS_SET, cap) == 1) << cap;
    }
    printf("%s: effective %03x permitted %03x inheritable %03x bounding %03x ambient %03x "
           "securebits %d\n",
           what, d.effective & seen, d.permitted & seen, d.inheritable & seen, bounding & seen,
           raised & seen, prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

static void again(const char *what)
{
    fflush(stdout);
    execl(self, self, what, (char *)NULL);
    CHECK(!"exec");
}

static void leaves_root(void)
{
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
    printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
    CHECK(setuid(1000) == 0);
    show("setuid");
    int sig;
    CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0);
    printf("dumpable %d, death signal %d\n", prctl(PR_GET_DUMPABLE), sig);
    printf("back %ld, group %ld, groups %ld\n", result(setuid(0)), result(setgid(5)),
           result(setgroups(0, NULL)));
    printf("kill of the parent %ld\n", result(kill(getppid(), 0)));
    again("exec by another user");
}

static void comes_back(void)
{
    CHECK(seteuid(1000) == 0);
    show("effective id");
    CHECK(seteuid(0) == 0);
    show("back");
    CHECK(setresuid(1000, 1000, 0) == 0);
    show("root is the saved id");
    CHECK(setresuid(0, 0, 0) == 0);
    show("root is the real id, without the right to be it");
}

static void file_ids(void)
{
    CHECK(set(seen, seen, 0) == 0);
    CHECK(syscall(SYS_setfsuid, 1000) == 0);
    show("another file system id");
    CHECK(syscall(SYS_setfsuid, 0) == 1000);
    show("and back");
}

static void keeps(void)
{
    CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1);
    CHECK(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
    show("kept");
    printf("kill without %ld\n", result(kill(getppid(), 0)));
    CHECK(set(BIT(KILL), get().permitted, 0) == 0);
    printf("kill with %ld\n", result(kill(getppid(), 0)));
    CHECK(set(BIT(SETUID), get().permitted, 0) == 0);
    CHECK(setuid(0) == 0);
    show("setuid by capability");
    CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
    again("keeping ends with exec");
}

static void passes_on(void)
{
    printf("ambient before inheritable %ld\n", ambient(AMBIENT_RAISE, CHOWN));
    CHECK(set(get().effective, get().permitted, BIT(CHOWN) | BIT(KILL)) == 0);
    printf("ambient %ld, %ld; twice %ld\n", ambient(AMBIENT_RAISE, CHOWN),
           ambient(AMBIENT_RAISE, KILL), ambient(AMBIENT_RAISE, KILL));
    CHECK(ambient(AMBIENT_LOWER, KILL) == 0);
    show("raised");
    printf("bad %ld %ld %ld %ld\n", ambient(AMBIENT_RAISE, 63), ambient(9, CHOWN),
           ambient(AMBIENT_CLEAR_ALL, 3), result(prctl(PR_CAP_AMBIENT, AMBIENT_RAISE, 0, 1, 0)));
    CHECK(prctl(PR_SET_SECUREBITS, BIT_KEEP | BIT_NO_FIXUP, 0, 0, 0) == 0);
    CHECK(setresuid(1000, 1000, 1000) == 0);
    show("without fixing up");
    again("ambient through exec");
}

static void inheritable_limits_ambient(void)
{
    CHECK(set(get().effective, get().permitted, BIT(CHOWN)) == 0);
    CHECK(ambient(AMBIENT_RAISE, CHOWN) == 0);
    CHECK(set(get().effective, get().permitted, 0) == 0);
    show("not inheritable, not ambient");
}

static void loses(void)
{
    CHECK(prctl(PR_CAPBSET_DROP, CHOWN, 0, 0, 0) == 0);
    show("dropped from the bounding set");
    printf("may not become inheritable: %ld\n", set(get().effective, get().permitted, BIT(CHOWN)));
    printf("bad %ld %ld\n", result(prctl(PR_CAPBSET_DROP, 64, 0, 0, 0)),
           result(prctl(PR_CAPBSET_READ, 64, 0, 0, 0)));
    again("root without it");
}

static void no_root(void)
{
    printf("securebits %ld\n",
           result(prctl(PR_SET_SECUREBITS, BIT_NOROOT | BIT_NOROOT_LOCKED, 0, 0, 0)));
    printf("locked %ld, unlocked %ld, unknown %ld\n",
           result(prctl(PR_SET_SECUREBITS, BIT_NOROOT_LOCKED, 0, 0, 0)),
           result(prctl(PR_SET_SECUREBITS, BIT_NOROOT, 0, 0, 0)),
           result(prctl(PR_SET_SECUREBITS, 0x10003, 0, 0, 0)));
    again("root is nobody special");
}

static void refused(void)
{
    struct cap_header h = {VERSION_3, 0};
    struct cap_data d[2] = {{0, 0, 0}};
    CHECK(set(BIT(CHOWN), BIT(CHOWN) | BIT(KILL), 0) == 0);
    show("dropped");
    printf("permitted %ld, effective %ld, raise %ld\n", set(BIT(CHOWN), seen, 0),
           set(BIT(SETUID), BIT(CHOWN), 0), set(BIT(KILL), BIT(KILL), 0));
    printf("inheritable from nowhere %ld, securebits %ld, bounding %ld\n",
           set(0, BIT(KILL), BIT(FOWNER)), result(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0)),
           result(prctl(PR_CAPBSET_DROP, CHOWN, 0, 0, 0)));
    h.pid = getppid();
    printf("for another %ld", result(syscall(SYS_capset, &h, d)));
    printf(", of another %ld", result(syscall(SYS_capget, &h, d)));
    h.pid = -1;
    printf(", negative %ld\n", result(syscall(SYS_capget, &h, d)));
    h = (struct cap_header){1, 0};
    printf("version %ld", result(syscall(SYS_capget, &h, d)));
    printf(" %x", h.version);
    h.version = 1;
    printf(", probe %ld %x", result(syscall(SYS_capget, &h, NULL)), h.version);
    h.version = VERSION_1;
    printf(", old %ld %x\n", result(syscall(SYS_capget, &h, d)), d[0].effective & seen);
    printf("bad memory %ld %ld\n", result(syscall(SYS_capget, NULL, d)),
           result(syscall(SYS_capset, &h, (void *)8)));
}

static void on_files(void)
{
    char name[] = "/tmp/guest-capabilities-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && fchown(fd, 1000, 1000) == 0 && fchmod(fd, 0600) == 0);
    close(fd);
    CHECK(set(get().permitted & ~(BIT(DAC_OVERRIDE) | BIT(FOWNER) | BIT(CHOWN) | 4u),
              get().permitted, 0) == 0);
    long r[4];
    r[0] = result(open(name, O_RDWR));
    r[1] = result(access(name, R_OK));
    r[2] = result(chmod(name, 0644));
    r[3] = result(chown(name, 0, 0));
    printf("open %ld, access %ld, chmod %ld, chown %ld\n", r[0], r[1], r[2], r[3]);
    CHECK(set(get().permitted, get().permitted, 0) == 0);
    r[0] = result(chmod(name, 0644));
    r[1] = result(chown(name, 0, 0));
    r[2] = result(open(name, O_RDWR)) >= 0;
    r[3] = result(unlink(name));
    printf("chmod %ld, chown %ld, open %ld, unlink %ld\n", r[0], r[1], r[2], r[3]);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        show(argv[1]);
        printf("dumpable %d, keeps %d\n", prctl(PR_GET_DUMPABLE),
               prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
        return 0;
    }
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    (void)argv;
    show("at first");
    show_child("another user", leaves_root);
    show_child("back and forth", comes_back);
    show_child("file system ids", file_ids);
    show_child("kept", keeps);
    show_child("ambient", passes_on);
    show_child("ambient, limited", inheritable_limits_ambient);
    show_child("bounding set", loses);
    show_child("no root", no_root);
    show_child("refused", refused);
    show_child("files", on_files);
    return 0;
}
