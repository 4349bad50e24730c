"""Ratios against the peers, all measured in one run: ``python -m benchmarks --help``.

What is measured is the client's own CPU time (user and system) for one operation, next to the wall
time, against a server in another process. A figure alone says nothing on a shared machine, so each
row is a ratio: ours, peer, peer, ours ... in turn, each variant in a process of its own that lives
from its first round to its last. docs/performance.md says how to read it.

    variants     what a comparison is made of
    rows         what is compared, and the targets
    stacks/      how each library makes one request: one small function per library
    worker       the process in which one variant runs
    measure      the rounds: commands to the workers, samples from them
    servers      nginx and the sink for uploads
    affinity     servers and clients on CPUs of their own
    report       statistics, verdicts and the JSON
    table        the table, for a terminal and for the documentation
    plot         the picture
"""
