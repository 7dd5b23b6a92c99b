#include "fresnel/sim/protobuf.hpp"

#include <gtest/gtest.h>

#include "fresnel/sim/testing.hpp"

namespace fresnel::sim {
namespace {

std::string field(int number, std::string_view bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  out += static_cast<char>(bytes.size());
  return out.append(bytes);
}

std::string envelope(std::string_view api_version, std::string_view kind, std::string_view raw) {
  return std::string("k8s\0", 4) + field(1, field(1, api_version) + field(2, kind)) + field(2, raw);
}

TEST(ProtobufTest, ReadsWhatKubectlCreates) {
  // metadata {name, namespace "" (always written), creationTimestamp {} (skipped)}, data {k: v}, binaryData {b: bytes}
  const auto map = field(1, field(1, "a") + field(3, "") + field(8, "")) + field(2, field(1, "k") + field(2, "v")) +
                   field(3, field(1, "b") + field(2, "\xFF\x01"));
  EXPECT_EQ(object_from_protobuf(envelope("v1", "ConfigMap", map)),
            testing::object_of(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"},
                                   "binaryData":{"b":"/wE="}})"));
  const std::string replicas("\x08\xAC\x02", 3);  // field 1 = 300
  const auto containers = field(2, field(1, "c") + field(2, "nginx")) + field(2, field(1, "d") + field(2, "redis"));
  const auto deployment = field(1, field(1, "d")) + field(2, replicas + field(3, field(2, containers)));
  EXPECT_EQ(object_from_protobuf(envelope("apps/v1", "Deployment", deployment)),
            testing::object_of(R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":
                {"replicas":300,"template":{"spec":{"containers":[{"name":"c","image":"nginx"},
                {"name":"d","image":"redis"}]}}}})"));
}

TEST(ProtobufTest, RefusesTheRest) {
  EXPECT_FALSE(object_from_protobuf(""));
  EXPECT_FALSE(object_from_protobuf(R"({"kind":"ConfigMap"})"));
  EXPECT_FALSE(object_from_protobuf(envelope("v1", "Binding", "")));
  const auto whole = envelope("v1", "Namespace", field(1, field(1, "n")));
  EXPECT_TRUE(object_from_protobuf(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(object_from_protobuf(std::string_view(whole).substr(0, size))) << size;
  }
  EXPECT_FALSE(object_from_protobuf(envelope("v1", "Namespace", std::string("\x08\x01", 2))))
      << "a number for metadata";
  EXPECT_FALSE(object_from_protobuf(std::string("k8s\0", 4) + std::string(20, '\xFF')));
}

}  // namespace
}  // namespace fresnel::sim
