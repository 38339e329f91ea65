# SPDX-License-Identifier: MIT
"""Text from real models: the cpu backend must continue a prompt as the plain-C reference does.

usage: text.py JOULEBENCH

The model is $JB_SMOLLM2, else what bench/quickstart has fetched."""
import csv
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
SHARED = os.path.join(os.environ.get("JB_SHARED", ""), "models")
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
SMOLLM2 = os.environ.get("JB_SMOLLM2") or os.path.join(CACHE, "joulebench", "models", NAME)
QUICK = ["--reps", "1", "--window", "0", "--meter", "null", "--quiet"]


def go_on(model, prompt, gen, backends, *more):
    """Exit code, {backend: text}, decode rows, stderr."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        done = subprocess.run([JB, "run", "--backend", backends, "--model", model, "--prompt-text", prompt, "--gen",
                               str(gen), "--show-text", "--output", path, *QUICK, *more],
                              capture_output=True, text=True, timeout=500)
        rows = []
        if os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["phase"] == "decode"]
    texts = dict(re.findall(r"^(refops|cpu): (.*?)(?=^refops: |^cpu: |\Z)", done.stdout, re.M | re.S))
    return done.returncode, texts, rows, done.stderr


def smollm2_goes_on_in_english_alike_on_refops_and_cpu():
    if not os.path.exists(SMOLLM2):
        skip("no SmolLM2: run bench/quickstart once, or name the file in JB_SMOLLM2")
    prompt = "The capital of France is"
    code, texts, rows, said = go_on(SMOLLM2, prompt, 16, "refops,cpu")
    assert code == 0, said
    assert texts["cpu"] == texts["refops"], texts
    assert texts["cpu"].startswith(prompt + " Paris"), texts
    assert re.fullmatch(r"[ -~\n]+", texts["cpu"]), texts
    assert [row["ids_agree"] for row in rows if row["backend"] == "cpu"] == ["1"], rows


def quantised_weights_give_the_ids_of_refops():
    for name in ("q8_0", "q4_0"):
        model = os.path.join(SHARED, "stories260K-%s.gguf" % name)
        if not os.path.exists(model):
            skip("no shared models")
        code, texts, rows, said = go_on(model, "Once upon a time", 200, "refops,cpu")
        assert code == 0, said
        assert texts["cpu"] == texts["refops"], texts
        assert len({row["tokens_digest"] for row in rows}) == 1, rows


def chosen_activations_stand_on_the_row():
    model = os.path.join(SHARED, "stories260K-q4_0.gguf")
    if not os.path.exists(model):
        skip("no shared models")
    devices = []
    for value in ("auto", "i16", "i8"):
        code, _, rows, said = go_on(model, "Once", 4, "cpu", "--set", "activations=" + value)
        assert code == 0, said
        devices.append(rows[0]["device"])
    assert devices[1].endswith(", i16)") and devices[2].endswith(", i8)"), devices
    assert devices[0] == devices[1].replace(", i16", ""), devices


def unknown_activations_are_refused():
    done = subprocess.run([JB, "run", "--model", "tiny", "--set", "activations=i4", *QUICK], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "activations=i4" in done.stderr and "auto, i16 and i8" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


run_tests([smollm2_goes_on_in_english_alike_on_refops_and_cpu, quantised_weights_give_the_ids_of_refops,
           chosen_activations_stand_on_the_row, unknown_activations_are_refused])
