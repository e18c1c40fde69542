"""`multipart/form-data` bodies, taken apart by Werkzeug. https://www.rfc-editor.org/rfc/rfc7578"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.server.problem import Problem

MAX_PARTS = 100
_BOUNDARY = re.compile(r"[ -~]{1,70}")


@dataclass(frozen=True, slots=True)
class Field:
    """One part: its bytes, the media type it states, and its file name."""

    body: bytes
    kind: str = ""
    file: str = ""


def fields(body: bytes, boundary: str) -> dict[str, list[Field]]:
    """The parts by name, in order; Problem 400 for a body that is not what its media type says."""
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData
    from werkzeug.sansio.multipart import Field as Start

    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its boundary is missing or malformed")
    decoder = MultipartDecoder(boundary.encode(), max_parts=MAX_PARTS)
    out: dict[str, list[Field]] = {}
    name, kind, file, parts = "", "", "", list[bytes]()
    try:
        decoder.receive_data(body)
        decoder.receive_data(None)
        while True:
            event = decoder.next_event()
            if isinstance(event, Start | File):
                name, kind, parts = event.name, event.headers.get("content-type", ""), []
                file = event.filename if isinstance(event, File) else ""
            elif isinstance(event, Data):
                parts.append(event.data)
                if not event.more_data:
                    out.setdefault(name, []).append(Field(b"".join(parts), kind, file or ""))
            elif isinstance(event, Epilogue):
                return out
            elif isinstance(event, NeedData):
                raise _malformed("it ends too early")
    except RequestEntityTooLarge as error:
        raise Problem(413, "too-large", f"more than {MAX_PARTS} parts") from error
    except (ValueError, KeyError) as error:
        raise _malformed(str(error)) from error


def _malformed(why: str) -> Problem:
    return Problem(
        400, "multipart", f"this is no multipart/form-data body: {why}",
        more={"rule": "https://www.rfc-editor.org/rfc/rfc7578"},
    )  # fmt: skip


__all__ = ["Field", "fields"]
