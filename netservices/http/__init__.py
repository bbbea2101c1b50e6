"""The hardened HTTP server that several kinds speak through."""
