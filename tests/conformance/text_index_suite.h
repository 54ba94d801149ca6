// What every TextIndex promises. An implementation instantiates it:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, TextIndexSuite, ::testing::Values(TextIndexCase{[] { return ...; }}));
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "storage/text_index.h"

namespace agentruntime::testing {

struct TextIndexCase {
  std::function<std::unique_ptr<TextIndex>()> make;  // an empty one
};

class TextIndexSuite : public ::testing::TestWithParam<TextIndexCase> {
 protected:
  const std::unique_ptr<TextIndex> index_ = GetParam().make();
};

}  // namespace agentruntime::testing
