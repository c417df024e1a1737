"""How the tracker sends mail: through MAIL_SERVER, or into the folder MAIL_FOLDER while it is developed."""

import asyncio
import smtplib
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

from torngas_aio import settings


async def send_mail(to: str, subject: str, text: str) -> None:
    """Send a mail.

    Raises:
        OSError: The server did not take it; as a job it is tried again.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.MAIL_FROM, to, subject
    message.set_content(text)
    await asyncio.to_thread(_send, message)


def _send(message: EmailMessage) -> None:
    if settings.MAIL_SERVER:
        with smtplib.SMTP(settings.MAIL_SERVER, timeout=10) as server:
            server.send_message(message)
        return
    folder = Path(settings.MAIL_FOLDER)
    folder.mkdir(exist_ok=True)
    (folder / f"{uuid4().hex}.eml").write_bytes(bytes(message))
