"""The pure core: stdlib and numpy only. No I/O, thread, clock, model or millisecond."""
