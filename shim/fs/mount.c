/*
 * mount.c: the tree a guest sees: the root, what the configuration adds, and the file systems every
 * Linux has; from places in it to their names.
 */
#include <linux/magic.h>
#include <linux/mount.h>

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

/* sysctl(5): fs.mount-max. Here it counts all that ever were. */
#define MOUNTS_MAX 100000u
#define FIRST_MOUNT_ID 20u

struct mutex g_mount_lock;
struct mount *g_root_mount;
static struct mount *g_last_mount;
static unsigned g_mount_count;

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

bool mount_ignores_set_id(const struct file *f)
{
    return f->mount && mount_flags(f->mount) & MS_NOSUID;
}

bool mount_forbids_execution(const struct file *f)
{
    return f->mount && mount_flags(f->mount) & MS_NOEXEC;
}

struct mount *mount_on_locked(const struct mount *mount, const struct dentry *d)
{
    struct mount *m = d->mounted;
    while (m && m->parent != mount)
        m = m->beside;
    return m;
}

bool mount_cross(struct path *path)
{
    bool crossed = false;
    while (mount_may_be_on(path->dentry)) {
        struct dentry *old = path->dentry;
        mutex_lock(&g_dcache_lock);
        struct mount *over = mount_on_locked(path->mount, old);
        if (over)
            dentry_get_locked(over->root);
        mutex_unlock(&g_dcache_lock);
        if (!over)
            break;
        *path = (struct path){over, over->root};
        dentry_put(old);
        crossed = true;
    }
    return crossed;
}

/* Under g_dcache_lock. */
static void hang(struct mount *m, const struct path *at)
{
    m->parent = at->mount;
    m->mountpoint = at->dentry;
    dentry_get_locked(at->dentry);
    __atomic_store_n(&at->dentry->inode->sb->carries_mounts, true, __ATOMIC_RELEASE);
    m->beside = at->dentry->mounted;
    __atomic_store_n(&at->dentry->mounted, m, __ATOMIC_RELEASE);
}

/* Under g_dcache_lock. Result: where it hung; the reference is the caller's. */
static struct dentry *unhang(struct mount *m)
{
    struct dentry *mountpoint = m->mountpoint;
    struct mount **link = &mountpoint->mounted;
    while (*link != m)
        link = &(*link)->beside;
    __atomic_store_n(link, m->beside, __ATOMIC_RELEASE);
    m->parent = NULL;
    m->mountpoint = NULL;
    m->beside = NULL;
    return mountpoint;
}

/* Takes its place among all, and at `at` (NULL: it is the root). */
static void take_place(struct mount *m, const struct path *at)
{
    mutex_lock(&g_dcache_lock);
    if (at) {
        hang(m, at);
        g_last_mount->next = m;
    } else {
        g_root_mount = m;
    }
    g_last_mount = m;
    mutex_unlock(&g_dcache_lock);
}

int mount_attach(char *source, const struct path *at, struct dentry *root, struct superblock *sb,
                 unsigned flags, struct mount **out)
{
    if (g_mount_count >= MOUNTS_MAX)
        return -ENOSPC;
    struct mount *m = shim_zalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->root = root;
    dentry_get(root);
    m->sb = sb;
    m->source = source;
    m->flags = flags;
    m->id = FIRST_MOUNT_ID + g_mount_count++;
    take_place(m, at);
    if (out)
        *out = m;
    return 0;
}

void mount_detach(struct mount *m)
{
    mutex_lock(&g_dcache_lock);
    struct mount *before = g_root_mount;
    while (before->next != m)
        before = before->next;
    before->next = m->next;
    if (g_last_mount == m)
        g_last_mount = before;
    m->next = NULL;
    struct dentry *mountpoint = unhang(m);
    mutex_unlock(&g_dcache_lock);
    dentry_put(mountpoint);
}

void mount_move(struct mount *m, const struct path *at)
{
    mutex_lock(&g_dcache_lock);
    struct dentry *mountpoint = unhang(m);
    hang(m, at);
    mutex_unlock(&g_dcache_lock);
    dentry_put(mountpoint);
}

/* By type, the roots that were there at the start: one instance each. */
static struct {
    const char *type;
    struct dentry *root; /* owned */
} g_system_roots[4];

static void remember_root(const char *type, struct dentry *root)
{
    for (size_t i = 0; i < sizeof(g_system_roots) / sizeof(g_system_roots[0]); i++) {
        if (!g_system_roots[i].root) {
            g_system_roots[i].type = type;
            g_system_roots[i].root = root;
            dentry_get(root);
            return;
        }
    }
}

struct dentry *mount_system_root(const char *type, struct superblock **sb)
{
    for (size_t i = 0; i < sizeof(g_system_roots) / sizeof(g_system_roots[0]); i++) {
        struct dentry *root = g_system_roots[i].root;
        if (!root || !str_equal(g_system_roots[i].type, type))
            continue;
        dentry_get(root);
        *sb = root->inode->sb;
        return root;
    }
    return NULL;
}

/* The first of `m` and those after it in the list that hangs on `parent`. */
static struct mount *child_from(struct mount *m, const struct mount *parent)
{
    while (m && m->parent != parent)
        m = m->next;
    return m;
}

struct mount *mount_next_below(const struct mount *top, const struct mount *after)
{
    struct mount *next = child_from(g_root_mount, after);
    for (; !next && after != top; after = after->parent)
        next = child_from(after->next, after->parent);
    return next;
}

static int append_mount(const char *source, const struct path *at, struct inode *root,
                        bool read_only)
{
    struct dentry *d = dentry_create(NULL, "", 0, root);
    char *copy = d ? shim_strdup(source) : NULL;
    int err = copy ? mount_attach(copy, at, d, root->sb, read_only ? MS_RDONLY : 0, NULL) : -ENOMEM;
    if (err) {
        shim_free(copy);
        if (d)
            inode_get(root); /* the caller's, in any case of failure */
    }
    if (d)
        dentry_put(d);
    return err;
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

/* statmount(2) and its elders: the mount's own options, in the kernel's order, show_mnt_opts(). */
static void options_text(const struct mount *m, char *out, size_t size)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{MS_NOSUID, ",nosuid"},
                 {MS_NODEV, ",nodev"},
                 {MS_NOEXEC, ",noexec"},
                 {MS_NOATIME, ",noatime"},
                 {MS_NODIRATIME, ",nodiratime"}};
    unsigned flags = mount_flags(m);
    size_t at = str_copy(out, flags & MS_RDONLY || m->sb->read_only ? "ro" : "rw", size);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].flag)
            at += str_copy(out + at, names[i].name, size - at);
    if (!(flags & MS_NOATIME))
        str_copy(out + at, ",relatime", size - at);
}

/* Where the part that is mounted lies in its own file system. */
static void root_text(const struct mount *m, char *out, size_t size)
{
    struct mount whole = {.root = NULL};
    struct path path = {&whole, m->root};
    if (path_to_string(NULL, &path, out, size) == -ENAMETOOLONG)
        str_copy(out, "/", size);
}

int mount_walk(int (*fn)(void *arg, const struct mount_line *line), struct task *task, void *arg)
{
    char *target = shim_alloc(PATH_MAX), *root = shim_alloc(PATH_MAX), options[80];
    int result = target && root ? 0 : -ENOMEM;
    struct path top;
    fs_get_root(task->fs, &top);
    mutex_lock(&g_mount_lock);
    for (struct mount *m = g_root_mount; m && result == 0; m = m->next) {
        struct path path = {m, m->root};
        if (!path_is_below(&path, &top) || path_to_string(task, &path, target, PATH_MAX) < 0)
            continue;
        options_text(m, options, sizeof(options));
        root_text(m, root, PATH_MAX);
        struct mount_line line = {.source = m->source,
                                  .target = target,
                                  .type = m->sb->type,
                                  .options = options,
                                  .super_options = m->sb->options ? m->sb->options : "",
                                  .root = root,
                                  .id = m->id,
                                  .parent = m->parent ? m->parent->id : 1,
                                  .dev = m->sb->dev};
        result = fn(arg, &line);
    }
    mutex_unlock(&g_mount_lock);
    path_put(&top);
    shim_free(target);
    shim_free(root);
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
        {"sysfs", "/sys", sysfs_root, 0},
    };
    for (size_t i = 0; err == 0 && i < sizeof(standard) / sizeof(standard[0]); i++) {
        struct inode *root =
            standard[i].root ? standard[i].root(&err) : tmpfs_root(standard[i].mode, &err);
        err = mount_standard(standard[i].source, standard[i].target, root, err, why, why_size);
        if (err == 0 && !str_equal(standard[i].source, "tmpfs"))
            remember_root(standard[i].source, g_last_mount->root);
    }
    struct dentry *pts = NULL, *dev = NULL;
    struct superblock *sb;
    if (err == 0 && (dev = mount_system_root("devtmpfs", &sb)) != NULL &&
        dentry_lookup(dev, "pts", 3, NULL, &pts) == 0) {
        remember_root("devpts", pts);
        dentry_put(pts);
    }
    if (dev)
        dentry_put(dev);
    const struct shim_config_mount *mounts = (const void *)((const char *)config + config->mounts);
    for (uint32_t i = 0; err == 0 && i < config->mount_count; i++)
        if (!str_equal(shim_config_string(config, mounts[i].target), "/"))
            err = mount_configured(config, &mounts[i], why, why_size);
    return err;
}

/* Prepend to the text that ends at *at. */
static bool prepend(char *out, size_t *at, const char *text, size_t length)
{
    if (*at < length)
        return false;
    *at -= length;
    memcpy(out + *at, text, length);
    return true;
}

bool path_is_below(const struct path *path, const struct path *top)
{
    struct path p = *path;
    mutex_lock(&g_dcache_lock);
    while (p.dentry && !(p.dentry == top->dentry && p.mount == top->mount))
        p = p.dentry == p.mount->root ? (struct path){p.mount->parent, p.mount->mountpoint}
                                      : (struct path){p.mount, p.dentry->parent};
    mutex_unlock(&g_dcache_lock);
    return p.dentry != NULL;
}

int path_to_string(struct task *task, const struct path *path, char *out, size_t size)
{
    if (size == 0)
        return -ENAMETOOLONG;
    if (path->mount == &g_anon_mount) {
        size_t n = str_copy(out, path->dentry->name, size);
        return n < size ? (int)n : -ENAMETOOLONG;
    }
    struct path root = {0};
    if (task && task->fs)
        fs_get_root(task->fs, &root);
    size_t at = size - 1;
    bool fits = true;
    out[at] = '\0';
    mutex_lock(&g_dcache_lock);
    struct path p = *path;
    bool deleted = p.dentry->deleted;
    if (deleted)
        fits = prepend(out, &at, " (deleted)", 10);
    size_t tail = at;
    while (fits && !(p.dentry == root.dentry && p.mount == root.mount)) {
        if (p.dentry == p.mount->root) {
            if (!p.mount->mountpoint)
                break;
            p.dentry = p.mount->mountpoint;
            p.mount = p.mount->parent;
            PLATFORM_REQUIRE(p.dentry); /* what has a parent is mounted somewhere */
            continue;
        }
        if (!p.dentry->parent)
            break;
        fits =
            prepend(out, &at, p.dentry->name, p.dentry->name_length) && prepend(out, &at, "/", 1);
        p.dentry = p.dentry->parent;
    }
    mutex_unlock(&g_dcache_lock);
    if (root.dentry)
        path_put(&root);
    if (fits && at == tail)
        fits = prepend(out, &at, "/", 1);
    if (!fits)
        return -ENAMETOOLONG;
    memmove(out, out + at, size - at);
    return deleted ? -ENOENT : (int)(size - 1 - at);
}
