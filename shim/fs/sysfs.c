/*
 * sysfs.c: /sys, as far as programs look: how many processors there are, which network devices, whether big pages are to be had. Its
 * files say what was so at the start, which is what they always say.
 */
#include "shim/fs/vfs.h"

#include <linux/limits.h>
#include <linux/magic.h>

#include "platform/errno.h"
#include "platform/thread.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/memfs.h"
#include "shim/shim.h"

struct sys_entry {
    const char *path, *text; /* text NULL: a directory */
};

/* A directory is named before what it holds. */
static const struct sys_entry k_entries[] = {
    {"block", NULL},
    {"bus", NULL},
    {"class", NULL},
    {"class/block", NULL},
    {"class/net", NULL},
    {"dev", NULL},
    {"devices", NULL},
    {"devices/system", NULL},
    {"devices/system/cpu", NULL},
    {"devices/system/node", NULL},
    {"devices/system/node/has_cpu", "0\n"},
    {"devices/system/node/has_memory", "0\n"},
    {"devices/system/node/has_normal_memory", "0\n"},
    {"devices/system/node/online", "0\n"},
    {"devices/system/node/possible", "0\n"},
    {"devices/system/node/node0", NULL},
    {"devices/system/node/node0/distance", "10\n"},
    {"devices/virtual", NULL},
    {"devices/virtual/net", NULL},
    {"firmware", NULL},
    {"fs", NULL},
    {"kernel", NULL},
    {"kernel/mm", NULL},
    {"kernel/mm/transparent_hugepage", NULL},
    {"kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
    {"kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never\n"},
    {"kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"},
    {"kernel/mm/transparent_hugepage/shmem_enabled",
     "always within_size advise [never] deny force\n"},
    {"module", NULL},
    {"power", NULL},
};

/* The one device, net/device.c. */
static const struct sys_entry k_loopback[] = {
    {"devices/virtual/net/lo", NULL},
    {"devices/virtual/net/lo/addr_assign_type", "0\n"},
    {"devices/virtual/net/lo/addr_len", "6\n"},
    {"devices/virtual/net/lo/address", "00:00:00:00:00:00\n"},
    {"devices/virtual/net/lo/broadcast", "00:00:00:00:00:00\n"},
    {"devices/virtual/net/lo/carrier", "1\n"},
    {"devices/virtual/net/lo/flags", "0x9\n"},
    {"devices/virtual/net/lo/ifindex", "1\n"},
    {"devices/virtual/net/lo/iflink", "1\n"},
    {"devices/virtual/net/lo/mtu", "65536\n"},
    {"devices/virtual/net/lo/operstate", "unknown\n"},
    {"devices/virtual/net/lo/tx_queue_len", "1000\n"},
    {"devices/virtual/net/lo/type", "772\n"},
};

/* The directory that holds the last component of path, which goes to *name. Owner: caller. */
static struct inode *directory_of(struct inode *root, const char *path, const char **name, int *err)
{
    struct inode *dir = root;
    inode_get(dir);
    for (const char *slash; dir && (slash = str_find(path, '/')) != NULL; path = slash + 1) {
        char part[NAME_MAX + 1];
        size_t length = (size_t)(slash - path);
        memcpy(part, path, length);
        part[length] = '\0';
        struct inode *next = dir->ops->lookup(dir, part, NULL, err);
        inode_put(dir);
        dir = next;
    }
    *name = path;
    return dir;
}

static int add(struct inode *root, const char *path, const char *text)
{
    const char *name;
    int err = 0;
    struct inode *dir = directory_of(root, path, &name, &err);
    uint32_t mode = text ? S_IFREG | 0444 : S_IFDIR | 0755;
    struct inode *made = dir ? dir->ops->create(dir, name, mode, 0, 0, 0, &err) : NULL;
    if (made && text) {
        struct mem_node *n = mem_node(made);
        n->bytes = shim_strdup(text);
        n->size = n->capacity = n->bytes ? str_length(text) : 0;
        err = n->bytes ? 0 : -ENOMEM;
    }
    if (made)
        inode_put(made);
    if (dir)
        inode_put(dir);
    return err;
}

static int add_all(struct inode *root, const struct sys_entry *entries, size_t count)
{
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++)
        err = add(root, entries[i].path, entries[i].text);
    return err;
}

static int add_link(struct inode *root, const char *path, const char *target)
{
    const char *name;
    int err = 0;
    struct inode *dir = directory_of(root, path, &name, &err);
    struct inode *made = dir ? dir->ops->symlink(dir, name, target, 0, 0, &err) : NULL;
    if (made)
        inode_put(made);
    if (dir)
        inode_put(dir);
    return err;
}

/* The first `count` bits, as Linux writes masks: words of 32 bits in hexadecimal, the highest first. */
static int add_mask(struct inode *root, const char *path, unsigned count)
{
    struct str_buf text = {0};
    for (unsigned words = (count + 31) / 32, i = words; i-- > 0;) {
        unsigned bits = i == words - 1 && count % 32 ? count % 32 : 32;
        str_buf_printf(&text, i == words - 1 ? "%x" : ",%x", (unsigned)((1ull << bits) - 1));
    }
    str_buf_printf(&text, "\n");
    int err = text.failed ? -ENOMEM : add(root, path, text.data);
    str_buf_free(&text);
    return err;
}

static int add_processors(struct inode *root)
{
    static const char *const lists[] = {"online", "possible", "present"};
    char path[64], text[32];
    unsigned count = thread_cpu_count(g_platform);
    shim_snprintf(text, sizeof(text), count > 1 ? "0-%u\n" : "%u\n", count - 1);
    int err = 0;
    for (size_t i = 0; i < 3 && err == 0; i++) {
        shim_snprintf(path, sizeof(path), "devices/system/cpu/%s", lists[i]);
        err = add(root, path, text);
    }
    if (err == 0)
        err = add(root, "devices/system/cpu/offline", "\n");
    if (err == 0)
        err = add(root, "devices/system/node/node0/cpulist", text);
    if (err == 0)
        err = add_mask(root, "devices/system/node/node0/cpumap", count);
    for (unsigned i = 0; i < count && err == 0; i++) {
        shim_snprintf(path, sizeof(path), "devices/system/cpu/cpu%u", i);
        err = add(root, path, NULL);
    }
    return err;
}

struct inode *sysfs_root(int *err)
{
    struct inode *root = tmpfs_root(0555, err);
    if (!root)
        return NULL;
    root->sb->type = "sysfs";
    root->sb->magic = SYSFS_MAGIC;
    *err = add_all(root, k_entries, sizeof(k_entries) / sizeof(k_entries[0]));
    if (*err == 0)
        *err = add_processors(root);
    if (*err == 0 && g_config->net != SHIM_NET_HOST)
        *err = add_all(root, k_loopback, sizeof(k_loopback) / sizeof(k_loopback[0]));
    if (*err == 0 && g_config->net != SHIM_NET_HOST)
        *err = add_link(root, "class/net/lo", "../../devices/virtual/net/lo");
    if (*err) {
        memfs_empty(root);
        inode_put(root);
        return NULL;
    }
    return root;
}
