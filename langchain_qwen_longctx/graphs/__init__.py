"""The state machines: one module a level, and the one that routes between them."""
