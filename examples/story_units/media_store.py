"""media-store: keeps pictures under the SHA-256 of their bytes, within a bound; the oldest go first.

A picture is written beside its place and moved there, so a crash leaves a whole one or none.

PUT /objects/DIGEST   201 when new, 200 when there; 400 when the bytes are others
GET /objects/DIGEST   the bytes; 404
GET /usage            {"objects", "bytes", "bound"}
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict

from unit import Refused, Reply, Request, Unit

BOUND = int(os.environ.get("DAPPOPS_MEDIA_BYTES") or 32 << 20)  # bytes of pictures, at most


def main() -> None:
    unit = Unit()
    folder = unit.state / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    lock = threading.Lock()
    there: OrderedDict[str, int] = OrderedDict()  # digest: bytes, oldest first
    for path in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime_ns):
        if path.suffix:
            path.unlink()  # what a crash left half written
        else:
            there[path.name] = path.stat().st_size
    kept = {"bytes": sum(there.values())}
    evicted = unit.counter("dappops_evicted", "Pictures that made room for newer ones")
    unit.gauge("dappops_stored_bytes", "Bytes of pictures kept", lambda: kept["bytes"])
    unit.queue()

    @unit.at("PUT", "/objects/")
    def put(request: Request) -> Reply:
        digest = hashlib.sha256(request.body).hexdigest()
        if digest != request.rest:
            raise Refused(400, f"these bytes are {digest}")
        if len(request.body) > BOUND:
            raise Refused(413, f"at most {BOUND} bytes are kept")
        with lock:
            if digest in there:
                return Reply(200, {"digest": digest})
            part = folder / f"{digest}.part"
            part.write_bytes(request.body)
            part.replace(folder / digest)
            there[digest] = len(request.body)
            kept["bytes"] += len(request.body)
            while kept["bytes"] > BOUND:
                oldest, size = there.popitem(last=False)
                (folder / oldest).unlink(missing_ok=True)
                kept["bytes"] -= size
                evicted.inc()
        return Reply(201, {"digest": digest})

    @unit.at("GET", "/objects/")
    def get(request: Request) -> Reply:
        if request.rest not in there:
            return Reply(404, {"error": "not here"})
        try:
            return Reply(200, (folder / request.rest).read_bytes(), "application/octet-stream")
        except FileNotFoundError:
            return Reply(404, {"error": "gone just now"})

    @unit.at("GET", "/usage")
    def usage(_: Request) -> Reply:
        return Reply(200, {"objects": len(there), "bytes": kept["bytes"], "bound": BOUND})

    unit.run()


if __name__ == "__main__":
    main()
