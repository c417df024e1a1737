"""Signals: one part says that something happened, others have asked to be told.

    Signal ── connect(receiver, sender=…) ──┐
           ── await send(sender, …)  ───────┴─> receivers, plain ones in order, async ones together

    signal.py    Signal, @receiver

Begin with `Signal.send`.
"""

from torngas_aio.dispatch.signal import Receiver, Signal, receiver

__all__ = ["Receiver", "Signal", "receiver"]
