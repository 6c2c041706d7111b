/*
 * host_file.c: the host's files by hypercalls. Guest memory is reached through a buffer of the kernel's own; the shim's is handed
 * to the VMM as it is.
 */
#include "platform/host_file.h"

#include <linux/poll.h>
#include <linux/stat.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/host_inside.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"

#define PAGE 4096u
#define NAMES_MAX 8192u

struct host_file {
    uint32_t refs;
    uint64_t handle;
    unsigned access;   /* HOST_OPEN_READ, WRITE */
    uint64_t dev, ino; /* of a regular file: pages of memory objects over it must agree with it */
    bool regular;
    bool lingers; /* a socket whose close waits for its data to be taken */
    struct host_file *next_free;
};

static uint32_t g_lock;
static struct host_file *g_free_files;
static uint64_t g_files_open;
static void *g_free_bounces; /* each begins with the next one's address */

static uint64_t pool_lock(void)
{
    uint64_t flags = interrupts_disable();
    while (__atomic_exchange_n(&g_lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
    return flags;
}

static void pool_unlock(uint64_t flags)
{
    __atomic_store_n(&g_lock, 0, __ATOMIC_RELEASE);
    interrupts_restore(flags);
}

static struct host_file *file_new(void)
{
    uint64_t flags = pool_lock();
    struct host_file *file = g_free_files;
    if (file) {
        g_free_files = file->next_free;
        g_files_open++;
    }
    pool_unlock(flags);
    if (file)
        return file;
    file = kvm_page_alloc();
    if (!file)
        return NULL;
    flags = pool_lock();
    g_files_open++;
    for (size_t i = 1; i < PAGE / sizeof(*file); i++) {
        file[i].next_free = g_free_files;
        g_free_files = &file[i];
    }
    pool_unlock(flags);
    return file;
}

static void file_free(struct host_file *file)
{
    uint64_t flags = pool_lock();
    file->next_free = g_free_files;
    g_free_files = file;
    g_files_open--;
    pool_unlock(flags);
}

uint64_t kvm_files_open(void)
{
    uint64_t flags = pool_lock();
    uint64_t count = g_files_open;
    pool_unlock(flags);
    return count;
}

void *host_bounce_get(void)
{
    uint64_t flags = pool_lock();
    void *bounce = g_free_bounces;
    if (bounce)
        g_free_bounces = *(void **)bounce;
    pool_unlock(flags);
    return bounce ? bounce : kvm_memory_ops.shim_alloc(&g_kvm_platform, HOST_BOUNCE_SIZE);
}

void host_bounce_put(void *bounce)
{
    uint64_t flags = pool_lock();
    *(void **)bounce = g_free_bounces;
    g_free_bounces = bounce;
    pool_unlock(flags);
}

/* A call that tests may fail. */
int64_t host_call(struct kvm_request request)
{
    return kvm_fault_due() ? -ENOMEM : image_call(&request);
}

struct host_file *host_file_wrap(int64_t handle, unsigned access, int *err)
{
    if (handle < 0) {
        *err = (int)handle;
        return NULL;
    }
    struct host_file *file = file_new();
    if (!file) {
        image_call(&(struct kvm_request){.op = KVM_OP_FILE_CLOSE, .a0 = (uint64_t)handle});
        *err = -ENOMEM;
        return NULL;
    }
    *file = (struct host_file){.refs = 1, .handle = (uint64_t)handle, .access = access};
    if (access == 0)
        return file; /* a path handle moves no data */
    struct host_stat st;
    struct kvm_request request = {.op = KVM_OP_FILE_STAT,
                                  .a0 = file->handle,
                                  .buffer = image_physical(&st),
                                  .size = sizeof(st)};
    if (image_call(&request) == 0 && (st.mode & S_IFMT) == S_IFREG) {
        file->regular = true;
        file->dev = st.dev;
        file->ino = st.ino;
    }
    return file;
}

/* A name, or two with a NUL between, where the VMM can read it. Released with bounce_put. NULL: no memory. */
static char *names(const char *first, const char *second, uint64_t *size)
{
    char *out = host_bounce_get();
    *size = 0;
    if (!out)
        return NULL;
    for (; *first && *size < NAMES_MAX; first++)
        out[(*size)++] = *first;
    if (second) {
        out[(*size)++] = '\0';
        for (; *second && *size < NAMES_MAX; second++)
            out[(*size)++] = *second;
    }
    return out;
}

int64_t host_call_with_names(struct kvm_request request, const char *first, const char *second)
{
    char *text = names(first, second, &request.size);
    if (!text)
        return -ENOMEM;
    request.buffer = image_physical(text);
    int64_t result = request.size < NAMES_MAX ? host_call(request) : -ENAMETOOLONG;
    host_bounce_put(text);
    return result;
}

static struct host_file *kvm_file_granted(struct platform *p UNUSED, const char *name, int *err)
{
    if (!name[0]) {
        *err = -ENOENT;
        return NULL;
    }
    return host_file_wrap(
        host_call_with_names((struct kvm_request){.op = KVM_OP_FILE_GRANTED}, name, NULL), 0, err);
}

static struct host_file *kvm_file_standard(struct platform *p UNUSED,
                                           enum host_standard_stream which, int *err)
{
    return host_file_wrap(host_call((struct kvm_request){.op = KVM_OP_FILE_STANDARD, .a0 = which}),
                          which == HOST_STDIN ? HOST_OPEN_READ | HOST_OPEN_WRITE
                                              : HOST_OPEN_WRITE | HOST_OPEN_READ,
                          err);
}

static unsigned access_of(unsigned flags)
{
    return flags & HOST_OPEN_PATH ? 0 : flags & (HOST_OPEN_READ | HOST_OPEN_WRITE);
}

static struct host_file *opened(struct host_file *file, unsigned flags)
{
    if (file && file->regular && (flags & HOST_OPEN_TRUNCATE))
        mm_file_event(file->dev, file->ino, 0, UINT64_MAX, MM_FILE_CHANGED);
    return file;
}

static struct host_file *kvm_file_open(struct platform *p UNUSED, struct host_file *dir,
                                       const char *name, unsigned flags, uint32_t mode, int *err)
{
    int64_t handle = host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_OPEN, .a0 = dir->handle, .a1 = flags, .a2 = mode},
        flags & HOST_OPEN_NAMELESS ? "" : name, NULL);
    return opened(host_file_wrap(handle, access_of(flags), err), flags);
}

static struct host_file *kvm_file_reopen(struct platform *p UNUSED, struct host_file *file,
                                         unsigned flags, int *err)
{
    int64_t handle =
        host_call((struct kvm_request){.op = KVM_OP_FILE_REOPEN, .a0 = file->handle, .a1 = flags});
    return opened(host_file_wrap(handle, access_of(flags), err), flags);
}

static void kvm_file_get(struct platform *p UNUSED, struct host_file *file)
{
    __atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
}

static void kvm_file_close(struct platform *p UNUSED, struct host_file *file)
{
    if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    struct kvm_request request = {.op = KVM_OP_FILE_CLOSE, .a0 = file->handle};
    if (!file->lingers || image_submit(&request) == -EAGAIN) /* nobody there to wait in our place */
        image_call(&request);
    file_free(file);
}

void kvm_file_set_lingers(struct host_file *file)
{
    __atomic_store_n(&file->lingers, true, __ATOMIC_RELAXED);
}

uint64_t kvm_file_handle(const struct host_file *file)
{
    return file->handle;
}

unsigned kvm_file_access(const struct host_file *file)
{
    return file->access;
}

static int kvm_file_stat(struct platform *p UNUSED, struct host_file *file, struct host_stat *out)
{
    return (int)host_call((struct kvm_request){.op = KVM_OP_FILE_STAT,
                                               .a0 = file->handle,
                                               .buffer = image_physical(out),
                                               .size = sizeof(*out)});
}

static int stat_named(uint32_t op, struct host_file *dir, const char *text, struct host_stat *out)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = op, .a0 = dir->handle, .a1 = image_physical(out)}, text, NULL);
}

static int kvm_file_stat_at(struct platform *p UNUSED, struct host_file *dir, const char *name,
                            struct host_stat *out)
{
    return stat_named(KVM_OP_FILE_STAT_AT, dir, name, out);
}

static int kvm_file_stat_path(struct platform *p UNUSED, struct host_file *dir, const char *path,
                              struct host_stat *out)
{
    return stat_named(KVM_OP_FILE_STAT_PATH, dir, path, out);
}

int64_t kvm_file_transfer(struct host_file *file, uint32_t op, uint64_t offset, uint64_t physical,
                          uint64_t size)
{
    struct kvm_request request = {.op = op,
                                  .a0 = file->handle,
                                  .a1 = offset,
                                  .a2 = KVM_NOWAIT,
                                  .buffer = physical,
                                  .size = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX};
    int64_t done = host_call(request);
    while (done == -EAGAIN && (op == KVM_OP_FILE_PREAD || op == KVM_OP_FILE_PWRITE)) {
        request.a2 = 0; /* it would wait for the disk: let a thread of the VMM do that */
        done = image_submit(&request);
        if (done == -EAGAIN)
            kvm_thread_ops.yield(&g_kvm_platform);
    }
    return done;
}

static bool reads(uint32_t op)
{
    return op == KVM_OP_FILE_PREAD || op == KVM_OP_FILE_READ;
}

/* How many bytes from `at` on lie in pages that are there. */
size_t host_reachable(struct platform *p, struct guest_addr at, size_t size)
{
    for (size_t done = 0; done < size;) {
        uint32_t word;
        if (guest_load32(p, guest_addr((at.raw + done) & ~3ull), &word) != 0)
            return done;
        done += PAGE - (at.raw + done) % PAGE;
    }
    return size;
}

/* Between the file and guest memory, one buffer after the other. */
static int64_t transfer_guest(struct platform *p, struct host_file *file, uint32_t op,
                              uint64_t offset, struct mem_ref m)
{
    char *bounce = host_bounce_get();
    if (!bounce)
        return -ENOMEM;
    int64_t total = 0, result = 0;
    while (m.size > 0) {
        size_t step = m.size < HOST_BOUNCE_SIZE ? m.size : HOST_BOUNCE_SIZE, lost = 0;
        if (reads(op)) {
            /* Nothing may be taken from a stream that the guest's memory then refuses: look first. */
            lost = op == KVM_OP_FILE_READ ? step - host_reachable(p, m.guest, step) : 0;
            step -= lost;
        } else {
            lost = guest_copy_in(p, bounce, m.guest, step);
            step -= lost;
        }
        result =
            step > 0 ? kvm_file_transfer(file, op, offset, image_physical(bounce), step) : -EFAULT;
        if (result > 0 && reads(op)) {
            size_t missed = guest_copy_out(p, m.guest, bounce, (size_t)result);
            result -= (int64_t)missed;
            lost += missed;
            if (result == 0)
                result = -EFAULT;
        }
        if (result <= 0)
            break;
        total += result;
        offset += (uint64_t)result;
        m = mem_skip(m, (size_t)result);
        if ((size_t)result < step || lost > 0)
            break;
    }
    host_bounce_put(bounce);
    return total > 0 ? total : result;
}

static int64_t transfer(struct platform *p, struct host_file *file, uint32_t op, uint64_t offset,
                        struct mem_ref m)
{
    if (m.size == 0)
        return 0;
    if (!m.shim)
        return transfer_guest(p, file, op, offset, m);
    int64_t total = 0;
    while (m.size > 0) {
        size_t step = m.size < KVM_BUFFER_MAX ? m.size : KVM_BUFFER_MAX;
        int64_t done = kvm_file_transfer(file, op, offset, image_physical(m.shim), step);
        if (done <= 0)
            return total > 0 ? total : done;
        total += done;
        offset += (uint64_t)done;
        m = mem_skip(m, (size_t)done);
        if ((size_t)done < step)
            break;
    }
    return total;
}

/* Pages of the file that are mapped shared agree with it: written back before it is read, read again after it was written. */
static void before_read(struct host_file *file, uint64_t offset, uint64_t size)
{
    if (file->regular)
        mm_file_event(file->dev, file->ino, offset, size, MM_FILE_FLUSH);
}

static int64_t after_write(struct host_file *file, uint64_t offset, int64_t done)
{
    if (file->regular && done > 0)
        mm_file_event(file->dev, file->ino, offset, (uint64_t)done, MM_FILE_CHANGED);
    return done;
}

static int64_t kvm_file_pread(struct platform *p, struct host_file *file, uint64_t offset,
                              struct mem_ref into)
{
    before_read(file, offset, into.size);
    return transfer(p, file, KVM_OP_FILE_PREAD, offset, into);
}

static int64_t kvm_file_pwrite(struct platform *p, struct host_file *file, uint64_t offset,
                               struct mem_ref from)
{
    before_read(file, offset, from.size); /* what the pages have else would come later, over this */
    return after_write(file, offset, transfer(p, file, KVM_OP_FILE_PWRITE, offset, from));
}

static int64_t kvm_file_read(struct platform *p, struct host_file *file, struct mem_ref into)
{
    return transfer(p, file, KVM_OP_FILE_READ, 0, into);
}

static int64_t kvm_file_write(struct platform *p, struct host_file *file, struct mem_ref from)
{
    return transfer(p, file, KVM_OP_FILE_WRITE, 0, from);
}

static uint32_t kvm_file_poll(struct platform *p UNUSED, struct host_file *file, uint32_t events)
{
    struct kvm_request request = {.op = KVM_OP_FILE_POLL, .a0 = file->handle, .a1 = events};
    int64_t ready = image_call(&request);
    return ready > 0 ? (uint32_t)ready : 0;
}

static int64_t kvm_file_readdir(struct platform *p UNUSED, struct host_file *dir, uint64_t offset,
                                void *out, size_t size)
{
    return host_call((struct kvm_request){.op = KVM_OP_FILE_READDIR,
                                          .a0 = dir->handle,
                                          .a1 = offset,
                                          .buffer = image_physical(out),
                                          .size = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX});
}

static int64_t kvm_file_readlink(struct platform *p UNUSED, struct host_file *link, char *out,
                                 size_t size)
{
    return host_call((struct kvm_request){.op = KVM_OP_FILE_READLINK,
                                          .a0 = link->handle,
                                          .buffer = image_physical(out),
                                          .size = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX});
}

static int kvm_file_setattr(struct platform *p UNUSED, struct host_file *file, unsigned mask,
                            const struct host_stat *attr)
{
    struct host_stat copy = *attr;
    int err = (int)host_call((struct kvm_request){.op = KVM_OP_FILE_SETATTR,
                                                  .a0 = file->handle,
                                                  .a1 = mask,
                                                  .buffer = image_physical(&copy),
                                                  .size = sizeof(copy)});
    if (err == 0 && (mask & HOST_SET_SIZE) && file->regular)
        mm_file_event(file->dev, file->ino, attr->size, UINT64_MAX - attr->size, MM_FILE_CHANGED);
    return err;
}

static int kvm_file_sync(struct platform *p UNUSED, struct host_file *file)
{
    if (file->regular)
        mm_file_event(file->dev, file->ino, 0, UINT64_MAX, MM_FILE_FLUSH);
    struct kvm_request request = {.op = KVM_OP_FILE_SYNC, .a0 = file->handle};
    return kvm_fault_due() ? -EIO : (int)image_submit(&request);
}

static int kvm_file_statfs(struct platform *p UNUSED, struct host_file *file,
                           struct host_statfs *out)
{
    return (int)host_call((struct kvm_request){.op = KVM_OP_FILE_STATFS,
                                               .a0 = file->handle,
                                               .buffer = image_physical(out),
                                               .size = sizeof(*out)});
}

static int kvm_file_mkdir(struct platform *p UNUSED, struct host_file *dir, const char *name,
                          uint32_t mode)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_MKDIR, .a0 = dir->handle, .a1 = mode}, name, NULL);
}

static int kvm_file_symlink(struct platform *p UNUSED, struct host_file *dir, const char *name,
                            const char *target)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_SYMLINK, .a0 = dir->handle}, name, target);
}

static int kvm_file_link(struct platform *p UNUSED, struct host_file *file, struct host_file *dir,
                         const char *name)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_LINK, .a0 = file->handle, .a1 = dir->handle}, name,
        NULL);
}

static int kvm_file_unlink(struct platform *p UNUSED, struct host_file *dir, const char *name,
                           bool directory)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_UNLINK, .a0 = dir->handle, .a1 = directory}, name,
        NULL);
}

static int kvm_file_rename(struct platform *p UNUSED, struct host_file *from_dir, const char *from,
                           struct host_file *to_dir, const char *to, unsigned flags)
{
    return (int)host_call_with_names(
        (struct kvm_request){
            .op = KVM_OP_FILE_RENAME, .a0 = from_dir->handle, .a1 = to_dir->handle, .a2 = flags},
        from, to);
}

static int kvm_file_mknod(struct platform *p UNUSED, struct host_file *dir, const char *name,
                          uint32_t mode, uint64_t rdev)
{
    return (int)host_call_with_names(
        (struct kvm_request){.op = KVM_OP_FILE_MKNOD, .a0 = dir->handle, .a1 = mode, .a2 = rdev},
        name, NULL);
}

static int kvm_file_tty(struct platform *p UNUSED, struct host_file *file,
                        enum host_tty_request request, void *arg)
{
    static const uint32_t sizes[] = {
        [HOST_TTY_GET_ATTR] = 36,       [HOST_TTY_SET_ATTR] = 36,   [HOST_TTY_SET_ATTR_DRAIN] = 36,
        [HOST_TTY_SET_ATTR_FLUSH] = 36, [HOST_TTY_GET_WINSIZE] = 8, [HOST_TTY_SET_WINSIZE] = 8,
        [HOST_TTY_FLUSH] = 4,           [HOST_TTY_INPUT_BYTES] = 4};
    struct kvm_request wanted = {.op = KVM_OP_FILE_TTY,
                                 .a0 = file->handle,
                                 .a1 = request,
                                 .buffer = image_physical(arg),
                                 .size = sizes[request]};
    /* Until the output is gone: that may take for ever. */
    if (request == HOST_TTY_SET_ATTR_DRAIN || request == HOST_TTY_SET_ATTR_FLUSH)
        return kvm_fault_due() ? -ENOMEM : (int)image_submit(&wanted);
    return (int)host_call(wanted);
}

static int64_t kvm_file_seek(struct platform *p UNUSED, struct host_file *file, int64_t offset,
                             int whence)
{
    return host_call((struct kvm_request){.op = KVM_OP_FILE_SEEK,
                                          .a0 = file->handle,
                                          .a1 = (uint64_t)offset,
                                          .a2 = (uint64_t)(unsigned)whence});
}

static int kvm_file_allocate(struct platform *p UNUSED, struct host_file *file, unsigned mode,
                             uint64_t offset, uint64_t size)
{
    struct kvm_request request = {
        .op = KVM_OP_FILE_ALLOCATE, .a0 = file->handle, .a1 = offset, .a2 = size, .a3 = mode};
    before_read(file, 0, UINT64_MAX);
    int err = kvm_fault_due() ? -EIO : (int)image_submit(&request);
    if (err == 0 && file->regular)
        mm_file_event(file->dev, file->ino, 0, UINT64_MAX, MM_FILE_CHANGED);
    return err;
}

/* `value` lies in the image, on a stack or in the shim's memory; NULL: none. */
static uint64_t value_address(const void *value)
{
    return value ? image_physical(value) : 0;
}

static int64_t kvm_file_get_xattr(struct platform *p UNUSED, struct host_file *file,
                                  const char *name, void *value, size_t size)
{
    return host_call_with_names((struct kvm_request){.op = KVM_OP_FILE_GET_XATTR,
                                                     .a0 = file->handle,
                                                     .a1 = value_address(value),
                                                     .a2 = size},
                                name, NULL);
}

static int64_t kvm_file_list_xattr(struct platform *p UNUSED, struct host_file *file, char *names_,
                                   size_t size)
{
    return host_call((struct kvm_request){.op = KVM_OP_FILE_LIST_XATTR,
                                          .a0 = file->handle,
                                          .buffer = size ? image_physical(names_) : 0,
                                          .size = size < KVM_BUFFER_MAX ? size : KVM_BUFFER_MAX});
}

static int kvm_file_set_xattr(struct platform *p UNUSED, struct host_file *file, const char *name,
                              const void *value, size_t size, unsigned flags)
{
    return (int)host_call_with_names((struct kvm_request){.op = KVM_OP_FILE_SET_XATTR,
                                                          .a0 = file->handle,
                                                          .a1 = value_address(value),
                                                          .a2 = value ? size : 0,
                                                          .a3 = value ? flags : KVM_XATTR_REMOVE},
                                     name, NULL);
}

const struct host_file_ops kvm_host_file_ops = {
    .granted = kvm_file_granted,
    .standard = kvm_file_standard,
    .open = kvm_file_open,
    .reopen = kvm_file_reopen,
    .get = kvm_file_get,
    .close = kvm_file_close,
    .stat = kvm_file_stat,
    .stat_at = kvm_file_stat_at,
    .stat_path = kvm_file_stat_path,
    .pread = kvm_file_pread,
    .pwrite = kvm_file_pwrite,
    .read = kvm_file_read,
    .write = kvm_file_write,
    .poll = kvm_file_poll,
    .readdir = kvm_file_readdir,
    .readlink = kvm_file_readlink,
    .setattr = kvm_file_setattr,
    .sync = kvm_file_sync,
    .seek = kvm_file_seek,
    .allocate = kvm_file_allocate,
    .get_xattr = kvm_file_get_xattr,
    .list_xattr = kvm_file_list_xattr,
    .set_xattr = kvm_file_set_xattr,
    .statfs = kvm_file_statfs,
    .mkdir = kvm_file_mkdir,
    .symlink = kvm_file_symlink,
    .link = kvm_file_link,
    .unlink = kvm_file_unlink,
    .rename = kvm_file_rename,
    .mknod = kvm_file_mknod,
    .tty = kvm_file_tty,
};
