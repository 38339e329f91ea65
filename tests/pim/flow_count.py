#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts backends/pim_sim/FLOW.md: its commands in its order, each as early as the rules of replay.py let, against the
program's cycles. Written beside pim_sim, so it holds the page and the program together; it is no independent count.

usage: flow_count.py JOULEBENCH
"""
import csv
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import replay  # noqa: E402

SHAPES = [(256, 256), (1000, 3000), (4096, 4096), (11008, 4096), (4096, 11008), (40000, 1100)]
ROW_BUS = {"ACT", "PREA", "REFA", "PACT_E", "PACT_O", "PPRE_E", "PPRE_O"}


def up(a, b):
    return -(-a // b)


class Channel:
    """The clock of one channel. Plain commands of a bank are kept apart, for the rules of bank and group."""

    def __init__(self, rules, t, has_split_bus, has_refresh):
        self.rules, self.t, self.has_split_bus = rules, t, has_split_bus
        self.now, self.seen, self.banks, self.activates = 0, {}, {}, []
        self.due = t["t_refi"] if has_refresh else float("inf")

    def bank_rules(self, name, bank):
        t = self.t
        for (other, b), cycle in self.banks.items():
            same_group = b // 4 == bank // 4
            if other == "ACT" and b == bank:
                yield cycle + {"RD": t["t_rcd_rd"], "WR": t["t_rcd_wr"], "ACT": t["t_rc"]}[name]
            if other == name and same_group:
                yield cycle + {"ACT": t["t_rrd_l"], "RD": t["t_ccd_l"], "WR": t["t_ccd_l_wr"]}[name]
        if name == "ACT" and len(self.activates) >= 4:
            yield self.activates[-4] + t["t_faw"]

    def go(self, name, n=1, bank=None):
        for _ in range(n):
            times = [self.now]
            times += [self.seen[o] + least for first, then, least in self.rules if name in then
                      for o in first if o in self.seen]
            times += [c + 1 for o, c in self.seen.items()
                      if not self.has_split_bus or (o in ROW_BUS) == (name in ROW_BUS)]
            if bank is not None:
                times += self.bank_rules(name, bank)
            elif name in ("PACT_E", "PACT_O"):
                times += [c + self.t["t_rc"] for (o, _), c in self.banks.items() if o == "ACT"]
            self.now = self.seen[name] = max(times)
            if bank is not None:
                self.banks[name, bank] = self.now
            if name == "ACT":
                self.activates.append(self.now)

    def refresh_if_due(self):
        if self.now >= self.due:
            self.go("REFA")
            self.due += self.t["t_refi"]


def global_buffer(n_outputs, n_inputs, has_refresh):
    t = replay.timings("aim")
    m = Channel(replay.buffer_rules(t), t, False, has_refresh)
    n_words, n_slots = up(n_inputs, 16), up(n_outputs, 16 * 32)
    group = up(n_slots, up(n_slots, 32))
    for s in range(up(n_words, 64)):
        n = min(64, n_words - 64 * s)
        if s == 0:
            m.go("MODE")
        m.go("WRGB", n)
        for done in range(0, n_slots, group):
            k = min(group, n_slots - done)
            m.go("WRMAC", k)
            m.go("MODE")
            for _ in range(k):
                m.refresh_if_due()
                m.go("ACTA")
                m.go("MACA", n)
                m.go("PREA")
            m.go("MODE")
            m.go("RDMAC", k)
    return m.now + t["t_reg_read"] + t["t_bl"]


class RegisterFile(Channel):
    def all_of(self, *names):
        for name in names:
            self.go(name)

    def park(self):
        turn = [4 * g + b for b in range(4) for g in range(4)]
        for name in ("ACT", "RD"):
            for bank in turn:
                self.go(name, bank=bank)
        self.go("PREA")

    def mode_writes(self, banks):
        for name in ("ACT", "WR"):
            for bank in banks:
                self.go(name, bank=bank)
        self.go("PREA")

    def tile(self, x):
        self.refresh_if_due()
        self.go("PACT_O")
        self.go("REGW_O", 8)
        if x == "O":
            self.go("PPRE_O")
        for row in range(2):
            self.go("PACT_" + x)
            self.go("MAC_" + x, 32)
            self.go("PPRE_" + x)
            if x == "E" and row == 0:
                self.go("PPRE_O")

    def read_out(self, n_columns):
        for done in range(0, n_columns, 32):
            for unit in range(8):
                self.go("ACT", bank=2 * unit + 1)
            for _ in range(min(32, n_columns - done)):
                for unit in range(8):
                    self.go("RD", bank=2 * unit + 1)
            last = self.now
            self.go("PREA")
        return last


def register_file(n_outputs, n_inputs, has_refresh):
    t = replay.timings("hbm-pim")
    m = RegisterFile(replay.file_rules(t), t, True, has_refresh)
    n_output_tiles, n_tiles = up(n_outputs, 64 * 64), up(up(n_inputs, 16), 8)
    m.park()
    m.mode_writes([0, 1, 8, 9])
    m.all_of("PACT_O", "REGW_O", "PPRE_O")
    for _ in range(n_output_tiles):
        m.all_of("PACT_E", "REGW_E", "PPRE_E")
        for _ in range(up(n_tiles, 2)):
            m.tile("E")
        for _ in range(n_tiles // 2):
            m.tile("O")
        m.go("PACT_O")
        m.go("GRFST", 8)
        m.all_of("PPRE_O", "PACT_E", "REGW_E", "PPRE_E")
    m.mode_writes([0, 1])
    m.park()
    return m.read_out(8 * n_output_tiles) + t["t_cl"] + t["t_bl"]


def program(device, n_outputs, n_inputs, has_refresh):
    done = subprocess.run([replay.JB, "op", "--backend", "pim_sim", "--device", device, "--op", "gemv", "--shape",
                           "%dx%d" % (n_outputs, n_inputs), "--format", "f16", "--set", "mapping=n", "--set",
                           "refresh=" + ("on" if has_refresh else "off")],
                          capture_output=True, text=True, check=True, timeout=120)
    return int(list(csv.DictReader(done.stdout.splitlines()))[0]["cycles"])


def compare(device, count):
    for n_outputs, n_inputs in SHAPES:
        for has_refresh in (False, True):
            asked, given = count(n_outputs, n_inputs, has_refresh), program(device, n_outputs, n_inputs, has_refresh)
            assert asked == given, (device, n_outputs, n_inputs, has_refresh, asked, given)


def global_buffer_takes_what_the_page_says():
    compare("aim", global_buffer)


def register_file_takes_what_the_page_says():
    compare("hbm-pim", register_file)


if __name__ == "__main__":
    replay.run_tests([global_buffer_takes_what_the_page_says, register_file_takes_what_the_page_says])
