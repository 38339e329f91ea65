# SPDX-License-Identifier: MIT
"""joulebench run, the real binary: rows, files, exit codes, bad input, killed runs, full disks.

usage: run.py JOULEBENCH PLUGIN-DIRECTORY
"""
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
PLUGINS = os.path.abspath(sys.argv[2])
LEDGER = ["--plugin", os.path.join(PLUGINS, "jb_ledger.so"), "--backend", "ledger"]
SHARED = os.environ.get("JB_SHARED", "")
SMALL = ["--model", "tiny", "--format", "f32", "--prompt", "6", "--gen", "5", "--reps", "2", "--window", "0",
         "--meter", "null", "--quiet"]
CORE = ("schema,run_id,time_utc,host,commit,backend,platform,device,n_devices,threads,seed,model,weight_format,"
        "kv_format,method,method_class,execution,feed,batch,prompt_tokens,output_tokens,kv_depth,repetition,phase,"
        "window_s,n_phases,time_s,tokens,tokens_per_s,energy_j,power_w,tokens_per_j,time_class,energy_class,"
        "energy_source,energy_scope,energy_alt_j,energy_alt_source,idle_w,bound_tokens_per_s,bound_share,u_rel,"
        "tokens_digest,ids_agree,ids_near_tie,quality_nll,verdict,energy_verdict,reasons").split(",")


def jb(*args, timeout=240):
    return subprocess.run([JB, "run", *args], capture_output=True, text=True, timeout=timeout)


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def near(a, b):
    return abs(float(a) - float(b)) <= 1e-9 * abs(float(b))


def has_backend(name):
    listed = subprocess.run([JB, "list", "backends", "--csv"], capture_output=True, text=True).stdout
    return any(row["name"] == name and row["status"] == "available" for row in rows_of(listed))


def rows_have_the_documented_form():
    done = jb("--backend", "refops", *SMALL, "--batch", "1,3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    assert done.stdout.splitlines()[0].split(",")[:len(CORE)] == CORE
    rows = rows_of(done.stdout)
    assert [(r["batch"], r["repetition"], r["phase"]) for r in rows] == [
        (batch, repetition, phase)
        for batch in ("1", "3") for repetition in ("0", "1") for phase in ("prefill", "decode", "total")]
    for r in rows:
        batch = int(r["batch"])
        assert int(r["tokens"]) == batch * (6 if r["phase"] == "prefill" else 5)
        assert r["kv_depth"] == ("6" if r["phase"] == "decode" else "0")
        assert near(r["time_s"], float(r["window_s"]) / int(r["n_phases"]))
        assert near(r["tokens_per_s"], int(r["tokens"]) / float(r["time_s"]))
        assert r["energy_j"] == r["power_w"] == r["tokens_per_j"] == r["energy_verdict"] == ""
        assert r["time_class"] == "measured" and r["energy_class"] == ""
        assert r["verdict"] == "INDICATIVE"
        assert {"no-uncertainty", "no-meter"} <= set(r["reasons"].split(";")), r["reasons"]
        assert (r["tokens_digest"] != "") == (r["phase"] != "prefill")
        assert (r["ttft_s"] != "") == (r["phase"] != "decode")
        assert (r["tpot_p50_s"] != "") == (r["phase"] != "prefill")
    assert len({r["tokens_digest"] for r in rows if r["batch"] == "3" and r["phase"] != "prefill"}) == 1
    assert len({r["run_id"] for r in rows}) == 2


def depth_changes_decode_only():
    done = jb("--backend", "refops", *SMALL, "--depth", "20")
    depths = {(r["phase"], r["kv_depth"]) for r in rows_of(done.stdout)}
    assert depths == {("prefill", "0"), ("decode", "20"), ("total", "0")}, done.stderr


def the_null_backend_has_no_ids():
    rows = rows_of(jb("--backend", "null", *SMALL).stdout)
    assert len(rows) == 6
    assert all(r["tokens_digest"] == "" for r in rows)
    assert all(("no-result" in r["reasons"]) == (r["phase"] != "prefill") for r in rows)


def same_seed_same_ids_other_seed_others():
    def digests(seed, chunk):
        rows = rows_of(jb("--backend", "refops", *SMALL, "--seed", seed, "--chunk", chunk).stdout)
        return {r["tokens_digest"] for r in rows if r["phase"] != "prefill"}
    assert digests("1", "512") == digests("1", "2")
    assert digests("1", "512") != digests("2", "512")


def windows_repeat_the_phase():
    args = [*SMALL, "--window", "300ms"]
    for r in rows_of(jb("--backend", "null", *args).stdout):
        assert float(r["window_s"]) >= 0.3
        assert int(r["n_phases"]) > 1


def cpu_computes_what_refops_computes():
    if not has_backend("cpu"):
        skip("no cpu backend here")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        done = jb("--backend", "cpu,refops", *SMALL, "--batch", "1,3", "--output", path)
        assert done.returncode == 0, done.stderr
        rows = read(path)
        assert [r["backend"] for r in rows[:12]] == ["refops"] * 12  # the reference runs first
        for r in rows:
            if r["phase"] != "prefill":
                assert float(r["ids_agree"]) + float(r["ids_near_tie"]) > 1 - 1e-9, r["ids_agree"]
        with open(path + ".ids", encoding="utf-8") as file:
            lines = [line.split() for line in file]
        digests = {r["tokens_digest"] for r in rows} - {""}
        assert {line[0] for line in lines} == digests
        assert all(len(line) == 2 + 5 for line in lines)
        assert [int(line[1]) for line in lines if line[0] == rows[-1]["tokens_digest"]] == [0, 1, 2]


def a_trained_model_gives_equal_digests_and_text():
    model = os.path.join(SHARED, "models", "stories260K-f32.gguf")
    if not os.path.exists(model):
        skip("no shared models here")
    backends = "cpu,refops" if has_backend("cpu") else "refops"
    common = ["--backend", backends, "--model", model, "--reps", "1", "--window", "0", "--meter", "null", "--quiet"]
    rows = rows_of(jb(*common, "--prompt", "8", "--gen", "24").stdout)
    assert len({r["tokens_digest"] for r in rows if r["phase"] != "prefill"}) == 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        done = jb(*common, "--prompt-text", "Once upon a time", "--show-text", "--gen", "30", "--output", path)
        assert done.returncode == 0, done.stderr
        texts = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
        assert len(texts) == len(backends.split(",")) and len(set(texts)) == 1, done.stdout
        assert texts[0].startswith("Once upon a time, there was a"), texts[0]
        assert {r["feed"] for r in read(path)} == {"free"}


def an_existing_file_is_appended_to():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        for expected in (6, 12):
            assert jb("--backend", "null", *SMALL, "--output", path).returncode == 0
            assert len(read(path)) == expected
        with open(path, "ab") as file:
            file.write(b"joulebench-1,torn")
        done = jb("--backend", "null", *[a for a in SMALL if a != "--quiet"], "--output", path)
        assert done.returncode == 0 and "torn" in done.stderr, done.stderr
        assert len(read(path)) == 18


def another_schema_is_refused_before_any_work():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("schema,something\n1,2\n")
        done = jb("--backend", "null", *SMALL, "--output", path)
        assert done.returncode == 2 and path in done.stderr, done.stderr
        assert os.path.getsize(path) == len("schema,something\n1,2\n")
        assert os.listdir(folder) == ["a.csv"]


def unwritable_outputs_are_named():
    done = jb("--backend", "null", *SMALL, "--output", "/dev/full")
    assert done.returncode == 1 and "/dev/full" in done.stderr, (done.returncode, done.stderr)
    done = jb("--backend", "null", *SMALL, "--output", "/no/such/folder/a.csv")
    assert done.returncode == 2 and "/no/such/folder/a.csv" in done.stderr, done.stderr
    done = jb("--backend", "null", *SMALL, "--output", "/dev/null", "--trace", "/no/such/t.csv")
    assert done.returncode == 2 and "/no/such/t.csv" in done.stderr, done.stderr


def bad_input_exits_2_with_one_line_and_no_rows():
    cases = [
        [], ["--model"], ["--model", "tiny", "--nonsense"], ["--model", "tiny", "stray"],
        ["--model", "tinny"], ["--model", "/no/such.gguf"], ["--model", "tiny", "--format", "q9_9"],
        ["--model", "tiny", "--kv-format", "q4_0"], ["--model", "tiny", "--backend", "nul"],
        ["--model", "tiny", "--backend", "null,"], ["--model", "tiny", "--backend", "null,null"],
        ["--model", "tiny", "--batch", "0"], ["--model", "tiny", "--batch", "1,,2"],
        ["--model", "tiny", "--batch", "x"], ["--model", "tiny", "--prompt", "-1"],
        ["--model", "tiny", "--prompt", "0"], ["--model", "tiny", "--gen", "0"],
        ["--model", "tiny", "--prompt", "3000"], ["--model", "tiny", "--depth", "2048"],
        ["--model", "tiny", "--reps", "0"], ["--model", "tiny", "--window", "-2"],
        ["--model", "tiny", "--window", "soon"], ["--model", "tiny", "--window", "30h"],
        ["--model", "tiny", "--threads", "0"], ["--model", "tiny", "--seed", "18446744073709551616"],
        ["--model", "tiny", "--meter", "nope"], ["--model", "tiny", "--meter", "auto,,null"],
        ["--model", "tiny", "--meter", "replay:/no/such.csv,nope"], ["--model", "tiny", "--set", "a"],
        ["--model", "tiny", "--set", "no_such_key=1"], ["--model", "tiny", "--set", "a=1", "--set", "a=2"],
        ["--model", "tiny", "--execute", "fast"], ["--model", "tiny", "--execute", "timing"],
        ["--model", "tiny", "--method", "spec:ngram"], ["--workload", "other"],
        ["--model", "tiny", "--prompt-text", "hello"], ["--model", "tiny", "--show-text"],
        ["--model", "tiny", "--prompt-text", "hello", "--prompt", "4"], ["--model", "tiny", "--output", ""],
        ["--model", "tiny", "--plugin", "/no/such.so"],
    ]
    for case in cases:
        backend = [] if "--backend" in case else ["--backend", "null"]
        done = jb(*backend, "--quiet", "--reps", "1", "--window", "0", *case)
        where = f"{case}: {done.returncode} {done.stderr!r}"
        assert done.returncode == 2, where
        assert done.stdout == "", where
        assert done.stderr.count("\n") <= 1, where


def an_unavailable_backend_exits_3_and_others_run():
    plugin = os.path.join(PLUGINS, "jb_echo.so")  # refuses every --device
    done = jb("--plugin", plugin, "--backend", "null,echo", "--device", "h100-sxm", *SMALL)
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert "echo" in done.stderr
    assert {r["backend"] for r in rows_of(done.stdout)} == {"null"}


def a_modelled_device_is_accounted_not_timed():
    done = jb(*LEDGER, *SMALL, "--batch", "2")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    for r in rows:
        steps = {"prefill": 12, "decode": 10, "total": 22}[r["phase"]]
        assert near(r["time_s"], 1e-3 * steps) and near(r["window_s"], 1e-3 * steps)
        assert near(r["energy_j"], 2 * steps) and near(r["power_w"], 2000)
        assert r["n_phases"] == "1" and r["platform"] == "pim"
        assert (r["time_class"], r["energy_class"]) == ("simulated", "modelled")
        assert (r["energy_source"], r["energy_scope"]) == ("account", "model")
        assert float(r["host_time_s"]) > 0 and r["idle_w"] == ""
        assert r["execution"] == "functional"
        assert 0 < float(r["bound_share"]) < 1  # what detail() says of each op, summed up
        if r["phase"] != "prefill":
            assert near(r["tpot_p50_s"], 2e-3)


def timing_execution_gives_the_same_seconds_and_joules():
    both = [rows_of(jb(*LEDGER, *SMALL, "--execute", mode).stdout) for mode in ("functional", "timing")]
    assert len(both[0]) == len(both[1]) == 6
    for functional, timing in zip(*both):
        for column in ("time_s", "energy_j", "tokens", "tokens_per_s", "tokens_per_j"):
            assert functional[column] == timing[column]
        assert timing["tokens_digest"] == "" and timing["execution"] == "timing"
        if timing["phase"] != "prefill":
            assert functional["tokens_digest"] != "" and "timing-only" in timing["reasons"]


def miscounted_tokens_are_invalid_and_exit_4():
    done = jb(*LEDGER, *SMALL, "--set", "ids=none")
    assert done.returncode == 4, (done.returncode, done.stderr)
    rows = [r for r in rows_of(done.stdout) if r["phase"] != "prefill"]
    assert all(r["verdict"] == "INVALID" and "tokens-miscounted" in r["reasons"] for r in rows)


def wrong_ids_are_invalid():
    done = jb(*LEDGER[:2], "--backend", "ledger,refops", *SMALL)
    assert done.returncode == 4, (done.returncode, done.stderr)
    for r in rows_of(done.stdout):
        if r["phase"] != "prefill":
            assert (r["verdict"] == "INVALID") == (r["backend"] == "ledger"), r
            assert ("ids-differ" in r["reasons"]) == (r["backend"] == "ledger")


def a_device_file_describes_a_real_device_and_sets_its_peaks():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "slow.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('device: slow\nkind: cpu\nsummary: Slower than anything.\nvalues:\n'
                       '  f32_op_per_s: {value: 1000, unit: op/s, source: "a test"}\n')
        done = jb("--backend", "refops", *SMALL, "--device", path)
        assert done.returncode == 4, (done.returncode, done.stderr)
        rows = rows_of(done.stdout)
        assert all(r["verdict"] == "INVALID" and "beats-peak" in r["reasons"] for r in rows)
        assert all(float(r["bound_share"]) > 1.02 for r in rows)
        with open(path, "w", encoding="utf-8") as file:
            file.write('device: fast\nkind: cpu\nsummary: Faster than anything.\nvalues:\n'
                       '  f32_op_per_s: {value: 1000000, unit: Top/s, source: "a test"}\n')
        done = jb("--backend", "refops", *SMALL, "--device", path)
        assert done.returncode == 0, (done.returncode, done.stderr)
        assert all(0 < float(r["bound_share"]) < 1 for r in rows_of(done.stdout))


def replayed_power_becomes_energy():
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "power.csv")
        with open(trace, "w", encoding="utf-8") as file:
            file.write("time_s,domain,quantity,unit,scope,value,update_period_s,average_s\n")
            file.write("0,package-0,energy,J,package,0,0.01,0\n")
            for i in range(1, 101):
                file.write(f"{i / 100},package-0,energy,J,package,{0.5 * i},,\n")
        out, samples = os.path.join(folder, "a.csv"), os.path.join(folder, "t.csv")
        args = [a for a in SMALL if a not in ("--meter", "null")]
        done = jb("--backend", "null", *args, "--window", "0.5", "--meter", f"replay:{trace},repeat",
                  "--output", out, "--trace", samples)
        assert done.returncode == 0, done.stderr
        for r in read(out):
            assert abs(float(r["power_w"]) - 50) < 5, r["power_w"]
            assert abs(float(r["idle_w"]) - 50) < 5, r["idle_w"]
            assert near(float(r["energy_j"]) * float(r["tokens_per_j"]), r["tokens"])
            assert r["energy_source"] == "replay:package-0" and r["energy_scope"] == "package"
            assert r["energy_class"] == "measured" and r["energy_verdict"] == "INDICATIVE"
        phases = {r["phase"] for r in read(samples)}
        assert phases == {"idle", "prefill", "decode", "total"}, phases
        # what was written can be replayed
        again = jb("--backend", "null", *args, "--meter", f"replay:{samples},repeat")
        assert again.returncode == 0, again.stderr


def a_killed_run_leaves_whole_rows():
    for delay in (0.05, 0.15, 0.3, 0.5):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.csv")
            child = subprocess.Popen([JB, "run", "--backend", "null", *SMALL, "--window", "5ms", "--reps", "100000",
                                      "--output", path])
            while not os.path.exists(path):
                time.sleep(0.01)
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            child.wait()
            with open(path, "rb") as file:
                whole = file.read()
            lines = whole[:whole.rfind(b"\n") + 1].decode().splitlines()
            rows = rows_of("\n".join(lines))
            assert all(None not in r.values() and r["verdict"] for r in rows)
            assert jb("--backend", "null", *SMALL, "--output", path).returncode == 0
            assert len(read(path)) == len(rows) + 6


def an_interrupted_run_ends_cleanly():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.csv")
        child = subprocess.Popen([JB, "run", "--backend", "null", *SMALL, "--window", "20ms", "--reps", "100000",
                                  "--output", path], stderr=subprocess.PIPE, text=True)
        while not os.path.exists(path) or len(open(path, encoding="utf-8").readlines()) < 3:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        errors = child.communicate(timeout=60)[1]
        assert child.returncode == 1, child.returncode
        assert "interrupted" in errors and path in errors, errors
        assert len(read(path)) >= 2


def a_format_that_rows_do_not_divide_into_is_not_claimed():
    shape = ["--backend", "null", "--model", "smollm2-135m", "--prompt", "4", "--gen", "2", "--reps", "1", "--window",
             "0", "--meter", "null"]
    for asked, got in (("q4_k", "q4_0"), ("q6_k", "q8_0"), ("q8_0", "q8_0")):
        done = jb(*shape, "--format", asked, "--output", "-")
        assert done.returncode == 0, done.stderr
        for r in rows_of(done.stdout):
            assert r["weight_format"] == got, r["weight_format"]
            assert ("format-fallback" in r["reasons"].split(";")) == (asked != got), r["reasons"]
        assert done.stderr.count(f"blocks of {asked}") == (asked != got), done.stderr


def help_teaches():
    done = jb("--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("--backend", "--window", "examples", "exit codes", "--workload survey"):
        assert word in done.stdout, word


run_tests([
    rows_have_the_documented_form,
    depth_changes_decode_only,
    the_null_backend_has_no_ids,
    same_seed_same_ids_other_seed_others,
    windows_repeat_the_phase,
    cpu_computes_what_refops_computes,
    a_trained_model_gives_equal_digests_and_text,
    an_existing_file_is_appended_to,
    another_schema_is_refused_before_any_work,
    unwritable_outputs_are_named,
    bad_input_exits_2_with_one_line_and_no_rows,
    an_unavailable_backend_exits_3_and_others_run,
    a_modelled_device_is_accounted_not_timed,
    timing_execution_gives_the_same_seconds_and_joules,
    miscounted_tokens_are_invalid_and_exit_4,
    wrong_ids_are_invalid,
    a_device_file_describes_a_real_device_and_sets_its_peaks,
    replayed_power_becomes_energy,
    a_killed_run_leaves_whole_rows,
    an_interrupted_run_ends_cleanly,
    a_format_that_rows_do_not_divide_into_is_not_claimed,
    help_teaches,
])
