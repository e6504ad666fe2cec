"""Write the pages, or with ``--check`` fail when a committed one differs."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from scripts.diagrams import calls, configuration, observers, operations, transfers

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {
    "call-states.md": calls.render,
    "observer-states.md": observers.render,
    "transfer-states.md": transfers.render,
    "reference/http-api.md": operations.render,
    "reference/configuration.md": configuration.render,
}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(prog="scripts/generate-diagram", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a file differs")
    check = parser.parse_args().check
    differing = 0
    for name, render in PAGES.items():
        page, text = DOCS / name, render()
        if not check:
            page.write_text(text, encoding="utf-8")
            continue
        there = page.read_text(encoding="utf-8") if page.exists() else ""
        lines = list(
            difflib.unified_diff(there.splitlines(), text.splitlines(), name, "generated", "", "")
        )
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in lines)
        differing += bool(lines)
    return min(differing, 1)


if __name__ == "__main__":
    sys.exit(main())
