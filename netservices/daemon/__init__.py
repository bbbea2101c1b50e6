"""From a configuration to running services."""
