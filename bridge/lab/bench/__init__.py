"""How fast, how heavy: figures of a whole callbridge on a real Asterisk, measured anew.

``./scripts/bench`` runs it. Parties are channels whose audio Asterisk hands over directly
(``bridge.lab.ears``), so that no phone's jitter buffer is measured.
"""
