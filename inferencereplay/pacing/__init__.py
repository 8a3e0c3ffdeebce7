"""When each chunk of a replayed answer is due, by which clock, and how late it came.

Sessions make pacers; users choose a `Pace` and a `VirtualClock`, which `inferencereplay` itself exports.
"""
