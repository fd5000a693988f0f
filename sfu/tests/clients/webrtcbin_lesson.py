"""A camera and a player on GStreamer's webrtcbin, with WHIP and WHEP around it by hand.

Publishes a moving test picture as H.264 and a tone as Opus; plays both back from the node and
decodes them. Ends by itself with a line of JSON: `frames`, `sound` (buffers), `size`.
"""

import argparse
import json
import sys
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

CAMERA = """
webrtcbin name=rtc bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1
  ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=60
  ! video/x-h264,profile=constrained-baseline
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency
  ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000 ! rtc.sink_0
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000 ! rtc.sink_1
"""

RECEIVES = [
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,"
    "encoding-params=(string)2",
]


def request(method, url, token, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    data = body.encode() if body else None
    made = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(made, timeout=10) as response:
        return response.status, response.headers, response.read().decode()


class Peer:
    """One webrtcbin: makes an offer when it can, posts it, and takes the answer."""

    def __init__(self, pipeline, url, token):
        self.pipeline, self.url, self.token, self.session = pipeline, url, token, None
        self.rtc = pipeline.get_by_name("rtc")
        # Without loopback, which libnice leaves out, there may be no address at all.
        self.ice = self.rtc.props.ice_agent
        self.ice.emit("add-local-ip-address", "127.0.0.1")
        self.rtc.connect("on-negotiation-needed", self.negotiate)
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.failed)

    def failed(self, _bus, message):
        print(*message.parse_error(), file=sys.stderr)

    def negotiate(self, rtc):
        if self.session is None:
            promise = Gst.Promise.new_with_change_func(self.offered, None, None)
            rtc.emit("create-offer", None, promise)

    def offered(self, promise, *_):
        # The reply owns what it holds: it has to outlive it.
        self.reply = promise.get_reply()
        offer = self.reply.get_value("offer")
        self.rtc.emit("set-local-description", offer, Gst.Promise.new())
        # This is webrtcbin's own thread, which must not wait for what it does itself.
        GLib.idle_add(self.post, offer.sdp.as_text())

    def post(self, offer):
        status, headers, answer = request("POST", self.url, self.token, offer)
        assert status == 201, status
        self.session = urljoin(self.url, headers["Location"])
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        kind = GstWebRTC.WebRTCSDPType.ANSWER
        described = GstWebRTC.WebRTCSessionDescription.new(kind, message)
        self.rtc.emit("set-remote-description", described, Gst.Promise.new())

    def end(self):
        self.pipeline.set_state(Gst.State.NULL)
        if self.session:
            status, _, _ = request("DELETE", self.session, self.token)
            assert status == 200, status


class Player(Peer):
    def __init__(self, url, token, enough):
        pipeline = Gst.Pipeline.new()
        rtc = Gst.ElementFactory.make("webrtcbin", "rtc")
        rtc.props.bundle_policy = GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE
        pipeline.add(rtc)
        super().__init__(pipeline, url, token)
        self.got, self.size, self.enough = {"video": 0, "audio": 0}, [0, 0], enough
        rtc.connect("pad-added", self.arrived)
        for caps in RECEIVES:
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            rtc.emit("add-transceiver", direction, Gst.Caps.from_string(caps))

    def arrived(self, _rtc, pad):
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        decoder = {
            "video": "rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=I420",
            "audio": "rtpopusdepay ! opusdec",
        }[kind]
        sink = "fakesink name=sink signal-handoffs=true sync=false async=false"
        branch = Gst.parse_bin_from_description(f"queue ! {decoder} ! {sink}", True)
        branch.get_by_name("sink").connect("handoff", self.decoded, kind)
        self.pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def decoded(self, _sink, _buffer, pad, kind):
        self.got[kind] += 1
        if kind == "video":
            caps = pad.get_current_caps().get_structure(0)
            self.size = [caps.get_int("width")[1], caps.get_int("height")[1]]
        if self.got["video"] >= 90 and self.got["audio"] >= 100:
            GLib.idle_add(self.enough)


def main(options):
    Gst.init(None)
    loop = GLib.MainLoop()
    camera = Peer(Gst.parse_launch(CAMERA), options.whip, options.publisher)
    player = Player(options.whep, options.player, loop.quit)
    camera.pipeline.set_state(Gst.State.PLAYING)
    player.pipeline.set_state(Gst.State.PLAYING)
    GLib.timeout_add_seconds(20, loop.quit)
    loop.run()
    player.end()
    camera.end()
    print(json.dumps({"frames": player.got["video"], "sound": player.got["audio"], "size": player.size}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--whip", required=True)
    parser.add_argument("--whep", required=True)
    parser.add_argument("--publisher", required=True, help="token")
    parser.add_argument("--player", required=True, help="token")
    main(parser.parse_args())
