#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/tally.py, which says whether the tests passed: what it counts, names and refuses."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests  # noqa: E402

TALLY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tally.py")


def tally(text, shared="/no/such/shared"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "one.tap")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([sys.executable, TALLY, path], capture_output=True, text=True,
                              env={**os.environ, "JB_SHARED": shared})
    return done.returncode, done.stdout.splitlines()


def points_are_counted():
    code, lines = tally("1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no gnuplot\n")
    assert code == 1 and lines[-1] == "1 passed, 1 failed, 1 skipped", lines
    assert "FAILED one: b" in lines and "skipped c (one): no gnuplot" in lines, lines
    assert tally("1..1\nok 1 - a\n") == (0, ["1 passed, 0 failed"])
    assert tally("")[0] == 1 and tally("1..1\nok 1 - a # SKIP b\n")[0] == 1


def a_cmocka_skip_has_its_name_and_reason():
    code, lines = tally("1..2\nok 1 - test_a\n# skip: PAPI is not in this build\nnot ok 2 # SKIP test_b\n# ok - group\n")
    assert code == 0 and lines == ["skipped test_b (one): PAPI is not in this build", "1 passed, 0 failed, 1 skipped"], lines


def nothing_skips_for_want_of_data_that_is_there():
    text = "1..2\nok 1 - a\nok 2 - b # SKIP no shared models\n"
    assert tally(text)[0] == 0
    with tempfile.TemporaryDirectory() as shared:
        code, lines = tally(text, shared)
        assert code == 1 and lines[-1] == "1 passed, 1 failed", lines
        assert any("b: skipped though" in line and "no shared models" in line for line in lines), lines


run_tests([points_are_counted, a_cmocka_skip_has_its_name_and_reason, nothing_skips_for_want_of_data_that_is_there])
