"""Hooks around some routes; COMMON_MODULES and ROUTE_MODULES name them."""
