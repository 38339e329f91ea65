# SPDX-License-Identifier: MIT
"""Counts the cycles of matrix-vector products on simulated PIM devices by hand, and compares them
with `joulebench op`: total and every part, as integers.

Written from backends/pim_sim/FLOW.md and the sources it cites, without a look at pim_sim: commands
go out in the order of the text, each at the earliest cycle that its rules allow, nothing else. The
numbers come from `list devices --csv`, so that a change in a device file changes both sides."""
import csv
import fractions
import io
import math
import subprocess
import sys

NEVER = -(1 << 60)
TIME_UNITS = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12}
CLOCK_UNITS = {"Hz": 0, "kHz": 3, "MHz": 6, "GHz": 9}


def ceil_div(a, b):
    return -(-a // b)


class Device:
    """The values of one device file; timings in cycles of its command clock."""

    def __init__(self, rows):
        self.raw = {row["key"]: (row["value"], row["unit"]) for row in rows}
        self.cycles = {}
        value, unit = self.raw["command_clock"]
        self.clock_hz = fractions.Fraction(value) * fractions.Fraction(10) ** CLOCK_UNITS[unit]

    def put(self, key, value):
        self.raw[key] = (value, self.raw[key][1])

    def text(self, key):
        return self.raw[key][0]

    def __getitem__(self, key):
        if key not in self.cycles:
            self.cycles[key] = self.number(key)
        return self.cycles[key]

    def number(self, key):
        value, unit = self.raw[key]
        number = fractions.Fraction(value)
        if unit in TIME_UNITS and key.startswith("t_"):
            number *= fractions.Fraction(10) ** TIME_UNITS[unit] * self.clock_hz
        return math.ceil(number)


class Channel:
    """Issues commands in order and keeps the account of what each waited for."""

    def __init__(self, device, has_refresh):
        self.d = device
        self.has_refresh = has_refresh
        self.is_split = device.text("command_bus") == "split"
        self.next_due = device["t_refi"]
        self.now = 0
        self.n = 0
        self.last = {}        # command -> cycle it was last issued
        self.bus_free = {}    # bus -> first cycle it is free
        self.parts = {}
        self.before = None    # name of the command before
        self.activates = []   # of plain banks, for t_faw
        self.n_macs = 0

    def add(self, part, cycles):
        self.parts[part] = self.parts.get(part, 0) + cycles

    def charge(self, name, part, wait):
        d = self.d
        if self.before == "MODE":
            first = min(wait, d["t_mode"])
            self.add("mode", first)
            wait -= first
        elif self.before == "REFA":
            first = min(wait, d["t_rfc"])
            self.add("refresh", first)
            wait -= first
        if name.startswith("MAC"):
            first = min(wait, d["t_mac"])
            self.add("mac", first)
            self.add("row_switch", wait - first)
            self.n_macs += 1
        else:
            self.add(part, wait)

    def issue(self, key, part, rules, busy, bus):
        """key: a name, or (name, group, bank), noted under name, (name, group) and itself. rules:
        [(earlier key, gap)]; the newest of a kind is the one that binds."""
        name = key if isinstance(key, str) else key[0]
        bus = bus if self.is_split else "all"
        cycle = max([self.now, self.bus_free.get(bus, 0)] +
                    [self.last.get(earlier, NEVER) + gap for earlier, gap in rules])
        self.charge(name, part, cycle - self.now)
        self.now = cycle
        self.last[name] = self.last[key[:2]] = self.last[key] = cycle
        self.bus_free[bus] = cycle + self.d[busy]
        self.before = name

    def is_refresh_due(self):
        if self.has_refresh and self.now >= self.next_due:
            self.next_due += self.d["t_refi"]
            return True
        return False

    def end(self, tail):
        self.add("readout", tail)
        return self.now + tail


class GlobalBuffer(Channel):
    """flow: global_buffer."""

    def __init__(self, device, has_refresh):
        super().__init__(device, has_refresh)
        self.is_register_mode = False

    def go(self, name, part):
        d = self.d
        write = d["t_reg_write"] + d["t_bl"] if "t_reg_write" in d.raw else 0
        rules = [("MODE", d["t_mode"])]
        rules += {
            "MODE": [(c, d["t_ccd_l"]) for c in ("MACA", "RDMAC", "WRGB", "WRMAC")] + [("PREA", 1)],
            "ACTA": [("ACTA", d["t_rc"]), ("PREA", d["t_rp_all"]), ("REFA", d["t_rfc"])],
            "REFA": [("PREA", d["t_rp_all"]), ("REFA", d["t_rfc"])],
            "PREA": [("ACTA", d["t_ras"]), ("MACA", d["t_rtp"])],
            "MACA": [("ACTA", d["t_rcd_mac"]), ("MACA", d["t_mac"]), ("RDMAC", d["t_ccd_l"])],
            "RDMAC": [("MACA", d["t_ccd_l"]), ("RDMAC", d["t_ccd_l"]),
                      ("WRGB", write + d["t_wtr_s"]), ("WRMAC", write + d["t_wtr_l"])],
            "WRGB": [("WRGB", d["t_ccd_s_wr"]), ("WRMAC", d["t_ccd_l_wr"]), ("RDMAC", d["t_reg_rtw"])],
            "WRMAC": [("WRGB", d["t_ccd_s_wr"]), ("WRMAC", d["t_ccd_l_wr"]), ("RDMAC", d["t_reg_rtw"])],
        }[name]
        is_row = name in ("ACTA", "PREA", "REFA", "MODE")
        busy = "t_bus_act" if name == "ACTA" else "t_bus_row" if is_row else "t_bus_col"
        self.issue(name, part, rules, busy, "row" if is_row else "column")

    def mode(self, wanted):
        if self.is_register_mode != wanted:
            self.go("MODE", "mode")
            self.is_register_mode = wanted

    def period(self, words):
        if self.is_refresh_due():
            self.go("REFA", "refresh")
        self.go("ACTA", "row_switch")
        for _ in range(words):
            self.go("MACA", "mac")
        self.go("PREA", "row_switch")

    def vector(self, outputs, channels, words):
        d = self.d
        per_bank = ceil_div(outputs, d["bank_groups"] * d["banks"] * channels)
        n_groups = ceil_div(per_bank, d["accumulators"])
        size = ceil_div(per_bank, n_groups)
        for start in range(0, words, d["columns"]):
            segment = min(d["columns"], words - start)
            self.mode(True)
            for _ in range(segment):
                self.go("WRGB", "broadcast")
            left = per_bank
            while left > 0:
                group = min(size, left)
                left -= group
                self.mode(True)
                for _ in range(group):
                    self.go("WRMAC", "broadcast")
                self.mode(False)
                for _ in range(group):
                    self.period(segment)
                self.mode(True)
                for _ in range(group):
                    self.go("RDMAC", "readout")

    def finish(self):
        return self.end(self.d["t_reg_read"] + self.d["t_bl"])


class RegisterFile(Channel):
    """flow: register_file."""

    def __init__(self, device, has_refresh):
        super().__init__(device, has_refresh)
        self.n_banks = device["bank_groups"] * device["banks"]

    def closed(self):
        d = self.d
        return [("PREA", d["t_rp_all"]), ("PPRE_E", d["t_rp"]), ("PPRE_O", d["t_rp"]), ("REFA", d["t_rfc"])]

    def key(self, name, bank):
        return (name, bank // self.d["banks"], bank)

    def from_banks(self, name, same_group, other_group, bank):
        return [((name, self.key(name, bank)[1]), same_group), (name, other_group)]

    def act(self, bank, part):
        d = self.d
        rules = self.closed() + [("PACT_E", d["t_rrd_s"]), ("PACT_O", d["t_rrd_s"])]
        rules += self.from_banks("ACT", d["t_rrd_l"], d["t_rrd_s"], bank)
        rules.append((self.key("ACT", bank), d["t_rc"]))
        if len(self.activates) >= 4:
            self.last["fourth"] = self.activates[-4]
            rules.append(("fourth", d["t_faw"]))
        self.issue(self.key("ACT", bank), part, rules, "t_bus_act", "row")
        self.activates.append(self.now)

    def after_write(self):
        d = self.d
        return d["t_cwl"] + d["t_bl"]

    def rd(self, bank, part):
        d = self.d
        after = self.after_write()
        rules = [(self.key("ACT", bank), d["t_rcd_rd"])]
        rules += self.from_banks("RD", d["t_ccd_l"], d["t_ccd_s"], bank)
        rules += self.from_banks("WR", after + d["t_wtr_l"], after + d["t_wtr_s"], bank)
        rules += [(c, after + d["t_wtr_l"]) for c in ("REGW_E", "REGW_O", "GRFST")]
        self.issue(self.key("RD", bank), part, rules, "t_bus_col", "column")

    def wr(self, bank, part):
        d = self.d
        rules = [(self.key("ACT", bank), d["t_rcd_wr"])]
        rules += self.from_banks("WR", d["t_ccd_l_wr"], d["t_ccd_s_wr"], bank)
        rules.append(("RD", d["t_rtw"]))
        rules += [(c, d["t_ccd_l_wr"]) for c in ("REGW_E", "REGW_O", "GRFST")]
        rules += [(c, d["t_rtw"]) for c in ("MAC_E", "MAC_O")]
        self.issue(self.key("WR", bank), part, rules, "t_bus_col", "column")

    def prea(self, part):
        d = self.d
        rules = [("ACT", d["t_ras"]), ("RD", d["t_rtp"]), ("WR", self.after_write() + d["t_wr"])]
        self.issue("PREA", part, rules, "t_bus_row", "row")

    def refa(self):
        d = self.d
        rules = self.closed() + [("ACT", d["t_rc"])]
        self.issue("REFA", "refresh", rules, "t_bus_row", "row")

    def pact(self, side, part):
        d = self.d
        other = "O" if side == "E" else "E"
        rules = self.closed() + [(f"PACT_{side}", d["t_rc"]), (f"PACT_{other}", d["t_rrd_s"])]
        rules.append(("ACT", d["t_rrd_s"]))
        # The other side's precharge closes other banks.
        rules.remove((f"PPRE_{other}", d["t_rp"]))
        self.issue(f"PACT_{side}", part, rules, "t_bus_act", "row")

    def ppre(self, side, part):
        d = self.d
        after = self.after_write() + d["t_wr"]
        rules = [(f"PACT_{side}", d["t_ras"]), (f"MAC_{side}", d["t_rtp"]), (f"REGW_{side}", after)]
        if side == "O":
            rules.append(("GRFST", after))
        self.issue(f"PPRE_{side}", part, rules, "t_bus_row", "row")

    def mac(self, side):
        d = self.d
        after = self.after_write() + d["t_wtr_l"]
        rules = [(f"PACT_{side}", d["t_rcd_rd"]), ("MAC_E", d["t_mac"]), ("MAC_O", d["t_mac"])]
        rules += [(c, after) for c in ("REGW_E", "REGW_O", "GRFST", "WR")]
        self.issue(f"MAC_{side}", "mac", rules, "t_bus_col", "column")

    def write_register(self, name, part):
        d = self.d
        side = "E" if name == "REGW_E" else "O"
        rules = [(f"PACT_{side}", d["t_rcd_wr"])]
        rules += [(c, d["t_rtw"]) for c in ("MAC_E", "MAC_O")]
        rules += [(c, d["t_ccd_l_wr"]) for c in ("REGW_E", "REGW_O", "GRFST", "WR")]
        rules.append(("RD", d["t_rtw"]))
        self.issue(name, part, rules, "t_bus_col", "column")

    def switch(self, side, part):
        self.pact(side, part)
        self.write_register(f"REGW_{side}", part)
        self.ppre(side, part)

    def park(self):
        in_turn = [group * self.d["banks"] + bank for bank in range(self.d["banks"])
                   for group in range(self.d["bank_groups"])]
        for bank in in_turn:
            self.act(bank, "mode")
        for bank in in_turn:
            self.rd(bank, "mode")
        self.prea("mode")

    def enter(self):
        self.park()
        special = [0, 1, 2 * self.d["banks"], 2 * self.d["banks"] + 1]
        for bank in special:
            self.act(bank, "mode")
        for bank in special:
            self.wr(bank, "mode")
        self.prea("mode")
        self.switch("O", "mode")

    def leave(self):
        self.act(0, "mode")
        self.act(1, "mode")
        self.wr(0, "mode")
        self.wr(1, "mode")
        self.prea("mode")
        self.park()

    def period(self, side):
        d = self.d
        if self.is_refresh_due():
            self.refa()
        self.pact("O", "row_switch")
        for _ in range(d["grf"]):
            self.write_register("REGW_O", "broadcast")
        macs = d["grf"] * d["grf"]
        is_register_row_open = True
        if side == "O":
            self.ppre("O", "row_switch")
            is_register_row_open = False
        while macs > 0:
            used = min(macs, d["columns"])
            macs -= used
            self.pact(side, "row_switch")
            for _ in range(used):
                self.mac(side)
            self.ppre(side, "row_switch")
            if is_register_row_open:
                self.ppre("O", "row_switch")
                is_register_row_open = False

    def store(self):
        self.pact("O", "readout")
        for _ in range(self.d["grf"]):
            self.write_register("GRFST", "readout")
        self.ppre("O", "readout")

    def read_out(self, n_tiles):
        left = n_tiles * self.d["grf"]
        odd = range(1, self.n_banks, 2)
        while left > 0:
            used = min(left, self.d["columns"])
            left -= used
            for bank in odd:
                self.act(bank, "readout")
            for _ in range(used):
                for bank in odd:
                    self.rd(bank, "readout")
            self.prea("readout")

    def vector(self, outputs, channels, words):
        d = self.d
        out_tiles = ceil_div(outputs, channels * d["units"] * d["grf"])
        in_tiles = ceil_div(words, d["grf"])
        self.enter()
        for _ in range(out_tiles):
            self.switch("E", "mode")
            for _ in range(0, in_tiles, 2):
                self.period("E")
            for _ in range(1, in_tiles, 2):
                self.period("O")
            self.store()
            self.switch("E", "mode")
        self.leave()
        self.read_out(out_tiles)

    def finish(self):
        # The last read's data, though the rows are closed after it.
        return self.end(max(0, self.last["RD"] + self.d["t_cl"] + self.d["t_bl"] - self.now))


def count(device, outputs, inputs, vectors, groups, has_refresh):
    """-> (cycles, parts) with the inputs split over `groups` groups of channels."""
    flow = {"global_buffer": GlobalBuffer, "register_file": RegisterFile}[device.text("flow")]
    channels = device["channels"] * device["pseudo_channels"]
    words = ceil_div(ceil_div(inputs, device["lanes"]), groups)
    cycles, parts = 0, {}
    while vectors > 0:
        now = min(vectors, 8)
        vectors -= now
        channel = flow(device, has_refresh)
        for _ in range(now):
            channel.vector(outputs, channels // groups, words)
        cycles += channel.finish()
        for name, part in channel.parts.items():
            parts[name] = parts.get(name, 0) + part
    return cycles, parts


def splits(channels):
    return [f for f in range(1, channels + 1) if channels % f == 0 and (f & (f - 1) == 0 or f == channels)]


def best(device, outputs, inputs, vectors, mapping, has_refresh):
    channels = device["channels"] * device["pseudo_channels"]
    outputs = ceil_div(outputs, device["pools"])
    tried = {"n": [1], "k": [channels], "auto": splits(channels)}[mapping]
    return min((count(device, outputs, inputs, vectors, f, has_refresh) for f in tried), key=lambda r: r[0])


def devices_of(program):
    text = subprocess.run([program, "list", "devices", "--csv"], capture_output=True, text=True, check=True).stdout
    table = {}
    for row in csv.DictReader(io.StringIO(text)):
        if row["kind"] == "pim":
            table.setdefault(row["device"], []).append(row)
    return table


def asked(program, device, shape, settings):
    argv = [program, "op", "--backend", "pim_sim", "--device", device, "--op", "gemv", "--shape", shape,
            "--format", FORMATS[device]]
    for setting in settings:
        argv += ["--set", setting]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(argv)}: exit {run.returncode}: {run.stderr.strip()}"
    return next(csv.DictReader(io.StringIO(run.stdout)))


FORMATS = {"aim": "bf16", "aimx": "bf16", "cent": "bf16", "hbm-pim": "f16", "hbm-pim-8": "f16"}
SHAPES = ["256x256", "1024x256", "256x4096", "4096x4096", "100x1000", "11008x4096", "4096x11008", "8192x8192x2",
          "16384x16384"]
VARIANTS = [[], ["refresh=off"], ["mapping=n"], ["mapping=k"], ["t_mac=6"]]
FEW = ("256x4096", "4096x4096", "100x1000")
LARGE = ("8192x8192x2", "16384x16384")


def check(program, name, rows, shape, settings):
    device = Device(rows)
    options = dict(s.split("=") for s in settings)
    for key in [k for k in options if k in device.raw]:
        device.put(key, options[key])
    outputs, inputs, *vectors = [int(n) for n in shape.split("x")]
    cycles, parts = best(device, outputs, inputs, vectors[0] if vectors else 1, options.get("mapping", "auto"),
                         options.get("refresh", "on") == "on")
    row = asked(program, name, shape, settings)
    got = {"cycles": int(row["cycles"]), "mac": int(row["busy_cycles"])}
    want = {"cycles": cycles, "mac": parts.get("mac", 0)}
    for part in ("broadcast", "row_switch", "refresh", "mode", "readout"):
        got[part] = int(row.get(f"stall_{part}") or 0)
        want[part] = parts.get(part, 0)
    assert sum(parts.values()) == cycles, f"the hand count's parts {parts} are not {cycles}"
    return "" if got == want else f"{name} {shape} {' '.join(settings)}: counted {want}, simulated {got}"


def main():
    program = sys.argv[1]
    table = devices_of(program)
    cases = [(d, s, v) for d in FORMATS for s in SHAPES for v in VARIANTS
             if v == ["mapping=n"] or s in FEW or (v == [] and s not in LARGE)]
    print(f"1..{len(cases)}")
    n_failed = 0
    for number, (device, shape, settings) in enumerate(cases, 1):
        problem = check(program, device, table[device], shape, settings)
        n_failed += problem != ""
        print(f"{'not ok' if problem else 'ok'} {number} - {device} {shape} {' '.join(settings)}", flush=True)
        if problem:
            print(f"# {problem}")
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main()
