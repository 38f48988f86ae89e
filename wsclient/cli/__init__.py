"""`python -m wsclient`: what can be done from a shell, one file for each command."""
