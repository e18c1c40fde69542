"""Rewrites `w3c_results.json`: `python tests/endpoint/w3c_report.py SUITES URL`, at a writable server with the standard data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from w3c_manifests import all_cases, all_conversations
from w3c_over_http import Endpoint, run_all

# What fails, and why it has to.
EXCEPTED = {
    "csv-tsv-res/csv03": "terms at the door: xsd:hexBinary is stored in its canonical form (`A7`), the test wants `a7`",
    "csv-tsv-res/tsv03": "terms at the door, and the engine's store: `A7`; xsd:negativeInteger is stored as xsd:integer",
}
RESULTS = Path(__file__).with_name("w3c_results.json")


def summary(found: dict[str, str]) -> dict[str, object]:
    """What is committed: passed and run per suite, and the failures."""
    suites = dict.fromkeys(name.split("/")[0] for name in found)
    return {
        "passed": {s: sum(not p for n, p in found.items() if n.split("/")[0] == s) for s in suites},
        "total": {s: sum(n.split("/")[0] == s for n in found) for s in suites},
        "failures": {name: EXCEPTED.get(name, "") for name, problem in sorted(found.items()) if problem},
    }


def main() -> None:
    root, url = Path(sys.argv[1]), sys.argv[2]
    found = run_all(Endpoint(url), all_cases(root), all_conversations(root))
    report = summary(found)
    for name, problem in found.items():
        if problem:
            print(f"{name}: {problem[:400]}")
    print(sum(not p for p in found.values()), "of", len(found))
    if "--write" in sys.argv:
        RESULTS.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
