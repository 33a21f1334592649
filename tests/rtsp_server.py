"""A real RTSP camera for tests: a moving ball in H.264, behind a user name and password.

Run by the system's python3, where Debian's GStreamer bindings are (apt: gir1.2-gst-rtsp-server-1.0 python3-gi).
It prints "ready PORT" when it serves, and ends when its standard input is closed.
The environment's RTSP_USER and RTSP_PASSWORD, if set, are asked of every client.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "openh264enc": "openh264enc gop-size=15 complexity=low ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1",
    "x264enc": "x264enc tune=zerolatency key-int-max=15 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "jpegenc": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def pipeline(*, rate_hz: int, width_px: int, height_px: int, pattern: str) -> str:
    encoder = next(text for name, text in ENCODERS.items() if Gst.ElementFactory.find(name))
    caps = f"video/x-raw,format=I420,width={width_px},height={height_px},framerate={rate_hz}/1"
    return f"( videotestsrc is-live=true pattern={pattern} ! {caps} ! {encoder} )"


def demand_login(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "carer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("carer")
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("carer", right, True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


def use_tls(server: GstRtspServer.RTSPServer, certificate: str, key: str) -> None:
    auth = server.get_auth() or GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(certificate, key))
    server.set_auth(auth)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=int, default=15)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--pattern", default="ball")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    given = parser.parse_args()
    width_px, height_px = map(int, given.size.split("x"))

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(given.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline(rate_hz=given.rate, width_px=width_px, height_px=height_px, pattern=given.pattern))
    factory.set_shared(True)
    if os.environ.get("RTSP_USER"):
        demand_login(server, factory, os.environ["RTSP_USER"], os.environ["RTSP_PASSWORD"])
    if given.tls:
        use_tls(server, *given.tls)
    server.get_mount_points().add_factory("/main", factory)
    loop = GLib.MainLoop()
    if not server.attach(None):
        sys.exit(f"cannot listen on port {given.port}")
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    sys.stdout.write(f"ready {server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()
