#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "pal/config.h"
}

namespace
{
using Block = std::unique_ptr<shim_config, decltype(&free)>;

/* Moves the block, as a platform does when it copies it into shim memory. */
Block pack(const pal_options &options, std::vector<const char *> environment, size_t *size)
{
    environment.push_back(nullptr);
    pal_host_facts host = {};
    host.environ = const_cast<char *const *>(environment.data());
    host.cwd = "/home";
    host.hostname = "box";
    host.umask = 022;
    Block first(config_pack(&options, &host, size), free);
    Block moved(static_cast<shim_config *>(malloc(*size)), free);
    memcpy(moved.get(), first.get(), *size);
    memset(first.get(), 0xee, *size);
    return moved;
}

std::vector<std::string> strings(const shim_config *c, uint32_t offset, uint32_t count)
{
    std::vector<std::string> out;
    auto *offsets = reinterpret_cast<const uint32_t *>(reinterpret_cast<const char *>(c) + offset);
    for (uint32_t i = 0; i < count; i++)
        out.emplace_back(shim_config_string(c, offsets[i]));
    return out;
}

TEST(Config, HoldsEverythingAndMoves)
{
    char program[] = "ls", argument[] = "";
    char *argv[] = {program, argument, nullptr};
    char source[] = "/src";
    pal_mount mount = {source, "/dst", true};
    const char *env[] = {"B=3", "C=4"};
    pal_options options = {};
    options.root = "/";
    options.program = argv;
    options.program_argc = 2;
    options.overlay = "/changes";
    options.mounts = &mount;
    options.mount_count = 1;
    options.env = env;
    options.env_count = 2;
    options.stats = true;
    size_t size;
    Block c = pack(options, {"A=1", "B=2"}, &size);
    EXPECT_EQ(c->version, SHIM_CONFIG_VERSION);
    EXPECT_EQ(c->size, size);
    EXPECT_STREQ(shim_config_string(c.get(), c->path), "ls");
    EXPECT_EQ(strings(c.get(), c->argv, c->argc), (std::vector<std::string>{"ls", ""}));
    EXPECT_EQ(strings(c.get(), c->envp, c->envc), (std::vector<std::string>{"A=1", "B=3", "C=4"}));
    EXPECT_STREQ(shim_config_string(c.get(), c->cwd), "/home");
    EXPECT_EQ(c->cwd_required, 0u);
    EXPECT_STREQ(shim_config_string(c.get(), c->hostname), "box");
    EXPECT_EQ(c->umask, 022u);
    EXPECT_EQ(c->stats, 1u);
    EXPECT_EQ(c->trace, 0u);
    EXPECT_STREQ(shim_config_string(c.get(), c->overlay), "overlay");
    ASSERT_EQ(c->mount_count, 2u);
    auto *mounts = reinterpret_cast<const shim_config_mount *>(
        reinterpret_cast<const char *>(c.get()) + c->mounts);
    EXPECT_STREQ(shim_config_string(c.get(), mounts[0].grant), "root");
    EXPECT_STREQ(shim_config_string(c.get(), mounts[0].target), "/");
    EXPECT_EQ(mounts[0].overlay, 1u);
    EXPECT_STREQ(shim_config_string(c.get(), mounts[1].grant), "mount0");
    EXPECT_STREQ(shim_config_string(c.get(), mounts[1].target), "/dst");
    EXPECT_EQ(mounts[1].writable, 1u);
    EXPECT_EQ(mounts[1].overlay, 0u);
}

TEST(Config, ClearedEnvironmentKeepsOnlyWhatWasAsked)
{
    char program[] = "x";
    char *argv[] = {program, nullptr};
    const char *env[] = {"A=1", "A=2", "AB=3"};
    pal_options options = {};
    options.program = argv;
    options.program_argc = 1;
    options.env = env;
    options.env_count = 3;
    options.clear_env = true;
    options.cwd = "/else";
    size_t size;
    Block c = pack(options, {"A=0", "Z=9"}, &size);
    EXPECT_EQ(strings(c.get(), c->envp, c->envc), (std::vector<std::string>{"A=2", "AB=3"}));
    EXPECT_STREQ(shim_config_string(c.get(), c->cwd), "/else");
    EXPECT_EQ(c->cwd_required, 1u);
}

TEST(Config, ManyArguments)
{
    std::vector<std::string> words;
    for (int i = 0; i < 5000; i++)
        words.push_back("argument " + std::to_string(i));
    std::vector<char *> argv;
    for (auto &word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    pal_options options = {};
    options.program = argv.data();
    options.program_argc = static_cast<int>(words.size());
    size_t size;
    Block c = pack(options, {}, &size);
    EXPECT_EQ(strings(c.get(), c->argv, c->argc), words);
}
} // namespace
