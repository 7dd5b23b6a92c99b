#include "fresnel/cli/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <thread>

namespace fresnel::cli {
namespace {

class OutputTest : public testing::Test {
 protected:
  OutputTest() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe(ends_), 0);
  }
  ~OutputTest() override {
    close(ends_[1]);
    close_reader();
  }
  void close_reader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  int ends_[2] = {-1, -1};
};

TEST_F(OutputTest, WritesEverythingEvenWhenThePipeIsFullAndNonBlocking) {
  fcntl(ends_[1], F_SETFL, O_NONBLOCK);
  const std::string sent(300'000, 'x');
  std::size_t received = 0;
  std::thread reader([&] {
    char buffer[4096];
    while (received < sent.size()) received += static_cast<std::size_t>(read(ends_[0], buffer, sizeof buffer));
  });
  Output output(ends_[1]);
  EXPECT_TRUE(output.write(sent));
  reader.join();
  EXPECT_EQ(received, sent.size());
}

TEST_F(OutputTest, KnowsThatTheReaderHasGone) {
  Output output(ends_[1]);
  EXPECT_FALSE(output.reader_gone());
  EXPECT_TRUE(output.write("x"));
  close_reader();
  EXPECT_TRUE(output.reader_gone());
  EXPECT_FALSE(output.write("x"));
}

TEST_F(OutputTest, APipeIsNoTerminal) {
  EXPECT_FALSE(Output(ends_[1]).is_terminal());
  EXPECT_FALSE(wants_colour(Output(ends_[1])));
}

}  // namespace
}  // namespace fresnel::cli
