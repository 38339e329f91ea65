# SPDX-License-Identifier: MIT
"""The cuda backend through the real binary on the emulated card: what it computes, and what it says
when something is missing.

usage: run_test.py JOULEBENCH
"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
RUN = ["run", "--model", "tiny", "--format", "f16", "--prompt", "3", "--gen", "2", "--reps", "1",
       "--window", "0", "--meter", "null", "--quiet"]


def jb(*args, **env):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=150, env={**os.environ, **env})


def refused(code, words, *args, **env):
    done = jb(*args, **env)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("joulebench: error: "), (args, done.stderr)
    assert all(word in lines[0] for word in words), (args, lines[0])


def no_driver_is_said():
    with tempfile.TemporaryDirectory() as empty:
        done = jb(*RUN, "--backend", "cuda", "--output", os.devnull, LD_LIBRARY_PATH=empty)
    if done.returncode != 0:  # a machine with a GPU has one all the same
        refused(3, ["cuda"], *RUN, "--backend", "cuda", "--output", os.devnull, LD_LIBRARY_PATH=empty)


def no_card_is_said():
    refused(3, ["GPU"], *RUN, "--backend", "cuda", "--output", os.devnull, JB_EMULATED_CARDS="0")


def an_old_card_is_named():
    refused(3, ["7.5", "8.0"], *RUN, "--backend", "cuda", "--output", os.devnull, JB_EMULATED_COMPUTE="75")


def too_little_memory_names_what_is_needed():
    refused(1, ["MiB", "smaller"], *RUN, "--backend", "cuda", "--output", os.devnull, JB_EMULATED_MIB="1")


def ids_agree_with_the_reference():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        done = jb(*RUN, "--backend", "refops,cuda", "--output", path)
        assert done.returncode == 0, done.stderr
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    digests = {row["tokens_digest"] for row in rows if row["phase"] == "decode"}
    assert len(digests) == 1 and "" not in digests, rows


run_tests([no_driver_is_said, no_card_is_said, an_old_card_is_named, too_little_memory_names_what_is_needed,
           ids_agree_with_the_reference])
