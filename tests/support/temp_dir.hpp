// A folder of a test's own, removed with everything in it when the test ends.
//
// Thread safety: a value owned by one thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace fresnel::test {

class TempDir {
 public:
  TempDir();  // throws std::runtime_error when the folder cannot be made
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  // Writes a file below the folder, making its parents; returns its path. Mode 0600.
  std::filesystem::path write(const std::filesystem::path& name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

// The whole text of a file; throws std::runtime_error when it cannot be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& file);

}  // namespace fresnel::test
