"""Call an exchange's WebSocket API as if it were a local object."""
