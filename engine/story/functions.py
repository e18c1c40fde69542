"""Steps 5 and 6: devices, measured functions, a choice by rules, workers per tenant; packages that give equal results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.accelerators import broker, devices, measuring, packages, profiles
from engine.accelerators.client import CallError
from engine.errors import NotAvailableError
from engine.story.stage import Stage, Told

PICTURE = (160, 120)  # of the rehearsal's cameras
BATCH, MESSAGE = 4096, 64  # messages of one hash batch, bytes each
REPEATS = 5  # warm calls at a size
NEEDS: tuple[tuple[str, int, str], ...] = (
    ("frame-filter", PICTURE[0] * PICTURE[1], "one small picture"),
    ("frame-filter", 1920 * 1080, "one large picture"),
    ("sha256-batch", BATCH, "a batch of digests"),
)
TENANTS = ("transcoder", "ledger-writer")


def virtualise(stage: Stage) -> Told:
    """Step 5: discover devices, measure variants in boxes, choose, start the broker and call through it."""
    told = Told()
    found = devices.discover(opencl=stage.settings.opencl)
    for device in found.devices:
        told.say(f"device: {devices.description(device)}")
    told.say(f"processor extensions: {', '.join(found.extensions) or 'none known'}")
    for reason in found.missing:
        told.lacks(reason)
    with measuring.workshop(stage.home) as shop:
        node = measuring.publish(stage.kb, found, shop.built)
        made, skipped = measuring.measure(
            shop, found, repeats=REPEATS, budget=stage.settings.measure,
            tell=lambda done, total, note: stage.progress(f"measure {note}", done, total),
        )  # fmt: skip
    for reason in skipped:
        told.lacks(reason)
    stage.kb.call("publish_profiles", profiles=[p.as_json() for p in made], node=node, author=stage.kb.author)
    told.say(f"measured here: {len(made)} profiles (variant x device x box x size), energy {_sources(made)}")
    told.data = {"node": node, "profiles": len(made), "choices": _choose(stage, told, node)}
    _broker(stage, told)
    return told


def _sources(made: list[profiles.Profile]) -> str:
    return " or ".join(sorted({p.energy_source for p in made})) or "unknown"


def _choose(stage: Stage, told: Told, node: str) -> list[dict[str, Any]]:
    choices = []
    for name, size, what in NEEDS:
        asked = {"function": name, "size": size, "node": node, "author": stage.kb.author, "energy": 0.2}
        made = stage.kb.call("choose_function", **asked)
        chosen, rejected = made["chosen"], sum(not c["eligible"] for c in made["candidates"])
        choices.append(
            {"function": name, "size": size, "decision": made["decision"], "chosen": chosen, "time": made["time"]}
        )
        if chosen is None:
            told.say(f"  {name}, {what}: nothing is eligible; see `dappops why {made['decision']}`")
            continue
        told.say(
            f"  {name}, {what} ({size:,} items): {chosen['variant']['label']} in {chosen['box']['label']} on "
            f"{chosen['device']['label']}, forecast {made['time']:.2f} ms a call; {rejected} of {len(made['candidates'])} rejected"
        )
    return choices


def _broker(stage: Stage, told: Told) -> None:
    """Start workers, one per tenant, through the broker, and call each function once from two tenants."""
    if stage.home is None:
        told.lacks("function broker: a knowledge base in memory has no folder for its socket")
        return
    told.data["broker"] = start_broker(stage)
    handle = broker.find(stage.home)
    if handle is None:
        raise NotAvailableError("the function broker started and ended", place=str(stage.home / "run" / "broker.log"))
    answers = []
    for tenant in TENANTS:
        name, items = ("frame-filter", PICTURE[0] * PICTURE[1]) if tenant == "transcoder" else ("sha256-batch", BATCH)
        inputs, parameters = profiles.call_of(name, items)
        with handle.client(tenant) as client:
            try:
                answer = client.call(name, parameters, inputs)
            except CallError as error:
                told.lacks(f"{name} for {tenant}: {error}")
                continue
        answers.append({"tenant": tenant, "function": name, "bytes": len(answer.output), **answer.info})
    told.data["calls"] = answers
    workers = {str(a.get("worker", a["tenant"])) for a in answers}
    told.say(
        f"broker: {len(answers)} calls for {len(TENANTS)} tenants by {len(workers)} workers, each of one tenant only"
    )


def start_broker(stage: Stage) -> str:
    """The broker of this home with the published packages and the newest choices; its socket. Used again by step 8."""
    if stage.home is None:
        return ""
    choices = stage.kb.call("function_choices", author=stage.kb.author)
    handle = broker.start(stage.home, packages=packages.published(stage.kb), choices=choices)
    return handle.socket


def package(stage: Stage) -> Told:
    """Step 6: the same functions as Wasm modules, sandboxes and OCI images: digests, and equal results in each box."""
    told = Told()
    with measuring.workshop(stage.home) as shop:
        report = packages.publish(stage.kb, shop.built)
        told.say(f"{len(shop.built)} packages, named by their SHA-256; {report['added']} statements new")
        for each in sorted(shop.built, key=lambda p: p.id):
            told.say(f"  {each.id:<28} {each.kind:<18} {each.size / 1000:>7.1f} kB  {each.digest[:19]}…")
        compared = []
        for name, items in (("frame-filter", PICTURE[0] * PICTURE[1]), ("sha256-batch", 256)):
            inputs, parameters = profiles.call_of(name, items)
            equal = packages.verify_equal(shop.store, name, parameters, inputs, area=shop.area)
            compared.append(equal.as_json())
            for row in equal.rows:
                if not row.output:
                    told.lacks(f"{row.package.id}: {row.reason}")
            verdict = "equal" if equal.equal else "NOT equal: " + ", ".join(r.package.id for r in equal.odd)
            boxes = ", ".join(sorted({r.package.box for r in equal.compared}))
            told.say(f"{name}: results of {len(equal.compared)} packages in boxes {boxes} are {verdict}")
    told.data = {"packages": len(shop.built), "compared": compared, "equal": all(c["equal"] for c in compared)}
    return told


def stop_broker(home: Path | None) -> None:
    """End the broker of a home, if one runs."""
    if home is not None:
        with suppress(NotAvailableError):
            broker.stop(home)
