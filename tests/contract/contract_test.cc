// contract_test.cc: runs every contract case on every platform, each in an instance in a process of
// its own.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/contract/contract_prototypes.h"

namespace
{

using Clock = std::chrono::steady_clock;
constexpr auto kTimeout = std::chrono::seconds(300);

struct Outcome {
    bool started = false; // run() returned 0
    bool timed_out = false;
    int wait_status = 0;
    std::string why;   // from run() when it failed
    std::string words; // what came out at standard error
};

// Every descendant of `root`, and itself.
std::set<pid_t> ProcessTree(pid_t root)
{
    std::multimap<pid_t, pid_t> children;
    DIR *proc = opendir("/proc");
    while (const dirent *entry = readdir(proc)) {
        pid_t pid = atoi(entry->d_name);
        std::ifstream stat("/proc/" + std::string(entry->d_name) + "/stat");
        std::string line;
        if (pid <= 0 || !std::getline(stat, line))
            continue;
        std::istringstream rest(line.substr(line.rfind(')') + 1));
        std::string state;
        pid_t parent = 0;
        rest >> state >> parent;
        children.emplace(parent, pid);
    }
    closedir(proc);
    std::set<pid_t> tree;
    std::vector<pid_t> todo{root};
    while (!todo.empty()) {
        pid_t pid = todo.back();
        todo.pop_back();
        if (!tree.insert(pid).second)
            continue;
        auto range = children.equal_range(pid);
        for (auto it = range.first; it != range.second; ++it)
            todo.push_back(it->second);
    }
    return tree;
}

contract_gauge Measure(pid_t root)
{
    contract_gauge gauge = {};
    for (pid_t pid : ProcessTree(root)) {
        const std::string base = "/proc/" + std::to_string(pid);
        std::ifstream rollup(base + "/smaps_rollup");
        std::string line;
        while (std::getline(rollup, line))
            if (line.rfind("Pss:", 0) == 0)
                gauge.memory_bytes += strtoull(line.c_str() + 4, nullptr, 10) * 1024;
        gauge.processes++;
        uint64_t files = 0;
        if (DIR *fds = opendir((base + "/fd").c_str())) {
            while (readdir(fds))
                files++;
            closedir(fds);
        }
        gauge.files = std::max(gauge.files, files);
    }
    return gauge;
}

// The two directories that are granted.
class Grants
{
  public:
    Grants()
    {
        char name[] = "/tmp/contract.XXXXXX";
        base_ = mkdtemp(name);
        rw_ = base_ + "/rw";
        ro_ = base_ + "/ro";
        mkdir(rw_.c_str(), 0755);
        mkdir(ro_.c_str(), 0755);
        std::ofstream(ro_ + "/file") << CONTRACT_RO_TEXT;
        if (symlink("file", (ro_ + "/link").c_str()) != 0)
            ADD_FAILURE() << "symlink: " << strerror(errno);
        grants_[0] = {"rw", rw_.c_str(), true};
        grants_[1] = {"ro", ro_.c_str(), false};
    }
    ~Grants()
    {
        const std::string command = "rm -rf " + base_;
        if (system(command.c_str()) != 0)
            ADD_FAILURE() << command;
    }
    const platform_grant *get() const
    {
        return grants_;
    }

  private:
    std::string base_, rw_, ro_;
    platform_grant grants_[2];
};

contract_report *NewReport()
{
    void *memory = mmap(nullptr, sizeof(contract_report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return static_cast<contract_report *>(memory);
}

// A free port of the host's loopback, for the case that asks for it as "port".
int ListenAtLoopback()
{
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)) || listen(fd, 5))
        abort();
    return fd;
}

// In the forked child: becomes the host side of the instance. Exits 0 with the wait status in the
// pipe, or 1 with words.
[[noreturn]] void HostChild(const platform_front *front, contract_body body,
                            contract_report *report, const platform_grant *grants, int result_fd)
{
    platform_options options = {};
    options.grants = grants;
    options.grant_count = 2;
    options.trace_fd = -1;
    options.detailed_stats = true;
    options.host_network = true;
    platform_listener listener = {"port", ListenAtLoopback()};
    options.listeners = &listener;
    options.listener_count = 1;
    contract_blob blob = {front, report, body};
    char why[256] = "";
    int wait_status = 0;
    int ret =
        front->run(&options, contract_main, &blob, sizeof(blob), &wait_status, why, sizeof(why));
    std::string result =
        ret ? why : std::string(reinterpret_cast<char *>(&wait_status), sizeof(int));
    _exit(write(result_fd, result.data(), result.size()) < 0 ? 2 : ret != 0);
}

Outcome RunCase(const platform_front *front, contract_body body, contract_report *report)
{
    Grants grants;
    int words[2], result[2], input[2];
    if (pipe(words) || pipe(result) || pipe(input))
        abort();
    pid_t child = fork();
    if (child == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(words[1], STDERR_FILENO);
        for (int fd : {words[0], words[1], result[0], input[0], input[1]})
            close(fd);
        HostChild(front, body, report, grants.get(), result[1]);
    }
    close(words[1]);
    close(result[1]);
    close(input[0]);

    Outcome outcome;
    const auto deadline = Clock::now() + kTimeout;
    uint32_t bytes_given = 0;
    bool open = true;
    int status = 0;
    while (open || waitpid(child, &status, WNOHANG) == 0) {
        pollfd wait = {words[0], POLLIN, 0};
        if (open && poll(&wait, 1, 1) > 0) {
            char buffer[4096];
            ssize_t got = read(words[0], buffer, sizeof(buffer));
            open = got > 0;
            outcome.words.append(buffer, got > 0 ? got : 0);
        } else if (!open) {
            usleep(1000);
        }
        uint32_t asked = __atomic_load_n(&report->gauge_asked, __ATOMIC_ACQUIRE);
        if (asked != report->gauge_taken) {
            report->gauge[asked - 1] = Measure(child);
            __atomic_store_n(&report->gauge_taken, asked, __ATOMIC_RELEASE);
        }
        if (__atomic_load_n(&report->stdin_bytes_asked, __ATOMIC_ACQUIRE) != bytes_given) {
            if (write(input[1], "x", 1) == 1)
                bytes_given++;
        }
        if (Clock::now() > deadline && !outcome.timed_out) {
            outcome.timed_out = true;
            for (pid_t pid : ProcessTree(child))
                kill(pid, SIGKILL);
        }
    }
    char buffer[256];
    ssize_t got = read(result[0], buffer, sizeof(buffer));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && got == sizeof(int)) {
        outcome.started = true;
        memcpy(&outcome.wait_status, buffer, sizeof(int));
    } else {
        outcome.why.assign(buffer, got > 0 ? got : 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
            outcome.why += "host process ended with wait status " + std::to_string(status);
    }
    close(words[0]);
    close(result[0]);
    close(input[1]);
    return outcome;
}

extern "C" void ReadFeatures(contract *c)
{
    c->report->gauge[0].memory_bytes = c->p->features;
}

struct Platform {
    const platform_front *front = nullptr;
    bool available = false;
    std::string why;
    uint64_t features = 0;
};

// What this platform says of itself; asked once.
const Platform &Describe(const std::string &name)
{
    static std::map<std::string, Platform> known;
    Platform &p = known[name];
    if (p.front)
        return p;
    char why[256] = "";
    p.front = platform_front_find(name.c_str());
    p.available = p.front->probe(why, sizeof(why));
    p.why = why;
    if (!p.available)
        return p;
    contract_report *report = NewReport();
    Outcome outcome = RunCase(p.front, ReadFeatures, report);
    p.available = outcome.started && report->finished;
    p.features = report->gauge[0].memory_bytes;
    if (!p.available)
        p.why = "cannot start an instance: " + outcome.why + " " + outcome.words;
    munmap(report, sizeof(*report));
    return p;
}

std::string Missing(uint64_t needed, uint64_t features)
{
    static const struct {
        uint64_t bit;
        const char *text;
    } kNames[] = {
        {PLATFORM_FEATURE_FORK, "fork"},
        {PLATFORM_FEATURE_GUEST, "guest code"},
        {PLATFORM_FEATURE_THREADS, "threads"},
        {PLATFORM_FEATURE_HOST_FILES, "host files"},
        {PLATFORM_FEATURE_HOST_SOCKETS, "host sockets"},
    };
    std::string missing;
    for (const auto &name : kNames)
        if (needed & ~features & name.bit)
            missing += std::string(missing.empty() ? "" : ", ") + name.text;
    if ((needed & CONTRACT_WITHOUT_FORK) && (features & PLATFORM_FEATURE_FORK))
        missing = "the lack of fork";
    if ((needed & CONTRACT_WITHOUT_GUEST) && (features & PLATFORM_FEATURE_GUEST))
        missing = "the lack of guest code";
    return missing;
}

class ContractTest : public testing::TestWithParam<std::string>
{
  protected:
    // Result: whether there is anything to judge.
    bool Run(contract_body body, uint64_t needed)
    {
        const Platform &platform = Describe(GetParam());
        if (!platform.available) {
            // What can't run at all is skipped only where the platform itself said so.
            char why[256] = "";
            if (platform.front->probe(why, sizeof(why)))
                ADD_FAILURE() << platform.why;
            skip_reason_ = platform.why;
            return false;
        }
        const std::string missing = Missing(needed, platform.features);
        if (!missing.empty()) {
            skip_reason_ = GetParam() + " has not: " + missing;
            return false;
        }
        report_ = NewReport();
        outcome_ = RunCase(platform.front, body, report_);
        for (uint32_t i = 0; i < std::min<uint32_t>(report_->failures, CONTRACT_FAILURES_MAX); i++)
            ADD_FAILURE_AT(report_->failure[i].file, report_->failure[i].line)
                << report_->failure[i].text;
        if (report_->failures > CONTRACT_FAILURES_MAX)
            ADD_FAILURE() << report_->failures << " checks failed in all";
        EXPECT_FALSE(outcome_.timed_out) << "killed after " << kTimeout.count() << " s; it said:\n"
                                         << outcome_.words;
        return true;
    }
    void ExpectEnd(contract_body body, uint64_t needed)
    {
        if (!Run(body, needed))
            return;
        EXPECT_TRUE(outcome_.started) << outcome_.why << "\n" << outcome_.words;
        EXPECT_EQ(outcome_.wait_status, 0) << "it said:\n" << outcome_.words;
        EXPECT_TRUE(report_->finished) << "it said:\n" << outcome_.words;
    }
    void ExpectAbort(contract_body body, uint64_t needed, const char *words)
    {
        if (!Run(body, needed))
            return;
        EXPECT_TRUE(outcome_.started) << outcome_.why << "\n" << outcome_.words;
        EXPECT_FALSE(report_->finished) << "nothing stopped it";
        EXPECT_TRUE(WIFSIGNALED(outcome_.wait_status) && WTERMSIG(outcome_.wait_status) == SIGABRT)
            << "wait status " << outcome_.wait_status;
        EXPECT_NE(outcome_.words.find(words), std::string::npos) << "it said:\n" << outcome_.words;
    }
    void TearDown() override
    {
        if (report_)
            munmap(report_, sizeof(*report_));
    }

    std::string skip_reason_;
    Outcome outcome_;
    contract_report *report_ = nullptr;
};

std::vector<std::string> PlatformNames()
{
    std::vector<std::string> names;
    for (size_t i = 0; g_platform_fronts[i]; i++)
        names.push_back(g_platform_fronts[i]->name);
    return names;
}

std::string ParamName(const testing::TestParamInfo<std::string> &info)
{
    return info.param;
}

#define SUITE(suite)                                                                               \
    class suite : public ContractTest                                                              \
    {                                                                                              \
    };                                                                                             \
    INSTANTIATE_TEST_SUITE_P(Platforms, suite, testing::ValuesIn(PlatformNames()), ParamName);
CONTRACT_SUITES(SUITE)

#define CASE(suite, name, needs)                                                                   \
    TEST_P(suite, name)                                                                            \
    {                                                                                              \
        ExpectEnd(suite##_##name, needs);                                                          \
        if (!skip_reason_.empty())                                                                 \
            GTEST_SKIP() << skip_reason_;                                                          \
    }
#define DEATH(suite, name, needs, words)                                                           \
    TEST_P(suite, name)                                                                            \
    {                                                                                              \
        ExpectAbort(suite##_##name, needs, words);                                                 \
        if (!skip_reason_.empty())                                                                 \
            GTEST_SKIP() << skip_reason_;                                                          \
    }
CONTRACT_CASES(CASE, DEATH)

} // namespace
