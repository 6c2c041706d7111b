/*
 * walk.c: a page-table walker that shares no code with the one it checks: formats from the Intel SDM, vol. 3, 4.5, counts kept in
 * a table of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/kvm/image/frame.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/mm_env.h"
#include "tests/kvm_host/kvm_host.h"

enum { P = 1, RW = 2, US = 4, PS = 128, FRAMES = 512 };
#define FRAME_MASK 0xffffffffff000ull
#define OF_OBJECT 0x200ull
#define NO_EXECUTE (1ull << 63)

/* What was found to point to a frame: as a table, as a small page, as part of a huge one. */
struct found {
    uint32_t tables, smalls, huges;
    uint32_t
        own_writable; /* of the small and huge ones: writable through every level, not an object's */
    uint32_t own_paths; /* spaces that reach it so */
    uint8_t level;
};
static struct found *g_found;
static uint64_t *g_seen; /* frames with something in g_found */
static size_t g_seen_count, g_frames;
static char g_text[256];

static struct found *found_at(uint64_t phys)
{
    uint64_t number = phys / 4096;
    if (number >= g_frames)
        return NULL;
    struct found *f = &g_found[number];
    if (!f->tables && !f->smalls && !f->huges)
        g_seen[g_seen_count++] = number;
    return f;
}

static void complain(const char *what, uint64_t phys, uint64_t got, uint64_t expected)
{
    if (!g_text[0])
        snprintf(g_text, sizeof(g_text), "kvm_host: %s: frame %#llx has %llu, found %llu", what,
                 (unsigned long long)phys, (unsigned long long)got, (unsigned long long)expected);
}

/* Everything under one entry of a table of `level`. `writable`, `pages`, `tables`: as this space sees it. */
struct view {
    uint64_t pages, tables;
};
static void look(struct view *view, uint64_t entry, int level, bool writable);

/* A table's own entries count once, however many point to it; each space's view counts every time. */
static void look_into(struct view *view, uint64_t table, int level, bool writable)
{
    const uint64_t *entries = (const uint64_t *)(const void *)(g_phys_window + table);
    for (int i = 0; i < 512; i++)
        if (entries[i])
            look(view, entries[i], level, writable);
}

static void look(struct view *view, uint64_t entry, int level, bool writable)
{
    const uint64_t phys = entry & FRAME_MASK;
    const bool writes = writable && (entry & (P | RW)) == (P | RW);
    struct found *f = found_at(phys);
    if (!f) {
        complain("an entry points outside of memory", phys, 0, 0);
        return;
    }
    if ((entry & P) && !(entry & US))
        complain("an entry of the user's half is the kernel's", phys, 0, 0);
    if (level == 1 || (level == 2 && (entry & PS))) {
        const bool own = !(entry & OF_OBJECT) && phys != g_zero_frame;
        if (phys == g_zero_frame && writes)
            complain("zeros can be written", phys, 0, 0);
        view->pages += own ? (level == 1 ? 1 : FRAMES) : 0;
        f->own_writable += own && writes;
        f->own_paths += own;
        return;
    }
    view->tables++;
    look_into(view, phys, level - 1, writes);
}

/* Counts entries of each table once. */
static void count_entries(uint64_t table, int level)
{
    const uint64_t *entries = (const uint64_t *)(const void *)(g_phys_window + table);
    for (int i = 0; i < (level == 4 ? 256 : 512); i++) {
        const uint64_t entry = entries[i], phys = entry & FRAME_MASK;
        struct found *f = entry ? found_at(phys) : NULL;
        if (!f)
            continue;
        if (level == 2 && (entry & PS)) {
            f->huges++;
        } else if (level == 1) {
            f->smalls++;
        } else {
            f->tables++;
            f->level = (uint8_t)(level - 1);
            if (f->tables == 1)
                count_entries(phys, level - 1);
        }
    }
}

static void check_space(struct kvm_aspace *as, void *arg)
{
    struct view view = {.tables = 1};
    (void)arg;
    count_entries(as->pt.root, 4);
    const uint64_t *entries = (const uint64_t *)(const void *)(g_phys_window + as->pt.root);
    for (int i = 0; i < 256; i++)
        if (entries[i])
            look(&view, entries[i], 4, true);
    if (view.pages != as->pt.pages)
        complain("a space's pages", as->pt.root, as->pt.pages, view.pages);
    if (view.tables != as->pt.tables)
        complain("a space's tables", as->pt.root, as->pt.tables, view.tables);
}

static void check_frame(uint64_t phys, const struct found *f)
{
    const struct frame *frame = frame_of(phys);
    uint64_t expected = f->tables + f->smalls;
    const bool counted = phys != g_zero_frame && !(f->huges && !f->tables && !f->smalls);
    if (f->tables && (f->smalls || f->huges))
        complain("a table is a page, too", phys, frame->refs, expected);
    const bool page = frame->kind == FRAME_DATA || (frame->kind == FRAME_FILE && !f->own_paths);
    if (counted && (f->tables ? frame->kind != FRAME_TABLE : !page))
        complain("a frame is of another kind", phys, frame->kind, f->tables);
    /* A memory object may hold one more. */
    if (counted && frame->refs != expected &&
        (f->own_paths || f->tables || frame->refs != expected + 1))
        complain("references", phys, frame->refs, expected);
    if (f->own_writable && f->own_paths > 1)
        complain("two spaces reach a page that one may write", phys, f->own_paths, f->own_writable);
}

const char *kvm_host_walk(void)
{
    if (!g_found) {
        g_frames = (size_t)(kvm_host_memory_end() / 4096);
        g_found = calloc(g_frames, sizeof(*g_found));
        g_seen = calloc(g_frames, sizeof(*g_seen));
        if (!g_found || !g_seen)
            abort();
    }
    g_text[0] = '\0';
    kvm_aspace_each(check_space, NULL);
    for (size_t i = 0; i < g_seen_count; i++)
        check_frame(g_seen[i] * 4096, &g_found[g_seen[i]]);
    for (size_t i = 0; i < g_seen_count; i++)
        memset(&g_found[g_seen[i]], 0, sizeof(*g_found));
    g_seen_count = 0;
    return g_text[0] ? g_text : NULL;
}

const char *kvm_host_leaks(void)
{
    static const struct {
        enum frame_kind kind;
        const char *name;
    } kinds[] = {{FRAME_DATA, "data"},
                 {FRAME_FILE, "files"},
                 {FRAME_TABLE, "tables"},
                 {FRAME_LIST, "lists"},
                 {FRAME_INDEX, "indices"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        uint64_t count = frame_count(kinds[i].kind);
        if (count > 0) {
            snprintf(g_text, sizeof(g_text), "kvm_host: leaked: %llu frames of %s",
                     (unsigned long long)count, kinds[i].name);
            return g_text;
        }
    }
    return NULL;
}

struct kvm_host_translation kvm_host_translate(uint64_t root, uint64_t addr)
{
    struct kvm_host_translation t = {.present = true, .writable = true, .executable = true};
    uint64_t table = root;
    for (int level = 4; level > 0; level--) {
        const int shift = 12 + 9 * (level - 1);
        const uint64_t entry =
            ((const uint64_t *)(const void *)(g_phys_window + table))[addr >> shift & 511];
        t.span = UINT64_C(1) << shift;
        if (!(entry & P) || !(entry & US))
            return (struct kvm_host_translation){.span = t.span};
        t.writable = t.writable && (entry & RW);
        t.executable = t.executable && !(entry & NO_EXECUTE);
        if (level == 1 || (entry & PS)) {
            t.phys = (entry & FRAME_MASK) + (addr & (t.span - 1));
            return t;
        }
        table = entry & FRAME_MASK;
    }
    return t;
}
