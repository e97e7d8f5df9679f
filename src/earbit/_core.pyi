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
