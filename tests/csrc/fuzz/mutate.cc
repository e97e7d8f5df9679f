#include "fuzz/mutate.h"

#include <cstring>
#include <iterator>

#include "file/safetensors.h"
#include "fuzz/chain.h"

namespace {

int64_t product(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t side : shape) n *= side;
  return n;
}

// The tensor with other sides, its data cut or repeated to fit: what comes after it moves.
void resize(Seed::Tensor& tensor, Random& random) {
  const auto n_old = static_cast<size_t>(product(tensor.shape));
  if (n_old == 0 || tensor.shape.empty()) return;
  const size_t n_bytes = tensor.data.size() / n_old;
  const size_t side = below(random, tensor.shape.size());
  constexpr int64_t kSides[] = {0, 1, 2, 3, 63, 64, 65, 128, 200};
  switch (below(random, 4)) {
    case 0:
      std::swap(tensor.shape[side], tensor.shape[below(random, tensor.shape.size())]);
      break;
    case 1:
      tensor.shape.push_back(1);
      break;
    case 2:
      tensor.shape[side] += random() % 2 == 0 ? 1 : -1;
      break;
    default:
      tensor.shape[side] = kSides[below(random, std::size(kSides))];
  }
  const size_t n_new = static_cast<size_t>(product(tensor.shape)) * n_bytes;
  const std::string old = tensor.data;
  tensor.data.resize(n_new);
  for (size_t i = old.size(); i < n_new; ++i) tensor.data[i] = old[i % old.size()];
}

// All tensors of an op get another number of outputs, as if the layer had another width.
void widen(Seed& seed, Random& random) {
  const std::string& name = seed.tensors[below(random, seed.tensors.size())].name;
  const std::string op = name.substr(0, name.find('.') + 1);
  const auto n_more = static_cast<int64_t>(1 + below(random, 70));
  for (Seed::Tensor& tensor : seed.tensors) {
    if (tensor.name.rfind(op, 0) != 0 || tensor.shape.empty() || tensor.shape[0] == 0) continue;
    const size_t n_row = tensor.data.size() / static_cast<size_t>(tensor.shape[0]);
    tensor.shape[0] += n_more;
    tensor.data.resize(static_cast<size_t>(tensor.shape[0]) * n_row, '\0');
  }
}

// Some elements become what arithmetic does not like.
void damage(std::string& data, Random& random) {
  constexpr uint32_t kWords[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffffffff,
                                 0x80000000, 0x7fffffff, 0x00000001, 0x7f7fffff};
  if (data.size() < 4) return;
  const size_t n = 1 + below(random, 8);
  for (size_t i = 0; i < n; ++i) {
    const auto word = random() % 2 == 0 ? kWords[below(random, std::size(kWords))]
                                        : static_cast<uint32_t>(random());
    std::memcpy(data.data() + below(random, data.size() / 4) * 4, &word, 4);
  }
}

void change_bytes(std::string& bytes, Random& random) {
  switch (below(random, 5)) {
    case 0:  // cut
      bytes.resize(below(random, bytes.size() + 1));
      break;
    case 1:  // more at the end
      bytes.append(1 + below(random, 64), static_cast<char>(random()));
      break;
    case 2:  // another length of the header
      for (size_t i = 0; i < 1 + below(random, 8) && i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(random());
      }
      break;
    case 3: {  // a part of the file, somewhere else in it
      const size_t n = below(random, std::min<size_t>(bytes.size(), 64) + 1);
      const std::string part = bytes.substr(below(random, bytes.size() - n + 1), n);
      bytes.replace(below(random, bytes.size() - n + 1), n, part);
      break;
    }
    default:
      bytes[below(random, bytes.size())] ^= static_cast<char>(1 << random() % 8);
  }
}

// Without them most changes of data reach the ops.
void drop_checksums(std::string& program) {
  const size_t begin = program.find(",\"checksums\":{");
  if (begin == std::string::npos) return;
  program.erase(begin, program.find('}', begin) + 1 - begin);
}

}  // namespace

Seed Seed::read(const std::string& path) {
  const earbit::FileSource source(path);
  const earbit::SafetensorsHeader header(source);
  Seed seed;
  seed.program = header.metadata("earbit").value();
  for (const auto& [name, record] : header.tensors()) {
    std::string data(record.n_bytes, '\0');
    source.read(record.offset, data.size(), data.data());
    seed.tensors.push_back(
        {name, earbit::info_of(record.dtype).safetensors_name, record.shape, std::move(data)});
  }
  return seed;
}

std::string Seed::header() const {
  std::string json = "{\"__metadata__\":{\"earbit\":" + quoted(program) + "}";
  size_t begin = 0;
  for (const Tensor& tensor : tensors) {
    const size_t end = begin + tensor.data.size();
    // In steps: GCC 12 at -O3 takes a text before a string for a copy onto itself.
    json += ",";
    json += quoted(tensor.name) + ":{\"dtype\":" + quoted(tensor.dtype) + ",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      json += i ? "," : "";
      json += std::to_string(tensor.shape[i]);
    }
    json += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    begin = end;
  }
  return json + "}";
}

std::string Seed::file_of(const std::string& header) const {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i));
  bytes += header;
  for (const Tensor& tensor : tensors) bytes += tensor.data;
  return bytes;
}

std::string mutated(Seed seed, Random& random) {
  if (below(random, 16) != 0) drop_checksums(seed.program);
  const size_t n_changes = 1 + below(random, 3);
  size_t n_in_header = 0;
  size_t n_in_bytes = 0;
  for (size_t i = 0; i < n_changes; ++i) {
    const size_t kind = below(random, 21);
    if (kind < 7) {
      seed.program = mutated_json(seed.program, random);
    } else if (kind < 14 && !seed.tensors.empty()) {
      damage(seed.tensors[below(random, seed.tensors.size())].data, random);
    } else if (kind < 16 && !seed.tensors.empty()) {
      resize(seed.tensors[below(random, seed.tensors.size())], random);
    } else if (kind < 18 && !seed.tensors.empty()) {
      widen(seed, random);
    } else if (kind < 19) {
      chain(seed, random);
    } else if (kind < 20) {
      ++n_in_header;
    } else {
      ++n_in_bytes;
    }
  }
  std::string bytes = seed.bytes([&](std::string header) {
    for (size_t i = 0; i < n_in_header; ++i) header = mutated_json(header, random);
    return header;
  });
  for (size_t i = 0; i < n_in_bytes && !bytes.empty(); ++i) change_bytes(bytes, random);
  return bytes;
}
