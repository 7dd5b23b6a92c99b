// A bearer token in a file that somebody else renews: a kubeconfig's tokenFile, a pod's service account.
//
// The file is read again when it has changed. While it cannot be read or is empty, the last token goes on being used:
// whoever renews it may be in the middle of that.
//
// Thread safety: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "fresnel/base/file.hpp"
#include "fresnel/kube/credential_source.hpp"

namespace fresnel::kube {

class TokenFile final : public CredentialSource, public std::enable_shared_from_this<TokenFile> {
 public:
  // `place` stands before messages. `fallback`: the token while the file has none yet, empty: none.
  TokenFile(std::string path, std::string place, std::string fallback = {});

  [[nodiscard]] const std::string& identity() const noexcept override { return identity_; }
  [[nodiscard]] awaitable<result<Credential>> get() override;
  void refused(const Credential& refused) override;
  [[nodiscard]] std::uint64_t generation() override;

  // Without waiting, as get(). Error unauthorized.
  [[nodiscard]] result<Credential> read();

 private:
  void look();

  const std::string path_;
  const std::string place_;
  const std::string identity_;
  std::mutex mutex_;
  FileStamp stamp_;
  std::string token_;
  std::string problem_;  // of the last reading
  std::uint64_t generation_ = 0;
};

}  // namespace fresnel::kube
