"""A fault campaign: many callers, a network that breaks at every byte, and a ledger that knows what was true."""
