"""What every venue shares; knows no exchange."""
