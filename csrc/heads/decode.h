// What the scores of a head say: labels, text, segments, directions.  Python has the same functions
// in src/earbit/runtime, with the same results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace earbit {

struct Best {
  int index;           // the first of the largest
  double log_odds;     // against all others together
  double probability;  // of a softmax
};

// The last label of a slot, if it has this name, is no result: its score is that of no keyword.
constexpr const char* kNone = "_none_";

// The largest of the first n_results of n scores of one slot; the others count against it.
Best best_of(const float* scores, int n_results, int n);

// The likeliest symbols of all rows, after merging repeats and dropping blanks (label 0), without
// spaces at the ends.  scores: (n_rows, labels).
std::string greedy_text(const std::vector<std::string>& labels, const float* scores,
                        int64_t n_rows);

// The same for rows that arrive bit by bit: the texts of all calls, joined, are that of all rows.
class GreedyText {
 public:
  // labels outlive it.
  explicit GreedyText(const std::vector<std::string>& labels) : labels_(&labels) {}

  // The text that rows add.
  std::string add(const float* scores, int64_t n_rows);

 private:
  const std::vector<std::string>* labels_;
  int before_ = -1;
  bool has_begun_ = false;
  std::string spaces_;  // at the end: part of the text only if more follows
};

struct SpeechSegment {
  int64_t start;  // frame
  int64_t end;    // the frame after the last
  int label;
};

// Segments by label and time, where most of `window` frames around a frame (odd; silence beyond the
// ends) have a probability above `threshold`.  scores: (n_rows, n_labels), log odds.
std::vector<SpeechSegment> speech_segments(const float* scores, int64_t n_rows, int n_labels,
                                           double threshold, int64_t window);

// Scales a vector of n values to length 1, in place.
void scale_to_one(float* vector, int n);

}  // namespace earbit
