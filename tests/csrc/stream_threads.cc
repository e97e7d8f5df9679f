// A stream that one thread feeds and another reads while a third cancels it, then the same stream
// after a reset; built with the thread sanitizer.
//
// stream_threads PROGRAM: one with a head of a sequence.
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "earbit.h"

namespace {

constexpr int64_t kPiece = 16000;
constexpr int kPieces = 4;
constexpr int kMostPieces = 10000;  // far more than it takes until one is cancelled

std::vector<float> audio() {
  std::vector<float> samples(kPiece);
  for (int64_t i = 0; i < kPiece; ++i) {
    samples[i] = static_cast<float>((i * i * 7919) % 2001) / 1000.0f - 1.0f;
  }
  return samples;
}

// Reads everything that is new; false if a call failed.
bool read(earbit_stream* stream, int width, std::vector<float>* frames, std::string* text) {
  std::vector<float> new_frames(1 << 12);
  std::vector<char> new_text(1 << 14);
  const auto room = static_cast<int64_t>(new_frames.size()) / width;
  int64_t n = 0;
  do {
    if (earbit_stream_frames(stream, new_frames.data(), room, &n) != EARBIT_OK) return false;
    frames->insert(frames->end(), new_frames.begin(), new_frames.begin() + n * width);
  } while (n > 0);
  const auto n_bytes = static_cast<int64_t>(new_text.size());
  if (earbit_stream_text(stream, new_text.data(), n_bytes) != EARBIT_OK) return false;
  *text += new_text.data();
  return true;
}

// Feeds the stream in this thread while another reads it; false if a call failed.
bool feeds(earbit_stream* stream, int width, std::vector<float>* frames, std::string* text) {
  const std::vector<float> samples = audio();
  std::atomic<bool> is_fed{false};
  std::atomic<bool> is_good{true};
  std::thread reader([&] {
    while (!is_fed) {
      if (!read(stream, width, frames, text)) is_good = false;
    }
  });
  for (int i = 0; i < kPieces; ++i) {
    if (earbit_stream_accept(stream, samples.data(), kPiece) != EARBIT_OK) is_good = false;
  }
  if (earbit_stream_finish(stream) != EARBIT_OK) is_good = false;
  is_fed = true;
  reader.join();
  return read(stream, width, frames, text) && is_good;
}

// Feeds the stream until another thread has cancelled a call; whether the stream then wants a
// reset.
bool is_cancelled(const earbit_program* program, earbit_stream* stream) {
  const std::vector<float> samples = audio();
  std::atomic<bool> is_over{false};
  std::thread canceller([&] {
    while (!is_over) earbit_cancel(program);
  });
  earbit_status status = EARBIT_OK;
  for (int i = 0; i < kMostPieces && status == EARBIT_OK; ++i) {
    status = earbit_stream_accept(stream, samples.data(), kPiece);
  }
  is_over = true;
  canceller.join();
  return status == EARBIT_CANCELLED &&
         earbit_stream_accept(stream, samples.data(), kPiece) == EARBIT_BAD_ARGUMENT &&
         earbit_stream_finish(stream) == EARBIT_BAD_ARGUMENT;
}

}  // namespace

int main(int argc, char** argv) {
  earbit_program* program = nullptr;
  earbit_stream* stream = nullptr;
  const int results = EARBIT_STREAM_FRAMES + EARBIT_STREAM_SCORES;
  if (argc != 2 || earbit_open(argv[1], &program) != EARBIT_OK ||
      earbit_stream_open(program, results, 50, 2, &stream) != EARBIT_OK) {
    std::fprintf(stderr, "usage: stream_threads PROGRAM; %s\n", earbit_error());
    return 2;
  }
  const int width = earbit_width(program);
  std::vector<float> expected_frames, frames;
  std::string expected_text, text;
  bool is_good = feeds(stream, width, &expected_frames, &expected_text) &&
                 earbit_stream_reset(stream) == EARBIT_OK;
  const bool was_cancelled = is_cancelled(program, stream);
  is_good = is_good && earbit_stream_reset(stream) == EARBIT_OK &&
            feeds(stream, width, &frames, &text) && frames == expected_frames &&
            text == expected_text;
  std::printf("%s, then %s\n", was_cancelled ? "cancelled" : "not cancelled",
              is_good ? "the same results" : earbit_error());
  earbit_stream_close(stream);
  earbit_close(program);
  return is_good && was_cancelled && !frames.empty() && !text.empty() ? 0 : 1;
}
