"""Steps 2 and 3: components found by meaning, with reasons; roles on one design, and the conflict between them."""

from __future__ import annotations

from typing import Any

from engine.errors import NotAvailableError
from engine.story.stage import Stage, Told


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
        best = ", ".join(f"{c['name']} ({c['similarity']:.2f})" for c in need["recommended"])
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
