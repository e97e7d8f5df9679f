"""What loading a program file takes: memory by the size of the file, whatever is in it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from program_bytes import PROGRAM, RELU
from safetensors.numpy import save_file

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="measures its own memory, as Linux can"
)


def test_a_file_is_loaded_without_a_second_copy_of_it(tmp_path):
    n_ops, side = 12, 1024
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    conv = {**RELU, "op": "conv_f32"}
    shapes = [(side, 1), *[(side, side)] * n_ops]
    ops = [
        {**conv, "inputs": [i], "ints": ints, "tensors": {"weight": f"w{i}"}}
        for i in range(n_ops + 1)
    ]
    tensors = {f"w{i}": np.ones(shape, np.float32) for i, shape in enumerate(shapes)}
    save_file(tensors, tmp_path / "p", {"earbit": json.dumps({**PROGRAM, "ops": ops})})
    # The program itself, and one tensor beside it.
    size = 4 * side * side
    assert size * n_ops < peak_of_loading(tmp_path / "p") < size * (n_ops + 2)


@pytest.mark.parametrize("n_out", [1, 3])
def test_one_bit_weights_of_few_outputs_take_memory_by_the_size_of_their_file(tmp_path, n_out):
    n = 2**20
    ints = {"kernel": n, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    per_output = {"scale": "s", "bias": "b"}
    quantize = {"op": "quantize", "ints": {"bits": 4, "unsigned": 0}, "tensors": {"shift": "q"}}
    product = {"op": "conv_i8", "inputs": [1], "ints": ints | {"weight_bits": 1}}
    ops = [
        {**RELU, **quantize, "floats": {"factor": 1.0, "scale": 1.0}},
        {**RELU, **product, "tensors": {"weight": "w", **per_output}},
    ]
    ones = np.ones(n_out, np.float32)
    tensors = {"q": ones[:1], "w": np.full((n_out, n // 8), 255, np.uint8), "s": ones, "b": ones}
    save_file(tensors, tmp_path / "p", {"earbit": json.dumps({**PROGRAM, "ops": ops})})
    assert peak_of_loading(tmp_path / "p") < 130 * (tmp_path / "p").stat().st_size


def peak_of_loading(path):
    code = f"""if True:
        from earbit.bench.measure import peak_rss_bytes
        from earbit.runtime import Session
        before = peak_rss_bytes()
        Session({str(path)!r})
        print(peak_rss_bytes() - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)
