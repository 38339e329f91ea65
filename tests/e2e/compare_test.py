#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench compare and merge. usage: compare_test.py JOULEBENCH"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
DATA = os.path.join(os.environ.get("JB_SOURCE", "."), "tests", "data")
PLATFORMS = os.path.join(DATA, "results", "platforms.csv")
FORMATS = os.path.join(DATA, "results", "formats.csv")


def joulebench(*arguments):
    return subprocess.run([JOULEBENCH, *arguments], capture_output=True, text=True, check=False)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(folder, name, rows):
    path = os.path.join(folder, name)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def compared(*arguments):
    done = joulebench("compare", "--csv", *arguments)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


def a_table_is_equal_to_itself():
    pairs = compared(PLATFORMS, PLATFORMS)
    assert len(pairs) > 40 and {p["ratio"] for p in pairs} == {"1"}
    assert {p["difference"] for p in pairs} == {"no difference", "no interval"}
    for pair in pairs:
        assert (pair["ratio_low"] == "") == (pair["difference"] == "no interval")
        assert pair["ratio_low"] == "" or float(pair["ratio_low"]) <= 1 <= float(pair["ratio_high"])


def a_change_is_found_and_bounded():
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(PLATFORMS)
        for row in rows:
            if row["backend"] == "cuda" and row["phase"] == "decode" and row["batch"] == "8":
                row["tokens_per_s"] = repr(1.2 * float(row["tokens_per_s"]))
        pairs = compared(PLATFORMS, write(folder, "b.csv", rows))
        for pair in pairs:
            is_changed = (pair["quantity"], pair["backend_a"], pair["phase"], pair["batch"]) == (
                "tokens_per_s", "cuda", "decode", "8")
            if is_changed:
                assert abs(float(pair["ratio"]) - 1.2) < 1e-6 and pair["difference"] == "higher"
                assert 1 < float(pair["ratio_low"]) < 1.2 < float(pair["ratio_high"])
            else:
                assert pair["ratio"] == "1" and pair["difference"] != "higher", pair
        back = compared(os.path.join(folder, "b.csv"), PLATFORMS)
        assert {p["difference"] for p in back if p["ratio"] != "1"} == {"lower"}
        text = joulebench("compare", PLATFORMS, os.path.join(folder, "b.csv"))
        assert text.returncode == 0 and "higher" in text.stdout and "1.200" in text.stdout


def formats_are_compared_across():
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(FORMATS)
        parts = {f: write(folder, f + ".csv", [r for r in rows if r["weight_format"] == f and r["power_w"]])
                 for f in ("f16", "q4_0")}
        done = joulebench("compare", parts["f16"], parts["q4_0"])
        assert done.returncode == 2 and "--across" in done.stderr
        pairs = compared("--across", "weight_format", parts["f16"], parts["q4_0"])
        decode = next(p for p in pairs if p["phase"] == "decode" and p["batch"] == "1" and
                      p["quantity"] == "tokens_per_s")
        assert (decode["weight_format_a"], decode["weight_format_b"]) == ("f16", "q4_0")
        assert abs(float(decode["ratio"]) - 88 / 31) < 1e-6 and decode["difference"] == "higher"
        done = joulebench("compare", "--across", "weight_format", parts["f16"], FORMATS)
        assert done.returncode == 2 and "two partners" in done.stderr and "weight_format" in done.stderr


def other_classes_are_not_ranked_unasked():
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(PLATFORMS)
        for row in rows:
            row["time_class"] = "modelled" if row["time_class"] == "measured" else row["time_class"]
        other = write(folder, "b.csv", rows)
        pairs = [p for p in compared(PLATFORMS, other) if p["evidence_a"] == "measured" and
                 p["quantity"] == "tokens_per_s"]
        assert pairs and {p["difference"] for p in pairs} == {"other class"}
        pairs = compared("--mix-classes", PLATFORMS, other)
        assert "other class" not in {p["difference"] for p in pairs}


def merge_joins_and_refuses_what_is_there_twice():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.csv")
        theirs = os.path.join(folder, "theirs.csv")
        assert joulebench("import", os.path.join(DATA, "import", "llm-inference-bench.csv"), "-o",
                          theirs).returncode == 0
        done = joulebench("merge", PLATFORMS, FORMATS, theirs, "-o", out)
        assert done.returncode == 0 and done.stdout == "", done.stderr
        merged, parts = rows_of(out), rows_of(PLATFORMS) + rows_of(FORMATS) + rows_of(theirs)
        assert len(merged) == len(parts)
        for got, given in zip(merged, parts):
            for column, cell in given.items():
                assert got[column] == cell or float(got[column]) == float(cell), (column, got[column], cell)
        groups = [len(joulebench("summary", "--csv", f).stdout.splitlines()) - 1
                  for f in (out, PLATFORMS, FORMATS, theirs)]
        assert groups[0] == sum(groups[1:])
        done = joulebench("merge", PLATFORMS, PLATFORMS, "-o", os.path.join(folder, "twice.csv"))
        assert done.returncode == 2 and "row 1 is row 1" in done.stderr, done.stderr
        assert not os.path.exists(os.path.join(folder, "twice.csv"))
        once = os.path.join(folder, "once.csv")
        done = joulebench("merge", "--drop-duplicates", PLATFORMS, PLATFORMS, "-o", once)
        assert done.returncode == 0 and len(rows_of(once)) == len(rows_of(PLATFORMS)) and "left out" in done.stderr
        rows = rows_of(PLATFORMS)
        done = joulebench("merge", write(folder, "inner.csv", rows + rows[3:4]), "-o", os.path.join(folder, "x.csv"))
        assert done.returncode == 2 and "row %d is row 4" % (len(rows) + 1) in done.stderr, done.stderr


def bad_input_is_refused():
    for arguments, says in ((("compare", PLATFORMS), "two result files"), (("compare", PLATFORMS, "/no/such"), "/no/such"),
                            (("compare", "--across", "colour", PLATFORMS, PLATFORMS), "colour"),
                            (("compare", "--what", PLATFORMS, PLATFORMS), "--what"),
                            (("merge", PLATFORMS), "-o"), (("merge", "-o", "x.csv"), "files to join"),
                            (("merge", PLATFORMS, "-o", FORMATS), "already"),
                            (("merge", "/no/such", "-o", "x.csv"), "/no/such")):
        done = joulebench(*arguments)
        assert done.returncode == 2 and says in done.stderr and done.stdout == "", (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr


tap.run([a_table_is_equal_to_itself, a_change_is_found_and_bounded, formats_are_compared_across,
         other_classes_are_not_ranked_unasked, merge_joins_and_refuses_what_is_there_twice, bad_input_is_refused])
