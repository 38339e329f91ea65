#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""joulebench report: one page that needs nothing beside it, works in a real browser, sorts; LaTeX that compiles;
equal bytes; where each number is from. usage: report_test.py JOULEBENCH"""
import csv
import html.parser
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # pylint: disable=wrong-import-position

JOULEBENCH = os.path.abspath(sys.argv[1])
SOURCE = os.environ.get("JB_SOURCE", ".")
DATA = os.path.join(SOURCE, "tests", "data")
OWN = os.path.join(DATA, "results", "platforms.csv")
TRACE = os.path.join(DATA, "results", "trace.csv")
CHROMIUM = next((c for c in ("chromium", "chromium-browser", "google-chrome") if shutil.which(c)), None)
FOLDER = tempfile.TemporaryDirectory()
SURVEYED = os.path.join(FOLDER.name, "surveyed")


def joulebench(*arguments):
    return subprocess.run([JOULEBENCH, *arguments], capture_output=True, text=True, check=False)


def surveyed():
    """A folder as survey, run --trace and import leave it; made once."""
    if not os.path.exists(SURVEYED):
        assert joulebench("survey", "--own", OWN, "--format", "svg,pdf", "-o", SURVEYED).returncode == 0
        shutil.copy(OWN, os.path.join(SURVEYED, "runs.csv"))
        shutil.copy(TRACE, os.path.join(SURVEYED, "watts.csv"))
        done = joulebench("import", os.path.join(DATA, "import", "llm-inference-bench.csv"), "-o",
                          os.path.join(SURVEYED, "theirs.csv"))
        assert done.returncode == 0, done.stderr
        done = joulebench("report", SURVEYED)
        assert done.returncode == 0 and done.stdout == "", done.stderr
    return SURVEYED


def page(folder=None):
    with open(os.path.join(folder or surveyed(), "report", "index.html"), encoding="utf-8") as file:
        return file.read()


class Reader(html.parser.HTMLParser):
    """Counts tags, gathers attributes that name something, and the cells of each table."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.ids, self.links, self.tags = [], [], [], {}
        self.tables, self.cell = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.ids += [attrs["id"]] if "id" in attrs else []
        for name in ("src", "srcset", "data", "poster", "action"):
            self.loads += [attrs[name]] if name in attrs else []
        if tag == "link":
            self.loads.append(attrs["href"])
        if tag in ("a", "use") or "xlink:href" in attrs:
            self.links.append(attrs.get("href", attrs.get("xlink:href")))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = [attrs.get("data-v"), ""]

    def handle_data(self, data):
        if self.cell is not None:
            self.cell[1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][-1].append(self.cell[0] if self.cell[0] is not None else self.cell[1])
            self.cell = None


def the_page_needs_nothing_beside_it():
    text = page()
    reader = Reader(text)
    assert reader.loads == ["data:,"], reader.loads
    assert not re.search(r"@import|url\((?!#)|<script [^>]*src|<iframe|<object|<embed", text)
    assert len(reader.ids) == len(set(reader.ids)), "drawings share names"
    inner = [link[1:] for link in reader.links if link and link.startswith("#")]
    assert inner and set(inner) <= set(reader.ids)
    assert not [link for link in reader.links if link and not re.match("#|https?://", link)]
    assert not re.search(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d", re.sub(r"<td.*?</td>", "", text)), "a time of generation"


def every_figure_and_row_is_there():
    reader = Reader(page())
    marks = page().count('class="mark"')
    drawn = sum(1 for name in os.listdir(surveyed()) if name.endswith(".svg"))
    assert reader.tags["svg"] == drawn + 3 and marks > 186 + 194, (reader.tags["svg"], drawn, marks)
    sheets = {tuple(t[0]): t for t in reader.tables}
    with open(os.path.join(surveyed(), "batch1.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = next(t for t in reader.tables if len(t) == 187 and "power_kind" in t[0])
    at = {title: table[0].index(title) for title in ("line", "work", "power_w", "tokens_per_s", "evidence")}
    for number, (row, cells) in enumerate(zip(rows, table[1:])):
        assert int(cells[at["line"]]) == number + 2 and cells[at["work"]] == row["work"]
        assert float(cells[at["power_w"]]) == float(row["power_w"])
        assert cells[at["evidence"]] == "literature"
    assert len(sheets) > 6 and "samples of meters, not shown" in page()


def each_configuration_says_where_it_stands():
    table = next(t for t in Reader(page()).tables if t[0][0] == "backend")
    with open(OWN, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    at = {title: table[0].index(title) for title in ("backend", "device", "phase", "batch", "repetitions", "rows",
                                                     "time is", "energy is")}
    n_lines = 0
    for cells in table[1:]:
        lines = []
        for place in cells[at["rows"]].split(" "):
            name, numbers = place.split(":")
            for part in numbers.split(","):
                first, _, last = part.partition("-")
                lines += [(name, n) for n in range(int(first), int(last or first) + 1)]
        assert len(lines) == int(cells[at["repetitions"]]), cells
        for name, line in lines:
            if name != "runs.csv":
                continue
            row = rows[line - 2]
            n_lines += 1
            assert [cells[at[k]] for k in ("backend", "device", "phase", "batch")] == [
                row[k] for k in ("backend", "device", "phase", "batch")]
            assert cells[at["time is"]] == row["time_class"]
    assert n_lines == len(rows)
    assert [c for c in table[1:] if c[at["rows"]].startswith("theirs.csv:") and c[at["time is"]] == "literature"]


def two_reports_have_equal_bytes():
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "copy")
        shutil.copytree(surveyed(), copy, ignore=shutil.ignore_patterns("report"))
        assert joulebench("report", copy).returncode == 0
        names = sorted(os.listdir(os.path.join(copy, "report")))
        assert names == sorted(os.listdir(os.path.join(surveyed(), "report")))
        assert {"index.html", "report.tex", "batch1.pdf", "rows-power-throughput.pdf"} <= set(names)
        for name in names:
            with open(os.path.join(copy, "report", name), "rb") as one, \
                    open(os.path.join(surveyed(), "report", name), "rb") as two:
                assert one.read() == two.read(), name
        assert joulebench("report", copy).returncode == 0, "again over an older one"


def figures_suit_a_column():
    if shutil.which("rsvg-convert") is None:
        tap.skip("rsvg-convert is not installed")
    for name in ("batch1", "batch1-own", "batch8", "rows-power-throughput"):
        with open(os.path.join(surveyed(), "report", name + ".pdf"), "rb") as file:
            box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) ", file.read())
        assert abs(float(box[1]) / 72 - 3.3) < 0.02, box[1]
    svg = ElementTree.parse(os.path.join(surveyed(), "report", "batch1.svg"))
    assert len([g for g in svg.iter() if g.get("class") == "mark"]) == 186


def latex_compiles():
    if shutil.which("pdflatex") is None:
        tap.skip("pdflatex is not installed")
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "report")
        shutil.copytree(os.path.join(surveyed(), "report"), copy)
        texts = []
        for _ in range(2):
            done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"], cwd=copy,
                                  capture_output=True, check=False, env=dict(os.environ, SOURCE_DATE_EPOCH="0"))
            assert done.returncode == 0, done.stdout[-2000:]
            with open(os.path.join(copy, "report.pdf"), "rb") as file:
                texts.append(file.read())
        wide = [float(w) for w in re.findall(rb"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
        assert not [w for w in wide if w > 5], "a table is wider than the page: %s" % wide
        assert b"\\toprule" not in texts[0] and texts[0] == texts[1]
        with open(os.path.join(copy, "report.tex"), encoding="utf-8") as file:
            tex = file.read()
        labels = re.findall(r"\\label\{([^}]*)\}", tex)
        assert len(labels) == len(set(labels)) and "tab:rows-1" in labels and "tab:ranges" in labels


# ---- a real browser ----

PROBE = """<script>
const say = {};
const table = [...document.querySelectorAll('table')].find((t) => t.textContent.includes('power_kind'));
const titles = [...table.tHead.rows[0].cells];
const power = titles.find((t) => t.textContent === 'power_w'), work = titles.find((t) => t.textContent === 'work');
const column = (t) => [...table.tBodies[0].rows].map((r) => value(r, t.cellIndex));
say.before = column(power).length;
power.click();
say.up = column(power);
power.click();
say.down = column(power);
say.sort = power.getAttribute('aria-sort');
work.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));
say.work = column(work);
say.cleared = power.getAttribute('aria-sort');
say.figures = [...document.querySelectorAll('figure svg')].map((s) => {
  const box = s.getBoundingClientRect(), marks = [...s.querySelectorAll('.mark use')];
  const seen = marks.filter((m) => m.getBoundingClientRect().width > 0.5);
  return [box.width, box.height, marks.length, seen.length];
});
document.documentElement.setAttribute('data-say', JSON.stringify(say));
</script>"""


def browse(path, *arguments):
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + home,
                               "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
                               "--virtual-time-budget=5000", *arguments, "file://" + path],
                              capture_output=True, text=True, check=False, timeout=100)


def a_browser_shows_and_sorts_it():
    if CHROMIUM is None:
        tap.skip("chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(page().replace("</body>", PROBE + "</body>"))
        done = browse(path, "--dump-dom")
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        assert done.returncode == 0 and console == [], console or done.stderr
        said = re.search(r'data-say="([^"]*)"', done.stdout)
        assert said, done.stdout[:500]
        import html
        import json
        say = json.loads(html.unescape(said[1]))
        up, down = [float(v) for v in say["up"]], [float(v) for v in say["down"]]
        assert len(up) == say["before"] >= 186
        assert up == sorted(up) and down == sorted(down, reverse=True) and up[0] < up[-1]
        assert say["sort"] == "descending" and say["cleared"] is None
        assert say["work"] == sorted(say["work"], key=lambda w: w.encode("utf-16-be")), "text by text"
        assert len(say["figures"]) >= 12
        for width, height, marks, seen in say["figures"]:
            assert width > 300 and height > 100 and seen == marks > 0, (width, height, marks, seen)


def pixels(path):
    """Rows of RGB bytes of an 8-bit PNG."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and colours in (2, 6)
        packed += body if kind == b"IDAT" else b""
        at += size + 12
    step = 3 if colours == 2 else 4
    raw, before, rows = zlib.decompress(packed), bytearray(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + width * step])
        for i in range(width * step if kind else 0):
            left = line[i - step] if i >= step else 0
            up, corner = before[i], before[i - step] if i >= step else 0
            if kind == 4:
                guess = left + up - corner
                line[i] = (line[i] + min((abs(guess - left), 0, left), (abs(guess - up), 1, up),
                                         (abs(guess - corner), 2, corner))[2]) & 255
            else:
                line[i] = (line[i] + (left, up, (left + up) // 2)[kind - 1]) & 255
        rows.append(line)
        before = line
    return [[tuple(row[x:x + 3]) for x in range(0, width * step, step)] for row in rows]


def a_screenshot_has_the_colours_of_all_platforms():
    if CHROMIUM is None:
        tap.skip("chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        shot = os.path.join(folder, "shot.png")
        path = os.path.join(surveyed(), "report", "index.html")
        done = browse(path, "--screenshot=" + shot, "--window-size=900,900", "--hide-scrollbars")
        assert done.returncode == 0 and os.path.exists(shot), done.stderr
        seen = {colour for row in pixels(shot) for colour in row}
        for colour in ((0x70, 0xAD, 0x47), (0x44, 0x72, 0xC4), (0xFF, 0xC0, 0x00), (0xC0, 0x00, 0x00),
                       (0x70, 0x30, 0xA0)):
            assert colour in seen, colour


def text_of_others_stays_text():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "evil.csv"), "w", encoding="utf-8") as file:
            file.write('name,link,n\n"<script>alert(1)</script>","https://x.org/""><b>",3\n'
                       '"a & b ""q""",https://x.org/a?b=1&c=2,10\n')
        done = joulebench("report", folder)
        assert done.returncode == 0, done.stderr
        text = page(folder)
        assert "<script>alert" not in text and "<b>" not in text and "&lt;script&gt;alert(1)" in text
        table = next(t for t in Reader(text).tables if "name" in t[0])
        assert table[1][1] == "<script>alert(1)</script>" and table[2][1] == 'a & b "q"'


def bad_input_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        empty = os.path.join(folder, "empty")
        os.mkdir(empty)
        broken = os.path.join(folder, "broken")
        os.mkdir(broken)
        with open(os.path.join(broken, "a.csv"), "w", encoding="utf-8") as file:
            file.write("a,b\n1\n")
        for arguments, says in (((), "one folder"), (("/no/such",), "/no/such"), ((empty,), "no .csv"),
                                ((broken,), "a.csv:2"), (("--what", empty), "--what"), ((empty, broken), "one folder")):
            done = joulebench("report", *arguments)
            assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1, (
                arguments, done.stderr)
        assert not os.path.exists(os.path.join(empty, "report"))


if shutil.which("gnuplot") is None:
    print("1..0 # SKIP gnuplot is not installed")
    sys.exit(0)
tap.run([the_page_needs_nothing_beside_it, every_figure_and_row_is_there, each_configuration_says_where_it_stands,
         two_reports_have_equal_bytes, figures_suit_a_column, latex_compiles, a_browser_shows_and_sorts_it,
         a_screenshot_has_the_colours_of_all_platforms, text_of_others_stays_text, bad_input_is_refused])
