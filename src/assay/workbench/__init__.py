"""One function per user action: what pages, command line and HTTP service call."""
