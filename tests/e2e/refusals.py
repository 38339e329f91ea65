# SPDX-License-Identifier: MIT
"""What a user gets wrong: one line on stderr that names the thing and the way out, and nothing lost.

usage: refusals.py JOULEBENCH
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])
RUN = ["run", "--model", "tiny", "--format", "q4_0", "--prompt", "4", "--gen", "2", "--reps", "1", "--window", "0",
       "--meter", "null", "--quiet"]


def jb(*args, **env):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=120, env={**os.environ, **env})


def refused(code, words, *args, **env):
    done = jb(*args, **env)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    assert done.stdout == "", (args, done.stdout)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("joulebench: error: "), (args, done.stderr)
    assert all(word in lines[0] for word in words), (args, lines[0])


def an_unknown_simd_level_is_refused():
    refused(2, ["JB_SIMD='nonsense'", "scalar"], *RUN, "--output", os.devnull, JB_SIMD="nonsense")


def a_batch_is_named_once():
    refused(2, ["--batch: 8", "twice"], *RUN, "--batch", "1,8,8")


def an_empty_meter_list_is_refused():
    refused(2, ["--meter", "null"], *RUN, "--meter", "")


def a_kind_of_list_is_named_in_the_error():
    refused(2, ["backends", "columns"], "list")
    refused(2, ["'things'", "backends", "columns"], "list", "things")


def an_unknown_setting_points_to_the_list():
    refused(2, ["`speed`", "joulebench list backends"], *RUN, "--set", "speed=9")
    assert "activations=" in jb("list", "backends").stdout


def one_error_is_one_line_even_without_meters():
    loud = [word for word in RUN if word != "--quiet"]
    refused(2, ["context of `tiny`", "--prompt"], *loud, "--meter", "auto", "--prompt", "4000")


def a_trace_replaces_nothing_but_a_trace():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mine.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("a,b\n1,2\n")
        out = os.path.join(folder, "out.csv")
        refused(2, [path, "no trace"], *RUN, "--output", out, "--trace", path)
        with open(path, encoding="utf-8") as file:
            assert file.read() == "a,b\n1,2\n"
        refused(2, ["--trace and --output"], *RUN, "--output", out, "--trace", out)
        trace = os.path.join(folder, "trace.csv")
        for _ in range(2):
            done = jb(*RUN, "--output", out, "--trace", trace)
            assert done.returncode == 0, done.stderr


def what_cannot_fit_is_refused_before_it_fills_the_memory():
    args = ["run", "--format", "f32", "--reps", "1", "--window", "0", "--meter", "null", "--quiet", "--output",
            os.devnull]
    for more in (["--model", "llama3-8b", "--batch", "65000", "--prompt", "4000"],):
        for backend in ("cpu", "refops"):
            refused(1, ["GiB for keys and values", "--batch"], *args, *more, "--backend", backend)
    refused(2, ["--chunk"], *args, "--backend", "null", "--model", "llama3.2-1b", "--batch", "65000", "--prompt",
            "100000", "--chunk", "100000")


def a_summary_replaces_no_raw_rows():
    with tempfile.TemporaryDirectory() as folder:
        rows = os.path.join(folder, "rows.csv")
        assert jb(*RUN, "--output", rows).returncode == 0
        with open(rows, "rb") as file:
            before = file.read()
        refused(2, [rows, "-o"], "summary", rows, "-o", rows)
        with open(rows, "rb") as file:
            assert file.read() == before
        for _ in range(2):
            assert jb("summary", "--csv", rows, "-o", rows + ".summary").returncode == 0


def a_figure_kind_is_named_in_the_error():
    refused(2, ["'pie'", "power-throughput", "power-time"], "plot", "pie", "x.csv", "-o", "x.svg")
    refused(2, ["power-throughput", "power-time"], "plot")


def a_conversion_that_falls_back_says_so():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.gguf")
        done = jb("synth", "--model", "tiny", "--format", "q4_k", "-o", path)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        done = jb("synth", "--model", "smollm2-135m", "--format", "q4_k", "-o", path, "--force")
        assert done.returncode == 0 and path in done.stderr and "blocks of q4_k" in done.stderr, done.stderr


def logits_replace_no_input():
    with tempfile.TemporaryDirectory() as folder:
        ids = os.path.join(folder, "a.ids")
        with open(ids, "w", encoding="utf-8") as file:
            file.write("5 6\n")
        refused(2, ["--logits", ids], "eval", "--model", "tiny", "--ids", ids, "--logits", ids)
        with open(ids, encoding="utf-8") as file:
            assert file.read() == "5 6\n"


def more_threads_than_make_sense_are_refused():
    for command in (RUN, ["eval", "--model", "tiny", "--ids", "a.ids"], ["op"]):
        refused(2, ["--threads", "4096", "at most"], *command, "--threads", "4096")


def a_misspelt_device_is_refused_with_near_names():
    for backend in ("cpu", "null", "cpu,refops"):
        refused(2, ["generic-hots", "generic-host", "list devices"], *RUN, "--backend", backend, "--device",
                "generic-hots", "--output", os.devnull)
    refused(2, ["/no/such.yaml"], *RUN, "--device", "/no/such.yaml", "--output", os.devnull)
    refused(2, ["generic-hots", "generic-host"], "eval", "--model", "tiny", "--ids", "a.ids", "--device", "generic-hots")
    # a device that is there, but none of this backend's
    done = jb(*RUN, "--backend", "cpu", "--device", "h100-sxm", "--output", os.devnull)
    assert done.returncode == 3, (done.returncode, done.stderr)


def a_trace_that_is_not_there_is_refused():
    for path in ("/missing.csv", "/missing.csv,repeat"):
        refused(2, ["/missing.csv"], *RUN[:RUN.index("--meter")], "--meter", f"replay:{path}", "--quiet", "--output",
                os.devnull)


def a_missing_folder_is_found_before_any_work():
    path = "/no/such/folder/a.csv"
    # the model's name is wrong too: its error would come first if the model were opened first
    for option in ("--output", "--trace"):
        refused(2, [option, path, "'/no/such/folder'"], "run", "--backend", "null", "--model", "no-model", option, path)
    refused(2, ["--logits", path, "'/no/such/folder'"], "eval", "--model", "no-model", "--ids", "a.ids", "--logits", path)
    with tempfile.NamedTemporaryFile() as file:
        refused(2, [file.name], "run", "--backend", "null", "--model", "no-model", "--output", file.name + "/a.csv")


def eval_refuses_what_cannot_fit():
    with tempfile.TemporaryDirectory() as folder:
        ids = os.path.join(folder, "a.ids")
        with open(ids, "w", encoding="utf-8") as file:
            file.write("5 6 7\n")
        for backend in ("cpu", "refops"):
            refused(1, ["`opt-66b` needs", "GiB for weights", "GiB are free"], "eval", "--model", "opt-66b", "--format",
                    "f32", "--ids", ids, "--backend", backend)


def a_meter_is_named_once_in_a_note():
    quiet = RUN.index("--meter")
    done = jb(*RUN[:quiet], "--backend", "null", "--meter", "powercap,hwmon,nvml,perf", "--output", os.devnull)
    assert done.returncode == 0, done.stderr
    for name in ("powercap", "hwmon", "nvml", "perf"):
        assert f"{name}: {name}:" not in done.stderr, done.stderr


run_tests([logits_replace_no_input, a_summary_replaces_no_raw_rows, a_figure_kind_is_named_in_the_error,
           a_conversion_that_falls_back_says_so, an_unknown_simd_level_is_refused, a_batch_is_named_once, an_empty_meter_list_is_refused,
           a_kind_of_list_is_named_in_the_error, an_unknown_setting_points_to_the_list,
           one_error_is_one_line_even_without_meters, a_trace_replaces_nothing_but_a_trace,
           what_cannot_fit_is_refused_before_it_fills_the_memory, more_threads_than_make_sense_are_refused,
           a_misspelt_device_is_refused_with_near_names, a_trace_that_is_not_there_is_refused,
           a_missing_folder_is_found_before_any_work, eval_refuses_what_cannot_fit, a_meter_is_named_once_in_a_note])
