#include "file/fields.h"

#include <algorithm>

#include "file/format_error.h"

namespace earbit {

const Json* member(const Json::Members& members, const std::string& key) {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
  return found == members.end() ? nullptr : &found->second;
}

std::vector<Json> fields(const Json& object, const std::string& where,
                         const std::vector<std::string>& keys) {
  const Json::Members members = object.members(where);
  std::vector<Json> values;
  for (const std::string& key : keys) {
    const Json* value = member(members, key);
    if (value == nullptr) throw FormatError(where + ": no '" + key + "'");
    values.push_back(*value);
  }
  for (const auto& [key, value] : members) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw FormatError(where + ": '" + key + "', which this version does not know");
    }
  }
  return values;
}

int value_id(const Json& value, const std::string& where, int n_values) {
  return static_cast<int>(value.integer(where + ": value", 0, n_values - 1));
}

}  // namespace earbit
