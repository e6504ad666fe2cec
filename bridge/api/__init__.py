"""The HTTP and WebSocket API: whoever may, over the network, what a program can do in process."""
