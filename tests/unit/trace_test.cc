#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include <asm/unistd_64.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

extern "C" {
#include "shim/trace.h"
#include "shim/trace_table.h"
#include "tests/c_shims/pretended_platform.h"
}

namespace
{
uint64_t address(const void *p)
{
    return reinterpret_cast<uint64_t>(p);
}

std::string line(uint64_t number, std::array<uint64_t, 6> args, long result,
                 void (*change)() = nullptr)
{
    std::string text = trace_line(number, args.data(), result, change);
    EXPECT_EQ(text.back(), '\n');
    text.pop_back();
    return text;
}

TEST(Trace, OpenShowsPathAndFlagNames)
{
    EXPECT_EQ(line(__NR_openat,
                   {static_cast<uint64_t>(AT_FDCWD), address("/etc/passwd"), O_CLOEXEC, 0xdead}, 3),
              "[pid 7] openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3");
    EXPECT_EQ(line(__NR_openat, {5, address("new"), O_WRONLY | O_CREAT | O_TRUNC, 0644}, 4),
              "[pid 7] openat(5, \"new\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 4");
}

TEST(Trace, ErrorShowsNameAndText)
{
    EXPECT_EQ(line(__NR_access, {address("/x"), 4}, -2),
              "[pid 7] access(\"/x\", R_OK) = -1 ENOENT (No such file or directory)");
    EXPECT_EQ(line(__NR_close, {9}, -9), "[pid 7] close(9) = -1 EBADF (Bad file descriptor)");
}

TEST(Trace, InterruptedCallShowsHowItRestarts)
{
    EXPECT_EQ(line(__NR_read, {0, 0, 5}, -512),
              "[pid 7] read(0, NULL, 5) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
}

char g_buffer[64];

TEST(Trace, ReadShowsWhatTheCallWrote)
{
    strcpy(g_buffer, "old");
    EXPECT_EQ(line(__NR_read, {3, address(g_buffer), 64}, 6, [] { strcpy(g_buffer, "new\n\t\1"); }),
              "[pid 7] read(3, \"new\\n\\t\\1\", 64) = 6");
}

TEST(Trace, WriteShowsWhatWasThereBefore)
{
    strcpy(g_buffer, "before");
    EXPECT_EQ(line(__NR_write, {1, address(g_buffer), 6}, 6, [] { strcpy(g_buffer, "after."); }),
              "[pid 7] write(1, \"before\", 6) = 6");
}

TEST(Trace, LongBuffersAreCutPathsAreNot)
{
    std::string data(100, 'a');
    EXPECT_EQ(line(__NR_write, {1, address(data.c_str()), 100}, 100),
              "[pid 7] write(1, \"" + std::string(32, 'a') + "\"..., 100) = 100");
    EXPECT_EQ(line(__NR_chdir, {address(data.c_str())}, 0), "[pid 7] chdir(\"" + data + "\") = 0");
}

TEST(Trace, UnreachableStringsShowTheirAddress)
{
    EXPECT_EQ(line(__NR_chdir, {0x10}, -14), "[pid 7] chdir(0x10) = -1 EFAULT (Bad address)");
    EXPECT_EQ(line(__NR_chdir, {0}, -14), "[pid 7] chdir(NULL) = -1 EFAULT (Bad address)");
    EXPECT_EQ(line(__NR_write, {1, 0xffffffffffff0000, 3}, -14),
              "[pid 7] write(1, 0xffffffffffff0000, 3) = -1 EFAULT (Bad address)");
}

TEST(Trace, MemoryCallsShowHexadecimalResults)
{
    EXPECT_EQ(line(__NR_mmap,
                   {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0},
                   0x7f0000001000),
              "[pid 7] mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, NULL) "
              "= 0x7f0000001000");
    EXPECT_EQ(line(__NR_mprotect, {0x1000, 4096, PROT_NONE}, 0),
              "[pid 7] mprotect(0x1000, 4096, PROT_NONE) = 0");
}

TEST(Trace, ExecShowsArgumentsThatAreGoneAfterwards)
{
    static char first[] = "ls", second[] = "-l", var[] = "A=b";
    char *argv[] = {first, second, nullptr}, *envp[] = {var, nullptr};
    std::string text = line(__NR_execve, {address("/bin/ls"), address(argv), address(envp)}, 0,
                            [] { strcpy(first, "xx"); });
    EXPECT_EQ(text.substr(0, 41), "[pid 7] execve(\"/bin/ls\", [\"ls\", \"-l\"], 0");
    EXPECT_EQ(text.substr(text.find("/*")), "/* 1 vars */) = 0");
}

TEST(Trace, CallsThatNeverReturnAppearAtOnce)
{
    uint64_t args[6] = {3};
    trace_line(__NR_exit_group, args, 0,
               [] { EXPECT_STREQ(pretended_trace(), "[pid 7] exit_group(3) = ?\n"); });
}

TEST(Trace, CloneWaitAndPipe)
{
    EXPECT_EQ(line(__NR_clone, {0x1200011, 0, 0, 0, 0}, 8),
              "[pid 7] clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, NULL, "
              "NULL) = 8");
    int status = 0x300;
    EXPECT_EQ(line(__NR_wait4, {UINT64_MAX, address(&status), 1, 0}, 8),
              "[pid 7] wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG, NULL) = 8");
    status = 9;
    EXPECT_EQ(line(__NR_wait4, {8, address(&status), 0, 0}, 8),
              "[pid 7] wait4(8, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 8");
    int fds[2] = {3, 4};
    EXPECT_EQ(line(__NR_pipe2, {address(fds), O_CLOEXEC}, 0),
              "[pid 7] pipe2([3, 4], O_RDONLY|O_CLOEXEC) = 0");
}

TEST(Trace, SignalsByName)
{
    uint64_t set = 1ull << (SIGCHLD - 1) | 1ull << (SIGINT - 1);
    EXPECT_EQ(line(__NR_rt_sigprocmask, {SIG_BLOCK, address(&set), 0, 8}, 0),
              "[pid 7] rt_sigprocmask(SIG_BLOCK, [INT CHLD], NULL, 8) = 0");
    EXPECT_EQ(line(__NR_kill, {5, SIGTERM}, 0), "[pid 7] kill(5, SIGTERM) = 0");
    EXPECT_EQ(line(__NR_kill, {5, 34}, 0), "[pid 7] kill(5, SIGRT_2) = 0");
}

TEST(Trace, VectorsShowAtMostTheResult)
{
    char a[] = "abc", b[] = "def";
    iovec iov[] = {{a, 3}, {b, 3}};
    EXPECT_EQ(
        line(__NR_writev, {1, address(iov), 2}, 6),
        "[pid 7] writev(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"def\", iov_len=3}], 2) = 6");
    EXPECT_EQ(
        line(__NR_readv, {1, address(iov), 2}, 4),
        "[pid 7] readv(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"d\", iov_len=3}], 2) = 4");
}

TEST(Trace, FcntlArgumentFollowsItsCommand)
{
    EXPECT_EQ(line(__NR_fcntl, {1, F_GETFL, 0x99}, 2), "[pid 7] fcntl(1, F_GETFL) = 2");
    EXPECT_EQ(line(__NR_fcntl, {1, F_SETFL, O_RDWR | O_NONBLOCK}, 0),
              "[pid 7] fcntl(1, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    EXPECT_EQ(line(__NR_fcntl, {1, F_SETFD, FD_CLOEXEC}, 0),
              "[pid 7] fcntl(1, F_SETFD, FD_CLOEXEC) = 0");
    EXPECT_EQ(line(__NR_fcntl, {1, F_DUPFD, 10}, 10), "[pid 7] fcntl(1, F_DUPFD, 10) = 10");
}

TEST(Trace, UnknownNumbersAreShownAsSuch)
{
    std::string text = line(9999, {1}, -38);
    EXPECT_EQ(text.substr(0, 24), "[pid 7] syscall_0x270f(0");
    EXPECT_NE(text.find("ENOSYS"), std::string::npos);
}

TEST(Trace, SignalsAndEnds)
{
    EXPECT_STREQ(trace_line_sigchld(1, 8, 3),
                 "[pid 7] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=8, si_uid=0, "
                 "si_status=3} ---\n");
    EXPECT_STREQ(trace_line_sigchld(2, 8, 9),
                 "[pid 7] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=8, si_uid=0, "
                 "si_status=SIGKILL} ---\n");
    EXPECT_STREQ(trace_line_end(0x300), "[pid 7] +++ exited with 3 +++\n");
    EXPECT_STREQ(trace_line_end(SIGSEGV | 0x80),
                 "[pid 7] +++ killed by SIGSEGV (core dumped) +++\n");
}

TEST(Trace, NoArgumentsCrashIt)
{
    /* Every call, with arguments of all the wrong kinds. */
    const uint64_t values[] = {0,          1,          0x1000 - 1,       UINT64_MAX,
                               1ull << 63, 1ull << 47, address(g_buffer)};
    for (uint64_t number = 0; number < 512; number++) {
        for (uint64_t value : values) {
            uint64_t args[6] = {value, value, value, value, value, value};
            /* Strings at g_buffer end at its zero; buffers that a result would make too long are no test of the decoder. */
            bool result_is_size = value == address(g_buffer);
            EXPECT_NE(*trace_line(number, args, result_is_size ? 1 : -14, nullptr), '\0') << number;
        }
    }
}
} // namespace
