#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench verify, the real binary: what run writes passes, every planted mistake is found.

usage: verify_test.py JOULEBENCH PLUGIN-DIRECTORY
"""
import csv
import io
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
LEDGER = os.path.join(os.path.abspath(sys.argv[2]), "jb_ledger.so")
FOLDER = tempfile.TemporaryDirectory()
ROWS = os.path.join(FOLDER.name, "rows.csv")


def jb(*args):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120)


def make_rows():
    for backend in (["--backend", "refops"], ["--plugin", LEDGER, "--backend", "ledger"]):
        done = jb("run", *backend, "--model", "tiny", "--format", "q8_0", "--batch", "1,2", "--prompt", "5", "--gen",
                  "4", "--reps", "2", "--window", "0", "--meter", "null", "--quiet", "--output", ROWS)
        assert done.returncode == 0, done.stderr


def findings(path, code):
    done = jb("verify", path)
    assert done.returncode == code, (path, done.returncode, done.stdout, done.stderr)
    return list(csv.DictReader(done.stdout.splitlines()))


def changed(change):
    """A copy of the rows with ids; change(rows) works on a list of dicts."""
    path = os.path.join(FOLDER.name, "changed.csv")
    with open(ROWS, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with open(path, "w", encoding="utf-8") as file:
        file.write(out.getvalue())
    with open(ROWS + ".ids", encoding="utf-8") as source, open(path + ".ids", "w", encoding="utf-8") as file:
        file.write(source.read())
    return path


def what_run_writes_passes():
    make_rows()
    done = jb("verify", ROWS)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    assert "24 rows, 0 findings" in done.stderr


def every_planted_mistake_is_found():
    def plant(column, value, row=-1):
        def change(rows):
            rows[row][column] = value(rows[row][column]) if callable(value) else value
        return change

    cases = [("time_s", lambda v: str(float(v) * 1.001)), ("tokens_per_s", lambda v: str(float(v) * 1.001)),
             ("power_w", lambda v: str(float(v) + 1)), ("tokens_per_j", lambda v: str(float(v) * 2)),
             ("bound_share", lambda v: str(float(v) * 1.01)), ("phase", "warmup"), ("verdict", "FINE"),
             ("platform", "tpu"), ("time_class", "guessed"), ("energy_class", ""), ("energy_verdict", ""),
             ("n_phases", "0"), ("tokens_digest", "0123456789abcdef"), ("batch", "3"), ("ids_agree", "1.5")]
    for column, value in cases:
        found = findings(changed(plant(column, value)), 4)
        assert found and all(f["line"] == "25" for f in found), (column, found)
        assert any(f["column"] == column or column in f["finding"] or column == "batch" for f in found), (column, found)
    twice = findings(changed(lambda rows: rows.append(dict(rows[3]))), 4)
    assert [f["line"] for f in twice] == ["26"] and "line 5" in twice[0]["finding"], twice


def ids_prove_their_digest():
    path = changed(lambda rows: None)
    with open(path + ".ids", encoding="utf-8") as file:
        lines = file.read().splitlines()
    word = lines[0].split()
    with open(path + ".ids", "w", encoding="utf-8") as file:
        file.write("\n".join([" ".join(word[:-1] + [str(int(word[-1]) + 1)]), *lines[1:]]) + "\n")
    found = findings(path, 4)
    assert len(found) == 1 and found[0]["file"].endswith(".ids") and word[0] in found[0]["finding"], found
    with open(path + ".ids", "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, "nonsense", word[0] + " 0 x"]) + "\n")
    assert {f["line"] for f in findings(path, 4)} >= {str(len(lines) + 1), str(len(lines) + 2)}
    os.remove(path + ".ids")
    done = jb("verify", path)
    assert done.returncode == 0 and "digests are not checked" in done.stderr, done.stderr


def what_is_no_table_of_ours_is_refused():
    path = os.path.join(FOLDER.name, "other.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a,b\n1,2\n")
    for args, word in (((path,), path), (("/no/such.csv",), "/no/such.csv"), ((), "which file"), (("--fast",), "--fast")):
        done = jb("verify", *args)
        assert done.returncode == 2 and word in done.stderr and done.stdout == "", (args, done.stderr)


run_tests([what_run_writes_passes, every_planted_mistake_is_found, ids_prove_their_digest,
           what_is_no_table_of_ours_is_refused])
