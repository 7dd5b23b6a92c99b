#include "fresnel/cli/column_writer.hpp"

#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

TEST(ColumnWriter, AlignsAsKubectlDoes) {
  ColumnWriter writer;
  EXPECT_EQ(writer.lines({{"NAME", "READY", "AGE"}, {"a-longer-name", "0/1", "5m"}, {"é", "", "10d"}}),
            "NAME            READY   AGE\n"
            "a-longer-name   0/1     5m\n"
            "é                       10d\n");
}

TEST(ColumnWriter, ColumnsAreAtLeastSixWide) {
  ColumnWriter writer;
  EXPECT_EQ(writer.line({"a", "b"}), "a     b\n");
}

TEST(ColumnWriter, KeepsWhatAColumnOnceNeeded) {
  ColumnWriter writer;
  EXPECT_EQ(writer.line({"wide-cell", "x"}), "wide-cell   x\n");
  EXPECT_EQ(writer.line({"a", "x"}), "a           x\n");
}

}  // namespace
}  // namespace fresnel::cli
