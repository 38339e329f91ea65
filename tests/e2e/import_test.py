#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench import: other tools' files by column name, every number recomputed here, evidence class never ours,
audit and survey take the result, bad input is refused. usage: import_test.py JOULEBENCH"""
import csv
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
DATA = os.path.join(SOURCE, "tests", "data", "import")
FOREIGN = os.path.join(os.environ.get("JB_SHARED", ""), "foreign")
HAS_JSON = "built without" not in subprocess.run(
    [JOULEBENCH, "import", os.path.join(DATA, "ml-energy-task.json")], capture_output=True, text=True,
    check=False).stderr


def joulebench(*arguments):
    return subprocess.run([JOULEBENCH, *arguments], capture_output=True, text=True, check=False)


def imported(*arguments):
    done = joulebench("import", *arguments)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


def data(name):
    if name.endswith(".json") and not HAS_JSON:
        tap.skip("this build reads no JSON")
    return os.path.join(DATA, name)


def near(text, value):
    return abs(float(text) / value - 1) < 1e-9


def real_llama_bench_files_keep_every_number():
    files = sorted(glob.glob(os.path.join(FOREIGN, "llama-bench-*.csv")))
    if not files:
        tap.skip("no shared/foreign")
    rows = imported(*files)
    sources = []
    for path in files:
        with open(path, newline="", encoding="utf-8") as file:
            sources += list(csv.DictReader(file))
    assert len(rows) == len(sources) == 6 * len(files)
    for row, given in zip(rows, sources):
        assert (row["platform"], row["device"], row["backend"]) == ("gpu", given["gpu_info"], "llama.cpp")
        assert row["phase"] == ("prefill" if given["n_gen"] == "0" else "decode")
        tokens = int(given["n_prompt"]) + int(given["n_gen"])
        assert near(row["time_s"], int(given["avg_ns"]) * 1e-9) and int(row["tokens"]) == tokens
        assert near(row["tokens_per_s"], tokens / (int(given["avg_ns"]) * 1e-9))
        assert abs(float(row["tokens_per_s"]) / float(given["avg_ts"]) - 1) < 0.05
        assert row["kv_depth"] == given["n_depth"] and row["weight_bytes"] == given["model_size"]
        assert row["model"] == "llama 7B" and row["weight_format"] in ("bf16", "f16", "q4_0", "q8_0", "q4_k_m"), row
        assert all(row[title] == cell for title, cell in given.items()), "columns of the source stay"
        assert row["power_w"] == "" and "no-power-in-source" in row["reasons"].split(";")


def the_class_is_never_ours():
    for name in sorted(os.listdir(DATA)):
        if name == "README.md" or (name.endswith(".json") and not HAS_JSON):
            continue
        for row in imported(data(name)):
            assert row["time_class"] == "literature" and row["verdict"] == "INDICATIVE", name
            assert row["energy_class"] == ("literature" if row["power_w"] else ""), name
            assert "imported" in row["reasons"].split(";"), name
            assert re.fullmatch(re.escape(name) + r"[:#]\d+", row["import_source"]), row["import_source"]
            assert row["power_kind"] == ("measured" if row["power_w"] else "")


def llama_bench_json_gives_repetitions():
    rows = imported(data("llama-bench.json"))
    assert [r["repetition"] for r in rows] == ["0", "1", "2", "0"]
    assert [r["phase"] for r in rows] == ["decode"] * 3 + ["total"]
    assert [float(r["time_s"]) for r in rows] == [980000000 * 1e-9, 1000000000 * 1e-9, 1020000000 * 1e-9, 32000000000 * 1e-9]
    assert len({r["run_id"] for r in rows[:3]}) == 1 and rows[3]["run_id"] != rows[0]["run_id"]
    assert rows[0]["n_devices"] == "2" and rows[0]["kv_format"] == "f16/q8_0" and rows[0]["kv_depth"] == "256"
    assert (rows[3]["platform"], rows[3]["device"]) == ("cpu", "AMD EPYC Test")
    assert near(rows[3]["tokens_per_s"], 64 / 32), "generated tokens count, prompts do not"


def older_headers_are_read_by_name():
    rows = imported("llama-bench", data("llama-bench-2023.csv"))
    assert [(r["platform"], r["phase"], r["weight_format"]) for r in rows] == [("gpu", "prefill", "q4_0"),
                                                                             ("cpu", "decode", "q4_0")]
    assert rows[0]["kv_depth"] == "" and rows[0]["model"] == "LLaMA 7B" and rows[0]["mul_mat_q"] == "1"


def inference_bench_counts_output_and_milliwatts():
    rows = imported(data("llm-inference-bench.csv"))
    assert len(rows) == 5
    assert [r["platform"] for r in rows] == ["gpu", "gpu", "gpu", "asic", "gpu"]
    assert near(rows[0]["tokens_per_s"], 1024 / 8) and near(rows[0]["power_w"], 350)
    assert near(rows[0]["energy_j"], 350 * 8) and near(rows[0]["tokens_per_j"], 1024 / 8 / 350)
    assert near(rows[1]["tokens_per_s"], 8 * 1024 / 10)
    assert rows[2]["power_w"] == "" and "power-of-one-or-all" in rows[2]["reasons"] and rows[2]["n_devices"] == "4"
    assert rows[3]["power_w"] == "" and "no-power-in-source" in rows[3]["reasons"]
    assert near(rows[4]["tokens_per_s"], 2000) and "power-unit-unknown" in rows[4]["reasons"]


def inference_bench_has_other_spellings():
    rows = imported(data("llm-inference-bench-lengths.csv"))
    assert len(rows) == 1, "throughput alone does not tell prompts from answers of another length"
    assert (rows[0]["platform"], rows[0]["prompt_tokens"], rows[0]["output_tokens"]) == ("gpu", "128", "512")
    assert near(rows[0]["tokens_per_s"], 2 * 512 / 4) and rows[0]["kv_format"] == "fp8"


def mlperf_takes_tokens_and_their_watts():
    rows = imported(data("mlperf-summary.csv"))
    assert len(rows) == 2
    assert rows[0]["n_devices"] == "16" and near(rows[0]["power_w"], 6000) and near(rows[0]["tokens_per_j"], 4)
    assert rows[0]["energy_scope"] == "wall" and rows[0]["batch"] == "" and rows[0]["time_s"] == ""
    assert (rows[1]["platform"], rows[1]["device"], rows[1]["n_devices"]) == ("cpu", "Test Xeon", "2")
    rows = imported(data("mlperf-results.json"))
    assert len(rows) == 1 and near(rows[0]["power_w"], 3000) and near(rows[0]["tokens_per_s"], 9000.5)
    assert rows[0]["backend"] == "Engine 3" and rows[0]["n_devices"] == "4"
    rows = imported(data("mlperf-summary.json"))
    assert len(rows) == 1 and near(rows[0]["tokens_per_s"], 1200.5) and rows[0]["weight_format"] == "fp16"


def ml_energy_tasks_and_models():
    rows = imported(data("ml-energy-task.json"))
    assert [(r["model"], r["batch"], r["n_devices"]) for r in rows] == [("test/Test-8B", "8", "1"),
                                                                        ("test/Test-70B", "1", "4")]
    assert near(rows[0]["tokens_per_j"], 1 / 0.48) and near(rows[0]["tpot_p50_s"], 0.008)
    assert rows[0]["task_id"] == "test-chat" and rows[0]["output_tokens"] == "400"
    rows = imported(data("ml-energy-model.json"))
    assert rows[0]["model"] == "test/Test-8B" and rows[0]["parallelization.tensor_parallel"] == "1"
    assert rows[0]["output_length_distribution.counts"] == "[5,6]"


def audit_and_survey_take_imported_rows():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "imported.csv")
        names = [data(n) for n in ("llm-inference-bench.csv", "mlperf-summary.csv", "ml-energy-task.json")]
        assert joulebench("import", *names, "-o", path).returncode == 0
        done = joulebench("audit", path)
        assert done.returncode == 0 and " 0 errors" in done.stderr, done.stderr + done.stdout
        out = os.path.join(folder, "survey")
        done = joulebench("survey", "--own", path, "--format", "svg", "-o", out)
        assert done.returncode == 0, done.stderr
        with open(os.path.join(out, "batch8.csv"), newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["origin"] != "published"]
        assert [(r["origin"], r["evidence"], r["work"]) for r in rows] == [("imported", "literature", "vLLM"),
                                                                          ("imported", "literature", "ML.ENERGY")]
        with open(os.path.join(out, "batch8.svg"), encoding="utf-8") as file:
            assert "imported, literature" in file.read()
        with open(os.path.join(out, "ranks.csv"), newline="", encoding="utf-8") as file:
            sets = {r["set"] for r in csv.DictReader(file)}
        assert "imported-batch8" in sets and "own-batch8" not in sets


def an_imported_table_can_be_read_and_imported_once():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        names = [os.path.join(DATA, n) for n in ("llm-inference-bench.csv", "llama-bench-2023.csv")]
        assert joulebench("import", *names, "-o", path).returncode == 0
        with open(path, "rb") as file:
            first = file.read()
        done = joulebench("summary", "--csv", path)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 8, done.stderr
        done = joulebench("import", *names, "-o", path)
        assert done.returncode == 2 and "already" in done.stderr
        with open(path, "rb") as file:
            assert file.read() == first, "what is there stays"
        again = os.path.join(folder, "b.csv")
        assert joulebench("import", *names, "-o", again).returncode == 0
        with open(again, "rb") as file:
            assert file.read() == first


def bad_input_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        def written(text):
            path = os.path.join(folder, str(len(os.listdir(folder))), "in")
            os.mkdir(os.path.dirname(path))
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return path

        with open(os.path.join(DATA, "llm-inference-bench.csv"), encoding="utf-8") as file:
            good = file.read()
        for arguments, says in (
                ((), "at least one file"), (("/no/such",), "/no/such"), (("mlperf",), "at least one file"),
                (("--what", "x"), "--what"), (("--platform", "toaster", os.path.join(DATA, "llm-inference-bench.csv")),
                                              "toaster"),
                ((written("a,b\n1,2\n"),), "of no tool"),
                (("mlperf", written(good)), "Organization"),
                ((written(good.replace(",8,256", ",x,256")),), "in:2: column 7 (Latency): 'x'"),
                ((written(good.replace("Nvidia H100 GPU", "Box")),), "give --platform")):
            done = joulebench("import", *arguments)
            assert done.returncode == 2 and done.stdout == "", (arguments, done.returncode, done.stderr)
            assert says in done.stderr and len(done.stderr.splitlines()) == 1, (arguments, done.stderr)
        done = joulebench("import", "--platform", "fpga", written(good.replace("Nvidia H100 GPU", "Box")))
        assert done.returncode == 0 and ",fpga,Box," in done.stdout
        if HAS_JSON:
            for text, says in (("{", "byte 1"), ("[1,2]", "entry 1"), ("[]", "no table"), ("{\"a\":1,\"a\":2}", "byte")):
                done = joulebench("import", written(text))
                assert done.returncode == 2 and says in done.stderr, (text, done.stderr)


tap.run([real_llama_bench_files_keep_every_number, the_class_is_never_ours, llama_bench_json_gives_repetitions,
         older_headers_are_read_by_name, inference_bench_counts_output_and_milliwatts,
         inference_bench_has_other_spellings,
         mlperf_takes_tokens_and_their_watts, ml_energy_tasks_and_models, audit_and_survey_take_imported_rows,
         an_imported_table_can_be_read_and_imported_once, bad_input_is_refused])
