"""Files, folders, webcams, RTSP cameras and skeleton clips: timed frames from any of them."""
