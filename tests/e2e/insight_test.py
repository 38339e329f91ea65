#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looking into simulated devices: --trace-ops, --trace-commands and --breakdown of run and op.

usage: insight_test.py JOULEBENCH PLUGIN-DIRECTORY
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
PLUGINS = os.path.abspath(sys.argv[2])
LEDGER = ["--plugin", os.path.join(PLUGINS, "jb_ledger.so"), "--backend", "ledger"]
RUN = ["run", *LEDGER, "--model", "tiny", "--format", "f32", "--prompt", "6", "--gen", "5", "--reps", "1", "--quiet"]


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120)


def ran(*args):
    done = jb(*args)
    assert done.returncode == 0 and done.stderr == "", (args, done.returncode, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def near(a, b):
    return abs(float(a) - float(b)) <= 1e-9 * max(abs(float(a)), abs(float(b)))


def events_lie_in_their_steps_and_add_up():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ops.json")
        rows = ran(*RUN, "--batch", "1,2", "--trace-ops", path)
        events = read_json(path)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert set(names.values()) == {"steps", "unit", "host"}
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert [p.endswith(f"batch {b}") for p, b in zip(processes.values(), (1, 2))] == [True, True], processes
    for pid, batch in ((1, "1"), (2, "2")):
        mine = [e for e in events if e["ph"] == "X" and e["pid"] == pid]
        steps = [e for e in mine if names[pid, e["tid"]] == "steps"]
        charges = [e for e in mine if names[pid, e["tid"]] != "steps"]
        total_s = sum(float(r["time_s"]) for r in rows if r["batch"] == batch)
        total_j = sum(float(r["energy_j"]) for r in rows if r["batch"] == batch)
        assert near(sum(e["dur"] for e in steps), 1e6 * total_s)
        assert near(sum(e["dur"] for e in charges), 1e6 * total_s)  # one after the other on this device
        assert near(sum(e["args"]["energy_j"] for e in charges), total_j)
        assert all(-1e-6 <= e["ts"] and e["ts"] + e["dur"] <= 1e6 * total_s * (1 + 1e-9) for e in mine)
        assert {e["cat"] for e in mine} == {"prefill", "decode", "total"}
        assert len(steps) == 1 + 5 + 6
        macs = sum(e["args"]["macs"] for e in charges if e["cat"] == "decode")
        assert macs > 0 and any(e["name"] == "matmul blk.0.attn_q.weight" for e in charges)


def one_op_is_traced_without_what_filled_the_cache():
    with tempfile.TemporaryDirectory() as folder:
        ops, commands = os.path.join(folder, "ops.json"), os.path.join(folder, "commands.csv")
        ran("op", *LEDGER, "--op", "attention", "--shape", "2x4x2x32x700", "--trace-ops", ops, "--trace-commands",
            commands)
        events = read_json(ops)["traceEvents"]
        assert [e["name"] for e in events if e["ph"] == "X" and e["tid"] == 1] == ["attention"]
        lines = read_csv(commands)
    assert list(lines[0]) == ["cycle", "channel", "command", "group", "bank", "row", "column", "pseudo", "rank",
                              "timeline", "what"]
    assert [(r["cycle"], r["channel"], r["command"]) for r in lines] == [
        (c, ch, n) for c, n in (("0", "ACT"), ("10", "RD"), ("20", "PRE")) for ch in ("0", "1")]
    assert {r["timeline"] for r in lines} == {"1"} and {r["what"] for r in lines} == {"attention"}
    assert (lines[0]["row"], lines[0]["column"], lines[2]["column"], lines[0]["rank"]) == ("7", "", "5", "")


def a_stream_has_its_commands():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "commands.csv")
        ran("op", *LEDGER, "--op", "stream", "--bytes", "64KiB", "--trace-commands", path)
        assert len(read_csv(path)) == 6


def a_breakdown_adds_up_to_the_row():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "breakdown.csv")
        rows = ran(*RUN, "--batch", "1,2", "--breakdown", path)
        parts = read_csv(path)
    assert list(parts[0]) == ("schema,run_id,backend,device,model,weight_format,batch,phase,repetition,op,resource,"
                              "what,name,value,unit").split(",")
    for r in rows:
        mine = [p for p in parts if (p["run_id"], p["phase"]) == (r["run_id"], r["phase"])]
        assert mine and {p["batch"] for p in mine} == {r["batch"]}

        def total(what, name=None):
            return sum(float(p["value"]) for p in mine if p["what"] == what and name in (None, p["name"]))
        assert near(total("time", "busy"), r["time_s"]) and near(total("total", "time"), r["time_s"])
        assert near(total("energy"), r["energy_j"]) and near(total("total", "energy"), r["energy_j"])
        assert near(total("energy", "logic"), total("energy", "memory"))
        assert {p["resource"] for p in mine if p["op"] == "matmul" and p["what"] == "time" and p["name"] == "busy"} == {
            "unit"}
        assert total("work", "macs") > 0 and total("work", "bytes") > 0
        assert near(total("cycles", "mac") * 250, total("cycles", "broadcast") * 600)
        assert total("time", "bound") > 0


def what_is_wrong_is_one_line():
    with tempfile.TemporaryDirectory() as folder:
        mine = os.path.join(folder, "mine.txt")
        with open(mine, "w", encoding="utf-8") as file:
            file.write("dear diary\n")
        op = ["op", *LEDGER, "--op", "gemv", "--shape", "8x32"]
        cases = [(2, [mine, "another kind"], [*op, "--trace-ops", mine]),
                 (2, [mine, "another kind"], [*op, "--trace-commands", mine]),
                 (2, [mine, "another kind"], [*RUN, "--breakdown", mine]),
                 (2, ["--trace-ops", "simulated"], ["run", "--backend", "null", *RUN[5:], "--trace-ops", "x.json"]),
                 (2, ["--trace-commands", "real device"], ["op", "--backend", "null", "--op", "gemv", "--shape",
                                                           "8x8", "--trace-commands", "x.csv"]),
                 (1, ["/dev/full"], [*RUN, "--output", os.devnull, "--breakdown", "/dev/full"]),
                 (1, ["/dev/full"], [*RUN, "--output", os.devnull, "--trace-ops", "/dev/full"])]
        for code, words, args in cases:
            done = jb(*args)
            assert done.returncode == code, (args, done.returncode, done.stderr)
            assert len(done.stderr.splitlines()) == 1 and all(w in done.stderr for w in words), (args, done.stderr)
        with open(mine, encoding="utf-8") as file:
            assert file.read() == "dear diary\n"
        again = os.path.join(folder, "ops.json")
        for _ in range(2):
            ran(*op, "--trace-ops", again)
        assert len([e for e in read_json(again)["traceEvents"] if e["ph"] == "X"]) == 3


run_tests([events_lie_in_their_steps_and_add_up, one_op_is_traced_without_what_filled_the_cache,
           a_stream_has_its_commands, a_breakdown_adds_up_to_the_row, what_is_wrong_is_one_line])
