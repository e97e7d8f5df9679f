#include "python/bind_stream.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "graph/program.h"
#include "graph/reach.h"
#include "graph/stream.h"
#include "python/arrays.h"
#include "python/interrupt.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace earbit {
namespace {

using Rows2d = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void expect_values(const Program& program, const std::vector<int>& ids) {
  if (ids.empty()) throw std::invalid_argument("no values are asked for");
  for (int id : ids) {
    if (id >= 0 && id < program.n_values()) continue;
    throw std::invalid_argument("value " + std::to_string(id) + "; there are " +
                                std::to_string(program.n_values()));
  }
}

// Number and name of the first op that needs the whole clip.
std::optional<std::pair<int, std::string>> whole_clip_op(const Program& program,
                                                         const std::vector<int>& outputs) {
  expect_values(program, outputs);
  const std::optional<int> s = first_of_whole_clip(program.steps(), outputs);
  if (!s) return {};
  return std::pair(*s, program.steps()[*s].name);
}

int64_t latency(const Program& program, const std::vector<int>& outputs) {
  expect_values(program, outputs);
  return reach_of(program.steps(), outputs).latency();
}

std::vector<int> streamed_on_the_way(const Program& program, int output) {
  expect_values(program, {output});
  return streamed_on_the_way_to(program.steps(), output);
}

// Values that follow from all rows of others.
nb::list run_from(const Program& program, const std::vector<int>& given,
                  const std::vector<Rows2d>& rows, const std::vector<int>& outputs, int threads) {
  expect_values(program, given);
  if (rows.size() != given.size()) throw std::invalid_argument("an array for every given value");
  std::vector<View> views;
  for (size_t i = 0; i < given.size(); ++i) {
    const auto n = static_cast<int64_t>(rows[i].shape(0));
    const Type& type = program.type(given[i]);
    if (type.kind != Kind::floats || type.cols != static_cast<int>(rows[i].shape(1))) {
      throw std::invalid_argument("value " + std::to_string(given[i]) + " is of other rows");
    }
    // Ops never write to what is given.
    views.push_back({type, {0, n}, const_cast<float*>(rows[i].data()), n});
  }
  std::vector<Value> values;
  run_unlocked(
      [&](Cancel* cancel) { values = program.run_from(given, views, outputs, threads, cancel); });
  return arrays_of(values);
}

void accept(Stream& stream, const Waveform& samples) {
  run_unlocked([&](Cancel* cancel) {
    stream.accept(samples.data(), static_cast<int64_t>(samples.shape(0)), cancel);
  });
}

void finish(Stream& stream) {
  run_unlocked([&](Cancel* cancel) { stream.finish(cancel); });
}

nb::list take(Stream& stream) {
  std::vector<Value> values;
  {
    const Unlocked unlocked;
    values = stream.take();
  }
  return arrays_of(values);
}

// Calls without the interpreter lock, because the thread that has the stream's may wait for it.
template <auto method>
auto unlocked(Stream& stream) {
  const Unlocked none;
  return (stream.*method)();
}

}  // namespace

void bind_stream(nb::module_& m) {
  nb::exception<UnfitRows>(m, "UnfitRows", PyExc_ValueError);
  nb::class_<Stream>(m, "Stream")
      .def(nb::init<const Program&, const std::vector<int>&, int>(), "program"_a, "outputs"_a,
           "threads"_a, nb::keep_alive<1, 2>())
      .def("accept", &accept, "samples"_a)
      .def("finish", &finish)
      .def("reset", &unlocked<&Stream::reset>)
      .def("take", &take)
      .def_prop_ro("n_samples", &unlocked<&Stream::n_samples>)
      .def_prop_ro("is_finished", &unlocked<&Stream::is_finished>)
      .def_prop_ro("n_bytes", &unlocked<&Stream::bytes>);
  m.def("whole_clip_op", &whole_clip_op, "program"_a, "outputs"_a);
  m.def("latency", &latency, "program"_a, "outputs"_a);
  m.def("streamed_on_the_way", &streamed_on_the_way, "program"_a, "output"_a);
  m.def("run_from", &run_from, "program"_a, "given"_a, "rows"_a, "outputs"_a, "threads"_a);
}

}  // namespace earbit
