"""Autobahn|Testsuite's fuzzing server against our connection: RFC 6455 and RFC 7692, case by case."""
