/* execve at its edges: argument limits, scripts of all shapes, execveat, what the new program finds on its stack. */
#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <pthread.h>
#include <unistd.h>

#include "guest.h"

extern char **environ;
static char self[4096], folder[] = "/tmp/guest-exec-edges-XXXXXX";

/* Run in a child; how it ended. */
static void run(const char *title, const char *path, char **argv, char **envp)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execve(path, argv, envp);
        printf("%s: errno %d\n", title, errno);
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s: status %x\n", title, status);
}

static void show_arguments(int argc, char **argv)
{
    printf("  %d arguments:", argc - 2);
    for (int i = 2; i < argc; i++)
        printf(" [%s]", argv[i]);
    printf("\n");
}

static int show_stack(int argc, char **argv)
{
    char **v = environ;
    CHECK((unsigned long)argv % 8 == 0 && ((unsigned long)(argv - 1)) % 16 == 0);
    CHECK(argv[argc] == NULL && v == argv + argc + 1);
    CHECK(((long *)argv)[-1] == argc);
    while (*v)
        v++;
    Elf64_auxv_t *aux = (Elf64_auxv_t *)(v + 1);
    CHECK(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_CLKTCK) == 100 && getauxval(AT_PHENT) == 56);
    CHECK(strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    unsigned char *random = (unsigned char *)getauxval(AT_RANDOM);
    CHECK(random != NULL);
    int any = 0;
    for (int i = 0; i < 16; i++)
        any |= random[i];
    CHECK(any);
    CHECK(getauxval(AT_PHDR) != 0);
    Elf64_Phdr *headers = (Elf64_Phdr *)getauxval(AT_PHDR);
    unsigned long loads = 0, count = getauxval(AT_PHNUM);
    for (unsigned long i = 0; i < count; i++)
        loads += headers[i].p_type == PT_LOAD;
    printf("  stack: %lu headers, %lu loads, base %d, secure %lu, uid %lu %lu %lu %lu, path %s\n",
           count, loads, getauxval(AT_BASE) != 0, getauxval(AT_SECURE), getauxval(AT_UID),
           getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID), (char *)getauxval(AT_EXECFN));
    int saved = open("/proc/self/auxv", O_RDONLY);
    Elf64_auxv_t copy[64];
    ssize_t size = read(saved, copy, sizeof(copy));
    CHECK(size > 0 && memcmp(copy, aux, (size_t)size) == 0);
    char line[65536];
    int fd = open("/proc/self/cmdline", O_RDONLY);
    CHECK((size = read(fd, line, sizeof(line))) > 0);
    printf("  cmdline %zd bytes, first %s\n", size, line);
    return 0;
}

static void script(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void scripts(void)
{
    char text[8192], path[64];
    char *argv[] = {"zero", "one", "two words", NULL};
    CHECK(mkdtemp(folder) && chdir(folder) == 0 && symlink(self, "me") == 0);
    script("plain", "#!./me show\n");
    run("one argument", "./plain", argv, environ);
    script("bare", "#! \t./me\t \nrest");
    run("no argument", "./bare", argv, environ);
    script("several", "#!./me show  some more words  \t\n");
    run("blanks in the argument", "./several", argv, environ);
    script("no-newline", "#!./me show");
    run("no newline", "./no-newline", argv, environ);
    script("empty", "#!\n");
    run("no interpreter", "./empty", argv, environ);
    script("blank", "#!   \n");
    run("blank interpreter", "./blank", argv, environ);
    script("missing", "#!/no/such/thing x\n");
    run("missing interpreter", "./missing", argv, environ);
    snprintf(text, sizeof(text), "#!./me show %s\n", "");
    memset(text + 12, 'x', 400);
    strcpy(text + 412, "\n");
    script("long", text);
    run("a long argument is cut", "./long", argv, environ);
    memset(text + 2, 'y', 400);
    script("long-name", text);
    run("a long interpreter", "./long-name", argv, environ);
    script("nested0", "#!./me show\n");
    for (int i = 1; i < 8; i++) {
        snprintf(path, sizeof(path), "nested%d", i);
        snprintf(text, sizeof(text), "#!./nested%d level%d\n", i - 1, i);
        script(path, text);
    }
    for (int i = 1; i < 7; i++) {
        snprintf(path, sizeof(path), "./nested%d", i);
        run(path, path, argv, environ);
    }
    script("not-allowed", "#!./me show\n");
    CHECK(chmod("not-allowed", 0644) == 0);
    run("not executable", "./not-allowed", argv, environ);
    char *none[] = {NULL};
    run("no arguments at all", "./plain", none, environ);
}

static void limits(void)
{
    char *big = malloc(256 * 1024);
    CHECK(big);
    memset(big, 'b', 256 * 1024);
    big[128 * 1024] = '\0';
    char *argv[] = {"me", "count", big, NULL};
    run("a string of 128 KiB", self, argv, environ);
    big[128 * 1024 - 1] = '\0';
    run("a string below that", self, argv, environ);
    static char *many[200000];
    many[0] = "me";
    many[1] = "count";
    big[1000] = '\0';
    for (int i = 2; i < 1502; i++)
        many[i] = big;
    run("1.5 MB of arguments", self, many, environ);
    for (int i = 2; i < 2502; i++)
        many[i] = big;
    run("2.5 MB of arguments", self, many, environ);
    for (int i = 2; i < 150000; i++)
        many[i] = "";
    run("150000 empty arguments", self, many, environ);
    char *bad[] = {"me", (char *)8, NULL}, *good[] = {"me", "count", NULL};
    run("a bad pointer", self, bad, environ);
    run("a bad vector", self, (char **)16, environ);
    run("a bad environment", self, good, (char **)16);
    run("a bad path", (char *)16, good, environ);
    run("an empty path", "", good, environ);
    char *empty[] = {NULL};
    run("an empty environment", self, good, empty);
    run("no environment", self, good, NULL);
    free(big);
}

static void by_descriptor(void)
{
    char *argv[] = {"me", "count", "x", NULL};
    int fd = open(self, O_RDONLY | O_CLOEXEC), dir = open(folder, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && dir >= 0);
    for (int i = 0; i < 5; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            switch (i) {
            case 0:
                syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
                break;
            case 1:
                syscall(SYS_execveat, dir, "me", argv, environ, 0);
                break;
            case 2:
                syscall(SYS_execveat, dir, "me", argv, environ, AT_SYMLINK_NOFOLLOW);
                break;
            case 3:
                syscall(SYS_execveat, fd, "", argv, environ, 0);
                break;
            case 4:
                syscall(SYS_execveat, 999, "me", argv, environ, 0);
                break;
            }
            printf("by descriptor %d: errno %d\n", i, errno);
            fflush(stdout);
            _exit(1);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        printf("by descriptor %d: status %x\n", i, status);
    }
}

static void *execs(void *arg)
{
    char *argv[] = {"me", "threaded", arg, NULL};
    execve(self, argv, environ);
    _exit(98);
}

static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* A thread that is not the first replaces the program: the others are gone, the number stays. */
static void from_a_thread(void)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char number[16];
        pthread_t t;
        snprintf(number, sizeof(number), "%d", (int)getpid());
        for (int i = 0; i < 3; i++)
            CHECK(pthread_create(&t, NULL, sleeps, NULL) == 0);
        CHECK(pthread_create(&t, NULL, execs, number) == 0);
        sleeps(NULL);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("from a thread: status %x\n", status);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "stack") == 0)
        return show_stack(argc, argv);
    if (argc > 1 && strcmp(argv[1], "count") == 0) {
        size_t size = 0;
        for (int i = 0; i < argc; i++)
            size += strlen(argv[i]) + 1;
        printf("  %d arguments of %zu bytes, environment %s\n", argc, size,
               environ[0] ? "there" : "empty");
        return 5;
    }
    if (argc > 1 && strcmp(argv[1], "threaded") == 0) {
        printf("  number %s\n",
               getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid() ? "kept" : "lost");
        return 6;
    }
    if (argc > 1) {
        show_arguments(argc, argv);
        printf("  [%s] [%s]\n", argv[0], argv[1]);
        return 4;
    }
    if (argc == 1 && strcmp(argv[0], "") == 0) {
        printf("  argv[0] is empty\n");
        return 3;
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CHECK(length > 0);
    self[length] = '\0';
    char *stack_args[] = {"me", "stack", "third", NULL}, *none[] = {NULL};
    run("stack", self, stack_args, environ);
    run("no argv", self, none, environ);
    run("null argv", self, NULL, environ);
    scripts();
    limits();
    by_descriptor();
    from_a_thread();
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK(chdir("/") == 0 && system(command) == 0);
    return 0;
}
