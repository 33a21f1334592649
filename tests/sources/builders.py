"""Small videos made in the test: each frame carries its number in large black and white squares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

N_BITS = 8
CELL_PX = 16


def code_image(number: int, *, width_px: int = 128, height_px: int = 64) -> npt.NDArray[np.uint8]:
    """Draw a number as a row of squares that survives lossy coding."""
    image = np.full((height_px, width_px, 3), 128, dtype=np.uint8)
    for bit in range(N_BITS):
        image[:CELL_PX, bit * CELL_PX : (bit + 1) * CELL_PX] = 255 * (number >> bit & 1)
    return image


def read_code(image: npt.NDArray[np.uint8]) -> int:
    """Read the number back."""
    cells = [image[4 : CELL_PX - 4, bit * CELL_PX + 4 : (bit + 1) * CELL_PX - 4] for bit in range(N_BITS)]
    return sum(int(cell.mean() > 127) << bit for bit, cell in enumerate(cells))


def write_video(
    path: Path, times_s: Sequence[float], *, codec: str = "libx264", images: Sequence[npt.NDArray[np.uint8]] = ()
) -> Path:
    """Write a video whose frame i is shown at times_s[i]; the number i is drawn unless images are given."""
    pictures = list(images) or [code_image(i) for i in range(len(times_s))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=30, options={"preset": "ultrafast", "bf": "2"} if "264" in codec else {}
        )
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time_s in zip(pictures, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn_right(path: Path) -> Path:
    """Note in an MP4's track header that its pictures are to be shown turned a quarter clockwise."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a version 0 header
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # x' = -y, y' = x: right becomes down
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    return path
