#include "fuzz/decode_head.h"

#include <cstdint>
#include <memory>

#include "earbit.h"

namespace {

struct Close {
  void operator()(earbit_program* program) const { earbit_close(program); }
};

// Status of the function that decodes the head; EARBIT_BUG for results that cannot be.
earbit_status decoded(const earbit_program* program, const std::vector<float>& audio) {
  const auto n = static_cast<int64_t>(audio.size());
  switch (earbit_head_kind(program)) {
    case EARBIT_CLASS: {
      const int n_slots = earbit_n_slots(program);
      std::vector<int> labels(n_slots);
      std::vector<double> probabilities(n_slots);
      const earbit_status status =
          earbit_likeliest(program, audio.data(), n, 1, EARBIT_THRESHOLD_OF_PROGRAM, labels.data(),
                           probabilities.data(), n_slots);
      if (status != EARBIT_OK) return status;
      int first = 0;
      for (int slot = 0; slot < n_slots; ++slot) {
        const int size = earbit_slot_size(program, slot);
        const bool is_in_slot = labels[slot] >= first && labels[slot] < first + size;
        if (!is_in_slot && labels[slot] != EARBIT_REJECTED) return EARBIT_BUG;
        first += size;
      }
      return first == earbit_n_labels(program) ? EARBIT_OK : EARBIT_BUG;
    }
    case EARBIT_SEQUENCE: {
      std::vector<char> text(earbit_text_size(program, n));
      if (text.empty()) return EARBIT_BUG;
      return earbit_text(program, audio.data(), n, 1, text.data(),
                         static_cast<int64_t>(text.size()));
    }
    case EARBIT_VECTOR: {
      std::vector<float> vector(earbit_head_width(program));
      return earbit_embedding(program, audio.data(), n, 1, vector.data(),
                              static_cast<int64_t>(vector.size()));
    }
    case EARBIT_SEGMENTS: {
      std::vector<earbit_segment> segments(earbit_segments_size(program, n));
      int64_t n_found = 0;
      for (const int window : {1, 11, INT32_MAX}) {
        const earbit_status status =
            earbit_segments(program, audio.data(), n, 1, 0.5, window, segments.data(),
                            static_cast<int64_t>(segments.size()), &n_found);
        if (status != EARBIT_OK) return status;
        for (int64_t i = 0; i < n_found; ++i) {
          if (earbit_label(program, segments[i].label) == nullptr) return EARBIT_BUG;
          if (!(segments[i].start_s < segments[i].end_s)) return EARBIT_BUG;
        }
      }
      return EARBIT_OK;
    }
    case EARBIT_NO_HEAD:
      break;
  }
  return EARBIT_BUG;
}

}  // namespace

std::string fault_of_head(const std::string& bytes, const std::vector<float>& audio,
                          bool (*is_message)(const std::string&)) {
  earbit_program* opened = nullptr;
  if (earbit_open_memory(bytes.data(), bytes.size(), &opened) != EARBIT_OK) {
    return is_message(earbit_error()) ? "" : std::string("message ") + earbit_error();
  }
  const std::unique_ptr<earbit_program, Close> program(opened);
  if (earbit_head_kind(opened) == EARBIT_NO_HEAD) return "";
  const auto n = static_cast<int64_t>(audio.size());
  std::vector<float> scores(earbit_head_rows(opened, n) * earbit_head_width(opened));
  const earbit_status status = scores.empty()
                                   ? EARBIT_BAD_AUDIO
                                   : earbit_scores(opened, audio.data(), n, 1, scores.data(),
                                                   static_cast<int64_t>(scores.size()));
  if (status == EARBIT_BUG || (status != EARBIT_OK && !is_message(earbit_error()))) {
    return "status " + std::to_string(status) + ": " + earbit_error();
  }
  // Without rows there is no size to decode into.
  const earbit_status of_results = scores.empty() ? status : decoded(opened, audio);
  if (of_results == status) return "";
  return "status " + std::to_string(of_results) + " of its results, " + std::to_string(status) +
         " of its scores: " + earbit_error();
}
