#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench survey: the drawn points are all there, in the table and in the drawing; ranks, own rows,
equal bytes, errors. Speaks TAP. usage: survey_test.py JOULEBENCH"""
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
SHARED = os.path.join(os.environ.get("JB_SHARED", ""), "survey", "published.csv")
PUBLISHED = os.path.join(SOURCE, "results", "published", "survey.csv")
OWN = os.path.join(SOURCE, "tests", "data", "results", "platforms.csv")
SVG = "{http://www.w3.org/2000/svg}"
PLATFORMS = {"cpu": 42, "gpu": 96, "fpga": 18, "asic": 22, "pim": 8}


def survey(folder, *arguments):
    return subprocess.run([JOULEBENCH, "survey", "-o", folder, *arguments], capture_output=True, text=True,
                          check=False)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn():
    """The points of the survey's figure, chosen here without joulebench."""
    return [r for r in rows_of(PUBLISHED) if r["source_kind"] == "survey-table" and r["batch"] == "1"]


def marks_of(path):
    return [g for g in ElementTree.parse(path).iter(SVG + "g") if g.get("class") == "mark"]


def bytes_of(folder):
    texts = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            texts[name] = file.read()
    return texts


def published_points_are_the_given_ones():
    if not os.path.exists(SHARED):
        tap.skip("no shared/survey/published.csv")
    with open(SHARED, "rb") as given, open(PUBLISHED, "rb") as ours:
        assert given.read().replace(b"\r\n", b"\n") == ours.read()


def batch_1_has_every_drawn_point():
    with tempfile.TemporaryDirectory() as folder:
        done = survey(folder, "--no-own", "--format", "svg")
        assert done.returncode == 0, done.stderr
        rows = rows_of(os.path.join(folder, "batch1.csv"))
        marks = marks_of(os.path.join(folder, "batch1.svg"))
        wanted = Counter((r["platform"], r["method"]) for r in drawn())
        assert len(rows) == len(marks) == 186
        assert Counter(r["platform"] for r in rows) == PLATFORMS
        assert Counter(m.get("data-platform") for m in marks) == PLATFORMS
        assert Counter((r["platform"], r["method"]) for r in rows) == wanted
        assert Counter((m.get("data-platform"), m.get("data-method")) for m in marks) == wanted
        assert {m.get("data-evidence") for m in marks} == {"literature"}
        assert {r["evidence"] for r in rows} == {"literature"}
        for row, given in zip(rows, drawn()):
            assert row["work"] == given["work"] and row["source"] == given["source_url"], row
            for column in ("power_w", "tokens_per_s", "tokens_per_j"):
                assert float(row[column]) == float(given[column]), row
        # A colour a platform, and every mark inside the axes of the authors' figure.
        assert all(1 <= float(r["power_w"]) <= 1000 and 1 <= float(r["tokens_per_s"]) <= 1e4 for r in rows)


def ranks_are_those_of_the_survey():
    with tempfile.TemporaryDirectory() as folder:
        done = survey(folder, "--no-own", "--format", "svg")
        ranks = list(csv.DictReader(done.stdout.splitlines()))
        assert ranks == rows_of(os.path.join(folder, "ranks.csv"))
        for by, wanted in (("best tokens_per_j", [("pim", 46.66), ("asic", 13.99), ("fpga", 6.30), ("cpu", 2.38),
                                                  ("gpu", 0.86)]),
                           ("best tokens_per_s", [("asic", 2700), ("pim", 1998), ("fpga", 450), ("gpu", 343.4),
                                                  ("cpu", 50)])):
            found = [(r["platform"], float(r["value"])) for r in ranks if r["set"] == "drawn" and r["by"] == by]
            assert [p for p, _ in found] == [p for p, _ in wanted], found
            assert all(abs(a - b) < 0.005 * b for (_, a), (_, b) in zip(found, wanted)), found
        medians = [r["platform"] for r in ranks if r["set"] == "drawn" and r["by"] == "median tokens_per_j"]
        assert medians == ["asic", "pim", "fpga", "gpu", "cpu"], medians
        assert not [r for r in ranks if r["set"] == "drawn" and r["work"] == "ROMA"]


def tables_tell_ranges_and_the_edge_gap():
    with tempfile.TemporaryDirectory() as folder:
        assert survey(folder, "--no-own", "--format", "svg").returncode == 0
        rows = {(r["set"], r["platform"]): r for r in rows_of(os.path.join(folder, "platforms.csv"))}
        for platform, n in PLATFORMS.items():
            values = sorted(float(r["tokens_per_j"]) for r in drawn() if r["platform"] == platform)
            row = rows["drawn", platform]
            assert int(row["points"]) == n
            for column, value in (("min", values[0]), ("max", values[-1]),
                                  ("median", (values[(n - 1) // 2] + values[n // 2]) / 2)):
                assert abs(float(row["tokens_per_j_" + column]) / value - 1) < 1e-3, (row, column)
        assert set(p for s, p in rows if s == "published-batch8") == {"gpu"}
        edge = {(r["platform"], r["set"]): r for r in rows_of(os.path.join(folder, "edge-target.csv"))}
        assert edge["gpu", "all"]["points_at_target"] == "0"
        assert edge["asic", "all"]["points_at_target"] == "2" and edge["pim", "all"]["points_at_target"] == "2"
        assert abs(float(edge["cpu", "all"]["times_short_best"]) - 10 / 2.381) < 0.01


def strips_have_a_mark_a_point_and_panel():
    with tempfile.TemporaryDirectory() as folder:
        assert survey(folder, "--no-own", "--format", "svg").returncode == 0
        n_methods = sum(len(r["method"].split(";")) for r in drawn())
        for name, n in (("platforms-batch1", 2 * 186), ("methods-batch1", 2 * n_methods),
                        ("within-batch1", 2 * n_methods)):
            assert len(marks_of(os.path.join(folder, name + ".svg"))) == n, name
        n_edge = sum(1 for r in drawn() if float(r["power_w"]) <= 30)
        assert len(marks_of(os.path.join(folder, "edge.svg"))) == 186 + n_edge


def rated_watts_are_set_against_measured_ones():
    with tempfile.TemporaryDirectory() as folder:
        assert survey(folder, "--no-own", "--format", "svg").returncode == 0
        rows = rows_of(os.path.join(folder, "nameplate.csv"))
        assert len(marks_of(os.path.join(folder, "nameplate.svg"))) == len(rows)
        h100 = [r for r in rows_of(PUBLISHED) if r["power_kind"] == "measured" and r["batch"] == "8" and
                re.search(r"\bH100\b", r["device"])]
        found = [r for r in rows if r["device_file"] == "h100-sxm" and r["batch"] == "8"]
        assert len(found) == len(h100) > 10
        for row in rows:
            rated = {"a100-sxm": 400, "h100-sxm": 700, "b200-sxm": 1000}[row["device_file"]] * float(row["n_devices"])
            assert float(row["rated_w"]) == rated
            assert abs(float(row["share"]) - float(row["power_w"]) / rated) < 1e-3, row
            assert abs(float(row["tokens_per_j_rated"]) / float(row["tokens_per_j_measured"]) - float(row["share"])) < 1e-3
        assert not [r for r in rows if "GH200" in r["device"]], "another device"


def own_rows_join_and_say_what_they_are():
    with tempfile.TemporaryDirectory() as folder:
        done = survey(folder, "--own", OWN, "--format", "svg")
        assert done.returncode == 0, done.stderr
        own = {tuple(r[k] for k in ("backend", "device", "weight_format", "method"))
               for r in rows_of(OWN) if r["phase"] == "decode" and r["batch"] == "1" and r["power_w"]}
        rows = rows_of(os.path.join(folder, "batch1-own.csv"))
        marks = marks_of(os.path.join(folder, "batch1-own.svg"))
        assert len(rows) == len(marks) == 186 + len(own)
        assert Counter(m.get("data-evidence") for m in marks) == Counter(r["evidence"] for r in rows)
        assert {r["evidence"] for r in rows} == {"literature", "measured", "simulated", "modelled", "nameplate"}
        assert {r["platform"] for r in rows if r["origin"] == "own"} == set(PLATFORMS)
        assert len(rows_of(os.path.join(folder, "batch1.csv"))) == 186, "the reproduction stays as it is"
        batch8 = rows_of(os.path.join(folder, "batch8.csv"))
        assert {r["platform"] for r in batch8 if r["origin"] == "published"} == {"gpu"}
        assert {r["platform"] for r in batch8 if r["origin"] == "own"} == set(PLATFORMS)


def is_7b(model):
    size = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)b\b", model.lower())
    return size is not None and 5.5 <= float(size[1]) <= 9


def models_of_other_sizes_stay_out_unasked():
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(OWN)
        for row in rows:
            row["model"] = "opt-1.3b" if row["platform"] == "pim" else row["model"]
        path = os.path.join(folder, "rows.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for more, has in (((), False), (("--any-model",), True)):
            done = survey(os.path.join(folder, "out"), "--own", path, "--format", "svg", *more)
            assert done.returncode == 0 and ("--any-model" in done.stderr) == (not has), done.stderr
            own = [r for r in rows_of(os.path.join(folder, "out", "batch1-own.csv")) if r["origin"] == "own"]
            assert ("pim" in {r["platform"] for r in own}) == has and "asic" in {r["platform"] for r in own}


def committed_runs_join_by_default():
    folder_of_runs = os.path.join(SOURCE, "results", "reference")
    files = [os.path.join(folder_of_runs, f) for f in sorted(os.listdir(folder_of_runs)) if f.endswith(".csv")
             ] if os.path.isdir(folder_of_runs) else []
    if not files:
        tap.skip("no results/reference/*.csv yet")
    ours = [r for f in files for r in rows_of(f) if r["phase"] == "decode" and r["power_w"] and
            r["verdict"] != "INVALID" and r.get("workload", "") in ("", "survey", "edge") and is_7b(r["model"])]
    with tempfile.TemporaryDirectory() as folder:
        done = survey(folder, "--format", "svg")
        assert done.returncode == 0, done.stderr
        for batch, name in (("1", "batch1-own"), ("8", "batch8")):
            wanted = {r["device"] for r in ours if r["batch"] == batch}
            own = [r for r in rows_of(os.path.join(folder, name + ".csv")) if r["origin"] == "own"]
            assert {r["device"] for r in own} == wanted, name
            assert {r["evidence"] for r in own} <= {"measured", "simulated", "modelled", "nameplate"}
            marks = marks_of(os.path.join(folder, name + ".svg"))
            assert Counter(m.get("data-evidence") for m in marks) == Counter(
                r["evidence"] for r in rows_of(os.path.join(folder, name + ".csv")))
        with open(os.path.join(folder, "batch8.svg"), encoding="utf-8") as file:
            drawing = file.read()
        for evidence in {r["evidence"] for r in own}:
            assert "ours, " + evidence in drawing
        assert "literature (pale)" in drawing


def superseded_rows_stay_out():
    with tempfile.TemporaryDirectory() as folder:
        assert survey(folder, "--no-own", "--format", "svg").returncode == 0
        for name in os.listdir(folder):
            if name.endswith(".csv"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    assert not re.search("FIGNA|TF-MVP", file.read()), name


def two_runs_give_equal_bytes_in_time():
    with tempfile.TemporaryDirectory() as folder:
        one, two = os.path.join(folder, "a", "one"), os.path.join(folder, "two")
        start = time.monotonic()
        assert survey(one, "--own", OWN).returncode == 0
        took = time.monotonic() - start
        assert survey(two, "--own", OWN).returncode == 0
        assert bytes_of(one) == bytes_of(two)
        names = set(bytes_of(one))
        assert {"batch1.svg", "batch1.pdf", "batch1.png", "batch1.csv", "edge.pdf", "within-batch8.png"} <= names
        assert not [n for n in names if "tmp" in n], names
        print("# took %.1f s" % took)


def bad_input_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        broken = os.path.join(folder, "broken.csv")
        with open(PUBLISHED, encoding="utf-8") as file:
            lines = file.read().split("\n")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("\n".join([lines[0], lines[1].replace("0.1183", "0.2183")]) + "\n")
        out = os.path.join(folder, "out")
        blocked = os.path.join(broken, "out")
        for arguments, says, code in (
                ((out, "--published", broken), "broken.csv:2", 2),
                ((out, "--published", "/no/such.csv"), "/no/such.csv", 2),
                ((out, "--own", PUBLISHED), "survey.csv:1", 2),
                ((out, "--format", "gif"), "gif", 2),
                ((out, "more"), "'more'", 2),
                (("",), "-o FOLDER", 2),
                ((blocked, "--no-own"), "broken.csv", 1)):
            done = survey(*arguments)
            assert done.returncode == code, (arguments, done.returncode, done.stderr)
            assert says in done.stderr and "error" in done.stderr, done.stderr
            assert done.stdout == ""


if shutil.which("gnuplot") is None:
    print("1..0 # SKIP gnuplot is not installed")
    sys.exit(0)
tap.run([published_points_are_the_given_ones, batch_1_has_every_drawn_point, ranks_are_those_of_the_survey,
         tables_tell_ranges_and_the_edge_gap, strips_have_a_mark_a_point_and_panel, rated_watts_are_set_against_measured_ones,
         own_rows_join_and_say_what_they_are, models_of_other_sizes_stay_out_unasked,
         committed_runs_join_by_default, superseded_rows_stay_out, two_runs_give_equal_bytes_in_time,
         bad_input_is_refused])
