/*
 * vmm_files_test.c: what an image may do with files that others opened for the VMM: the standard streams. Requests go to vm_files_serve() as the
 * image's would; each case runs in a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/host_file.h"
#include "platform/kvm/vmm/files.h"
#include "tests/kvm_host/cases.h"

static const char g_text[] = "written before";
static char g_base[] = "/tmp/vmm-files.XXXXXX", g_log[64], g_granted[64];
static struct vm_files g_files;

static int64_t serve(struct kvm_request request, void *buffer)
{
    return vm_files_serve(&g_files, &request, buffer, NULL);
}

static int64_t reopen(int64_t handle, uint64_t flags)
{
    return serve(
        (struct kvm_request){.op = KVM_OP_FILE_REOPEN, .a0 = (uint64_t)handle, .a1 = flags}, NULL);
}

static int64_t put(int64_t handle, uint64_t offset, const char *text)
{
    return serve(
        (struct kvm_request){
            .op = KVM_OP_FILE_PWRITE, .a0 = (uint64_t)handle, .a1 = offset, .size = strlen(text)},
        (char *)(uintptr_t)text);
}

static int64_t get(int64_t handle)
{
    char text[64];
    return serve(
        (struct kvm_request){.op = KVM_OP_FILE_PREAD, .a0 = (uint64_t)handle, .size = sizeof(text)},
        text);
}

/* Standard output is the log, opened so by whoever started us. */
static int64_t standard(int flags)
{
    int fd = open(g_log, flags | O_CLOEXEC);
    CHECK(fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    int64_t handle = serve((struct kvm_request){.op = KVM_OP_FILE_STANDARD, .a0 = 1}, NULL);
    CHECK(handle >= 0);
    return handle;
}

static bool log_begins_as_before(void)
{
    char text[sizeof(g_text)] = "";
    int fd = open(g_log, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof(text)) == sizeof(text) &&
           memcmp(text, g_text, sizeof(text)) == 0;
}

/* Cases */

static void what_was_opened_for_writing_is_not_read(void)
{
    const int64_t out = standard(O_WRONLY);
    CHECK(get(out) == -EBADF);
    CHECK(reopen(out, HOST_OPEN_READ) == -EACCES);
    CHECK(reopen(out, HOST_OPEN_READ | HOST_OPEN_WRITE) == -EACCES);
    CHECK(reopen(out, 0) == -EACCES);
    CHECK(reopen(out, HOST_OPEN_DIRECTORY) == -EACCES);
    const int64_t path = reopen(out, HOST_OPEN_PATH);
    CHECK(path >= 0 && reopen(path, HOST_OPEN_READ) == -EACCES && reopen(path, 0) == -EACCES);
    const int64_t again = reopen(path, HOST_OPEN_WRITE);
    CHECK(again >= 0 && get(again) == -EBADF && put(again, sizeof(g_text), "more") == 4);
    CHECK(reopen(again, HOST_OPEN_READ) == -EACCES);
}

static void what_was_opened_for_reading_is_not_written(void)
{
    const int64_t out = standard(O_RDONLY);
    CHECK(reopen(out, HOST_OPEN_WRITE) == -EROFS && reopen(out, HOST_OPEN_TRUNCATE) == -EROFS);
    const int64_t path = reopen(out, HOST_OPEN_PATH), again = reopen(out, HOST_OPEN_READ);
    CHECK(path >= 0 && again >= 0 && get(again) == sizeof(g_text));
    CHECK(reopen(path, HOST_OPEN_WRITE) == -EROFS && put(again, 0, "x") == -EROFS);
    CHECK(log_begins_as_before());
}

static void what_was_opened_for_appending_is_not_changed(void)
{
    const int64_t out = standard(O_WRONLY | O_APPEND);
    struct host_stat empty = {.size = 0};
    const struct kvm_request cut = {
        .op = KVM_OP_FILE_SETATTR, .a0 = (uint64_t)out, .a1 = HOST_SET_SIZE, .size = sizeof(empty)};
    const struct kvm_request punch = {
        .op = KVM_OP_FILE_ALLOCATE, .a0 = (uint64_t)out, .a2 = 4, .a3 = 3};
    CHECK(reopen(out, HOST_OPEN_WRITE | HOST_OPEN_TRUNCATE) == -EACCES);
    CHECK(serve(cut, &empty) == -EPERM && serve(punch, NULL) == -EPERM);
    const int64_t path = reopen(out, HOST_OPEN_PATH);
    const int64_t again = reopen(path, HOST_OPEN_WRITE);
    CHECK(reopen(path, HOST_OPEN_WRITE | HOST_OPEN_TRUNCATE) == -EACCES);
    CHECK(again >= 0 && put(again, 0, "more") == 4);
    CHECK(log_begins_as_before());
}

static void what_nobody_granted_gets_no_name(void)
{
    char granted[] = "granted", name[] = "name";
    const int64_t out = standard(O_WRONLY), path = reopen(out, HOST_OPEN_PATH);
    const int64_t again = reopen(out, HOST_OPEN_WRITE);
    const int64_t dir =
        serve((struct kvm_request){.op = KVM_OP_FILE_GRANTED, .size = strlen(granted)}, granted);
    CHECK(path >= 0 && again >= 0 && dir >= 0);
    const int64_t handles[] = {out, path, again};
    for (int i = 0; i < 3; i++) {
        const struct kvm_request link = {.op = KVM_OP_FILE_LINK,
                                         .a0 = (uint64_t)handles[i],
                                         .a1 = (uint64_t)dir,
                                         .size = strlen(name)};
        CHECK(serve(link, name) == -EPERM);
    }
}

static const struct test_case g_cases[] = {
    {"what was opened for writing is not read", what_was_opened_for_writing_is_not_read},
    {"what was opened for reading is not written", what_was_opened_for_reading_is_not_written},
    {"what was opened for appending is not changed", what_was_opened_for_appending_is_not_changed},
    {"what nobody granted gets no name", what_nobody_granted_gets_no_name},
};

static void prepare(void)
{
    int fd = open(g_log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && write(fd, g_text, sizeof(g_text)) == sizeof(g_text));
    close(fd);
}

static void run_case(void (*run)(void))
{
    const struct platform_grant grant = {"granted", g_granted, true};
    const struct platform_options options = {.grants = &grant, .grant_count = 1, .trace_fd = -1};
    char why[256];
    alarm(300);
    CHECK(vm_files_open(&g_files, &options, why, sizeof(why)) == 0);
    run();
    vm_files_close(&g_files);
}

int main(void)
{
    CHECK(mkdtemp(g_base));
    snprintf(g_log, sizeof(g_log), "%s/log", g_base);
    snprintf(g_granted, sizeof(g_granted), "%s/granted", g_base);
    CHECK(mkdir(g_granted, 0755) == 0);
    int status = run_cases(g_cases, sizeof(g_cases) / sizeof(g_cases[0]), prepare, run_case);
    unlink(g_log);
    rmdir(g_granted);
    rmdir(g_base);
    return status;
}
