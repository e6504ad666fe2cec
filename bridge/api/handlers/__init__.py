"""What carries the operations out: one module a tag of ``bridge.protocol.operations``.

Every module of this package is loaded by ``bridge.api.app``; ``@handles`` says which operation a
function is for.
"""
