// `fresnel get`: lists objects of one or more clusters.
#include <CLI/App.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>

#include "fresnel/cli/answer_printer.hpp"
#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/cli/table.hpp"
#include "fresnel/cli/targets.hpp"
#include "fresnel/net/curl_client.hpp"

namespace fresnel::cli {
namespace {

constexpr char kExamples[] = R"(
Examples:
  # Pods of the current context's namespace
  fresnel get pods
  # All deployments of two clusters at once, with a CLUSTER column
  fresnel get deploy -A --context prod-eu --context prod-us
  # One object as YAML
  fresnel get pod web-0 -n shop -o yaml
  # Names of the running pods of an app, through a gateway
  fresnel get pods -l app=web --field-selector status.phase=Running -o name --gateway http://127.0.0.1:4466)";

void rethrow(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

awaitable<void> ask_cluster(const ResourceArgs& args, net::HttpTransport& transport, kube::ClusterContext context,
                            ClusterAnswer& answer) {
  kube::ApiClient client(transport, std::move(context));
  auto target = co_await find_resource(args, client);
  if (!target) {
    answer.body = target.error();
    co_return;
  }
  answer.resource = target->resource;
  answer.namespace_ = target->namespace_;
  kube::ApiRequest request;
  request.path = args.one_object() ? target->resource.object_path(target->namespace_, args.name)
                                   : target->resource.list_path(target->namespace_);
  request.query = args.selector_query(false);
  if (args.output == OutputFormat::table || args.output == OutputFormat::wide) request.accept = kAcceptTable;
  auto response = co_await client.request(std::move(request));
  if (response) {
    answer.body = std::move(response->body);
  } else {
    answer.body = response.error();
  }
}

int run_get(ResourceArgs args) {
  asio::io_context io(1);
  net::CurlClient transport(io.get_executor());

  const auto targets = find_targets(args, io, transport);
  if (!targets) {
    (void)Output(STDERR_FILENO).write(error_text(targets.error()) + "\n");
    return kExitError;
  }

  std::vector<ClusterAnswer> answers(targets->size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    answers[i].cluster = (*targets)[i].name;
    asio::co_spawn(io, ask_cluster(args, transport, (*targets)[i], answers[i]), rethrow);
  }
  io.restart();
  io.run();

  const auto printed = print_answers(args, answers, wall_now());
  // A reader that has gone away has seen what it wanted.
  if (!Output().write(printed.out)) return kExitOk;
  (void)Output(STDERR_FILENO).write(printed.err);
  return printed.exit_code;
}

}  // namespace

void add_get_command(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("get", "List objects of one or more clusters");
  command->footer(kExamples);
  auto args = std::make_shared<ResourceArgs>();
  add_resource_options(*command, *args);
  command->add_flag("--show-managed-fields", args->show_managed_fields,
                    "Keep metadata.managedFields in JSON and YAML output");
  command->callback([args, &chosen] {
    if (auto done = complete(*args); !done) throw CLI::ValidationError(done.error().message);
    chosen = [args] { return run_get(*args); };
  });
}

}  // namespace fresnel::cli
