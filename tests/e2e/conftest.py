"""Fixtures of the browser tests."""

from app_driver import app, browser, page

__all__ = ["app", "browser", "page"]
