"""Draws the report of a study for the documentation, with Chromium and pillow.

    python benchmarks/report_pictures.py DIR --out docs

Writes the head of DIR/report.html and its trade-off, light and 1440 pixels wide, and its scores,
dark and 390 wide.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--virtual-time-budget=60000", "--allow-file-access-from-files"),
)
# Name, width and height in pixels, place in the page, flags of the colour scheme.
PICTURES = (
    ("report-light.png", 1440, 2860, "", ()),
    ("study-report.png", 1440, 620, "#trade-off", ()),
    ("report-dark.png", 390, 2860, "#scores", ("--blink-settings=preferredColorScheme=0",)),
)
FRAME = (
    '<body style="margin:0"><iframe src="{url}" width="{width}" height="{height}" '
    'style="border:0"></iframe>'
)


def draw(chromium: str, url: str, out: Path, width: int, height: int, flags: tuple) -> None:
    """Writes one picture.  A frame has the width, because a window has at least 500 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        frame, shot = Path(folder) / "frame.html", Path(folder) / "shot.png"
        frame.write_text(FRAME.format(url=url, width=width, height=height))
        size = f"--window-size={max(width, 500)},{height}"
        where = (f"--user-data-dir={folder}/profile", f"--screenshot={shot}", frame.as_uri())
        subprocess.run([chromium, *FLAGS, *flags, size, *where], check=True, capture_output=True)
        with Image.open(shot) as image:
            picture = image.convert("RGB").crop((0, 0, width, height))
            # A palette that keeps rare colours, such as those of verdicts.
            picture = picture.quantize(
                256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
            )
            picture.save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        parser.error("needs Chromium; on Debian: apt install chromium")
    page = (args.study / "report.html").resolve().as_uri()
    for name, width, height, place, flags in PICTURES:
        draw(chromium, page + place, args.out / name, width, height, flags)
        print(args.out / name, f"{(args.out / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
