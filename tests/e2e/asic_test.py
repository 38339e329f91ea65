#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""asic_sim through the real binary: cycles by hand, ids of a trained model, a user's own chip.

usage: asic_test.py JOULEBENCH
"""
import csv
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
MODEL = os.path.join(os.environ.get("JB_SHARED", ""), "models", "stories260K-f16.gguf")


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120)


def rows(*args):
    done = jb(*args)
    assert done.returncode in (0, 4), (args, done.returncode, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def op(*args):
    return rows("op", "--backend", "asic_sim", *args)[0]


def up(a, b):
    return -(-a // b)


def by_hand(m, n, k, r, c, dataflow, preload):
    if dataflow == "ws":
        folds, load, stream, least = up(k, r) * up(n, c), r, m, r
    else:
        folds, load, stream, least = up(m, r) * up(n, c), 0, k, r
    fold = load + stream + r + c - 2
    return fold + (folds - 1) * max(stream, least) if preload == "on" else folds * fold


def cycles_are_those_of_the_closed_forms():
    rng = random.Random(5)
    for _ in range(12):
        m, n, k = rng.randint(1, 300), rng.randint(1, 900), rng.randint(1, 900)
        r, c = rng.choice([8, 16, 32, 128]), rng.choice([8, 32, 100, 256])
        dataflow, preload = rng.choice(["ws", "os"]), rng.choice(["on", "off"])
        row = op("--op", "gemm", "--shape", f"{m}x{n}x{k}", "--set", "memory=ideal", "--set", f"preload={preload}",
                 "--set", f"dataflow={dataflow}", "--set", f"array_rows={r}", "--set", f"array_cols={c}")
        assert int(row["cycles"]) == by_hand(m, n, k, r, c, dataflow, preload), row
        stalls = sum(int(row[f"stall_{s}"]) for s in ("weights", "skew", "memory", "vector", "link", "control"))
        assert stalls + int(row["busy_cycles"]) == int(row["cycles"]), row


def memory_bounds_a_vector():
    row = op("--op", "gemv", "--shape", "8192x8192", "--set", "arrays=16", "--set", "weight_buffer=64MiB")
    assert float(row["bytes"]) == 2 * 8192 * 8192, row
    assert float(row["bytes"]) / float(row["time_s"]) < 409.6e9, row
    assert 0.8 < float(row["bound_share"]) <= 1, row


def ids_agree_on_a_trained_model():
    if not os.path.exists(MODEL):
        skip(f"{MODEL} is not there")
    for operand in ("f16", "bf16"):
        got = rows("run", "--backend", "refops,asic_sim", "--model", MODEL, "--prompt", "32", "--gen", "48", "--set",
                   f"operand={operand}", "--execute", "functional", "--reps", "1", "--window", "1ms", "--meter", "null",
                   "--output", "-")
        checked = [r for r in got if r["backend"] == "asic_sim" and r["ids_agree"]]
        assert checked, got
        for row in checked:
            assert abs(float(row["ids_agree"]) + float(row["ids_near_tie"]) - 1) < 1e-9, row


def a_chip_of_ones_own():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "my.yaml")
        with open(os.path.join(SOURCE, "platforms", "devices", "asic", "systolic-128.yaml"), encoding="utf-8") as f:
            text = f.read().replace("device: systolic-128", "device: my-chip")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("  arrays:\n    value: 1\n", "  arrays:\n    value: 4\n"))
        row = op("--device", path, "--op", "gemm", "--shape", "64x512x512", "--set", "memory=ideal")
        assert row["device"] == "my-chip" and "tiles=4 " in row["choices"], row
        with open(path, "a", encoding="utf-8") as f:
            f.write("  aray_rows:\n    value: 4\n    source: \"a slip\"\n")
        done = jb("op", "--backend", "asic_sim", "--device", path, "--op", "gemv", "--shape", "8x8")
        assert done.returncode == 2 and "aray_rows" in done.stderr and "array_rows" in done.stderr, done
        done = jb("run", "--backend", "asic_sim", "--model", "opt-66b", "--execute", "timing", "--output", "-")
        assert done.returncode == 1 and "16.00 GiB" in done.stderr, done


def slips_exit_2():
    for setting in ("no_such_key=1", "memory=magic", "array_rows=0", "sum=int32", "clock=1"):
        done = jb("op", "--backend", "asic_sim", "--op", "gemv", "--shape", "8x8", "--set", setting)
        if setting != "clock=1":  # a bare number takes the file's unit
            assert done.returncode == 2 and setting.split("=", maxsplit=1)[0] in done.stderr, (setting, done)
        else:
            assert done.returncode == 0, done


run_tests([cycles_are_those_of_the_closed_forms, memory_bounds_a_vector, ids_agree_on_a_trained_model,
           a_chip_of_ones_own, slips_exit_2])
