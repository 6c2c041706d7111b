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

/* Too much for a stack. */
struct analysis {
    struct site_window window;
    struct site_map map;
    uint8_t bytes[SITE_WINDOW_MAX];
};
static struct lu_pool g_analyses = {.size = sizeof(struct analysis)};

static struct {
    struct lu_lock lock; /* a leaf: a moment each */
    /* A place for each hash; the latest stays. */
    struct kept_plan {
        struct plan_key key; /* all zero: none */
        struct patch_plan plan;
    } kept[PLANS];
} g_plans;

static struct kept_plan *place_of(const struct plan_key *key)
{
    uint64_t hash = (key->file.inode ^ key->offset) * 0x9e3779b97f4a7c15ull;
    return &g_plans.kept[hash >> 32 & (PLANS - 1)];
}
_Static_assert((PLANS & (PLANS - 1)) == 0, "a power of two");

static bool recall(const struct plan_key *key, struct patch_plan *out)
{
    lu_lock(&g_plans.lock);
    const struct kept_plan *kept = place_of(key);
    bool found = __builtin_memcmp(&kept->key, key, sizeof(*key)) == 0;
    if (found)
        *out = kept->plan;
    lu_unlock(&g_plans.lock);
    return found;
}

static void keep(const struct plan_key *key, const struct patch_plan *plan)
{
    lu_lock(&g_plans.lock);
    *place_of(key) = (struct kept_plan){.key = *key, .plan = *plan};
    lu_unlock(&g_plans.lock);
}

/* The place at or after window offset `from`, as plan->padding. */
static void find_padding(const struct analysis *a, struct patch_plan *plan, uint32_t from)
{
    uint32_t at;
    plan->padding = 0;
    if (!site_padding(&a->map, from, &at))
        return;
    plan->padding = (int16_t)((int32_t)at - (int32_t)a->window.syscall);
    __builtin_memcpy(plan->padding_bytes, a->window.bytes + at, SITE_JUMP_SIZE);
}

static enum site_refusal analyse(struct analysis *a, const struct patch_text *text, uint64_t site)
{
    uint64_t base;
    const struct site_window *w = &a->window;
    enum site_refusal why = patch_window(text, site, a->bytes, &a->window, &base);
    if (why == SITE_FINE && (w->bytes[w->syscall] != 0x0f || w->bytes[w->syscall + 1] != 0x05))
        why = SITE_CHANGED;
    return why;
}

enum site_refusal patch_plan(const struct patch_text *text, uint64_t site, struct patch_plan *out)
{
    struct plan_key key = {.offset = text->offset + (site - text->start)};
    bool lasting = lu_object_stamp(text->object, &key.file);
    if (lasting && recall(&key, out))
        return SITE_FINE;
    struct analysis *a = lu_pool_get(&g_analyses);
    if (!a)
        return SITE_NOT_READABLE;
    enum site_refusal why = analyse(a, text, site);
    if (why == SITE_FINE) {
        *out = (struct patch_plan){.boundary = site_scan(&a->window, &a->map)};
        out->before = site_before(&a->map, &out->insn);
        if (out->before == SITE_FINE)
            __builtin_memcpy(out->bytes, a->bytes + out->insn.at,
                             out->insn.length + SITE_SYSCALL_SIZE);
        find_padding(a, out, 0);
        if (lasting)
            keep(&key, out);
    }
    lu_pool_put(&g_analyses, a);
    return why;
}

void patch_plan_next(const struct patch_text *text, uint64_t site, struct patch_plan *plan)
{
    struct analysis *a = lu_pool_get(&g_analyses);
    int32_t after = plan->padding + 1;
    plan->padding = 0;
    if (a && analyse(a, text, site) == SITE_FINE) {
        (void)!site_scan(&a->window, &a->map); /* find_padding goes by what is known */
        find_padding(a, plan, (uint32_t)((int32_t)a->window.syscall + after));
    }
    if (a)
        lu_pool_put(&g_analyses, a);
}
