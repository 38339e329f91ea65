#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench audit: known anomalies are found, sound rows pass, planted faults of each kind are caught,
in our schema, in published points and in other tools' files. usage: audit_test.py JOULEBENCH"""
import csv
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
PUBLISHED = os.path.join(SOURCE, "results", "published", "survey.csv")
OWN = os.path.join(SOURCE, "tests", "data", "results", "platforms.csv")
FOREIGN = os.path.join(os.environ.get("JB_SHARED", ""), "foreign")


def audit(*arguments):
    return subprocess.run([JOULEBENCH, "audit", *arguments], capture_output=True, text=True, check=False)


def findings(*paths):
    done = audit("--csv", *paths)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


def kinds_of(path):
    return sorted((int(f["line"]), f["kind"]) for f in findings(path))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def kinds_after(folder, source, number, changes, repeat=False):
    """What the audit newly says about row `number` of a table once it is changed (or repeated)."""
    rows = rows_of(source)
    row = dict(rows[number], **changes)
    if repeat:
        rows.insert(number + 1, row)
        number += 1
    else:
        rows[number] = row
    path = os.path.join(folder, "changed.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return {f["kind"] for f in findings(path) if int(f["line"]) == number + 2}


def the_known_anomalies_are_found():
    found = {}
    for finding in findings(PUBLISHED):
        found.setdefault(finding["work"], set()).add(finding["kind"])
    assert "conflict" in found["Cerebras inference"], "WSE-3: 97 W and 15000 W"
    assert "alone" in found["ROMA"]
    assert "capacity" in found["Groq LPU"], "one chip's watts for a rack"
    assert "far-below-limit" in found["WaferLLM"], "WSE-2 at 434 W"
    for work in ("MARCA", "Li et al.", "OliVe", "FIGNA", "MECLA", "TF-MVP", "Cerebras inference"):
        assert "superseded" in found[work], work
    assert "nameplate" in found["vllm"] and "nameplate" in found["AWQ"], "A100 at 400 W, 4090 at 450 W"


def measured_rows_raise_no_alarm():
    lines = {n for n, row in enumerate(rows_of(PUBLISHED), 2) if row["work"].startswith("ML.ENERGY")}
    assert len(lines) > 40
    alarms = [f for f in findings(PUBLISHED) if int(f["line"]) in lines]
    assert not alarms, alarms


def each_finding_has_file_and_line():
    done = audit(PUBLISHED)
    rows = rows_of(PUBLISHED)
    for line in done.stdout.splitlines():
        place, _, _ = line.partition(": ")
        path, number = place.rsplit(":", 1)
        assert path == PUBLISHED and "[" + rows[int(number) - 2]["work"] in line, line
    assert "580 rows" in done.stderr


def planted_faults_in_published_points_are_caught():
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(PUBLISHED)
        number = next(n for n, r in enumerate(rows) if r["work"] == "ML.ENERGY Benchmark" and
                      r["device"] == "NVIDIA H100" and r["model"].endswith("Llama-3.1-8B-Instruct"))
        row = rows[number]
        speed, power = float(row["tokens_per_s"]), float(row["power_w"])

        def changed(**values):
            return kinds_after(folder, PUBLISHED, number, {k: str(v) for k, v in values.items()})

        assert changed() == set()
        assert changed(tokens_per_j=1000 * float(row["tokens_per_j"])) >= {"ratio"}, "a slip of units"
        assert changed(tokens_per_j=1.2 * float(row["tokens_per_j"])) == {"ratio"}
        assert changed(tokens_per_s=2 * speed, tokens_per_j=2 * speed / power) == {"weight-stream"}
        assert changed(power_w=750, tokens_per_j=speed / 750) == {"above-limit"}
        assert changed(power_w=60, tokens_per_j=speed / 60) == {"below-idle"}
        assert changed(power_w=700, tokens_per_j=speed / 700) == {"nameplate"}
        assert changed(power_w=700, tokens_per_j=speed / 700, power_kind="tdp") == set()
        assert "capacity" in changed(model="Llama-3.1-70B-Instruct")
        assert kinds_after(folder, PUBLISHED, number, {}, repeat=True) == {"duplicate"}
        assert kinds_after(folder, PUBLISHED, number, {"power_w": str(power / 2), "tokens_per_j": str(2 * speed / power)},
                           repeat=True) == {"conflict"}


def planted_faults_in_our_rows_are_caught():
    assert findings(OWN) == []
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(OWN)
        number = next(n for n, r in enumerate(rows) if r["phase"] == "decode" and r["power_w"])
        row = rows[number]

        def changed(**values):
            return kinds_after(folder, OWN, number, {k: str(v) for k, v in values.items()})

        assert changed() == set()
        assert changed(tokens_per_s=1.01 * float(row["tokens_per_s"])) == {"arithmetic", "ratio"}
        assert changed(power_w=1.01 * float(row["power_w"])) == {"arithmetic", "ratio"}
        assert changed(tokens_per_j=1.01 * float(row["tokens_per_j"])) == {"ratio"}
        assert changed(idle_w=1.2 * float(row["power_w"])) == {"below-idle"}
        assert kinds_after(folder, OWN, number, {}, repeat=True) == {"duplicate"}


def other_tools_files_are_read_by_name():
    files = sorted(glob.glob(os.path.join(FOREIGN, "llama-bench-*.csv")))
    if not files:
        tap.skip("no shared/foreign")
    assert findings(*files) == []
    with tempfile.TemporaryDirectory() as folder:
        prompt = rows_of(files[0])[0]
        assert prompt["n_gen"] == "0"
        assert kinds_after(folder, files[0], 0, {"avg_ts": "2e5"}) == {"compute"}
        path = os.path.join(folder, "own.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("Hardware,Model,Batch Size,dtype,Throughput,Power\n"
                       "NVIDIA H100,Llama-3-8B,1,fp16,120,400\n"
                       "NVIDIA H100,Llama-3-8B,1,fp16,300,400\n"
                       "NVIDIA GH200,Llama-3-8B,1,fp16,300,4000")
        assert kinds_of(path) == [(3, "weight-stream")]


def strict_and_bad_input_have_their_exit_codes():
    assert audit("--strict", PUBLISHED).returncode == 4
    assert audit("--strict", OWN).returncode == 0
    for arguments, says in (((), "at least one"), (("/no/such.csv",), "/no/such.csv"),
                            ((os.path.join(SOURCE, "tests", "data", "results", "trace.csv"),), "tokens/s"),
                            (("--nothing",), "--nothing"), (("--devices", OWN, OWN), "platform, word")):
        done = audit(*arguments)
        assert done.returncode == 2 and says in done.stderr and done.stdout == "", (arguments, done.stderr)


tap.run([the_known_anomalies_are_found, measured_rows_raise_no_alarm, each_finding_has_file_and_line,
         planted_faults_in_published_points_are_caught, planted_faults_in_our_rows_are_caught,
         other_tools_files_are_read_by_name, strict_and_bad_input_have_their_exit_codes])
