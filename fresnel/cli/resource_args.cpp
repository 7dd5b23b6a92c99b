#include "fresnel/cli/resource_args.hpp"

#include <CLI/App.hpp>
#include <boost/url/parse.hpp>
#include <map>

#include "fresnel/kube/api_client.hpp"

namespace fresnel::cli {
namespace {

Error usage(std::string message) { return {Errc::invalid_argument, std::move(message)}; }

void append_parameter(std::string& query, std::string_view name, const std::string& value) {
  if (value.empty()) return;
  if (!query.empty()) query.push_back('&');
  query.append(name).append("=").append(kube::percent_encode(value));
}

}  // namespace

std::string ResourceArgs::selector_query(bool by_name) const {
  std::string fields = field_selector;
  if (by_name && !name.empty()) {
    if (!fields.empty()) fields.push_back(',');
    fields += "metadata.name=" + name;
  }
  std::string query;
  append_parameter(query, "labelSelector", label_selector);
  append_parameter(query, "fieldSelector", fields);
  return query;
}

std::string ResourceArgs::namespace_or(const std::string& default_namespace) const {
  if (all_namespaces) return {};
  return namespace_.empty() ? default_namespace : namespace_;
}

void add_resource_options(CLI::App& command, ResourceArgs& args) {
  static const std::map<std::string, OutputFormat> kFormats = {{"table", OutputFormat::table},
                                                               {"wide", OutputFormat::wide},
                                                               {"name", OutputFormat::name},
                                                               {"json", OutputFormat::json},
                                                               {"yaml", OutputFormat::yaml}};
  command
      .add_option("RESOURCE", args.resource,
                  "What to show: pods, po, deploy.apps, Node, a custom resource; or pod/NAME")
      ->required();
  command.add_option("NAME", args.name, "Only the object of this name");
  command.add_option("-n,--namespace", args.namespace_, "Namespace (default: the context's)")->type_name("NS");
  command.add_flag("-A,--all-namespaces", args.all_namespaces, "All namespaces");
  command
      .add_option("--context", args.contexts,
                  "Kubeconfig context, or a cluster of the gateway; repeat it for several clusters at once")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command.add_option("-l,--selector", args.label_selector, "Label selector: app=web,tier!=cache")->type_name("SEL");
  command.add_option("--field-selector", args.field_selector, "Field selector: status.phase=Running")->type_name("SEL");
  command.add_option("-o,--output", args.output, "table, wide, name, json or yaml (default: table)")
      ->transform(CLI::CheckedTransformer(kFormats).description(""))
      ->type_name("FORMAT");
  command.add_option("--gateway", args.gateway, "Ask through the Fresnel gateway at this URL")->type_name("URL");
  command.add_option("--kubeconfig", args.kubeconfig, "Kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
      ->type_name("FILE");
}

result<void> complete(ResourceArgs& args) {
  if (const auto slash = args.resource.find('/'); slash != std::string::npos) {
    if (!args.name.empty()) return usage("there is a name both in RESOURCE/NAME and after it");
    args.name = args.resource.substr(slash + 1);
    args.resource.resize(slash);
    if (args.name.empty() || args.resource.empty()) return usage("expected RESOURCE/NAME");
  }
  if (args.resource.empty()) return usage("expected a RESOURCE");
  if (args.one_object() && args.all_namespaces) {
    return usage("a resource cannot be retrieved by name across all namespaces");
  }
  if (args.one_object() && !args.label_selector.empty())
    return usage("name cannot be provided when a selector is specified");
  if (args.all_namespaces && !args.namespace_.empty())
    return usage("--namespace and --all-namespaces exclude each other");
  if (args.gateway.empty()) return {};

  const auto url = boost::urls::parse_uri(args.gateway);
  if (!url || url->host().empty() || (url->scheme() != "http" && url->scheme() != "https") || url->has_query() ||
      url->has_fragment() || url->has_userinfo()) {
    return usage("--gateway: expected an http or https URL, such as http://127.0.0.1:4466");
  }
  while (args.gateway.ends_with('/')) args.gateway.pop_back();
  return {};
}

}  // namespace fresnel::cli
