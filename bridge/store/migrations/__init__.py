"""The schema's history. A migration that was released is never changed."""
