"""CoinFLEX: the commands, the login and the amounts of its trade engine."""
