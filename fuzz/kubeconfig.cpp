// Kubeconfigs that clients send. Whatever is in them, nothing is opened or run, and each context is usable or says why.
#include "fresnel/kube/kubeconfig.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = fresnel::kube::parse_untrusted_kubeconfig(text, "(text)");
  if (!config) {
    if (config.error().message.find("kubeconfig (text): ") != 0) std::abort();
    return 0;
  }
  for (const auto& entry : config->contexts) {
    if (!entry.context) {
      if (entry.context.error().message.find("kubeconfig (text): ") != 0) std::abort();
      continue;
    }
    if (entry.context->source || !entry.context->proxy_url.empty()) std::abort();
    if (entry.context->server.find("http") != 0 || entry.context->identity().size() != 64) std::abort();
  }
  return 0;
}
