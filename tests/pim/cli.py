#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pim_sim through the real binary: rows, refusals, ids against the reference. usage: cli.py JOULEBENCH"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
MODEL = os.path.join(os.environ.get("JB_SHARED", ""), "models", "stories260K-f16.gguf")
DEVICES = ["hbm-pim", "hbm-pim-8", "aim", "aimx", "cent", "upmem", "generic-pim"]


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120, check=False)


def rows_of(*args):
    done = jb(*args)
    assert done.returncode == 0, (args, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def op(device, *args):
    rows = rows_of("op", "--backend", "pim_sim", "--device", device, "--op", "gemv", *args)
    assert len(rows) == 1
    return rows[0]


def every_device_runs_the_tiny_model():
    for device in DEVICES:
        rows = rows_of("run", "--backend", "pim_sim", "--device", device, "--model", "tiny", "--format",
                       "q8_0" if device == "upmem" else "f16", "--execute", "timing", "--prompt", "8", "--gen", "4",
                       "--batch", "1,2", "--quiet")
        assert len(rows) == 6, rows
        for r in rows:
            kind = "modelled" if device == "upmem" else "simulated"
            assert (r["platform"], r["device"], r["time_class"], r["energy_class"]) == ("pim", device, kind, kind), r
            assert float(r["energy_j"]) > 0 and float(r["tokens_per_s"]) > 0
            assert abs(float(r["power_w"]) * float(r["time_s"]) / float(r["energy_j"]) - 1) < 1e-6


def a_gemv_is_seen_from_the_inside():
    for device in ("hbm-pim", "aim"):
        r = op(device, "--shape", "1000x3000", "--format", "f16")
        stalls = {k: int(v) for k, v in r.items() if k.startswith("stall_")}
        assert set(stalls) == {"stall_" + p for p in ("broadcast", "row_switch", "refresh", "mode", "readout")}, stalls
        assert sum(stalls.values()) + int(r["busy_cycles"]) == int(r["cycles"]), r
        assert int(r["macs"]) >= 1000 * 3000 and float(r["bound_share"]) <= 1
        parts = [float(r[k]) for k in r if k.endswith("_j") and k != "energy_j" and r[k]]
        assert abs(sum(parts) / float(r["energy_j"]) - 1) < 1e-9
        assert "mapping=" in r["choices"]


def timings_can_be_set():
    plain = op("hbm-pim", "--shape", "4096x4096", "--format", "f16", "--set", "mapping=n")
    slow = op("hbm-pim", "--shape", "4096x4096", "--format", "f16", "--set", "mapping=n", "--set", "t_mac=8")
    still = op("hbm-pim", "--shape", "4096x4096", "--format", "f16", "--set", "mapping=n", "--set", "refresh=off")
    few = op("hbm-pim", "--shape", "4096x4096", "--format", "f16", "--set", "mapping=n", "--set", "channels=16")
    assert int(still["cycles"]) < int(plain["cycles"]) < int(slow["cycles"]) < 2 * int(plain["cycles"])
    assert still["stall_refresh"] == "0"
    assert 3 < int(few["cycles"]) / int(plain["cycles"]) < 4


def refused(code, words, *args):
    done = jb(*args)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("joulebench: error: ") and all(w in line for w in words), line


def refusals_say_why():
    gemv = ["op", "--backend", "pim_sim", "--op", "gemv", "--shape", "256x256"]
    refused(2, ["t_rcx", "t_rc"], *gemv, "--device", "aim", "--set", "t_rcx=4")
    refused(2, ["mapping", "auto n k"], *gemv, "--device", "aim", "--set", "mapping=m")
    refused(1, ["12.31 GiB", "8.00 GiB"], "run", "--backend", "pim_sim", "--device", "hbm-pim", "--workload", "survey",
            "--execute", "timing")


def ids_of(backend, *args):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "rows.csv")
        done = jb("run", "--backend", backend, *args, "--model", MODEL, "--prompt", "16", "--gen", "48", "--reps", "1",
                  "--window", "1ms", "--meter", "null", "--quiet", "--output", out)
        assert done.returncode == 0, done.stderr
        with open(out, encoding="utf-8") as f:
            digests = {r["phase"]: r["tokens_digest"] for r in csv.DictReader(f)}
        with open(out + ".ids", encoding="utf-8") as f:
            lines = f.read().splitlines()
        return [line for line in lines if digests["decode"] in line][0].split()[1:]


def hbm_pim_agrees_with_the_reference():
    if not os.path.exists(MODEL):
        skip("no shared models")
    reference = ids_of("refops")
    simulated = ids_of("pim_sim", "--device", "hbm-pim", "--execute", "functional")
    assert len(reference) >= 48 and len(reference) == len(simulated)
    same = sum(a == b for a, b in zip(reference, simulated)) / len(reference)
    assert same == 1, same


run_tests([every_device_runs_the_tiny_model, a_gemv_is_seen_from_the_inside, timings_can_be_set, refusals_say_why,
           hbm_pim_agrees_with_the_reference])
