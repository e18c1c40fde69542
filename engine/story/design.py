"""Steps 1 to 4: describe the application, discover components, agree on one design, plan where it runs."""

from __future__ import annotations

from typing import Any

from engine.describe import check_documents, read_files
from engine.errors import NotAvailableError
from engine.story.stage import Stage, Told

UNITS = {"power": "W"}  # what hosts are used for, as people write it
REHEARSAL, HOSTS = "crowd-rehearsal.yaml", "hosts.yaml"


def commit_file(stage: Stage, name: str, graph: str) -> tuple[Any, dict[str, Any], list[str]]:
    """Check a description and commit it to a graph: (document, receipt, remarks)."""
    iri = stage.kb.graph_iri(graph)
    document = read_files([stage.examples / name], graph=iri)[0]
    remarks = [f"{place}: {result.message}" for place, result in check_documents([document])]
    stale = document.stale(q.triple for q in stage.kb.quads(graph=iri))
    receipt = stage.kb.commit(iri, document.triples, stale, message=f"describe {name}")
    return document, receipt.as_json(), remarks


def describe(stage: Stage) -> Told:
    """Step 1: the application in DAppOps-ML, five viewpoints, roles; checked and committed."""
    told = Told()
    document, receipt, remarks = commit_file(stage, REHEARSAL, "rehearsal")
    application = document.application.value
    rows = stage.kb.call("view", name="story-1-described", bindings={"application": f"<{application}>"})["rows"]
    told.say(f"{REHEARSAL}: {len(document.triples)} statements conform to the shapes; {transaction(receipt)}")
    told.lines += remarks
    for what, count, names, *_ in ([plain(cell) for cell in row] for row in rows):
        told.say(f"  {count:>3} {what}" + (f": {names}" if names else ""))
    _hosts, second, more = commit_file(stage, HOSTS, "hosts")
    told.lines += more
    told.say(
        f"{HOSTS}: edge, fog and cloud hosts that this machine will play, of four providers; {transaction(second)}"
    )
    told.data = {
        "application": application,
        "statements": len(document.triples),
        "receipt": receipt,
        "remarks": remarks,
    }
    return told


def plain(cell: str | None) -> str:
    """A cell of an answer (N-Triples text) as people write it."""
    from engine.graph.wire import decode_term

    if cell is None:
        return ""
    term = decode_term(cell)
    return str(getattr(term, "value", term))


def transaction(receipt: dict[str, Any]) -> str:
    """What a commit did, in a few words."""
    if receipt["sequence"] is None:
        return "nothing new"
    return f"transaction {receipt['sequence']} (+{receipt['added']:,} -{receipt['removed']:,})"


def catalogue(stage: Stage, told: Told) -> None:
    """Fill the catalogue with what real clouds offer."""
    if stage.settings.source == "none":
        told.lacks("offers of real clouds were left out, as asked")
    else:
        params = {"source": stage.settings.source, "author": stage.kb.author}

        def tell(frame: dict[str, Any]) -> None:
            stage.progress("import offers", int(frame.get("done") or 0), frame.get("total"))

        try:
            report = stage.kb.call("import_cloud", tell, **params)
            told.say(
                f"catalogue: {report['accepted']:,} records of real clouds in {report['chunks']} commits "
                f"({report['added']:,} triples new, {report['triplesPerSecond']:,} a second)"
            )
            told.data["catalogue"] = report
        except NotAvailableError as error:
            told.lacks(error)


def plan(stage: Stage) -> Told:
    """Step 4: place every unit on one offer: real clouds and emulated hosts, capacity, watts, images on their way."""
    told = Told()
    catalogue(stage, told)
    result = stage.kb.call("plan", application=stage.application, author=stage.kb.author, seed=stage.settings.seed)
    told.data |= {"plan": result, "decision": result["decision"]}
    status = "proven optimal" if result["status"] == "optimal" else result["status"]
    sizes = result["sizes"]
    told.say(
        f"{status} ({result['solver']}, {result['seconds']:.1f} s); {sizes['pairs']:,} pairs of unit and offer looked at, "
        f"{sizes['eligible']:,} eligible"
    )
    for placement in result["placements"]:
        told.say(
            f"  {placement['unit']['label']:<24} {placement['offer'].rsplit('/', 1)[-1]:<18} {placement['provider']:<16} "
            f"{placement['price']:.4f} {placement['currency']}/h"
        )
    told.lines += plan_lines(result)
    return told


def plan_lines(result: dict[str, Any]) -> list[str]:
    """Deadlines, node power, provisioning times and what could not be checked, a line each."""
    lines = []
    for host in result["hosts"]:
        uses = ", ".join(
            f"{u['used']:.4g}"
            + ("" if u["bound"] is None else f" of {u['bound']:g}")
            + f" {UNITS.get(u['what'], u['what'])}"
            for u in host["uses"]
        )
        lines.append(f"  {host['host']['label']}: {uses}")
    for deadline in result["deadlines"]:
        took = "not known" if deadline["time"] is None else f"{deadline['time']:.1f} ms"
        lines.append(f"  deadline {deadline['deadline']['label']}: {took} of {deadline['bound']:g} ms")
    times = [p["seconds"] for p in result["provisioning"] if p["seconds"] is not None]
    if times:
        lines.append(f"  images fetched and started: {max(times):.1f} s for the slowest of {len(times)} units")
    for total in result["totals"]:
        lines.append(f"  {total['constraint']['label']}: {total['value']:.4g} of at most {total['bound']:g}")
    lines += [f"  not checked by the plan: {u['requirement']['label']}" for u in result["unchecked"]]
    return lines + [f"  {note}" for note in result["notes"]]
