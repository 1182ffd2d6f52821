"""Logs as players write them, made by hand."""

START = 1_700_000_000.0


def streaming_log(first_play=2.0, offset=0.0, stalls=(), length=32.0, height=lambda _: 360, start=START):
    """A player's log with a sample each half second; ``stalls`` are (from, to) in seconds since START."""
    samples, playhead, stalled = [], offset, 0.0
    for step in range(1, int(2 * length)):
        time = step / 2
        waits = sum(max(0.0, min(time, end) - max(time - 0.5, begin)) for begin, end in stalls)
        if time > first_play:
            playhead += min(0.5, time - first_play) - waits
            stalled += waits
        samples.append({"t": 1000 * (START + time), "ct": playhead, "buf": 4.0, "h": height(time), "stall": stalled})
    return {"t0": 1000 * start, "samples": samples, "segs": []}


def call_log(seconds_of_call=12, fps=25.0):
    return {
        "t_connect": 1000 * START,
        "codec": "VP8",
        "client": [
            {
                "t": 1000 * (START + 0.4 + second),
                "in_video": {
                    "framesDecoded": fps * second,
                    "bytesReceived": 10_000 * second,
                    "totalFreezesDuration": 0.0 if second < 5 else 0.5,
                    "frameHeight": 360 if second < 6 else 180,
                },
            }
            for second in range(seconds_of_call)
        ],
    }
