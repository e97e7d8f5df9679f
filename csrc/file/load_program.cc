#include "file/load_program.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <set>

#include "file/checksum.h"
#include "file/fields.h"
#include "file/format_error.h"
#include "file/safetensors.h"

namespace earbit {
namespace {

constexpr const char* kFormat = "earbit-program-1";
// Prefixes of formats of programs, of trained models and of heads.
constexpr const char* kProgramFormats = "earbit-program-";
constexpr const char* kModelFormats = "earbit-model-";
constexpr const char* kHeadFormats = "earbit-head-";
constexpr const char* kMetadataKey = "earbit";
constexpr const char* kChecksumKey = "earbit-checksum";  // checksum of the other value
constexpr size_t kMaxOps = 10'000;
// Maximum memory of all values per frame, in bytes per byte of the file.  Models need less than 1.
// Without a limit, a small file could request any amount of memory.
constexpr int64_t kMaxGrowth = 16;

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
  if (format.rfind(kHeadFormats, 0) == 0) {
    throw FormatError(
        "this is the head of a task, not a program; `earbit export` packs it with its model: "
        "earbit export MODEL --head FOLDER --out PROGRAM.safetensors");
  }
  const bool is_program = format.rfind(kProgramFormats, 0) == 0;
  throw FormatError("format " + value.excerpt() + ", this version runs '" + kFormat + "'; " +
                    (is_program ? "export the model again" : "give a file of `earbit export`"));
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
  program->prepare({loaded.outputs.back()});
  program->prepare(loaded.outputs);
  if (loaded.head) program->prepare({loaded.head->value});
  parts[4].members("origin");
  loaded.origin = parts[4].text();
  loaded.program = std::move(program);
  loaded.digest = digest_of(header.text(), tensors.sums());
  return loaded;
}

}  // namespace earbit
