#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench op, the real binary: rows of real and simulated devices, bad input, appended files.

usage: op_test.py JOULEBENCH PLUGIN-DIRECTORY
"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
PLUGINS = os.path.abspath(sys.argv[2])
LEDGER = ["--plugin", os.path.join(PLUGINS, "jb_ledger.so"), "--backend", "ledger"]
REAL = ["--window", "10ms", "--meter", "null", "--threads", "2"]
FIRST = "op,backend,device,shape,format,cycles,clock_hz,time_s,bytes,macs,energy_j".split(",")


def jb(*args, command="op"):
    return subprocess.run([JB, command, *args], capture_output=True, text=True, timeout=120)


def row_of(*args):
    done = jb(*args)
    assert done.returncode == 0, (args, done.returncode, done.stderr)
    assert done.stderr == "", (args, done.stderr)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 1, done.stdout
    assert list(rows[0])[:len(FIRST)] == FIRST, list(rows[0])
    return rows[0]


def near(a, b):
    return abs(float(a) - float(b)) <= 1e-9 * abs(float(b))


def refused(code, words, *args):
    done = jb(*args)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    assert done.stdout == "", (args, done.stdout)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("joulebench: error: "), (args, done.stderr)
    assert all(word in lines[0] for word in words), (args, lines[0])


def a_simulated_gemv_is_seen_from_the_inside():
    r = row_of(*LEDGER, "--op", "gemv", "--shape", "128x96x3", "--format", "f16")
    assert (r["op"], r["backend"], r["device"], r["shape"], r["format"]) == (
        "gemv", "ledger", "test ledger", "128x96x3", "f16")
    assert (r["cycles"], r["clock_hz"], r["busy_cycles"]) == ("3000", "1000000", "1800")
    assert near(r["time_s"], 3e-3) and near(r["bound_share"], 0.01)
    assert (r["bytes"], r["macs"]) == (str(128 * 96 * 2), str(128 * 96 * 3))
    assert (r["energy_j"], r["logic_j"], r["memory_j"]) == ("3", "0.75", "2.25")
    stalls = {name: int(r[name]) for name in r if name.startswith("stall_")}
    assert stalls == {"stall_broadcast": 750, "stall_refresh": 450, "stall_row_switch": 0}
    assert sum(stalls.values()) + int(r["busy_cycles"]) == int(r["cycles"])
    assert (r["time_class"], r["energy_class"], r["choices"]) == ("simulated", "modelled", "mapping=n")
    names = list(r)
    assert names.index("energy_j") < names.index("logic_j") < names.index("bound_share") < names.index(
        "stall_broadcast") < names.index("busy_cycles"), names


def timing_and_functional_give_the_same_row():
    args = [*LEDGER, "--op", "gemm", "--shape", "4x8x32", "--format", "q8_0"]
    assert row_of(*args) == row_of(*args, "--execute", "functional")
    assert row_of(*args)["macs"] == str(4 * 8 * 32)
    assert row_of(*args)["bytes"] == str(8 * 34)


def a_value_of_the_device_file_can_be_set():
    r = row_of(*LEDGER, "--op", "gemv", "--shape", "8x32", "--set", "t_row=12")
    assert (r["cycles"], r["stall_row_switch"], r["settings"]) == ("1012", "12", "t_row=12")
    refused(2, ["t_rwo", "t_row"], *LEDGER, "--op", "gemv", "--shape", "8x32", "--set", "t_rwo=12")


def attention_reads_the_whole_cache():
    r = row_of(*LEDGER, "--op", "attention", "--shape", "2x4x2x32x700", "--format", "f16")
    assert r["macs"] == str(2 * 2 * 4 * 32 * 701)
    assert r["bytes"] == str(2 * 702 * 2 * 2 * 32 * 2)  # 701 read, 1 written, K and V
    assert r["cycles"] == "2000"


def a_stream_has_its_pattern():
    r = row_of(*LEDGER, "--op", "stream", "--bytes", "64KiB", "--pattern", "sequential")
    assert (r["shape"], r["bytes"], r["cycles"], r["format"]) == ("65536 sequential", "65536", "64000", "")
    r = row_of(*LEDGER, "--op", "stream", "--bytes", "64KiB", "--pattern", "strided", "--stride", "4096")
    assert (r["shape"], r["cycles"]) == ("65536 strided 4096", "256000")


def has_backend(name):
    rows = csv.DictReader(jb("backends", "--csv", command="list").stdout.splitlines())
    return any(r["name"] == name and r["status"] == "available" for r in rows)


SIMULATED = [("pim_sim", []), ("asic_sim", []), ("fpga_sim", []), ("ledger", LEDGER[:2])]


def every_simulator_keeps_its_books():
    for backend, plugin in SIMULATED:
        if not plugin and not has_backend(backend):
            continue
        for args in (["gemv", "--shape", "256x512"], ["gemv", "--shape", "1024x512x4"], ["gemm", "--shape", "16x96x128"],
                     ["attention", "--shape", "1x4x4x64x300"]):
            r = row_of(*plugin, "--backend", backend, "--op", *args, "--format", "f16")
            parts = sum(int(r[name]) for name in r if name.startswith("stall_")) + int(r["busy_cycles"] or 0)
            assert r["cycles"] == "" or parts == int(r["cycles"]), r
            assert r["cycles"] == "" or near(r["time_s"], int(r["cycles"]) / float(r["clock_hz"])), r
            if r["energy_j"] != "":
                names = list(r)
                lines = names[names.index("energy_j") + 1:names.index("bound_share")]
                assert near(r["energy_j"], sum(float(r[name] or 0) for name in lines)), r
            assert r["bound_share"] == "" or 0 < float(r["bound_share"]) <= 1.0000001, r
            assert r == row_of(*plugin, "--backend", backend, "--op", *args, "--format", "f16"), backend
        done = jb(*plugin, "--backend", backend, "--op", "gemv", "--shape", "8x32", "--set", "no_such_key=1")
        assert done.returncode == 2 and "no_such_key" in done.stderr, (backend, done.stderr)
    assert has_backend("refops")


def a_real_device_is_timed():
    for backend in ("refops", "cpu", "null"):
        for shape, fmt, macs in (("48x64", "f32", 48 * 64), ("48x256x3", "q4_k", 48 * 256 * 3)):
            r = row_of("--backend", backend, "--op", "gemv", "--shape", shape, "--format", fmt, *REAL)
            assert r["cycles"] == r["clock_hz"] == r["energy_j"] == "", r
            assert float(r["time_p05_s"]) <= float(r["time_s"]) <= float(r["time_p95_s"])
            assert float(r["time_s"]) >= 0 and int(r["n_calls"]) >= 1 and r["time_class"] == "measured"
            assert int(r["macs"]) == macs and r["threads"] == "2"
    r = row_of("--backend", "cpu", "--op", "attention", "--shape", "2x4x2x32x600", "--format", "q8_0", *REAL)
    assert int(r["macs"]) == 2 * 2 * 4 * 32 * 601


def a_real_stream_moves_what_it_says():
    for pattern in (["sequential"], ["random"], ["strided", "--stride", "4096"]):
        r = row_of("--backend", "cpu", "--op", "stream", "--bytes", "3MiB", "--pattern", *pattern, *REAL)
        assert (r["bytes"], r["macs"], r["cycles"]) == (str(3 << 20), "0", "")
        assert float(r["time_s"]) > 0


def a_row_is_appended_to_rows_of_the_same_columns():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ops.csv")
        for shape in ("8x32", "16x32"):
            done = jb(*LEDGER, "--op", "gemv", "--shape", shape, "--output", path)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        with open(path, newline="", encoding="utf-8") as file:
            assert [r["shape"] for r in csv.DictReader(file)] == ["8x32", "16x32"]
        refused(2, [path, "columns"], "--backend", "null", "--op", "gemv", "--shape", "8x32", *REAL, "--output", path)
        refused(1, ["/no/such"], *LEDGER, "--op", "gemv", "--shape", "8x32", "--output", "/no/such/file.csv")


def what_is_wrong_is_one_line():
    op = ["--backend", "null"]
    refused(2, ["--op is needed"], *op)
    refused(2, ["'gemx'", "gemv", "attention"], *op, "--op", "gemx")
    refused(2, ["OUTxIN"], *op, "--op", "gemv")
    for shape in ("8", "8x", "x8", "8x8x8x8", "0x8", "8x-1", "8x9999999999", "axb", "8x8 ", ""):
        refused(2, ["--shape", "OUTxIN"], *op, "--op", "gemv", "--shape", shape)
    refused(2, ["MxNxK"], *op, "--op", "gemm", "--shape", "8x8")
    refused(2, ["DEPTH"], *op, "--op", "attention", "--shape", "1x8x8x64")
    refused(2, ["heads"], *op, "--op", "attention", "--shape", "1x8x3x64x5")
    refused(2, ["q5_0", "list formats"], *op, "--op", "gemv", "--shape", "8x8", "--format", "q5_0")
    refused(2, ["33", "q8_0"], *op, "--op", "gemv", "--shape", "8x33", "--format", "q8_0")
    refused(2, ["no backend"], "--backend", "nope", "--op", "gemv", "--shape", "8x8")
    refused(2, ["`activation`", "`activations`"], "--backend", "cpu", "--op", "gemv", "--shape", "8x8", "--set",
            "activation=i8")
    refused(2, ["--bytes"], *op, "--op", "stream")
    refused(2, ["--stride"], *op, "--op", "stream", "--bytes", "4096", "--stride", "64")
    refused(2, ["--stride"], *op, "--op", "stream", "--bytes", "4096", "--pattern", "strided")
    refused(2, ["'spiral'"], *op, "--op", "stream", "--bytes", "4096", "--pattern", "spiral")
    refused(2, ["belong to --op stream"], *op, "--op", "gemv", "--shape", "8x8", "--bytes", "4096")
    refused(2, ["real device"], *op, "--op", "gemv", "--shape", "8x8", "--execute", "timing")
    refused(3, ["null", "unavailable", "streams"], *op, "--op", "stream", "--bytes", "4096")
    refused(1, ["GiB"], "--backend", "cpu", "--op", "gemv", "--shape", "2000000x2000000", *REAL)


def devices_are_listed_value_by_value():
    done = jb("devices", "--csv", command="list")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert list(rows[0]) == "device,kind,key,value,unit,source,estimate".split(",")
    found = {(r["device"], r["key"]): r for r in rows}
    assert found["hbm2", "t_cl"]["unit"] == "cycles" and found["hbm2", "t_cl"]["kind"] == "dram"
    assert found["h100-sxm", "idle_w"]["estimate"] == "1"
    assert all(r["source"] and r["value"] and r["estimate"] in ("0", "1") for r in rows)
    assert "hbm2" in jb("devices", command="list").stdout


run_tests([a_simulated_gemv_is_seen_from_the_inside, timing_and_functional_give_the_same_row,
           a_value_of_the_device_file_can_be_set, attention_reads_the_whole_cache, a_stream_has_its_pattern,
           every_simulator_keeps_its_books, a_real_device_is_timed, a_real_stream_moves_what_it_says,
           a_row_is_appended_to_rows_of_the_same_columns, what_is_wrong_is_one_line,
           devices_are_listed_value_by_value])
