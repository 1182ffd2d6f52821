"""What the players that drive browsers are told of a session, whatever it is."""

from session import HOST, SERVER_ADDRESS

BROWSER_SETTINGS = {
    "url": f"https://{HOST}/street/manifest.mpd",
    "address": SERVER_ADDRESS,
    "port": 443,
    "spki": "c3BraQ==",
    "codec": "H264",
    "height": 720,
    "seed": 5,
    "notes": {},
}
