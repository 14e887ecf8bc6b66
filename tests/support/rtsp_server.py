"""A camera for tests: H.264, or another codec, over RTSP at rtsp://127.0.0.1:PORT/live. Prints "ready" once it listens.

    /usr/bin/python3 rtsp_server.py PORT [--user USER --password PASSWORD] [--codec vp8] [--transport udp]

A line WIDTHxHEIGHT@FPS on its standard input changes what it sends, in the middle of the stream. It runs in the
system's Python, for which GStreamer's RTSP server is packaged.
"""

import argparse
import sys

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as e:
    sys.exit(f"{sys.executable} lacks python3-gi or gir1.2-gst-rtsp-server-1.0 (scripts/test installs them): {e}")

PIPELINE = "( videotestsrc is-live=true pattern=ball ! capsfilter name=form caps={form} ! {encoder} name=pay0 {sound} )"
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! rtph264pay config-interval=1",
    "h264-b": "x264enc bframes=2 speed-preset=ultrafast key-int-max=30 ! rtph264pay config-interval=1",
    "hevc": "x265enc speed-preset=ultrafast key-int-max=30 log-level=none ! rtph265pay config-interval=1",
    "vp8": "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay",
}
SOUNDS = {
    "opus": "opusenc ! rtpopuspay",
    "pcma": "audioresample ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay",
}
FILE = "( filesrc location={file} ! qtdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 )"
TRANSPORTS = {"tcp": "TCP", "udp": "UDP", "udp_multicast": "UDP_MCAST"}
ROLE = "viewer"


def form_of(text: str) -> str:
    """WIDTHxHEIGHT@FPS → GStreamer's name for it."""
    size, fps = text.strip().split("@")
    width, height = size.split("x")
    return f"video/x-raw,width={width},height={height},framerate={fps}/1"


def demand_digest(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, key: str
) -> None:
    """Let in only this user, by digest: the password itself never travels."""
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE)
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, key, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(ROLE, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
    permissions.add_permission_for_role(ROLE, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
    factory.set_permissions(permissions)


def offer_only(factory: GstRtspServer.RTSPMediaFactory, transport: str) -> None:
    """Refuse all other ways for the pictures (status 461); GStreamer offers them all."""
    factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, TRANSPORTS[transport]))
    if transport == "udp_multicast":
        pool = GstRtspServer.RTSPAddressPool()
        pool.add_range("224.3.0.0", "224.3.0.10", 5000, 5010, 1)
        factory.set_address_pool(pool)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--codec", choices=ENCODERS, default="h264")
    parser.add_argument("--sound", choices=SOUNDS)
    parser.add_argument("--transport", choices=TRANSPORTS)
    parser.add_argument("--file", help="an .mp4 of H.264 to play once, from when somebody watches")
    parser.add_argument("--address", default="127.0.0.1")
    args = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address=args.address, service=args.port)
    sound = f"audiotestsrc is-live=true ! audioconvert ! {SOUNDS[args.sound]} name=pay1" if args.sound else ""
    drawn = PIPELINE.format(form=form_of("320x240@30"), encoder=ENCODERS[args.codec], sound=sound)
    launch = FILE.format(file=args.file) if args.file else drawn
    factory = GstRtspServer.RTSPMediaFactory(launch=launch, shared=True)
    media: list[GstRtspServer.RTSPMedia] = []
    factory.connect("media-configure", lambda _factory, made: media.append(made))
    if args.transport:
        offer_only(factory, args.transport)
    if args.user:
        demand_digest(server, factory, args.user, args.password)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"cannot listen on port {args.port}")
    print("ready", flush=True)

    def change(stdin: object, _: object) -> bool:
        line = sys.stdin.readline()
        if line and media:
            form = media[-1].get_element().get_by_name("form")
            form.set_property("caps", Gst.Caps.from_string(form_of(line)))
        return bool(line)

    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, change)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
