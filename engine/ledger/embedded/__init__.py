"""The embedded chain: a durable EVM in one file; see the README beside this."""
