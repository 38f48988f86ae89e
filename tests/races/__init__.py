"""A race campaign: every public method from many threads at random moments, and a watchdog."""
