#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fpga_sim through the real binary: ids of a trained model, designs that do not fit, a user's own board.

usage: fpga_test.py JOULEBENCH
"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
MODEL = os.path.join(os.environ.get("JB_SHARED", ""), "models", "stories260K-f16.gguf")
BOARDS = ["u280", "vhk158", "v80", "vck5000", "u250", "u200", "vcu128", "kv260", "zcu104"]


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120)


def rows(*args):
    done = jb(*args)
    assert done.returncode in (0, 4), (args, done.returncode, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def every_board_runs_and_stays_below_its_memory():
    for board in BOARDS:
        row = rows("op", "--backend", "fpga_sim", "--device", board, "--op", "gemv", "--shape", "4096x4096", "--format",
                   "q8_0")[0]
        assert 0 < float(row["bound_share"]) <= 1, row
        stalls = sum(int(row[f"stall_{s}"]) for s in ("memory", "tail", "vector", "control"))
        assert stalls + int(row["busy_cycles"]) == int(row["cycles"]), row
        assert float(row["energy_j"]) > 0, row


def ids_agree_on_a_trained_model():
    if not os.path.exists(MODEL):
        skip(f"{MODEL} is not there")
    for operand in ("f16", "bf16"):
        sets = sum((["--set", f"{key}={operand}"] for key in ("operand", "weight_operand", "kv_operand")), [])
        got = rows("run", "--backend", "refops,fpga_sim", "--model", MODEL, "--prompt", "32", "--gen", "48", *sets,
                   "--execute", "functional", "--reps", "1", "--window", "1ms", "--meter", "null", "--output", "-")
        checked = [r for r in got if r["backend"] == "fpga_sim" and r["ids_agree"]]
        assert checked, got
        for row in checked:
            assert abs(float(row["ids_agree"]) + float(row["ids_near_tie"]) - 1) < 1e-9, row


def a_design_that_does_not_fit_is_refused():
    done = jb("op", "--backend", "fpga_sim", "--device", "kv260", "--op", "gemv", "--shape", "64x64", "--set", "lanes=2048")
    assert done.returncode == 3 and "1248" in done.stderr and "too many" in done.stderr, done
    done = jb("run", "--backend", "fpga_sim", "--device", "zcu104", "--model", "llama2-7b", "--execute", "timing",
              "--output", "-")
    assert done.returncode == 1 and "1.86 GiB" in done.stderr, done


def a_board_of_ones_own():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "my.yaml")
        with open(os.path.join(SOURCE, "platforms", "devices", "fpga", "u250.yaml"), encoding="utf-8") as f:
            text = f.read().replace("device: u250", "device: my-board")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("  cores:\n    value: 4\n", "  cores:\n    value: 2\n"))
        row = rows("op", "--backend", "fpga_sim", "--device", path, "--op", "gemm", "--shape", "64x512x512")[0]
        assert row["device"] == "my-board" and "cores=2 " in row["choices"], row


run_tests([every_board_runs_and_stays_below_its_memory, ids_agree_on_a_trained_model,
           a_design_that_does_not_fit_is_refused, a_board_of_ones_own])
