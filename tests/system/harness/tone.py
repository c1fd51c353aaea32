"""Tones: making one, and finding one in a recording (Goertzel, no library needed)."""
import math
import struct
import wave

RATE = 8000


def write(path, hertz, seconds=2.0):
    frames = b"".join(struct.pack("<h", int(12000 * math.sin(2 * math.pi * hertz * i / RATE)))
                      for i in range(int(RATE * seconds)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(frames)


def read(path):
    """(rate, samples) of the first channel. A recording whose program was cut off has a header with a wrong length."""
    data = open(path, "rb").read()
    at = data.index(b"fmt ")
    channels, rate = struct.unpack_from("<HI", data, at + 10)
    start = data.index(b"data", at) + 8
    body = data[start:start + (len(data) - start) // (2 * channels) * (2 * channels)]
    return rate, struct.unpack(f"<{len(body) // 2}h", body)[::channels]


def share(samples, rate, hertz):
    """How much of the energy is within a few hertz of the tone, 0 .. 1, over the whole recording in blocks of 100 ms."""
    block = rate // 10
    tone = total = 0.0
    for start in range(0, len(samples) - block + 1, block):
        part = samples[start:start + block]
        k = round(block * hertz / rate)
        coefficient = 2 * math.cos(2 * math.pi * k / block)
        s1 = s2 = 0.0
        for x in part:
            s1, s2 = x + coefficient * s1 - s2, s1
        tone += 2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2) / block
        total += sum(x * x for x in part)
    return tone / total if total else 0.0
