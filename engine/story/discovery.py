"""Steps 2 and 3: components found by meaning, with reasons; roles on one design, and the conflict between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import NotAvailableError
from engine.story.stage import Stage, Told

WEAK = 0.4  # similarity below which a hit may be chance
RESOLUTION = "resolution"  # the file of demands that all agreed on in the end


def discover(stage: Stage) -> Told:
    """Step 2: for every unit the components nearest in meaning, judged by rules; a real index, its digest kept."""
    told = Told()
    stage.kb.call("publish_functions", author=stage.kb.author)

    def tell(frame: dict[str, Any]) -> None:
        stage.progress(str(frame.get("note") or "search"), int(frame.get("done") or 0), frame.get("total"))

    try:
        made = stage.kb.call("recommend", tell, application=stage.application, author=stage.kb.author)
    except NotAvailableError as error:
        told.lacks(error)
        told.say("no components could be searched; see what is not available")
        return told
    if made["notAvailable"]:
        told.lacks(made["notAvailable"])
    index = made["index"]
    if index:
        told.say(f"index: {index['count']:,} components of {index['source']}, digest {index['digest'][:23]}…")
    told.say(
        f"{made['functions']} functions of the library searched beside them; {made['lookedAt']} components looked at"
    )
    for need in made["needs"]:
        best = ", ".join(
            f"{c['name']} ({c['similarity']:.2f}{', weak' if c['similarity'] < WEAK else ''})"
            for c in need["recommended"]
        )
        rejected = sum(r["count"] for r in need["rejections"])
        told.say(
            f"  {need['need']['label']:<24} {best or 'nothing fits'}" + (f"; {rejected} rejected" if rejected else "")
        )
    example = next(((n, m) for n in made["needs"] for m in n["misses"]), None)
    if example:
        need, miss = example
        reasons = "; ".join(v["rule"]["label"] for v in miss["verdicts"] if not v["satisfied"])
        told.say(f"  why not {miss['name']} for {need['need']['label']}: {reasons}")
    told.data = {"decision": made["decision"], "index": index, "lookedAt": made["lookedAt"]}
    return told


def agree(stage: Stage) -> Told:
    """Step 3: every role's demands on the one design; the conflict among them by role and line; a commit resolves it."""
    told = Told()
    files = [p for p in sorted((stage.examples / "proposals").glob("*.yaml")) if p.stem != RESOLUTION]
    first = _consider(stage, files)
    roles = ", ".join(r["label"] for f in first["files"] for r in f["roles"])
    told.say(f"{len(files)} files of demands by: {roles}")
    for conflict in first["conflicts"]:
        told.say(f"at odds, a minimal set of {len(conflict['members'])}:")
        for member in conflict["members"]:
            told.say(f"  {member['role']} ({member['place']}) wants {member['wants']}")
        for way in conflict["ways"]:
            told.say(f"  possible if {way['text']}" if way["possible"] else f"  {way['text']}")
    told.say(f"not part of it: {len(first['innocent'])} other demands")
    second = _consider(stage, [*files, stage.examples / "proposals" / f"{RESOLUTION}.yaml"], commit=True)
    if not second["possible"]:
        told.say(f"{RESOLUTION}.yaml does not resolve it; the design stays as it was")
    else:
        number = second["committed"]["sequence"]
        holds = f"transaction {number} holds" if number is not None else "the design holds already"
        told.say(f"{RESOLUTION}.yaml resolves it: {holds} what all agreed on")
    told.data = {
        "decision": first["decision"], "conflicts": first["conflicts"], "resolved": second["possible"],
        "resolution": second["decision"], "committed": second["committed"],
    }  # fmt: skip
    return told


def _consider(stage: Stage, files: list[Path], *, commit: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = stage.kb.call(
        "consider_proposals", application=stage.application, commit=commit, author=stage.kb.author,
        proposals=[{"name": f"proposals/{p.name}", "text": p.read_text(encoding="utf-8")} for p in files],
    )  # fmt: skip
    return told
