"""Files that a browser shows: pictures, sound, a film, a PDF; made here, none of them larger than it must be."""

from __future__ import annotations

import base64
import struct
import zlib
from math import sin

from tests.e2e.browser.cdp import Page

Colour = tuple[int, int, int]


def png(width: int, height: int, colour: Colour) -> bytes:
    """Return a picture that fades from a colour to black."""
    rows = (bytes(part * (height - row) // height for part in colour) * width for row in range(height))
    return _png(width, height, b"".join(b"\0" + row for row in rows))


def landscape(width: int, height: int, sky: Colour, land: Colour) -> bytes:
    """Return a picture of two rows of hills, and a sun above them."""
    far = [int(height * (0.6 + 0.07 * sin(at / width * 8))) for at in range(width)]
    near = [int(height * (0.77 + 0.09 * sin(at / width * 5 + 2))) for at in range(width)]
    x, y, radius = width * 0.7, height * 0.3, height * 0.11
    ground, haze = bytes(land), bytes((part + light) // 2 for part, light in zip(land, sky, strict=True))
    lines = []
    for row in range(height):
        above = bytes(part + (255 - part) * row // (height * 2) for part in sky)
        half = max(0.0, radius**2 - (row - y) ** 2) ** 0.5
        line = [b"\xff\xf3\xd6" if abs(at - x) < half else above for at in range(width)]
        lines.append(b"\0" + b"".join(
            ground if row > near[at] else haze if row > far[at] else one for at, one in enumerate(line)
        ))  # fmt: skip
    return _png(width, height, b"".join(lines))


def _png(width: int, height: int, lines: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def wav(seconds: float) -> bytes:
    """Return a low tone, 8,000 samples a second."""
    samples = bytes(int(128 + 60 * sin(at / 12)) for at in range(int(8000 * seconds)))
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + len(data), b"WAVE") + fmt + data


def pdf() -> bytes:
    """Return one empty page."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%send\nobj\n".replace(b"end\nobj", b"\nendobj") % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 4\n0000000000 65535 f \n%strailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(body),
    )


_RECORD = """(async () => {
    const canvas = document.createElement("canvas");
    canvas.width = 64; canvas.height = 48;
    const draw = canvas.getContext("2d");
    let hue = 0;
    const timer = setInterval(() => { draw.fillStyle = `hsl(${hue += 20} 80% 50%)`; draw.fillRect(0, 0, 64, 48); }, 20);
    const sound = new AudioContext();
    const tone = sound.createOscillator();
    const out = sound.createMediaStreamDestination();
    tone.connect(out); tone.start();
    const stream = FILM ? canvas.captureStream(25) : out.stream;
    const recorder = new MediaRecorder(stream, { mimeType: FILM ? "video/webm" : "audio/webm;codecs=opus" });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const over = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 400));
    recorder.stop();
    await over;
    clearInterval(timer); tone.stop(); await sound.close();
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
})()"""


async def record(page: Page, *, film: bool) -> bytes:
    """Return what the browser's own recorder makes: a film of colours, or a voice message."""
    return base64.b64decode(await page.evaluate(_RECORD.replace("FILM", "true" if film else "false")))
