/* memfd_create and its seals; POSIX shared memory; files in /dev/shm that are mapped. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 32
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif
#ifndef FALLOC_FL_PUNCH_HOLE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif
#define FAILS(call, number) CHECK((errno = 0, (long)(call) == -1) && errno == (number))

static int make(unsigned flags)
{
    int fd = syscall(SYS_memfd_create, "a name", flags);
    CHECK(fd >= 0);
    return fd;
}
static int sealable(unsigned long pages)
{
    int fd = make(MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CHECK(ftruncate(fd, pages * PAGE) == 0);
    return fd;
}

static void creation(void)
{
    char path[64], target[64] = "", long_name[300];
    int fd = make(0), cloexec = make(MFD_CLOEXEC);
    struct stat st;
    CHECK(fcntl(fd, F_GETFD) == 0 && fcntl(cloexec, F_GETFD) == FD_CLOEXEC);
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0777 &&
          st.st_size == 0 && st.st_nlink == 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    CHECK(readlink(path, target, sizeof(target) - 1) > 0 &&
          strcmp(target, "/memfd:a name (deleted)") == 0);
    CHECK(write(fd, "hello", 5) == 5);
    int again = open(path, O_RDONLY);
    CHECK(again >= 0 && read(again, target, 5) == 5 && memcmp(target, "hello", 5) == 0);
    FAILS(write(again, "x", 1), EBADF);
    CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    FAILS(syscall(SYS_memfd_create, "x", 0x8000), EINVAL);
    FAILS(syscall(SYS_memfd_create, NULL, 0), EFAULT);
    memset(long_name, 'n', sizeof(long_name));
    long_name[250] = 0;
    FAILS(syscall(SYS_memfd_create, long_name, 0), EINVAL);
    long_name[249] = 0;
    CHECK(syscall(SYS_memfd_create, long_name, 0) >= 0);
    printf("creation\n");
}

static void sizes(void)
{
    int fd = sealable(2);
    CHECK(fcntl(fd, F_GET_SEALS) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    FAILS(ftruncate(fd, PAGE), EPERM);
    CHECK(ftruncate(fd, 3 * PAGE) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
    FAILS(ftruncate(fd, 4 * PAGE), EPERM);
    CHECK(ftruncate(fd, 3 * PAGE) == 0 && pwrite(fd, "12", 2, 0) == 2);
    CHECK(pwrite(fd, "abc", 3, 3 * PAGE - 2) == 2); /* up to the end */
    FAILS(pwrite(fd, "abc", 3, 3 * PAGE), EPERM);
    FAILS(fallocate(fd, 0, 0, 4 * PAGE), EPERM);
    CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    FAILS(fcntl(fd, F_ADD_SEALS, 0x10000), EINVAL);
    close(fd);
    printf("sealed sizes\n");
}

static void writing(void)
{
    int fd = sealable(2);
    char *w = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(w != MAP_FAILED);
    memcpy(w, "data", 4);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK(mprotect(w, PAGE, PROT_READ) == 0);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY); /* it could be made writable again */
    char *private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(private != MAP_FAILED && munmap(w, PAGE) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    FAILS(pwrite(fd, "x", 1, 0), EPERM);
    FAILS(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM);
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
    private[0] = 'D';
    char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), c;
    CHECK(ro != MAP_FAILED && memcmp(ro, "data", 4) == 0 && pread(fd, &c, 1, 0) == 1 && c == 'd');
    FAILS(mprotect(ro, PAGE, RW), EACCES);
    CHECK(ftruncate(fd, 5 * PAGE) == 0); /* size is another seal */
    close(fd);
    printf("sealed contents\n");
}

static void future_writing(void)
{
    int fd = sealable(2);
    char *w = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), c;
    CHECK(w != MAP_FAILED && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    w[0] = 'f';
    CHECK(pread(fd, &c, 1, 0) == 1 && c == 'f');
    FAILS(pwrite(fd, "x", 1, 0), EPERM);
    FAILS(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM);
    char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(ro != MAP_FAILED && ro[0] == 'f');
    FAILS(mprotect(ro, PAGE, RW), EACCES);
    FAILS(madvise(w, PAGE, MADV_REMOVE), EPERM);
    close(fd);
    printf("sealed against new writers\n");
}

static void executing(void)
{
    int fd = make(MFD_NOEXEC_SEAL);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0666 &&
          fcntl(fd, F_GET_SEALS) == F_SEAL_EXEC);
    FAILS(fchmod(fd, 0777), EPERM);
    CHECK(fchmod(fd, 0600) == 0);
    FAILS(syscall(SYS_memfd_create, "x", MFD_EXEC | MFD_NOEXEC_SEAL), EINVAL);
    int x = make(MFD_EXEC | MFD_ALLOW_SEALING);
    CHECK(fstat(x, &st) == 0 && (st.st_mode & 0777) == 0777 &&
          fcntl(x, F_ADD_SEALS, F_SEAL_EXEC) == 0);
    CHECK(fcntl(x, F_GET_SEALS) ==
          (F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
    close(fd);
    close(x);
    printf("sealed modes\n");
}

static void only_memory_files(void)
{
    int fd = open("/proc/self/exe", O_RDONLY), pipes[2];
    FAILS(fcntl(fd, F_GET_SEALS), EINVAL);
    CHECK(pipe(pipes) == 0);
    FAILS(fcntl(pipes[0], F_GET_SEALS), EINVAL);
    int sealed = sealable(1);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sealed);
    int ro = open(path, O_RDONLY);
    CHECK(ro >= 0 && fcntl(ro, F_GET_SEALS) == 0);
    FAILS(fcntl(ro, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    close(fd);
    printf("other files\n");
}

static void posix_shared_memory(void)
{
    char name[64];
    snprintf(name, sizeof(name), "/guest-%d", getpid());
    FAILS(shm_open(name, O_RDWR, 0), ENOENT);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    FAILS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && close(fd) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int other = shm_open(name, O_RDWR, 0);
        char *q = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, other, 0);
        strcpy(q + PAGE, "from the child");
        CHECK(shm_unlink(name) == 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 &&
          strcmp(p + PAGE, "from the child") == 0);
    FAILS(shm_open(name, O_RDWR, 0), ENOENT);
    FAILS(shm_unlink(name), ENOENT);
    printf("POSIX shared memory\n");
}

int main(void)
{
    creation();
    sizes();
    writing();
    future_writing();
    executing();
    only_memory_files();
    posix_shared_memory();
    return 0;
}
