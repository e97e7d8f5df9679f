"""The compiled core (csrc/python/bind.cc)."""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

class Program:
    n_values: int
    def __init__(self) -> None: ...
    def add(
        self,
        op: str,
        inputs: list[int],
        ints: dict[str, int],
        floats: dict[str, float],
        tensors: dict[str, NDArray[Any]],
    ) -> int: ...
    def run(
        self, waveform: NDArray[np.float32], outputs: list[int], threads: int
    ) -> list[NDArray[Any]]: ...
    def profile(
        self, waveform: NDArray[np.float32], threads: int
    ) -> list[tuple[str, int, float, float, str]]: ...

class UnfitRows(ValueError): ...

class Stream:
    n_samples: int
    is_finished: bool
    n_bytes: int
    def __init__(self, program: Program, outputs: list[int], threads: int) -> None: ...
    def accept(self, samples: NDArray[np.float32]) -> None: ...
    def finish(self) -> None: ...
    def reset(self) -> None: ...
    def take(self) -> list[NDArray[Any]]: ...

def whole_clip_op(program: Program, outputs: list[int]) -> tuple[int, str] | None: ...
def latency(program: Program, outputs: list[int]) -> int: ...
def streamed_on_the_way(program: Program, output: int) -> list[int]: ...
def run_from(
    program: Program,
    given: list[int],
    rows: list[NDArray[np.float32]],
    outputs: list[int],
    threads: int,
) -> list[NDArray[Any]]: ...
def load_program(
    path: bytes,
) -> tuple[
    Program,
    list[int],
    dict[str, int],
    str,
    str,
    tuple[str, str, int, list[str], list[int], float | None, int] | None,
]: ...

class Kernel(TypedDict):
    op: str
    name: str
    isa: str
    available: bool
    chosen: bool

class SelfTest(TypedDict):
    kernel: str
    ok: bool
    detail: str

def isa() -> str: ...
def ops() -> list[tuple[str, str]]: ...
def ceilings() -> dict[str, float]: ...
def kernels() -> list[Kernel]: ...
def self_test() -> list[SelfTest]: ...
def gemm_b1_counts(
    a: NDArray[np.uint64], w: NDArray[np.uint64], is_and: bool, isa: str
) -> NDArray[np.int32]: ...
def gemm_i8_sums(a: NDArray[np.uint8], w: NDArray[np.int8], isa: str) -> NDArray[np.int32]: ...
