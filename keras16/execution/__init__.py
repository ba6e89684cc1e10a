"""Runs in processes of their own, whose results survive whatever happens to them."""
