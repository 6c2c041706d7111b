/*
 * patch_plan.c: what can be done at a site, by analysis of its file; once for all spaces that map the file. Programs are run again and
 * again, and each process patches for itself: reading and decoding the text each time would cost as much as a hundred traps.
 */
#include "platform/linux_user/patch.h"

#define PLANS 512u

struct plan_key {
    struct lu_file_stamp file;
    uint64_t offset; /* of the site */
};

static struct {
    struct lu_lock lock; /* one analysis at a time in the instance: too much for a stack */
    struct site_window window;
    struct site_map map;
    uint8_t bytes[SITE_WINDOW_MAX];
    /* A place for each hash; the latest stays. */
    struct kept_plan {
        struct plan_key key; /* all zero: none */
        struct patch_plan plan;
    } kept[PLANS];
} g_analysis;

static struct kept_plan *place_of(const struct plan_key *key)
{
    uint64_t hash = (key->file.inode ^ key->offset) * 0x9e3779b97f4a7c15ull;
    return &g_analysis.kept[hash >> 32 & (PLANS - 1)];
}
_Static_assert((PLANS & (PLANS - 1)) == 0, "a power of two");

/* The place at or after window offset `from`, as plan->padding. */
static void find_padding(struct patch_plan *plan, uint32_t from)
{
    const struct site_window *w = &g_analysis.window;
    uint32_t at;
    plan->padding = 0;
    if (!site_padding(&g_analysis.map, from, &at))
        return;
    plan->padding = (int16_t)((int32_t)at - (int32_t)w->syscall);
    __builtin_memcpy(plan->padding_bytes, w->bytes + at, SITE_JUMP_SIZE);
}

static enum site_refusal analyse(const struct patch_text *text, uint64_t site)
{
    uint64_t base;
    struct site_window *w = &g_analysis.window;
    enum site_refusal why = patch_window(text, site, g_analysis.bytes, w, &base);
    if (why == SITE_FINE && (w->bytes[w->syscall] != 0x0f || w->bytes[w->syscall + 1] != 0x05))
        why = SITE_CHANGED;
    return why;
}

enum site_refusal patch_plan(const struct patch_text *text, uint64_t site, struct patch_plan *out)
{
    struct plan_key key = {.offset = text->offset + (site - text->start)};
    bool lasting = lu_object_stamp(text->object, &key.file);
    const struct site_window *w = &g_analysis.window;
    lu_lock(&g_analysis.lock);
    struct kept_plan *kept = place_of(&key);
    enum site_refusal why = SITE_FINE;
    if (lasting && __builtin_memcmp(&kept->key, &key, sizeof(key)) == 0) {
        *out = kept->plan;
    } else if ((why = analyse(text, site)) == SITE_FINE) {
        *out = (struct patch_plan){.boundary = site_scan(w, &g_analysis.map)};
        out->before = site_before(&g_analysis.map, &out->insn);
        if (out->before == SITE_FINE)
            __builtin_memcpy(out->bytes, w->bytes + out->insn.at,
                             out->insn.length + SITE_SYSCALL_SIZE);
        find_padding(out, 0);
        if (lasting)
            *kept = (struct kept_plan){.key = key, .plan = *out};
    }
    lu_unlock(&g_analysis.lock);
    return why;
}

bool patch_plan_next(const struct patch_text *text, uint64_t site, struct patch_plan *plan)
{
    lu_lock(&g_analysis.lock);
    int32_t after = plan->padding + 1;
    plan->padding = 0;
    if (analyse(text, site) == SITE_FINE) {
        (void)!site_scan(&g_analysis.window,
                         &g_analysis.map); /* find_padding goes by what is known */
        find_padding(plan, (uint32_t)((int32_t)g_analysis.window.syscall + after));
    }
    lu_unlock(&g_analysis.lock);
    return plan->padding != 0;
}
