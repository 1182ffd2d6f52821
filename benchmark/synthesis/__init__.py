"""From what a generator decides to whole, valid traces: the sketch, the compiler, the repair and the stitcher."""
