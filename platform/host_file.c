/*
 * host_file.c: checked entry points of host_file.h. Names are checked here because they are the
 * boundary of what was granted: a platform may pass them to the host as they are.
 */
#include "platform/host_file.h"

#include "platform/contract.h"
#include "platform/platform.h"

static bool is_component(const char *name)
{
    if (!name || name[0] == '\0')
        return false;
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
        return false;
    for (; *name; name++)
        if (*name == '/')
            return false;
    return true;
}

static bool is_path(const char *path)
{
    if (!path)
        return false;
    for (const char *name = path;;) {
        const char *end = name;
        while (*end && *end != '/')
            end++;
        size_t size = (size_t)(end - name);
        if (size == 0 || (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.'))))
            return false;
        if (!*end)
            return (size_t)(end - path) < HOST_PATH_MAX;
        name = end + 1;
    }
}

static bool flags_ok(unsigned flags)
{
    const unsigned all = HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_CREATE | HOST_OPEN_EXCLUSIVE |
                         HOST_OPEN_TRUNCATE | HOST_OPEN_DIRECTORY | HOST_OPEN_PATH |
                         HOST_OPEN_NAMELESS;
    const unsigned access = HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_PATH | HOST_OPEN_DIRECTORY;
    return (flags & ~all) == 0 && (flags & access) != 0;
}

struct host_file *host_file_granted(struct platform *p, const char *name, int *err)
{
    PLATFORM_REQUIRE(name != NULL && err != NULL);
    return p->host_file->granted(p, name, err);
}

struct host_file *host_file_standard(struct platform *p, enum host_standard_stream which, int *err)
{
    PLATFORM_REQUIRE(which <= HOST_STDERR && err != NULL);
    return p->host_file->standard(p, which, err);
}

struct host_file *host_file_open(struct platform *p, struct host_file *dir, const char *name,
                                 unsigned flags, uint32_t mode, int *err)
{
    PLATFORM_REQUIRE(dir != NULL && flags_ok(flags) && err != NULL);
    PLATFORM_REQUIRE(flags & HOST_OPEN_NAMELESS || is_component(name));
    return p->host_file->open(p, dir, name, flags, mode, err);
}

struct host_file *host_file_reopen(struct platform *p, struct host_file *file, unsigned flags,
                                   int *err)
{
    PLATFORM_REQUIRE(file != NULL && flags_ok(flags) && err != NULL);
    PLATFORM_REQUIRE((flags & (HOST_OPEN_CREATE | HOST_OPEN_EXCLUSIVE | HOST_OPEN_NAMELESS)) == 0);
    return p->host_file->reopen(p, file, flags, err);
}

void host_file_get(struct platform *p, struct host_file *file)
{
    PLATFORM_REQUIRE(file != NULL);
    p->host_file->get(p, file);
}

void host_file_close(struct platform *p, struct host_file *file)
{
    PLATFORM_REQUIRE(file != NULL);
    p->host_file->close(p, file);
}

int host_file_stat(struct platform *p, struct host_file *file, struct host_stat *out)
{
    PLATFORM_REQUIRE(file != NULL && out != NULL);
    return p->host_file->stat(p, file, out);
}

int host_file_stat_at(struct platform *p, struct host_file *dir, const char *name,
                      struct host_stat *out)
{
    PLATFORM_REQUIRE(dir != NULL && is_component(name) && out != NULL);
    return p->host_file->stat_at(p, dir, name, out);
}

int host_file_stat_path(struct platform *p, struct host_file *dir, const char *path,
                        struct host_stat *out)
{
    PLATFORM_REQUIRE(dir != NULL && is_path(path) && out != NULL);
    return p->host_file->stat_path(p, dir, path, out);
}

int64_t host_file_pread(struct platform *p, struct host_file *file, uint64_t offset,
                        struct mem_ref into)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->pread(p, file, offset, into);
}

int64_t host_file_pwrite(struct platform *p, struct host_file *file, uint64_t offset,
                         struct mem_ref from)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->pwrite(p, file, offset, from);
}

int64_t host_file_read(struct platform *p, struct host_file *file, struct mem_ref into)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->read(p, file, into);
}

int64_t host_file_write(struct platform *p, struct host_file *file, struct mem_ref from)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->write(p, file, from);
}

uint32_t host_file_poll(struct platform *p, struct host_file *file, uint32_t events)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->poll(p, file, events);
}

int64_t host_file_readdir(struct platform *p, struct host_file *dir, uint64_t offset, void *out,
                          size_t size)
{
    PLATFORM_REQUIRE(dir != NULL && out != NULL);
    PLATFORM_REQUIRE((uintptr_t)out % _Alignof(struct host_dirent) == 0);
    return p->host_file->readdir(p, dir, offset, out, size);
}

int64_t host_file_readlink(struct platform *p, struct host_file *link, char *out, size_t size)
{
    PLATFORM_REQUIRE(link != NULL && out != NULL);
    return p->host_file->readlink(p, link, out, size);
}

int host_file_setattr(struct platform *p, struct host_file *file, unsigned mask,
                      const struct host_stat *attr)
{
    const unsigned all = HOST_SET_MODE | HOST_SET_OWNER | HOST_SET_SIZE | HOST_SET_TIMES;
    PLATFORM_REQUIRE(file != NULL && attr != NULL && (mask & ~all) == 0);
    return p->host_file->setattr(p, file, mask, attr);
}

int host_file_sync(struct platform *p, struct host_file *file)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->sync(p, file);
}

int64_t host_file_seek(struct platform *p, struct host_file *file, int64_t offset, int whence)
{
    PLATFORM_REQUIRE(file != NULL);
    return p->host_file->seek(p, file, offset, whence);
}

int host_file_allocate(struct platform *p, struct host_file *file, unsigned mode, uint64_t offset,
                       uint64_t size)
{
    PLATFORM_REQUIRE(file != NULL && offset + size >= offset);
    return p->host_file->allocate(p, file, mode, offset, size);
}

int64_t host_file_get_xattr(struct platform *p, struct host_file *file, const char *name,
                            void *value, size_t size)
{
    PLATFORM_REQUIRE(file != NULL && name != NULL && (value != NULL || size == 0));
    return p->host_file->get_xattr(p, file, name, value, size);
}

int64_t host_file_list_xattr(struct platform *p, struct host_file *file, char *names, size_t size)
{
    PLATFORM_REQUIRE(file != NULL && (names != NULL || size == 0));
    return p->host_file->list_xattr(p, file, names, size);
}

int host_file_set_xattr(struct platform *p, struct host_file *file, const char *name,
                        const void *value, size_t size, unsigned flags)
{
    PLATFORM_REQUIRE(file != NULL && name != NULL);
    return p->host_file->set_xattr(p, file, name, value, size, flags);
}

int host_file_statfs(struct platform *p, struct host_file *file, struct host_statfs *out)
{
    PLATFORM_REQUIRE(file != NULL && out != NULL);
    return p->host_file->statfs(p, file, out);
}

int host_file_mkdir(struct platform *p, struct host_file *dir, const char *name, uint32_t mode)
{
    PLATFORM_REQUIRE(dir != NULL && is_component(name));
    return p->host_file->mkdir(p, dir, name, mode);
}

int host_file_symlink(struct platform *p, struct host_file *dir, const char *name,
                      const char *target)
{
    PLATFORM_REQUIRE(dir != NULL && is_component(name) && target != NULL);
    return p->host_file->symlink(p, dir, name, target);
}

int host_file_link(struct platform *p, struct host_file *file, struct host_file *dir,
                   const char *name)
{
    PLATFORM_REQUIRE(file != NULL && dir != NULL && is_component(name));
    return p->host_file->link(p, file, dir, name);
}

int host_file_unlink(struct platform *p, struct host_file *dir, const char *name, bool directory)
{
    PLATFORM_REQUIRE(dir != NULL && is_component(name));
    return p->host_file->unlink(p, dir, name, directory);
}

int host_file_rename(struct platform *p, struct host_file *from_dir, const char *from,
                     struct host_file *to_dir, const char *to, unsigned flags)
{
    PLATFORM_REQUIRE(from_dir != NULL && is_component(from));
    PLATFORM_REQUIRE(to_dir != NULL && is_component(to));
    return p->host_file->rename(p, from_dir, from, to_dir, to, flags);
}

int host_file_mknod(struct platform *p, struct host_file *dir, const char *name, uint32_t mode,
                    uint64_t rdev)
{
    PLATFORM_REQUIRE(dir != NULL && is_component(name));
    return p->host_file->mknod(p, dir, name, mode, rdev);
}

int host_file_tty(struct platform *p, struct host_file *file, enum host_tty_request request,
                  void *arg)
{
    PLATFORM_REQUIRE(file != NULL && request <= HOST_TTY_INPUT_BYTES && arg != NULL);
    return p->host_file->tty(p, file, request, arg);
}
