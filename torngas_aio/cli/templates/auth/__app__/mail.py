"""How this project sends mail. Write your own `send_mail`."""

import logging

from torngas_aio import settings

logger = logging.getLogger("__app__.mail")


async def send_mail(to: str, subject: str, text: str) -> None:
    """Send a mail; here, with DEBUG on, into the log."""
    if not settings.DEBUG:
        raise NotImplementedError("Write send_mail() in __app__/mail.py.")
    logger.warning("Mail to %s: %s\n%s", to, subject, text)
