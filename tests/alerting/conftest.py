"""The real servers that alerts are sent to."""

from tests.receivers import Received, mailbox, webhook

__all__ = ["Received", "mailbox", "webhook"]
