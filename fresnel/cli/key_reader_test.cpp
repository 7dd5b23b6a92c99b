#include "fresnel/cli/key_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(KeyReader, ReadsLettersArrowsAndPages) {
  KeyReader reader;
  EXPECT_THAT(reader.feed("jkgGq\x03"), ElementsAre(Key::down, Key::up, Key::home, Key::end, Key::quit, Key::quit));
  EXPECT_THAT(reader.feed("\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~"),
              ElementsAre(Key::up, Key::down, Key::up, Key::page_up, Key::page_down, Key::home, Key::end));
}

TEST(KeyReader, ASequenceMayArriveInPieces) {
  KeyReader reader;
  EXPECT_THAT(reader.feed("\x1b"), IsEmpty());
  EXPECT_THAT(reader.feed("["), IsEmpty());
  EXPECT_THAT(reader.feed("6"), IsEmpty());
  EXPECT_THAT(reader.feed("~"), ElementsAre(Key::page_down));
}

TEST(KeyReader, OtherKeysAreSkippedWhole) {
  KeyReader reader;
  EXPECT_THAT(reader.feed("x\x1b[1;5C\x1b[200~\xc3\xa9"), IsEmpty());
  EXPECT_THAT(reader.feed("\x1bq"), ElementsAre(Key::quit));
  EXPECT_THAT(reader.feed("\x1b[" + std::string(1000, '1') + "~j"), ElementsAre(Key::down));
}

}  // namespace
}  // namespace fresnel::cli
