"""Program files that are nearly right are refused or run; sanitizers and limits of memory watch."""

import re

import pytest
from programs_with_heads import write_heads
from small_programs import write_programs

from earbit import _core
from native_build import built, ran

N_FILES = 2_000
N_FILES_SLOW = 20_000


def known_ops():
    with pytest.raises(ValueError, match="known are") as error:
        _core.Program().add("no such op", [0], {}, {}, {})
    return set(str(error.value).rpartition("known are ")[2].split(", "))


def test_every_op_is_in_a_program_that_the_fuzzer_starts_from(tmp_path):
    assert write_programs(tmp_path) == known_ops()


def test_a_program_stays_what_it_was_when_memory_runs_out_while_it_gets_an_op():
    assert int(ran(built("asan") / "short_memory").removesuffix(" refused\n")) > 0


def test_memory_is_given_back_at_the_end_of_a_run_without_any_memory():
    # Not with the address sanitizer, with which no block is used twice.
    said = ran(built("debug") / "given_back")
    assert said == "3 kept, 0 after runs that took none\n"


def test_rows_beyond_what_memory_holds_are_refused_before_they_overflow():
    ran(built("asan") / "many_rows")


def do_no_harm(folder, first, n_files):
    write_programs(folder)
    write_heads(folder)
    found = ran(built("asan") / "fuzz_program", folder, first, n_files, timeout_s=3000)
    counts = re.search(rf"{n_files} files: (\d+) refused, .* (\d+) ran", found)
    assert counts, found
    # Without many of both it would test little.
    assert min(map(int, counts.groups())) > n_files / 10, found


def test_files_that_are_nearly_right_do_no_harm(tmp_path):
    do_no_harm(tmp_path, 0, N_FILES)


@pytest.mark.slow
def test_twenty_thousand_files_that_are_nearly_right_do_no_harm(tmp_path):
    do_no_harm(tmp_path, N_FILES, N_FILES_SLOW)
