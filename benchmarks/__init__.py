"""wsclient beside other WebSocket clients, in the same run on the same machine: `python -m benchmarks`."""
