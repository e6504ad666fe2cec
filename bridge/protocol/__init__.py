"""What crosses the network: types, operations, permissions and problems, the same on both sides.

Pure: the server (``bridge.api``) and the remote SDK (``bridge.sdk.remote``) both read it, and
``/api/openapi.json`` is made of it.
"""
