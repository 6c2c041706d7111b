/*
 * vm.c: the machine: memory, the image in it, its beginning and its end.
 */
#include "platform/kvm/vmm/vm.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ull
#define MEMORY_MIN (64ull << 20)
#define MEMORY_SOFTWARE                                                                            \
    (2ull << 30)                    /* the image's tables of more would take it too long to write */
#define LOW_MEMORY_MAX (3ull << 30) /* devices lie below 4 GiB */
#define HIGH_MEMORY (4ull << 30)
#define IMAGE_PHYSICAL_MIN 0x200000ull

void *vm_memory(struct vm *vm, uint64_t start, uint64_t size)
{
    for (size_t i = 0; i < sizeof(vm->range) / sizeof(vm->range[0]); i++) {
        const struct kvm_memory_range *r = &vm->range[i];
        if (start >= r->start && start - r->start < r->size && size <= r->size - (start - r->start))
            return vm->range_at[i] + (start - r->start);
    }
    return NULL;
}

void vm_end(struct vm *vm, int wait_status)
{
    pthread_mutex_lock(&vm->lock);
    bool first = !vm->ended;
    if (first) {
        vm->ended = true;
        vm->wait_status = wait_status;
    }
    pthread_cond_broadcast(&vm->changed);
    pthread_mutex_unlock(&vm->lock);
    if (first)
        kill(getpid(), SIGURG);
}

void vm_fail(struct vm *vm, const char *format, ...)
{
    va_list args;
    char line[1024];
    pthread_mutex_lock(&vm->lock);
    bool first = !vm->ended;
    pthread_mutex_unlock(&vm->lock);
    if (first) {
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        dprintf(STDERR_FILENO, "pal: kvm: %s\n", line);
    }
    vm_end(vm, SIGABRT);
}

void vm_interrupt(struct vm *vm, unsigned cpu)
{
    /* SDM vol. 3, 11.11 */
    struct kvm_msi msi = {.address_lo = 0xfee00000u | cpu << 12, .data = KVM_VECTOR_DONE};
    if (ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0)
        return; /* the processor's APIC is not up yet: it will look */
}

#define HUGE_PAGE (2ull << 20)

static int add_range(struct vm *vm, unsigned slot, uint64_t start, void *memory, uint64_t size)
{
    struct kvm_userspace_memory_region region = {.slot = slot,
                                                 .guest_phys_addr = start,
                                                 .memory_size = size,
                                                 .userspace_addr = (uint64_t)memory};
    if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -errno;
    vm->range[slot] = (struct kvm_memory_range){start, size};
    vm->range_at[slot] = memory;
    return 0;
}

/*
 * Three quarters of the machine's memory, taken only when it is used. A limit for the guests leaves room for what the image needs
 * besides: itself, page tables, the shim's heap.
 */
static uint64_t memory_for(const struct platform_options *options, bool software)
{
    if (options->memory)
        return options->memory + options->memory / 8 + MEMORY_MIN;
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t size = pages > 0 ? (uint64_t)pages * 4096 / 4 * 3 : 0;
    if (software && size > MEMORY_SOFTWARE)
        size = MEMORY_SOFTWARE;
    return size < MEMORY_MIN ? MEMORY_MIN : size;
}

static int make_memory(struct vm *vm, const struct vm_config *config)
{
    uint64_t size = memory_for(config->options, vm->host.software) & ~(HUGE_PAGE - 1);
    unsigned char *at = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    /* Aligned, so that the host can take huge pages for it: a fault of its own for every page costs more than the guest's. */
    uint64_t before = -(uint64_t)at & (HUGE_PAGE - 1);
    if (before > 0)
        munmap(at, before);
    if (before < HUGE_PAGE)
        munmap(at + before + size, HUGE_PAGE - before);
    vm->ram = at + before;
    vm->ram_size = size;
    (void)madvise(vm->ram, size, MADV_HUGEPAGE); /* or without: where the host has none */
    uint64_t low = vm->ram_size < LOW_MEMORY_MAX ? vm->ram_size : LOW_MEMORY_MAX;
    int err = add_range(vm, 0, 0, vm->ram, low);
    if (err == 0 && vm->ram_size > low)
        err = add_range(vm, 1, HIGH_MEMORY, vm->ram + low, vm->ram_size - low);
    return err;
}

/* Segments to their physical addresses; *end is the first address past them. The image is ours, its file might be damaged. */
static int load_image(struct vm *vm, const struct vm_config *config, uint64_t *entry,
                      uint64_t *top_table, uint64_t *end)
{
    const Elf64_Ehdr *header = (const void *)config->image;
    if (config->image_size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr) > config->image_size)
        return -ENOEXEC;
    *end = 0;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, config->image + header->e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type != PT_LOAD)
            continue;
        unsigned char *at = vm_memory(vm, segment.p_paddr, segment.p_memsz);
        if (!at || segment.p_paddr < IMAGE_PHYSICAL_MIN || segment.p_filesz > segment.p_memsz ||
            segment.p_offset > config->image_size ||
            segment.p_filesz > config->image_size - segment.p_offset)
            return -ENOEXEC;
        memcpy(at, config->image + segment.p_offset, segment.p_filesz);
        if (segment.p_paddr + segment.p_memsz > *end)
            *end = segment.p_paddr + segment.p_memsz;
        if (segment.p_flags & PF_W) /* boot.S: the boot tables are the first thing of the data */
            *top_table = segment.p_paddr;
    }
    *entry = header->e_entry;
    *end = (*end + PAGE - 1) & ~(PAGE - 1);
    return *end ? 0 : -ENOEXEC;
}

static int make_boot_info(struct vm *vm, const struct vm_config *config, uint64_t at)
{
    uint64_t blob = at + PAGE;
    struct kvm_boot_info *info = vm_memory(vm, at, PAGE);
    unsigned char *copy = vm_memory(vm, blob, config->blob_size);
    if (!info || !copy)
        return -ENOMEM;
    memcpy(copy, config->blob, config->blob_size);
    *info = (struct kvm_boot_info){
        .magic = KVM_BOOT_MAGIC,
        .version = KVM_HYPERCALL_VERSION,
        .features = KVM_HAVE_FILES | KVM_HAVE_SOCKETS | (vm->host.software ? KVM_SOFTWARE : 0),
        .cpu_count = vm->cpu_count,
        .free_start = (blob + config->blob_size + PAGE - 1) & ~(PAGE - 1),
        .blob = blob,
        .blob_size = config->blob_size,
        .detailed_stats = config->options->detailed_stats,
    };
    memcpy(info->memory, vm->range, sizeof(info->memory));
    vm->boot_info = info;
    int khz = ioctl(vm->vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
    if (khz > 0)
        info->tsc_khz = (uint32_t)khz;
    return 0;
}

static int fill_memory(struct vm *vm, const struct vm_config *config)
{
    uint64_t entry, top_table = 0, end;
    int err = load_image(vm, config, &entry, &top_table, &end);
    if (err == 0)
        err = make_boot_info(vm, config, end);
    for (unsigned i = 0; err == 0 && i < vm->cpu_count; i++)
        err = vcpu_set_tables(&vm->vcpu[i], top_table);
    if (err == 0)
        err = vcpu_start_at(&vm->vcpu[0], entry, 0, end);
    return err;
}

int vm_create(struct vm *vm, const struct vm_config *config, char *why, size_t size)
{
    memset(vm, 0, sizeof(*vm));
    vm->fd = -1;
    vm->trace_fd = config->options->trace_fd;
    vm->cpu_count = config->cpu_count;
    vm->forward_signals = config->options->forward_signals;
    pthread_mutex_init(&vm->lock, NULL);
    pthread_cond_init(&vm->changed, NULL);
    for (unsigned i = 0; i < vm->cpu_count; i++)
        vm->vcpu[i].fd = -1;
    if (!kvm_host_open(&vm->host, why, size))
        return -ENODEV;
    const char *what = "a virtual machine";
    int err = 0;
    vm->fd = ioctl(vm->host.fd, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        err = -errno;
    if (err == 0 && ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0) {
        what = "its interrupt controller";
        err = -errno;
    }
    if (err == 0) {
        what = "its memory";
        err = make_memory(vm, config);
    }
    for (unsigned i = 0; err == 0 && i < vm->cpu_count; i++) {
        what = "its processors";
        err = vcpu_create(&vm->vcpu[i], vm, i, why, size);
    }
    if (err == 0) {
        what = "loading the image";
        err = fill_memory(vm, config);
    }
    if (err == 0) {
        what = "threads";
        err = later_open(vm);
    }
    if (err == 0) {
        what = NULL;
        err = vm_files_open(&vm->files, config->options, why, size);
    }
    if (err == 0) {
        what = "host sockets";
        err = vm_sockets_open(&vm->sockets, config->options);
    }
    if (err == 0)
        return 0;
    if (what)
        snprintf(why, size, "%s: %s", what, strerror(-err));
    vm_destroy(vm);
    return err;
}

void vm_destroy(struct vm *vm)
{
    later_close(vm);
    vm_sockets_close(&vm->sockets);
    vm_files_close(&vm->files);
    for (unsigned i = 0; i < vm->cpu_count; i++)
        vcpu_destroy(&vm->vcpu[i]);
    if (vm->fd >= 0)
        close(vm->fd);
    if (vm->host.fd >= 0)
        close(vm->host.fd);
    if (vm->ram)
        munmap(vm->ram, vm->ram_size);
    pthread_cond_destroy(&vm->changed);
    pthread_mutex_destroy(&vm->lock);
}

static void kick_nothing(int sig UNUSED)
{
}

/* SIGURG is our own: something happened that this thread must look at. */
static void waited_signals(const struct vm *vm, sigset_t *set)
{
    static const int forwarded[] = {SIGINT,  SIGQUIT,  SIGTERM, SIGHUP,  SIGTSTP,
                                    SIGCONT, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM};
    sigemptyset(set);
    sigaddset(set, SIGURG);
    for (size_t i = 0; vm->forward_signals && i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
        sigaddset(set, forwarded[i]);
}

/*
 * Stop, so that our shell sees it; its SIGCONT comes back through sigwaitinfo. The host lets a terminal's stop signal pass when
 * nobody could continue us (an orphaned process group): then the guest goes on as well.
 */
static void suspend(struct vm *vm)
{
    sigset_t stop, pending;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    signal(SIGTSTP, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
    raise(SIGTSTP);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    sigpending(&pending);
    if (!sigismember(&pending, SIGCONT))
        later_signal(vm, SIGCONT);
}

static bool has_ended(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    bool ended = vm->ended;
    pthread_mutex_unlock(&vm->lock);
    return ended;
}

static void supervise(struct vm *vm, const sigset_t *waited)
{
    while (!has_ended(vm)) {
        int sig = sigwaitinfo(waited, NULL);
        if (sig > 0 && sig != SIGURG)
            later_signal(vm, sig);
        if (__atomic_exchange_n(&vm->suspend_requested, 0, __ATOMIC_ACQ_REL))
            suspend(vm);
    }
}

static int start_threads(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cpu_count; i++) {
        int err = pthread_create(&vm->vcpu[i].thread, NULL, vcpu_main, &vm->vcpu[i]);
        if (err)
            return -err;
        vm->vcpu[i].has_thread = true;
    }
    int err = pthread_create(&vm->watchdog, NULL, watchdog_main, vm);
    vm->has_watchdog = err == 0;
    return -err;
}

static void stop_threads(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cpu_count; i++) {
        if (!vm->vcpu[i].has_thread)
            continue;
        vm->vcpu[i].run->immediate_exit = 1;
        pthread_kill(vm->vcpu[i].thread, VCPU_KICK_SIGNAL);
        pthread_join(vm->vcpu[i].thread, NULL);
    }
    if (vm->has_watchdog)
        pthread_join(vm->watchdog, NULL);
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

int vm_run(struct vm *vm, int *wait_status, char *why, size_t size)
{
    struct sigaction kick = {.sa_handler = kick_nothing}, kick_before;
    struct termios terminal, now;
    sigset_t waited, blocked, before;
    bool has_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
    waited_signals(vm, &waited);
    /* Writes that fail are the guest's affair; here and in every thread that starts from here they are errors and no more. */
    blocked = waited;
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    sigaction(VCPU_KICK_SIGNAL, &kick, &kick_before);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    int err = start_threads(vm);
    if (err) {
        snprintf(why, size, "threads for its processors: %s", strerror(-err));
        vm_end(vm, SIGABRT);
    }
    supervise(vm, &waited);
    stop_threads(vm);
    later_close(vm);
    if (has_terminal && tcgetattr(STDIN_FILENO, &now) == 0 && !same_modes(&now, &terminal)) {
        signal(SIGTTOU, SIG_IGN);
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
        signal(SIGTTOU, SIG_DFL);
    }
    struct timespec none = {0, 0};
    while (sigtimedwait(&blocked, NULL, &none) > 0)
        ; /* what came during the end is not for whoever runs after us */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(VCPU_KICK_SIGNAL, &kick_before, NULL);
    *wait_status = vm->wait_status;
    return err;
}
