#include "fresnel/base/file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace fresnel {

FileStamp FileStamp::of(const std::string& path) noexcept {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  FileStamp stamp;
  stamp.exists = true;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = status.st_size;
  stamp.modified_ns = nanoseconds(status.st_mtim);
  stamp.changed_ns = nanoseconds(status.st_ctim);
  return stamp;
}

result<std::string> read_file(const std::string& path, std::size_t limit) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Error{Errc::invalid_argument, fmt::format("\"{}\" is a folder; expected a file", path)};
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char part[16 << 10];
  while (in.is_open() && text.size() <= limit && (in.read(part, sizeof part) || in.gcount() > 0)) {
    text.append(part, static_cast<std::size_t>(in.gcount()));
  }
  if (!in.is_open() || in.bad()) {
    const int reason = errno != 0 ? errno : EIO;
    return Error{reason == ENOENT ? Errc::not_found : Errc::invalid_argument,
                 fmt::format("cannot read \"{}\": {}", path, std::strerror(reason))};
  }
  if (text.size() > limit) {
    return Error{Errc::invalid_argument, fmt::format("\"{}\" has more than {} bytes", path, limit)};
  }
  return text;
}

}  // namespace fresnel
