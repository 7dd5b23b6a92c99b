#include "fresnel/sim/resource_type.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>

namespace fresnel::sim {
namespace {

auto order_of(const ResourceType& type) { return std::tie(type.group, type.version, type.plural); }

bool before(const ResourceTypePtr& a, const ResourceTypePtr& b) { return order_of(*a) < order_of(*b); }

}  // namespace

std::string ResourceType::group_version() const { return group.empty() ? version : group + "/" + version; }

std::string ResourceType::qualified_name() const { return group.empty() ? plural : plural + "." + group; }

bool ResourceType::is(std::string_view in_group, std::string_view in_plural) const noexcept {
  return plural == in_plural && group == in_group;
}

ResourceTypes::ResourceTypes() : types_(builtin_types()) { std::sort(types_.begin(), types_.end(), before); }

ResourceTypePtr ResourceTypes::find(std::string_view group, std::string_view version, std::string_view plural) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const ResourceTypePtr& type) {
    return type->is(group, plural) && type->version == version;
  });
  return found == types_.end() ? nullptr : *found;
}

ResourceTypePtr ResourceTypes::find_kind(std::string_view group_version, std::string_view kind) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const ResourceTypePtr& type) {
    return type->kind == kind && type->group_version() == group_version;
  });
  return found == types_.end() ? nullptr : *found;
}

ResourceTypePtr ResourceTypes::named(std::string_view qualified_name) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const ResourceTypePtr& type) {
    return type->qualified_name() == qualified_name;
  });
  if (found == types_.end()) throw std::out_of_range("no resource " + std::string(qualified_name));
  return *found;
}

void ResourceTypes::add(ResourceTypePtr type) {
  remove(*type);
  types_.insert(std::upper_bound(types_.begin(), types_.end(), type, before), std::move(type));
}

void ResourceTypes::remove(const ResourceType& type) {
  std::erase_if(types_, [&](const ResourceTypePtr& known) { return order_of(*known) == order_of(type); });
}

}  // namespace fresnel::sim
