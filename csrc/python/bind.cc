// Python module earbit._core: functions check types and shapes, release the interpreter lock and
// call one C++ function.  Types are in src/earbit/_core.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "cpu/float_environment.h"
#include "cpu/isa.h"
#include "file/load_program.h"
#include "graph/program.h"
#include "kernels/conv_b1.h"
#include "kernels/depthwise_b1.h"
#include "kernels/elementwise.h"
#include "kernels/exp.h"
#include "kernels/gemm_b1.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_i8.h"
#include "kernels/log_mel.h"
#include "kernels/softmax_b1.h"
#include "python/arrays.h"
#include "python/bind_stream.h"
#include "python/interrupt.h"
#include "self_test/ceilings.h"
#include "self_test/self_test.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace earbit {
namespace {

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
template <typename T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr int kMaxThreads = 256;

nb::dlpack::dtype dlpack_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return nb::dtype<float>();
    case Dtype::i32:
      return nb::dtype<int32_t>();
    case Dtype::u64:
      return nb::dtype<uint64_t>();
    case Dtype::u8:
      return nb::dtype<uint8_t>();
  }
  throw std::logic_error("a type that Python does not know");
}

Dtype dtype_of(const std::string& name, const Array& array) {
  std::string allowed;
  for (const DtypeInfo& info : kDtypes) {
    if (array.dtype() == dlpack_of(info.dtype)) return info.dtype;
    allowed += std::string(allowed.empty() ? "" : ", ") + info.name;
  }
  throw std::invalid_argument("tensor '" + name + "' is of another type; allowed are " + allowed);
}

Tensor tensor_of(const std::string& name, const Array& array) {
  Tensor tensor{dtype_of(name, array), {}, array.data()};
  if (reinterpret_cast<uintptr_t>(array.data()) % info_of(tensor.dtype).n_bytes != 0) {
    throw std::invalid_argument("tensor '" + name + "' is not aligned; copy it");
  }
  for (size_t i = 0; i < array.ndim(); ++i) {
    tensor.shape.push_back(static_cast<int64_t>(array.shape(i)));
  }
  return tensor;
}

int add(Program& program, const std::string& op, const std::vector<int>& inputs,
        const std::map<std::string, int64_t>& ints, const std::map<std::string, double>& floats,
        const std::map<std::string, Array>& tensors) {
  std::map<std::string, Tensor> views;
  for (const auto& [name, array] : tensors) views[name] = tensor_of(name, array);
  const DefaultFloats default_floats;
  Attributes attributes(ints, floats, views);
  return program.add(op, inputs, attributes);
}

using HeadParts = std::tuple<std::string, std::string, int, std::vector<std::string>,
                             std::vector<int>, std::optional<double>, int64_t>;

// A loaded file: program, outputs, bits, the JSON text of its origin, its digest, and task, kind,
// value, labels, slots, least log odds and least samples of its head if it has one.
std::tuple<std::unique_ptr<Program>, std::vector<int>, std::map<std::string, int>, std::string,
           std::string, std::optional<HeadParts>>
load(const nb::bytes& path) {
  const std::string text(path.c_str(), path.size());
  const Unlocked unlocked;
  const DefaultFloats default_floats;
  LoadedProgram loaded = load_program(FileSource(text));
  std::optional<HeadParts> head;
  if (loaded.head) {
    head.emplace(loaded.head->task, loaded.head->kind, loaded.head->value, loaded.head->labels,
                 loaded.head->slots, loaded.head->min_log_odds, loaded.head->min_samples);
  }
  return {std::move(loaded.program), std::move(loaded.outputs), std::move(loaded.bits),
          std::move(loaded.origin),  std::move(loaded.digest),  std::move(head)};
}

void check(const Waveform& waveform, int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("threads=" + std::to_string(threads) + "; allowed are 1 to " +
                                std::to_string(kMaxThreads));
  }
  if (waveform.shape(0) == 0) throw std::invalid_argument("a waveform without samples");
}

nb::list run(const Program& program, const Waveform& waveform, const std::vector<int>& outputs,
             int threads) {
  check(waveform, threads);
  const auto n_samples = static_cast<int64_t>(waveform.shape(0));
  std::vector<Value> values;
  run_unlocked([&](Cancel* cancel) {
    values = program.run(waveform.data(), n_samples, outputs, threads, cancel);
  });
  return arrays_of(values);
}

const char* name_of(Work::Operands operands) {
  constexpr const char* kNames[] = {"", "f32", "i8", "b1"};
  return kNames[static_cast<int>(operands)];
}

// Name, number of the chain, seconds, number of products and their operands of every op.
std::vector<std::tuple<std::string, int, double, double, std::string>> profile(
    const Program& program, const Waveform& waveform, int threads) {
  check(waveform, threads);
  const auto n_samples = static_cast<int64_t>(waveform.shape(0));
  std::vector<OpTime> times;
  run_unlocked([&](Cancel* cancel) {
    times = program.profile(waveform.data(), n_samples, threads, cancel);
  });
  std::vector<std::tuple<std::string, int, double, double, std::string>> ops;
  for (const OpTime& op : times) {
    ops.emplace_back(op.name, op.chain, op.seconds, op.work.n_products, name_of(op.work.operands));
  }
  return ops;
}

nb::list kernels() {
  nb::list list;
  const auto append = [&](const char* op, const auto& kernel, const auto& chosen) {
    nb::dict entry;
    entry["op"] = op;
    entry["name"] = kernel.name;
    entry["isa"] = name_of(kernel.isa);
    entry["available"] = is_available(kernel.isa);
    entry["chosen"] = &kernel == &chosen;
    list.append(entry);
  };
  const Isa isa = chosen_isa();
  for (const auto& kernel : gemm_b1_kernels()) append("gemm_b1", kernel, gemm_b1_kernel(isa));
  for (const auto& kernel : gemm_f32_kernels()) append("gemm_f32", kernel, gemm_f32_kernel(isa));
  for (const auto& kernel : gemm_i8_kernels()) append("gemm_i8", kernel, gemm_i8_kernel(isa));
  for (const ElementwiseKernels* set : all_elementwise_kernels()) {
    append("elementwise", *set, elementwise_kernels(isa));
  }
  // That of the last set: a build has at most one.
  if (const ConvB1Kernel* kernel = conv_b1_kernel(Isa::avx512)) {
    const ConvB1Kernel none{};
    append("conv_b1", *kernel, kernel == conv_b1_kernel(isa) ? *kernel : none);
  }
  for (const auto& kernel : depthwise_b1_kernels()) {
    append("depthwise_b1", kernel, depthwise_b1_kernel(isa));
  }
  for (const auto& kernel : softmax_b1_kernels()) {
    append("softmax_b1", kernel, softmax_b1_kernel(isa));
  }
  for (const ExpKernels* set : all_exp_kernels()) append("exp", *set, exp_kernels(isa));
  for (const auto& kernel : log_mel_kernels()) append("log_mel", kernel, log_mel_kernel(isa));
  return list;
}

// Name and description of every op.
std::vector<std::pair<std::string, std::string>> ops() {
  std::vector<std::pair<std::string, std::string>> ops;
  for (const OpEntry& entry : all_ops()) ops.emplace_back(entry.name, entry.text);
  return ops;
}

// Products per second of one core, by operands.
std::map<std::string, double> ceilings() {
  const Ceilings measured = measured_ceilings();
  return {{"f32", measured.f32}, {"i8", measured.i8}, {"b1", measured.b1}};
}

nb::list run_self_test() {
  const DefaultFloats default_floats;
  nb::list list;
  for (const SelfTest& test : self_test()) {
    nb::dict entry;
    entry["kernel"] = test.kernel;
    entry["ok"] = test.is_ok;
    entry["detail"] = test.detail;
    list.append(entry);
  }
  return list;
}

nb::object gemm_b1_counts(const Matrix<uint64_t>& a, const Matrix<uint64_t>& w, bool is_and,
                          const std::string& isa) {
  if (a.shape(1) != w.shape(1)) {
    throw std::invalid_argument("rows of " + std::to_string(a.shape(1)) + " and " +
                                std::to_string(w.shape(1)) + " words");
  }
  const GemmB1Kernel& kernel = gemm_b1_kernel(isa_named(isa));
  const auto words = static_cast<int>(a.shape(1));
  const auto n_cols = static_cast<int>(w.shape(0));
  const size_t n_rows = a.shape(0);
  const PanelsB1 panels(kernel, w.data(), words, n_cols, words);
  std::shared_ptr<int32_t[]> counts(new int32_t[n_rows * n_cols]);
  std::vector<int32_t> tile(static_cast<size_t>(kernel.rows) * panels.padded_cols());
  for (size_t i = 0; i < n_rows; i += kernel.rows) {
    const auto n = static_cast<int>(std::min<size_t>(kernel.rows, n_rows - i));
    panels.run(a.data() + i * words, words, n, is_and ? BitOp::conjunction : BitOp::exclusive_or,
               tile.data());
    for (int r = 0; r < n; ++r) {
      std::copy_n(tile.data() + static_cast<size_t>(r) * panels.padded_cols(), n_cols,
                  counts.get() + (i + r) * n_cols);
    }
  }
  return array_of(counts, {n_rows, static_cast<size_t>(n_cols)});
}

nb::object gemm_i8_sums(const Matrix<uint8_t>& a, const Matrix<int8_t>& w, const std::string& isa) {
  if (a.shape(1) != w.shape(1)) {
    throw std::invalid_argument("rows of " + std::to_string(a.shape(1)) + " and " +
                                std::to_string(w.shape(1)) + " codes");
  }
  const GemmI8Kernel& kernel = gemm_i8_kernel(isa_named(isa));
  const auto n_k = static_cast<int>(a.shape(1));
  const auto n_cols = static_cast<int>(w.shape(0));
  const auto n_rows = static_cast<int>(a.shape(0));
  const PanelsI8 panels(kernel, w.data(), n_k, n_cols, n_k);
  std::vector<int32_t> padded(static_cast<size_t>(n_rows) * panels.padded_cols());
  panels.run(a.data(), n_k, n_rows, padded.data());
  std::shared_ptr<int32_t[]> sums(new int32_t[static_cast<size_t>(n_rows) * n_cols]);
  for (int i = 0; i < n_rows; ++i) {
    std::copy_n(padded.data() + static_cast<size_t>(i) * panels.padded_cols(), n_cols,
                sums.get() + static_cast<size_t>(i) * n_cols);
  }
  return array_of(sums, {static_cast<size_t>(n_rows), static_cast<size_t>(n_cols)});
}

}  // namespace
}  // namespace earbit

NB_MODULE(_core, m) {
  using namespace earbit;
  // Daemon threads that are stopped at exit keep their references; these are not leaks to report.
  nb::set_leak_warnings(false);
  nb::class_<Program>(m, "Program")
      .def_prop_ro("n_values", &Program::n_values)
      .def(nb::init<>())
      .def("add", &add, "op"_a, "inputs"_a, "ints"_a, "floats"_a, "tensors"_a)
      .def("run", &run, "waveform"_a, "outputs"_a, "threads"_a)
      .def("profile", &profile, "waveform"_a, "threads"_a);
  bind_stream(m);
  m.def("load_program", &load, "path"_a);
  m.def("isa", [] { return std::string(name_of(chosen_isa())); });
  m.def("ops", &ops);
  m.def("ceilings", &ceilings);
  m.def("kernels", &kernels);
  m.def("self_test", &run_self_test);
  m.def("gemm_b1_counts", &gemm_b1_counts, "a"_a, "w"_a, "is_and"_a, "isa"_a);
  m.def("gemm_i8_sums", &gemm_i8_sums, "a"_a, "w"_a, "isa"_a);
}
