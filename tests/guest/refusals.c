/* What natively works and is refused here, with the error of a kernel or a file system that has it not: programs must go on without. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define SHOW(name, call)                                                                           \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long r_ = (long)(call);                                                                    \
        printf("%s: %s\n", name, r_ < 0 ? strerror(errno) : "works");                              \
    } while (0)

/* fchmodat2(2), which Linux has since 6.6: a host's kernel may be older. */
static void modes_by_flags(void)
{
    struct stat st;
    int fd = open("/var/tmp/refusals", O_CREAT | O_RDONLY, 0600);
    CHECK(fd >= 0 && symlink("refusals", "/var/tmp/refusals-link") == 0);
    SHOW("mode", syscall(452, AT_FDCWD, "/var/tmp/refusals-link", 0640, 0));
    SHOW("mode of a link", syscall(452, AT_FDCWD, "/var/tmp/refusals-link", 0600, 0x100));
    SHOW("mode of a descriptor's", syscall(452, fd, "", 0604, 0x1000));
    SHOW("mode, strange flag", syscall(452, AT_FDCWD, "/var/tmp/refusals", 0600, 1));
    CHECK(fstat(fd, &st) == 0 && unlink("/var/tmp/refusals") == 0);
    printf("%o\n", st.st_mode & 07777);
    CHECK(unlink("/var/tmp/refusals-link") == 0);
    close(fd);
}

int main(void)
{
    static const char *const names[] = {"/etc/passwd", "/var/tmp/refusals", "/dev/shm/refusals"};
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } handle = {.head = {.handle_bytes = 128}};
    for (int i = 0; i < 3; i++) {
        int mount_id = 0, fd = open(names[i], i ? O_CREAT | O_RDONLY : O_RDONLY, 0600);
        CHECK(fd >= 0);
        SHOW("read lease", fcntl(fd, F_SETLEASE, F_RDLCK));
        SHOW("write lease", fcntl(fd, F_SETLEASE, F_WRLCK));
        SHOW("directory notes", fcntl(fd, F_NOTIFY, DN_CREATE));
        SHOW("file handle", name_to_handle_at(AT_FDCWD, names[i], &handle.head, &mount_id, 0));
        SHOW("open by handle", open_by_handle_at(fd, &handle.head, O_RDONLY));
        if (i)
            CHECK(unlink(names[i]) == 0);
        close(fd);
    }
    SHOW("io_uring", syscall(425, 8, NULL));
    modes_by_flags();
    return 0;
}
