#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the result fixtures beside this file. Invented numbers: they test reading, grouping and
drawing, and say nothing about any device. Run after columns.def changed, then bless the goldens."""
import csv
import math
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DEF = os.path.join(HERE, "..", "..", "..", "results", "columns.def")
COLUMNS = re.findall(r"^JB_COLUMN\((\w+),", open(DEF, encoding="utf-8").read(), re.M)

BASE = dict(
    schema="joulebench-1", time_utc="2026-01-02T03:04:05Z", host="tower", commit="0123456789ab",
    n_devices=1, threads=8, seed=1, kv_format="f16", method="none", method_class="none",
    execution="functional", feed="forced", prompt_tokens=128, output_tokens=128, window_s=2.5,
    n_phases=3, time_class="measured", verdict="VALID", prefill_chunk=128)

# Small deterministic spread around 1, largest in the last of five repetitions.
SPREAD = (1.0, 1.004, 0.997, 1.002, 0.989)


def rows_of(speed, power, energy_class, repetitions=5, phases=("prefill", "decode"), **cells):
    """Rows of one configuration. speed: decode tokens/s at batch 1; power None = no meter."""
    for batch in cells.pop("batches", (1, 8)):
        for phase in phases:
            for r in range(repetitions):
                row = dict(BASE, **cells)
                rate = speed * SPREAD[r % 5] * {"prefill": 9.0, "decode": 1.0, "total": 1.6}[phase]
                rate *= 1.0 if batch == 1 else 5.2 if phase == "decode" else 1.3
                tokens = batch * 128
                row.update(
                    run_id="%016x" % (hash_text("|".join(map(str, sorted(cells.items())))) + batch),
                    batch=batch, phase=phase, repetition=r, tokens=tokens,
                    kv_depth=128 if phase == "decode" else 0, time_s="%.9g" % (tokens / rate),
                    tokens_per_s="%.9g" % rate)
                if phase == "decode":
                    row["tpot_p50_s"] = "%.9g" % (batch / rate)
                if power is None:
                    row["reasons"] = "no-meter;no-uncertainty"
                    row["verdict"] = "INDICATIVE"
                else:
                    watts = power * (1.0 + 0.08 * math.log2(batch)) * (1.1 - 0.1 * SPREAD[r % 5])
                    joules = watts * tokens / rate
                    row.update(
                        energy_j="%.9g" % joules, power_w="%.9g" % watts,
                        tokens_per_j="%.9g" % (tokens / joules), energy_class=energy_class,
                        energy_verdict="VALID" if energy_class == "measured" else "INDICATIVE")
                    if energy_class != "measured":
                        row["reasons"] = "energy-not-measured"
                yield row


def hash_text(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return value % (1 << 60)


def write(name, rows):
    with open(os.path.join(HERE, name), "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


CPU = dict(backend="cpu", platform="cpu", device="Example CPU 8 cores (avx2)",
           model="smollm2-135m", weight_format="q4_0")


def platforms():
    """Five platforms, all evidence classes, three method classes."""
    big = dict(model="llama2-7b", weight_format="q4_0")
    cpu = dict(CPU, **big)
    gpu = dict(big, backend="cuda", platform="gpu", device="Example GPU", threads=1)
    yield from rows_of(9.4, 61.0, "measured", energy_source="powercap:package-0",
                       energy_scope="package", **cpu)
    yield from rows_of(7.1, 58.0, "measured", energy_source="powercap:package-0",
                       energy_scope="package", method="sparsity:2of4", method_class="sparsity",
                       **cpu)
    yield from rows_of(112.0, 287.0, "measured", energy_source="nvml:0", energy_scope="board",
                       **gpu)
    yield from rows_of(171.0, 301.0, "measured", energy_source="nvml:0", energy_scope="board",
                       method="spec:ngram,n=3", method_class="spec", **gpu)
    yield from rows_of(55.0, 45.0, "simulated", backend="fpga_sim", platform="fpga",
                       device="Example FPGA", execution="timing", time_class="simulated",
                       energy_source="ledger", energy_scope="model", repetitions=1, **big)
    yield from rows_of(240.0, 9.5, "simulated", backend="asic_sim", platform="asic",
                       device="Example ASIC", execution="timing", time_class="simulated",
                       energy_source="ledger", energy_scope="model", repetitions=1,
                       method="quant:w4a8", method_class="quant", **big)
    yield from rows_of(96.0, 14.0, "modelled", backend="pim_sim", platform="pim",
                       device="Example PIM", execution="timing", time_class="simulated",
                       energy_source="model", energy_scope="model", repetitions=1,
                       method="hetero:attention", method_class="hetero", **big)
    yield from rows_of(4.2, 95.0, "nameplate", energy_source="model:generic", energy_scope="model",
                       **dict(cpu, device="Other CPU (avx2)", host="laptop"))


def formats():
    """One measured CPU, three formats, all phases."""
    for name, speed in (("f16", 31.0), ("q8_0", 52.0), ("q4_0", 88.0)):
        yield from rows_of(speed, 61.0, "measured", energy_source="powercap:package-0",
                           energy_scope="package", phases=("prefill", "decode", "total"),
                           **dict(CPU, weight_format=name))


def no_power():
    yield from rows_of(88.0, None, "", **CPU)


def trace():
    """Two meters over idle, prefill and decode, window by window and meter by meter."""
    yield ("time_s", "domain", "quantity", "unit", "scope", "value", "in_total",
           "update_period_s", "average_s", "evidence", "meter", "run_id", "backend", "batch",
           "repetition", "phase")
    windows = (("idle", 0.0, 2.0, 18.0), ("prefill", 2.0, 3.1, 74.0), ("decode", 3.3, 6.2, 61.0),
               ("prefill", 6.4, 7.5, 73.0), ("decode", 7.7, 10.6, 60.5))
    for index, (phase, begin, end, watts) in enumerate(windows):
        times = [i * 0.1 for i in range(111) if begin <= i * 0.1 <= end]
        place = ("0011223344556677", "cpu", "1", str(index // 3), phase)
        for t in times:
            value = watts + 1.5 * math.sin(17.0 * t)
            yield ("%.6f" % t, "hwmon:socket", "power", "W", "package", "%.5g" % value, "1", "0.1",
                   "", "measured", "hwmon") + place
        for t in times:
            yield ("%.6f" % t, "powercap:dram", "energy", "J", "dram", "%.6g" % (5.0 * t), "0",
                   "0.001", "", "measured", "powercap") + place
        for t in times:
            yield ("%.6f" % t, "hwmon:die", "state", "C", "package", "55", "0", "1", "",
                   "measured", "hwmon") + place


def main():
    write("platforms.csv", platforms())
    write("formats.csv", formats())
    write("no_power.csv", no_power())
    with open(os.path.join(HERE, "trace.csv"), "w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(trace())
    return 0


if __name__ == "__main__":
    sys.exit(main())
