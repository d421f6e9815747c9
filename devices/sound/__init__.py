"""Chips that are heard: each renders samples in virtual time."""
