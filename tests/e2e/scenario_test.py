#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench run --workload: multimodal, best-of-n, reasoning, edge, on the cpu backend end to end and against the
plain-C reference. usage: scenario_test.py JOULEBENCH"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
QUICK = ["--model", "tiny", "--format", "f32", "--reps", "1", "--window", "0", "--quiet"]


def run(*arguments, meter="null"):
    """Exit code, rows, {digest: [ids of sequence 0, ids of sequence 1, ...]}, stderr."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        done = subprocess.run([JOULEBENCH, "run", *QUICK, "--meter", meter, "--output", path, *arguments],
                              capture_output=True, text=True, check=False)
        rows, ids = [], {}
        if os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            with open(path + ".ids", encoding="utf-8") as file:
                for line in file:
                    digest, _, *sequence = line.split()
                    ids.setdefault(digest, []).append([int(i) for i in sequence])
        return done.returncode, rows, ids, done.stderr


def agree(rows):
    """Every cpu row has the ids of refops, but for near ties."""
    cpu = [r for r in rows if r["backend"] == "cpu" and r["phase"] != "prefill"]
    assert cpu
    for row in cpu:
        assert float(row["ids_agree"]) + float(row["ids_near_tie"] or 0) > 1 - 1e-9, row


def image_tokens_are_embeddings_before_the_text():
    code, rows, _, said = run("--backend", "cpu,refops", "--workload", "multimodal", "--image-tokens", "20", "--prompt",
                              "12", "--gen", "6", "--chunk", "8", "--batch", "2")
    assert code == 0, said
    agree(rows)
    for row in rows:
        assert (row["workload"], row["image_tokens"], row["prompt_tokens"]) == ("multimodal", "20", "32")
        assert row["tokens"] == str(2 * (32 if row["phase"] == "prefill" else 6))
        assert row["kv_depth"] == ("32" if row["phase"] == "decode" else "0")
    code, plain, _, said = run("--backend", "cpu", "--prompt", "32", "--gen", "6", "--batch", "2")
    assert code == 0, said
    digests = [{r["tokens_digest"] for r in rs if r["phase"] == "decode"} for rs in (rows, plain)]
    assert not digests[0] & digests[1], "an image is not those ids"
    assert {r["workload"] + r["image_tokens"] + r["power_cap_w"] for r in plain} == {""}
    # However the prompt is cut, the same image stands before the same text.
    code, cut, _, _ = run("--backend", "cpu", "--workload", "multimodal", "--image-tokens", "20", "--prompt", "12",
                          "--gen", "6", "--chunk", "32", "--batch", "2")
    assert code == 0
    assert [r["tokens_digest"] for r in cut] == [r["tokens_digest"] for r in rows if r["backend"] == "cpu"]


def best_of_n_reads_the_prompt_once():
    code, rows, ids, said = run("--backend", "cpu,refops", "--workload", "best-of-n", "--batch", "3", "--prompt", "24",
                                "--gen", "8", "--chunk", "16")
    assert code == 0, said
    agree(rows)
    for row in rows:
        is_prefill = row["phase"] == "prefill"
        assert row["workload"] == "best-of-n"
        assert row["batch"] == ("1" if is_prefill else "3") and row["tokens"] == ("24" if is_prefill else "24")
    # The answers start from the same prompt: total and decode return the same ids, sequence by sequence.
    totals = {r["tokens_digest"] for r in rows if r["phase"] == "total" and r["backend"] == "cpu"}
    decodes = {r["tokens_digest"] for r in rows if r["phase"] == "decode" and r["backend"] == "cpu"}
    assert totals == decodes and len(ids[totals.pop()]) == 3
    # Sequence 0 is a run of batch 1.
    code, alone, alone_ids, said = run("--backend", "cpu", "--prompt", "24", "--gen", "8")
    assert code == 0, said
    digest = next(r["tokens_digest"] for r in alone if r["phase"] == "total")
    assert alone_ids[digest][0] == ids[decodes.pop()][0]


def reasoning_is_one_answer_in_parts():
    code, rows, ids, said = run("--backend", "cpu", "--workload", "reasoning", "--prompt", "16", "--gen", "50",
                                "--parts", "4")
    assert code == 0, said
    assert [r["phase"] for r in rows] == ["prefill"] + ["decode"] * 4 + ["total"]
    parts, total = rows[1:5], rows[5]
    depth = 16
    for row in parts:
        assert int(row["kv_depth"]) == depth and row["tokens"] == row["output_tokens"]
        depth += int(row["output_tokens"])
    assert depth == 16 + 50 and total["output_tokens"] == total["tokens"] == "50"
    assert len({r["run_id"] for r in rows}) == 1 and {r["workload"] for r in rows} == {"reasoning"}
    answer = sum((ids[r["tokens_digest"]][0] for r in parts), [])
    whole = ids[total["tokens_digest"]][0]
    same = sum(a == b for a, b in zip(answer, whole))
    assert len(answer) == len(whole) == 50 and same >= 48, (same, "the parts are the answer, but for near ties")


def a_power_cap_marks_what_draws_more():
    for cap, code, verdict, word in (("0.001", 4, "INVALID", "above-power-cap"), ("100000W", 0, "INDICATIVE", "")):
        got, rows, _, said = run("--backend", "cpu", "--workload", "edge", "--gen", "8", "--prompt", "8", "--window",
                                 "0.3", "--power-cap", cap, meter="model")
        if not [r for r in rows if r["power_w"]]:
            tap.skip("the model meter gives no watts here: " + said)
        assert got == code, (got, said)
        for row in rows:
            assert row["workload"] == "edge" and float(row["power_cap_w"]) == float(cap.rstrip("W"))
            assert row["batch"] == "1"
            if row["power_w"]:
                assert row["energy_verdict"] == verdict and row["verdict"] != "INVALID"
                assert ("above-power-cap" in row["reasons"].split(";")) == (word != ""), row["reasons"]
    got, rows, _, said = run("--backend", "cpu", "--gen", "4", "--prompt", "8", "--power-cap", "15")
    assert got == 0 and rows and all("power-cap-unchecked" in r["reasons"].split(";") for r in rows), said


def summaries_and_surveys_keep_scenarios_apart():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        for workload in ([], ["--workload", "best-of-n", "--batch", "1"]):
            done = subprocess.run([JOULEBENCH, "run", *QUICK, "--meter", "model", "--window", "0.3", "--prompt", "8",
                                   "--gen", "4", "--output", path, *workload], capture_output=True, text=True,
                                  check=False)
            assert done.returncode == 0, done.stderr
        done = subprocess.run([JOULEBENCH, "summary", "--csv", path], capture_output=True, text=True, check=False)
        groups = list(csv.DictReader(done.stdout.splitlines()))
        assert len(groups) == 6 and {g["workload"] for g in groups} == {"", "best-of-n"}
        done = subprocess.run([JOULEBENCH, "summary", path], capture_output=True, text=True, check=False)
        assert "workload" in done.stdout and "best-of-n" in done.stdout
        done = subprocess.run([JOULEBENCH, "survey", "--own", path, "--format", "svg", "-o", folder],
                              capture_output=True, text=True, check=False)
        if "gnuplot" in done.stderr:
            return
        assert done.returncode == 0, done.stderr
        with open(os.path.join(folder, "edge.csv"), newline="", encoding="utf-8") as file:
            own = [r for r in csv.DictReader(file) if r["origin"] == "own"]
        assert len(own) <= 1, "the survey compares plain decode alone"


def workloads_are_listed_and_wrong_ones_refused():
    done = subprocess.run([JOULEBENCH, "list", "workloads", "--csv"], capture_output=True, text=True, check=False)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [r["name"] for r in rows] == ["survey", "multimodal", "best-of-n", "reasoning", "edge"]
    assert rows[1]["image"] == "576" and "not run" in rows[1]["summary"]
    for arguments, says in ((("--workload", "chat"), "multimodal"), (("--image-tokens", "4"), "multimodal"),
                            (("--workload", "edge", "--parts", "2"), "reasoning"),
                            (("--workload", "best-of-n", "--depth", "4"), "--depth"),
                            (("--workload", "multimodal", "--prompt-text", "a"), "--prompt-text"),
                            (("--workload", "reasoning", "--gen", "3"), "--parts"),
                            (("--workload", "reasoning", "--gen", "4000"), "context"),
                            (("--power-cap", "-3"), "-3"), (("--power-cap", "ten"), "ten")):
        code, rows, _, said = run(*arguments)
        assert code == 2 and says in said and rows == [] and len(said.splitlines()) == 1, (arguments, code, said)


tap.run([image_tokens_are_embeddings_before_the_text, best_of_n_reads_the_prompt_once,
         reasoning_is_one_answer_in_parts, a_power_cap_marks_what_draws_more,
         summaries_and_surveys_keep_scenarios_apart, workloads_are_listed_and_wrong_ones_refused])
