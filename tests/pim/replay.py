#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays pim_sim's command logs against the definitions of its timings, pair by pair, and plants a violation of each.

It shares no table with the program: rules are written here from backends/pim_sim/FLOW.md and the JEDEC names, timings
are read from `list devices --csv`. usage: replay.py JOULEBENCH
"""
import csv
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from tap import run as run_tests  # noqa: E402

JB = os.path.abspath(sys.argv[1])


def timings(device):
    done = subprocess.run([JB, "list", "devices", "--csv"], capture_output=True, text=True, check=True, timeout=60)
    rows = [r for r in csv.DictReader(done.stdout.splitlines()) if r["device"] == device]
    return {r["key"]: int(r["value"]) for r in rows if r["unit"] == "cycles"}


def buffer_rules(t):
    register = {"WRGB", "WRMAC", "RDMAC"}
    every = register | {"MACA", "ACTA", "PREA", "REFA", "MODE"}
    return [
        ({"MODE"}, every, t["t_mode"]),
        (register | {"MACA"}, {"MODE"}, t["t_ccd_l"]),
        ({"ACTA"}, {"MACA"}, t["t_rcd_mac"]), ({"ACTA"}, {"PREA"}, t["t_ras"]), ({"ACTA"}, {"ACTA"}, t["t_rc"]),
        ({"PREA"}, {"ACTA", "REFA"}, t["t_rp_all"]), ({"REFA"}, {"ACTA"}, t["t_rfc"]),
        ({"MACA"}, {"MACA"}, t["t_mac"]), ({"MACA"}, {"PREA"}, t["t_rtp"]), ({"MACA"}, {"RDMAC"}, t["t_ccd_l"]),
        ({"RDMAC"}, {"RDMAC", "MACA"}, t["t_ccd_l"]), ({"WRGB"}, {"WRGB", "WRMAC"}, t["t_ccd_s_wr"]),
        ({"WRMAC"}, {"WRGB", "WRMAC"}, t["t_ccd_l_wr"]), ({"RDMAC"}, {"WRGB", "WRMAC"}, t["t_reg_rtw"]),
        ({"WRGB"}, {"RDMAC"}, t["t_reg_write"] + t["t_bl"] + t["t_wtr_s"]),
        ({"WRMAC"}, {"RDMAC"}, t["t_reg_write"] + t["t_bl"] + t["t_wtr_l"]),
        (every, every, 1),
    ]


def file_rules(t):
    rules = []
    writes = {"REGW_E", "REGW_O", "GRFST"}
    macs = {"MAC_E", "MAC_O"}
    written = t["t_cwl"] + t["t_bl"]
    for x in "EO":
        own = {"REGW_" + x} | ({"GRFST"} if x == "O" else set())
        rules += [({"PACT_" + x}, {"MAC_" + x}, t["t_rcd_rd"]), ({"PACT_" + x}, own, t["t_rcd_wr"]),
                  ({"PACT_" + x}, {"PPRE_" + x, "PREA"}, t["t_ras"]), ({"PACT_" + x}, {"PACT_" + x, "ACT"}, t["t_rc"]),
                  ({"PPRE_" + x}, {"PACT_" + x, "ACT", "REFA"}, t["t_rp"]),
                  ({"MAC_" + x}, {"PPRE_" + x, "PREA"}, t["t_rtp"]),
                  (own, {"PPRE_" + x, "PREA"}, written + t["t_wr"])]
    rules += [({"PACT_E", "ACT"}, {"PACT_O"}, t["t_rrd_s"]), ({"PACT_O", "ACT"}, {"PACT_E"}, t["t_rrd_s"]),
              ({"PREA"}, {"PACT_E", "PACT_O", "ACT", "REFA"}, t["t_rp_all"]),
              ({"REFA"}, {"PACT_E", "PACT_O", "ACT"}, t["t_rfc"]), (macs, macs, t["t_mac"]),
              (macs | {"RD"}, writes | {"WR"}, t["t_rtw"]), (writes | {"WR"}, macs, written + t["t_wtr_l"]),
              (writes, {"RD"}, written + t["t_wtr_l"]), (writes | {"WR"}, writes | {"WR"}, t["t_ccd_s_wr"]),
              (writes, writes, t["t_ccd_l_wr"]), ({"ACT"}, {"ACT"}, t["t_rrd_s"]), ({"RD"}, {"RD"}, t["t_ccd_s"]),
              ({"RD"}, {"PREA"}, t["t_rtp"]), ({"WR"}, {"PREA"}, written + t["t_wr"]), ({"ACT"}, {"PREA"}, t["t_ras"])]
    return rules


def log_of(device, shape, *settings):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        args = [JB, "op", "--backend", "pim_sim", "--device", device, "--op", "gemv", "--shape", shape, "--format", "f16",
                "--trace-commands", path]
        for s in settings:
            args += ["--set", s]
        done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        with open(path, encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
    last = rows[-1]["timeline"]
    cycles = int(list(csv.DictReader(done.stdout.splitlines()))[0]["cycles"])
    return [(int(r["cycle"]), r["command"], r["group"], r["bank"], r["row"]) for r in rows if r["timeline"] == last], cycles


def broken_rule(log, rules):
    """First rule that the log breaks, or None. Of each command, the last time of every name counts."""
    seen = {}
    for cycle, name, *_ in log:
        for first, then, least in rules:
            if name in then:
                for other in first:
                    if other in seen and cycle - seen[other] < least:
                        return "%s to %s in %d, %d asked" % (other, name, cycle - seen[other], least)
        seen[name] = cycle
    return None


def broken_state(log):
    """Rows: a bank set is opened closed, used open, refreshed closed."""
    opened = {}
    for _, name, group, bank, _ in log:
        sets = {"E": ["E"], "O": ["O"]}.get(name[-1] if name[-2:-1] == "_" else "", ["A"])
        if name in ("ACT", "RD", "WR"):
            sets = [group + "." + bank]
        if name in ("ACTA", "PACT_E", "PACT_O", "ACT"):
            if any(opened.get(s) for s in sets):
                return name + " of open banks"
            opened.update({s: True for s in sets})
        elif name == "PREA":
            opened.clear()
        elif name in ("PPRE_E", "PPRE_O"):
            opened.update({s: False for s in sets})
        elif name == "REFA" and any(opened.values()):
            return "refresh of open banks"
        elif name in ("MACA", "MAC_E", "MAC_O", "REGW_E", "REGW_O", "RD", "WR") and not all(opened.get(s) for s in sets):
            return name + " of closed banks"
        elif name == "GRFST" and not opened.get("O"):
            return "GRFST of closed banks"
    return None


CASES = [("aim", buffer_rules, "600x2100", ()), ("aim", buffer_rules, "4096x4096", ("mapping=n", "channels=1")),
         ("hbm-pim", file_rules, "1000x3000", ("mapping=n",)), ("hbm-pim", file_rules, "4096x4096", ("channels=8",))]


def logs_break_no_rule():
    for device, rules, shape, settings in CASES:
        log, cycles = log_of(device, shape, *settings)
        assert len(log) > 100 and log[-1][0] <= cycles
        broken = broken_rule(log, rules(timings(device))) or broken_state(log)
        assert broken is None, (device, shape, broken)


def refresh_keeps_its_interval():
    for device, _, shape, settings in CASES:
        log, _ = log_of(device, shape, *settings)
        t = timings(device)
        n = sum(name == "REFA" for _, name, *_ in log)
        macs = [c for c, name, *_ in log if name.startswith("MAC")]
        due = macs[-1] // t["t_refi"]
        assert due - 1 <= n <= due, (device, shape, n, due)


def planted_violations_are_found():
    """Every rule: two commands a cycle too close are found, at the right distance they are not."""
    for device, rules in (("aim", buffer_rules), ("hbm-pim", file_rules)):
        table = rules(timings(device))
        for first, then, least in table:
            for a in sorted(first):
                b = sorted(then)[0]
                strictest = max(n for f, s, n in table if a in f and b in s)
                assert broken_rule([(0, a), (strictest - 1, b)], table) is not None, (a, b)
                assert broken_rule([(0, a), (strictest, b)], table) is None, (a, b)
    for log in ([(0, "ACTA"), (90, "ACTA")], [(0, "MACA")], [(0, "ACTA"), (99, "REFA")]):
        assert broken_state([(c, n, "", "", "") for c, n in log]) is not None, log


if __name__ == "__main__":
    run_tests([logs_break_no_rule, refresh_keeps_its_interval, planted_violations_are_found])
