// A credential that a program gives: `exec` of a kubeconfig's user, as kubectl runs it.
//
//   auto plugin = ExecPlugin::make(std::move(config));   // invalid_argument: what is wrong with the configuration
//   context.source = *plugin;
//
// - A credential is used until its expirationTimestamp, or until it is refused when it has none.
// - One run for all who ask at once, on any threads. The run is nobody's own: whoever gives up leaves it to the others.
//   It is ended with the executor of the caller that started it; then one of those who wait starts another.
// - A run that brings nothing to go on with (an error, a credential that has expired, the very one that was refused) is
//   not repeated for a second: whoever asks meanwhile gets what it brought.
// - The program gets this process's environment without FRESNEL_* and HEADLAMP_*, in which a gateway has secrets of its
//   own, then `env`, then KUBERNETES_EXEC_INFO. It gets no terminal, no input and no descriptors
//   (base/child_process.hpp).
//
// Errors of get() are unauthorized, cancelled when the caller was, and say what the program wrote on standard error.
//
// Thread safety: all functions from any thread; the executor of a caller of get() runs one handler at a time, as its
// thread's io_context does. setenv() must not be called while get() runs.
// Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/credential_source.hpp"
#include "fresnel/kube/exec_credential.hpp"

namespace fresnel::kube {

struct ExecConfig {
  enum class InteractiveMode { never, if_available, always };

  std::string api_version;  // client.authentication.k8s.io/v1 or /v1beta1
  std::string command;      // a name for PATH, or a path that is already resolved against the kubeconfig's folder
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  std::string install_hint;  // told when there is no such command
  bool provide_cluster_info = false;
  InteractiveMode interactive_mode = InteractiveMode::if_available;
  ExecCluster cluster;        // for provide_cluster_info
  std::string working_place;  // begins every message: kubeconfig FILE: user "NAME"
};

struct ExecPluginOptions {
  std::shared_ptr<Clock> clock = std::make_shared<SteadyClock>();
  Duration limit = seconds(30);  // of a run
};

class ExecPlugin final : public CredentialSource, public std::enable_shared_from_this<ExecPlugin> {
 public:
  // Runs nothing. Errors: invalid_argument (another apiVersion, no command, a command that must have a terminal).
  [[nodiscard]] static result<std::shared_ptr<ExecPlugin>> make(ExecConfig config, ExecPluginOptions options = {});
  ~ExecPlugin() override;

  // Of what decides which credential it is: not of words for messages, nor of a cluster that the program is not told
  // of.
  [[nodiscard]] const std::string& identity() const noexcept override { return identity_; }
  [[nodiscard]] awaitable<result<Credential>> get() override;
  void refused(const Credential& refused) override;
  [[nodiscard]] std::uint64_t generation() override;

 private:
  class Waiter;
  class Place;
  class Ending;
  struct Run;
  using Outcome = result<ExecCredential>;

  ExecPlugin(ExecConfig config, ExecPluginOptions options);

  static awaitable<result<Credential>> ask(std::shared_ptr<ExecPlugin> self);
  static awaitable<void> drive(std::shared_ptr<ExecPlugin> self, std::unique_ptr<Ending> ending);
  [[nodiscard]] awaitable<Outcome> run_program();
  [[nodiscard]] std::vector<std::string> environment() const;
  [[nodiscard]] Error failure(std::string_view what, std::string_view printed = {}) const;
  // These with the mutex held.
  [[nodiscard]] std::optional<result<Credential>> known() const;
  void remember(Outcome outcome);
  void end_run(Run& run, const std::optional<Outcome>& outcome);

  const ExecConfig config_;
  const ExecPluginOptions options_;
  const std::string identity_;

  std::mutex mutex_;  // guards all below
  std::shared_ptr<Run> run_;
  std::optional<Outcome> last_;                 // what the last run brought; none before it, and when that was refused
  TimePoint settled_until_ = TimePoint::min();  // until then last_ is the answer, whatever it is
  std::optional<Credential> refused_;
  std::string last_identity_;  // of the last credential there was
  std::uint64_t generation_ = 0;
};

}  // namespace fresnel::kube
