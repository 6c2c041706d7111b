/*
 * fuzz_hypercall.c: what an image may ask of the VMM: any request, at any address, with any buffer.
 *
 * A machine without processors: memory in two ranges between guard pages, two granted directories, one of them read-only, in which standard input's file lies, and a log that standard output appends to. The input is a list of
 * requests and of bytes put into memory. What must hold: no access outside the ranges (guard pages, AddressSanitizer), no name but one
 * component reaches the host (hypercall_host.h), the read-only directory stays as it is, so does what the log holds, which nobody learns; nothing leaks, every refused call says so by
 * -errno, and each submitted request is answered, at the latest when it is cancelled.
 */
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "fuzz/hypercall_fail.h"
#include "platform/kvm/vmm/vm.h"

#define LOW_SIZE (UINT64_C(1) << 20)
#define HIGH_START (UINT64_C(4) << 30)
#define HIGH_SIZE (UINT64_C(64) << 10)
#define GUARD (UINT64_C(64) << 10)
enum {
    SLOTS = 16,          /* requests that may be pending at a time */
    SLOT_START = 0x1000, /* where they lie in guest memory */
    DATA_START = 0x2000,
    PATIENCE_S = 60,
};

static const char *const g_names[] = {"rw",       "ro",    "file",   "dir",
                                      "new",      "other", "a/b",    "dir/../other/x",
                                      "../other", "..",    "x\0y/z", ""};
static const char g_text[] = "what the read-only directory holds";

/* What the log holds: another for each input, as libFuzzer learns from comparisons. */
static uint64_t g_secret[4];

static char g_base[] = "/tmp/fuzz-hypercall.XXXXXX";
static char g_path[2][64];
static int g_stderr = STDERR_FILENO, g_trace, g_log;
static unsigned char *g_low, *g_high;
static struct vm g_vm;
static int g_listener = -1; /* in a network of our own; or none */
static bool g_pending[SLOTS];
static bool
    g_overlaps; /* a buffer of this input lay over the requests: what they say is worth nothing */

void hypercall_fail(const char *what, const char *detail)
{
    dprintf(g_stderr, "hypercall: %s: %s\n", what, detail);
    abort();
}

bool hypercall_is_grant(const char *path)
{
    return strcmp(path, g_path[0]) == 0 || strcmp(path, g_path[1]) == 0;
}

/* Set-up */

static void must(bool ok, const char *what)
{
    if (!ok)
        hypercall_fail(what, strerror(errno));
}

static unsigned char *guarded(uint64_t size)
{
    unsigned char *at =
        mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(at != MAP_FAILED && mprotect(at + GUARD, size, PROT_READ | PROT_WRITE) == 0, "memory");
    return at + GUARD;
}

static void write_file(const char *dir, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    must(fd >= 0 && write(fd, g_text, sizeof(g_text)) == sizeof(g_text), path);
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    return ftw->level == 0 ? 0 : remove(path);
}

static void empty_directory(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_all(void)
{
    empty_directory(g_base);
    rmdir(g_base);
}

/* Sockets may be asked for, in a network of this process alone, where nothing is: else there is none at all. */
static void open_network(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return;
    g_listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(g_listener >= 0 && bind(g_listener, (struct sockaddr *)&any, sizeof(any)) == 0 &&
             listen(g_listener, 8) == 0,
         "a listener");
}

static void on_kick(int sig)
{
    (void)sig;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct rlimit small = {1 << 20, 1 << 20};
    char path[128];
    (void)argc;
    (void)argv;
    g_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    /* As vm_run() has it. Ignoring them is not enough: libFuzzer then takes them to be its own. */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    signal(VCPU_KICK_SIGNAL, on_kick);
    setrlimit(RLIMIT_FSIZE, &small);
    must(mkdtemp(g_base) != NULL, g_base);
    atexit(remove_all);
    for (int i = 0; i < 2; i++) {
        snprintf(g_path[i], sizeof(g_path[i]), "%s/%s", g_base, g_names[i]);
        must(mkdir(g_path[i], 0755) == 0, g_path[i]);
    }
    write_file(g_path[1], "file");
    snprintf(path, sizeof(path), "%s/dir", g_path[1]);
    must(mkdir(path, 0755) == 0, path);
    /* No terminal is behind the standard streams. The input may be read, and no more. */
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/file", g_path[1]);
    int input = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/log", g_base);
    g_log = fcntl(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), F_DUPFD_CLOEXEC, 100);
    int output = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    must(nothing >= 0 && input >= 0 && output >= 0 && g_log >= 0 &&
             dup2(input, STDIN_FILENO) == 0 && dup2(output, STDOUT_FILENO) == 1,
         "standard streams");
    g_trace = nothing;
    open_network();
    g_low = guarded(LOW_SIZE);
    g_high = guarded(HIGH_SIZE);
    return 0;
}

/* The two directories are handles 0 and 1 from the start. */
static void open_grants(void)
{
    for (int i = 0; i < 2; i++) {
        struct kvm_request r = {.op = KVM_OP_FILE_GRANTED, .size = strlen(g_names[i])};
        must(vm_files_serve(&g_vm.files, &r, (void *)(uintptr_t)g_names[i], NULL) == i,
             "opening a granted directory");
    }
}

/* With a network the listener is handle 2, and a socket for datagrams 3. */
static void open_sockets(void)
{
    static const struct platform_listener listener = {.name = "publish0", .fd = 0};
    struct platform_listener listeners[1] = {listener};
    listeners[0].fd = g_listener;
    const struct platform_options options = {
        .listeners = listeners, .listener_count = g_listener >= 0, .host_network = g_listener >= 0};
    must(vm_sockets_open(&g_vm.sockets, &options) == 0, "vm_sockets_open");
    g_vm.sockets.listeners = &listener; /* its name is looked at later */
    if (g_listener < 0)
        return;
    struct kvm_request r = {.op = KVM_OP_SOCKET_PUBLISHED, .size = strlen(listener.name)};
    must(vm_sockets_serve(&g_vm.sockets, &g_vm.files, &r, (void *)(uintptr_t)listener.name, NULL) ==
             2,
         "a published port");
    r = (struct kvm_request){.op = KVM_OP_SOCKET_OPEN, .a0 = AF_INET, .a1 = SOCK_DGRAM};
    must(vm_sockets_serve(&g_vm.sockets, &g_vm.files, &r, NULL, NULL) == 3, "a socket");
}

static void start(void)
{
    static const struct platform_grant grants[2] = {{"rw", g_path[0], true},
                                                    {"ro", g_path[1], false}};
    static const struct platform_options options = {
        .grants = grants, .grant_count = 2, .trace_fd = -1};
    char why[256];
    memset(&g_vm, 0, sizeof(g_vm));
    g_vm.host.fd = g_vm.fd = -1;
    g_vm.trace_fd = g_trace;
    g_vm.cpu_count = 2;
    for (unsigned i = 0; i < g_vm.cpu_count; i++) {
        g_vm.vcpu[i].vm = &g_vm;
        g_vm.vcpu[i].index = i;
        g_vm.vcpu[i].fd = -1;
    }
    g_vm.vcpu[0].started = true;
    g_vm.range[0] = (struct kvm_memory_range){0, LOW_SIZE};
    g_vm.range[1] = (struct kvm_memory_range){HIGH_START, HIGH_SIZE};
    g_vm.range_at[0] = g_low;
    g_vm.range_at[1] = g_high;
    pthread_mutex_init(&g_vm.lock, NULL);
    pthread_cond_init(&g_vm.changed, NULL);
    must(later_open(&g_vm) == 0, "later_open");
    must(vm_files_open(&g_vm.files, &options, why, sizeof(why)) == 0, "vm_files_open");
    madvise(g_low, LOW_SIZE, MADV_DONTNEED);
    madvise(g_high, HIGH_SIZE, MADV_DONTNEED);
    memset(g_pending, 0, sizeof(g_pending));
    g_overlaps = false;
    write_file(g_path[0], "file");
    for (int i = 0; i < 4; i++)
        g_secret[i] = (g_secret[i] + (uint64_t)i + 1) * 0x9e3779b97f4a7c15 ^ g_secret[i] >> 29;
    must(ftruncate(g_log, 0) == 0 &&
             pwrite(g_log, g_secret, sizeof(g_secret), 0) == sizeof(g_secret),
         "the log");
    open_grants();
    open_sockets();
}

static void check_log(void)
{
    uint64_t text[4] = {0};
    struct stat st;
    if (pread(g_log, text, sizeof(text), 0) != sizeof(text) ||
        memcmp(text, g_secret, sizeof(text)) != 0)
        hypercall_fail("what the log held was changed", "");
    if (memmem(g_low, LOW_SIZE, g_secret, sizeof(g_secret)) ||
        memmem(g_high, HIGH_SIZE, g_secret, sizeof(g_secret)))
        hypercall_fail("the log was read", "");
    must(fstat(g_log, &st) == 0, "the log");
    if (st.st_nlink != 1)
        hypercall_fail("the log got another name", "");
}

static void check_read_only_directory(void)
{
    char path[128], text[sizeof(g_text) + 1];
    struct stat dir, file;
    snprintf(path, sizeof(path), "%s/file", g_path[1]);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    must(fd >= 0 && fstat(fd, &file) == 0 && stat(g_path[1], &dir) == 0, "the read-only file");
    if (read(fd, text, sizeof(text)) != sizeof(g_text) ||
        memcmp(text, g_text, sizeof(g_text)) != 0 || (file.st_mode & 07777) != 0644 ||
        file.st_nlink != 1)
        hypercall_fail("a file of the read-only directory was changed", path);
    if (dir.st_nlink != 3 || (dir.st_mode & 07777) != 0755)
        hypercall_fail("the read-only directory was changed", g_path[1]);
    close(fd);
}

/* The input, taken to pieces */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *in, size_t size)
{
    uint64_t value = 0;
    size = size < in->left ? size : in->left;
    memcpy(&value, in->at, size);
    in->at += size;
    in->left -= size;
    return value;
}

/* Any number, but near an edge more often than by chance. */
static uint64_t take_number(struct input *in)
{
    static const uint64_t edges[] = {0,          LOW_SIZE,       HIGH_START, HIGH_START + HIGH_SIZE,
                                     UINT64_MAX, KVM_BUFFER_MAX, DATA_START, 4096};
    const uint64_t how = take(in, 1);
    switch (how & 7) {
    case 0:
    case 1:
        return take(in, 1);
    case 2:
        return take(in, 2);
    case 3:
        return take(in, 4);
    case 4:
        return take(in, 8);
    case 5:
        return edges[how >> 3 & 7] + take(in, 1);
    case 6:
        return edges[how >> 3 & 7] - take(in, 1);
    default:
        return DATA_START + (how >> 3 & 7) * 4096;
    }
}

static struct kvm_request *slot_request(unsigned slot)
{
    return (struct kvm_request *)(void *)(g_low + SLOT_START + slot * sizeof(struct kvm_request));
}

static void note_overlap(uint64_t start, uint64_t size)
{
    const uint64_t end = SLOT_START + SLOTS * sizeof(struct kvm_request);
    if (start < end && (size > end || start + size > SLOT_START || start + size < start))
        g_overlaps = true;
}

static struct kvm_request take_request(struct input *in)
{
    struct kvm_request r = {.op = (uint32_t)take(in, 1)};
    const uint64_t how = take(in, 1);
    if (how & 1)
        r.op %= KVM_OP_COUNT;
    r.a0 = how & 2 ? take(in, 1) & 7 : take_number(in);
    r.a1 = take_number(in);
    r.a2 = take_number(in);
    r.a3 = how & 4 ? take_number(in) : 0;
    if (how & 8) { /* a name */
        const char *name = g_names[(how >> 4) % (sizeof(g_names) / sizeof(g_names[0]))];
        const size_t length = strcmp(name, "x") == 0 ? 5 : strlen(name);
        r.buffer = DATA_START;
        r.size = length;
        memcpy(g_low + DATA_START, name, length);
    } else {
        r.buffer = take_number(in);
        r.size = take_number(in);
    }
    note_overlap(r.buffer, r.size);
    if (r.op == KVM_OP_FILE_STAT_AT || r.op == KVM_OP_FILE_STAT_PATH)
        note_overlap(r.a1, 256);
    if (r.op == KVM_OP_SOCKET_RECEIVE)
        note_overlap(r.a1, sizeof(struct kvm_socket_message));
    if (r.op == KVM_OP_COPY)
        note_overlap(r.a0, r.size);
    return r;
}

static bool is_pending(unsigned slot)
{
    return g_pending[slot] &&
           __atomic_load_n(&slot_request(slot)->state, __ATOMIC_ACQUIRE) != KVM_REQUEST_DONE;
}

static void make_request(struct input *in, bool submit)
{
    const unsigned slot = (unsigned)take(in, 1) % SLOTS;
    const struct kvm_request r = take_request(in);
    if (is_pending(slot))
        return;
    struct kvm_request *shared = slot_request(slot);
    *shared = r;
    shared->result = INT64_MIN;
    shared->state = submit ? KVM_REQUEST_PENDING : KVM_REQUEST_IDLE;
    g_pending[slot] = submit;
    const uint32_t address = (uint32_t)(SLOT_START + slot * sizeof(*shared));
    if (submit) {
        serve_submit(&g_vm.vcpu[0], address);
        return;
    }
    serve_call(&g_vm.vcpu[0], address);
    const int64_t result = shared->result;
    if (!g_overlaps && (result == INT64_MIN || (result < 0 && result < -4095)))
        hypercall_fail("a call has no answer", "");
}

static void step(struct input *in)
{
    const uint64_t what = take(in, 1);
    switch (what & 7) {
    case 0: { /* bytes */
        const uint64_t at = take(in, 2), size = take(in, 1);
        for (uint64_t i = 0; i < size && in->left > 0; i++)
            g_low[DATA_START + at + i] = (unsigned char)take(in, 1);
        break;
    }
    case 1: { /* a request anywhere */
        const uint32_t address = (uint32_t)take_number(in);
        note_overlap(address, sizeof(struct kvm_request));
        if (what & 8)
            serve_call(&g_vm.vcpu[0], address);
        else if (address + sizeof(struct kvm_request) <= SLOT_START || address >= DATA_START)
            serve_submit(&g_vm.vcpu[0], address);
        break;
    }
    case 2:
        later_signal(&g_vm, 1 + (int)(take(in, 1) % 31));
        break;
    case 3:
        poll(NULL, 0, 0); /* let the other threads run */
        break;
    case 4:
    case 5:
        make_request(in, true);
        break;
    default:
        make_request(in, false);
        break;
    }
}

static bool has_ended(void)
{
    pthread_mutex_lock(&g_vm.lock);
    bool ended = g_vm.ended;
    pthread_mutex_unlock(&g_vm.lock);
    return ended;
}

/* Every request is answered: those that wait for something when they are cancelled, others by themselves. */
static void finish_requests(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        if (!is_pending(slot))
            continue;
        later_cancel(&g_vm, SLOT_START + slot * sizeof(struct kvm_request));
        while (is_pending(slot) && !g_overlaps) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (now.tv_sec - start.tv_sec > PATIENCE_S)
                hypercall_fail("a submitted request was never answered", "");
            poll(NULL, 0, 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    start();
    while (in.left > 0 && !has_ended())
        step(&in);
    finish_requests();
    later_close(&g_vm);
    vm_sockets_close(&g_vm.sockets);
    vm_files_close(&g_vm.files);
    pthread_cond_destroy(&g_vm.changed);
    pthread_mutex_destroy(&g_vm.lock);
    check_read_only_directory();
    check_log();
    empty_directory(g_path[0]);
    return 0;
}
