#!/usr/bin/env python3
"""Shows what a Cloudschool node sends an appliance, with GStreamer's RTP-over-QUIC elements.

A program and no gst-launch line, because quinnroqdemux asks what each flow id means:

    GST_PLUGIN_PATH=target/tools/gst-plugin-quinn scripts/roq-watch.py \\
        --address 203.0.113.7 --port 8443 --tls data/tls/screen --flow 1=h264 --flow 2=opus

--tls is a directory with ca.pem, node.pem and node.key, as `sfu ca issue` writes it. Plays until
the connection ends. With --frames it shows nothing, decodes so many pictures (and as many packets
of sound, where it gets any) and ends with a line of JSON that says what it saw.
"""

import argparse
import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

CAPS = {
    "h264": "application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
    "opus": "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000",
}
DECODE = {
    "h264": "rtph264depay ! h264parse ! avdec_h264",
    "vp8": "rtpvp8depay ! vp8dec",
    "opus": "rtpopusdepay ! opusdec",
}
CONVERT = {"video": "videoconvert", "audio": "audioconvert ! audioresample"}


class Watcher:
    def __init__(self, arguments):
        self.flows = dict(flow.split("=", 1) for flow in arguments.flow)
        self.wanted = arguments.frames
        self.seen = {"frames": 0, "sound": 0, "size": None, "pictures": 0}
        self.last = None
        self.failure = None
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new(None)
        source = Gst.ElementFactory.make("quinnquicsrc")
        self.demux = Gst.ElementFactory.make("quinnroqdemux")
        if source is None or self.demux is None:
            sys.exit("quinnquicsrc and quinnroqdemux are not there: set GST_PLUGIN_PATH")
        tls = arguments.tls
        for name, value in {
            "role": "client",
            "address": arguments.address,
            "port": arguments.port,
            "server-name": "trunk.cloudschool.internal",
            "alpn-protocols": f"<{arguments.alpn}>",
            "certificate-database-file": f"{tls}/ca.pem",
            "certificate-file": f"{tls}/node.pem",
            "private-key-file": f"{tls}/node.key",
            "timeout": 0,
        }.items():
            Gst.util_set_object_arg(source, name, str(value))
        self.demux.connect("request-flow-id-map", self.meaning)
        self.demux.connect("pad-added", self.flow_begins)
        self.pipeline.add(source)
        self.pipeline.add(self.demux)
        source.link(self.demux)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.failed)
        bus.connect("message::eos", lambda *_: self.end("the connection ended"))

    def meaning(self, _demux, flow):
        """What a flow id stands for, as caps."""
        codec = self.flows.get(str(flow))
        return Gst.Caps.from_string(CAPS[codec]) if codec else None

    def flow_begins(self, _demux, pad):
        codec = self.flows[pad.get_name().removeprefix("src_")]
        kind = "audio" if codec == "opus" else "video"
        sink = f"auto{kind}sink" if self.wanted is None else "fakesink sync=false signal-handoffs=true"
        description = (
            f"queue ! rtpjitterbuffer latency=200 ! {DECODE[codec]} ! {CONVERT[kind]} ! {sink} name=sink"
        )
        part = Gst.parse_bin_from_description(description, True)
        if self.wanted is not None:
            part.get_by_name("sink").connect("handoff", self.decoded, kind)
        self.pipeline.add(part)
        pad.link(part.get_static_pad("sink"))
        # Not the pipeline's state: a flow can begin while that is still on its way to playing,
        # and what would be added as paused then stays so.
        part.set_state(Gst.State.PLAYING)

    def decoded(self, _sink, buffer, pad, kind):
        if kind == "audio":
            self.seen["sound"] += 1
        else:
            self.seen["frames"] += 1
            caps = pad.get_current_caps().get_structure(0)
            self.seen["size"] = [caps.get_value("width"), caps.get_value("height")]
            picture = hash(buffer.extract_dup(0, buffer.get_size()))
            self.seen["pictures"] += picture != self.last
            self.last = picture
        kinds = {"sound" if codec == "opus" else "frames" for codec in self.flows.values()}
        if all(self.seen[kind] >= self.wanted for kind in kinds):
            GLib.idle_add(self.loop.quit)

    def failed(self, _bus, message):
        error, detail = message.parse_error()
        self.end(f"{error.message} ({detail})")

    def end(self, why):
        self.failure = why
        self.loop.quit()

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        except KeyboardInterrupt:
            pass
        self.pipeline.set_state(Gst.State.NULL)
        if self.failure:
            sys.exit(self.failure)
        if self.wanted is not None:
            print(json.dumps(self.seen))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--alpn", default="roq-16")
    parser.add_argument("--tls", required=True, help="directory of the certificate")
    parser.add_argument("--flow", action="append", required=True, help="ID=h264, vp8 or opus")
    parser.add_argument("--frames", type=int, help="decode so many, show nothing, and say what came")
    arguments = parser.parse_args()
    Gst.init(None)
    Watcher(arguments).run()


main()
