#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Published PIM results beside pim_sim's, row by row, as the CSV kept in backends/pim_sim/published.csv.

usage: score.py JOULEBENCH           write the table to stdout
       score.py JOULEBENCH --check   TAP: the kept table is what the program gives, scored rows are within their bars

CENT's decode rows are means over sequence lengths 640, 768, ... 4096 (prefill rows 128 ... 512, token by token); so are
these, every third of them. Pipeline rows hold one sequence a stage. Rows whose precision, context or number of devices
is not published are shown and not scored. No constant of a device file was chosen by these rows.
"""
import csv
import io
import os
import statistics
import subprocess
import sys

SOURCE = os.environ.get("JB_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KEPT = os.path.join(SOURCE, "backends", "pim_sim", "published.csv")
CENT = "Yufeng98/CENT cent_simulation/processed_results.csv"
DECODE = range(640, 4097, 384)
PREFILL = range(128, 513, 128)
SURVEY = "results/published/survey.csv"

# work, device, setting of pipeline stages, sequences, lengths, tokens/s, mJ/token, source
ROWS = [
    ("CENT TP 8 decode", "cent", 1, 1, DECODE, 598.4995371934425, 100.11482173914276, CENT),
    ("CENT PP 2 x TP 4 decode", "cent", 2, 2, DECODE, 1055.4839349060908, 86.01143952412488, CENT),
    ("CENT PP 4 x TP 2 decode", "cent", 4, 4, DECODE, 1723.206069633077, 77.51666441360676, CENT),
    ("CENT PP 8 decode", "cent", 8, 8, DECODE, 2493.220509006737, 76.45395699226674, CENT),
    ("CENT TP 8 prefill", "cent", 1, 1, PREFILL, 960.8080889203944, 95.28863357490064, CENT),
    ("CENT PP 2 x TP 4 prefill", "cent", 2, 2, PREFILL, 1622.0222463738078, 80.56432854537957, CENT),
    ("CENT PP 4 x TP 2 prefill", "cent", 4, 4, PREFILL, 2514.066045484409, 70.76543414272729, CENT),
    ("CENT PP 8 prefill", "cent", 8, 8, PREFILL, 3416.4914261320523, 67.06293671663036, CENT),
    ("SK hynix AiMX", "aimx", 1, 1, [256], 330.0, 76 / 330.0 * 1e3, SURVEY),
    ("IANUS", "aim", 1, 1, [256], 127.1, 240 / 127.1 * 1e3, SURVEY),
    ("PAISE (Samsung)", "hbm-pim-8", 1, 1, [256], 400.0, 300 / 400.0 * 1e3, SURVEY),
]
BARS = {"tokens_per_s": 0.15, "mj_per_token": 0.25}


def run(program, device, stages, batch, length):
    """tokens/s and mJ/token of one decode step that makes the KV cache `length` long."""
    command = [program, "run", "--backend", "pim_sim", "--device", device, "--model", "llama2-7b", "--format",
               "f16" if device.startswith("hbm") else "bf16", "--execute", "timing", "--batch", str(batch), "--prompt",
               "8", "--depth", str(length - 1), "--gen", "1", "--set", "stages=%d" % stages, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(" ".join(command) + ": " + done.stderr)
    row = [r for r in csv.DictReader(io.StringIO(done.stdout)) if r["phase"] == "decode"][0]
    return float(row["tokens_per_s"]), float(row["energy_j"]) / float(row["tokens"]) * 1e3


def table(program):
    lines = []
    for work, device, stages, batch, lengths, tokens, energy, source in ROWS:
        both = [run(program, device, stages, batch, n) for n in lengths]
        for quantity, published, values in (("tokens_per_s", tokens, [b[0] for b in both]),
                                            ("mj_per_token", energy, [b[1] for b in both])):
            simulated = statistics.mean(values)
            lines.append([work, device, "stages=%d" % stages, batch, quantity, "%.5g" % published, "%.5g" % simulated,
                          "%+.1f" % (100 * (simulated / published - 1)), "yes" if device == "cent" else "no", source])
    return lines


def text(lines):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow("work,device,setting,batch,quantity,published,simulated,error_percent,scored,source".split(","))
    writer.writerows(lines)
    return out.getvalue()


def check(program):
    lines = table(program)
    point = 0
    for quantity, bar in BARS.items():
        point += 1
        errors = [abs(float(r[7])) / 100 for r in lines if r[4] == quantity and r[8] == "yes"]
        median = statistics.median(errors)
        print("%s %d - %s: median error of %d rows %.1f %%, bar %.0f %%" %
              ("ok" if median <= bar else "not ok", point, quantity, len(errors), 100 * median, 100 * bar))
    with open(KEPT, encoding="utf-8") as kept:
        print("%s 3 - backends/pim_sim/published.csv is what the program gives" %
              ("ok" if kept.read() == text(lines) else "not ok"))
    print("1..3")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check(sys.argv[1])
    else:
        sys.stdout.write(text(table(sys.argv[1])))
