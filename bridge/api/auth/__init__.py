"""Who asks, and what he may do: keys, tokens, tenants, limits."""
