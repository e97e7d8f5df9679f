#include "graph/stream.h"

#include <algorithm>
#include <cstring>

#include "graph/program.h"
#include "graph/reach.h"

namespace earbit {
namespace {

// Samples that are computed at once, so that long pieces take no more memory than short ones: 24
// frames of 20 ms, a multiple of the rows of most kernels.
constexpr int64_t kPiece = 7680;

// Buffers of at most so many bytes stay where they are: taking memory would cost more time.
constexpr int64_t kSmall = 16 << 10;

}  // namespace

// The phase of a stream during a call, and after it: broken unless the call ends.
class Stream::Working {
 public:
  explicit Working(Stream& stream) : stream_(stream) { stream.phase_ = Phase::busy; }
  ~Working() {
    stream_.phase_ = after_;
    stream_.runner_.release();  // other streams of the program take the memory
  }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

  void ends_in(Phase after) { after_ = after; }

 private:
  Stream& stream_;
  Phase after_ = Phase::broken;
};

Stream::Stream(const Program& program, const std::vector<int>& outputs, int n_threads)
    : program_(program),
      plan_(program.plan({outputs, {0}, true})),
      runner_(program.steps(), plan_, program.memory(), n_threads),
      readers_(program.n_values()),
      samples_(program.type(0), program.memory()),
      n_rows_(program.n_values(), 0),
      n_taken_(outputs.size(), 0) {
  if (std::find(outputs.begin(), outputs.end(), 0) != outputs.end()) {
    throw std::invalid_argument("value 0, the audio, is no result of a stream");
  }
  if (const std::optional<int> s = first_of_whole_clip(program.steps(), outputs)) {
    throw NeedsWholeClip("op " + std::to_string(*s) + ", " + program.steps()[*s].name +
                         ", needs the whole clip");
  }
  for (const Chain& chain : plan_.chains) {
    std::vector<Input>& inputs = inputs_.emplace_back();
    for (int s : chain.steps) {
      const Step& step = program.steps()[s];
      for (size_t k = 0; k < step.inputs.size(); ++k) {
        const int id = step.inputs[k];
        const Needs needs = step.op->needs(k);
        readers_[id].push_back({s, needs});
        const bool is_own =
            std::find(chain.steps.begin(), chain.steps.end(), id - 1) != chain.steps.end();
        if (!is_own) inputs.push_back({id, needs});
      }
    }
  }
  for (const std::vector<int>& values : plan_.slots) {
    slots_.emplace_back(program.type(values.front()), program.memory());
  }
  states_.resize(plan_.chains.size());
}

Stream::~Stream() {
  samples_.clear();
  slots_.clear();
  program_.memory().trim();
}

void Stream::accept(const float* samples, int64_t n, Cancel* cancel) {
  const std::lock_guard lock(mutex_);
  expect_open();
  if (n > kMaxRows - n_rows_[0]) {
    throw std::invalid_argument("a stream of more than " + std::to_string(kMaxRows) + " samples");
  }
  Working working(*this);
  for (int64_t done = 0; done < n; done += kPiece) {
    const int64_t n_new = std::min(kPiece, n - done);
    samples_.move_to(first_read(0), n_rows_[0] + n_new);
    std::copy_n(samples + done, n_new, samples_.view().row(n_rows_[0]));
    n_rows_[0] += n_new;
    advance(false, cancel);
  }
  working.ends_in(Phase::open);
}

void Stream::finish(Cancel* cancel) {
  const std::lock_guard lock(mutex_);
  expect_open();
  Working working(*this);
  advance(true, cancel);
  working.ends_in(Phase::finished);
}

void Stream::reset() {
  const std::lock_guard lock(mutex_);
  expect_idle();
  phase_ = Phase::open;
  samples_ = KeptRows(program_.type(0), program_.memory());
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i] = KeptRows(program_.type(plan_.slots[i].front()), program_.memory());
  }
  std::fill(n_rows_.begin(), n_rows_.end(), 0);
  std::fill(n_taken_.begin(), n_taken_.end(), 0);
  for (std::unique_ptr<State>& state : states_) state = nullptr;
  program_.memory().trim();
}

std::vector<Value> Stream::take() {
  const std::lock_guard lock(mutex_);
  expect_idle();
  std::vector<Value> results;
  for (size_t i = 0; i < plan_.wanted.outputs.size(); ++i) {
    const int id = plan_.wanted.outputs[i];
    const int64_t n = n_rows_[id] - n_taken_[i];
    const Type& type = program_.type(id);
    Value value = Value::make(program_.memory(), type, n);
    if (n > 0) {
      const View view = view_of(id);
      const int n_parts = type.kind == Kind::bits ? type.groups : 1;
      const int64_t n_bytes = type.row_bytes() / n_parts;
      for (int part = 0; part < n_parts; ++part) {
        std::memcpy(static_cast<char*>(value.data()) + part * n * n_bytes,
                    static_cast<const char*>(view.data) +
                        (part * view.held + n_taken_[i] - view.rows.begin) * n_bytes,
                    static_cast<size_t>(n * n_bytes));
      }
    }
    results.push_back(std::move(value));
  }
  for (size_t i = 0; i < n_taken_.size(); ++i) n_taken_[i] = n_rows_[plan_.wanted.outputs[i]];
  return results;
}

int64_t Stream::n_samples() const {
  const std::lock_guard lock(mutex_);
  return n_rows_[0];
}

bool Stream::is_finished() const {
  const std::lock_guard lock(mutex_);
  return phase_ == Phase::finished;
}

int64_t Stream::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t n = samples_.bytes();
  for (const KeptRows& slot : slots_) n += slot.bytes();
  return n;
}

void Stream::expect_idle() const {
  if (phase_ == Phase::busy) {
    throw StreamEnded("the stream is in the middle of a call, which this one interrupts");
  }
}

void Stream::expect_open() const {
  expect_idle();
  if (phase_ == Phase::open) return;
  throw StreamEnded(phase_ == Phase::finished
                        ? "the stream is finished; reset it for other audio"
                        : "the stream was cancelled or failed; reset it for other audio");
}

// Computes all rows that the values so far are enough for.
void Stream::advance(bool is_end, Cancel* cancel) {
  runner_.begin(cancel);
  for (size_t c = 0; c < plan_.chains.size(); ++c) {
    const Chain& chain = plan_.chains[c];
    const Rows rows{n_rows_[chain.steps.front() + 1], rows_of(c, is_end)};
    if (rows.size() <= 0) continue;
    for (int slot : chain.takes) slots_[slot].move_to(first_needed(slot), rows.end);
    for (const Input& input : inputs_[c]) runner_.place(input.id, view_of(input.id));
    for (int s : chain.steps) {
      if (plan_.places[s + 1].kind == Place::Kind::slot) runner_.place(s + 1, view_of(s + 1));
    }
    if (states_[c] == nullptr) states_[c] = runner_.start(chain);
    runner_.run(chain, rows, states_[c].get());
    for (int s : chain.steps) n_rows_[s + 1] = rows.end;
    // Memory of rows that nothing reads again is for the next chains.
    for (int slot : chain.frees) {
      const bool is_read = first_needed(slot) == slots_[slot].rows().end;
      if (is_read && slots_[slot].bytes() > kSmall) slots_[slot].clear();
    }
  }
}

View Stream::view_of(int id) const {
  View view = id == 0 ? samples_.view() : slots_[plan_.places[id].index].view();
  view.type = program_.type(id);  // values of one slot may differ in all but the bytes of a row
  return view;
}

// Rows of a chain that its inputs are enough for.
int64_t Stream::rows_of(size_t chain, bool is_end) const {
  int64_t n = kMaxRows;
  for (const Input& input : inputs_[chain]) {
    Needs needs = input.needs;
    needs.pad_right = 0;  // the audio may go on
    n = std::min(n, needs.count(n_rows_[input.id]));
  }
  if (!is_end) return n;
  try {
    // Of all steps, because inputs of the others may not fit either.
    std::vector<int64_t> n_rows = n_rows_;
    const std::vector<int>& steps = plan_.chains[chain].steps;
    for (int s : steps) n_rows[s + 1] = rows_of_step(program_.steps()[s], n_rows);
    return n_rows[steps.front() + 1];
  } catch (const UnfitRows&) {
    throw;
  } catch (const std::invalid_argument&) {
    return 0;  // all of the audio is too short for a row
  }
}

int64_t Stream::first_needed(int slot) const {
  int64_t first = kMaxRows;
  for (int id : plan_.slots[slot]) first = std::min(first, first_read(id));
  return first;
}

int64_t Stream::first_read(int id) const {
  int64_t first = n_rows_[id];
  for (const Reader& reader : readers_[id]) {
    const Needs& needs = reader.needs;
    first = std::min(first, needs.centre(n_rows_[reader.step + 1]) - needs.left);
  }
  for (size_t i = 0; i < n_taken_.size(); ++i) {
    if (plan_.wanted.outputs[i] == id) first = std::min(first, n_taken_[i]);
  }
  return std::max<int64_t>(first, 0);
}

}  // namespace earbit
