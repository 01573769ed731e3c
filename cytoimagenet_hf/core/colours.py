"""Colours of figures and pages."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which people with any kind of colour vision tell apart."""
OTHER = "#999999"
"""What has no colour of its own: controls, and classes beyond the palette."""
