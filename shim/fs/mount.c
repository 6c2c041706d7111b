/*
 * mount.c: the tree a guest sees: the root, what the configuration adds, and the file systems every
 * Linux has.
 */
#include <linux/magic.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/hostfs.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"
#include "shim/fs/overlay.h"
#include "shim/process.h"
#include "shim/shim.h"

struct mount *g_root_mount;
static struct mount *g_last_mount;

/* Places of files without a name. */
static struct superblock g_anon_superblock = {.type = "anon", .dev = 0xd, .next_ino = 1};
struct mount g_anon_mount = {.sb = &g_anon_superblock, .source = "none"};

static int anon_getattr(struct inode *inode, struct file_stat *out)
{
    return file_stat(inode->data, out);
}

static int anon_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr)
{
    struct file *f = inode->data;
    return f->inode && f->inode->ops->setattr ? f->inode->ops->setattr(f->inode, mask, attr) : 0;
}

static void anon_release(struct inode *inode)
{
    file_put(inode->data);
}

static const struct inode_ops g_anon_ops = {
    .getattr = anon_getattr,
    .setattr = anon_setattr,
    .release = anon_release,
};

int path_from_file(struct file *f, struct path *out)
{
    if (f->dentry) {
        *out = (struct path){f->mount, f->dentry};
        path_get(out);
        return 0;
    }
    struct file_stat st;
    int err = file_stat(f, &st);
    if (err)
        return err;
    char name[64];
    int length = file_describe(NULL, f, name, sizeof(name));
    struct inode *inode = inode_create(&g_anon_superblock, &g_anon_ops, st.mode, f, &err);
    if (!inode)
        return err;
    file_get(f);
    struct dentry *d = dentry_create(NULL, name, length < 0 ? 0 : (size_t)length, inode);
    if (!d) {
        inode_put(inode);
        return -ENOMEM;
    }
    *out = (struct path){&g_anon_mount, d};
    return 0;
}

/* While there is no guest yet, names are looked up on behalf of this: root, in "/". */
struct boot {
    struct task task;
    struct process process;
};

static void boot_free(struct boot *boot)
{
    if (boot && boot->task.fs)
        fs_state_put(boot->task.fs);
    shim_free(boot);
}

static struct boot *boot_create(int *err)
{
    struct boot *boot = shim_zalloc(sizeof(*boot));
    if (boot)
        boot->task.fs = fs_state_create(err);
    if (!boot || !boot->task.fs) {
        *err = -ENOMEM;
        boot_free(boot);
        return NULL;
    }
    boot->task.process = &boot->process;
    fs_set_umask(boot->task.fs, 0);
    return boot;
}

/* Make `target` and what is missing above it; the last component as `mode` says. */
static int make_mountpoint(struct task *task, const char *target, uint32_t mode)
{
    char *prefix = shim_strdup(target);
    if (!prefix)
        return -ENOMEM;
    int err = 0;
    for (char *slash = prefix; slash && err == 0;) {
        slash = str_find(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (slash || S_ISDIR(mode))
            err = vfs_mkdir(task, AT_FDCWD, prefix, 0755);
        else
            err = vfs_mknod(task, AT_FDCWD, prefix, mode, 0);
        if (err == -EEXIST || (err == -EROFS && slash))
            err = 0;
        if (slash)
            *slash = '/';
    }
    shim_free(prefix);
    return err;
}

static int append_mount(const char *source, const struct path *at, struct inode *root,
                        bool read_only)
{
    struct mount *m = shim_zalloc(sizeof(*m));
    struct dentry *d = m ? dentry_create(NULL, "", 0, root) : NULL;
    if (!d) {
        shim_free(m);
        return -ENOMEM;
    }
    m->root = d;
    m->sb = root->sb;
    m->source = source;
    m->read_only = read_only;
    if (at) {
        m->parent = at->mount;
        m->mountpoint = at->dentry;
        dentry_get(at->dentry);
        at->dentry->mounted = m;
        g_last_mount->next = m;
    } else {
        g_root_mount = m;
    }
    g_last_mount = m;
    return 0;
}

int mount_add(const char *source, const char *target, struct inode *root, bool read_only)
{
    int err = 0;
    struct boot *boot = boot_create(&err);
    struct path at = {0};
    PLATFORM_REQUIRE(boot || err);
    if (boot) {
        err = path_lookup(&boot->task, AT_FDCWD, target, LOOKUP_FOLLOW, &at);
        if (err == -ENOENT) {
            err = make_mountpoint(&boot->task, target, (root->mode & S_IFMT) | 0755);
            if (err == 0)
                err = path_lookup(&boot->task, AT_FDCWD, target, LOOKUP_FOLLOW, &at);
        }
    }
    if (err == 0 && S_ISDIR(root->mode) != S_ISDIR(at.dentry->inode->mode))
        err = -ENOTDIR;
    if (err == 0)
        err = append_mount(source, &at, root, read_only);
    if (err)
        inode_put(root);
    path_put(&at);
    boot_free(boot);
    return err;
}

int mount_walk(int (*fn)(void *arg, const char *source, const char *target, const char *type,
                         const char *options),
               struct task *task, void *arg)
{
    char *target = shim_alloc(PATH_MAX);
    if (!target)
        return -ENOMEM;
    int result = 0;
    for (struct mount *m = g_root_mount; m && result == 0; m = m->next) {
        struct path path = {m, m->root};
        if (path_to_string(task, &path, target, PATH_MAX) < 0)
            continue;
        bool ro = m->read_only || m->sb->read_only;
        result = fn(arg, m->source, target, m->sb->type, ro ? "ro,relatime" : "rw,relatime");
    }
    shim_free(target);
    return result;
}

static int mount_root(const struct shim_config *config, char *why, size_t why_size)
{
    int err = 0;
    enum hostfs_mode mode = config->root_writable ? HOSTFS_WRITABLE : HOSTFS_FIXED;
    struct inode *root = hostfs_root("root", mode, &err);
    const char *changes = shim_config_string(config, config->overlay);
    if (root && !config->root_writable)
        root = changes ? overlay_on_directory(root, changes, &err) : overlay_root(root, &err);
    if (root)
        err = append_mount(config->root_writable ? "host" : "overlay", NULL, root, false);
    if (err)
        shim_snprintf(why, why_size, "cannot use the root directory (error %d)", -err);
    return err;
}

/* `root` may be NULL, then *err says why. */
static int mount_standard(const char *source, const char *target, struct inode *root, int err,
                          char *why, size_t why_size)
{
    if (root)
        err = mount_add(source, target, root, false);
    if (err)
        shim_snprintf(why, why_size, "cannot mount %s at %s (error %d)", source, target, -err);
    return err;
}

static int mount_configured(const struct shim_config *config, const struct shim_config_mount *m,
                            char *why, size_t why_size)
{
    const char *grant = shim_config_string(config, m->grant),
               *target = shim_config_string(config, m->target);
    int err = 0;
    enum hostfs_mode mode = m->overlay    ? HOSTFS_FIXED
                            : m->writable ? HOSTFS_WRITABLE
                                          : HOSTFS_READ_ONLY;
    struct inode *root = hostfs_root(grant, mode, &err);
    if (root && m->overlay)
        root = overlay_root(root, &err);
    if (root)
        err = mount_add("host", target, root, !m->writable && !m->overlay);
    if (err)
        shim_snprintf(why, why_size, "cannot mount on %s (error %d)", target, -err);
    return err;
}

int vfs_init(const struct shim_config *config, char *why, size_t why_size)
{
    int err = mount_root(config, why, why_size);
    const struct {
        const char *source, *target;
        struct inode *(*root)(int *err);
        uint32_t mode;
    } standard[] = {
        {"proc", "/proc", procfs_root, 0},  {"devtmpfs", "/dev", devfs_root, 0},
        {"tmpfs", "/dev/shm", NULL, 01777}, {"tmpfs", "/tmp", NULL, 01777},
        {"sysfs", "/sys", NULL, 0555},
    };
    for (size_t i = 0; err == 0 && i < sizeof(standard) / sizeof(standard[0]); i++) {
        struct inode *root =
            standard[i].root ? standard[i].root(&err) : tmpfs_root(standard[i].mode, &err);
        err = mount_standard(standard[i].source, standard[i].target, root, err, why, why_size);
    }
    const struct shim_config_mount *mounts = (const void *)((const char *)config + config->mounts);
    for (uint32_t i = 0; err == 0 && i < config->mount_count; i++)
        if (!str_equal(shim_config_string(config, mounts[i].target), "/"))
            err = mount_configured(config, &mounts[i], why, why_size);
    return err;
}
