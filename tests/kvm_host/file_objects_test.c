/*
 * file_objects_test.c: memory objects over host files: what is read from the file when, what reaches it when, and what a mapping shows of
 * changes by others. The file is bytes in memory (kvm_host.h), which count how often they were asked. Each case runs in a process of its own,
 * and leaves no frame in use.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm.h"
#include "tests/kvm_host/cases.h"
#include "tests/kvm_host/kvm_host.h"

#define PAGE UINT64_C(4096)
#define HERE UINT64_C(0x10000000)
#define CAPACITY (16 * PAGE)

static struct platform *const g_p = &g_kvm_host;
static unsigned char g_bytes[CAPACITY];
static struct kvm_host_file g_file; /* five pages and a half, page i filled with 'a' + i */
static struct aspace *g_space;

static struct host_file *handle(struct kvm_host_file *file)
{
    return (struct host_file *)(void *)file;
}

static struct memory_object *view(struct kvm_host_file *file)
{
    int err = 0;
    struct memory_object *obj = kvm_memory_ops.object_from_file(g_p, handle(file), &err);
    CHECK(obj && err == 0);
    return obj;
}

static void put(struct memory_object *obj)
{
    kvm_memory_ops.object_put(g_p, obj);
}

static int map_into(const struct aspace *as, struct memory_object *obj, enum memory_sharing sharing,
                    unsigned prot)
{
    const struct memory_map_request request = {.addr = guest_addr(HERE),
                                               .size = 8 * PAGE,
                                               .sharing = sharing,
                                               .prot = prot,
                                               .object = obj};
    return kvm_memory_ops.map(g_p, as, &request);
}

static void map(struct memory_object *obj, enum memory_sharing sharing)
{
    CHECK(map_into(g_space, obj, sharing, MEMORY_READ | MEMORY_WRITE) == 0);
}

static void unmap(const struct aspace *as)
{
    CHECK(kvm_memory_ops.unmap(g_p, as, guest_addr(HERE), 8 * PAGE) == 0);
}

/* What a guest in `as` sees there; -1: it can't. */
static int byte_in(const struct aspace *as, uint64_t offset)
{
    unsigned char byte;
    return kvm_memory_ops.peek(g_p, as, &byte, guest_addr(HERE + offset), 1) ? -1 : byte;
}

static int byte_at(uint64_t offset)
{
    return byte_in(g_space, offset);
}

static void set_byte_in(const struct aspace *as, uint64_t offset, char value)
{
    CHECK(kvm_memory_ops.poke(g_p, as, guest_addr(HERE + offset), &value, 1) == 0);
}

static void set_byte(uint64_t offset, char value)
{
    set_byte_in(g_space, offset, value);
}

static enum mm_fault fault(uint64_t offset, unsigned access)
{
    return kvm_aspace_fault(kvm_aspace_of(g_space), HERE + offset, access);
}

/* Cases */

static void pages_are_read_once_for_all_views(void)
{
    struct memory_object *first = view(&g_file), *second = view(&g_file);
    char byte;
    map(first, MEMORY_SHARED);
    CHECK(g_file.reads == 0);
    CHECK(byte_at(0) == 'a' && byte_at(PAGE - 1) == 'a' && byte_at(3 * PAGE) == 'd');
    CHECK(kvm_memory_ops.object_read(g_p, second, 3 * PAGE + 7, mem_shim(&byte, 1)) == 1);
    CHECK(byte == 'd' && g_file.reads == 2);
    put(first);
    put(second);
    CHECK(byte_at(PAGE) == 'b' && g_file.reads == 3); /* the mapping holds it */
}

static void shared_writes_reach_the_file_at_the_end(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    set_byte(PAGE + 5, '!');
    CHECK(byte_at(2 * PAGE) == 'c' && g_file.writes == 0);
    put(obj);
    unmap(g_space);
    CHECK(g_bytes[PAGE + 5] == '!' && g_bytes[PAGE + 4] == 'b');
    CHECK(g_file.writes == 1 && g_file.refs == 0);
}

static void private_writes_never_reach_the_file(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_PRIVATE);
    set_byte(5, '!');
    CHECK(byte_at(5) == '!' && byte_at(4) == 'a');
    put(obj);
    mm_write_back_all();
    unmap(g_space);
    CHECK(g_bytes[5] == 'a' && g_file.writes == 0);
}

static void the_last_page_does_not_make_the_file_grow(void)
{
    struct memory_object *obj = view(&g_file);
    const uint64_t size = g_file.size;
    map(obj, MEMORY_SHARED);
    CHECK(byte_at(size - 1) == 'f' && byte_at(size) == 0);
    set_byte(size - 1, '!');
    set_byte(size, '?');
    put(obj);
    unmap(g_space);
    CHECK(g_file.size == size && g_bytes[size - 1] == '!' && g_bytes[size] == 0);
}

static void past_the_end_is_a_bus_error(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    CHECK(fault(5 * PAGE, MEMORY_READ) == MM_FAULT_RESOLVED);
    CHECK(fault(6 * PAGE, MEMORY_READ) == MM_FAULT_BUS);
    CHECK(fault(6 * PAGE, MEMORY_WRITE) == MM_FAULT_BUS);
    put(obj);
}

static void a_page_that_cannot_be_read_is_a_bus_error(void)
{
    struct memory_object *obj = view(&g_file);
    char byte;
    map(obj, MEMORY_SHARED);
    g_file.fails = true;
    CHECK(fault(0, MEMORY_READ) == MM_FAULT_BUS && byte_at(0) == -1);
    CHECK(kvm_memory_ops.object_read(g_p, obj, 0, mem_shim(&byte, 1)) == -EIO);
    g_file.fails = false;
    CHECK(fault(0, MEMORY_READ) == MM_FAULT_RESOLVED && byte_at(0) == 'a');
    put(obj);
}

static void a_flush_writes_what_is_dirty_in_the_range(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    set_byte(0, '0');
    set_byte(2 * PAGE, '2');
    mm_file_event(1, g_file.ino, 2 * PAGE, PAGE, MM_FILE_FLUSH);
    CHECK(g_bytes[0] == 'a' && g_bytes[2 * PAGE] == '2');
    mm_file_event(1, g_file.ino + 1, 0, CAPACITY, MM_FILE_FLUSH); /* another file */
    CHECK(g_bytes[0] == 'a');
    mm_file_event(1, g_file.ino, 0, UINT64_MAX, MM_FILE_FLUSH);
    CHECK(g_bytes[0] == '0');
    /* A processor may write on without a fault: the page is written again. */
    set_byte(1, '1');
    mm_write_back_all();
    CHECK(g_bytes[1] == '1');
    put(obj);
}

static void a_change_of_the_file_shows_in_mappings(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    CHECK(byte_at(PAGE) == 'b' && byte_at(2 * PAGE) == 'c');
    g_bytes[PAGE] = g_bytes[2 * PAGE] = '!';
    mm_file_event(1, g_file.ino, PAGE, 1, MM_FILE_CHANGED);
    CHECK(byte_at(PAGE) == '!');
    put(obj);
}

static void a_file_cut_by_others_loses_its_pages(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    CHECK(byte_at(PAGE) == 'b' && byte_at(3 * PAGE) == 'd');
    set_byte(3 * PAGE, '!');
    g_file.size = PAGE + 10;
    mm_file_event(1, g_file.ino, g_file.size, UINT64_MAX, MM_FILE_CHANGED);
    CHECK(byte_at(PAGE + 9) == 'b' && byte_at(PAGE + 10) == 0);
    CHECK(fault(3 * PAGE, MEMORY_READ) == MM_FAULT_BUS);
    CHECK(kvm_memory_ops.object_size(g_p, obj) == PAGE + 10);
    put(obj);
    unmap(g_space);
    CHECK(g_bytes[3 * PAGE] == 'd' && g_file.size == PAGE + 10);
}

static void resizing_changes_the_file_and_every_mapping(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    CHECK(byte_at(4 * PAGE) == 'e');
    CHECK(kvm_memory_ops.object_resize(g_p, obj, 2 * PAGE) == 0);
    CHECK(g_file.size == 2 * PAGE && fault(4 * PAGE, MEMORY_READ) == MM_FAULT_BUS);
    CHECK(kvm_memory_ops.object_resize(g_p, obj, 5 * PAGE) == 0);
    CHECK(g_file.size == 5 * PAGE && byte_at(4 * PAGE) == 0 && byte_at(PAGE) == 'b');
    CHECK(kvm_memory_ops.object_resize(g_p, obj, CAPACITY + 1) == -EFBIG);
    CHECK(kvm_memory_ops.object_size(g_p, obj) == 5 * PAGE);
    put(obj);
}

static void a_read_only_handle_gives_no_way_to_write(void)
{
    char byte = '!';
    int err = 0;
    g_file.writable = false;
    struct memory_object *obj = view(&g_file);
    CHECK(map_into(g_space, obj, MEMORY_SHARED, MEMORY_READ | MEMORY_WRITE) == -EACCES);
    CHECK(kvm_memory_ops.object_write(g_p, obj, 0, mem_shim(&byte, 1)) == -EACCES);
    CHECK(kvm_memory_ops.object_resize(g_p, obj, 0) == -EACCES);
    CHECK(map_into(g_space, obj, MEMORY_SHARED, MEMORY_READ) == 0);
    CHECK(kvm_memory_ops.protect(g_p, g_space, guest_addr(HERE), 8 * PAGE,
                                 MEMORY_READ | MEMORY_WRITE) == -EACCES);
    CHECK(byte_at(0) == 'a' && fault(0, MEMORY_WRITE) == MM_FAULT_PROTECTION);
    put(obj);
    g_file.readable = false;
    CHECK(!kvm_memory_ops.object_from_file(g_p, handle(&g_file), &err) && err == -EACCES);
}

static void two_handles_of_one_file_share_its_pages(void)
{
    struct kvm_host_file reader = g_file;
    reader.writable = false;
    struct memory_object *first = view(&reader), *second = view(&g_file);
    char byte = '!';
    CHECK(map_into(g_space, first, MEMORY_SHARED, MEMORY_READ) == 0);
    CHECK(byte_at(0) == 'a');
    CHECK(kvm_memory_ops.object_write(g_p, second, 0, mem_shim(&byte, 1)) == 1);
    CHECK(byte_at(0) == '!');
    put(second);
    put(first);
    unmap(g_space);
    CHECK(g_bytes[0] == '!' && reader.refs == 0 && g_file.refs == 0 && reader.writes == 0);
}

static void fork_shares_shared_pages_and_keeps_private_ones_apart(void)
{
    struct memory_object *obj = view(&g_file);
    int err = 0;
    map(obj, MEMORY_SHARED);
    set_byte(0, '0');
    struct aspace *child = kvm_aspace_fork(g_p, g_space, &err);
    CHECK(child && byte_in(child, 0) == '0');
    set_byte_in(child, 1, '1');
    CHECK(byte_at(1) == '1');
    CHECK(map_into(child, obj, MEMORY_PRIVATE, MEMORY_READ | MEMORY_WRITE) == 0);
    struct aspace *grandchild = kvm_aspace_fork(g_p, child, &err);
    CHECK(grandchild != NULL);
    set_byte_in(grandchild, 2, '2');
    set_byte_in(child, 3, '3');
    CHECK(byte_in(child, 2) == 'a' && byte_in(grandchild, 3) == 'a' && byte_at(2) == 'a');
    kvm_aspace_destroy(g_p, child);
    kvm_aspace_destroy(g_p, grandchild);
    put(obj);
    unmap(g_space);
    CHECK(memcmp(g_bytes, "01aa", 4) == 0);
}

/* One after the other each allocation fails. Whatever was refused, afterwards it works, and the file says what was written. */
static void allocations_that_fail_lose_nothing(void)
{
    for (unsigned nth = 1;; nth++) {
        int err = 0;
        const char value = (char)('A' + nth % 26);
        kvm_host_fault_arm(nth);
        struct memory_object *obj = kvm_memory_ops.object_from_file(g_p, handle(&g_file), &err);
        int mapped = obj ? map_into(g_space, obj, MEMORY_SHARED, MEMORY_READ | MEMORY_WRITE) : err;
        enum mm_fault written = mapped == 0 ? fault(PAGE, MEMORY_WRITE) : MM_FAULT_NO_MEMORY;
        const bool happened = kvm_host_fault_arm(0);
        CHECK(obj || err == -ENOMEM);
        CHECK(mapped == 0 || mapped == -ENOMEM);
        CHECK(written == MM_FAULT_RESOLVED || written == MM_FAULT_NO_MEMORY);
        CHECK(happened || written == MM_FAULT_RESOLVED);
        CHECK(kvm_host_walk() == NULL);
        if (mapped == 0)
            set_byte(PAGE, value);
        if (obj)
            put(obj);
        unmap(g_space);
        CHECK(mapped != 0 || g_bytes[PAGE] == (unsigned char)value);
        CHECK(g_file.refs == 0);
        if (!happened)
            break;
        CHECK(nth < 100);
    }
}

static void write_and_unmap(void)
{
    g_file.during = NULL;
    set_byte(PAGE + 6, '?');
    unmap(g_space);
}

static void what_is_written_during_a_flush_is_not_lost(void)
{
    struct memory_object *obj = view(&g_file);
    map(obj, MEMORY_SHARED);
    set_byte(PAGE + 5, '!');
    g_file.during = write_and_unmap;
    mm_file_event(1, g_file.ino, 0, UINT64_MAX, MM_FILE_FLUSH);
    CHECK(g_file.during == NULL && g_bytes[PAGE + 5] == '!');
    put(obj);
    CHECK(g_bytes[PAGE + 6] == '?' && g_file.refs == 0);
}

static struct kvm_host_file g_source;

static void flush_file(void)
{
    g_source.during = NULL;
    mm_file_event(1, g_file.ino, 0, UINT64_MAX, MM_FILE_FLUSH);
}

/* The source is read while the page to write to is known already. */
static void a_flush_before_the_bytes_come_does_not_lose_them(void)
{
    static unsigned char bytes[PAGE] = "bytes";
    g_source = g_file;
    g_source.ino = 8;
    g_source.size = g_source.capacity = PAGE;
    g_source.bytes = bytes;
    g_source.during = flush_file;
    struct memory_object *obj = view(&g_file), *source = view(&g_source);
    map(source, MEMORY_SHARED);
    CHECK(kvm_memory_ops.object_write(g_p, obj, PAGE, mem_guest(guest_addr(HERE), 5)) == 5);
    CHECK(g_source.during == NULL);
    unmap(g_space);
    put(source);
    put(obj);
    CHECK(memcmp(g_bytes + PAGE, "bytesb", 6) == 0);
}

static const struct test_case g_cases[] = {
    {"pages are read once for all views", pages_are_read_once_for_all_views},
    {"shared writes reach the file at the end", shared_writes_reach_the_file_at_the_end},
    {"private writes never reach the file", private_writes_never_reach_the_file},
    {"the last page does not make the file grow", the_last_page_does_not_make_the_file_grow},
    {"past the end is a bus error", past_the_end_is_a_bus_error},
    {"a page that cannot be read is a bus error", a_page_that_cannot_be_read_is_a_bus_error},
    {"a flush writes what is dirty in the range", a_flush_writes_what_is_dirty_in_the_range},
    {"a change of the file shows in mappings", a_change_of_the_file_shows_in_mappings},
    {"a file cut by others loses its pages", a_file_cut_by_others_loses_its_pages},
    {"resizing changes the file and every mapping", resizing_changes_the_file_and_every_mapping},
    {"a read-only handle gives no way to write", a_read_only_handle_gives_no_way_to_write},
    {"two handles of one file share its pages", two_handles_of_one_file_share_its_pages},
    {"fork shares shared pages and keeps private ones apart",
     fork_shares_shared_pages_and_keeps_private_ones_apart},
    {"what is written during a flush is not lost", what_is_written_during_a_flush_is_not_lost},
    {"a flush before the bytes come does not lose them",
     a_flush_before_the_bytes_come_does_not_lose_them},
    {"allocations that fail lose nothing", allocations_that_fail_lose_nothing},
};

/* In a process of its own. */
static void run_case(void (*run)(void))
{
    int err = 0;
    for (uint64_t i = 0; i < 5 * PAGE + PAGE / 2; i++)
        g_bytes[i] = (unsigned char)('a' + i / PAGE);
    g_file = (struct kvm_host_file){.ino = 7,
                                    .size = 5 * PAGE + PAGE / 2,
                                    .capacity = CAPACITY,
                                    .bytes = g_bytes,
                                    .readable = true,
                                    .writable = true};
    kvm_host_init(UINT64_C(64) << 20);
    kvm_host_thread_start();
    g_space = kvm_aspace_create(g_p, &err);
    CHECK(g_space && kvm_aspace_activate(g_p, g_space) == 0);
    run();
    CHECK(kvm_host_walk() == NULL);
    kvm_aspace_leave();
    kvm_aspace_destroy(g_p, g_space);
    CHECK(g_file.refs == 0);
    const char *left = kvm_host_leaks();
    if (left)
        fprintf(stderr, "%s\n", left);
    CHECK(!left);
}

int main(void)
{
    return run_cases(g_cases, sizeof(g_cases) / sizeof(g_cases[0]), NULL, run_case);
}
