"""The full cloud catalogue through the gate: triples/s, memory, and what a second writer feels meanwhile.

One process imports EC2 and Azure (the owner); this one is its client and commits one small description after another,
timing each. Then the import runs again, which must commit nothing. Writes results/catalogue.json.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import engine
from engine.errors import DappopsError

IMPORTER = """
import json, resource, sys, engine
kb = engine.open(sys.argv[1])
assert kb.is_owner
print("READY", flush=True)
for _ in range(2):
    sys.stdin.readline()
    report = kb.call("import_cloud", source=sys.argv[2], regions=sys.argv[3:] or None)
    report["peakMemoryMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report["refused"] = len(report["refused"])
    print(json.dumps(report), flush=True)
sys.stdin.readline()
kb.close()
"""


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(source: str = "cloud", *regions: str) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "kb"
        engine.open(home).close()
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(home), source, *regions],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "READY\n"
        kb = engine.open(home)
        graph = kb.graph_iri("notes")
        waits: list[float] = []
        idle: list[float] = []
        done = threading.Event()

        def write(number: int) -> float:
            started = time.perf_counter()
            with kb.change(graph="notes") as change:
                node = f"{graph}/p{number}"
                change.add(node, "rdf:type", "dapp:CentralisedProvider")
                change.add(node, "rdfs:label", f"provider {number}")
            return time.perf_counter() - started

        first_commit = write(-1)  # compiles shapes and rules
        for number in range(100):
            idle.append(write(number))

        def writer() -> None:
            number = 1000
            while not done.is_set():
                try:
                    waits.append(write(number))
                except DappopsError as error:
                    print("the second writer failed:", error)
                    return
                number += 1
                time.sleep(0.05)

        thread = threading.Thread(target=writer)
        process.stdin.write("go\n")
        process.stdin.flush()
        thread.start()
        first = json.loads(process.stdout.readline())
        done.set()
        thread.join()
        process.stdin.write("again\n")
        process.stdin.flush()
        second = json.loads(process.stdout.readline())
        quads = kb.select("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows[0][0]
        process.stdin.write("end\n")
        process.stdin.flush()
        process.wait()
        kb.close()
    result = {
        "source": source, "offers": sum(first["counts"]["offers"].values()), "types": sum(first["counts"]["types"].values()),
        "regions": sum(first["counts"]["regions"].values()), "records": first["records"], "triples": first["added"],
        "closure": int(quads.value), "seconds": first["seconds"], "triplesPerSecond": first["triplesPerSecond"], "commits": first["chunks"],
        "peakMemoryMiB": first["peakMemoryMiB"], "refused": first["refused"],
        "firstCommitMs": 1e3 * first_commit,
        "smallCommitIdleMs": {"median": 1e3 * percentile(idle, 0.5), "p99": 1e3 * percentile(idle, 0.99)},
        "smallCommitDuringImportMs": {
            "count": len(waits), "median": 1e3 * percentile(waits, 0.5), "p99": 1e3 * percentile(waits, 0.99), "max": 1e3 * max(waits)
        },
        "secondRun": {"commits": second["chunks"], "triples": second["added"] + second["removed"], "seconds": second["seconds"]},
        "clientPeakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    target = Path(__file__).parent / "results" / "catalogue.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
