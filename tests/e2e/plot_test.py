#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench plot on the fixtures: marks are counted, evidence classes look different, errors are
told. Speaks TAP. usage: plot_test.py JOULEBENCH"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

JOULEBENCH = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
DATA = os.path.join(SOURCE, "tests", "data", "results")
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
CASES = []


def case(function):
    CASES.append(function)
    return function


def plot(*arguments, **environment):
    return subprocess.run([JOULEBENCH, "plot", *arguments], capture_output=True, text=True,
                          env=dict(os.environ, **environment), check=False)


def fixture(name):
    return os.path.join(DATA, name)


def marks_of(path):
    """The groups of class mark: each one point with its words."""
    groups = [g for g in ElementTree.parse(path).iter(SVG + "g") if g.get("class") == "mark"]
    for group in groups:
        assert len(group.findall(SVG + "use")) == 1, "a mark is not one point"
        assert group.find(SVG + "title").text, "a mark has no words"
    return groups


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def n_groups(name, phases):
    """Configurations of a fixture, counted without joulebench."""
    keys = ("backend", "device", "weight_format", "method", "batch", "phase")
    return len({tuple(r[k] for k in keys) for r in rows_of(fixture(name)) if r["phase"] in phases})


def check_counts(folder, kind, name, n):
    for ending in ("svg", "pdf", "png"):
        figure = os.path.join(folder, "%s.%s" % (kind, ending))
        done = plot(kind, fixture(name), "-o", figure, "--keep-data")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "", "stdout is for data"
        assert os.path.getsize(figure) > 1000
        assert len(rows_of(figure + ".data.csv")) == n, "data rows"
        assert len(os.listdir(folder)) == 2, os.listdir(folder)
        if ending == "svg":
            assert len(marks_of(figure)) == n, "marks"
            assert ElementTree.parse(figure).getroot().find(SVG + "title").text == "joulebench " + kind
        else:
            with open(figure, "rb") as file:
                assert file.read(4) in (b"%PDF", b"\x89PNG")
        os.remove(figure)
        os.remove(figure + ".data.csv")


@case
def power_throughput_has_a_mark_a_row(folder):
    check_counts(folder, "power-throughput", "platforms.csv",
                 n_groups("platforms.csv", ("decode",)))


@case
def efficiency_has_a_mark_a_row(folder):
    check_counts(folder, "efficiency", "platforms.csv", n_groups("platforms.csv", ("decode",)))


@case
def phases_have_a_mark_a_row(folder):
    check_counts(folder, "phases", "formats.csv", n_groups("formats.csv", ("prefill", "decode")))


@case
def power_time_has_a_mark_a_sample(folder):
    rows = rows_of(fixture("trace.csv"))
    watts = [r for r in rows if r["unit"] == "W"]
    # Joules become the mean watts between two ticks.
    joules = {r["value"] for r in rows if r["unit"] == "J"}
    check_counts(folder, "power-time", "trace.csv", len(watts) + len(joules) - 1)


@case
def modelled_power_over_time_is_hollow(folder):
    trace, figure = os.path.join(folder, "t.csv"), os.path.join(folder, "a.svg")
    with open(fixture("trace.csv"), encoding="utf-8") as whole, open(
            trace, "w", encoding="utf-8") as part:
        part.write(whole.read().replace("measured,hwmon", "modelled,hwmon"))
    assert plot("power-time", trace, "-o", figure).returncode == 0
    symbols = {}
    for group in marks_of(figure):
        is_modelled = "(modelled)" in group.find(SVG + "title").text
        symbols.setdefault(is_modelled, set()).add(group.find(SVG + "use").get(LINK))
    assert set(symbols) == {True, False} and not symbols[True] & symbols[False], symbols


@case
def another_phase_can_be_asked_for(folder):
    figure = os.path.join(folder, "a.svg")
    assert plot("efficiency", fixture("formats.csv"), "--phase", "total", "-o",
                figure).returncode == 0
    assert len(marks_of(figure)) == n_groups("formats.csv", ("total",))
    assert plot("efficiency", fixture("formats.csv"), "--phase", "lunch", "-o",
                figure).returncode == 2


@case
def evidence_classes_look_different(folder):
    figure = os.path.join(folder, "a.svg")
    assert plot("power-throughput", fixture("platforms.csv"), "-o", figure,
                "--keep-data").returncode == 0
    looks = {}
    for row in rows_of(figure + ".data.csv"):
        evidence = row["words"].rsplit("(", 1)[1].rstrip(")")
        looks.setdefault(evidence, set()).add((row["shape"] == row["under"], row["inner"]))
    assert set(looks) == {"measured", "simulated", "modelled", "nameplate"}, looks
    assert all(len(look) == 1 for look in looks.values()), looks
    assert len(set.union(*looks.values())) == 4, looks
    # Only measured marks are filled, in the drawing too: the hollow ones are other symbols.
    symbols = {}
    for group in marks_of(figure):
        evidence = group.find(SVG + "title").text.rsplit("(", 1)[1].rstrip(")")
        symbols.setdefault(evidence == "measured", set()).add(group.find(SVG + "use").get(LINK))
    assert not symbols[True] & symbols[False], symbols


@case
def the_legend_names_backends(folder):
    table, figure = os.path.join(folder, "t.csv"), os.path.join(folder, "a.svg")
    with open(fixture("platforms.csv"), encoding="utf-8") as whole, open(table, "w", encoding="utf-8") as part:
        lines = whole.read().splitlines(keepends=True)
        # one more backend of a platform that is there already
        part.writelines(lines + [line.replace(",cpu,cpu,", ",refops,cpu,") for line in lines if ",cpu,cpu," in line])
    assert plot("power-throughput", table, "-o", figure).returncode == 0
    words = {text.text for text in ElementTree.parse(figure).iter(SVG + "tspan")} | {
        text.text for text in ElementTree.parse(figure).iter(SVG + "text")}
    for entry in ("CPU: cpu", "CPU: refops", "GPU: cuda", "FPGA: fpga_sim", "ASIC: asic_sim", "PIM: pim_sim"):
        assert any(word and entry in word for word in words), (entry, words)
    colours, evidence = {}, set()
    for group in marks_of(figure):
        backend = group.find(SVG + "title").text.split(",")[0]
        colours.setdefault(backend, set()).add(group.find(SVG + "use").get("color").replace(" ", ""))
        evidence.add(group.get("data-evidence"))
    assert all(len(one) == 1 for one in colours.values()), colours
    assert len(set.union(*colours.values())) == len(colours) == 6, colours
    assert evidence == {"measured", "simulated", "modelled", "nameplate"}, evidence


@case
def same_input_gives_same_bytes(folder):
    for ending in ("svg", "pdf", "png"):
        texts = []
        for name in ("one", "two"):
            figure = os.path.join(folder, name + "." + ending)
            assert plot("efficiency", fixture("platforms.csv"), "-o", figure).returncode == 0
            with open(figure, "rb") as file:
                texts.append(file.read())
        assert texts[0] == texts[1], ending


@case
def no_power_is_an_error_with_advice(folder):
    for kind in ("power-throughput", "efficiency"):
        done = plot(kind, fixture("no_power.csv"), "-o", os.path.join(folder, "a.svg"))
        assert done.returncode == 2, done.returncode
        assert "--meter model" in done.stderr and "doctor" in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert os.listdir(folder) == [], os.listdir(folder)
    done = plot("phases", fixture("no_power.csv"), "-o", os.path.join(folder, "a.svg"))
    assert done.returncode == 0, done.stderr


@case
def rows_without_power_are_left_out_and_told(folder):
    figure = os.path.join(folder, "a.svg")
    done = plot("efficiency", fixture("platforms.csv"), fixture("no_power.csv"), "-o", figure)
    assert done.returncode == 0 and "2 configurations are not drawn" in done.stderr, done.stderr
    assert len(marks_of(figure)) == n_groups("platforms.csv", ("decode",))


@case
def an_older_figure_outlives_a_failure(folder):
    figure = os.path.join(folder, "a.svg")
    with open(figure, "w", encoding="utf-8") as file:
        file.write("kept")
    plots = os.path.join(folder, "plots")
    shutil.copytree(os.path.join(SOURCE, "plots"), plots)
    with open(os.path.join(plots, "phases.gp"), "w", encoding="utf-8") as file:
        file.write("this is no gnuplot\n")
    done = plot("phases", fixture("formats.csv"), "-o", figure, JB_PLOTS=plots)
    assert done.returncode == 1 and "gnuplot could not draw" in done.stderr, done.stderr
    with open(figure, encoding="utf-8") as file:
        assert file.read() == "kept"
    assert sorted(os.listdir(folder)) == ["a.svg", "plots"], os.listdir(folder)


@case
def a_missing_gnuplot_is_one_clear_line(folder):
    done = plot("phases", fixture("formats.csv"), "-o", os.path.join(folder, "a.svg"), PATH=folder)
    assert done.returncode == 2 and "gnuplot" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@case
def without_a_converter_gnuplot_makes_the_pdf(folder):
    programs = os.path.join(folder, "bin")
    os.mkdir(programs)
    os.symlink(shutil.which("gnuplot"), os.path.join(programs, "gnuplot"))
    figure = os.path.join(folder, "a.pdf")
    done = plot("phases", fixture("formats.csv"), "-o", figure, PATH=programs)
    assert done.returncode == 0, done.stderr
    with open(figure, "rb") as file:
        assert file.read(4) == b"%PDF"


@case
def paths_with_quotes_and_spaces_work(folder):
    figure = os.path.join(folder, "it's a \"figure\", 100% $HOME.svg")
    done = plot("phases", fixture("formats.csv"), "-o", figure)
    assert done.returncode == 0, done.stderr
    assert len(marks_of(figure)) > 0


@case
def bad_input_is_refused(folder):
    figure = os.path.join(folder, "a.svg")
    broken = os.path.join(folder, "broken.csv")
    with open(broken, "w", encoding="utf-8") as file:
        file.write("time_s,meter,domain,unit,value\n0,a,b,W,nan\n")
    for arguments, says in (
            (("pie", fixture("formats.csv"), "-o", figure), "unknown kind"),
            (("phases", fixture("formats.csv")), "-o FIGURE"),
            (("phases", "-o", figure), "at least one"),
            (("phases", fixture("formats.csv"), "-o", folder + "/a.gif"), ".svg, .pdf or .png"),
            (("phases", "/no/such.csv", "-o", figure), "/no/such.csv"),
            (("phases", fixture("trace.csv"), "-o", figure), "trace.csv:1"),
            (("power-time", fixture("formats.csv"), "-o", figure), "--trace"),
            (("power-time", broken, "-o", figure), "broken.csv:2"),
            ((), "name a kind")):
        done = plot(*arguments)
        assert done.returncode == 2, (arguments, done.returncode, done.stderr)
        assert says in done.stderr and done.stderr.count("\n") == 1, done.stderr


BREAKDOWN = "schema,run_id,backend,device,model,weight_format,batch,phase,repetition,op,resource,what,name,value,unit\n"


def breakdown(folder):
    path = os.path.join(folder, "parts.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write(BREAKDOWN)
        for phase, repetition in (("prefill", 0), ("decode", 0), ("decode", 1), ("total", 0)):
            for rest in ("matmul,unit,time,busy,3,s", "add,host,time,busy,1,s", "rope,host,time,busy,0,s",
                         "matmul,unit,work,macs,6e9,1", "matmul,unit,work,bytes,3e9,B", "add,host,work,macs,0,1",
                         "matmul,unit,energy,logic,2,J", "matmul,unit,energy,memory,5,J",
                         "matmul,,cycles,mac,70,1", "matmul,,cycles,refresh,30,1",
                         ",,total,time,4,s", ",,total,energy,7,J"):
                file.write("s,id,sim,dev,tiny,f16,1,%s,%d,%s\n" % (phase, repetition, rest))
    return path


@case
def a_breakdown_has_a_mark_a_part(folder):
    path = breakdown(folder)
    for ending in ("svg", "pdf", "png"):
        figure = os.path.join(folder, "a." + ending)
        done = plot("breakdown", path, "-o", figure, "--keep-data")
        assert done.returncode == 0 and done.stderr == "", done.stderr
        rows = rows_of(figure + ".data.csv")
        assert len(rows) == 2 * (2 + 2 + 2), rows  # prefill and decode; two ops, two causes, two lines
        for row in ("1", "2"):
            widths = [float(r["x_high"]) - float(r["x_low"]) for r in rows if r["y"] == row]
            assert abs(sum(widths) - 3) < 1e-9
            assert sorted(round(w, 6) for w in widths)[:2] == [0.25, round(2 / 7, 6)]
    words = [g.find(SVG + "title").text for g in marks_of(os.path.join(folder, "a.svg"))]
    assert len(words) == 12 and any("matmul: 75.0 %" in w for w in words), words
    assert any("4 s" in r["label"] and "7 J" in r["label"] for r in rows), rows[0]["label"]


@case
def a_roofline_has_a_mark_an_operation(folder):
    roof, ops = os.path.join(folder, "roof.csv"), os.path.join(folder, "ops.csv")
    with open(roof, "w", encoding="utf-8") as file:
        file.write("device,threads,kind,number,rate_high\nhost,1,read,,1e10\nhost,2,read,,2e10\nhost,2,copy,,1e10\n"
                   "host,2,macs,f32,1e11\n")
    with open(ops, "w", encoding="utf-8") as file:
        file.write("op,device,shape,format,time_s,bytes,macs,time_class\ngemv,host,4x4,f16,1e-3,2e6,1e6,measured\n"
                   "gemm,host,4x4x4,f16,1e-3,1e6,5e7,measured\nstream,host,9 sequential,,1e-3,1e6,0,measured\n")
    figure = os.path.join(folder, "a.svg")
    done = plot("roofline", ops, roof, breakdown(folder), "-o", figure, "--keep-data")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(marks_of(figure)) == 4  # gemv, gemm, matmul of prefill and of decode
    points = {(float(r["x"]), float(r["y"])) for r in rows_of(figure + ".data.csv")}
    assert points == {(0.5, 1.0), (50.0, 50.0), (2.0, 2.0)}, points
    with open(figure, encoding="utf-8") as file:
        text = file.read()
    assert "20 GB/s" in text and "f32 100 GMAC/s" in text and "10 GB/s" not in text


@case
def tables_of_another_kind_are_refused(folder):
    path = breakdown(folder)
    with open(os.path.join(folder, "bad.csv"), "w", encoding="utf-8") as file:
        file.write(BREAKDOWN + "s,id,sim,dev,tiny,f16,1,decode,0,matmul,unit,time,busy,soon,s\n")
    for kind, table, says in (("breakdown", fixture("platforms.csv"), "no column op"),
                              ("roofline", fixture("platforms.csv"), "no table of"),
                              ("breakdown", os.path.join(folder, "bad.csv"), ":2: column value: 'soon'"),
                              ("roofline", os.path.join(folder, "bad.csv"), ":2: column value: 'soon'")):
        done = plot(kind, table, "-o", os.path.join(folder, "a.svg"))
        assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
    for kind in ("breakdown", "roofline"):
        done = plot(kind, "-o", os.path.join(folder, "a.svg"))
        assert done.returncode == 2 and "at least one file" in done.stderr, done.stderr
    assert os.path.exists(path) and not os.path.exists(os.path.join(folder, "a.svg"))


def main():
    if shutil.which("gnuplot") is None:
        print("1..0 # SKIP gnuplot is not installed")
        return 0
    print("1..%d" % len(CASES))
    n_failed = 0
    for number, function in enumerate(CASES, 1):
        name = function.__name__.replace("_", " ")
        try:
            with tempfile.TemporaryDirectory() as folder:
                function(folder)
            print("ok %d - %s" % (number, name))
        except Exception as error:  # pylint: disable=broad-except
            n_failed += 1
            print("not ok %d - %s" % (number, name))
            print("# " + repr(error).replace("\\n", "\n# "))
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
