"""An agreement from its proposal to its consequence, on this machine: `python examples/sla_demo.py [FOLDER]`.

A service of this file's own (a child process) is degraded on purpose while three witness processes measure it. They vote, the
contract settles, the provider's reputation falls, and the next plan takes another provider. Then a rule of one's own
supersedes the reputation rule, and the plan takes the first one again.
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WORLD = """dappops: 1
catalogue:
  - {{id: harbour, type: CentralisedProvider, name: Harbour Edge, identifier: "{harbour}", jurisdiction: PT}}
  - {{id: tagus, type: CentralisedProvider, name: Tagus Fog, identifier: "{tagus}", jurisdiction: PT}}
  - id: quay
    type: Region
    name: Quay
    within: PT
    energyMix: {{type: EnergyMix, id: quay-mix, carbonIntensity: 110, powerUsageEffectiveness: 1.1}}
  - {{id: small, type: ResourceType, name: Small machine, vcpus: 2, memory: 4 GiB, clockFrequency: 2.5 GHz}}
  - id: harbour-small
    type: ServiceOffer
    offersType: small
    offeredBy: harbour
    region: quay
    price: {{type: PriceSpecification, id: harbour-small-price, amount: 0.90, currency: USD, perUnit: HR}}
  - id: tagus-small
    type: ServiceOffer
    offersType: small
    offeredBy: tagus
    region: quay
    price: {{type: PriceSpecification, id: tagus-small-price, amount: 1.10, currency: USD, perUnit: HR}}
application:
  id: stream
  name: Stream of the festival
  units:
    - {{id: ingest, type: FunctionalUnit, name: Ingest, workload: 0.01, requires: {{vcpus: ">= 2", memory: ">= 4 GiB"}}}}
  objectives: {{cost: 1.0}}
"""
# demands on metrics, which the short form above has no key for
DEMANDS = """
@prefix dapp: <https://w3id.org/dappops#> . @prefix dappi: <https://w3id.org/dappops/id#> .
<{main}/stream> dapp:hasRequirement <{main}/trusted>, <{main}/reachable> .
<{main}/trusted> a dapp:QualityRequirement ; dapp:constrains dappi:Reputation ; dapp:operator dappi:AtLeast ;
  dapp:bound 0.2 ; dapp:strictness dappi:Hard .
<{main}/reachable> a dapp:QualityRequirement ; dapp:constrains dappi:Availability ; dapp:operator dappi:AtLeast ;
  dapp:bound 90.0 ; dapp:strictness dappi:Hard .
"""
Say = Callable[[str, Any], None]


class Service(http.server.BaseHTTPRequestHandler):
    """Answers `ok`; once its folder holds a file `broken`, with an error."""

    folder = Path()

    def do_GET(self) -> None:
        broken = (self.folder / "broken").exists()
        self.send_response(503 if broken else 200)
        self.end_headers()
        self.wfile.write(b"no" if broken else b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the witnesses keep the record."""


def serve(folder: Path) -> None:
    """The child: answers on a port of its choice, which it writes to `folder`/port."""
    Service.folder = folder
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    (folder / "port.part").write_text(str(server.server_port), encoding="utf-8")
    (folder / "port.part").rename(folder / "port")
    server.serve_forever()


def started(folder: Path, patience: float = 15.0) -> tuple[subprocess.Popen[bytes], str]:
    """The service as a child process, and its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen([sys.executable, str(HERE), "--serve", str(folder)])
    deadline = time.monotonic() + patience
    while not (folder / "port").exists():
        if child.poll() is not None or time.monotonic() > deadline:
            child.kill()
            raise SystemExit("the service did not start")
        time.sleep(0.02)
    return child, f"http://127.0.0.1:{(folder / 'port').read_text(encoding='utf-8')}/"


def play(home: Path, say: Say, *, seconds: int = 3, ahead: int = 2) -> dict[str, Any]:
    """Play it in a knowledge base in `home`; the offers that the three plans chose, the version, and the rows of the story."""
    import engine
    from engine.catalogue import ml
    from engine.describe import local_rule
    from engine.graph.keys import KeyRing
    from engine.ledger import agreements as sla

    with engine.open(home) as kb:
        keys = KeyRing(home / "keys")
        harbour, tagus = keys.create().address, keys.create().address
        main = kb.graph_iri("main")
        document = ml.load(WORLD.format(harbour=harbour, tagus=tagus), graph=main)
        if document.errors:
            raise SystemExit("\n".join(str(e) for e in document.errors))
        with kb.change(graph="main", message="a small world") as change:
            change.added.extend(document.triples)
            change.parse(DEMANDS.format(main=main))
        application = f"{main}/stream"

        def placed() -> str:
            made = kb.call("plan", application=application)
            return str(made["placements"][0]["offer"]).rsplit("/", 1)[-1] if made["placements"] else "nothing"

        first = placed()
        say("the plan takes", first)
        child, url = started(home / "service")
        try:
            folders = [home / f"witness-{n}" for n in (1, 2, 3)]
            accounts = {sla.make_witness(folder): folder for folder in folders}
            terms = {
                **sla.terms_from_plan(kb, application, seconds=seconds, compensation="0.5")[0], "payment": "1.0",
                "witnessFee": "0.001", "start": f"+{ahead}", "settleWithin": 60, "witnesses": sorted(accounts),
                "measure": [{"http": url, "every": 0.2, "timeout": 0.5, "expect": "ok"}],
            }  # fmt: skip
            version = sla.propose(kb, terms)
            sla.accept(kb, version, account=harbour)
            sla.accept(kb, version, account=kb.author)
            opened = sla.open_(kb, version, fund=True)
            say("opened", f"agreement {opened['agreement'][:16]}… in block {opened['block']}")

            # a third of the period is well, then every answer is an error
            breaks = max(0.0, opened["start"] + seconds / 3 - time.time())
            trouble = threading.Timer(breaks, (home / "service" / "broken").touch)
            trouble.start()
            voted = sla.run_witnesses(
                kb, version, accounts, say=lambda what, event: say(f"witness {event['witness'][:8]}…", what)
            )
            trouble.join()
            say("votes", [v.get("violated") for v in voted])
        finally:
            child.terminate()
            child.wait()
        ended = sla.conclude(kb, version)
        say("settled", ended["settled"]["state"])
        second = placed()
        say("the plan takes", second)
        story = kb.call("view", name="sla-story", bindings={"version": f"<{version}>"})
        policy = kb.graph_iri("policy")
        kb.commit(policy, local_rule(HERE.parent / "forgive.rq", policy), message="nobody is judged by reputation")
        third = placed()
        say("without the reputation rule it takes", third)
        return {"plans": [first, second, third], "version": version, "voted": voted, "ended": ended, "story": story}


def main(arguments: list[str]) -> None:
    """Play in a folder and print the story, a line for each piece of evidence."""
    home = Path(arguments[0]) if arguments else Path(tempfile.mkdtemp(prefix="sla-demo-"))
    begun = time.monotonic()
    result = play(home, lambda what, data: print(f"{time.monotonic() - begun:5.1f} s  {what}: {data}"))
    print()
    columns = result["story"]["variables"]
    for row in result["story"]["rows"]:
        told = {
            c: str(t).split("^^")[0].strip('<>"').rsplit("/", 1)[-1] for c, t in zip(columns, row, strict=True) if t
        }
        print(", ".join(f"{c} {v}" for c, v in told.items() if c not in ("version", "provider", "witness")))
    print(f"\nask more: dappops --home {home} view sla-story; dappops --home {home} sla status")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
