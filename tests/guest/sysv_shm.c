/* System V shared memory: ids and keys, attaching and detaching, what fork and exit do to the count, removal, permissions. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define FAILS(call, number) CHECK((errno = 0, (call) == -1) && errno == (number))
#define FAILS_AT(call, number) CHECK((errno = 0, (void *)(call) == (void *)-1) && errno == (number))

static unsigned long attached(int id)
{
    struct shmid_ds ds;
    CHECK(shmctl(id, IPC_STAT, &ds) == 0);
    return ds.shm_nattch;
}

static int run_child(void (*what)(int, char *), int id, char *at)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        what(id, at);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void child_counts(int id, char *at)
{
    CHECK(attached(id) == 2);
    at[1] = 'c';
    CHECK(shmdt(at) == 0 && attached(id) == 1);
}
static void child_leaves(int id, char *at)
{
    (void)at;
    CHECK(shmat(id, NULL, 0) != (void *)-1);
}
static void child_writes(int id, char *at)
{
    (void)id;
    *(volatile char *)at = 1;
}
static void child_is_nobody(int id, char *at)
{
    (void)at;
    CHECK(setuid(4242) == 0);
    struct shmid_ds ds;
    FAILS_AT(shmat(id, NULL, 0), EACCES);
    CHECK(shmat(id, NULL, SHM_RDONLY) != (void *)-1); /* its group may read */
    CHECK(shmctl(id, IPC_STAT, &ds) == 0);
    FAILS(shmctl(id, IPC_RMID, NULL), EPERM);
    FAILS(shmctl(id, IPC_SET, &ds), EPERM);
}

static void ids_and_keys(key_t key)
{
    FAILS(shmget(key, 4096, 0600), ENOENT);
    int id = shmget(key, 10000, IPC_CREAT | 0640);
    CHECK(id >= 0);
    CHECK(shmget(key, 0, 0) == id && shmget(key, 10000, 0600) == id &&
          shmget(key, 1, IPC_CREAT | 0600) == id);
    FAILS(shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    FAILS(shmget(key, 10001, 0600), EINVAL);
    FAILS(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    struct shmid_ds ds;
    CHECK(shmctl(id, IPC_STAT, &ds) == 0);
    CHECK(ds.shm_segsz == 10000 && ds.shm_nattch == 0 && (ds.shm_perm.mode & 0777) == 0640);
    CHECK(ds.shm_cpid == getpid() && ds.shm_lpid == 0 && ds.shm_atime == 0 && ds.shm_ctime != 0);
    CHECK(ds.shm_perm.uid == geteuid() && ds.shm_perm.cgid == getegid());
    ds.shm_perm.mode = 0604;
    CHECK(shmctl(id, IPC_SET, &ds) == 0 && shmctl(id, IPC_STAT, &ds) == 0 &&
          (ds.shm_perm.mode & 0777) == 0604);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    FAILS(shmctl(id, IPC_STAT, &ds), EINVAL);
    FAILS(shmctl(-1, IPC_STAT, &ds), EINVAL);
    FAILS(shmctl(0, 12345, &ds), EINVAL);
    FAILS_AT(shmat(id, NULL, 0), EINVAL);
    int a = shmget(IPC_PRIVATE, 1, 0600), b = shmget(IPC_PRIVATE, 1, 0600);
    CHECK(a >= 0 && b >= 0 && a != b);
    CHECK(shmctl(a, IPC_RMID, NULL) == 0 && shmctl(b, IPC_RMID, NULL) == 0);
    printf("ids and keys\n");
}

static void attaching(void)
{
    int id = shmget(IPC_PRIVATE, 3 * 4096, 0600);
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
    CHECK(p != (void *)-1 && q != (void *)-1 && p != q && attached(id) == 2);
    for (int i = 0; i < 3 * 4096; i++)
        CHECK(p[i] == 0);
    p[5000] = 'x';
    CHECK(q[5000] == 'x');
    CHECK(WTERMSIG(run_child(child_writes, id, q)) == 11);
    FAILS(mprotect(q, 4096, PROT_READ | PROT_WRITE), EACCES);
    CHECK(shmdt(q) == 0 && attached(id) == 1);
    FAILS(shmdt(q), EINVAL);
    FAILS(shmdt(p + 1), EINVAL);
    printf("attach, read only\n");

    CHECK(run_child(child_counts, id, p) == 0 && p[1] == 'c' && attached(id) == 1);
    CHECK(run_child(child_leaves, id, p) == 0 && attached(id) == 1);
    struct shmid_ds ds;
    CHECK(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_lpid != getpid() && ds.shm_dtime != 0);
    printf("fork and exit count\n");

    FAILS_AT(shmat(id, p, 0), EINVAL);
    FAILS_AT(shmat(id, p + 3, 0), EINVAL);
    FAILS_AT(shmat(id, NULL, SHM_REMAP), EINVAL);
    char *room = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS_AT(shmat(id, room, 0), EINVAL);
    CHECK(shmat(id, room + 4096, SHM_REMAP) == room + 4096 && room[4096 + 5000] == 'x');
    CHECK(shmdt(room + 4096) == 0);
    CHECK(munmap(room, 8 * 4096) == 0);
    CHECK(shmat(id, room + 4096 + 77, SHM_RND) == room + 4096 && room[4096 + 5000] == 'x');
    printf("fixed places\n");

    /* A piece unmapped from the middle: shmdt takes the rest; protection splits it and it is still one attachment to detach. */
    CHECK(munmap(room + 2 * 4096, 4096) == 0);
    CHECK(shmdt(room + 4096) == 0 && attached(id) == 1);
    CHECK(mprotect(p + 4096, 4096, PROT_READ) == 0 && shmdt(p) == 0 && attached(id) == 0);
    CHECK(mincore(p, 4096, (unsigned char[1]){0}) == -1 && errno == ENOMEM);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    printf("pieces\n");
}

static void removal(key_t key)
{
    int id = shmget(key, 4096, IPC_CREAT | 0600);
    char *p = shmat(id, NULL, 0);
    p[0] = 'r';
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    struct shmid_ds ds;
    CHECK(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_perm.mode & 01000 && p[0] == 'r');
    FAILS(shmget(key, 4096, 0600), ENOENT);
    int other = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(other >= 0 && other != id);
    char *again = shmat(id, NULL, 0); /* Linux: while somebody has it attached */
    CHECK(again != (void *)-1 && again[0] == 'r' && shmdt(again) == 0);
    CHECK(shmdt(p) == 0);
    CHECK(shmctl(id, IPC_STAT, &ds) == -1 && (errno == EINVAL || errno == EIDRM));
    CHECK(shmctl(other, IPC_RMID, NULL) == 0);
    printf("removal\n");
}

static void permissions(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0644);
    if (getuid() == 0)
        CHECK(run_child(child_is_nobody, id, NULL) == 0);
    CHECK(shmctl(id, SHM_LOCK, NULL) == 0);
    struct shmid_ds ds;
    CHECK(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_perm.mode & 02000);
    CHECK(shmctl(id, SHM_UNLOCK, NULL) == 0 && shmctl(id, IPC_STAT, &ds) == 0 &&
          !(ds.shm_perm.mode & 02000));
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    printf("permissions, locking\n");
}

static void information(void)
{
    struct shminfo limits;
    struct shm_info use;
    int id = shmget(IPC_PRIVATE, 5 * 4096, 0600);
    CHECK(shmctl(0, IPC_INFO, (void *)&limits) >= 0 && limits.shmmin == 1 && limits.shmmni >= 4096);
    int highest = shmctl(0, SHM_INFO, (void *)&use);
    CHECK(highest >= 0 && use.used_ids >= 1 && use.shm_tot >= 5);
    int found = 0;
    for (int i = 0; i <= highest; i++) {
        struct shmid_ds ds;
        int real = shmctl(i, SHM_STAT, &ds);
        found += real == id && ds.shm_segsz == 5 * 4096;
    }
    CHECK(found == 1);
    char line[512];
    FILE *f = fopen("/proc/sysvipc/shm", "r");
    CHECK(f && fgets(line, sizeof(line), f) && strstr(line, "shmid"));
    found = 0;
    while (fgets(line, sizeof(line), f))
        found += sscanf(line, "%*d %d", &highest) == 1 && highest == id;
    CHECK(found == 1);
    fclose(f);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    printf("information\n");
}

int main(void)
{
    key_t key = 0x50000000 + getpid();
    ids_and_keys(key);
    attaching();
    removal(key);
    permissions();
    information();
    return 0;
}
