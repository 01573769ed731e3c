"""Colours of figures and pages."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which people with any kind of colour vision tell apart."""
CATEGORIES = ("#0072b2", "#e69f00", "#882255", "#66ccee", "#ee6677", "#7a3e00")
"""Colours of many dots beside each other: any two differ by 32 or more (CIE 1976), also to deuteranopes and
protanopes, to whom the nearest of `PALETTE` differ by 18."""
OTHER = "#999999"
"""What has no colour of its own: controls, and classes beyond the palette."""
