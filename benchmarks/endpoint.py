"""The SPARQL endpoint against `oxigraph serve` on the same data, in the same run, for many clients.

Data and queries: the e-commerce world and the "explore" mix of BSBM (benchmarks/bsbm.py) at a stated scale, and lookups of 5
and 50 rows. Ours: `dappops serve` with every request carrying a signed-in caller's token and the cache of answers off
(cached figures apart). The peer: `oxigraph serve` in memory. Both get the same processors, the load generator (wrk,
keep-alive) others. Before any time is taken the answers of both are compared. Figures are also taken beside clients that
send queries without end (Cartesian products counted, a path closure, regular expressions, a stream that nobody
reads). Writes results/endpoint.json and results/endpoint.md.

usage: python benchmarks/endpoint.py [--products 1000] [--clients 16] [--seconds 5] [--rounds 3] [--quick]
Needs the programs `wrk` (Debian package) and `oxigraph` (PyPI package, in any environment: --oxigraph FILE).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import bsbm
import pyoxigraph as ox

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"
JSON = "application/sparql-results+json"
ACCEPT = f"{JSON}, application/n-triples;q=0.9"
CHUNK = 20_000  # triples a commit
RUNAWAYS = {
    "counted product": "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "path closure": "SELECT (COUNT(*) AS ?n) WHERE { ?a (!<urn:x>|^!<urn:x>)* ?b }",
    "regular expressions": 'SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f FILTER regex(concat(str(?c), str(?f)), "(a|b)*z$") }',
    "unread stream": "SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }",
}
LUA = """
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args)
  requests, at = {}, 0
  for path in io.lines(args[1]) do requests[#requests + 1] = wrk.format("GET", path) end
  at = math.floor(#requests * id / 7) % #requests
end
function request() at = at % #requests + 1; return requests[at] end
function done(summary, latency, all)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%.3f,"p90":%.3f,"p99":%.3f,' ..
    '"failed":%d,"broken":%d}\\n', summary.requests, summary.duration, summary.bytes, latency:percentile(50) / 1000,
    latency:percentile(90) / 1000, latency:percentile(99) / 1000, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass
class Server:
    """One of the two: where it answers, and what a request to it carries."""

    name: str
    url: str
    route: str
    headers: dict[str, str] = field(default_factory=dict)

    def path(self, query: str) -> str:
        return bsbm.as_path(self.route, query)

    def ask(self, query: str, timeout: float = 60) -> tuple[str, bytes]:
        request = urllib.request.Request(self.url + self.path(query), headers={"Accept": ACCEPT, **self.headers})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.headers["Content-Type"].split(";")[0], answer.read()


@dataclass
class Plan:
    """What was asked for on the command line, and where things are."""

    products: int
    clients: int
    seconds: float
    rounds: int
    oxigraph: str
    folder: Path
    server_cpus: set[int]
    client_cpus: set[int]
    token: bool = True

    @property
    def data(self) -> Path:
        return self.folder / "data.nt"

    @property
    def home(self) -> Path:
        return self.folder / "home"


# -- starting --------------------------------------------------------------------------------------------------------
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: Sequence[str], cpus: set[int], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server pinned to processors, ended with everything it started."""
    log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
    running = subprocess.Popen(
        command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # noqa: PLW1509  # one thread here
    )  # fmt: skip
    try:
        yield running
        if running.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"{command[0]} ended: {log.read()[-2000:]!r}")
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        log.close()


def await_answer(url: str, running: subprocess.Popen[bytes], patience: float = 180) -> None:
    deadline = time.monotonic() + patience
    while running.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


@contextmanager
def peer(plan: Plan) -> Iterator[Server]:
    """`oxigraph serve` in memory with the data in its default graph."""
    port = free_port()
    with process([plan.oxigraph, "serve", "--bind", f"127.0.0.1:{port}"], plan.server_cpus) as running:
        url = f"http://127.0.0.1:{port}"
        await_answer(url + "/query?query=ASK%7B%7D", running)
        request = urllib.request.Request(
            url + "/store?default",
            data=plan.data.read_bytes(),
            method="POST",
            headers={"Content-Type": "application/n-triples"},
        )
        urllib.request.urlopen(request, timeout=600).close()
        yield Server("oxigraph serve", url, "/query", {"Authorization": "Bearer none"})


@contextmanager
def ours(plan: Plan, *, cache: bool = False, timeout: float = 30) -> Iterator[Server]:
    """`dappops serve` over the home, asked as a signed-in caller."""
    port = free_port()
    command = [
        sys.executable, "-m", "engine.cli", "--home", str(plan.home), "serve", "--port", str(port), "--signed-in",
        str(plan.clients + 4), "--per-caller", str(plan.clients + 4), "--timeout", f"{timeout:g}",
        *(() if plan.token else ("--anonymous", str(plan.clients + 4))),
    ]  # fmt: skip
    with process(command, plan.server_cpus, DAPPOPS_ANSWER_CACHE="" if cache else "0") as running:
        url = f"http://127.0.0.1:{port}"
        await_answer(url + "/readyz", running)
        headers = {"Authorization": f"Bearer {sign_in(plan, url)}"} if plan.token else {}
        yield Server("dappops serve", url, "/sparql", headers)


def sign_in(plan: Plan, url: str) -> str:
    """A token from `dappops login`."""
    command = [sys.executable, "-m", "engine.cli", "--home", str(plan.home), "--json", "login", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"dappops login: {done.stderr or done.stdout}")
    return str(json.loads(done.stdout)["token"])


# -- data ------------------------------------------------------------------------------------------------------------
def fill(plan: Plan) -> tuple[bsbm.World, dict[str, Any]]:
    """Generate the data, and commit it, through the gate, signed."""
    import engine

    world = bsbm.World(plan.products)
    with plan.data.open("w", encoding="utf-8") as file:
        file.writelines(world.triples())
    started, count = time.perf_counter(), 0
    with engine.open(plan.home) as kb, plan.data.open("rb") as file:
        while chunk := b"".join(islice(file, CHUNK)):
            triples = [q.triple for q in ox.parse(chunk, format=ox.RdfFormat.N_TRIPLES)]
            count += kb.commit("bsbm", triples).added
    seconds = time.perf_counter() - started
    return world, {"triples": count, "loadSeconds": round(seconds, 1), "loadTriplesPerSecond": round(count / seconds)}


def compare(one: Server, other: Server, world: bsbm.World) -> int:
    """Ask both the same queries, every kind several times; AssertionError when an answer differs."""
    chance, count = random.Random(5), 0
    queries = [text for _ in range(3) for _, text in world.mix(chance)] + [
        world.lookup(chance, 1000) for _ in range(10)
    ]
    for query in queries:
        (kind, mine), (_, theirs) = one.ask(query), other.ask(query)
        if kind == JSON:
            ordered = "ORDER BY" in query
            mine_rows, their_rows = (json.loads(x)["results"]["bindings"] for x in (mine, theirs))
            if ordered:  # rows that compare equal may come in any order, and LIMIT may cut among them
                assert len(mine_rows) == len(their_rows), query
            else:
                assert sorted(map(_row, mine_rows)) == sorted(map(_row, their_rows)), query
        else:
            graphs = [ox.Dataset(ox.parse(x, format=ox.RdfFormat.N_TRIPLES)) for x in (mine, theirs)]
            assert set(graphs[0]) == set(graphs[1]), query
        count += 1
    return count


def _row(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


# -- load ------------------------------------------------------------------------------------------------------------
def load(plan: Plan, server: Server, queries: Sequence[str]) -> dict[str, float]:
    """Send the queries for `seconds` from `clients` connections."""
    script, listed = plan.folder / "load.lua", plan.folder / "requests.txt"
    script.write_text(LUA, encoding="ascii")
    listed.write_text("".join(server.path(q) + "\n" for q in queries), encoding="ascii")
    headers = [x for name, value in {"Accept": ACCEPT, **server.headers}.items() for x in ("-H", f"{name}: {value}")]
    command = [
        "wrk", "-t", str(min(2, plan.clients)), "-c", str(plan.clients), "-d", f"{plan.seconds:g}s", "--timeout", "30s",
        "-s", str(script), *headers, server.url, "--", str(listed),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=plan.seconds + 120, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, plan.client_cpus),
    )  # fmt: skip
    found = json.loads(done.stdout.split("RESULT ", 1)[1])
    if found["failed"] or found["broken"] or not found["requests"]:
        raise RuntimeError(f"{server.name}: {found}")
    rate = found["requests"] / (found["microseconds"] / 1e6)
    return {"rate": rate, "p50": found["p50"], "p90": found["p90"], "p99": found["p99"]}


def offers_of(world: bsbm.World, chance: random.Random) -> str:
    """Fifty rows about the offers of one product."""
    product = world.product(1 + chance.randrange(world.products))
    return f"SELECT ?s ?p ?o WHERE {{ ?s <{bsbm.VOCABULARY}product> <{product}> ; ?p ?o }} LIMIT 50"


@contextmanager
def runaways(server: Server, number: int = 4) -> Iterator[Counter[str]]:
    """Clients that always have a query without end under way; what came of those that ended."""
    ended, outcomes = threading.Event(), Counter[str]()
    bare = Server(server.name, server.url, server.route)  # anonymous: another pool than the measured caller's

    def run(kind: str, query: str) -> None:
        while not ended.is_set():
            try:
                if kind == "unread stream":
                    _unread(bare, query, ended)
                else:
                    bare.ask(query, timeout=60)
                outcomes[f"{kind}: answered"] += 1
            except urllib.error.HTTPError as error:
                outcomes[f"{kind}: {error.code}"] += 1
                ended.wait(0.05)
            except OSError as error:
                outcomes[f"{kind}: {type(error).__name__}"] += 1
                ended.wait(0.2)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in islice(RUNAWAYS.items(), number)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)  # until all are at it
    try:
        yield outcomes
    finally:
        ended.set()


def _unread(server: Server, query: str, ended: threading.Event) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        request = f"GET {server.path(query)} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: {JSON}\r\n\r\n"
        connection.sendall(request.encode())
        ended.wait(10)


# -- figures ---------------------------------------------------------------------------------------------------------
def measure(plan: Plan, mine: Server, theirs: Server, queries: Sequence[str]) -> dict[str, Any]:
    """Both in turn, `rounds` times; medians, and the ratio of each round's neighbours."""
    runs: dict[str, list[dict[str, float]]] = {mine.name: [], theirs.name: []}
    for server in (mine, theirs):
        warm(plan, server, queries)
    for turn in range(plan.rounds):
        for server in (mine, theirs) if turn % 2 == 0 else (theirs, mine):
            runs[server.name].append(load(plan, server, queries))
    return summary(runs[mine.name], runs[theirs.name])


def warm(plan: Plan, server: Server, queries: Sequence[str]) -> None:
    """Some load before the clock runs: workers are forked, pages are touched."""
    load(Plan(**{**vars(plan), "seconds": min(2.0, plan.seconds)}), server, queries)


def summary(mine: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    def median(rows: list[dict[str, float]], key: str) -> float:
        return round(statistics.median(r[key] for r in rows), 2)

    return {
        "ours": {key: median(mine, key) for key in ("rate", "p50", "p99")},
        "peer": {key: median(theirs, key) for key in ("rate", "p50", "p99")},
        "ratio": round(statistics.median(m["rate"] / t["rate"] for m, t in zip(mine, theirs, strict=True)), 2),
        "ratios": [round(m["rate"] / t["rate"], 2) for m, t in zip(mine, theirs, strict=True)],
    }


def run(plan: Plan) -> dict[str, Any]:
    world, loaded = fill(plan)
    chance = random.Random(11)
    mix = [text for _ in range(200) for _, text in world.mix(chance)]
    sets = {
        "mix": mix,
        "lookup, 5 rows": [world.lookup(chance) for _ in range(2000)],
        "lookup, 50 rows": [offers_of(world, chance) for _ in range(2000)],
    }  # fmt: skip
    figures: dict[str, Any] = {}

    def tell(name: str, found: dict[str, Any]) -> None:
        figures[name] = found
        print(f"{name}: {found['ratio']} of the peer's rate; ours {found['ours']}, peer {found['peer']}", flush=True)

    with peer(plan) as theirs:
        with ours(plan) as mine:
            print(f"{compare(mine, theirs, world)} answers are the same", flush=True)
            for name, queries in sets.items():
                tell(name, measure(plan, mine, theirs, queries))
            kinds = {}
            for number in sorted(bsbm.QUERIES):
                short = Plan(**{**vars(plan), "seconds": min(2.0, plan.seconds), "rounds": 1})
                kinds[number] = measure(
                    short, mine, theirs, [t for n, t in zip(bsbm.MIX * 200, mix, strict=False) if n == number]
                )
                print(f"  query {number}: {kinds[number]['ratio']}", flush=True)
            figures["byQuery"] = kinds
        with ours(plan, cache=True) as mine:
            tell("cached: mix", measure(plan, mine, theirs, mix[:250]))
            tell("cached: lookup, 5 rows", measure(plan, mine, theirs, sets["lookup, 5 rows"][:200]))
    figures["beside"] = beside(plan, sets)
    return {"loaded": loaded, "figures": figures}


def beside(plan: Plan, sets: dict[str, list[str]]) -> dict[str, Any]:
    """The same load beside four clients with queries without end; what is left of the rate without them."""
    found: dict[str, Any] = {}
    start: dict[str, Callable[[], Any]] = {"ours": lambda: ours(plan, timeout=5), "peer": lambda: peer(plan)}
    for name in ("mix", "lookup, 5 rows"):
        rows: dict[str, Any] = {}
        for who, begin in start.items():
            alone, under, outcomes = [], [], Counter[str]()
            with begin() as server:
                warm(plan, server, sets[name])
                alone = [load(plan, server, sets[name]) for _ in range(plan.rounds)]
                with runaways(server) as outcomes:
                    under = [load(plan, server, sets[name]) for _ in range(plan.rounds)]
            kept = statistics.median(u["rate"] for u in under) / statistics.median(a["rate"] for a in alone)
            rows[who] = {
                "alone": round(statistics.median(a["rate"] for a in alone), 1),
                "beside": round(statistics.median(u["rate"] for u in under), 1), "kept": round(kept, 2),
                "p99": round(statistics.median(u["p99"] for u in under), 2), "runaways": dict(outcomes),
            }  # fmt: skip
        rows["ratio"] = round(rows["ours"]["beside"] / rows["peer"]["beside"], 2)
        found[name] = rows
        print(f"beside runaways, {name}: {rows}", flush=True)
    return found


def table(report: dict[str, Any]) -> str:
    """The report as a page."""
    setting = report["setting"]
    out = [
        "# The endpoint against `oxigraph serve`", "",
        f"Made by `benchmarks/endpoint.py`. {setting['products']:,} products, {report['loaded']['triples']:,} triples;",
        f"{setting['clients']} clients; rates are medians of {setting['rounds']} runs of {setting['seconds']:g} s, in turn.",
        f"{setting['machine']}; requests {'carry a token' if setting['authentication'] else 'are anonymous'}.", "",
        "| load | ours, requests/s | peer | ratio | ours p50 / p99 ms | peer p50 / p99 ms |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for name, row in report["figures"].items():
        if "ratio" in row and "ours" in row:
            mine, theirs = row["ours"], row["peer"]
            out.append(
                f"| {name} | {mine['rate']:,.0f} | {theirs['rate']:,.0f} | {row['ratio']} | {mine['p50']:g} / {mine['p99']:g} "
                f"| {theirs['p50']:g} / {theirs['p99']:g} |"
            )
    out += [
        "",
        "Beside four clients with queries without end:",
        "",
        "| load | ours keeps | peer keeps | ratio | ours p99 ms | peer p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in report["figures"].get("beside", {}).items():
        out.append(
            f"| {name} | {row['ours']['kept']} | {row['peer']['kept']} | {row['ratio']} | {row['ours']['p99']:g} | {row['peer']['p99']:g} |"
        )
    return "\n".join([*out, ""])


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--oxigraph", default=shutil.which("oxigraph") or "")
    parser.add_argument("--without-token", action="store_true", help="ask anonymously; the report says so")
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing")
    said = parser.parse_args()
    if said.quick:
        said.products, said.seconds, said.rounds = 100, 1.0, 1
    if not said.oxigraph or shutil.which("wrk") is None:
        sys.exit("needs the programs wrk (Debian: apt-get install wrk) and oxigraph (pip install oxigraph)")
    cpus = sorted(os.sched_getaffinity(0))
    clients = set(cpus[len(cpus) // 2 :])
    with tempfile.TemporaryDirectory(prefix="dappops-endpoint-") as folder:
        plan = Plan(
            said.products, said.clients, said.seconds, said.rounds, said.oxigraph, Path(folder),
            set(cpus) - clients or set(cpus), clients, not said.without_token,
        )  # fmt: skip
        report = run(plan)
    version = subprocess.run([said.oxigraph, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    report["setting"] = {
        "products": said.products, "clients": said.clients, "seconds": said.seconds, "rounds": said.rounds, "peer": version,
        "machine": f"{len(plan.server_cpus)} processor(s) for the server, {len(clients)} for the load; "
        f"Python {platform.python_version()}; {version}",
        "authentication": not said.without_token, "loadAverage": os.getloadavg()[0],
    }  # fmt: skip
    if not said.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "endpoint.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "endpoint.md").write_text(table(report), encoding="utf-8")
    print(table(report))


if __name__ == "__main__":
    main()
