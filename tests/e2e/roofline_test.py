#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench roofline, and what run and op make of its table.

usage: roofline_test.py JOULEBENCH PLUGIN-DIRECTORY
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
QUICK = ["--window", "5ms", "--bytes", "4MiB"]
RUN = ["run", "--backend", "cpu", "--model", "tiny", "--format", "f32", "--prompt", "4", "--gen", "3", "--reps", "1",
       "--window", "0", "--meter", "null", "--quiet", "--threads", "1"]
TITLES = ("schema,time_utc,host,commit,backend,device,threads,kind,number,bytes,rate,rate_low,rate_high,n_calls,"
          "unit,class").split(",")


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120)


def rows_of(done):
    assert done.returncode == 0, (done.returncode, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def refused(code, words, *args):
    done = jb(*args)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert done.stdout == "" and len(lines) == 1, (args, done.stdout, done.stderr)
    assert all(word in lines[0] for word in words), (args, lines[0])


def every_ceiling_is_measured_by_thread_count():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "roof.csv")
        done = jb("roofline", *QUICK, "--threads", "1,2", "-o", path)
        assert done.returncode == 0 and "GB/s" in done.stdout and "GMAC/s" in done.stdout, done.stderr
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    assert list(rows[0]) == TITLES
    seen = {(r["threads"], r["kind"], r["number"]) for r in rows}
    for threads in "12":
        assert {(threads, "read", ""), (threads, "copy", ""), (threads, "macs", "f32"),
                (threads, "macs", "int8")} <= seen, seen
    for r in rows:
        assert 0 < float(r["rate_low"]) <= float(r["rate"]) <= float(r["rate_high"]) < 1e16, r
        assert r["unit"] == ("MAC/s" if r["kind"] == "macs" else "B/s") and r["class"] == "measured"
        assert int(r["n_calls"]) >= 1 and r["schema"] == "joulebench-roofline-1"
        assert r["bytes"] == {"read": str(4 << 20), "copy": str(4 << 20), "macs": "0"}[r["kind"]]


def a_simulated_device_is_asked_once():
    rows = rows_of(jb("roofline", *LEDGER, "--bytes", "64KiB", "--csv"))
    assert [(r["kind"], r["class"], r["n_calls"]) for r in rows] == [("read", "simulated", "1")]
    assert float(rows[0]["rate"]) == 65536 / 64e-3


def table(folder, device, **rates):
    path = os.path.join(folder, "own.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(TITLES) + "\n")
        for name, rate in rates.items():
            kind, number = ("macs", name) if name != "read" else ("read", "")
            file.write(f'joulebench-roofline-1,t,h,c,cpu,"{device}",1,{kind},{number},0,{rate},{rate},{rate},1,'
                       f'MAC/s,measured\n')
    return path


def rows_are_held_against_the_ceiling():
    rows = rows_of(jb(*RUN))
    assert all(0 < float(r["bound_share"]) <= 1.05 for r in rows), rows
    assert not any("no-peak" in r["reasons"] for r in rows)
    device = rows[0]["device"]
    with tempfile.TemporaryDirectory() as folder:
        slow = rows_of(jb(*RUN, "--ceilings", table(folder, device, f32=1, int8=1e15)))
        assert all(r["verdict"] == "INDICATIVE" and "ceiling-moved" in r["reasons"] for r in slow)
        fast = rows_of(jb(*RUN, "--ceilings", table(folder, device, f32=1e15, read=1)))
        assert all(0 < float(r["bound_share"]) < 1 and "ceiling-moved" not in r["reasons"] for r in fast)
        loud = [word for word in RUN[:-1] if word != "--quiet"]
        other = jb(*loud, "2", "--ceilings", table(folder, device, f32=1))
        assert "no row" in other.stderr and "2 threads" in other.stderr, other.stderr
        assert all(r["bound_share"] == "" for r in rows_of(other))
        op = ["op", "--op", "gemv", "--shape", "64x64", "--format", "f32", "--window", "5ms", "--meter", "null",
              "--threads", "1"]
        assert float(rows_of(jb(*op, "--ceilings", table(folder, device, f32=1)))[0]["bound_share"]) > 1
        assert float(rows_of(jb(*op, "--ceilings", table(folder, device, f32=1e15)))[0]["bound_share"]) < 1
        assert rows_of(jb(*op, "--no-ceiling"))[0]["bound_share"] == ""
        refused(2, ["no row", "2 threads"], *op[:-1], "2", "--ceilings", table(folder, device, f32=1))
    bare = rows_of(jb(*RUN, "--no-ceiling"))
    assert all(r["bound_share"] == "" and "no-peak" in r["reasons"] for r in bare)


def what_is_wrong_is_one_line():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "no.csv")
        for text, words in (("a,b\n1,2\n", [path, "no column schema"]),
                            (",".join(TITLES) + "\nx,t,h,c,cpu,d,1,read,,0,1,1,1,1,B/s,measured\n", [":2:", "schema"]),
                            (",".join(TITLES) + "\njoulebench-roofline-1,t,h,c,cpu,d,1,read,,0,-1,1,1,1,B/s,measured\n",
                             [":2:", "rate"])):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            refused(2, words, *RUN, "--ceilings", path)
    refused(2, ["/no/such.csv"], *RUN, "--ceilings", "/no/such.csv")
    refused(2, ["--no-ceiling"], *RUN, "--ceilings", "x", "--no-ceiling")
    refused(3, ["refops", "nothing to measure"], "roofline", "--backend", "refops")
    refused(2, ["no backend"], "roofline", "--backend", "nope")
    refused(2, ["--threads"], "roofline", "--threads", "1,,2")
    refused(2, ["--bytes"], "roofline", "--bytes", "0")
    refused(2, ["--window"], "roofline", "--window", "2h")
    done = jb("roofline", *LEDGER, "--bytes", "64KiB", "-o", "/no/such/roof.csv")
    assert done.returncode == 1 and "/no/such/roof.csv" in done.stderr


run_tests([every_ceiling_is_measured_by_thread_count, a_simulated_device_is_asked_once,
           rows_are_held_against_the_ceiling, what_is_wrong_is_one_line])
