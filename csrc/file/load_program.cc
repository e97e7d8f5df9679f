#include "file/load_program.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <set>

#include "file/checksum.h"
#include "file/format_error.h"
#include "file/safetensors.h"

namespace earbit {
namespace {

constexpr const char* kFormat = "earbit-program-1";
constexpr const char* kModelFormats = "earbit-model-";  // prefix of formats of trained models
constexpr const char* kMetadataKey = "earbit";
constexpr const char* kChecksumKey = "earbit-checksum";  // checksum of the other value
constexpr size_t kMaxOps = 100'000;
// Maximum memory of all values per frame, in bytes per byte of the file.  Models need less than 1.
// Without a limit, a small file could request any amount of memory.
constexpr int64_t kMaxGrowth = 16;
constexpr std::array kHeadKinds = {"class", "sequence", "vector", "segments"};
constexpr int64_t kMaxSlotLabels = int64_t{1} << 20;

// The member of an object with this key, or null.
const Json* member(const Json::Members& members, const std::string& key) {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
  return found == members.end() ? nullptr : &found->second;
}

// The members of an object in the order of `keys`; throws if it has others or lacks any.
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

std::vector<int> value_ids(const Json& values, const std::string& where, int n_values) {
  std::vector<int> ids;
  for (const Json& value : values.items(where)) ids.push_back(value_id(value, where, n_values));
  return ids;
}

// The tensors of a file.  Each can be read by one op only: with shared tensors, a small file could
// request the memory of many ops.
class Tensors {
 public:
  // checksums: checksum of every tensor by name, or null.
  Tensors(const Source& source, std::map<std::string, TensorRecord> records, const Json* checksums)
      : source_(source), records_(std::move(records)), has_checksums_(checksums != nullptr) {
    if (!has_checksums_) return;
    for (const auto& [name, value] : checksums->members("checksums")) {
      checksums_[name] = value.name("checksum of '" + name + "'");
      if (records_.count(name) == 0) {
        throw FormatError("checksums: '" + name + "', which is not in the file");
      }
    }
  }

  // Appends the tensor requested by `where` to `data`.
  Tensor read(const std::string& where, const std::string& name,
              std::vector<std::unique_ptr<uint64_t[]>>& data) {
    const auto found = records_.find(name);
    if (found == records_.end()) {
      throw FormatError(where + " is '" + name + "', which is not in the file");
    }
    if (!used_.insert(name).second) {
      throw FormatError(where + " is '" + name + "', which another op has; each needs its own");
    }
    const TensorRecord& record = found->second;
    // Stored as words, so that elements of any type are aligned.
    const size_t n_words = (record.n_bytes + 7) / 8;
    data.emplace_back(new uint64_t[n_words]);
    if (n_words > 0) data.back()[n_words - 1] = 0;
    source_.read(record.offset, record.n_bytes, data.back().get());
    sums_.push_back(checksum_of(data.back().get(), n_words));
    if (has_checksums_) check(name, checksum_text(sums_.back()));
    return {record.dtype, record.shape, data.back().get()};
  }

  void finish() const {
    for (const auto& [name, record] : records_) {
      if (used_.count(name) == 0) throw FormatError("tensor '" + name + "': no op reads it");
    }
  }

  // Checksums of the tensors read so far, in reading order, which the header determines.
  const std::vector<uint64_t>& sums() const { return sums_; }

 private:
  void check(const std::string& name, const std::string& checksum) const {
    const auto found = checksums_.find(name);
    if (found == checksums_.end()) throw FormatError("checksums: none of tensor '" + name + "'");
    if (found->second == checksum) return;
    throw FormatError("the file is damaged: the checksum of tensor '" + name + "' is " + checksum +
                      ", its header says " + found->second + "; copy or export it again");
  }

  const Source& source_;
  std::map<std::string, TensorRecord> records_;
  bool has_checksums_;
  std::map<std::string, std::string> checksums_;
  std::set<std::string> used_;
  std::vector<uint64_t> sums_;
};

void add_op(const Json& record, int i, Tensors& tensors, Program& program) {
  const std::string where = "op " + std::to_string(i);
  const std::vector<Json> values =
      fields(record, where, {"op", "inputs", "ints", "floats", "tensors"});
  const std::string name = values[0].name(where + " op");
  const std::vector<int> inputs = value_ids(values[1], where + " inputs", program.n_values());
  std::map<std::string, int64_t> ints;
  for (const auto& [role, value] : values[2].members(where + " ints")) {
    ints[role] = value.integer(where + ": " + role, -INT_MAX, INT_MAX);
  }
  std::map<std::string, double> floats;
  for (const auto& [role, value] : values[3].members(where + " floats")) {
    floats[role] = value.number(where + ": " + role);
  }
  std::vector<std::unique_ptr<uint64_t[]>> data;
  std::map<std::string, Tensor> views;
  for (const auto& [role, value] : values[4].members(where + " tensors")) {
    const std::string tensor = where + ": tensor '" + role + "'";
    views[role] = tensors.read(tensor, value.name(tensor), data);
  }
  try {
    Attributes attributes(std::move(ints), std::move(floats), std::move(views));
    program.add(name, inputs, attributes);
  } catch (const std::invalid_argument& error) {
    throw FormatError(where + " (" + name + "): " + error.what());
  }
}

// Labels of every slot of a head: all labels without slots.
std::vector<int> read_slots(const Json* slots, size_t n_labels) {
  if (slots == nullptr) return {static_cast<int>(n_labels)};
  std::vector<int> sizes;
  int64_t n_named = 0;
  for (const Json& size : slots->items("head slots")) {
    sizes.push_back(static_cast<int>(size.integer("head slot", 1, kMaxSlotLabels)));
    n_named += sizes.back();
  }
  if (n_named != static_cast<int64_t>(n_labels)) {
    throw FormatError("head: slots of " + std::to_string(n_named) + " labels, there are " +
                      std::to_string(n_labels));
  }
  return sizes;
}

void check_distinct(const std::vector<std::string>& labels, const std::vector<int>& slots) {
  auto next = labels.begin();
  for (const int size : slots) {
    std::set<std::string> distinct;
    for (int i = 0; i < size; ++i, ++next) {
      if (!distinct.insert(*next).second) throw FormatError("head: label '" + *next + "' twice");
    }
  }
}

Head read_head(const Json& record, const Program& program) {
  std::vector<std::string> keys = {"task", "value", "labels"};
  const auto members = record.members("head");
  // Programs of older versions have no kind.
  const Json* kind = member(members, "kind");
  const Json* slots = member(members, "slots");
  if (kind != nullptr) keys.push_back("kind");
  if (slots != nullptr) keys.push_back("slots");
  const std::vector<Json> values = fields(record, "head", keys);
  Head head{values[0].name("head task"),
            kind == nullptr ? "class" : kind->string("head kind"),
            value_id(values[1], "head", program.n_values()),
            {},
            {}};
  if (std::find(kHeadKinds.begin(), kHeadKinds.end(), head.kind) == kHeadKinds.end()) {
    throw FormatError("head kind: " + kind->excerpt() +
                      ", this version knows 'class', 'sequence', 'vector' and 'segments'");
  }
  const Type& type = program.type(head.value);
  const std::vector<Json> labels = values[2].items("head labels");
  const size_t n_expected = head.kind == "vector" ? 0 : static_cast<size_t>(type.cols);
  if (type.kind != Kind::floats || labels.size() != n_expected) {
    throw FormatError("head: " + std::to_string(labels.size()) + " labels for value " +
                      std::to_string(head.value) +
                      (type.kind == Kind::floats
                           ? " of " + std::to_string(type.cols) + " columns and kind '" +
                                 head.kind + "', expected " + std::to_string(n_expected)
                           : ", which is not of floats"));
  }
  for (const Json& label : labels) {
    head.labels.push_back(label.name("head label " + std::to_string(head.labels.size())));
  }
  if (slots != nullptr && head.kind != "class") {
    throw FormatError("head: slots of kind '" + head.kind + "'; only a class has slots");
  }
  head.slots = read_slots(slots, labels.size());
  check_distinct(head.labels, head.slots);
  return head;
}

uint64_t checksum_of_text(const std::string& text) {
  std::vector<uint64_t> words((text.size() + 7) / 8);
  if (!text.empty()) std::memcpy(words.data(), text.data(), text.size());
  return checksum_of(words.data(), words.size());
}

// Digest of a whole file: of its header and of the checksums of its tensors, which are all other
// bytes.
std::string digest_of(const std::string& header, const std::vector<uint64_t>& sums) {
  std::vector<uint64_t> words = {header.size(), checksum_of_text(header)};
  words.insert(words.end(), sums.begin(), sums.end());
  return checksum_text(checksum_of(words.data(), words.size()));
}

// Throws FormatError if the program does not match its checksum.
void check_text(const std::string& text, const std::string& expected) {
  if (checksum_text(checksum_of_text(text)) == expected) return;
  throw FormatError(
      "the file is damaged: its program is not what its checksum says; copy or export it again");
}

void check_format(const Json& value) {
  const std::string format = value.string("format");
  if (format == kFormat) return;
  if (format.rfind(kModelFormats, 0) == 0) {
    throw FormatError(
        "this is a model, not a program; `earbit export` makes a program of it: "
        "earbit export MODEL --out PROGRAM.safetensors");
  }
  throw FormatError("format " + value.excerpt() + ", this version runs '" + kFormat +
                    "'; export the model again");
}

}  // namespace

LoadedProgram load_program(const Source& source) {
  const SafetensorsHeader header(source);
  const std::optional<std::string> text = header.metadata(kMetadataKey);
  if (!text) {
    throw FormatError("a safetensors file without earbit metadata; give a file of `earbit export`");
  }
  if (const auto checksum = header.metadata(kChecksumKey)) check_text(*text, *checksum);
  const Json json = Json::parse(*text);
  // Checks the format first, because other formats have other fields.
  const Json::Members members = json.members("program");
  const Json* format = member(members, "format");
  if (format != nullptr) check_format(*format);
  std::vector<std::string> keys = {"format", "ops", "outputs", "bits", "origin"};
  const Json* head = member(members, "head");
  if (head != nullptr) keys.push_back("head");
  const Json* checksums = member(members, "checksums");
  if (checksums != nullptr) keys.push_back("checksums");
  const std::vector<Json> parts = fields(json, "program", keys);
  const std::vector<Json> records = parts[1].items("ops");
  if (records.empty() || records.size() > kMaxOps) {
    throw FormatError(std::to_string(records.size()) + " ops; allowed: 1 to " +
                      std::to_string(kMaxOps));
  }
  Tensors tensors(source, header.tensors(), checksums);
  auto program = std::make_unique<Program>();
  const int64_t max_row_bytes = kMaxGrowth * static_cast<int64_t>(source.size());
  int64_t row_bytes = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    add_op(records[i], static_cast<int>(i), tensors, *program);
    row_bytes += program->type(program->n_values() - 1).row_bytes();
    if (row_bytes > max_row_bytes) {
      throw FormatError("op " + std::to_string(i) + ": values of " + std::to_string(row_bytes) +
                        " bytes a frame so far; a file of " + std::to_string(source.size()) +
                        " bytes may ask for " + std::to_string(max_row_bytes));
    }
  }
  tensors.finish();

  LoadedProgram loaded;
  loaded.outputs = value_ids(parts[2], "outputs", program->n_values());
  const std::set<int> distinct(loaded.outputs.begin(), loaded.outputs.end());
  if (distinct.empty()) throw FormatError("no outputs");
  if (distinct.size() < loaded.outputs.size()) throw FormatError("outputs: a value twice");
  for (const auto& [name, value] : parts[3].members("bits")) {
    loaded.bits[name] = value_id(value, "bits of '" + name + "'", program->n_values());
  }
  if (head != nullptr) loaded.head = read_head(*head, *program);
  parts[4].members("origin");
  loaded.origin = parts[4].text();
  loaded.program = std::move(program);
  loaded.digest = digest_of(header.text(), tensors.sums());
  return loaded;
}

}  // namespace earbit
