"""consent-registry: knows who agreed to be shown, durably, and has every change noted by the ledger writer.

A change counts as soon as it is in SQLite; its note for the ledger waits in the same database until the writer took it,
so neither a crash here nor an absent writer loses one.

GET /consent/ID   {"camera", "granted", "since"}; 404 when nobody ever said anything
PUT /consent/ID   {"granted": true|false}
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time

from unit import Refused, Reply, Request, Unit

SCHEMA = """
CREATE TABLE IF NOT EXISTS consent(camera TEXT PRIMARY KEY, granted INTEGER NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL);
"""


def main() -> None:
    unit = Unit()
    unit.state.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(unit.state / "consent.sqlite", check_same_thread=False, isolation_level=None)
    base.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
    lock = threading.Lock()
    ledger = unit.peer("ledger-writer")

    def waiting() -> float:
        with lock:
            return float(base.execute("SELECT count(*) FROM note").fetchone()[0])

    unit.queue(waiting)

    @unit.at("GET", "/consent/")
    def told(request: Request) -> Reply:
        with lock:
            row = base.execute("SELECT granted, since FROM consent WHERE camera=?", (request.rest,)).fetchone()
        if row is None:
            return Reply(404, {"error": f"nobody spoke for camera {request.rest}"})
        return Reply(200, {"camera": request.rest, "granted": bool(row[0]), "since": row[1]})

    @unit.at("PUT", "/consent/")
    def tell(request: Request) -> Reply:
        said = request.json()
        granted = said.get("granted") if isinstance(said, dict) else None
        if not isinstance(granted, bool) or not 0 < len(request.rest) <= 64:
            raise Refused(400, '{"granted": true} or {"granted": false}, for a camera of at most 64 characters')
        record = {"camera": request.rest, "granted": granted, "since": time.time()}
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
        with lock:
            base.execute("BEGIN IMMEDIATE")
            base.execute("REPLACE INTO consent VALUES (?, ?, ?)", (request.rest, granted, record["since"]))
            base.execute("INSERT INTO note(digest) VALUES (?)", (digest,))
            base.execute("COMMIT")
        return Reply(200, {**record, "digest": digest})

    def hand_on() -> None:
        with lock:
            rows = base.execute("SELECT id, digest FROM note ORDER BY id LIMIT 64").fetchall()
        if rows:
            body = json.dumps({"source": unit.name, "digests": [digest for _, digest in rows]}).encode()
            if ledger.call("POST", "/entries", body).status == 200:
                with lock:
                    base.execute("DELETE FROM note WHERE id<=?", (rows[-1][0],))

    unit.every(1.0, hand_on)
    unit.run()


if __name__ == "__main__":
    main()
