#!/usr/bin/env python3
"""A command for `classroom-client assist` that understands nothing: it measures.

It reads the sound of a lesson as the assistant gives it, tells speech from silence by its
loudness, and writes a caption for each stretch of speech with how long it was and how much was
heard so far. In its place a speech recogniser writes what was said.

    classroom-client assist --node http://127.0.0.1:8080 --lesson demo-lesson \\
        --lang en -- python3 classroom-client/examples/voice-activity.py
"""

import array
import json
import os
import sys

RATE = int(os.environ.get("CLOUDSCHOOL_RATE", "16000"))
PIECE = RATE // 10  # 100 ms
LOUD = 10 ** (-45 / 20) * 32768  # -45 dB below full scale
PAUSE = 5  # pieces of silence that end a stretch
LONGEST = 100  # pieces: 10 s


def say(**line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def loudness(piece):
    return (sum(sample * sample for sample in piece) / len(piece)) ** 0.5


def pieces(stream):
    while data := stream.read(PIECE * 2):
        samples = array.array("h")
        samples.frombytes(data[: len(data) // 2 * 2])
        if sys.byteorder == "big":
            samples.byteswap()
        if samples:
            yield samples


def main():
    begin, silent, count = None, 0, 0
    for count, piece in enumerate(pieces(sys.stdin.buffer), start=1):
        if loudness(piece) > LOUD:
            begin, silent = (count - 1 if begin is None else begin), 0
        elif begin is not None:
            silent += 1
        over = begin is not None and (silent >= PAUSE or count - begin >= LONGEST)
        if over:
            end = count - silent
            text = f"speech, {(end - begin) / 10:.1f} s ({count / 10:.1f} s heard)"
            say(text=text, start=begin / 10, end=end / 10)
            begin, silent = None, 0
    print(f"heard {count / 10:.1f} s", file=sys.stderr)


main()
