"""`earbit doctor` says what this CPU can do, tests its kernels and names what is slow."""

from earbit import _core
from earbit.runtime.cores import usable_cores
from earbit.runtime.doctor import advice, examine, render_doctor


def test_the_doctor_says_how_many_threads_and_what_to_do_when_it_is_slow():
    found = examine()
    said = render_doctor(found)
    assert f"{usable_cores()} cores may be used" in said
    assert "earbit bench" in said
    assert found["isa"] in said
    assert found["versions"]["earbit"] in said


def test_the_doctor_blames_a_forced_instruction_set_or_the_cpu_for_slowness():
    known = ("scalar", "avx2", "avx512bw", "avx512", "avxvnni")
    kernels = [{"isa": isa, "available": isa in ("scalar", "avx2")} for isa in known]
    assert "EARBIT_ISA forces scalar; unset it, and avx2 is used" in advice("scalar", kernels, 1)[0]
    assert "no AVX-512" in advice("avx2", kernels, 1)[0]
    for better in ("avxvnni", "avx512bw"):
        kernels[known.index(better)]["available"] = True
        assert f"unset it, and {better} is used" in advice("avx2", kernels, 1)[0]
        assert "no AVX-512 with VPOPCNTDQ" in advice(better, kernels, 1)[0]
    kernels[known.index("avx512")]["available"] = True
    assert "threads=4" in advice("avx512", kernels, 4)[0]
    assert len(advice("avx512", kernels, 1)) == 1


def test_the_doctor_tests_every_kernel_that_runs_here(monkeypatch):
    found = examine()
    assert found["ok"]
    runnable = {kernel["name"] for kernel in found["kernels"] if kernel["available"]}
    assert {test["kernel"] for test in found["self_test"]} == runnable
    wrong = [*_core.self_test(), {"kernel": "broken", "ok": False, "detail": "wrong at 1 x 1 x 1"}]
    monkeypatch.setattr(_core, "self_test", lambda: wrong)
    assert not examine()["ok"]
