/*
 * set_mempolicy(2), mbind(2) and their relatives, as far as they are the same on every machine that has node 0: results are checked
 * here, not printed, since a kernel without NUMA (or a sandbox that forbids it) natively refuses all of it.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#define PAGE 4096ul

/* linux/mempolicy.h, which musl-gcc does not find */
enum { MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL };
#define MPOL_F_STATIC_NODES (1 << 15)
#define MPOL_F_RELATIVE_NODES (1 << 14)
#define MPOL_F_NUMA_BALANCING (1 << 13)
#define MPOL_F_NODE 1
#define MPOL_F_ADDR 2
#define MPOL_F_MEMS_ALLOWED 4
#define MPOL_MF_STRICT 1
#define MPOL_MF_MOVE 2
#define MPOL_MF_MOVE_ALL 4

#define BITS 1025 /* of masks: one more than any kernel has nodes */
#define BAD_ADDRESS ((void *)8)

static const unsigned long first_node[BITS / 64 + 1] = {1}, no_node[BITS / 64 + 1];

/* The errno of a call, or 0. */
#define ERROR_OF(call) ((call) < 0 ? errno : 0)

static int set_policy(int mode, const unsigned long *nodes)
{
    return ERROR_OF(syscall(SYS_set_mempolicy, mode, nodes, nodes ? BITS : 0));
}

static int bind_range(void *at, unsigned long size, int mode, const unsigned long *nodes,
                      unsigned flags)
{
    return ERROR_OF(syscall(SYS_mbind, at, size, mode, nodes, nodes ? BITS : 0, flags));
}

/* The policy of the thread, or of an address: its mode, whether it names node 0. */
static int policy(const void *at, int *has_first)
{
    unsigned long nodes[BITS / 64 + 1];
    int mode = -1;
    memset(nodes, 0xff, sizeof(nodes));
    CHECK(syscall(SYS_get_mempolicy, &mode, nodes, BITS, at, at ? MPOL_F_ADDR : 0) == 0);
    *has_first = (int)(nodes[0] & 1);
    CHECK(nodes[1] == 0 && nodes[15] == 0); /* up to the size of the mask */
    return mode;
}

static void check_policy(const void *at, int mode, int has_first)
{
    int found, is = policy(at, &found);
    if (is != mode || found != has_first)
        printf("policy %x %d, not %x %d\n", is, found, mode, has_first);
}

static void of_a_thread(void)
{
    check_policy(NULL, MPOL_DEFAULT, 0);
    CHECK(set_policy(MPOL_BIND, first_node) == 0);
    check_policy(NULL, MPOL_BIND, 1);
    CHECK(set_policy(MPOL_PREFERRED, first_node) == 0);
    check_policy(NULL, MPOL_PREFERRED, 1);
    CHECK(set_policy(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, first_node) == 0);
    check_policy(NULL, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
    int node = -1;
    CHECK(syscall(SYS_get_mempolicy, &node, NULL, 0, NULL, MPOL_F_NODE) == 0 && node == 0);
    CHECK(set_policy(MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, first_node) == 0);
    check_policy(NULL, MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, 1);
    CHECK(set_policy(MPOL_PREFERRED, no_node) == 0);
    check_policy(NULL, MPOL_LOCAL, 0);
    CHECK(set_policy(MPOL_LOCAL, NULL) == 0);
    check_policy(NULL, MPOL_LOCAL, 0);
    CHECK(set_policy(MPOL_DEFAULT, no_node) == 0);
    check_policy(NULL, MPOL_DEFAULT, 0);
}

static void refused(void)
{
    unsigned long distant[BITS / 64 + 1] = {0}, huge[64] = {0};
    distant[15] = 1ul << 63;
    huge[40] = 1;
    int mode = 7;
    CHECK(set_policy(MPOL_DEFAULT, first_node) == EINVAL);
    CHECK(set_policy(MPOL_LOCAL, first_node) == EINVAL);
    CHECK(set_policy(MPOL_BIND, no_node) == EINVAL && set_policy(MPOL_INTERLEAVE, NULL) == EINVAL);
    CHECK(set_policy(MPOL_BIND, distant) == EINVAL && set_policy(100, first_node) == EINVAL);
    CHECK(set_policy(MPOL_PREFERRED | MPOL_F_STATIC_NODES, no_node) == EINVAL);
    CHECK(set_policy(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, first_node) ==
          EINVAL);
    CHECK(set_policy(MPOL_INTERLEAVE | MPOL_F_NUMA_BALANCING, first_node) == EINVAL);
    CHECK(set_policy(MPOL_BIND, BAD_ADDRESS) == EFAULT);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy, MPOL_BIND, huge, 4096)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy, MPOL_BIND, first_node, 0)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy, MPOL_BIND, first_node, 40000)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 8)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, NULL, 0, &mode, 0)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, MPOL_F_NODE)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, huge, 0, NULL, 0)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, NULL, 0, BAD_ADDRESS, MPOL_F_ADDR)) == EFAULT);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL,
                           MPOL_F_MEMS_ALLOWED | MPOL_F_ADDR)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, BAD_ADDRESS, NULL, 0, NULL, 0)) == EFAULT);
    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, NULL, BAD_ADDRESS, BITS, NULL, 0)) == EFAULT);
    CHECK(mode == 7);
    check_policy(NULL, MPOL_DEFAULT, 0);
}

static void of_ranges(void)
{
    char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    CHECK(bind_range(at + PAGE, 4 * PAGE - 1, MPOL_BIND, first_node, 0) == 0);
    check_policy(at, MPOL_DEFAULT, 0);
    check_policy(at + PAGE, MPOL_BIND, 1);
    check_policy(at + 5 * PAGE - 1, MPOL_BIND, 1);
    check_policy(at + 5 * PAGE, MPOL_DEFAULT, 0);
    CHECK(bind_range(at + 2 * PAGE, PAGE, MPOL_INTERLEAVE, first_node, MPOL_MF_MOVE) == 0);
    check_policy(at + 2 * PAGE, MPOL_INTERLEAVE, 1);
    check_policy(at + 3 * PAGE, MPOL_BIND, 1);
    CHECK(mprotect(at, 8 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    check_policy(at + 2 * PAGE, MPOL_INTERLEAVE, 1);

    CHECK(ERROR_OF(syscall(SYS_get_mempolicy, NULL, NULL, 0, at, MPOL_F_ADDR | MPOL_F_NODE)) == 0);
    at[PAGE] = 1;
    CHECK(bind_range(at + PAGE, PAGE, MPOL_BIND, first_node, MPOL_MF_STRICT) == 0);
    CHECK(bind_range(at + PAGE, PAGE, MPOL_LOCAL, NULL, MPOL_MF_STRICT) == EIO);
    CHECK(bind_range(at + 6 * PAGE, PAGE, MPOL_LOCAL, NULL, MPOL_MF_STRICT) == 0);
    CHECK(bind_range(at, 0, MPOL_BIND, first_node, 0) == 0);
    CHECK(bind_range(at, 0, MPOL_BIND, no_node, 0) == 0);
    CHECK(bind_range(at + 1, PAGE, MPOL_BIND, first_node, 0) == EINVAL);
    CHECK(bind_range(at, PAGE, MPOL_BIND, no_node, 0) == EINVAL);
    CHECK(bind_range(at, PAGE, MPOL_BIND, first_node, 64) == EINVAL);
    CHECK(bind_range(at + PAGE, -2 * PAGE, MPOL_BIND, first_node, 0) == EINVAL);
    CHECK(munmap(at + 4 * PAGE, PAGE) == 0);
    CHECK(bind_range(at + 3 * PAGE, 2 * PAGE, MPOL_PREFERRED, first_node, 0) == EFAULT);
    CHECK(bind_range(at + 3 * PAGE, 3 * PAGE, MPOL_PREFERRED, first_node, 0) == EFAULT);
    CHECK(bind_range(at + 4 * PAGE, 2 * PAGE, MPOL_PREFERRED, first_node, 0) == EFAULT);
    CHECK(bind_range(at + 4 * PAGE, PAGE, MPOL_DEFAULT, NULL, 0) == EFAULT);
    CHECK(bind_range(at + 3 * PAGE, 3 * PAGE, MPOL_DEFAULT, NULL, 0) == 0);
    check_policy(at + 3 * PAGE, MPOL_DEFAULT, 0);
    check_policy(at + 2 * PAGE, MPOL_INTERLEAVE, 1);

    CHECK(set_policy(MPOL_PREFERRED, first_node) == 0);
    check_policy(at + 7 * PAGE, MPOL_DEFAULT, 0); /* that of the thread is not told */
    pid_t pid = fork();
    if (pid == 0) {
        check_policy(NULL, MPOL_PREFERRED, 1);
        check_policy(at + PAGE, MPOL_BIND, 1);
        fflush(stdout);
        _exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
    CHECK(bind_range(at, 4 * PAGE, MPOL_DEFAULT, NULL, MPOL_MF_STRICT) == 0);
    check_policy(at + 2 * PAGE, MPOL_DEFAULT, 0);
}

static void home_nodes(void)
{
    char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED && bind_range(at, PAGE, MPOL_BIND, first_node, 0) == 0);
    CHECK(bind_range(at + 2 * PAGE, PAGE, MPOL_INTERLEAVE, first_node, 0) == 0);
    int known = ERROR_OF(syscall(SYS_set_mempolicy_home_node, at, PAGE, 0, 0));
    if (known == ENOSYS) /* before Linux 5.17 */
        return;
    CHECK(known == 0);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at + PAGE, PAGE, 0, 0)) == ENOENT);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at + 2 * PAGE, PAGE, 0, 0)) == EOPNOTSUPP);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at, 2 * PAGE, 0, 0)) == 0);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at, PAGE, 5000, 0)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at, PAGE, 0, 1)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at + 1, PAGE, 0, 0)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_set_mempolicy_home_node, at, 0, 0, 0)) == 0);
}

static void moves(void)
{
    char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED && munmap(at + 3 * PAGE, PAGE) == 0);
    at[0] = at[2 * PAGE] = 1;
    void *pages[4] = {at, at + PAGE, at + 2 * PAGE + 5, at + 3 * PAGE};
    int status[5] = {77, 77, 77, 77, 77}, nodes[4] = {0}, distant = 5000;
    CHECK(syscall(SYS_move_pages, 0, 4ul, pages, NULL, status, 0) == 0);
    CHECK(status[0] >= 0 && status[1] == -ENOENT && status[2] >= 0 && status[3] == -EFAULT);
    CHECK(status[4] == 77);
    memset(status, 77, sizeof(status));
    CHECK(syscall(SYS_move_pages, getpid(), 4ul, pages, nodes, status, MPOL_MF_MOVE) == 0);
    CHECK(status[0] == 0 && status[1] == -ENOENT && status[2] == 0 && status[3] == -EFAULT);
    CHECK(syscall(SYS_move_pages, 0, 0ul, NULL, NULL, NULL, 0) == 0);
    CHECK(ERROR_OF(syscall(SYS_move_pages, 0, 1ul, pages, &distant, status, MPOL_MF_MOVE)) ==
          ENODEV);
    CHECK(ERROR_OF(syscall(SYS_move_pages, 0, 1ul, pages, nodes, status, MPOL_MF_STRICT)) ==
          EINVAL);
    CHECK(ERROR_OF(syscall(SYS_move_pages, 0, 1ul, BAD_ADDRESS, NULL, status, 0)) == EFAULT);
    CHECK(ERROR_OF(syscall(SYS_move_pages, 0, 1ul, pages, NULL, BAD_ADDRESS, 0)) == EFAULT);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    CHECK(gone > 0 && waitpid(gone, NULL, 0) == gone);
    CHECK(ERROR_OF(syscall(SYS_move_pages, gone, 1ul, pages, NULL, status, 0)) == ESRCH);
    CHECK(ERROR_OF(syscall(SYS_migrate_pages, gone, BITS, first_node, first_node)) == ESRCH);
    CHECK(syscall(SYS_migrate_pages, 0, BITS, first_node, first_node) == 0);
    CHECK(ERROR_OF(syscall(SYS_migrate_pages, 0, BITS, first_node, no_node)) == EINVAL);
    CHECK(ERROR_OF(syscall(SYS_migrate_pages, 0, BITS, BAD_ADDRESS, first_node)) == EFAULT);
    if (getuid() == 0 && setuid(54398) == 0)
        CHECK(ERROR_OF(syscall(SYS_move_pages, 0, 1ul, pages, NULL, status, MPOL_MF_MOVE_ALL)) ==
              EPERM);
}

static void *inherits(void *arg)
{
    check_policy(NULL, MPOL_BIND, 1);
    CHECK(set_policy(MPOL_DEFAULT, NULL) == 0);
    return arg;
}

static void of_threads(void)
{
    pthread_t t;
    CHECK(set_policy(MPOL_BIND, first_node) == 0);
    CHECK(pthread_create(&t, NULL, inherits, NULL) == 0 && pthread_join(t, NULL) == 0);
    check_policy(NULL, MPOL_BIND, 1); /* each thread has its own */
}

int main(int argc, char **argv)
{
    unsigned long allowed[BITS / 64 + 1] = {0};
    if (argc > 1) {
        check_policy(NULL, MPOL_INTERLEAVE, 1);
        return 0;
    }
    int there = syscall(SYS_get_mempolicy, NULL, allowed, BITS, NULL, MPOL_F_MEMS_ALLOWED) == 0 &&
                allowed[0] & 1 && syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0) == 0 &&
                syscall(SYS_move_pages, 0, 0ul, NULL, NULL, NULL, 0) == 0;
    /* A kernel with nodes has their directory; a sandbox says EPERM. */
    if (!there && errno == ENOSYS && access("/sys/devices/system/node", F_OK) == 0)
        printf("nodes, but no calls for them\n");
    void (*const parts[])(void) = {of_a_thread, refused, of_ranges, home_nodes, moves, of_threads};
    for (size_t i = 0; there && i < sizeof(parts) / sizeof(parts[0]); i++) {
        int status = in_child(parts[i]);
        if (status)
            printf("part %zu: status %x\n", i, status);
    }
    fflush(stdout);
    if (there && set_policy(MPOL_INTERLEAVE, first_node) == 0) {
        char again[] = "again";
        char *const words[] = {argv[0], again, NULL};
        execv(argv[0], words);
        return 1;
    }
    return 0;
}
