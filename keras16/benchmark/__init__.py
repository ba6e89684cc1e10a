"""Training steps of one net side by side: each contender in a process of its own.

`plan` says who runs, `contest` runs them in interleaved rounds, `result` says what
came of it. The other files run inside the contenders' processes.
"""
