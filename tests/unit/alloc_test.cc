#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

extern "C" {
#include "shim/base/alloc.h"
#include "tests/c_shims/pretended_platform.h"
}

namespace
{
TEST(Alloc, BlocksAreAlignedDisjointAndKeepTheirContents)
{
    std::mt19937 random(1);
    size_t before = shim_alloc_in_use();
    std::vector<std::pair<unsigned char *, size_t>> blocks;
    for (int i = 0; i < 2000; i++) {
        size_t size = random() % (i % 50 == 0 ? 200000 : 600);
        auto *p = static_cast<unsigned char *>(shim_alloc(size));
        ASSERT_NE(p, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 16, 0u);
        memset(p, i & 0xff, size);
        blocks.emplace_back(p, size);
        if (random() % 3 == 0) {
            size_t victim = random() % blocks.size();
            shim_free(blocks[victim].first);
            blocks[victim] = {nullptr, 0};
        }
    }
    for (size_t i = 0; i < blocks.size(); i++)
        for (size_t k = 0; k < blocks[i].second; k++)
            ASSERT_EQ(blocks[i].first[k], i & 0xff);
    for (auto &block : blocks)
        shim_free(block.first);
    EXPECT_EQ(shim_alloc_in_use(), before);
}

TEST(Alloc, ReallocKeepsContents)
{
    char *p = static_cast<char *>(shim_alloc(10));
    strcpy(p, "palimpse");
    for (size_t size : {20, 5000, 100000, 9}) {
        p = static_cast<char *>(shim_realloc(p, size));
        ASSERT_NE(p, nullptr);
        EXPECT_STREQ(p, "palimpse");
    }
    shim_free(p);
}

TEST(Alloc, ZeroedAfterReuse)
{
    void *dirty = shim_alloc(256);
    memset(dirty, 0xff, 256);
    shim_free(dirty);
    auto *clean = static_cast<unsigned char *>(shim_zalloc(256));
    for (int i = 0; i < 256; i++)
        ASSERT_EQ(clean[i], 0);
    shim_free(clean);
}

TEST(Alloc, WithoutMemoryItSaysSo)
{
    pretended_memory_available(0);
    EXPECT_EQ(shim_alloc(10 << 20), nullptr);
    pretended_memory_available(1);
    void *p = shim_alloc(10 << 20);
    EXPECT_NE(p, nullptr);
    shim_free(p);
}

TEST(Alloc, ManyThreads)
{
    size_t before = shim_alloc_in_use();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
        threads.emplace_back([t] {
            std::mt19937 random(t);
            std::vector<unsigned char *> mine(64);
            for (int i = 0; i < 20000; i++) {
                auto &slot = mine[random() % mine.size()];
                if (slot) {
                    ASSERT_EQ(slot[0], t);
                    shim_free(slot);
                    slot = nullptr;
                } else {
                    slot = static_cast<unsigned char *>(shim_alloc(1 + random() % 300));
                    slot[0] = static_cast<unsigned char>(t);
                }
            }
            for (auto *p : mine)
                shim_free(p);
        });
    }
    for (auto &thread : threads)
        thread.join();
    EXPECT_EQ(shim_alloc_in_use(), before);
}

TEST(AllocDeathTest, DoubleFreeAborts)
{
    void *p = shim_alloc(32);
    shim_free(p);
    EXPECT_DEATH(shim_free(p), "precondition");
}
} // namespace
