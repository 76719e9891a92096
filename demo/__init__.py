"""Regions on one machine, for looking at and for tests: NATS servers, chat servers, and their configuration."""
