// Functions of libearbit for audio that arrives in pieces.
#include <cstring>
#include <mutex>
#include <optional>

#include "capi/calls.h"
#include "capi/earbit.h"
#include "capi/unread_rows.h"
#include "graph/reach.h"
#include "graph/stream.h"
#include "heads/decode.h"

namespace {

using namespace earbit;

constexpr int64_t kMostWindow = int64_t{1} << 20;

bool is_per_clip(const Head& head) {
  return kind_of(head) == EARBIT_CLASS || kind_of(head) == EARBIT_VECTOR;
}

// Throws BadArgument, naming the op, if a value needs the whole clip.
void require_streaming(const earbit_program& program, int id) {
  const std::vector<Step>& steps = program.loaded.program->steps();
  if (const std::optional<int> s = first_of_whole_clip(steps, {id})) {
    throw BadArgument("the program cannot stream: op " + std::to_string(*s) + ", " +
                      steps[*s].name + ", needs the whole clip");
  }
}

// Values of a program that the scores of its head follow from.
std::vector<int> values_of_head(const earbit_program& program) {
  const Head& head = head_of(&program);
  if (!is_per_clip(head)) {
    require_streaming(program, head.value);
    return {head.value};
  }
  std::vector<int> ids = streamed_on_the_way_to(program.loaded.program->steps(), head.value);
  for (int id : ids) {
    if (id > 0 && program.loaded.program->type(id).kind == Kind::floats) continue;
    throw BadArgument("the head of the program cannot stream");
  }
  return ids;
}

}  // namespace

struct earbit_stream {
  const earbit_program* program;
  int64_t window;
  int n_threads;
  bool has_frames;
  std::vector<int> of_head;  // values that scores follow from
  std::optional<Stream> stream;
  mutable std::mutex mutex;
  UnreadRows frames{1};
  std::vector<UnreadRows> rows;  // of the values of the head
  std::optional<GreedyText> decoder;
  std::string text;  // that did not fit
  bool is_broken = false;

  const Program& graph() const { return *program->loaded.program; }

  void expect_whole() const {
    if (is_broken) throw BadArgument("rows of the stream were lost; reset it for other audio");
  }

  void take() {
    is_broken = true;  // an exception would lose what the stream has given
    const std::vector<Value> values = stream->take();
    if (has_frames) frames.add(values.front(), values.front().rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Value& value = values[i + (has_frames ? 1 : 0)];
      const int64_t n_kept = is_per_clip(*program->loaded.head) ? window : kMaxRows;
      rows[i].add(value, std::min(value.rows, n_kept));
      rows[i].drop(std::max<int64_t>(0, rows[i].rows() - n_kept));
    }
    is_broken = false;
  }

  void begin() {
    frames.clear();
    for (UnreadRows& one : rows) one.clear();
    if (program->loaded.head) decoder.emplace(program->loaded.head->labels);
    text.clear();
    is_broken = false;
  }

  const Head& scored() const {
    if (of_head.empty()) throw BadArgument("the stream was opened without EARBIT_STREAM_SCORES");
    return *program->loaded.head;
  }

  // The scores of the last window; none while there is too little audio.
  std::optional<Value> of_window() const {
    std::vector<View> views;
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t n = rows[i].rows();
      if (n == 0) return {};
      // Ops never write to what is given.
      auto* data = const_cast<float*>(rows[i].data());
      views.push_back({graph().type(of_head[i]), {0, n}, data, n});
    }
    CancelledSince cancel(*program);
    try {
      const int value = program->loaded.head->value;
      return graph().run_from(of_head, views, {value}, n_threads, &cancel).front();
    } catch (const UnfitRows&) {
      throw;
    } catch (const std::invalid_argument&) {
      return {};  // a head of convolutions needs more rows
    }
  }
};

namespace {

// Calls work with the stream to itself; a stream that has ended is a wrong argument.
template <typename Work>
earbit_status on_stream(const earbit_stream* stream, Work&& work) {
  return guarded(kNoMemoryToRun, [&] {
    require(stream != nullptr, "stream");
    const std::lock_guard lock(stream->mutex);
    try {
      work();
    } catch (const StreamEnded& error) {
      throw BadArgument(error.what());
    }
  });
}

void require_rows(const void* out, const char* name, int64_t n, int64_t* n_written) {
  require(n_written != nullptr, "n_written");
  *n_written = 0;
  if (n < 0) throw BadArgument("a negative number of rows");
  require(out != nullptr || n == 0, name);
}

}  // namespace

int64_t earbit_latency(const earbit_program* program) {
  int64_t n = 0;
  guarded(kNoMemory, [&] {
    require(program != nullptr, "program");
    require_streaming(*program, program->loaded.outputs.back());
    n = reach_of(program->loaded.program->steps(), {program->loaded.outputs.back()}).latency();
  });
  return n;
}

earbit_status earbit_stream_open(const earbit_program* program, int results, int64_t window,
                                 int n_threads, earbit_stream** stream) {
  return guarded(kNoMemoryToRun, [&] {
    require(stream != nullptr, "stream");
    *stream = nullptr;
    require(program != nullptr, "program");
    require_range("results", results, 1, EARBIT_STREAM_FRAMES + EARBIT_STREAM_SCORES);
    require_range("window", window, 1, kMostWindow);
    require_range("n_threads", n_threads, 1, EARBIT_MAX_THREADS);
    const LoadedProgram& loaded = program->loaded;
    require_streaming(*program, loaded.outputs.back());
    auto made = std::make_unique<earbit_stream>();
    made->program = program;
    made->window = window;
    made->n_threads = n_threads;
    made->has_frames = (results & EARBIT_STREAM_FRAMES) != 0;
    if ((results & EARBIT_STREAM_SCORES) != 0) made->of_head = values_of_head(*program);
    std::vector<int> ids;
    if (made->has_frames) ids.push_back(loaded.outputs.back());
    for (int id : made->of_head) ids.push_back(id);  // GCC 12 warns of the bounds of `insert`
    made->frames = UnreadRows(loaded.program->type(loaded.outputs.back()).cols);
    for (int id : made->of_head) made->rows.emplace_back(loaded.program->type(id).cols);
    made->stream.emplace(*loaded.program, ids, n_threads);
    made->begin();
    *stream = made.release();
  });
}

void earbit_stream_close(earbit_stream* stream) { delete stream; }

earbit_status earbit_stream_accept(earbit_stream* stream, const float* samples, int64_t n_samples) {
  return on_stream(stream, [&] {
    require(samples != nullptr || n_samples == 0, "samples");
    require_range("n_samples", n_samples, 0, EARBIT_MAX_SAMPLES);
    require_finite(samples, n_samples);
    stream->expect_whole();
    CancelledSince cancel(*stream->program);
    stream->stream->accept(samples, n_samples, &cancel);
    stream->take();
  });
}

earbit_status earbit_stream_finish(earbit_stream* stream) {
  return on_stream(stream, [&] {
    stream->expect_whole();
    CancelledSince cancel(*stream->program);
    stream->stream->finish(&cancel);
    stream->take();
  });
}

earbit_status earbit_stream_reset(earbit_stream* stream) {
  return on_stream(stream, [&] {
    stream->stream->reset();
    stream->begin();
  });
}

int64_t earbit_stream_n_frames(const earbit_stream* stream) {
  int64_t n = 0;
  on_stream(stream, [&] { n = stream->frames.rows(); });
  return n;
}

earbit_status earbit_stream_frames(earbit_stream* stream, float* features, int64_t n_frames,
                                   int64_t* n_written) {
  return on_stream(stream, [&] {
    require_rows(features, "features", n_frames, n_written);
    if (!stream->has_frames) {
      throw BadArgument("the stream was opened without EARBIT_STREAM_FRAMES");
    }
    *n_written = stream->frames.read(features, n_frames);
  });
}

int64_t earbit_stream_n_scores(const earbit_stream* stream) {
  int64_t n = 0;
  on_stream(stream, [&] {
    const bool is_window = is_per_clip(stream->scored());
    n = is_window ? int64_t{stream->of_window().has_value()} : stream->rows.front().rows();
  });
  return n;
}

earbit_status earbit_stream_scores(earbit_stream* stream, float* scores, int64_t n_rows,
                                   int64_t* n_written) {
  return on_stream(stream, [&] {
    require_rows(scores, "scores", n_rows, n_written);
    if (!is_per_clip(stream->scored())) {
      *n_written = stream->rows.front().read(scores, n_rows);
      return;
    }
    const std::optional<Value> value = stream->of_window();
    if (!value || n_rows == 0) return;
    std::copy_n(value->floats.get(), value->type.cols, scores);
    *n_written = 1;
  });
}

earbit_status earbit_stream_text(earbit_stream* stream, char* text, int64_t n_bytes) {
  return on_stream(stream, [&] {
    require(text != nullptr, "text");
    if (n_bytes < 1) throw BadArgument("n_bytes=" + std::to_string(n_bytes) + "; at least 1");
    *text = '\0';
    const Head& head = stream->scored();
    if (kind_of(head) != EARBIT_SEQUENCE) {
      throw BadArgument("the program has a head of kind '" + head.kind +
                        "'; call earbit_stream_scores");
    }
    UnreadRows& rows = stream->rows.front();
    // Nothing changes unless all of it does.
    GreedyText decoder = *stream->decoder;
    std::string found = stream->text + decoder.add(rows.data(), rows.rows());
    stream->text.swap(found);
    *stream->decoder = std::move(decoder);
    rows.clear();
    if (static_cast<int64_t>(stream->text.size()) >= n_bytes) {
      throw BadArgument("n_bytes=" + std::to_string(n_bytes) + "; this text takes " +
                        std::to_string(stream->text.size() + 1));
    }
    std::memcpy(text, stream->text.c_str(), stream->text.size() + 1);
    stream->text.clear();
  });
}
