// Small files that somebody else writes: their text, and whether they are still the ones that were read.
//
// Thread safety: values and functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fresnel/base/error.hpp"

namespace fresnel {

// Cheap to ask often, and right through symbolic links, which is how Kubernetes replaces mounted files (inotify on the
// link would see nothing).
struct FileStamp {
  bool exists = false;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;         // bytes
  std::int64_t modified_ns = 0;  // since the epoch
  std::int64_t changed_ns = 0;   // of the inode: a rewrite that puts the modification time back is still seen

  // A file that cannot be looked at counts as one that does not exist.
  [[nodiscard]] static FileStamp of(const std::string& path) noexcept;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// The whole file. Errors: not_found when there is none; invalid_argument for a folder, a file of more than `limit`
// bytes, or one that cannot be read. Messages name the path.
[[nodiscard]] result<std::string> read_file(const std::string& path, std::size_t limit);

}  // namespace fresnel
