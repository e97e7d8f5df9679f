// Loads and runs program files that are nearly right, and ends with an error at the first that
//   - makes a sanitizer speak, or takes more than a minute,
//   - throws anything but FormatError while it is loaded, or a message of several lines,
//   - asks for more memory or rows than the size of the file (and of the audio) justifies,
//   - gives other features or scores on three threads than on one, or in a stream,
//   - has a head whose results libearbit cannot decode into buffers of the sizes that it gives.
//
// fuzz_program SEEDS FIRST COUNT: SEEDS is a folder of valid programs; file i follows from i alone,
// so `fuzz_program SEEDS i 1` shows again what was found.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "file/format_error.h"
#include "file/json.h"
#include "file/load_program.h"
#include "fuzz/decode_head.h"
#include "fuzz/limited_memory.h"
#include "fuzz/mutate.h"
#include "graph/reach.h"
#include "graph/stream.h"

namespace {

using earbit::LoadedProgram;
using earbit::Value;

constexpr size_t kSlack = size_t{1} << 18;     // of small things that every file needs
constexpr size_t kMemory = size_t{256} << 20;  // that a run is given at most
constexpr size_t kRunGrowth = 64;              // bytes per byte of the file and frame
constexpr size_t kRowGrowth = 8;               // frames of padding per byte of the file
constexpr size_t kMaxSamples = 1200;
constexpr unsigned kMaxSeconds = 60;

struct Counts {
  long refused = 0;  // by the loader
  long unfit = 0;    // refused when it was run: too few frames, for example
  long out_of_memory = 0;
  long ran = 0;
  double load_growth = 0;  // most memory of a load, in sizes of the file
};

[[noreturn]] void fail(long i, const std::string& what) {
  std::fprintf(stderr, "file %ld: %s\n", i, what.c_str());
  std::exit(1);
}

// Whether a message is one line of UTF-8.
bool is_message(const std::string& message) {
  try {
    // The JSON reader knows what is UTF-8 and has no control characters.
    return !message.empty() && earbit::Json::parse(quoted(message)).string("message") == message;
  } catch (const earbit::FormatError&) {
    return false;
  }
}

void check_message(long i, const std::string& message) {
  if (!is_message(message)) fail(i, "a message that is not one line of UTF-8: " + message);
}

LoadedProgram load(long i, const std::string& bytes, Counts& counts) {
  LimitedMemory memory(earbit::kMaxLoadGrowth * bytes.size() + kSlack);
  try {
    LoadedProgram loaded = load_program(earbit::MemorySource(bytes.data(), bytes.size()));
    counts.load_growth = std::max(
        counts.load_growth, static_cast<double>(memory.peak()) / static_cast<double>(bytes.size()));
    return loaded;
  } catch (const std::bad_alloc&) {
    fail(i, "loading asks for more memory than a file of " + std::to_string(bytes.size()) +
                " bytes justifies");
  }
}

// What a run may take: kRunGrowth bytes per byte of the file and frame of its longest value.
size_t memory_of_run(long i, const LoadedProgram& loaded, size_t n_bytes, size_t n_samples) {
  const std::vector<int64_t> rows = loaded.program->rows(static_cast<int64_t>(n_samples));
  const auto n_rows = static_cast<size_t>(*std::max_element(rows.begin(), rows.end()));
  if (n_rows > 2 * (n_samples + kRowGrowth * n_bytes)) {
    fail(i, std::to_string(n_rows) + " rows, more than file and audio justify");
  }
  return kRunGrowth * n_bytes * n_rows + kSlack;
}

// Whether rows have the bytes of a value; floats that are no numbers may have any.
bool is_equal(std::string_view rows, const Value& value) {
  if (value.type.kind != earbit::Kind::floats) {
    return std::memcmp(rows.data(), value.data(), rows.size()) == 0;
  }
  for (size_t at = 0; at < rows.size(); at += sizeof(float)) {
    float ours = 0;
    std::memcpy(&ours, rows.data() + at, sizeof(float));
    const float theirs = value.floats[static_cast<ptrdiff_t>(at / sizeof(float))];
    const bool is_same = std::memcmp(&ours, &theirs, sizeof(float)) == 0;
    if (!is_same && !(std::isnan(ours) && std::isnan(theirs))) return false;
  }
  return true;
}

// Compares outputs that can be streamed, in random pieces, with those of the whole clip.
void check_stream(long i, const LoadedProgram& loaded, const std::vector<float>& audio,
                  const std::vector<int>& outputs, const std::vector<Value>& whole,
                  Random& random) {
  for (size_t j = 0; j < outputs.size(); ++j) {
    const int id = outputs[j];
    if (id == 0 || first_of_whole_clip(loaded.program->steps(), {id})) continue;
    std::string rows;
    const size_t n_bytes = static_cast<size_t>(whole[j].type.row_bytes());
    const auto add = [&](const Value& value) {
      rows.append(static_cast<const char*>(value.data()), value.rows * n_bytes);
    };
    try {
      LimitedMemory memory(kMemory);
      earbit::Stream stream(*loaded.program, {id}, 1);
      for (size_t at = 0; at < audio.size();) {
        const size_t n = std::min<size_t>(1 + below(random, 500), audio.size() - at);
        stream.accept(audio.data() + at, static_cast<int64_t>(n));
        at += n;
        // Groups of bits are stored one after the other, so their rows do not join.
        if (whole[j].type.kind != earbit::Kind::bits) add(stream.take().front());
      }
      stream.finish();
      add(stream.take().front());
    } catch (const std::bad_alloc&) {
      continue;
    }
    if (rows.size() != whole[j].rows * n_bytes || !is_equal(rows, whole[j]))
      fail(i, "a stream changes what value " + std::to_string(id) + " is");
  }
}

void run(long i, const LoadedProgram& loaded, const std::string& bytes, Random& random,
         Counts& counts) {
  std::vector<float> audio(400 + below(random, kMaxSamples - 400));
  for (float& sample : audio) sample = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  std::vector<int> outputs = loaded.outputs;
  if (loaded.head) outputs.push_back(loaded.head->value);
  const auto features = [&](int n_threads) {
    return loaded.program->run(audio.data(), static_cast<int64_t>(audio.size()), outputs,
                               n_threads);
  };
  const size_t justified = memory_of_run(i, loaded, bytes.size(), audio.size());
  std::vector<Value> alone;
  try {
    LimitedMemory memory(std::min(justified, kMemory));
    alone = features(1);
  } catch (const std::bad_alloc&) {
    if (justified <= kMemory) fail(i, "a run asks for more memory than file and audio justify");
    throw;
  }
  const std::vector<Value> together = features(3);
  for (size_t j = 0; j < alone.size(); ++j) {
    const Value& a = alone[j];
    const Value& b = together[j];
    const auto size = static_cast<size_t>(a.rows * a.type.row_bytes());
    const std::string_view rows(static_cast<const char*>(b.data()), size);
    if (a.rows != b.rows || !is_equal(rows, a)) {
      fail(i, "threads change what value " + std::to_string(outputs[j]) + " is");
    }
  }
  check_stream(i, loaded, audio, outputs, alone, random);
  if (loaded.head) {
    const std::string fault = fault_of_head(bytes, audio, is_message);
    if (!fault.empty()) fail(i, "head: " + fault);
  }
  ++counts.ran;
}

void try_file(long i, const std::vector<Seed>& seeds, Counts& counts) {
  Random random(static_cast<uint64_t>(i));
  const std::string bytes = mutated(seeds[below(random, seeds.size())], random);
  try {
    const LoadedProgram loaded = load(i, bytes, counts);
    try {
      run(i, loaded, bytes, random, counts);
    } catch (const std::invalid_argument& error) {
      check_message(i, error.what());
      ++counts.unfit;
    } catch (const std::bad_alloc&) {
      ++counts.out_of_memory;
    }
  } catch (const earbit::FormatError& error) {
    check_message(i, error.what());
    ++counts.refused;
  } catch (const std::exception& error) {
    fail(i, std::string("an exception of another type: ") + error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: fuzz_program SEEDS FIRST COUNT\n");
    return 2;
  }
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Seed> seeds;
  for (const std::string& path : paths) seeds.push_back(Seed::read(path));
  const long first = std::atol(argv[2]);
  const long count = std::atol(argv[3]);
  Counts counts;
  for (long i = first; i < first + count; ++i) {
    alarm(kMaxSeconds);
    // For whoever reads what a sanitizer writes after it.
    std::fprintf(stderr, "\rfile %ld ", i);
    try_file(i, seeds, counts);
  }
  std::printf("\n%ld files: %ld refused, %ld unfit, %ld out of memory, %ld ran; load %.1f x file\n",
              count, counts.refused, counts.unfit, counts.out_of_memory, counts.ran,
              counts.load_growth);
  return 0;
}
