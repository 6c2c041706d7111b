#include "pal/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The block while it grows; it moves, so everything in it is named by offset. */
struct packer {
    char *data;
    size_t size, capacity;
};

static uint32_t reserve(struct packer *p, size_t size)
{
    size_t at = (p->size + 7) & ~(size_t)7;
    if (at + size > p->capacity) {
        size_t capacity = p->capacity ? p->capacity : 4096;
        while (capacity < at + size)
            capacity *= 2;
        char *bigger = realloc(p->data, capacity);
        if (!bigger || capacity > UINT32_MAX)
            abort();
        memset(bigger + p->capacity, 0, capacity - p->capacity);
        p->data = bigger;
        p->capacity = capacity;
    }
    p->size = at + size;
    return (uint32_t)at;
}

static uint32_t add_string(struct packer *p, const char *s)
{
    if (!s)
        return 0;
    size_t size = strlen(s) + 1;
    uint32_t at = reserve(p, size);
    memcpy(p->data + at, s, size);
    return at;
}

static uint32_t add_vector(struct packer *p, const char *const *strings, size_t count)
{
    uint32_t at = reserve(p, (count + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < count; i++) {
        uint32_t string = add_string(p, strings[i]);
        memcpy(p->data + at + i * sizeof(string), &string, sizeof(string));
    }
    return at;
}

/* Two K=V strings name the same variable. */
static bool same_name(const char *a, const char *b)
{
    size_t length = strcspn(a, "=");
    return strncmp(a, b, length) == 0 && strcspn(b, "=") == length;
}

static void set_variable(const char **vars, size_t *count, const char *variable)
{
    for (size_t i = 0; i < *count; i++) {
        if (same_name(vars[i], variable)) {
            vars[i] = variable;
            return;
        }
    }
    vars[(*count)++] = variable;
}

static void add_environment(struct packer *p, const struct pal_options *options,
                            const struct pal_host_facts *host)
{
    size_t most = options->env_count + 1, count = 0;
    for (char *const *e = host->environ; *e; e++)
        most++;
    const char **vars = calloc(most, sizeof(*vars));
    if (!vars)
        abort();
    if (!options->clear_env)
        for (char *const *e = host->environ; *e; e++)
            vars[count++] = *e;
    for (size_t i = 0; i < options->env_count; i++)
        set_variable(vars, &count, options->env[i]);
    uint32_t at = add_vector(p, vars, count);
    struct shim_config *c = (struct shim_config *)(void *)p->data;
    c->envc = (uint32_t)count;
    c->envp = at;
    free(vars);
}

static void add_mounts(struct packer *p, const struct pal_options *options)
{
    size_t count = options->mount_count + 1;
    uint32_t at = reserve(p, count * sizeof(struct shim_config_mount));
    for (size_t i = 0; i < count; i++) {
        struct shim_config_mount mount;
        if (i == 0) {
            mount = (struct shim_config_mount){.grant = add_string(p, "root"),
                                               .target = add_string(p, "/"),
                                               .writable = 1,
                                               .overlay = 1};
        } else {
            char name[32];
            snprintf(name, sizeof(name), "mount%zu", i - 1);
            const struct pal_mount *m = &options->mounts[i - 1];
            mount.grant = add_string(p, name);
            mount.target = add_string(p, m->target);
            mount.writable = m->writable;
            mount.overlay = 0;
        }
        memcpy(p->data + at + i * sizeof(mount), &mount, sizeof(mount));
    }
    struct shim_config *c = (struct shim_config *)(void *)p->data;
    c->mount_count = (uint32_t)count;
    c->mounts = at;
}

static void add_publishes(struct packer *p, const struct pal_options *options)
{
    uint32_t at = reserve(p, options->publish_count * sizeof(struct shim_config_publish));
    for (size_t i = 0; i < options->publish_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "publish%zu", i);
        struct shim_config_publish publish = {.grant = add_string(p, name),
                                              .guest_port = options->publishes[i].guest_port};
        memcpy(p->data + at + i * sizeof(publish), &publish, sizeof(publish));
    }
    struct shim_config *c = (struct shim_config *)(void *)p->data;
    c->publish_count = (uint32_t)options->publish_count;
    c->publishes = at;
}

static enum shim_net net_of(enum pal_net net)
{
    return net == PAL_NET_NONE   ? SHIM_NET_NONE
           : net == PAL_NET_HOST ? SHIM_NET_HOST
                                 : SHIM_NET_LOOPBACK;
}

struct shim_config *config_pack(const struct pal_options *options,
                                const struct pal_host_facts *host, size_t *size)
{
    struct packer p = {0};
    reserve(&p, sizeof(struct shim_config));
    struct shim_config c = {.version = SHIM_CONFIG_VERSION,
                            .umask = host->umask,
                            .trace = options->trace,
                            .stats = options->stats};
    c.memory_limit = options->memory;
    c.net = net_of(options->net);
    c.pid_limit = (uint32_t)options->pids;
    c.path = add_string(&p, options->program[0]);
    c.cwd = add_string(&p, options->cwd ? options->cwd : host->cwd);
    c.cwd_required = options->cwd != NULL;
    c.overlay = add_string(&p, options->overlay ? "overlay" : NULL);
    c.hostname = add_string(&p, host->hostname);
    c.argc = (uint32_t)options->program_argc;
    c.argv = add_vector(&p, (const char *const *)options->program, c.argc);
    memcpy(p.data, &c, sizeof(c));
    add_environment(&p, options, host);
    add_mounts(&p, options);
    add_publishes(&p, options);
    struct shim_config *packed = (struct shim_config *)(void *)p.data;
    packed->size = (uint32_t)p.size;
    *size = p.size;
    return packed;
}
