"""Pure reasoners: (state, delta or request) in, (delta or decision) out. No clock, no network, no world effects."""
