"""A real exchange on your own machine: one matching engine, spoken to over a real WebSocket."""
