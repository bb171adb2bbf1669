"""The page in a real browser: no console message, nothing loaded, light and dark, no sideways scrolling on a phone.

The page stands in a frame of its own width, in a harness that measures it: the page itself forbids all scripts.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from pehealth.experiments.report.document import Report
from pehealth.experiments.report.page import page

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
    "--v=0",
)  # fmt: skip
HARNESS = """<!doctype html><meta charset="utf-8"><body><iframe width="{width}" height="900" srcdoc="{page}"></iframe>
<pre id="measured"></pre><script>
addEventListener("load", () => {{
  const inside = document.querySelector("iframe").contentDocument, root = inside.documentElement;
  const seen = {{
    wide: root.scrollWidth, view: root.clientWidth, claims: inside.querySelectorAll(".claims > li").length,
    paper: getComputedStyle(inside.body).backgroundColor, ink: getComputedStyle(inside.body).color,
    drawn: [...inside.querySelectorAll("svg")].filter((s) => s.getBoundingClientRect().height > 100).length,
    sheet: getComputedStyle(inside.querySelector("svg rect")).fill,
    outside: inside.defaultView.performance.getEntriesByType("resource").map((e) => e.name),
  }};
  document.getElementById("measured").textContent = JSON.stringify(seen);
}});
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]


@dataclass(frozen=True)
class Visit:
    """What a browser saw, and what it said on its console."""

    seen: dict[str, Any]
    console: list[str]


def visit(html: str, width: int, folder: Path, *flags: str) -> Visit:
    """Open a page in a frame `width` pixels wide."""
    harness = folder / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=escape(html)), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", harness.as_uri()]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=folder)
    found = re.search(r'<pre id="measured">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found is not None, ended.stdout[-2000:]
    return Visit(json.loads(unescape(found[1])), [line for line in ended.stderr.splitlines() if ":CONSOLE" in line])


@pytest.mark.parametrize(
    ("scheme", "width", "paper"),
    [("1", 1200, "rgb(255, 255, 255)"), ("0", 1200, "rgb(13, 17, 23)"), ("1", 360, "rgb(255, 255, 255)")],
    ids=["light", "dark", "phone"],
)
def test_the_page_is_whole_silent_and_fits(report: Report, tmp_path: Path, scheme: str, width: int, paper: str) -> None:
    visited = visit(page(report), width, tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert visited.console == []
    assert visited.seen["outside"] == []
    assert visited.seen["claims"] == 34
    assert visited.seen["drawn"] == 6
    assert visited.seen["wide"] <= visited.seen["view"] <= width
    assert visited.seen["paper"] == visited.seen["sheet"] == paper
    assert visited.seen["ink"] != paper


def test_the_harness_would_notice(report: Report, tmp_path: Path) -> None:
    """A picture from elsewhere and a script are refused, loudly; a wide box is seen."""
    spoilt = page(report).replace(
        "<main>", '<main><img src="https://192.0.2.1/x.png"><script>1</script><div style="width:900px">wide</div>'
    )
    visited = visit(spoilt, 360, tmp_path)
    assert len(visited.console) >= 2
    assert visited.seen["wide"] > visited.seen["view"]
