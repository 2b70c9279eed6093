"""Small pictures of every form that is read, as PIL writes them, and their pixels as PIL reads them.

    python3 pictures.py                writes pictures.zip beside this file (Pillow 9.4.0 wrote the one that is committed)
    python3 pictures.py FILE.zip       writes larger ones, of another size

A picture NAME.EXT has its pixels in NAME.EXT.raw: "width height channels\\n", then the bytes. 16 bits are cut to the upper eight,
EXIF's orientation is applied, BMP and GIF always have colours,
and what is transparent lies over white: (value * opacity + 255 * (255 - opacity) + 127) // 255.
"""
import os
import random
import sys
import tempfile
import zipfile

from PIL import Image, ImageOps


def scene(width, height, mode, seed):
    """Slopes with some noise: what JPEG is made for."""
    noise = random.Random(seed)
    channels = len(mode)

    def value(x, y, c):
        base = (x * (3 + c) * 2 + y * (5 - c) * 2) // 2 + 40 * c
        return max(0, min(255, abs(base % 400 - 200) + noise.randrange(12)))

    pixels = [tuple(value(x, y, c) for c in range(channels)) for y in range(height) for x in range(width)]
    image = Image.new(mode, (width, height))
    image.putdata([p[0] for p in pixels] if channels == 1 else pixels)
    return image


def over_white(image):
    def over(value, opacity):
        return (value * opacity + 255 * (255 - opacity) + 127) // 255

    if image.mode == "LA":
        out = Image.new("L", image.size)
        out.putdata([over(v, a) for v, a in image.getdata()])
    else:
        out = Image.new("RGB", image.size)
        out.putdata([tuple(over(v, p[3]) for v in p[:3]) for p in image.convert("RGBA").getdata()])
    return out


def plain(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("I", "I;16"):
        eight = Image.new("L", image.size)
        eight.putdata([v >> 8 for v in image.getdata()])
        return eight
    if image.mode in ("LA", "RGBA") or "transparency" in image.info:
        return over_white(image)
    if image.mode == "1" and not path.endswith(".bmp"):
        return image.convert("L")
    return image if image.mode in ("L", "RGB") and not path.endswith((".bmp", ".gif")) else image.convert("RGB")


def write(folder, width, height):
    rgb, grey, rgba = scene(width, height, "RGB", 1), scene(width, height, "L", 2), scene(width, height, "RGBA", 3)
    palette = rgb.quantize(200)
    see_through = palette.copy()
    see_through.info["transparency"] = bytes([0, 90, 255, 30])
    pictures = [
        ("rgb.jpg", rgb, dict(quality=90)),
        ("rgb-444.jpg", rgb, dict(quality=95, subsampling=0)),
        ("rgb-422.jpg", rgb, dict(quality=85, subsampling=1)),
        ("progressive.jpg", rgb, dict(quality=90, progressive=True)),
        ("grey.jpg", grey, dict(quality=90)),
        ("rgb.png", rgb, {}),
        ("grey.png", grey, {}),
        ("rgba.png", rgba, {}),
        ("grey-alpha.png", Image.merge("LA", [grey, rgba.getchannel("A")]), {}),
        ("palette.png", palette, {}),
        ("palette-alpha.png", see_through, {}),
        ("palette-16.png", rgb.quantize(16), {}),
        ("one-bit.png", grey.convert("1"), {}),
        ("colour-key.png", rgb, dict(transparency=rgb.getpixel((3, 2)))),
        ("sixteen.png", Image.merge("I", [grey.convert("I").point(lambda v: v * 256 + 77)]).convert("I;16"), {}),
        ("rgb.bmp", rgb, {}),
        ("palette.bmp", palette, {}),
        ("one-bit.bmp", grey.convert("1"), {}),
        ("rgb.gif", palette, {}),
        ("see-through.gif", palette, dict(transparency=palette.getpixel((2, 1)))),
        ("rgb.ppm", rgb, {}),
        ("grey.pgm", grey, {}),
    ]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pictures.append((f"orientation-{orientation}.jpg", rgb, dict(quality=90, exif=exif)))
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures.append(("orientation-6.png", rgb, dict(exif=exif)))
    for name, image, options in pictures:
        image.save(os.path.join(folder, name), **options)
    with open(os.path.join(folder, "text.pgm"), "w") as file:
        file.write(f"P2\n# a comment\n{width} {height}\n255\n" + "\n".join(str(v) for v in grey.getdata()) + "\n")
    with open(os.path.join(folder, "text.ppm"), "w") as file:
        file.write(f"P3 {width} {height} 255\n" + "\n".join("%d %d %d" % p for p in rgb.getdata()) + "\n")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".raw"):
            continue
        image = plain(os.path.join(folder, name))
        with open(os.path.join(folder, name + ".raw"), "wb") as file:
            file.write(b"%d %d %d\n" % (image.width, image.height, len(image.getbands())) + image.tobytes())


def pack(path, width, height):
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write(folder, width, height)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                archive.writestr(zipfile.ZipInfo(name), file.read(), zipfile.ZIP_DEFLATED)


if len(sys.argv) > 1:
    pack(sys.argv[1], 229, 163)
else:
    pack(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures.zip"), 21, 11)
