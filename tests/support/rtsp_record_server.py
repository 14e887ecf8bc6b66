"""An RTSP server for tests that is sent a stream (RECORD) at rtsp://127.0.0.1:PORT/NAME, for each of some names.

    /usr/bin/python3 rtsp_record_server.py PORT NAME… [--user USER --password PASSWORD]

Prints "ready" once it listens, and then a line for each picture: NAME WIDTHxHEIGHT RED GREEN BLUE SECONDS, where the
colour is that of the middle, and the seconds are those of the stream. It runs in the system's Python, for which
GStreamer's RTSP server is packaged.
"""

import argparse
import os
import sys

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as e:
    sys.exit(f"{sys.executable} lacks python3-gi or gir1.2-gst-rtsp-server-1.0 (scripts/test installs them): {e}")

PIPELINE = (
    "( rtph264depay name=depay0 ! h264parse ! openh264dec ! videoconvert ! video/x-raw,format=RGB "
    "! appsink name=out emit-signals=true sync=false )"
)
ROLE = "sender"


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


def tell(sink: Gst.Element, name: str) -> Gst.FlowReturn:
    """Print what is known of the picture that has come."""
    sample = sink.emit("pull-sample")
    form, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
    width, height = form.get_value("width"), form.get_value("height")
    row = (3 * width + 3) // 4 * 4
    middle = height // 2 * row + width // 2 * 3
    red, green, blue = buffer.extract_dup(middle, 3)
    line = f"{name} {width}x{height} {red} {green} {blue} {buffer.pts / Gst.SECOND:.3f}\n"
    os.write(1, line.encode())  # in one piece: each stream has a thread of its own
    return Gst.FlowReturn.OK


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=args.port)
    for name in args.names:
        factory = GstRtspServer.RTSPMediaFactory(launch=PIPELINE)
        factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        factory.set_latency(0)

        def listen(_factory: object, media: GstRtspServer.RTSPMedia, name: str = name) -> None:
            media.get_element().get_by_name("out").connect("new-sample", tell, name)

        factory.connect("media-configure", listen)
        if args.user:
            demand_digest(server, factory, args.user, args.password)
        server.get_mount_points().add_factory(f"/{name}", factory)
    if not server.attach(None):
        sys.exit(f"cannot listen on port {args.port}")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
