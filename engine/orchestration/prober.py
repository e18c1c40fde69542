"""Asks many addresses at once whether they answer; a child process, so that it can live in another network.

One JSON line in: {"timeout": seconds, "urls": {key: URL}}. One out: {key: [answered well?, seconds, what went wrong]}.
On the standard library alone, started by path, ends with its input.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

AT_ONCE = 32
MOST = 4096  # bytes read of an answer


def ask(url: str, timeout: float) -> tuple[bool, float, str]:
    """GET: whether the answer is 2xx, how long it took, and why not."""
    begun = time.monotonic()
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        answer.read(MOST)
        good = 200 <= answer.status < 300
        return good, time.monotonic() - begun, "" if good else f"answered {answer.status}"
    except TimeoutError:
        return False, time.monotonic() - begun, f"no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        return False, time.monotonic() - begun, getattr(error, "strerror", None) or type(error).__name__
    finally:
        connection.close()


def main() -> None:
    """Answer line after line until the input ends."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            asked = json.loads(line)
            keys = list(asked["urls"])
            timeout = float(asked["timeout"])
            answers = pool.map(lambda key, a=asked, t=timeout: ask(a["urls"][key], t), keys)
            print(json.dumps(dict(zip(keys, answers, strict=True))), flush=True)


if __name__ == "__main__":
    main()
