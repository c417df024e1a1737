"""torngas_aio: the Django-like application layer for Tornado, native to asyncio."""
