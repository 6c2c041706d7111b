/*
 * contract_in_image.c: contract_in_image [--cpus N] [--qemu SCRIPT] [--expect LINE] [--whole | --only NAME] IMAGE
 *
 * Runs the contract cases that IMAGE (contract_image.c) holds: those that end well one after the other in one machine, the others each in
 * a machine that must die with the right words. On /dev/kvm, or by SCRIPT under QEMU or Bochs without a host behind the image. --whole: where
 * ring 0 is emulated, also what takes long there. --expect: a line that the machine must say, or one that begins so.
 * Status: 0; 1 when a case failed; 77 with a line that says SKIP when this machine has no KVM that could; 125.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "platform/kvm/vmm/kvm_front.h"
#include "platform/kvm/vmm/vm.h"
#include "tests/contract/contract_cases.h"
#include "tests/contract/contract_report.h"

enum {
    QUIET_MS =
        180000,       /* a case that says nothing for that long hangs: emulated machines are slow */
    MACHINES_MAX = 8, /* for the cases that end well: each that breaks its machine takes one more */
    STATUS_OF_PANIC = 127, /* bare.c */
    STATUS_OF_SKIP = 77,
};

enum case_kind { ENDS, IS_STOPPED };
static const struct {
    const char *name, *words;
    enum case_kind kind;
} g_cases[] = {
#define CASE(suite, name, needs) {#suite "." #name, NULL, ENDS},
#define DEATH(suite, name, needs, words) {#suite "." #name, words, IS_STOPPED},
    CONTRACT_CASES(CASE, DEATH)};
enum { CASE_COUNT = sizeof(g_cases) / sizeof(g_cases[0]) };

static const char *g_image_path, *g_qemu, *g_expect;
static const unsigned char *g_image;
static size_t g_image_size;
static const char *g_how_many = "most";
static unsigned g_cpus = 2;
static char g_folder[] = "/tmp/contract-in-image.XXXXXX", g_rw[64], g_ro[64];

/* What one machine said. */
struct run {
    char said[1 << 16];
    size_t size;
    int status; /* 0 to 255; 128 + signal */
    bool timed_out;
};

static NO_RETURN void broken(const char *what)
{
    perror(what);
    exit(125);
}

/* A free port of the loopback, for the case that asks for it as "port". */
static int listen_at_loopback(void)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 5) != 0)
        broken("a port of the loopback");
    return fd;
}

static NO_RETURN void machine(const char *blob, int trace_fd)
{
    const struct platform_grant grants[] = {{"rw", g_rw, true}, {"ro", g_ro, false}};
    const struct platform_listener listener = {"port", listen_at_loopback()};
    const struct platform_options options = {.grants = grants,
                                             .grant_count = 2,
                                             .listeners = &listener,
                                             .listener_count = 1,
                                             .host_network = true,
                                             .trace_fd = trace_fd,
                                             .detailed_stats = true,
                                             .memory = 256u << 20,
                                             .cpus = g_cpus};
    char why[256] = "";
    int wait_status = 0;
    int err = kvm_run_image(g_image, g_image_size, &options, blob, strlen(blob), &wait_status, why,
                            sizeof(why));
    if (err)
        fprintf(stderr, "cannot run the image: %s\n", why);
    _exit(err                        ? 125
          : WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
                                     : WEXITSTATUS(wait_status));
}

/* The granted directories as a case wants them. */
static void make_folders(void)
{
    char path[128];
    if (mkdir(g_rw, 0755) != 0 || mkdir(g_ro, 0755) != 0)
        broken(g_folder);
    snprintf(path, sizeof(path), "%s/file", g_ro);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, CONTRACT_RO_TEXT, sizeof(CONTRACT_RO_TEXT) - 1) < 0 || close(fd) != 0)
        broken(path);
    snprintf(path, sizeof(path), "%s/link", g_ro);
    if (symlink("file", path) != 0)
        broken(path);
}

static void remove_folders(void)
{
    char command[160];
    snprintf(command, sizeof(command), "rm -rf %s %s", g_rw, g_ro);
    if (system(command) != 0)
        fprintf(stderr, "%s failed\n", command);
}

/* Reads what the machine says until it ends, and gives it the input it asks for. */
static void listen_to(struct run *run, pid_t pid, int words, int asked, int input)
{
    struct pollfd wait[] = {{.fd = words, .events = POLLIN}, {.fd = asked, .events = POLLIN}};
    for (;;) {
        int ready = poll(wait, 2, QUIET_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            run->timed_out = true;
            kill(pid, SIGKILL);
            break;
        }
        char bytes[4096];
        if (wait[1].revents) {
            ssize_t got = read(asked, bytes, sizeof(bytes));
            if (got <= 0)
                wait[1].fd = -1;
            for (ssize_t i = 0; i < got; i++)
                if (write(input, "x", 1) < 0)
                    broken("input");
        }
        if (wait[0].revents) {
            ssize_t got = read(words, bytes, sizeof(bytes));
            if (got <= 0)
                break;
            if (write(STDOUT_FILENO, bytes, (size_t)got) < 0)
                broken("output");
            size_t room = sizeof(run->said) - 1 - run->size;
            size_t kept = (size_t)got < room ? (size_t)got : room;
            memcpy(run->said + run->size, bytes, kept);
            run->size += kept;
        }
    }
    run->said[run->size] = '\0';
}

static void run_machine(struct run *run, const char *blob)
{
    int words[2], asked[2], input[2], status;
    run->size = 0;
    run->timed_out = false;
    if (pipe(words) || pipe(asked) || pipe(input))
        broken("pipe");
    make_folders();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        broken("fork");
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(input[0], STDIN_FILENO);
        dup2(words[1], STDOUT_FILENO);
        dup2(words[1], STDERR_FILENO);
        const int ours[] = {input[0], input[1], words[0], words[1], asked[0]};
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            close(ours[i]);
        if (!g_qemu)
            machine(blob, asked[1]);
        execl(g_qemu, g_qemu, g_image_path, blob, (char *)NULL);
        perror(g_qemu);
        _exit(125);
    }
    close(words[1]);
    close(asked[1]);
    close(input[0]);
    listen_to(run, pid, words[0], asked[0], input[1]);
    close(words[0]);
    close(asked[0]);
    close(input[1]);
    if (waitpid(pid, &status, 0) != pid)
        broken("waitpid");
    run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    remove_folders();
}

/* Did it say a line that begins like that? */
static bool said(const struct run *run, const char *line)
{
    size_t size = strlen(line);
    for (const char *at = run->said; at; at = strchr(at, '\n')) {
        at += at != run->said;
        if (strncmp(at, line, size) == 0)
            return true;
    }
    return false;
}

static bool said_of(const struct run *run, const char *word, size_t number)
{
    char line[256];
    snprintf(line, sizeof(line), "%s %s", word, g_cases[number].name);
    size_t size = strlen(line);
    for (const char *at = run->said; (at = strstr(at, line)); at += size)
        if ((at == run->said || at[-1] == '\n') && strchr(": (\n", at[size]))
            return true;
    return false;
}

struct tally {
    unsigned passed, failed, skipped;
    bool no_machine; /* there is nothing here that could run the image; it was said */
};

/* All that end well. A case that takes its machine along has failed; the next machine goes on behind it. */
static void run_good_ones(struct run *run, struct tally *tally)
{
    char blob[256];
    size_t next = 0;
    snprintf(blob, sizeof(blob), "%s", g_how_many);
    for (int machines = 0; machines < MACHINES_MAX; machines++) {
        run_machine(run, blob);
        if (g_qemu && run->status == STATUS_OF_SKIP && said(run, "SKIP: ")) {
            tally->no_machine = true;
            return;
        }
        bool ended = said(run, "end");
        size_t behind = ended ? CASE_COUNT : next;
        for (size_t i = next; i < CASE_COUNT && !ended; i++)
            if (said_of(run, "case", i))
                behind = i + 1;
        for (size_t i = next; i < behind; i++) {
            if (g_cases[i].kind != ENDS)
                continue;
            if (said_of(run, "passed", i)) {
                tally->passed++;
            } else if (said_of(run, "skipped", i)) {
                tally->skipped++;
            } else {
                tally->failed++;
                printf("FAILED %s\n", g_cases[i].name);
            }
        }
        if (ended)
            return;
        printf("FAILED: the machine ended with status %d%s\n", run->status,
               run->timed_out ? ": it said nothing any more" : "");
        tally->failed++;
        if (behind == next)
            return;
        next = behind;
        snprintf(blob, sizeof(blob), "%s%safter %s", g_how_many, *g_how_many ? " " : "",
                 g_cases[behind - 1].name);
    }
    printf("too many machines broke\n");
}

static void run_stopped_one(struct run *run, size_t number, struct tally *tally)
{
    char blob[256];
    snprintf(blob, sizeof(blob), "only %s", g_cases[number].name);
    run_machine(run, blob);
    if (said_of(run, "skipped", number)) {
        tally->skipped++;
        return;
    }
    int wanted = g_qemu ? STATUS_OF_PANIC : 128 + SIGABRT;
    if (run->status == wanted && strstr(run->said, g_cases[number].words) &&
        !said_of(run, "passed", number)) {
        tally->passed++;
        return;
    }
    tally->failed++;
    printf("FAILED %s: status %d, not %d, or not the words '%s'%s\n", g_cases[number].name,
           run->status, wanted, g_cases[number].words,
           run->timed_out ? "; it said nothing any more" : "");
}

static void read_image(void)
{
    struct stat st;
    int fd = open(g_image_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        broken(g_image_path);
    g_image_size = (size_t)st.st_size;
    void *at = mmap(NULL, g_image_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        broken(g_image_path);
    close(fd);
    g_image = at;
}

int main(int argc, char **argv)
{
    static struct run run;
    struct tally tally = {0};
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--cpus") == 0 && i + 1 < argc)
            g_cpus = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--qemu") == 0 && i + 1 < argc)
            g_qemu = argv[++i];
        else if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc)
            g_expect = argv[++i];
        else if (strcmp(argv[i], "--whole") == 0)
            g_how_many = "";
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            g_image_path = argv[i];
    }
    if (!g_image_path)
        return 125;
    if (!g_qemu) {
        char why[256];
        struct kvm_host host;
        if (!kvm_host_open(&host, why, sizeof(why))) {
            printf("SKIP: %s\n", why);
            return STATUS_OF_SKIP;
        }
        close(host.fd);
    }
    read_image();
    if (!mkdtemp(g_folder))
        broken(g_folder);
    snprintf(g_rw, sizeof(g_rw), "%s/rw", g_folder);
    snprintf(g_ro, sizeof(g_ro), "%s/ro", g_folder);
    if (only) {
        char blob[256];
        snprintf(blob, sizeof(blob), "only %s", only);
        run_machine(&run, blob);
        printf("status %d\n", run.status);
    } else {
        run_good_ones(&run, &tally);
        if (g_expect && !tally.no_machine && !said(&run, g_expect)) {
            printf("FAILED: the machine did not say '%s'\n", g_expect);
            tally.failed++;
        }
        for (size_t i = 0; i < CASE_COUNT && !tally.no_machine; i++)
            if (g_cases[i].kind == IS_STOPPED)
                run_stopped_one(&run, i, &tally);
        printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed, tally.skipped);
    }
    rmdir(g_folder);
    if (tally.no_machine)
        return STATUS_OF_SKIP;
    return tally.failed || tally.passed + tally.skipped == 0 ? !only : 0;
}
