#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py NAME=FILE,FILE...: C text that holds the files' lines as jb_opencl_NAME (source.h),
without comments and empty lines."""
import re
import sys


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return [line.rstrip() for line in text.split("\n") if line.strip()]


def quoted(line):
    return '    "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n",'


print('#include "backends/opencl/source.h"\n')
for argument in sys.argv[1:]:
    name, files = argument.split("=")
    print(f"static const char *const {name}_lines[] = {{")
    for path in files.split(","):
        print("\n".join(quoted(line) for line in lines_of(path)))
    print("};")
    print(f"const struct jb_opencl_source jb_opencl_{name} = {{.lines = {name}_lines,")
    print(f"    .n_lines = sizeof {name}_lines / sizeof {name}_lines[0]}};\n")
