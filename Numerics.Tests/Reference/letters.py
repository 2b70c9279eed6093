"""Draws the letters A to J in free fonts: letters.zip, a data set of pictures of uneven sizes and colours, as people have them.

    python3 letters.py

Wants Pillow and these fonts, as Debian packs them. Every third family is for the test alone: no picture of it is trained on.
"""

import io
import random
import sys
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path("/usr/share/fonts")
# Families under licences that let anyone draw with them (OFL, Apache, GPL with font exception, Bitstream Vera, public domain).
FAMILIES = [
    ("asana-math", "Asana-Math*"), ("cabin", "Cabin-Regular*"), ("caladea", "Caladea-Regular*"), ("cantarell", "Cantarell-Regular*"),
    ("carlito", "Carlito-Regular*"), ("comfortaa", "Comfortaa-Regular*"), ("dejavu-mono", "DejaVuSansMono.ttf"),
    ("dejavu-sans", "DejaVuSans.ttf"), ("dejavu-serif", "DejaVuSerif.ttf"), ("dosis", "Dosis-Medium*"),
    ("eb-garamond", "EBGaramond12-Regular*"), ("fira-code", "FiraCode-Regular*"), ("free-sans", "FreeSansBold.ttf"),
    ("free-serif", "FreeSerif.ttf"), ("gfs-didot", "GFSDidot.otf"), ("hack", "Hack-Regular*"), ("humor-sans", "Humor-Sans*"),
    ("inconsolata", "Inconsolata*"), ("junction", "Junction*"), ("jura", "Jura-Medium*"), ("lato", "Lato-Regular*"),
    ("league-spartan", "LeagueSpartan-Regular*"), ("liberation-mono", "LiberationMono-Regular*"),
    ("liberation-serif", "LiberationSerif-Bold.ttf"), ("linux-libertine", "LinLibertine_R.otf"), ("open-sans", "OpenSans-Regular*"),
    ("quicksand", "Quicksand-Medium*"), ("roboto", "Roboto-Regular*"), ("tomsontalks", "TomsonTalks*"), ("vollkorn", "Vollkorn-Regular*"),
]


def draw(letter: str, font_file: Path, draws: random.Random) -> Image.Image:
    """A dark letter on a light ground, a little off the middle and out of line."""
    width, height = draws.randint(36, 60), draws.randint(36, 60)
    paper = tuple(draws.randint(190, 255) for _ in range(3))
    ink = tuple(draws.randint(0, 90) for _ in range(3))
    picture = Image.new("RGB", (width, height), paper)
    font = ImageFont.truetype(str(font_file), int(min(width, height) * draws.uniform(0.6, 0.8)))
    left, top, right, bottom = font.getbbox(letter)
    at = ((width - right - left) / 2 + draws.uniform(-3, 3), (height - bottom - top) / 2 + draws.uniform(-3, 3))
    ImageDraw.Draw(picture).text(at, letter, fill=ink, font=font)
    return picture.rotate(draws.uniform(-6, 6), Image.BILINEAR, fillcolor=paper)


def main() -> None:
    draws = random.Random(1)
    target = Path(__file__).with_name("letters.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, (family, pattern) in enumerate(FAMILIES):
            files = sorted(ROOT.rglob(pattern))
            if not files:
                sys.exit(f"there is no {pattern} under {ROOT}")
            part = "test" if number % 3 == 1 else "train"
            for letter in "ABCDEFGHIJ":
                for take in range(2 if part == "train" else 1):
                    jpeg = draws.random() < 0.5
                    buffer = io.BytesIO()
                    picture = draw(letter, files[0], draws)
                    picture.save(buffer, "JPEG" if jpeg else "PNG", **({"quality": 85} if jpeg else {}))
                    name = f"letters/{part}/{letter}/{family}-{take}.{'jpg' if jpeg else 'png'}"
                    archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), buffer.getvalue())


main()
