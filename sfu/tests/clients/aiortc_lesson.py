"""A camera and a player that know WHIP and WHEP and nothing of Cloudschool, on aiortc.

Publishes a picture that grows brighter and darker, and a tone; plays both back from the node and
decodes them. Ends by itself with a line of JSON that says what came: `frames`, `brightness` (least
and most), `sound` (frames that were not silent), `codec`.
"""

import argparse
import array
import asyncio
import fractions
import json
import math
import urllib.request
from urllib.parse import urljoin

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import AudioFrame, VideoFrame

# Without loopback, which aioice leaves out, there may be no address at all.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Picture(VideoStreamTrack):
    """A grey that goes from dark to bright and back in two seconds."""

    def __init__(self):
        super().__init__()
        self.number = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        grey = int(128 + 90 * math.sin(self.number / 60 * 2 * math.pi))
        self.number += 1
        frame = VideoFrame(320, 240, "yuv420p")
        for plane, value in zip(frame.planes, (grey, 128, 128)):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    async def recv(self):
        silent = await super().recv()
        rate, samples = silent.sample_rate, silent.samples
        wave = bytearray()
        for n in range(samples):
            value = int(12000 * math.sin((silent.pts + n) / rate * 440 * 2 * math.pi))
            wave += value.to_bytes(2, "little", signed=True)
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        frame.planes[0].update(bytes(wave))
        frame.pts, frame.sample_rate = silent.pts, rate
        frame.time_base = fractions.Fraction(1, rate)
        return frame


def request(method, url, token, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    data = body.encode() if body else None
    made = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(made, timeout=10) as response:
        return response.status, response.headers, response.read().decode()


async def connect(pc, url, token):
    """One offer, one answer; gives the session's address."""
    await pc.setLocalDescription(await pc.createOffer())
    status, headers, answer = await asyncio.to_thread(
        request, "POST", url, token, pc.localDescription.sdp
    )
    assert status == 201 and headers["Content-Type"] == "application/sdp", (status, headers)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return urljoin(url, headers["Location"])


async def hang_up(pc, session, token):
    status, _, _ = await asyncio.to_thread(request, "DELETE", session, token)
    assert status == 200, status
    await pc.close()


async def main(options):
    camera = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    camera.addTransceiver(Tone(), direction="sendonly")
    picture = camera.addTransceiver(Picture(), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    wanted = [c for c in codecs if c.mimeType in (options.codec, "video/rtx")]
    picture.setCodecPreferences(wanted)
    published = await connect(camera, options.whip, options.publisher)

    player = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    player.addTransceiver("video", direction="recvonly")
    player.addTransceiver("audio", direction="recvonly")
    seen, heard = [], []
    enough = asyncio.Event()

    async def watch(track):
        while True:
            frame = await track.recv()
            if track.kind == "video":
                plane = frame.planes[0]
                seen.append(bytes(plane)[plane.line_size * frame.height // 2 + frame.width // 2])
            else:
                samples = array.array("h", bytes(frame.planes[0]))
                heard.append(max(map(abs, samples[::16])) > 1000)
            if len(seen) >= 90 and sum(heard) >= 100:
                enough.set()

    watching = []
    player.on("track", lambda track: watching.append(asyncio.ensure_future(watch(track))))
    played = await connect(player, options.whep, options.player)
    try:
        await asyncio.wait_for(enough.wait(), 20)
    except asyncio.TimeoutError:
        pass
    for task in watching:
        if task.done():
            task.result()
        task.cancel()
    await hang_up(player, played, options.player)
    await hang_up(camera, published, options.publisher)
    brightness = [min(seen, default=0), max(seen, default=0)]
    result = {"frames": len(seen), "brightness": brightness, "sound": sum(heard)}
    print(json.dumps(result | {"codec": options.codec}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--whip", required=True)
    parser.add_argument("--whep", required=True)
    parser.add_argument("--publisher", required=True, help="token")
    parser.add_argument("--player", required=True, help="token")
    parser.add_argument("--codec", default="video/H264")
    asyncio.run(main(parser.parse_args()))
