# SPDX-License-Identifier: MIT
"""The opencl backend through the real binary: which device, what is said where there is none, equal ids.

usage: opencl_test.py JOULEBENCH
"""
import csv
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from tap import run as run_tests, skip  # noqa: E402

JB = os.path.abspath(sys.argv[1])
SHARED = os.environ.get("JB_SHARED", "")
RUN = ["run", "--model", "tiny", "--format", "q4_0", "--prompt", "4", "--gen", "2", "--reps", "1", "--window", "0",
       "--meter", "null", "--quiet"]


def jb(*args, **env):
    return subprocess.run([JB, *args], capture_output=True, text=True, timeout=300, env={**os.environ, **env})


def listed(**env):
    rows = csv.DictReader(jb("list", "backends", "--csv", **env).stdout.splitlines())
    return {row["name"]: row for row in rows}


def need_device():
    backend = listed().get("opencl")
    if backend is None:
        skip("no opencl in this build; Debian: opencl-headers")
    if backend["status"] != "available":
        skip(f"{backend['device']} (Debian: pocl-opencl-icd)")
    return backend


def refused(code, words, *args, **env):
    done = jb(*args, **env)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and all(word in lines[0] for word in words), (args, done.stderr)


def without_a_driver_the_reason_is_one_line():
    if "opencl" not in listed():
        skip("no opencl in this build; Debian: opencl-headers")
    nowhere = {"OCL_ICD_VENDORS": "/nonexistent"}
    assert listed(**nowhere)["opencl"]["status"] == "nodev"
    refused(3, ["opencl", "unavailable", "driver is not", "pocl-opencl-icd"], *RUN, "--backend", "opencl", **nowhere)


def others_run_where_there_is_no_driver():
    if "opencl" not in listed():
        skip("no opencl in this build; Debian: opencl-headers")
    done = jb(*RUN, "--backend", "opencl,refops", OCL_ICD_VENDORS="/nonexistent")
    assert done.returncode == 3, done.stderr
    assert {row["backend"] for row in csv.DictReader(done.stdout.splitlines())} == {"refops"}


def a_device_has_a_number_and_a_name():
    name = need_device()["device"]
    for device in ("0", name.split(" (")[0][:12].upper()):
        done = jb(*RUN, "--backend", "opencl", "--device", device)
        assert done.returncode == 0, (device, done.stderr)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        assert rows and all(row["device"].split(" (")[0] == name.split(" (")[0] for row in rows)
        assert {row["platform"] for row in rows} <= {"cpu", "gpu", "fpga"}
        if "Portable Computing Language" in name:
            assert {row["platform"] for row in rows} == {"cpu"}
    refused(2, ["no device '999'"], *RUN, "--backend", "opencl", "--device", "999")


def an_unknown_kind_of_kernels_is_refused():
    need_device()
    done = jb(*RUN, "--backend", "opencl", "--set", "kernels=wide")
    assert done.returncode != 0 and "auto, cpu and gpu" in done.stderr, done.stderr


def too_little_memory_is_told_in_numbers():
    if "Portable Computing Language" not in need_device()["device"]:
        skip("only PoCL can be told to have little memory")
    refused(1, ["needs", "of 1024.0 MiB left"], *RUN, "--backend", "opencl", "--batch", "512", "--prompt", "1900",
            POCL_MEMORY_LIMIT="1")


def a_trained_model_gives_the_ids_of_refops():
    need_device()
    for file in ("stories260K-f32.gguf", "stories260K-f16.gguf"):
        model = os.path.join(SHARED, "models", file)
        if not os.path.exists(model):
            skip("no shared models here")
        for kernels in ("cpu", "gpu"):
            done = jb("run", "--backend", "opencl,refops", "--model", model, "--prompt", "12", "--gen", "40", "--batch",
                      "1,3", "--reps", "1", "--window", "0", "--meter", "null", "--quiet", "--set", f"kernels={kernels}")
            assert done.returncode == 0, done.stderr
            rows = [row for row in csv.DictReader(done.stdout.splitlines()) if row["phase"] != "prefill"]
            assert {row["backend"] for row in rows} == {"opencl", "refops"}
            for batch in ("1", "3"):
                assert len({row["tokens_digest"] for row in rows if row["batch"] == batch}) == 1, done.stdout


run_tests([without_a_driver_the_reason_is_one_line, others_run_where_there_is_no_driver,
           a_device_has_a_number_and_a_name, an_unknown_kind_of_kernels_is_refused,
           too_little_memory_is_told_in_numbers, a_trained_model_gives_the_ids_of_refops])
