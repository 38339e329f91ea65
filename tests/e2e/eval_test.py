#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench eval as a user meets it: numbers against the shared model's oracle, and refusals.

  eval_test.py JOULEBENCH      prints TAP; $JB_SHARED is the folder with models/oracle.json"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(sys.argv[1])
SHARED = os.path.join(os.environ.get("JB_SHARED", "../shared"), "models")
FILES = {"f32": 0.003, "f32-untied": 0.003, "f16": 0.003, "q8_0": 0.003, "q4_0": 0.02}
points = []


def point(name, is_good, why=""):
    points.append(is_good)
    print("%sok %d - %s" % ("" if is_good else "not ", len(points), name), flush=True)
    if not is_good:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def skip(name, reason):
    points.append(True)
    print("ok %d - %s # SKIP %s" % (len(points), name, reason), flush=True)


def run(*args, **more):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=300, **more)


def row_of(done):
    """The one row that eval prints, as a dict; None if it printed anything else."""
    rows = list(csv.DictReader(done.stdout.splitlines()))
    good = done.returncode == 0 and len(rows) == 1 and \
        done.stdout.splitlines()[0] == "model,format,tokens,predicted,nll"
    return rows[0] if good else None


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def refused(name, code, said, *args, **more):
    """Exit code, nothing on stdout, one line on stderr that holds every word of said."""
    done = run(*args, **more)
    lines = done.stderr.splitlines()
    good = done.returncode == code and done.stdout == "" and len(lines) == 1 and \
        lines[0].startswith("joulebench: error: ") and all(word in lines[0] for word in said)
    point(name, good, "exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))


def available():
    rows = csv.DictReader(run("list", "backends", "--csv").stdout.splitlines())
    return [r["name"] for r in rows if r["status"] == "available" and r["name"] != "null"]


def numbers(oracle):
    ids = oracle["prompts"]["Once upon a time"]["ids"]
    write("ref.ids", " ".join(map(str, ids)))
    write("bos.ids", "1\n")
    for backend in available():
        for name, limit in FILES.items():
            path = os.path.join(SHARED, "stories260K-%s.gguf" % name)
            truth = oracle["files"]["stories260K-%s.gguf" % name]
            row = row_of(run("eval", "--model", path, "--ids", "ref.ids", "--backend", backend,
                             "--threads", "2"))
            good = row is not None and row["tokens"] == str(len(ids)) and \
                row["predicted"] == str(len(ids) - 1) and row["format"] == name.split("-")[0] and \
                abs(float(row["nll"]) - truth["mean_nll_over_ref_ids"]) <= limit
            point("%s: mean NLL of %s" % (backend, name), good,
                  "%s, oracle %s" % (row, truth["mean_nll_over_ref_ids"]))
            bos_logits(backend, name, path, truth)


# Logits of about 10 through operands that the default device rounds: bf16 (systolic-128), f16 (u250).
FLOAT_LIMITS = {"asic_sim": 0.04, "fpga_sim": 0.004}


def bos_logits(backend, name, path, truth):
    done = run("eval", "--model", path, "--ids", "bos.ids", "--backend", backend, "--logits",
               "logits.csv")
    row = row_of(done)
    logits = {int(r["id"]): float(r["logit"]) for r in csv.DictReader(open("logits.csv"))}
    # Activations may be rounded to 8 bits beside quantised weights; 4 decimals are published.
    limit = FLOAT_LIMITS.get(backend, 0.002) if name.startswith("f") else 0.15
    worst = max(abs(logits[i] - value) for i, value in truth["logits_after_bos_top5"])
    good = row is not None and row["predicted"] == "0" and row["nll"] == "" and \
        sorted(logits) == list(range(512)) and worst <= limit and \
        max(logits, key=logits.get) == truth["logits_after_bos_top5"][0][0]
    point("%s: logits after BOS of %s" % (backend, name), good, "%s, off by %g" % (row, worst))


def inputs(model, oracle):
    ids = oracle["prompts"]["Once upon a time"]["prompt_ids"]
    base = ("eval", "--model", model, "--backend", "refops", "--threads", "1")
    write("spaces.ids", " ".join(map(str, ids)))
    write("commas.ids", ",".join(map(str, ids)))
    write("mixed.ids", "\n".join(map(str, ids[:2])) + " ,\t" + ", ".join(map(str, ids[2:])) + "\r\n")
    write("once.txt", "Once upon a time")
    rows = [row_of(run(*base, "--ids", name)) for name in ("spaces.ids", "commas.ids", "mixed.ids")]
    rows.append(row_of(run(*base, "--text", "once.txt")))
    piped = run(*base, "--ids", "/dev/stdin", input=open("spaces.ids").read())
    rows.append(row_of(piped))
    point("spaces, commas, mixed, the same text and a pipe give one row",
          rows[0] is not None and all(r == rows[0] for r in rows), rows)

    # 1200 words are more than two contexts of 512; each window but its first token is predicted.
    write("long.txt", "Once upon a time " * 300)
    row = row_of(run(*base, "--text", "long.txt"))
    tokens = int(row["tokens"]) if row else 0
    windows = math.ceil(tokens / 512)
    point("a long text is cut into windows of the context",
          tokens > 1024 and int(row["predicted"]) == tokens - windows, row)

    write("long.ids", "1 " * 513)
    write("bad.ids", "1 403\n407 x 3\n")
    write("high.ids", "1\n512\n")
    write("empty.ids", "")
    refused("more ids than the context", 2, ["long.ids", "513", "512"], *base, "--ids", "long.ids")
    refused("a word among ids", 2, ["bad.ids:2", "'x'"], *base, "--ids", "bad.ids")
    refused("an id outside the vocabulary", 2, ["high.ids:2", "512"], *base, "--ids", "high.ids")
    refused("an empty ids file", 2, ["empty.ids"], *base, "--ids", "empty.ids")
    refused("an ids file that is not there", 2, ["none.ids"], *base, "--ids", "none.ids")
    refused("a folder as text", 2, ["."], *base, "--text", ".")
    refused("logits to a full disk", 1, ["/dev/full"], *base, "--ids", "spaces.ids", "--logits",
            "/dev/full")
    refused("logits into a missing folder", 2, ["none/l.csv"], *base, "--ids", "spaces.ids",
            "--logits", "none/l.csv")


def synth(oracle):
    """A file that synth converts or makes is one that eval reads, with the likelihood it should have."""
    source = os.path.join(SHARED, "stories260K-f32.gguf")
    for name, limit in (("f16", 0.003), ("q8_0", 0.003), ("q4_0", 0.02)):
        made = run("synth", "--from", source, "--format", name, "-o", name + ".gguf")
        row = row_of(run("eval", "--model", name + ".gguf", "--ids", "ref.ids", "--backend", "refops"))
        truth = oracle["files"]["stories260K-%s.gguf" % name]["mean_nll_over_ref_ids"]
        point("synth --from f32 to %s keeps the oracle's likelihood" % name,
              made.returncode == 0 and row is not None and row["format"] == name and
              abs(float(row["nll"]) - truth) <= limit, "%s\n%s, oracle %s" % (made.stderr, row, truth))
    size = os.path.getsize("f16.gguf")
    refused("synth over an existing file", 2, ["f16.gguf", "--force"], "synth", "--from", source,
            "--format", "q8_0", "-o", "f16.gguf")
    point("the existing file is untouched", os.path.getsize("f16.gguf") == size)
    done = run("synth", "--from", source, "--format", "q8_0", "-o", "f16.gguf", "--force")
    point("--force replaces it", done.returncode == 0 and os.path.getsize("f16.gguf") < size,
          done.stderr)
    made = run("synth", "--model", "tiny", "--format", "q8_0", "-o", "tiny.gguf", "--seed", "7")
    write("shape.ids", "1 2 3 4 5 6 7 8")
    rows = [row_of(run("eval", "--model", m, "--format", "q8_0", "--seed", "7", "--ids", "shape.ids",
                       "--backend", "refops")) for m in ("tiny", "tiny.gguf")]
    point("a shape and the file that synth makes of it give the same likelihood",
          made.returncode == 0 and None not in rows and rows[0]["nll"] == rows[1]["nll"],
          "%s %s" % (made.stderr, rows))
    refused("synth without a format", 2, ["--format"], "synth", "--model", "tiny", "-o", "x.gguf")
    refused("synth of an unknown shape", 2, ["tinny"], "synth", "--model", "tinny", "--format",
            "q8_0", "-o", "x.gguf")


def refusals(model):
    base = ("eval", "--model", model)
    write("some.ids", "1 2 3")
    refused("neither ids nor text", 2, ["--ids", "--text"], *base)
    refused("both ids and text", 2, ["--ids", "--text"], *base, "--ids", "a", "--text", "b")
    refused("no model", 2, ["--model"], "eval", "--ids", "some.ids")
    refused("a model that is not there", 2, ["none.gguf"], "eval", "--model", "none.gguf", "--ids",
            "some.ids")
    refused("an option that is not there", 2, ["--wrong"], *base, "--wrong")
    refused("a line break in an option", 2, ["--wr ong"], *base, "--wr\nong")
    refused("an option without its value", 2, ["--ids"], *base, "--ids")
    refused("a word too much", 2, ["'more'"], *base, "--ids", "some.ids", "more")
    refused("no threads", 2, ["--threads", "'0'"], *base, "--ids", "some.ids", "--threads", "0")
    refused("a cache format that is not there", 2, ["--kv-format", "'f13'"], *base, "--ids",
            "some.ids", "--kv-format", "f13")
    refused("a backend that is not there", 3, ["none"], *base, "--ids", "some.ids", "--backend",
            "none")
    refused("a backend that computes nothing", 2, ["null"], *base, "--ids", "some.ids", "--backend",
            "null")
    refused("text for a shape, which has no vocabulary", 2, ["tiny", "--ids"], "eval", "--model",
            "tiny", "--text", "some.ids", "--backend", "refops")
    done = run("eval", "--help")
    point("--help teaches on stdout",
          done.returncode == 0 and "--ids FILE" in done.stdout and done.stderr == "", done.stdout)


def empty_text():
    """A model that puts no BOS in front gives no id at all."""
    corpus = os.path.join(os.environ.get("JB_SOURCE", "."), "tests", "fuzz", "corpus", "gguf")
    write("empty.txt", "")
    refused("an empty text without BOS", 2, ["empty.txt"], "eval", "--model",
            os.path.join(corpus, "llama-bpe-q4_0.gguf"), "--text", "empty.txt", "--backend",
            "refops")


def shapes():
    write("shape.ids", "1 2 3 4 5 6 7 8")
    base = ("eval", "--model", "tiny", "--format", "q8_0", "--ids", "shape.ids", "--backend",
            "refops", "--seed")
    a, b, c = (row_of(run(*base, seed)) for seed in ("7", "7", "8"))
    point("a shape is the same for the same seed and another for another",
          a is not None and a == b and a["nll"] != c["nll"] and a["model"] == "tiny", (a, b, c))


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shapes()
        empty_text()
        model = os.path.join(SHARED, "stories260K-f32.gguf")
        refusals(model if os.path.exists(model) else "tiny")
        if os.path.exists(os.path.join(SHARED, "oracle.json")):
            oracle = json.load(open(os.path.join(SHARED, "oracle.json")))
            numbers(oracle)
            inputs(model, oracle)
            synth(oracle)
        else:
            skip("numbers against the oracle", "no shared models in " + SHARED)
        os.chdir("/")
    print("1..%d" % len(points))
    return 0 if all(points) else 1


sys.exit(main())
