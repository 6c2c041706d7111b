#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

extern "C" {
#include "pal/options.h"
}

namespace
{
class Parsed
{
  public:
    explicit Parsed(std::vector<std::string> words) : words_(std::move(words))
    {
        for (auto &word : words_)
            argv_.push_back(word.data());
        argv_.push_back(nullptr);
        char text[512] = "";
        result = options_parse(static_cast<int>(words_.size()), argv_.data(), &options, text,
                               sizeof(text));
        error = text;
    }
    Parsed(const Parsed &) = delete;
    Parsed &operator=(const Parsed &) = delete;
    ~Parsed()
    {
        options_free(&options);
    }
    pal_options options;
    int result;
    std::string error;

  private:
    std::vector<std::string> words_;
    std::vector<char *> argv_;
};

TEST(Options, ProgramStartsAfterTheDashesOrAtTheFirstWord)
{
    Parsed with({"pal", "run", "--stats", "--", "ls", "-l", "--stats"});
    ASSERT_EQ(with.result, 0) << with.error;
    EXPECT_EQ(with.options.program_argc, 3);
    EXPECT_STREQ(with.options.program[0], "ls");
    EXPECT_TRUE(with.options.stats);
    Parsed without({"pal", "run", "ls", "--trace"});
    ASSERT_EQ(without.result, 0) << without.error;
    EXPECT_EQ(without.options.program_argc, 2);
    EXPECT_FALSE(without.options.trace);
}

TEST(Options, ValuesStandBehindEqualsOrInTheNextWord)
{
    Parsed p({"pal", "run", "--root=/a", "--cwd", "/b", "--platform", "noop", "--env=A=b=c",
              "--env", "D=", "--clear-env", "x"});
    ASSERT_EQ(p.result, 0) << p.error;
    EXPECT_STREQ(p.options.root, "/a");
    EXPECT_STREQ(p.options.cwd, "/b");
    EXPECT_STREQ(p.options.platform, "noop");
    ASSERT_EQ(p.options.env_count, 2u);
    EXPECT_STREQ(p.options.env[0], "A=b=c");
    EXPECT_STREQ(p.options.env[1], "D=");
    EXPECT_TRUE(p.options.clear_env);
}

TEST(Options, TraceTakesAFileOnlyBehindEquals)
{
    Parsed plain({"pal", "run", "--trace", "file"});
    EXPECT_TRUE(plain.options.trace);
    EXPECT_EQ(plain.options.trace_file, nullptr);
    EXPECT_STREQ(plain.options.program[0], "file");
    Parsed named({"pal", "run", "--trace=file", "x"});
    EXPECT_STREQ(named.options.trace_file, "file");
}

TEST(Options, Network)
{
    Parsed none({"pal", "run", "x"});
    EXPECT_EQ(none.options.net, PAL_NET_LOOPBACK);
    EXPECT_EQ(none.options.publish_count, 0u);
    Parsed p({"pal", "run", "--publish=8080", "--publish", "0:80", "--publish", "65535:1", "x"});
    ASSERT_EQ(p.result, 0) << p.error;
    ASSERT_EQ(p.options.publish_count, 3u);
    EXPECT_EQ(p.options.publishes[0].host_port, 8080u);
    EXPECT_EQ(p.options.publishes[0].guest_port, 8080u);
    EXPECT_EQ(p.options.publishes[1].host_port, 0u);
    EXPECT_EQ(p.options.publishes[1].guest_port, 80u);
    EXPECT_EQ(p.options.publishes[2].guest_port, 1u);
    EXPECT_EQ(Parsed({"pal", "run", "--net=none", "x"}).options.net, PAL_NET_NONE);
    EXPECT_EQ(Parsed({"pal", "run", "--net", "host", "x"}).options.net, PAL_NET_HOST);
    for (const char *bad :
         {"", "0", "x", "-1", "65536", "1:", ":1", "1:0", "1:65536", "1:2:3", "1 "})
        EXPECT_EQ(Parsed({"pal", "run", "--publish", bad, "x"}).result, -1) << bad;
    std::vector<std::string> many = {"pal", "run"};
    for (int i = 1; i <= 17; i++)
        many.push_back("--publish=" + std::to_string(i));
    many.push_back("x");
    EXPECT_EQ(Parsed(many).error, "--publish: more than 16");
}

TEST(Options, Limits)
{
    Parsed none({"pal", "run", "x"});
    EXPECT_EQ(none.options.memory, 0u);
    EXPECT_EQ(none.options.pids, (unsigned)PAL_DEFAULT_PIDS);
    Parsed p({"pal", "run", "--memory", "256M", "--pids=7", "x"});
    ASSERT_EQ(p.result, 0) << p.error;
    EXPECT_EQ(p.options.memory, 256ull << 20);
    EXPECT_EQ(p.options.pids, 7u);
    EXPECT_EQ(Parsed({"pal", "run", "--memory=3g", "x"}).options.memory, 3ull << 30);
    EXPECT_EQ(Parsed({"pal", "run", "--memory=33554432", "x"}).options.memory, 32ull << 20);
}

TEST(Options, Mounts)
{
    Parsed p({"pal", "run", "--mount", "/a:/b", "--mount=c:/d:rw", "--mount=/e:/f:ro", "x"});
    ASSERT_EQ(p.result, 0) << p.error;
    ASSERT_EQ(p.options.mount_count, 3u);
    EXPECT_STREQ(p.options.mounts[0].source, "/a");
    EXPECT_STREQ(p.options.mounts[0].target, "/b");
    EXPECT_FALSE(p.options.mounts[0].writable);
    EXPECT_STREQ(p.options.mounts[1].source, "c");
    EXPECT_TRUE(p.options.mounts[1].writable);
    EXPECT_FALSE(p.options.mounts[2].writable);
}

struct Bad {
    std::vector<std::string> words;
    std::string named; /* what the complaint must name */
};
std::ostream &operator<<(std::ostream &out, const Bad &bad)
{
    for (const auto &word : bad.words)
        out << word << ' ';
    return out;
}
class OptionsBad : public testing::TestWithParam<Bad>
{
};
TEST_P(OptionsBad, IsRefusedInOneLineThatNamesIt)
{
    Parsed p(GetParam().words);
    EXPECT_EQ(p.result, -1);
    EXPECT_NE(p.error.find(GetParam().named), std::string::npos) << p.error;
    EXPECT_EQ(p.error.find('\n'), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(
    Words, OptionsBad,
    testing::Values(
        Bad{{"pal"}, "no command"}, Bad{{"pal", "walk"}, "'walk'"},
        Bad{{"pal", "--walk"}, "'--walk'"}, Bad{{"pal", "run"}, "no program"},
        Bad{{"pal", "run", "--"}, "no program"}, Bad{{"pal", "run", "--bogus=1", "x"}, "'--bogus'"},
        Bad{{"pal", "run", "-x"}, "'-x'"}, Bad{{"pal", "run", "--memory=1", "x"}, "less than 16M"},
        Bad{{"pal", "run", "--memory=", "x"}, "--memory"},
        Bad{{"pal", "run", "--memory=-1", "x"}, "'-1'"},
        Bad{{"pal", "run", "--memory=5Q", "x"}, "'5Q'"},
        Bad{{"pal", "run", "--memory=99999999T", "x"}, "'99999999T'"},
        Bad{{"pal", "run", "--pids=0", "x"}, "'0'"},
        Bad{{"pal", "run", "--pids", "many", "x"}, "'many'"},
        Bad{{"pal", "run", "--root"}, "--root"}, Bad{{"pal", "run", "--root=", "x"}, "--root"},
        Bad{{"pal", "run", "--stats=1", "x"}, "--stats"},
        Bad{{"pal", "run", "--env", "A", "x"}, "'A'"},
        Bad{{"pal", "run", "--env", "=A", "x"}, "'=A'"},
        Bad{{"pal", "run", "--mount", "/a", "x"}, "'/a'"},
        Bad{{"pal", "run", "--mount", "/a:b", "x"}, "'/a:b'"},
        Bad{{"pal", "run", "--mount", ":/b", "x"}, "':/b'"},
        Bad{{"pal", "run", "--mount", "/a:/b:rx", "x"}, "'/a:/b:rx'"},
        Bad{{"pal", "run", "--cwd", "a", "x"}, "'a'"},
        Bad{{"pal", "run", "--intercept", "magic", "x"}, "'magic'"},
        Bad{{"pal", "platforms", "x"}, "'x'"}, Bad{{"pal", "syscalls", "--x"}, "'--x'"}));

TEST(Options, HelpWinsOverWhatFollows)
{
    Parsed p({"pal", "run", "--help", "--bogus"});
    EXPECT_EQ(p.result, 0);
    EXPECT_EQ(p.options.command, PAL_RUN_HELP);
}
} // namespace
