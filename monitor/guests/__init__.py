"""Guests that come with the package, as source."""

from monitor.guests.embedded import EmbeddedGuest, embedded_image

__all__ = ["EmbeddedGuest", "embedded_image"]
