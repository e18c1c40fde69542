"""Small queries on a forking replica, asked as the front asks, beside raw `oxigraph serve` on the same data.

On: one replica process, workers on demand, one asking process (uvloop); answers in JSON; nothing cached. The store is asked
over HTTP by `wrk`, which costs next to nothing, so the ratio is against the store at its best. Varied: rows of an answer,
queries at once, long queries beside. CPU is of all processes that serve: for the replica also of the one that asks.
Also: how soon a replica is ready, what a fork costs, and how soon a change is seen.

    python benchmarks/replicas.py [TRIPLES]      # 200000; DAPPOPS_OXIGRAPH or PATH has `oxigraph`, PATH has `wrk`
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import uvloop

from engine.replicas import frames
from engine.replicas.client import Ask, Keeper, Pool, Replicas
from engine.replicas.keeping import Forking

SECONDS = 4.0
AT_ONCE = (1, 8)
PREFIX = "http://example.org/"
QUERIES = {
    "5 rows": f"SELECT ?p ?o WHERE {{ <{PREFIX}offer7> ?p ?o }}",
    "50 rows": f"SELECT ?o ?v WHERE {{ ?o <{PREFIX}by> <{PREFIX}vendor3> ; <{PREFIX}price> ?v }} LIMIT 50",
}
LONG = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
KEY = ("public", "hierarchy", None, "union")


def data(path: Path, triples: int) -> None:
    """Offers of vendors: five triples each."""
    with path.open("w", encoding="ascii") as out:
        for i in range(triples // 5):
            s = f"<{PREFIX}offer{i}>"
            out.write(f'{s} <{PREFIX}by> <{PREFIX}vendor{i % 500}> .\n{s} <{PREFIX}price> "{i % 97}" .\n')
            out.write(f'{s} <{PREFIX}within> <{PREFIX}region{i % 40}> .\n{s} <{PREFIX}label> "offer number {i}"@en .\n')
            out.write(f"{s} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{PREFIX}Offer> .\n")


def cpu(pid: int) -> float:
    """CPU seconds of a process and of its children, those that have ended included."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)


async def replica(path: str, pid: int, text: str, at_once: int) -> dict[str, float]:
    """Rate and CPU of asking one query."""
    loop = asyncio.get_running_loop()
    replicas = Replicas(Keeper(""))
    replicas._pools[KEY] = Pool(loop, path)
    ask = Ask(text)
    end = 0.0
    done = 0

    async def one() -> None:
        nonlocal done
        while loop.time() < end:
            answer = await replicas.ask("public", ask)
            assert answer.whole
            await answer.close()
            done += 1

    end = loop.time() + 0.5
    await asyncio.gather(*(one() for _ in range(at_once)))
    done = 0
    before, mine, began = cpu(pid), time.process_time(), time.perf_counter()
    end = loop.time() + SECONDS
    await asyncio.gather(*(one() for _ in range(at_once)))
    wall, mine = time.perf_counter() - began, time.process_time() - mine
    used = cpu(pid) - before
    await replicas.close()
    return {"per_s": done / wall, "cpu_us": (used + mine) / done * 1e6, "asking_us": mine / done * 1e6}


def store(url: str, pid: int, text: str, at_once: int) -> dict[str, float]:
    """The same of the store."""
    script = "wrk.headers['Accept']='application/sparql-results+json'"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        before = cpu(pid)
        out = subprocess.run(
            ["wrk", "-t1", f"-c{at_once}", f"-d{SECONDS:.0f}s", "-s", lua.name, f"{url}?query={quote(text)}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    used = cpu(pid) - before
    rate = float(next(line for line in out.splitlines() if line.startswith("Requests/sec")).split()[1])
    total = int(next(line for line in out.splitlines() if " requests in " in line).split()[0])
    return {"per_s": rate, "cpu_us": used / total * 1e6}


def serve_oxigraph(path: Path) -> tuple[subprocess.Popen[bytes], str]:
    """`oxigraph serve` with the data, in memory."""
    program = os.environ.get("DAPPOPS_OXIGRAPH") or shutil.which("oxigraph")
    if not program or not shutil.which("wrk"):
        sys.exit("no `oxigraph` (PATH or DAPPOPS_OXIGRAPH) or no `wrk`: nothing to compare with")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([program, "serve", "--bind", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{base}/query?query=ASK%7B%7D", timeout=2).read()
            break
        except OSError:
            time.sleep(0.05)
    request = urllib.request.Request(
        f"{base}/store?default", data=path.read_bytes(), headers={"Content-Type": "application/n-triples"}
    )
    urllib.request.urlopen(request, timeout=300).read()
    return process, f"{base}/query"


async def changes(path: str, forked: Forking) -> dict[str, float]:
    """Milliseconds of a fork with its first answer, and from a change's sending until a waiting worker answers with it."""
    loop = asyncio.get_running_loop()
    pool = Pool(loop, path)
    request = frames.request(Ask("ASK {}"))
    forks = []
    for _ in range(20):
        began = time.perf_counter()
        link = pool.take()
        await link.ask(request, 0.0)
        forks.append(time.perf_counter() - began)
        link.close()
        pool.idle.clear()
    link = pool.take()
    await link.ask(request, 0.0)
    seen, workers = [], 1
    for n in range(50):
        at = {"tx": forked.state.tx + 1, "version": 1, "etag": str(n)}
        if link.closed:  # a worker that has many pages of its own by now is replaced
            link, workers = pool.take(), workers + 1
            await link.ask(request, 0.0)
        began = time.perf_counter()
        await forked.apply({**at, "steps": [{**at, "removed": "", "added": f'<urn:s> <urn:p> "{n}" .\n'}]})
        answer = await link.ask(request, 0.0)
        assert answer.tx == at["tx"]
        seen.append(time.perf_counter() - began)
    pool.close()
    return {"fork_ms": sorted(forks)[10] * 1e3, "change_seen_ms": sorted(seen)[25] * 1e3, "workers": workers}


async def main() -> None:
    triples = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data(folder / "data.nt", triples)
        process, url = serve_oxigraph(folder / "data.nt")
        began = time.perf_counter()
        path = str(folder / "z")
        forked = await Forking.load({"file": str(folder / "data.nt"), "tx": 1, "version": 1, "etag": "e"}, path, None)
        await forked.open()
        found: dict[str, Any] = {"triples": triples, "ready_s": time.perf_counter() - began, "queries": {}}
        try:
            for label, text in QUERIES.items():
                for at_once in AT_ONCE:
                    theirs = await asyncio.to_thread(store, url, process.pid, text, at_once)
                    ours = await replica(path, forked.pid, text, at_once)
                    again = await asyncio.to_thread(store, url, process.pid, text, at_once)
                    best = max(theirs["per_s"], again["per_s"])
                    found["queries"][f"{label}, {at_once} at once"] = {
                        "replica": ours, "oxigraph": theirs, "oxigraph_again": again, "ratio": ours["per_s"] / best,
                        "cpu_ratio": min(theirs["cpu_us"], again["cpu_us"]) / ours["cpu_us"],
                    }  # fmt: skip
            pool = Pool(asyncio.get_running_loop(), path)
            beside = [pool.take() for _ in range(4)]
            running = [link.ask(frames.request(Ask(LONG, seconds=SECONDS * 2)), 0.0) for link in beside]
            await asyncio.sleep(0.3)
            text = QUERIES["5 rows"]
            loaded = await replica(path, forked.pid, text, 8)
            alone = found["queries"]["5 rows, 8 at once"]["replica"]["per_s"]
            found["beside 4 long queries"] = {"per_s": loaded["per_s"], "of_its_rate_alone": loaded["per_s"] / alone}
            pool.close()
            for reply in running:
                reply.cancel()
            found |= await changes(path, forked)
        finally:
            await forked.kill()
            process.terminate()
            process.wait()
    for label, row in found["queries"].items():
        ours, theirs = row["replica"], row["oxigraph"]
        print(
            f"{label:18} replica {ours['per_s']:7.0f}/s {ours['cpu_us']:5.0f} us CPU ({ours['asking_us']:.0f} asking)   "
            f"oxigraph {theirs['per_s']:7.0f}/s {theirs['cpu_us']:5.0f} us CPU   ratio {row['ratio']:.2f}   "
            f"of CPU {row['cpu_ratio']:.2f}"
        )
    print({k: v for k, v in found.items() if k != "queries"})
    results = Path(__file__).parent / "results" / "replicas.json"
    results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    uvloop.run(main())
