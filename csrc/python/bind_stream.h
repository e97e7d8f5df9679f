// Streams in the module earbit._core.
#pragma once

#include <nanobind/nanobind.h>

namespace earbit {

void bind_stream(nanobind::module_& m);

}  // namespace earbit
