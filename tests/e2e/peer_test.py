#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/peer/llama_cpp beside programs that stand in for llama.cpp's: rows, intervals, refusals.

usage: peer_test.py JOULEBENCH"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
SCRIPT = os.path.join(os.environ.get("JB_SOURCE", "."), "bench", "peer", "llama_cpp")
BENCH = """#!/bin/sh
printf 'build_commit,n_prompt,avg_ts\\n"3f545becc","1","2.5"\\n'
"""
BATCHED = """#!/bin/sh
printf 'main: some words\\n{"pl": 8, "speed_tg": 4.0}\\n'
"""


def program(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path


def compare(folder, *arguments, bench=BENCH, batched=BATCHED):
    model = os.path.join(folder, "tiny.gguf")
    if not os.path.exists(model):
        subprocess.run([JB, "synth", "--model", "tiny", "--format", "q4_0", "-o", model], check=True)
    if batched:
        program(folder, "llama-batched-bench", batched)
    bench = program(folder, "llama-bench", bench)
    return subprocess.run([SCRIPT, "--llama-bench", bench, "--joulebench", JB, "--model", model, "--threads", "1",
                           "--gen", "2", "--depth", "2", "--prompt", "4", *arguments],
                          capture_output=True, text=True, check=False)


def each_case_is_a_row_with_its_samples():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "peer.csv")
        done = compare(folder, "--pairs", "2", "-o", path)
        assert done.returncode == 0, done.stderr
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["case"] for row in rows] == ["decode", "decode8", "prefill4", "load"], rows
        for row in rows:
            assert len(row["ours_samples"].split()) == len(row["peer_samples"].split()) == 2, row
            assert float(row["ratio"]) > 0 and row["ratio_low"] == "", row
            assert row["peer_commit"] == "3f545becc" and row["weight_format"] == "q4_0", row
        assert [row["peer"] for row in rows[:3]] == ["2.5", "4", "2.5"], rows
        again = compare(folder, "--pairs", "6", "--cases", "decode", "-o", path)
        assert again.returncode == 0, again.stderr
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 5 and float(rows[4]["ratio_low"]) <= float(rows[4]["ratio_high"]), rows[4:]


def what_is_missing_is_named_in_one_line():
    with tempfile.TemporaryDirectory() as folder:
        done = compare(folder, "--cases", "decode8", "--pairs", "1", batched=None)
        assert done.returncode == 1 and "llama-batched-bench is not beside" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        done = compare(folder, "--cases", "decode", "--pairs", "1", bench="#!/bin/sh\necho no such model >&2\nexit 3\n")
        assert done.returncode == 1 and "ended with 3: no such model" in done.stderr, done.stderr
        done = compare(folder, "--cases", "encode")
        assert done.returncode == 2 and "'encode'" in done.stderr, done.stderr
        done = subprocess.run([SCRIPT, "--llama-bench", "/nowhere", "--model", JB], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2 and "no file /nowhere" in done.stderr, done.stderr


run_tests([each_case_is_a_row_with_its_samples, what_is_missing_is_named_in_one_line])
