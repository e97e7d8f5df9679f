#include "heads/decode.h"

#include <algorithm>
#include <cmath>

namespace earbit {
namespace {

constexpr double kLeastOdds = 1e-300;
constexpr double kLeastLength = 1e-12;

// The first of the largest values, or the first that is NaN, as numpy's argmax.
int argmax(const float* values, int n) {
  int best = 0;
  for (int i = 0; i < n; ++i) {
    if (std::isnan(values[i])) return i;
    if (values[i] > values[best]) best = i;
  }
  return best;
}

}  // namespace

Best best_of(const float* scores, int n_results, int n) {
  const int best = argmax(scores, n_results);
  const double largest = scores[argmax(scores, n)];
  const double own = scores[best] - largest;
  double others = 0;  // in this order
  for (int i = 0; i < n; ++i) {
    if (i != best) others += std::exp(scores[i] - largest);
  }
  const double log_odds = own - std::log(std::max(others, kLeastOdds));
  return {best, log_odds, std::exp(own) / (std::exp(own) + others)};
}

std::string greedy_text(const std::vector<std::string>& labels, const float* scores,
                        int64_t n_rows) {
  return GreedyText(labels).add(scores, n_rows);
}

std::string GreedyText::add(const float* scores, int64_t n_rows) {
  const auto n_labels = static_cast<int>(labels_->size());
  std::string text = std::move(spaces_);
  for (int64_t i = 0; i < n_rows; ++i) {
    const int best = argmax(scores + i * n_labels, n_labels);
    if (best != before_ && best != 0) text += (*labels_)[best];
    before_ = best;
  }
  if (!has_begun_) text.erase(0, text.find_first_not_of(' '));
  const size_t end = text.find_last_not_of(' ') + 1;  // 0 where there are spaces alone
  spaces_ = text.substr(end);
  text.resize(end);
  has_begun_ = has_begun_ || !text.empty();
  return text;
}

std::vector<SpeechSegment> speech_segments(const float* scores, int64_t n_rows, int n_labels,
                                           double threshold, int64_t window) {
  const double least = std::log(threshold / (1 - threshold));
  const int64_t half = window / 2;
  std::vector<SpeechSegment> segments;
  std::vector<int64_t> sums(n_rows + 1);  // frames of speech before each frame
  for (int label = 0; label < n_labels; ++label) {
    for (int64_t i = 0; i < n_rows; ++i) {
      sums[i + 1] = sums[i] + (double{scores[i * n_labels + label]} > least ? 1 : 0);
    }
    bool was_kept = false;
    for (int64_t i = 0; i < n_rows; ++i) {
      const int64_t end = half < n_rows - i ? i + half + 1 : n_rows;
      const bool is_kept = sums[end] - sums[std::max<int64_t>(0, i - half)] > half;
      if (is_kept && !was_kept) segments.push_back({i, n_rows, label});
      if (!is_kept && was_kept) segments.back().end = i;
      was_kept = is_kept;
    }
  }
  return segments;
}

void scale_to_one(float* vector, int n) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += double{vector[i]} * double{vector[i]};
  const auto length = static_cast<float>(std::max(std::sqrt(squares), kLeastLength));
  for (int i = 0; i < n; ++i) vector[i] /= length;
}

}  // namespace earbit
