# SPDX-License-Identifier: MIT
"""TAP from Python: each function given to run() is one test; a failed assert fails it, skip() skips."""
import sys
import traceback


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def run(tests):
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name = f"{number} - {test.__name__}"
        try:
            test()
            print(f"ok {name}", flush=True)
        except Skip as why:
            print(f"ok {name} # SKIP {why}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(failed > 0)
