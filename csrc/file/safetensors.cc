#include "file/safetensors.h"

#include <algorithm>
#include <string_view>

#include "file/format_error.h"

namespace earbit {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // limit of the safetensors library
constexpr size_t kMaxSides = 8;               // maximum number of dimensions
constexpr int64_t kMaxInt64 = INT64_MAX;

constexpr const char* kWhereFrom = "; give a file of `earbit export`";

// First bytes of other file types that users pass by mistake.
struct Beginning {
  std::string_view bytes;
  const char* kind;
};
constexpr Beginning kForeign[] = {
    {"RIFF", "audio (wav)"},     {"RF64", "audio (wav)"},
    {"fLaC", "audio (flac)"},    {"OggS", "audio (ogg)"},
    {"ID3", "audio (mp3)"},      {"\xFF\xFB", "audio (mp3)"},
    {"\xFF\xF3", "audio (mp3)"}, {"PK\x03\x04", "a zip archive (npz, or a checkpoint of PyTorch)"},
};

// Throws FormatError if the first bytes are those of another file type.
void refuse_foreign(std::string_view start) {
  for (const Beginning& beginning : kForeign) {
    if (start.substr(0, beginning.bytes.size()) != beginning.bytes) continue;
    throw FormatError(std::string("this is ") + beginning.kind + ", not a program" + kWhereFrom +
                      ", and audio after it");
  }
}

std::string read_header(const Source& source) {
  unsigned char length_bytes[kLengthBytes];
  if (source.size() == 0) throw FormatError(std::string("an empty file") + kWhereFrom);
  if (source.size() < kLengthBytes) {
    throw FormatError("a file of " + std::to_string(source.size()) +
                      " bytes; a program has at least 8" + kWhereFrom);
  }
  source.read(0, kLengthBytes, length_bytes);
  uint64_t length = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i) length = length << 8 | length_bytes[i];
  const uint64_t n_rest = source.size() - kLengthBytes;
  if (length > std::min(kMaxHeader, n_rest)) {
    refuse_foreign({reinterpret_cast<const char*>(length_bytes), kLengthBytes});
  }
  if (length > kMaxHeader) {
    throw FormatError("not a program: a header of " + std::to_string(length) + " bytes, at most " +
                      std::to_string(kMaxHeader) + " are allowed" + kWhereFrom);
  }
  if (length > n_rest) {
    throw FormatError("cut short, or not a program: " + std::to_string(n_rest) + " of " +
                      std::to_string(length) + " bytes of its header are there; copy it again");
  }
  std::string text(length, '\0');
  source.read(kLengthBytes, length, text.data());
  return text;
}

Dtype dtype_of(const Json& value, const std::string& where) {
  const std::string name = value.name(where);
  std::string allowed;
  for (const DtypeInfo& info : kDtypes) {
    if (name == info.safetensors_name) return info.dtype;
    allowed += std::string(allowed.empty() ? "" : ", ") + info.safetensors_name;
  }
  throw FormatError(where + " '" + name + "'; allowed: " + allowed);
}

struct Extent {
  uint64_t begin;
  uint64_t end;
};

Extent extent_of(const Json& value, const std::string& where) {
  const std::vector<Json> items = value.items(where);
  if (items.size() != 2) throw FormatError(where + ": " + value.excerpt() + ", expected two");
  // File sizes fit an int64.
  const int64_t begin = items[0].integer(where, 0, kMaxInt64);
  return {static_cast<uint64_t>(begin),
          static_cast<uint64_t>(items[1].integer(where, begin, kMaxInt64))};
}

std::vector<int64_t> shape_of(const Json& value, const std::string& where) {
  std::vector<int64_t> shape;
  for (const Json& side : value.items(where)) {
    if (shape.size() == kMaxSides) {
      throw FormatError(where + ": more than " + std::to_string(kMaxSides) + " sides");
    }
    shape.push_back(side.integer(where, 0, kMaxInt64));
  }
  return shape;
}

// Size of a tensor in bytes, clamped on overflow to a value larger than any file.
uint64_t size_of(const std::vector<int64_t>& shape, Dtype dtype) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t n = info_of(dtype).n_bytes;
  for (int64_t side : shape) {
    if (__builtin_mul_overflow(n, side, &n)) return UINT64_MAX;
  }
  return static_cast<uint64_t>(n);
}

}  // namespace

SafetensorsHeader::SafetensorsHeader(const Source& source)
    : text_(read_header(source)),
      members_(Json::parse(text_).members("header")),
      n_data_(source.size() - kLengthBytes - text_.size()) {}

std::optional<std::string> SafetensorsHeader::metadata(const std::string& key) const {
  for (const auto& [name, value] : members_) {
    if (name != "__metadata__") continue;
    for (const auto& [found, text] : value.members("__metadata__")) {
      if (found == key) return text.string("metadata '" + key + "'");
    }
  }
  return std::nullopt;
}

std::map<std::string, TensorRecord> SafetensorsHeader::tensors() const {
  const uint64_t data_begin = kLengthBytes + text_.size();
  std::map<std::string, TensorRecord> tensors;
  std::vector<std::pair<Extent, const std::string*>> extents;
  for (const auto& [name, record] : members_) {
    if (name == "__metadata__") continue;
    const std::string where = "tensor '" + name + "'";
    const Json::Members fields = record.members(where);
    const auto field = [&](const char* key) -> const Json& {
      for (const auto& [found, value] : fields) {
        if (found == key) return value;
      }
      throw FormatError(where + ": no " + key);
    };
    if (fields.size() > 3) throw FormatError(where + ": more than dtype, shape, data_offsets");
    const Dtype dtype = dtype_of(field("dtype"), where + " dtype");
    std::vector<int64_t> shape = shape_of(field("shape"), where + " shape");
    const Extent extent = extent_of(field("data_offsets"), where + " data_offsets");
    if (extent.end - extent.begin != size_of(shape, dtype)) {
      throw FormatError(where + ": " + std::to_string(extent.end - extent.begin) +
                        " bytes, which is not what its shape " + field("shape").excerpt() + " of " +
                        info_of(dtype).name + " takes");
    }
    const auto [entry, is_new] =
        tensors.emplace(name, TensorRecord{dtype, std::move(shape), data_begin + extent.begin,
                                           extent.end - extent.begin});
    extents.emplace_back(extent, &entry->first);
  }
  std::sort(extents.begin(), extents.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  uint64_t end = 0;
  for (const auto& [extent, name] : extents) {
    if (extent.begin != end) {
      throw FormatError("tensor '" + *name + "' begins at byte " + std::to_string(extent.begin) +
                        " of the data; the one before it ends at " + std::to_string(end));
    }
    end = extent.end;
  }
  if (end > n_data_) {
    throw FormatError("cut short: " + std::to_string(n_data_) + " of " + std::to_string(end) +
                      " bytes of its tensors are there; copy it again");
  }
  if (end != n_data_) {
    throw FormatError(std::to_string(n_data_) + " bytes of data; the tensors end at " +
                      std::to_string(end));
  }
  return tensors;
}

}  // namespace earbit
