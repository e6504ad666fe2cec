"""Events sent to other people's servers: signed, in order, again and again until they arrive."""
