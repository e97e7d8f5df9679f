// Objects with known keys in the JSON of a file.
#pragma once

#include <string>
#include <vector>

#include "file/json.h"

namespace earbit {

// The member of an object with this key, or null.
const Json* member(const Json::Members& members, const std::string& key);

// The members of an object in the order of `keys`; throws if it has others or lacks any.
std::vector<Json> fields(const Json& object, const std::string& where,
                         const std::vector<std::string>& keys);

// The id of a value of a program.
int value_id(const Json& value, const std::string& where, int n_values);

}  // namespace earbit
