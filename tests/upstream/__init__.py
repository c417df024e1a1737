"""What `torngas_aio._compat` relies on: names that libraries do not document."""
