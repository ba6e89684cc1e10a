"""Arithmetic in 16 bits that neither overflows, underflows, stalls nor drifts."""
