"""The only place that speaks ARI."""
