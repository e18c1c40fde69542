"""Which packages become components, and what is said where no package list can be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import NotAvailableError
from engine.search.packages import HELPER, Source, component_of, read_list, select, stanzas

STANZAS = """Package: recoder
Version: 2:1.0-1
Installed-Size: 2048
Architecture: amd64
Description: converts video streams
Tag: role::program, works-with::video,
 use::converting
Section: video
Size: 1000

Package: recoder-dev
Section: video
Description: converts video streams (development files)

Package: fonts-video
Section: fonts
Description: fonts for video titles

Package: tidy
Section: text
Description: tidies text

Package: peers
Section: non-free/utils
Architecture: all
Description: peer-to-peer file exchange

Package: timestamps
Section: utils
Architecture: arm64
Description: prints the date
Tag: protocol::http

Package: dates
Section: utils
Description: prints the date
"""


def test_components_are_those_of_the_topics_when_a_list_is_read() -> None:
    found = {c.name: c for c in select(stanzas(STANZAS.splitlines(keepends=True)))}
    assert sorted(found) == ["peers", "recoder", "timestamps"]
    made = found["recoder"]
    assert made.tags == ("role::program", "use::converting", "works-with::video")
    assert (made.version, made.section, made.architecture) == ("2:1.0-1", "video", "x86_64")
    assert (made.installed_size, made.size) == (2048 * 1024, 1000)
    assert (found["peers"].architecture, found["peers"].section) == ("", "utils")
    assert found["timestamps"].architecture == "arm64"


def test_sizes_are_unknown_when_a_stanza_says_nonsense() -> None:
    made = component_of({"Package": "x", "Installed-Size": "many", "Size": "-3"}, "net", ())
    assert (made.installed_size, made.size, made.description) == (0, 0, "")


def test_reason_and_remedy_are_told_when_there_is_no_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailableError, match="not available: apt") as caught:
        read_list()
    assert "index file" in caught.value.remedy


def test_source_is_told_on_one_line() -> None:
    assert (
        Source("Debian", "bookworm", "12", "amd64", ("contrib", "main")).label
        == "Debian bookworm 12 contrib/main amd64"
    )


@pytest.mark.skipif(shutil.which("apt-get") is None or not HELPER.exists(), reason="apt is not on this machine")
def test_same_components_are_read_when_the_machine_s_list_is_read_twice() -> None:
    try:
        source, first = read_list()
    except NotAvailableError as error:
        pytest.skip(f"no package list here: {error.message}")
    again = read_list()
    assert (source, first) == again
    names = [c.name for c in first]
    assert names == sorted(set(names))
    assert 500 < len(names) < 6000, "the selection bounds the index"
    assert {"video", "net"} <= {c.section for c in first}
    assert not [n for n in names if n.endswith(("-dev", "-doc", "-dbg"))]
    assert sum(bool(c.tags) for c in first) > len(first) / 3
