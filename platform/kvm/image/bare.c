/*
 * bare.c: a machine that a PVH loader started: QEMU with `-device isa-debugcon,iobase=0xe9 -device isa-debug-exit,iobase=0x501`, or Bochs
 * (tests/kvm/under_bochs.py). There is no host behind it: lines go to the debug console, the exit status to the exit device, or where there
 * is none into a last line.
 */
#include "platform/errno.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/layout.h"
#include "platform/kvm/image/machine.h"

#define CONSOLE_PORT 0xe9
#define EXIT_PORT 0x501
#define END_WORDS "the image ends with status "
#define EXIT_OF_PANIC 127 /* the device makes 2 n + 1 of it */

/* xen/include/public/arch-x86/hvm/start_info.h */
#define START_MAGIC 0x336ec578u
struct start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};
struct memory_map_entry {
    uint64_t start, size;
    uint32_t type, reserved;
};
#define MEMORY_TYPE_RAM 1

extern char g_image_end[];

/*
 * The loader's command line is the blob, but for "tsc_khz=N " at its start: how fast the processor's counter runs, where the APIC's timer
 * does not count nanoseconds. A copy: what the loader wrote lies in memory that is given away.
 */
static char g_command_line[256];

/* Result: what is behind it. */
static const char *read_tsc_khz(const char *line)
{
    static const char words[] = "tsc_khz=";
    for (unsigned i = 0; words[i]; i++)
        if (line[i] != words[i])
            return line;
    for (line += sizeof(words) - 1; *line >= '0' && *line <= '9'; line++)
        g_boot.tsc_khz = g_boot.tsc_khz * 10 + (uint32_t)(*line - '0');
    return *line == ' ' ? line + 1 : line;
}

void bare_probe(uint64_t physical)
{
    const struct start_info *start = (const void *)(DIRECT_MAP + physical);
    g_boot = (struct kvm_boot_info){
        .magic = KVM_BOOT_MAGIC, .version = KVM_HYPERCALL_VERSION, .cpu_count = 1};
    g_boot.free_start = (image_physical(g_image_end) + 4095) & ~4095ull;
    if (start->magic != START_MAGIC || start->version < 1)
        return;
    if (start->command_line) {
        const char *line = read_tsc_khz((const char *)(DIRECT_MAP + start->command_line));
        while (g_boot.blob_size < sizeof(g_command_line) && line[g_boot.blob_size]) {
            g_command_line[g_boot.blob_size] = line[g_boot.blob_size];
            g_boot.blob_size++;
        }
        g_boot.blob = image_physical(g_command_line);
    }
    const struct memory_map_entry *map = (const void *)(DIRECT_MAP + start->memory_map);
    for (uint32_t i = 0, used = 0; i < start->memory_map_entries && used < KVM_MEMORY_RANGES; i++) {
        /* What lies below the image is left to the firmware. */
        if (map[i].type != MEMORY_TYPE_RAM || map[i].start + map[i].size <= IMAGE_PHYSICAL)
            continue;
        uint64_t start_at = (map[i].start + 4095) & ~4095ull,
                 end = (map[i].start + map[i].size) & ~4095ull;
        g_boot.memory[used++] = (struct kvm_memory_range){start_at, end - start_at};
    }
}

static void write_text(uint64_t physical, uint64_t size)
{
    const char *text = (const char *)(DIRECT_MAP + physical);
    for (uint64_t i = 0; i < size; i++)
        out8(CONSOLE_PORT, (uint8_t)text[i]);
}

/* Does not return where the exit device is. */
static void end_machine(uint8_t status)
{
    char digits[] = "000\n";
    out8(EXIT_PORT, status);
    for (unsigned i = 3, rest = status; i-- > 0; rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    write_text(image_physical(END_WORDS), sizeof(END_WORDS) - 1);
    write_text(image_physical(digits), sizeof(digits) - 1);
}

int64_t bare_call(struct kvm_request *request)
{
    switch ((enum kvm_operation)request->op) {
    case KVM_OP_MESSAGE:
        write_text(request->buffer, request->size);
        out8(CONSOLE_PORT, '\n');
        return 0;
    case KVM_OP_EXIT: /* a status as of wait4: killed by a signal is never success */
        end_machine((uint8_t)(request->a0 & 0x7f ? EXIT_OF_PANIC : request->a0 >> 8));
        return 0;
    case KVM_OP_PANIC:
        write_text(request->buffer, request->size);
        out8(CONSOLE_PORT, '\n');
        end_machine(EXIT_OF_PANIC);
        return 0;
    case KVM_OP_FILE_GRANTED:
        return -ENOENT; /* nothing is granted */
    default:
        return -ENOSYS;
    }
}
