#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up TAP files and prints the closing line; turns a meson test log into TAP.

tally.py FILE.tap...            lists failures and skips, ends with "N passed, N failed[, N skipped]",
                                exits 1 if anything failed or nothing ran; a test that skips for want of
                                shared data has failed where ../shared is there
tally.py --from-meson LOG.json  prints the TAP of all tests in a meson log; a test that died or broke
                                off counts as failed
"""
import json
import os
import re
import sys

LINE = re.compile(r"^(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*([^#\n]*)(?:#[ \t]*(SKIP|TODO)\b[ \t]*(.*))?", re.I)
PLAN = re.compile(r"^1\.\.(\d+)(?:[ \t]*#[ \t]*SKIP\b[ \t]*(.*))?", re.I)


SKIPS = re.compile(r"^# skip: (.+)")
SHARED = os.environ.get("JB_SHARED") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared")


def points(text):
    """(passed, name, skip reason or None) of each test point; a planned skip is one point."""
    because = None
    for line in text.splitlines():
        found = SKIPS.match(line)
        if found:
            because = found[1].strip()
            continue
        found = LINE.match(line)
        if found:
            name, reason = found[2].strip(), found[4] or "no reason given"
            if because is not None:  # of a cmocka program, which puts the name where the reason belongs
                name, reason, because = name or reason, because, None
            is_skip = (found[3] or "").upper() == "SKIP"
            yield found[1] is None, name, reason if is_skip else None
            continue
        found = PLAN.match(line)
        if found and found[1] == "0":
            yield True, "all", found[2] or "no reason given"


def planned(text):
    counts = [int(m[1]) for m in map(PLAN.match, text.splitlines()) if m]
    return sum(counts) if counts else None


def from_meson(path):
    try:
        log = open(path, encoding="utf-8", errors="replace")
    except OSError as error:
        print(f"not ok - no test log: {error}")
        return
    with log:
        for line in log:
            test = json.loads(line)
            name = test["name"].split(" / ")[-1]
            output = test.get("stdout", "")
            seen = list(points(output))
            for passed, what, skip in seen:
                mark = "ok" if passed else "not ok"
                print(f"{mark} - {name}: {what}" + (f" # SKIP {skip}" if skip is not None else ""))
            failed_points = sum(not passed for passed, _, _ in seen)
            plan = planned(output)
            if test["result"] == "SKIP" and not seen:
                print(f"ok - {name} # SKIP no reason given")
            elif test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and not failed_points:
                print(f"not ok - {name}: {test['result'].lower()}, exit code {test.get('returncode')}")
            elif not seen or (plan is not None and plan > len(seen)):
                print(f"not ok - {name}: broke off after {len(seen)} of {plan} test points")


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--from-meson":
        from_meson(arguments[1])
        return 0
    passed = failed = 0
    skips = {}
    for path in arguments:
        label = path.rsplit("/", 1)[-1].removesuffix(".tap")
        with open(path, encoding="utf-8", errors="replace") as tap:
            for is_ok, name, skip in points(tap.read()):
                if skip is not None and "shared" in skip and os.path.isdir(SHARED):
                    failed += 1
                    print(f"FAILED {label}: {name}: skipped though {os.path.normpath(SHARED)} is there: {skip}")
                elif skip is not None:
                    skips.setdefault((name, skip), []).append(label)
                elif is_ok:
                    passed += 1
                else:
                    failed += 1
                    print(f"FAILED {label}: {name}")
    n_skipped = sum(len(labels) for labels in skips.values())
    for (name, reason), labels in sorted(skips.items()):
        print(f"skipped {name} ({', '.join(labels)}): {reason}")
    print(f"{passed} passed, {failed} failed" + (f", {n_skipped} skipped" if n_skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
