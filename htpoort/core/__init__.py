"""The pure core: text, octets and values. No I/O, clock, randomness, logging or asyncio."""
