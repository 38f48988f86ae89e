"""Venues that only tests have."""
